/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"

enum { FILE_MAX = 1 << 20, STEP = 4096 };

static const char *system_get(void *ctx, const char *name)
{
    return secure_getenv(name);
}

static celery_status fail(const char *path, int errnum, celery_error *err)
{
    /* What Docker makes of a bind mount whose source is missing. */
    if (errnum == EISDIR) {
        return cel_error_set(err, CELERY_ESYSTEM, "%s is a directory, not a file", path);
    }
    return cel_error_sys(
        err, errnum == ENOENT || errnum == ENOTDIR ? CELERY_NONE : CELERY_ESYSTEM, errnum,
        "%s", path);
}

static celery_status read_all(int fd, const char *path, struct cel_buf *out,
                              celery_error *err)
{
    size_t start = out->len;

    for (;;) {
        if (out->len - start > FILE_MAX) {
            return cel_error_set(err, CELERY_ELIMIT, "%s is larger than 1 MiB", path);
        }
        if (cel_buf_reserve(out, STEP, err) < 0) {
            return CELERY_ENOMEM;
        }
        ssize_t n = read(fd, out->data + out->len, STEP);
        if (n == 0) {
            return CELERY_OK;
        }
        if (n > 0) {
            out->len += (size_t)n;
        } else if (errno != EINTR) {
            return fail(path, errno, err);
        }
    }
}

static celery_status system_read(void *ctx, const char *path, struct cel_buf *out,
                                 celery_error *err)
{
    /* Not for ever when it is a pipe that nobody writes to. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return fail(path, errno, err);
    }
    celery_status status = read_all(fd, path, out, err);
    close(fd);
    return status;
}

const struct cel_aws_env *cel_aws_env_system(void)
{
    static const struct cel_aws_env system = {system_get, system_read, NULL};

    return &system;
}

const char *cel_aws_getenv(const struct cel_aws_env *env, const char *name)
{
    const char *value = env->get(env->ctx, name);

    return value && *value ? value : NULL;
}
