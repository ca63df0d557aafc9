/* SPDX-License-Identifier: BSD-3-Clause */
/* What a request brings about besides its own result; absent for a plain task. */
#ifndef CEL_WORKER_FOLLOW_H
#define CEL_WORKER_FOLLOW_H

#include "worker/carry.h"
#include "worker/request.h"

struct cel_follow {
    struct cel_request *r;
    size_t carrying;         /* lists of effects under way */
    struct cel_buf children; /* result tuples as JSON, separated */
    celery_error err;        /* the first list that could not be carried out */
    bool waited_for;         /* the report goes on when nothing is carried any more */
};

/* r->follow, made at the first call; NULL: no memory. */
struct cel_follow *cel_follow_get(struct cel_request *r);
void cel_follow_fini(struct cel_request *r);

/* Carries out a list that came while the task ran. */
void cel_follow_sent(struct cel_request *r, struct cel_slice effects);

#endif
