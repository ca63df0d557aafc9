/* SPDX-License-Identifier: BSD-3-Clause */
/* Keys from texts: botocore.credentials EnvProvider, and what others hand over. */
#include "aws/credentials_priv.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "codec/doc.h"

static char *text_of(struct cel_slice s)
{
    return s.len ? cel_strndup(s.data, s.len) : NULL;
}

enum cel_found cel_found_keys(struct cel_credentials *c, struct cel_slice access,
                              struct cel_slice secret, struct cel_slice token,
                              struct cel_slice expires, const char *source,
                              celery_error *err)
{
    struct cel_aws_keys keys = {.source = source};
    int64_t us = 0;
    bool aware;

    cel_aws_keys_fini(&c->found);
    if (expires.len > 0 && !cel_iso8601_parse(expires, &us, &aware)) {
        cel_error_set(err, CELERY_EPROTO, "%s: not a time: \"%s\"", source,
                      cel_log_safe(expires));
        return CEL_FAILED;
    }
    keys.expires = (double)us / 1e6;
    keys.access_key = text_of(access);
    keys.secret_key = text_of(secret);
    keys.token = text_of(token);
    c->found = keys;
    if (!keys.access_key || !keys.secret_key || (token.len > 0 && !keys.token)) {
        cel_aws_keys_fini(&c->found);
        cel_error_nomem(err);
        return CEL_FAILED;
    }
    return CEL_FOUND;
}

enum cel_found cel_found_json(struct cel_credentials *c, struct cel_slice text,
                              const char *source, celery_error *err)
{
    struct cel_json_limits limits = {.depth = 8, .elements = 1000};
    struct cel_arena arena = {0};
    struct cel_node *node = NULL;
    enum cel_found how = CEL_FAILED;

    if (cel_json_parse(&arena, text, &limits, &node, NULL) < 0) {
        cel_error_set(err, CELERY_EPROTO, "%s: the answer is no JSON", source);
    } else {
        struct cel_slice access =
            cel_node_text(cel_node_get(node, CEL_SLICE("AccessKeyId")));
        struct cel_slice secret =
            cel_node_text(cel_node_get(node, CEL_SLICE("SecretAccessKey")));
        struct cel_slice code = cel_node_text(cel_node_get(node, CEL_SLICE("Code")));

        if (access.len == 0 || secret.len == 0) {
            cel_error_set(err, CELERY_EPROTO, "%s: no keys in the answer%s%s", source,
                          code.len ? ": " : "", code.len ? cel_log_safe(code) : "");
        } else {
            how = cel_found_keys(
                c, access, secret, cel_node_text(cel_node_get(node, CEL_SLICE("Token"))),
                cel_node_text(cel_node_get(node, CEL_SLICE("Expiration"))), source, err);
        }
    }
    cel_arena_fini(&arena);
    return how;
}

enum cel_found cel_find_environment(struct cel_credentials *c, celery_error *err)
{
    const char *access = cel_aws_getenv(c->env, "AWS_ACCESS_KEY_ID");
    const char *secret = cel_aws_getenv(c->env, "AWS_SECRET_ACCESS_KEY");
    const char *token = cel_aws_getenv(c->env, "AWS_SECURITY_TOKEN");
    const char *end = cel_aws_getenv(c->env, "AWS_CREDENTIAL_EXPIRATION");

    if (!access) {
        cel_error_set(err, CELERY_EAUTH, "no AWS_ACCESS_KEY_ID");
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
    token = token ? token : cel_aws_getenv(c->env, "AWS_SESSION_TOKEN");
    return cel_found_keys(c, cel_slice_of(access), cel_slice_of(secret),
                          cel_slice_of(token), cel_slice_of(end), "the environment", err);
}
