/* SPDX-License-Identifier: BSD-3-Clause */
/* Result backends: the interface, and the choice by URL scheme. */
#ifndef CEL_BACKEND_BACKEND_H
#define CEL_BACKEND_BACKEND_H

#include "base/url.h"
#include "config/config.h"
#include "loop/done.h"
#include "loop/loop.h"
#include "message/meta.h"

enum cel_backend_flags {
    CEL_BACKEND_PUSHES = 1 << 0, /* watch() reports changes without polling */
    CEL_BACKEND_SHARED = 1 << 1, /* any process can read any result; rpc cannot */
    CEL_BACKEND_COUNTS = 1 << 2, /* add_chord_part() is atomic: no unlock task needed */
    CEL_BACKEND_THREAD =
        1 << 3, /* its client library blocks: runs on a thread of its own */
};

struct cel_backend_events {
    /*
     * The stored document of a task that was asked for, or a change of a watched one.
     * doc is borrowed for the call; NULL: there is none (PENDING).
     */
    void (*meta)(void *ctx, struct cel_slice task_id, const struct cel_node *doc);

    /* As cel_transport_events.lost: watches are gone, pending operations have failed. */
    void (*lost)(void *ctx, const celery_error *why);
};

struct cel_backend;
struct cel_backend_ops {
    const char *name;
    const char *const *schemes;
    unsigned flags; /* enum cel_backend_flags */
    size_t size;    /* bytes of state, struct cel_backend first; zeroed */

    /* As the slots of the same name in struct cel_transport_ops; settings come from c. */
    celery_status (*init)(struct cel_backend *b, struct cel_url *const *urls, size_t n,
                          const struct cel_config *c, celery_error *err);
    void (*fini)(struct cel_backend *b);
    void (*connect)(struct cel_backend *b, size_t url_index, struct cel_done done);
    void (*close)(struct cel_backend *b);

    /*
     * Write the state of a task.  SUCCESS is terminal: nothing overwrites it.  Copies what it
     * needs before it returns; many in one pass become one batch.  answer: 1 written, 0
     * left alone because SUCCESS was there.
     */
    void (*store)(struct cel_backend *b, const struct cel_task_meta *meta,
                  struct cel_done done);

    /* Report these tasks through events->meta() before done; answer: how many exist. */
    void (*load)(struct cel_backend *b, const struct cel_slice *task_ids, size_t n,
                 struct cel_done done);

    /* Report one task now and at every change.  No change in between is missed. */
    celery_status (*watch)(struct cel_backend *b, struct cel_slice task_id);

    /* End of watch().  Harmless when the task is not watched. */
    void (*unwatch)(struct cel_backend *b, struct cel_slice task_id);

    /* Remove what is stored about a task. */
    void (*forget)(struct cel_backend *b, struct cel_slice task_id, struct cel_done done);
};

/* The part of a backend that its owner and its implementation share. */
struct cel_backend {
    const struct cel_backend_ops *ops;
    const struct cel_backend_events *events;
    void *events_ctx;
    struct cel_loop *loop;
    const struct cel_codec *codec; /* result_serializer; set by cel_backend_new() */
};

/* By URL scheme; NULL with err listing what this build has. */
const struct cel_backend_ops *cel_backend_find(const char *scheme, celery_error *err);
const char *const *cel_backend_names(void);

/*
 * Allocates, sets the shared part and calls init().  urls, events and config (NULL: all
 * defaults) must outlive the backend.
 */
celery_status cel_backend_new(struct cel_loop *loop, struct cel_url *const *urls,
                              size_t n, const struct cel_config *config,
                              const struct cel_backend_events *events, void *ctx,
                              struct cel_backend **ret_b, celery_error *err);

/* close(), fini(), free.  Not from inside meta().  Returns NULL. */
struct cel_backend *cel_backend_free(struct cel_backend *b);

#endif
