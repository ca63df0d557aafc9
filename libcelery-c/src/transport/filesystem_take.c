/* SPDX-License-Identifier: BSD-3-Clause */
/* Which file comes next, and its delivery.  inotify tells at once, a look a second the rest. */
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/dead_letter.h"
#include "transport/filesystem.h"
#include "transport/redis_dead.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Names of one queue that a look keeps; deliveries when prefetch is lifted. */
enum { NAMES_MAX = 4096, UNLIMITED = 4096 };

static const double LOOK_SECONDS = 1.0;
static const double AGAIN_SECONDS = 0.05;
static const double REAP_SECONDS = 5.0;
/* kombu makes a file, then writes into it: what cannot be read may be unfinished so long. */
static const double WRITING_SECONDS = 2.0;

/* ---- looking ---- */

void cel_fs_forget_names(struct cel_fs_queue *q)
{
    for (size_t i = q->at; i < q->n; i++) {
        cel_free(q->names[i]);
    }
    q->at = q->n = 0;
}

void cel_fs_look_again(struct cel_fs *f)
{
    for (size_t i = 0; i < f->n_queues; i++) {
        cel_fs_forget_names(f->queues[i]);
    }
    f->dirty = true;
    cel_loop_wake(f->base.loop);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void keep_first(struct cel_fs_queue *q, size_t max)
{
    if (q->n > 1) {
        qsort(q->names, q->n, sizeof *q->names, by_name);
    }
    while (q->n > max) {
        cel_free(q->names[--q->n]);
    }
}

static bool add_name(struct cel_fs_queue *q, const char *name)
{
    if (q->n == (size_t)2 * NAMES_MAX) {
        keep_first(q, NAMES_MAX);
    }
    if (q->n == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 64;
        char **more = cel_realloc(q->names, cap, sizeof *more);
        if (!more) {
            return false;
        }
        q->names = more;
        q->cap = cap;
    }
    q->names[q->n] = cel_strdup(name);
    q->n += q->names[q->n] != NULL;
    return true;
}

static bool sort_out(void *ctx, const char *name)
{
    struct cel_fs *f = ctx;
    for (size_t i = 0; i < f->n_queues; i++) {
        if (f->queues[i]->consuming && cel_fs_is_of(name, f->queues[i]->name)) {
            return add_name(f->queues[i], name);
        }
    }
    return false;
}

static void look(struct cel_fs *f)
{
    f->dirty = f->unfinished = false;
    for (size_t i = 0; i < f->n_queues; i++) {
        cel_fs_forget_names(f->queues[i]);
    }
    cel_fs_each(f->in, sort_out, f);
    for (size_t i = 0; i < f->n_queues; i++) {
        keep_first(f->queues[i], NAMES_MAX);
        f->dirty = f->dirty || f->queues[i]->n == NAMES_MAX;
    }
}

/* ---- delivering ---- */

static size_t room(const struct cel_fs *f)
{
    size_t limit = f->prefetch ? f->prefetch : UNLIMITED;
    size_t free = f->hold.count < limit ? limit - f->hold.count : 0;
    return f->credited && f->credit < free ? f->credit : free;
}

/* A dead letter has what is said of it before it. */
static celery_status read_dead(struct cel_slice bytes, struct cel_envelope **ret_env,
                               celery_error *err)
{
    struct cel_arena arena = {0};
    struct cel_redis_dead dead;

    (void)cel_redis_dead_read(&arena, bytes, &dead);
    celery_status status = cel_envelope_read(dead.raw, ret_env, err);
    if (*ret_env) {
        (void)cel_dead_describe(*ret_env, dead.reason, dead.time, dead.queue);
    }
    cel_arena_fini(&arena);
    return status;
}

/* Reads a file and makes it ours; false: it is not to be had (now). */
static bool claim(struct cel_fs *f, const char *name, bool dead, struct cel_delivery *d)
{
    struct cel_buf raw = {0};
    celery_error err = {0};
    double age = 0;
    celery_status status = cel_fs_read(f, f->in, name, &raw, &age, &err);
    if (status != CELERY_OK && status != CELERY_ELIMIT) {
        cel_buf_fini(&raw);
        return false;
    }
    if (status == CELERY_ELIMIT) {
        d->malformed = true;
        cel_error_set(&err, CELERY_ELIMIT, "larger than %zu bytes", f->base.max_message);
        d->envelope = cel_envelope_new();
    } else {
        celery_status (*read)(struct cel_slice, struct cel_envelope **, celery_error *) =
            dead ? read_dead : cel_envelope_read;
        d->malformed = read(cel_buf_slice(&raw), &d->envelope, &err) < 0;
    }
    cel_buf_fini(&raw);
    bool writing = d->malformed && !dead && status == CELERY_OK && age < WRITING_SECONDS;
    f->unfinished = f->unfinished || writing;
    if (!d->envelope || writing || renameat(f->in, name, f->mine, name) < 0) {
        d->envelope = cel_envelope_free(d->envelope);
        return false;
    }
    snprintf(d->why, sizeof d->why, "%.119s", err.message);
    return true;
}

static bool deliver(struct cel_fs *f, struct cel_fs_queue *q, const char *name)
{
    struct cel_delivery d = {.queue = q->name};
    struct cel_fs_held *held = cel_hold_add(&f->hold, &d.tag);
    if (!held) {
        return false;
    }
    held->queue = q;
    held->started = false;
    snprintf(held->name.text, sizeof held->name.text, "%s", name);
    if (!claim(f, name, cel_dead_is(q->name), &d)) {
        cel_hold_remove(&f->hold, d.tag);
        return false;
    }
    f->credit -= f->credit > 0;
    d.redelivered = d.envelope->redelivered || cel_fs_starts(&held->name) > 0;
    unsigned connects = f->connects;
    f->base.events->delivered(f->base.events_ctx, &d);
    if (f->connects == connects && q->no_ack) {
        cel_fs_slot_ack(&f->base, d.tag, (struct cel_done){0});
    }
    return true;
}

/* One of the next queue that has something; it goes to the end of the line (round_robin). */
static bool deliver_one(struct cel_fs *f)
{
    for (size_t i = 0; i < f->n_queues; i++) {
        struct cel_fs_queue *q = f->queues[i];
        if (!q->consuming || q->at == q->n) {
            continue;
        }
        memmove(f->queues + i, f->queues + i + 1,
                (f->n_queues - i - 1) * sizeof(struct cel_fs_queue *));
        f->queues[f->n_queues - 1] = q;
        char *name = q->names[q->at++];
        deliver(f, q, name);
        cel_free(name);
        return true;
    }
    return false;
}

static void on_wake(void *ctx)
{
    struct cel_fs *f = ctx;
    unsigned connects = f->connects;
    while (f->connects == connects && f->in >= 0 && room(f) > 0) {
        if (deliver_one(f)) {
            continue;
        }
        if (!f->dirty) {
            break;
        }
        look(f);
    }
    if (f->connects == connects && f->unfinished && f->timer) {
        cel_source_rearm(f->timer, cel_loop_now(f->base.loop) + AGAIN_SECONDS);
    }
}

/* ---- what wakes ---- */

static void on_timer(void *ctx)
{
    struct cel_fs *f = ctx;
    double now = cel_loop_now(f->base.loop);
    if (now >= f->next_reap) {
        f->next_reap = now + REAP_SECONDS;
        cel_fs_reap(f);
    }
    f->dirty = true;
    cel_source_rearm(f->timer, now + LOOK_SECONDS);
    on_wake(f);
}

static void on_inotify(void *ctx, int fd, unsigned ready)
{
    struct cel_fs *f = ctx;
    _Alignas(struct inotify_event) char buffer[16384];
    while (read(fd, buffer, sizeof buffer) > 0) {
        f->dirty = true;
    }
    on_wake(f);
}

celery_status cel_fs_start(struct cel_fs *f, celery_error *err)
{
    f->next_reap = cel_loop_now(f->base.loop);
    if (cel_loop_add_wake(f->base.loop, &f->wake, on_wake, f) < 0 ||
        cel_loop_add_timer(f->base.loop, &f->timer, f->next_reap, on_timer, f) < 0) {
        return cel_error_nomem(err);
    }
    /* Without inotify the timer does it alone. */
    f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (f->inotify >= 0 &&
        (inotify_add_watch(f->inotify, f->folder_in, IN_MOVED_TO | IN_CLOSE_WRITE) < 0 ||
         cel_loop_add_io(f->base.loop, &f->io, f->inotify, CEL_READ, on_inotify, f) <
             0)) {
        close(f->inotify);
        f->inotify = -1;
    }
    return CELERY_OK;
}

void cel_fs_stop(struct cel_fs *f)
{
    f->wake = cel_source_free(f->wake);
    f->timer = cel_source_free(f->timer);
    f->io = cel_source_free(f->io);
    if (f->inotify >= 0) {
        close(f->inotify);
        f->inotify = -1;
    }
}
