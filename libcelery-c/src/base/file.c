/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"

enum { PIECE = 16384 };

bool cel_file_read_all(int fd, struct cel_buf *out)
{
    ssize_t n = 1;

    while (n != 0) {
        if (cel_buf_reserve(out, PIECE, NULL) < 0) {
            errno = ENOMEM;
            return false;
        }
        n = read(fd, out->data + out->len, out->cap - out->len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        out->len += n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool cel_file_write_all(int fd, struct cel_slice text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.data, text.len);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        size_t done = n > 0 ? (size_t)n : 0;
        text = cel_slice(text.data + done, text.len - done);
    }
    return true;
}

celery_status cel_file_read(const char *path, struct cel_buf *out, celery_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    celery_status status = CELERY_OK;

    if (fd < 0) {
        return errno == ENOENT ? CELERY_NONE
                               : cel_error_sys(err, CELERY_ESYSTEM, errno, "%s", path);
    }
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        status = cel_error_set(err, CELERY_ECONFIG, "%s is no file", path);
    } else if (!cel_file_read_all(fd, out)) {
        status = errno == ENOMEM ? cel_buf_reserve(out, PIECE, err) /* says which */
                                 : cel_error_sys(err, CELERY_ESYSTEM, errno, "%s", path);
    }
    close(fd);
    return status;
}

/* The rename itself is on the disk, too. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? cel_strndup(path, (size_t)(slash - path) + 1) : cel_strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    cel_free(folder);
}

celery_status cel_file_replace(const char *path, const char *new_path,
                               struct cel_slice text, enum cel_file_sync sync,
                               celery_error *err)
{
    int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failed = 0;

    if (fd < 0) {
        return cel_error_sys(err, CELERY_ESYSTEM, errno, "%s", new_path);
    }
    if (!cel_file_write_all(fd, text) || (sync == CEL_FILE_ON_DISK && fsync(fd) < 0)) {
        failed = errno;
    }
    if (close(fd) < 0 && !failed) {
        failed = errno;
    }
    if (!failed && rename(new_path, path) < 0) {
        failed = errno;
    }
    if (failed) {
        unlink(new_path);
        return cel_error_sys(err, CELERY_ESYSTEM, failed, "%s", path);
    }
    if (sync == CEL_FILE_ON_DISK) {
        sync_folder(path);
    }
    return CELERY_OK;
}
