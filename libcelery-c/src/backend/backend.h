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
    /* Results go to the queue of whoever sent the task: it must be there before. */
    CEL_BACKEND_REPLIES = 1 << 4,
    /* supports_failure_expires: FAILURE lives for result_failure_expires */
    CEL_BACKEND_FAILURE_EXPIRES = 1 << 5,
};

/* What is noted about a group before its tasks are published. */
struct cel_group_note {
    enum {
        CEL_NOTE_CHORD_SIZE, /* Backend.set_chord_size(): number parts; a new run begins */
        /* add_to_chord(): one part more; json (any text) tells a note made twice apart */
        CEL_NOTE_CHORD_GROW,
        CEL_NOTE_SAVE_GROUP, /* save_group(): json is the result tuple [[id, parent], [...]] */
    } kind;
    bool of_chord; /* SAVE_GROUP: kept by apply_chord(), for result_chord_expires */
    struct cel_slice group_id;
    int64_t number;
    struct cel_slice json;
};

/* The end of a task that is a part of a chord (Backend.on_chord_part_return). */
struct cel_chord_part {
    struct cel_slice group_id;
    struct cel_slice task_id;
    int64_t group_index; /* -1: none */
    struct cel_slice state;
    struct cel_slice result_json; /* of an exception: its map */
    struct cel_slice token;       /* of the claim, if this is the last part */
    int claim_seconds;            /* a claim that nobody kept or ended is free again */
    bool fresh; /* not redelivered: after its chord's end, a part of its next run */
};

enum cel_chord_answer {
    CEL_CHORD_OPEN,    /* others are missing, or there is no such chord (any more) */
    CEL_CHORD_CLAIMED, /* the last part: whoever has the token calls the body */
    CEL_CHORD_BUSY,    /* the last part, but another one has claimed it and is not done */
};

/* What a claim comes with; borrowed for the call. */
struct cel_chord_parts {
    const struct cel_node *parts; /* array of [1, task id, state, result], in order */
    const struct cel_node *group; /* result tuple of save_group(); NULL: none was saved */
};

struct cel_chord_done {
    void (*fn)(void *ctx, const celery_error *err, enum cel_chord_answer answer,
               const struct cel_chord_parts *parts);
    void *ctx;
};

/* A message for a list of the same server (cel_transport_ops.place). */
struct cel_chord_push {
    struct cel_slice key;
    struct cel_slice text;
};

struct cel_backend_events {
    /*
     * The stored document of a task that was asked for, or a change of a watched one.
     * doc is borrowed for the call; NULL: there is none (PENDING).
     */
    void (*meta)(void *ctx, struct cel_slice task_id, const struct cel_node *doc);

    /* The result tuple of a saved group that was asked for; NULL: there is none. */
    void (*group)(void *ctx, struct cel_slice group_id, const struct cel_node *tuple);

    /* As cel_transport_events.lost: watches are gone, pending operations have failed. */
    void (*lost)(void *ctx, const celery_error *why);
};

struct cel_backend;
struct cel_backend_ops {
    const char *name;
    const char *const *schemes; /* "db+*": all that begin so, not shown to anybody */
    unsigned flags;             /* enum cel_backend_flags */
    size_t size;                /* bytes of state, struct cel_backend first; zeroed */
    const char *no_chords; /* why chords are refused (ensure_chords_allowed); NULL: not */

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

    /*
     * Groups and chords; what comes in copies what it needs before it returns, and many in
     * one pass become one batch.  All but note() of SAVE_GROUP and load_group() are NULL
     * unless CEL_BACKEND_COUNTS.
     */
    void (*note)(struct cel_backend *b, const struct cel_group_note *note,
                 struct cel_done done);
    /* Reports a saved group through events->group() before done; answer: 1 there is one. */
    void (*load_group)(struct cel_backend *b, struct cel_slice group_id,
                       struct cel_done done);
    void (*forget_group)(struct cel_backend *b, struct cel_slice group_id,
                         struct cel_done done);

    /* Counts a part, once for each task id and index, whatever comes how often. */
    void (*add_chord_part)(struct cel_backend *b, const struct cel_chord_part *part,
                           struct cel_chord_done done);

    /* Keeps a claim for so long; answer: 0 it is somebody else's, or the chord is over. */
    void (*keep_chord)(struct cel_backend *b, struct cel_slice group_id,
                       struct cel_slice token, int seconds, struct cel_done done);

    /*
     * The body is called (or, failed, its failure is stored): removes what was counted, and
     * parts that come late count nowhere.  answer: 0 the claim was somebody else's.
     */
    void (*end_chord)(struct cel_backend *b, struct cel_slice group_id,
                      struct cel_slice token, bool failed, struct cel_done done);

    /*
     * The same of a chord that has not failed, in one step with LPUSH of its body's messages
     * to lists of the server's database db.  On an error nothing is pushed.  NULL: there are
     * no lists.
     */
    void (*end_chord_with)(struct cel_backend *b, struct cel_slice group_id,
                           struct cel_slice token, int db,
                           const struct cel_chord_push *pushes, size_t n,
                           struct cel_done done);

    /*
     * Backend.cleanup(): removes what is older than result_expires; answer: how much.  NULL: what
     * is stored expires by itself.
     */
    void (*cleanup)(struct cel_backend *b, struct cel_done done);
};

/* The part of a backend that its owner and its implementation share. */
struct cel_backend {
    const struct cel_backend_ops *ops;
    const struct cel_backend_events *events;
    void *events_ctx;
    struct cel_loop *loop;
    const struct cel_codec *codec; /* result_serializer; set by cel_backend_new() */
    /*
     * CEL_BACKEND_REPLIES: the queue that results come to (app.thread_oid), set before
     * connect() and borrowed.  NULL: this side only stores.
     */
    const char *reply_to;
};

/* By URL scheme; NULL with err listing what this build has. */
const struct cel_backend_ops *cel_backend_find(const char *scheme, celery_error *err);
const char *const *cel_backend_names(void);

/*
 * The URLs of result_backend, with redis_backend_use_ssl applied; 0: results are disabled.  What
 * was read is to be freed even if this fails.
 */
celery_status cel_backend_urls(const struct cel_config *config,
                               struct cel_url ***ret_urls, size_t *ret_n,
                               celery_error *err);

/* The kind of backend that result_backend names, whatever else is wrong with it; or NULL. */
const struct cel_backend_ops *cel_backend_of(const struct cel_config *config);

/*
 * Allocates, sets the shared part and calls init().  urls, events and config (NULL: all
 * defaults) must outlive the backend.
 */
celery_status cel_backend_new(struct cel_loop *loop, struct cel_url *const *urls,
                              size_t n, const struct cel_config *config,
                              const struct cel_backend_events *events, void *ctx,
                              struct cel_backend **ret_b, celery_error *err);

/* The document of a saved group, {"result": tuple}, as key/value backends keep it. */
celery_status cel_group_write(const struct cel_codec *codec, struct cel_buf *out,
                              struct cel_slice json, celery_error *err);

/* close(), fini(), free.  Not from inside meta().  Returns NULL. */
struct cel_backend *cel_backend_free(struct cel_backend *b);

#endif
