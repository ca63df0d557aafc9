/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of deliveries, and of whole queues. */
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/filesystem.h"
#include "transport/redis_dead.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void settled(struct cel_fs *f, uint64_t tag)
{
    cel_hold_remove(&f->hold, tag);
    cel_loop_wake(f->base.loop);
}

/* kombu moves what is processed away before it is run; here when it is done. */
static celery_status finish(struct cel_fs *f, const char *name, celery_error *err)
{
    if (f->processed) {
        char path[4096];
        int len = snprintf(path, sizeof path, "%s/%s", f->processed, name);
        if (len < (int)sizeof path && renameat(f->mine, name, AT_FDCWD, path) == 0) {
            return CELERY_OK;
        }
    }
    if (unlinkat(f->mine, name, 0) == 0) {
        return CELERY_OK;
    }
    return errno == ENOENT ? CELERY_NONE : cel_fs_system(f, "removing a file of", err);
}

void cel_fs_slot_ack(struct cel_transport *t, uint64_t tag, struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    celery_error err = {0};
    if (cel_fs_closed(f, done)) {
        return;
    }
    const struct cel_fs_held *held = cel_hold_get(&f->hold, tag);
    celery_status status = held ? finish(f, held->name.text, &err) : CELERY_NONE;
    if (status >= 0) {
        settled(f, tag);
    }
    cel_fs_answer(done, status, &err, status == CELERY_OK);
}

void cel_fs_slot_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                        const char *header, int64_t value, struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    struct cel_fs_name name;
    celery_error err = {0};
    if (cel_fs_closed(f, done)) {
        return;
    }
    const struct cel_fs_held *held = cel_hold_get(&f->hold, tag);
    if (!held || !requeue) {
        cel_fs_slot_ack(t, tag, done);
        return;
    }
    int64_t starts = held->started ? 0 : cel_fs_starts(&held->name);
    cel_fs_rename(&name, &held->name, starts, !front);
    celery_status status =
        cel_fs_put_back(f, f->mine, held->name.text, &name, header, value, &err);
    if (status >= 0) {
        settled(f, tag);
        cel_fs_look_again(f);
    }
    cel_fs_answer(done, status, &err, status == CELERY_OK);
}

/* ---- dead letters: a queue beside the queue ---- */

struct oldest {
    const char *queue;
    char name[CEL_FS_NAME_SIZE];
};

static bool is_older(void *ctx, const char *name)
{
    struct oldest *o = ctx;
    if (!cel_fs_is_of(name, o->queue)) {
        return false;
    }
    if (o->name[0] == '\0' || strcmp(name, o->name) < 0) {
        snprintf(o->name, sizeof o->name, "%s", name);
    }
    return true;
}

static void make_room(struct cel_fs *f, const char *dead)
{
    struct oldest o = {.queue = dead};
    if (cel_fs_each(f->in, is_older, &o) >= (int64_t)f->base.max_dead) {
        unlinkat(f->in, o.name, 0);
    }
}

static celery_status dead_name(struct cel_fs *f, const char *queue,
                               struct cel_fs_name *ret, celery_error *err)
{
    char dead[CEL_FS_NAME_SIZE];
    snprintf(dead, sizeof dead, "%.*s" CEL_FS_DEAD, 200, queue);
    make_room(f, dead);
    return cel_fs_new_name(ret, dead, err);
}

/* The letter as Redis's lists have it: a line of what is said of it, then its bytes. */
static celery_status write_dead(struct cel_fs *f, const char *queue, const char *reason,
                                struct cel_slice raw, celery_error *err)
{
    struct cel_buf text = {0};
    struct cel_fs_name name;
    celery_status status = dead_name(f, queue, &name, err);

    if (status == CELERY_OK) {
        status = cel_redis_dead_write(&text, cel_slice_of(reason ? reason : ""),
                                      cel_slice_of(queue), raw);
    }
    if (status == CELERY_OK) {
        status = cel_fs_write(f, f->in, name.text, cel_buf_slice(&text), err);
    }
    cel_buf_fini(&text);
    return status;
}

/* What is too large to be read is moved, with nothing said of it. */
static celery_status move_dead(struct cel_fs *f, const struct cel_fs_held *held,
                               celery_error *err)
{
    struct cel_fs_name name;
    celery_status status = dead_name(f, held->queue->name, &name, err);

    if (status == CELERY_OK && renameat(f->mine, held->name.text, f->in, name.text) < 0) {
        status = errno == ENOENT ? CELERY_NONE : cel_fs_system(f, "moving in", err);
    }
    return status;
}

