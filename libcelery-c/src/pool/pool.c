/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/pool.h"
#include "base/alloc.h"
#include "base/error.h"

static const struct {
    const char *name;
    const struct cel_pool_ops *ops;
} pools[] = {
    {"prefork", &cel_pool_prefork},
    {"processes", &cel_pool_prefork},
    {"threads", &cel_pool_threads},
    {"solo", &cel_pool_solo},
};

const struct cel_pool_ops *cel_pool_find(const char *name, celery_error *err)
{
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        if (strcmp(name, pools[i].name) == 0) {
            return pools[i].ops;
        }
    }
    if (strcmp(name, "eventlet") == 0 || strcmp(name, "gevent") == 0) {
        cel_error_set(err, CELERY_ECONFIG,
                      "pool '%s' needs Python's green threads; use prefork or threads",
                      name);
    } else {
        cel_error_set(err, CELERY_ECONFIG,
                      "unknown pool '%.60s'; there are prefork, threads and solo", name);
    }
    return NULL;
}

celery_status cel_pool_new(const struct cel_pool_ops *ops,
                           const struct cel_pool_options *options,
                           const struct cel_pool_events *events, void *ctx,
                           struct cel_pool **ret_pool, celery_error *err)
{
    if (options->slots == 0) {
        return cel_error_set(err, CELERY_ECONFIG, "a pool needs at least one slot");
    }
    struct cel_pool *p = cel_calloc(1, ops->size);
    if (!p) {
        return cel_error_nomem(err);
    }
    p->ops = ops;
    p->options = *options;
    p->events = events;
    p->events_ctx = ctx;
    *ret_pool = p;
    return CELERY_OK;
}

struct cel_pool *cel_pool_free(struct cel_pool *p)
{
    if (p) {
        p->ops->stop(p);
        if (p->ops->fini) {
            p->ops->fini(p);
        }
        cel_free(p);
    }
    return NULL;
}
