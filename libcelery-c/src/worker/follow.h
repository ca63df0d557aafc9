/* SPDX-License-Identifier: BSD-3-Clause */
/* What a request brings about besides its own result; absent for a plain task. */
#ifndef CEL_WORKER_FOLLOW_H
#define CEL_WORKER_FOLLOW_H

#include "canvas/continue.h"
#include "worker/carry.h"
#include "worker/request.h"

/* A failure to be stored under another id, and its part in a chord. */
struct cel_follow_end {
    struct cel_list node;
    struct cel_continue_copy copy;
    struct cel_continue_exc exc; /* texts of the request's arena */
    bool store;
    struct cel_store stored;
};

/* A chord whose last part this request was: its body, or what its failure brings about. */
struct cel_follow_claim {
    struct cel_list node;
    struct cel_request *r;
    struct cel_slice group_id;
    char token[CEL_UUID_SIZE];
    bool failed;
    bool kept;
    struct cel_effects effects;
    struct cel_errand errand;
};

struct cel_follow {
    struct cel_request *r;
    size_t carrying;         /* lists of effects under way */
    struct cel_buf children; /* result tuples as JSON, separated */
    celery_error err;        /* the first list that could not be carried out */
    bool waited_for;         /* the report goes on when nothing is carried any more */
    struct cel_effects errbacks;
    struct cel_list ends;   /* struct cel_follow_end */
    struct cel_list claims; /* struct cel_follow_claim */
};

/* r->follow, made at the first call; NULL: no memory. */
struct cel_follow *cel_follow_get(struct cel_request *r);
void cel_follow_fini(struct cel_request *r);

/* Carries out a list that came while the task ran. */
void cel_follow_sent(struct cel_request *r, struct cel_slice effects);

/* Where the worker itself applies signatures. */
const struct cel_canvas *cel_follow_canvas(struct celery_worker *w);

/* The priority that what follows inherits (task_inherit_parent_priority), or -1. */
int cel_follow_priority(const struct cel_request *r);

/* The call with what its body carries; NULL: it cannot be read. */
const struct cel_task_call *cel_follow_call(struct cel_request *r);

/* Whether it is a part of a chord; reads the body only when nothing else tells. */
bool cel_follow_is_part(struct cel_request *r);

/* After a FAILURE: fills ends and errbacks. */
celery_status cel_follow_failure(struct cel_request *r);

/* One end for each copy, with copies of the texts of exc. */
celery_status cel_follow_add_ends(struct cel_follow *f,
                                  const struct cel_continue_copies *copies,
                                  const struct cel_continue_exc *exc,
                                  const struct cel_continue_exc *original, bool store);

/* Logs what was skipped, because it was no signature. */
void cel_follow_tell(struct cel_request *r, const celery_error *err);

#endif
