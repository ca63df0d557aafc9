/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One leader among several beats, and what it leaves to the next one: a lock, and the state
 * beside it.  Whoever lost the lock cannot write any more, so a run that was written down belongs
 * to one beat alone.
 */
#ifndef CEL_BEAT_LOCK_H
#define CEL_BEAT_LOCK_H

#include "base/buf.h"
#include "config/config.h"
#include "loop/done.h"
#include "loop/loop.h"

struct cel_beat_lock_events {
    /* We are the leader; state is what the last one left, empty: nothing. */
    void (*gained)(void *ctx, struct cel_slice state);
    /* We are not any more, and try again. */
    void (*lost)(void *ctx, const celery_error *why);
    /* Somebody else is (told once), or the lock cannot be asked for. */
    void (*waiting)(void *ctx, const char *why);
};

struct cel_beat_lock;

struct cel_beat_lock_ops {
    const char *name; /* "redis", "amqp", "file" */
    size_t size;      /* bytes of state, struct cel_beat_lock first; zeroed */
    /* CELERY_ECONFIG and the like: it can never work. */
    celery_status (*init)(struct cel_beat_lock *lock, celery_error *err);
    /* Tries until it has the lock, and keeps it; events come in passes of the loop. */
    celery_status (*start)(struct cel_beat_lock *lock, celery_error *err);
    /*
     * Writes the state, only while we are the leader.  CELERY_ECLOSED: surely not written.
     * Borrows text for the call.  One at a time.
     */
    void (*save)(struct cel_beat_lock *lock, struct cel_slice text, struct cel_done done);
    /* The state that gained() gave is damaged: keeps it elsewhere; writes where to text. */
    void (*set_aside)(struct cel_beat_lock *lock, char *text, size_t size);
    /* Gives the lock back and closes all; no event follows. */
    void (*fini)(struct cel_beat_lock *lock);
};

struct cel_beat_lock {
    const struct cel_beat_lock_ops *ops;
    struct cel_loop *loop;
    const struct cel_config *config;
    const char *path; /* of the schedule file */
    const char *name; /* beat_c_lock_name */
    double ttl;       /* seconds until the lock of a dead leader is free */
    bool held;
    char where[160]; /* for the log */
    const struct cel_beat_lock_events *events;
    void *ctx;
};

extern const struct cel_beat_lock_ops cel_beat_lock_file;
extern const struct cel_beat_lock_ops cel_beat_lock_redis;
extern const struct cel_beat_lock_ops cel_beat_lock_amqp;

/* The kind that beat_c_lock and the URLs ask for, initialised. */
celery_status cel_beat_lock_new(struct cel_loop *loop, const struct cel_config *config,
                                const char *path,
                                const struct cel_beat_lock_events *events, void *ctx,
                                struct cel_beat_lock **ret_lock, celery_error *err);
struct cel_beat_lock *cel_beat_lock_free(struct cel_beat_lock *lock);

/* For the kinds: set held, then tell. */
void cel_beat_lock_gain(struct cel_beat_lock *lock, struct cel_slice state);
void cel_beat_lock_lose(struct cel_beat_lock *lock, const celery_error *why);
void cel_beat_lock_wait(struct cel_beat_lock *lock, const char *why);

#endif
