/* SPDX-License-Identifier: BSD-3-Clause */
/* botocore.credentials EnvProvider. */
#include "aws/credentials_priv.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/iso8601.h"

static enum cel_found copy_keys(struct cel_credentials *c,
                                const struct cel_aws_keys *keys, celery_error *err)
{
    if (cel_aws_keys_copy(&c->found, keys) < 0) {
        cel_error_nomem(err);
        return CEL_FAILED;
    }
    return CEL_FOUND;
}

enum cel_found cel_find_environment(struct cel_credentials *c, celery_error *err)
{
    const char *access = cel_aws_getenv(c->env, "AWS_ACCESS_KEY_ID");
    const char *secret = cel_aws_getenv(c->env, "AWS_SECRET_ACCESS_KEY");
    const char *token = cel_aws_getenv(c->env, "AWS_SECURITY_TOKEN");
    const char *end = cel_aws_getenv(c->env, "AWS_CREDENTIAL_EXPIRATION");
    struct cel_aws_keys keys = {.source = "the environment"};
    int64_t us = 0;
    bool aware;

    if (!access) {
        cel_error_set(err, CELERY_EAUTH, "AWS_ACCESS_KEY_ID is not set");
        return CEL_LACKS;
    }
    if (!secret) {
        cel_error_set(err, CELERY_EAUTH,
                      "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
        return CEL_FAILED;
    }
    /* What `docker run --env-file` leaves of KEY="value". */
    if (*access == '"' || *access == '\'') {
        cel_error_set(err, CELERY_EAUTH, "AWS_ACCESS_KEY_ID begins with a quote");
        return CEL_FAILED;
    }
    if (end && cel_iso8601_parse(cel_slice_of(end), &us, &aware)) {
        keys.expires = (double)us / 1e6;
    }
    keys.access_key = (char *)access;
    keys.secret_key = (char *)secret;
    keys.token = (char *)(token ? token : cel_aws_getenv(c->env, "AWS_SESSION_TOKEN"));
    return copy_keys(c, &keys, err);
}
