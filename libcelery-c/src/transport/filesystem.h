/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages as files in a folder (kombu/transport/filesystem.py); all state of one connection. */
#ifndef CEL_TRANSPORT_FILESYSTEM_H
#define CEL_TRANSPORT_FILESYSTEM_H

#include "transport/hold.h"
#include "transport/transport.h"

extern const struct cel_transport_ops cel_transport_filesystem;

enum { CEL_FS_NAME_SIZE = 256 };

/* "<milliseconds>_<uuid>[_s<starts>].<queue>.msg": kombu looks behind the first dot only. */
struct cel_fs_name {
    char text[CEL_FS_NAME_SIZE];
};

/* A queue that is read, and what a look into the folder found of it. */
struct cel_fs_queue {
    char *name;
    bool no_ack;
    bool consuming;
    char **names; /* sorted */
    size_t at;
    size_t n;
    size_t cap;
};

struct cel_fs_held {
    struct cel_fs_name name;
    struct cel_fs_queue *queue;
    bool started; /* a start of this delivery was counted */
};

struct cel_fs {
    struct cel_transport base;
    char *folder_in;
    char *folder_out;
    char *control;
    char *processed; /* NULL: what is done is removed */

    int in; /* folders; -1: closed */
    int out;
    int mine; /* of what this connection holds, in CEL_FS_HELD of in */
    int lock; /* of that folder, for as long as this connection lives */
    char mine_name[64];

    int inotify;
    struct cel_source *io;
    struct cel_source *timer;
    struct cel_source *wake;
    bool dirty;       /* something may have come since the last look */
    bool unfinished;  /* somebody was still writing at the last look */
    double next_reap; /* loop time of the next look for dead holders */
    unsigned connects;
    unsigned prefetch;
    bool credited;
    unsigned credit;
    unsigned serial;
    struct cel_hold hold;
    struct cel_fs_queue **queues;
    size_t n_queues;
};

#define CEL_FS_HELD ".celery-c.held"
#define CEL_FS_DEAD ".celery-c.dead"

/* ---- filesystem.c ---- */

bool cel_fs_closed(struct cel_fs *f, struct cel_done done);
void cel_fs_answer(struct cel_done done, celery_status status, const celery_error *err,
                   int64_t answer);
struct cel_fs_queue *cel_fs_queue(struct cel_fs *f,
                                  const char *name); /* made if need be */

/* ---- filesystem_file.c: files and their names ---- */

celery_status cel_fs_system(const struct cel_fs *f, const char *doing, celery_error *err);

/* A new name at the end of the line; CELERY_EINVAL when the queue has none. */
celery_status cel_fs_new_name(struct cel_fs_name *ret, const char *queue,
                              celery_error *err);
int64_t cel_fs_starts(const struct cel_fs_name *name);
/* The same message with another count of starts, and in another place of the line if again. */
void cel_fs_rename(struct cel_fs_name *ret, const struct cel_fs_name *name,
                   int64_t starts, bool again);
/* Whether a file of this name belongs to the queue. */
bool cel_fs_is_of(const char *name, const char *queue);

celery_status cel_fs_read(const struct cel_fs *f, int dir, const char *name,
                          struct cel_buf *out, double *ret_age, celery_error *err);
/* The whole file or nothing; there is none of that name before. */
celery_status cel_fs_write(struct cel_fs *f, int dir, const char *name,
                           struct cel_slice bytes, celery_error *err);

/* Calls fn for the names in a folder; how many it said true to, -1: it cannot be read. */
int64_t cel_fs_each(int dir, bool (*fn)(void *ctx, const char *name), void *ctx);

/* ---- filesystem_take.c: delivering ---- */

celery_status cel_fs_start(struct cel_fs *f, celery_error *err);
void cel_fs_stop(struct cel_fs *f);
void cel_fs_look_again(struct cel_fs *f); /* what was found may be out of order */
void cel_fs_forget_names(struct cel_fs_queue *q);

/* ---- filesystem_hold.c: what is held, and by whom ---- */

celery_status cel_fs_open_mine(struct cel_fs *f, celery_error *err);
void cel_fs_close_mine(struct cel_fs *f);
/* Puts back what connections hold that are no more. */
void cel_fs_reap(struct cel_fs *f);
/* Puts a held message back under the name, marked as delivered before. */
celery_status cel_fs_put_back(struct cel_fs *f, int dir, const char *held,
                              const struct cel_fs_name *name, const char *header,
                              int64_t value, celery_error *err);

/* ---- filesystem_settle.c ---- */

void cel_fs_slot_ack(struct cel_transport *t, uint64_t tag, struct cel_done done);
void cel_fs_slot_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                        const char *header, int64_t value, struct cel_done done);
void cel_fs_slot_park(struct cel_transport *t, uint64_t tag, const char *reason,
                      struct cel_done done);
void cel_fs_slot_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                             struct cel_done done);
void cel_fs_slot_bury(struct cel_transport *t, const char *queue,
                      const struct cel_envelope *envelope, const char *reason,
                      struct cel_done done);
void cel_fs_slot_purge(struct cel_transport *t, const char *queue, struct cel_done done);
void cel_fs_slot_count(struct cel_transport *t, const char *queue, struct cel_done done);

/* ---- filesystem_table.c: who is bound to an exchange ---- */

celery_status cel_fs_bind(struct cel_fs *f, const struct cel_queue *q, celery_error *err);
/* Calls fn for each queue that a message gets to. */
celery_status cel_fs_lookup(struct cel_fs *f, const char *exchange,
                            const char *routing_key,
                            celery_status (*fn)(void *ctx, const char *queue), void *ctx,
                            celery_error *err);
/* Takes a queue out of an exchange's table. */
celery_status cel_fs_unbind(struct cel_fs *f, const char *exchange, const char *queue,
                            celery_error *err);

static inline struct cel_fs *cel_fs_of(struct cel_transport *t)
{
    return (struct cel_fs *)t;
}

#endif
