/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/env.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"

static const char *system_get(void *ctx, const char *name)
{
    return secure_getenv(name);
}

static celery_status system_read(void *ctx, const char *path, struct cel_buf *out,
                                 celery_error *err)
{
    celery_status status = cel_file_read(path, out, err);

    if (status == CELERY_NONE) {
        cel_error_set(err, CELERY_NONE, "%s is missing", path);
    }
    /* A folder is what Docker makes of a bind mount whose source is missing. */
    return status == CELERY_ECONFIG ? cel_error_prefix(err, CELERY_ESYSTEM, "%s", "")
                                    : status;
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
