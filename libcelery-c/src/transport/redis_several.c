/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_several.h"
#include "base/alloc.h"
#include "base/error.h"

bool cel_redis_closed(struct cel_redis_transport *r, struct cel_done done)
{
    celery_error err = {0};

    if (r->connected) {
        return false;
    }
    cel_error_set(&err, CELERY_ECLOSED, "not connected to the broker");
    cel_done(done, &err, 0);
    return true;
}

void cel_redis_done_nomem(struct cel_done done)
{
    celery_error err = {0};

    cel_error_nomem(&err);
    cel_done(done, &err, 0);
}

void cel_redis_several_end(struct cel_redis_several *s)
{
    if (--s->left == 0) {
        cel_done(s->done, s->err.status < 0 ? &s->err : NULL, s->sum);
        cel_free(s);
    }
}

static void on_one(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis_several *s = ctx;

    cel_redis_check(s->r, reply, err, s->what, &s->err);
    s->sum += cel_resp_int(reply);
    cel_redis_several_end(s);
}

void cel_redis_several_send(struct cel_redis_several *s)
{
    if (cel_redis_send(s->r, on_one, s) == 0) {
        s->left++;
    } else {
        cel_error_nomem(&s->err);
    }
}

struct cel_redis_several *cel_redis_several_new(struct cel_redis_transport *r,
                                                const char *what, struct cel_done done)
{
    struct cel_redis_several *s = cel_calloc(1, sizeof *s);

    if (!s) {
        cel_redis_done_nomem(done);
        return NULL;
    }
    *s = (struct cel_redis_several){.r = r, .done = done, .what = what, .left = 1};
    return s;
}
