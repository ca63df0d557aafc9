/* SPDX-License-Identifier: BSD-3-Clause */
/* Names as Channel._put() of kombu makes them, and files that appear complete. */
#include "base/file.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/uuid.h"
#include "transport/filesystem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

celery_status cel_fs_system(const struct cel_fs *f, const char *doing, celery_error *err)
{
    int why = errno;
    celery_status status = why == ENOMEM ? CELERY_ENOMEM : CELERY_ESYSTEM;
    return cel_error_sys(err, status, why, "filesystem://: %s %s", doing, f->folder_in);
}

/* ---- names ---- */

/* kombu sorts by name.  Within a millisecond the uuid decides: ours begin with a number. */
static void put_stem(char stem[80])
{
    static atomic_uint next;
    char uuid[CEL_UUID_SIZE];
    cel_uuid4(uuid);
    snprintf(stem, 80, "%lld_%08x%s", llround(cel_clock_mono() * 1000),
             atomic_fetch_add(&next, 1) & 0xffffffffU, uuid + 8);
}

celery_status cel_fs_new_name(struct cel_fs_name *ret, const char *queue,
                              celery_error *err)
{
    char stem[80];
    if (queue[0] == '\0' || strchr(queue, '/') || strlen(queue) > 120) {
        return cel_error_set(err, CELERY_EINVAL,
                             "filesystem://: no queue can have the name \"%.200s\"",
                             queue);
    }
    put_stem(stem);
    snprintf(ret->text, sizeof ret->text, "%s.%s.msg", stem, queue);
    return CELERY_OK;
}

/* Where "_s<number>" stands in what is before the first dot, or that dot. */
static const char *starts_at(const char *name)
{
    const char *dot = strchr(name, '.');
    const char *at = dot;
    while (at > name && at[-1] >= '0' && at[-1] <= '9') {
        at--;
    }
    bool is = at && at < dot && at - name > 2 && at[-1] == 's' && at[-2] == '_';
    return is ? at - 2 : dot;
}

int64_t cel_fs_starts(const struct cel_fs_name *name)
{
    int64_t starts;
    const char *at = starts_at(name->text);
    const char *dot = strchr(name->text, '.');
    return dot - at > 2 &&
                   cel_slice_to_int(cel_slice(at + 2, (size_t)(dot - at) - 2), &starts)
               ? starts
               : 0;
}

void cel_fs_rename(struct cel_fs_name *ret, const struct cel_fs_name *name,
                   int64_t starts, bool again)
{
    char stem[80];
    char count[24] = "";
    const char *dot = strchr(name->text, '.');
    snprintf(stem, sizeof stem, "%.*s", (int)(starts_at(name->text) - name->text),
             name->text);
    if (again) {
        put_stem(stem);
    }
    if (starts > 0) {
        snprintf(count, sizeof count, "_s%lld", (long long)starts);
    }
    snprintf(ret->text, sizeof ret->text, "%s%s%.*s", stem, count, 140, dot);
}

bool cel_fs_is_of(const char *name, const char *queue)
{
    const char *dot = strchr(name, '.');
    size_t len = strlen(queue);
    return dot && dot > name && strlen(name) < CEL_FS_NAME_SIZE - 24 &&
           strncmp(dot + 1, queue, len) == 0 && strcmp(dot + 1 + len, ".msg") == 0;
}

/* ---- files ---- */

celery_status cel_fs_read(const struct cel_fs *f, int dir, const char *name,
                          struct cel_buf *out, double *ret_age, celery_error *err)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT ? CELERY_NONE : cel_fs_system(f, "opening a file of", err);
    }
    celery_status status = CELERY_OK;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
        *ret_age = 0; /* kombu is writing */
    } else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        status = CELERY_NONE;
    } else {
        *ret_age = cel_clock_wall() - (double)st.st_mtim.tv_sec;
        if ((uint64_t)st.st_size > f->base.max_message) {
            status = CELERY_ELIMIT;
        } else if (!cel_file_read_all(fd, out)) {
            status = cel_fs_system(f, "reading a file of", err);
        }
    }
    close(fd);
    return status;
}

celery_status cel_fs_write(struct cel_fs *f, int dir, const char *name,
                           struct cel_slice bytes, celery_error *err)
{
    char temp[96];
    snprintf(temp, sizeof temp, ".celery-c-%ld-%p-%u", (long)getpid(), (void *)f,
             f->serial++);
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return cel_fs_system(f, "creating a file for", err);
    }
    bool good = cel_file_write_all(fd, bytes);
    int why = errno;
    good = close(fd) == 0 && good;
    errno = good ? errno : why;
    if (good && renameat(dir, temp, dir, name) == 0) {
        return CELERY_OK;
    }
    celery_status status = cel_fs_system(f, "writing a file for", err);
    unlinkat(dir, temp, 0);
    return status;
}

int64_t cel_fs_each(int dir, bool (*fn)(void *ctx, const char *name), void *ctx)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    int64_t count = 0;
    if (!stream) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    for (struct dirent *e = readdir(stream); e; e = readdir(stream)) {
        count += fn(ctx, e->d_name);
    }
    closedir(stream);
    return count;
}
