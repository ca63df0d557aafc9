/* SPDX-License-Identifier: BSD-3-Clause */
/* Where credentials and regions are looked for besides the network; tests put their own in. */
#ifndef CEL_AWS_ENV_H
#define CEL_AWS_ENV_H

#include "base/buf.h"

struct cel_aws_env {
    /* NULL: not set. */
    const char *(*get)(void *ctx, const char *name);
    /* Appends a file's bytes, to the buffer's ceiling.  CELERY_NONE: there is none; CELERY_ESYSTEM:
     * it cannot be read, or is no file; CELERY_ELIMIT. */
    celery_status (*read)(void *ctx, const char *path, struct cel_buf *out,
                          celery_error *err);
    void *ctx;
};

/* The process's environment (nothing of it in a set-user-id program) and files. */
const struct cel_aws_env *cel_aws_env_system(void);

/* A variable's value; NULL when it is not set or empty. */
const char *cel_aws_getenv(const struct cel_aws_env *env, const char *name);

#endif
