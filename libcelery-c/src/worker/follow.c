/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/follow.h"

#include "base/error.h"
#include "worker/reporting.h"

struct cel_follow *cel_follow_get(struct cel_request *r)
{
    if (!r->follow) {
        struct cel_follow *f = cel_arena_alloc(&r->envelope->arena, sizeof *f);

        if (!f) {
            return NULL;
        }
        memset(f, 0, sizeof *f);
        f->r = r;
        r->follow = f;
    }
    return r->follow;
}

void cel_follow_fini(struct cel_request *r)
{
    if (r->follow) {
        cel_buf_fini(&r->follow->children);
    }
}

static void on_carried(void *ctx, const celery_error *err)
{
    struct cel_follow *f = ctx;

    f->carrying--;
    if (err && f->err.status == CELERY_OK) {
        f->err = *err;
    }
    if (f->waited_for && f->carrying == 0) {
        f->waited_for = false;
        cel_reporting_sent(f->r);
    }
}

void cel_follow_sent(struct cel_request *r, struct cel_slice effects)
{
    struct cel_follow *f = cel_follow_get(r);

    if (!f) {
        r->unsent = true;
        return;
    }
    f->carrying++;
    cel_carry_start(r->w, effects, &f->children, (struct cel_carry_done){on_carried, f});
}
