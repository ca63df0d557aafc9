/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/backends/filesystem.py: a file for each key; ours appear at once and complete. */
#include "backend/file.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* Other C workers hold the lock for as long as a file takes to write. */
enum { LOCK_TRIES = 400, LOCK_WAIT_US = 500, READ_MAX = 512 << 20 };

celery_status cel_files_name(const char *prefix, struct cel_slice id,
                             char name[CEL_FILE_NAME_SIZE], celery_error *err)
{
    bool fits = id.len > 0 && strlen(prefix) + id.len < CEL_FILE_NAME_SIZE;
    if (!fits || memchr(id.data, '/', id.len) || memchr(id.data, '\0', id.len)) {
        return cel_error_set(err, CELERY_EMESSAGE,
                             "result backend: no name of a file can be made of the id %s",
                             cel_log_safe(id));
    }
    snprintf(name, CEL_FILE_NAME_SIZE, "%s%.*s", prefix, (int)id.len, id.data);
    return CELERY_OK;
}

static celery_status failed(const struct cel_files_backend *b, const char *doing,
                            celery_error *err)
{
    int why = errno;
    celery_status status = why == ENOMEM ? CELERY_ENOMEM : CELERY_ESYSTEM;
    return cel_error_sys(err, status, why, "result backend: %s in %s", doing, b->folder);
}

/* ---- reading ---- */

celery_status cel_files_read(const struct cel_files_backend *b, const char *name,
                             struct cel_buf *out, struct cel_files_version *ret_version,
                             celery_error *err)
{
    struct stat st;
    int fd = openat(b->dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? CELERY_NONE : failed(b, "opening a result", err);
    }
    celery_status status = CELERY_OK;
    if (fstat(fd, &st) < 0) {
        status = failed(b, "reading", err);
    } else if (!S_ISREG(st.st_mode) || st.st_size > READ_MAX) {
        status = cel_error_set(err, CELERY_EMESSAGE, "result backend: %s/%s is no result",
                               b->folder, cel_log_safe(cel_slice_of(name)));
    } else {
        *ret_version = (struct cel_files_version){st.st_ino, st.st_mtim};
        status = cel_file_read_all(fd, out) ? CELERY_OK : failed(b, "reading", err);
    }
    close(fd);
    return status;
}

/* ---- writing ---- */

static celery_status lock(const struct cel_files_backend *b, celery_error *err)
{
    static const struct timespec pause = {.tv_nsec = LOCK_WAIT_US * 1000L};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(b->dir, LOCK_EX | LOCK_NB) == 0) {
            return CELERY_OK;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return failed(b, "locking", err);
        }
        nanosleep(&pause, NULL);
    }
    return cel_error_set(err, CELERY_ETIMEOUT,
                         "result backend: another worker keeps %s locked", b->folder);
}

/* KeyValueStoreBackend._store_result(): SUCCESS stays.  What cannot be read is no SUCCESS. */
static bool is_final(const struct cel_files_backend *b, const char *name)
{
    struct cel_buf bytes = {0};
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;
    struct cel_files_version version;
    bool is =
        strncmp(name, CEL_FILE_TASK, sizeof CEL_FILE_TASK - 1) == 0 &&
        cel_files_read(b, name, &bytes, &version, NULL) == CELERY_OK &&
        b->base.codec->decode(&a, cel_buf_slice(&bytes), NULL, &doc, NULL) == CELERY_OK &&
        cel_slice_is(cel_meta_status(doc), "SUCCESS");
    cel_arena_fini(&a);
    cel_buf_fini(&bytes);
    return is;
}

static celery_status replace(struct cel_files_backend *b, const char *name,
                             struct cel_slice bytes, celery_error *err)
{
    char temp[64];
    snprintf(temp, sizeof temp, CEL_FILE_TEMP "%ld-%p-%u", (long)getpid(), (void *)b,
             b->serial++);
    int fd = openat(b->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return failed(b, "creating a file", err);
    }
    bool good = cel_file_write_all(fd, bytes);
    int why = errno;
    good = close(fd) == 0 && good;
    errno = good ? errno : why;
    if (good && renameat(b->dir, temp, b->dir, name) == 0) {
        return CELERY_OK;
    }
    celery_status status = failed(b, "writing a result", err);
    unlinkat(b->dir, temp, 0);
    return status;
}

celery_status cel_files_write(struct cel_files_backend *b, const char *name,
                              struct cel_slice bytes, celery_error *err)
{
    celery_status status = lock(b, err);
    if (status < 0) {
        return status;
    }
    status = is_final(b, name) ? CELERY_NONE : replace(b, name, bytes, err);
    flock(b->dir, LOCK_UN);
    return status;
}

celery_status cel_files_remove(const struct cel_files_backend *b, const char *name,
                               celery_error *err)
{
    if (unlinkat(b->dir, name, 0) == 0) {
        return CELERY_OK;
    }
    return errno == ENOENT ? CELERY_NONE : failed(b, "removing a result", err);
}

/* ---- expiring ---- */

static bool is_ours(const char *name)
{
    static const char *const prefixes[] = {CEL_FILE_TASK, CEL_FILE_GROUP, CEL_FILE_CHORD,
                                           CEL_FILE_TEMP};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* FilesystemBackend.cleanup() */
int64_t cel_files_expire(const struct cel_files_backend *b)
{
    int fd = openat(b->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    double cutoff = cel_clock_wall() - b->expires;
    int64_t removed = 0;
    if (!dir) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    for (struct dirent *e = readdir(dir); e && b->expires > 0; e = readdir(dir)) {
        struct stat st;
        if (is_ours(e->d_name) &&
            fstatat(b->dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (double)st.st_mtim.tv_sec < cutoff) {
            removed += unlinkat(b->dir, e->d_name, 0) == 0;
        }
    }
    closedir(dir);
    return removed;
}