/* Written before it is removed: at the worst there are two. */
static celery_status bury_held(struct cel_fs *f, const struct cel_fs_held *held,
                               const char *reason, celery_error *err)
{
    struct cel_buf raw = {0};
    double age = 0;
    celery_status status = cel_fs_read(f, f->mine, held->name.text, &raw, &age, err);

    if (status == CELERY_ELIMIT) {
        *err = (celery_error){0};
        status = move_dead(f, held, err);
    } else if (status == CELERY_OK) {
        status = write_dead(f, held->queue->name, reason, cel_buf_slice(&raw), err);
        if (status == CELERY_OK && unlinkat(f->mine, held->name.text, 0) < 0) {
            status = errno == ENOENT ? CELERY_NONE
                                     : cel_fs_system(f, "removing a file of", err);
        }
    }
    cel_buf_fini(&raw);
    return status;
}

void cel_fs_slot_park(struct cel_transport *t, uint64_t tag, const char *reason,
                      struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    celery_error err = {0};
    if (cel_fs_closed(f, done)) {
        return;
    }
    const struct cel_fs_held *held = cel_hold_get(&f->hold, tag);
    celery_status status = held ? bury_held(f, held, reason, &err) : CELERY_NONE;
    if (status >= 0) {
        settled(f, tag);
    }
    cel_fs_answer(done, status, &err, status == CELERY_OK);
}

void cel_fs_slot_bury(struct cel_transport *t, const char *queue,
                      const struct cel_envelope *envelope, const char *reason,
                      struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    struct cel_buf text = {0};
    celery_error err = {0};
    if (cel_fs_closed(f, done)) {
        return;
    }
    celery_status status = envelope->raw.len > 0 ? cel_buf_add_slice(&text, envelope->raw)
                                                 : cel_envelope_write(&text, envelope);
    if (status == CELERY_OK) {
        status = write_dead(f, queue, reason, cel_buf_slice(&text), &err);
    }
    cel_buf_fini(&text);
    cel_fs_answer(done, status, &err, 0);
}

/* ---- starts ---- */

/* The count is a part of the name: it is written and the message kept in one step. */
void cel_fs_slot_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                             struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    struct cel_fs_name name;
    celery_error err = {0};
    celery_status status = CELERY_OK;
    if (cel_fs_closed(f, done)) {
        return;
    }
    struct cel_fs_held *held = cel_hold_get(&f->hold, tag);
    int64_t before = held ? cel_fs_starts(&held->name) - held->started : -1;
    if (held && !held->started && before < most) {
        cel_fs_rename(&name, &held->name, before + 1, false);
        if (renameat(f->mine, held->name.text, f->mine, name.text) == 0) {
            held->name = name;
            held->started = true;
        } else if (errno == ENOENT) {
            before = -1;
        } else {
            status = cel_fs_system(f, "renaming in", &err);
        }
    }
    cel_fs_answer(done, status, &err, before);
}

/* ---- queues ---- */

struct sweep {
    const struct cel_fs *f;
    const char *queue;
    bool remove;
};

static bool sweep_one(void *ctx, const char *name)
{
    const struct sweep *s = ctx;
    return cel_fs_is_of(name, s->queue) &&
           (!s->remove || unlinkat(s->f->in, name, 0) == 0);
}

static void sweep(struct cel_transport *t, const char *queue, bool remove,
                  struct cel_done done)
{
    struct cel_fs *f = cel_fs_of(t);
    struct sweep s = {f, queue, remove};
    celery_error err = {0};
    if (cel_fs_closed(f, done)) {
        return;
    }
    int64_t n = cel_fs_each(f->in, sweep_one, &s);
    celery_status status = n < 0 ? cel_fs_system(f, "reading", &err) : CELERY_OK;
    cel_fs_answer(done, status, &err, n);
}

void cel_fs_slot_purge(struct cel_transport *t, const char *queue, struct cel_done done)
{
    sweep(t, queue, true, done);
}

void cel_fs_slot_count(struct cel_transport *t, const char *queue, struct cel_done done)
{
    sweep(t, queue, false, done);
}
