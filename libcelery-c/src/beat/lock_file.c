/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state in a file (-s), the lock a flock() on "<file>.lock": the file itself is replaced by
 * every writing, and its lock would go with it.  For beats of one machine.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "beat/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define RETRY    0.5
#define FILE_MAX ((size_t)64 << 20)

struct file_lock {
    struct cel_beat_lock base;
    char *lock_path;
    char *new_path;
    struct cel_source *timer;
    int fd; /* of the lock; -1 */
};

static struct file_lock *self(struct cel_beat_lock *base)
{
    return (struct file_lock *)base;
}

static char *with_suffix(const char *path, const char *suffix)
{
    struct cel_buf b = {0};

    cel_buf_addf(&b, "%s%s", path, suffix);
    char *text = cel_buf_steal(&b);

    cel_buf_fini(&b);
    return text;
}

static void gain(struct file_lock *f)
{
    struct cel_buf text;
    celery_error err = {0};

    cel_buf_init(&text, FILE_MAX);
    if (cel_file_read(f->base.path, &text, &err) >= 0) { /* empty when there is none */
        cel_beat_lock_gain(&f->base, cel_buf_slice(&text));
    } else {
        cel_beat_lock_wait(&f->base, err.message);
        close(f->fd);
        f->fd = -1;
        cel_source_rearm(f->timer, cel_loop_now(f->base.loop) + RETRY);
    }
    cel_buf_fini(&text);
}

static void attempt(void *ctx)
{
    struct file_lock *f = ctx;
    celery_error err = {0};

    f->fd = open(f->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd >= 0 && flock(f->fd, LOCK_EX | LOCK_NB) == 0) {
        gain(f);
        return;
    }
    if (f->fd >= 0 && errno == EWOULDBLOCK) {
        cel_beat_lock_wait(&f->base, "another beat of this machine has it");
    } else {
        cel_error_sys(&err, CELERY_ESYSTEM, errno, "%s", f->lock_path);
        cel_beat_lock_wait(&f->base, err.message);
    }
    if (f->fd >= 0) {
        close(f->fd);
        f->fd = -1;
    }
    cel_source_rearm(f->timer, cel_loop_now(f->base.loop) + RETRY);
}

static celery_status file_init(struct cel_beat_lock *base, celery_error *err)
{
    struct file_lock *f = self(base);

    f->fd = -1;
    f->lock_path = with_suffix(base->path, ".lock");
    f->new_path = with_suffix(base->path, ".new");
    snprintf(base->where, sizeof base->where, "file %s", base->path);
    return f->lock_path && f->new_path ? CELERY_OK : cel_error_nomem(err);
}

static celery_status file_start(struct cel_beat_lock *base, celery_error *err)
{
    struct file_lock *f = self(base);

    if (cel_loop_add_timer(base->loop, &f->timer, 0, attempt, f) < 0) {
        return cel_error_nomem(err);
    }
    return CELERY_OK;
}

static void file_save(struct cel_beat_lock *base, struct cel_slice text,
                      struct cel_done done)
{
    celery_error err = {0};
    celery_status status =
        cel_file_replace(base->path, self(base)->new_path, text, CEL_FILE_ON_DISK, &err);

    cel_done(done, status < 0 ? &err : NULL, 0);
}

static void file_set_aside(struct cel_beat_lock *base, char *text, size_t size)
{
    char *aside = with_suffix(base->path, ".damaged");

    *text = '\0';
    if (aside && rename(base->path, aside) == 0) {
        snprintf(text, size, "%s", aside);
    }
    cel_free(aside);
}

static void file_fini(struct cel_beat_lock *base)
{
    struct file_lock *f = self(base);

    cel_source_free(f->timer);
    if (f->fd >= 0) {
        close(f->fd);
    }
    cel_free(f->lock_path);
    cel_free(f->new_path);
}

const struct cel_beat_lock_ops cel_beat_lock_file = {
    .name = "file",
    .size = sizeof(struct file_lock),
    .init = file_init,
    .start = file_start,
    .save = file_save,
    .set_aside = file_set_aside,
    .fini = file_fini,
};
