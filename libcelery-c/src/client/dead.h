/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the dead-letter tools share. */
#ifndef CEL_CLIENT_DEAD_H
#define CEL_CLIENT_DEAD_H

#include "app/app.h"
#include "base/arena.h"
#include "client/dead_held.h"
#include "net/redis_conn.h"
#include "transport/redis_keys.h"
#include "transport/redis_options.h"
#include <celery/dead.h>

enum {
    CEL_DEAD_PAGE = 64,              /* entries asked for at once */
    CEL_DEAD_PAGE_BYTES = 8 << 20,   /* a page ends when it has so many */
    CEL_DEAD_ENTRY_BYTES = 32 << 20, /* longer entries come without their end */
    CEL_DEAD_CUT_BYTES = 64 << 10,   /* so much of those */
};

/* An entry with what names it at the broker. */
struct cel_dead_record {
    celery_dead_entry entry; /* the first member: entries are records */
    struct cel_slice id;     /* the task id as it is; {NULL, 0}: not legible */
    struct cel_slice sha;    /* of the whole entry */
    size_t head;             /* bytes of it before the message */
    int priority;
    const char *list; /* the queue it was listed for */
};

struct cel_dead_page {
    struct cel_arena arena;
    struct cel_dead_record records[CEL_DEAD_PAGE];
    size_t n;
};

struct celery_dead {
    const celery_app *app;
    struct cel_dead_held
        *held; /* not NULL: the broker is RabbitMQ, and the rest is unused */
    struct cel_loop *loop;
    struct cel_url **urls;
    size_t n_urls;
    struct cel_redis_settings set;
    struct cel_redis_keys keys;
    struct cel_redis *redis; /* NULL: not connected */
    bool opened;
    celery_error closed; /* status is 0 while nothing went wrong */
    struct cel_dead_page found;
};

/* ---- dead_record.c ---- */

/*
 * Reads one entry of a dead-letter list; text is all of it or, if it is shorter than size, its
 * beginning.  Texts are borrowed from text and the arena.  Total.
 */
celery_status cel_dead_record_read(struct cel_arena *a, struct cel_slice text,
                                   size_t size, const char *list,
                                   const char *const *accept,
                                   struct cel_dead_record *ret);

/* ---- dead_link.c ---- */

/* Gets the reply of a call; an error reply never comes here. */
typedef celery_status (*cel_dead_reply_fn)(void *ctx, const struct cel_resp *reply);

/* Reads the settings of the connection and makes it. */
celery_status cel_dead_link_open(struct celery_dead *d, celery_error *err);
void cel_dead_link_close(struct celery_dead *d);

/* Sends a command (script NULL) or script and waits for its end; connects when need be. */
celery_status cel_dead_call(struct celery_dead *d, struct cel_redis_script *script,
                            size_t n_keys, size_t argc, const struct cel_slice *argv,
                            cel_dead_reply_fn fn, void *ctx, celery_error *err);

#endif
