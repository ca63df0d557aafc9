/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message is claimed by moving its file into a folder of this connection, which is locked for as
 * long as the connection lives: whoever gets the lock knows that its holder is gone.
 */
#include "base/error.h"
#include "base/uuid.h"
#include "message/envelope_json.h"
#include "transport/filesystem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A folder without a lock is one that is just being made, or was left so. */
enum { TRIES = 5, UNLOCKED_SECONDS = 60 };

static const char lock_name[] = "lock";

static int open_lock(int dir, int flags)
{
    int fd = openat(dir, lock_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0666);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Somebody may have taken the folder for a dead one before it was locked. */
static bool is_there(int dir, int lock)
{
    struct stat a;
    struct stat b;
    return fstat(lock, &a) == 0 &&
           fstatat(dir, lock_name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino;
}

static bool open_one(struct cel_fs *f)
{
    char uuid[CEL_UUID_SIZE];
    cel_uuid4(uuid);
    snprintf(f->mine_name, sizeof f->mine_name, CEL_FS_HELD "/%s", uuid);
    if (mkdirat(f->in, f->mine_name, 0777) < 0) {
        return false;
    }
    f->mine = openat(f->in, f->mine_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->lock = f->mine < 0 ? -1 : open_lock(f->mine, O_CREAT | O_EXCL);
    if (f->lock >= 0 && is_there(f->mine, f->lock)) {
        return true;
    }
    cel_fs_close_mine(f);
    return false;
}

celery_status cel_fs_open_mine(struct cel_fs *f, celery_error *err)
{
    if (mkdirat(f->in, CEL_FS_HELD, 0777) < 0 && errno != EEXIST) {
        return cel_fs_system(f, "making a folder in", err);
    }
    for (int i = 0; i < TRIES; i++) {
        if (open_one(f)) {
            return CELERY_OK;
        }
    }
    return cel_fs_system(f, "making a folder in", err);
}

void cel_fs_close_mine(struct cel_fs *f)
{
    if (f->mine >= 0) {
        unlinkat(f->mine, lock_name, 0);
        close(f->mine);
        unlinkat(f->in, f->mine_name, AT_REMOVEDIR);
    }
    if (f->lock >= 0) {
        close(f->lock);
    }
    f->mine = f->lock = -1;
}

celery_status cel_fs_put_back(struct cel_fs *f, int dir, const char *held,
                              const struct cel_fs_name *name, const char *header,
                              int64_t value, celery_error *err)
{
    struct cel_buf raw = {0};
    struct cel_buf again = {0};
    struct cel_envelope *env = NULL;
    double age;
    celery_status status = cel_fs_read(f, dir, held, &raw, &age, err);
    if (status == CELERY_OK &&
        cel_envelope_read(cel_buf_slice(&raw), &env, NULL) == CELERY_OK &&
        cel_envelope_write_redelivered(&again, env, header, value) == CELERY_OK) {
        status = cel_fs_write(f, f->in, name->text, cel_buf_slice(&again), err);
        if (status == CELERY_OK) {
            unlinkat(dir, held, 0);
        }
    } else if (status == CELERY_OK || status == CELERY_ELIMIT) {
        /* The bytes as they are. */
        status = renameat(dir, held, f->in, name->text) == 0
                     ? CELERY_OK
                     : cel_fs_system(f, "moving a file of", err);
    }
    cel_envelope_free(env);
    cel_buf_fini(&raw);
    cel_buf_fini(&again);
    return status;
}

/* ---- those of others ---- */

struct reaper {
    struct cel_fs *f;
    int held; /* CEL_FS_HELD */
    int dir;  /* the folder of a dead one */
};

static bool put_one_back(void *ctx, const char *name)
{
    struct reaper *r = ctx;
    struct cel_fs_name same;
    if (name[0] == '.' || strcmp(name, lock_name) == 0 || !strchr(name, '.') ||
        strlen(name) >= sizeof same.text) {
        return false;
    }
    snprintf(same.text, sizeof same.text, "%s", name);
    return cel_fs_put_back(r->f, r->dir, name, &same, NULL, 0, NULL) == CELERY_OK;
}

static bool was_left(int dir)
{
    struct stat st;
    return errno == ENOENT && fstat(dir, &st) == 0 &&
           time(NULL) - st.st_mtim.tv_sec > UNLOCKED_SECONDS;
}

static bool reap_one(void *ctx, const char *name)
{
    struct reaper *r = ctx;
    if (name[0] == '.') {
        return false;
    }
    r->dir = openat(r->held, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (r->dir < 0) {
        return false;
    }
    int lock = open_lock(r->dir, 0);
    if (lock >= 0 || was_left(r->dir)) {
        cel_fs_each(r->dir, put_one_back, r);
        unlinkat(r->dir, lock_name, 0);
        unlinkat(r->held, name, AT_REMOVEDIR); /* not if something is still in it */
    }
    if (lock >= 0) {
        close(lock);
    }
    close(r->dir);
    return lock >= 0;
}

void cel_fs_reap(struct cel_fs *f)
{
    struct reaper r = {.f = f};
    r.held = openat(f->in, CEL_FS_HELD, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r.held >= 0) {
        cel_fs_each(r.held, reap_one, &r);
        close(r.held);
    }
}
