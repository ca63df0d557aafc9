/* SPDX-License-Identifier: BSD-3-Clause */
/* The metadata service of an instance: botocore.utils InstanceMetadataFetcher. */
#include "aws/credentials_priv.h"

#include <stdio.h>
#include <strings.h>

#include "base/error.h"
#include "base/log.h"

#define SOURCE "EC2's metadata"
#define ROLES  "latest/meta-data/iam/security-credentials/"

enum { NAME_MAX_LEN = 128, TOKEN_MAX = 4096 };

static enum cel_found begin(struct cel_credentials *c, celery_error *err);

static double timeout_of(const struct cel_credentials *c)
{
    const char *text = cel_aws_getenv(c->env, "AWS_METADATA_SERVICE_TIMEOUT");
    double seconds = 1;

    return text && cel_slice_to_double(cel_slice_of(text), &seconds) && seconds > 0 &&
                   seconds <= 60
               ? seconds
               : 1;
}

static unsigned attempts_of(const struct cel_credentials *c)
{
    const char *text = cel_aws_getenv(c->env, "AWS_METADATA_SERVICE_NUM_ATTEMPTS");
    int64_t n = 1;

    return text && cel_slice_to_int(cel_slice_of(text), &n) && n > 0 && n <= 100
               ? (unsigned)n
               : 1;
}

static bool said(const struct cel_credentials *c, const char *name)
{
    const char *value = cel_aws_getenv(c->env, name);

    return value && strcasecmp(value, "true") == 0;
}

static void set_url(struct cel_credentials *c, const char *path, struct cel_slice more)
{
    const char *base = cel_aws_getenv(c->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *mode = cel_aws_getenv(c->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    size_t len;

    if (!base) {
        base = mode && strcasecmp(mode, "ipv6") == 0 ? "http://[fd00:ec2::254]"
                                                     : "http://169.254.169.254";
    }
    len = strlen(base);
    cel_buf_clear(&c->url);
    cel_buf_addf(&c->url, "%s%s%s", base, len > 0 && base[len - 1] == '/' ? "" : "/",
                 path);
    cel_buf_add_slice(&c->url, more);
}

static void end(struct cel_credentials *c, enum cel_found how, celery_error *err)
{
    if (how == CEL_LACKS && --c->tries > 0) {
        how = begin(c, err);
    }
    if (how != CEL_PENDING) {
        cel_credentials_found(c, how, err);
    }
}

static enum cel_found lacks(celery_error *err, const struct cel_web_reply *reply)
{
    if (reply->err) {
        cel_error_set(err, CELERY_EAUTH, SOURCE ": %s", reply->err->message);
    } else {
        cel_error_set(err, CELERY_EAUTH, SOURCE ": HTTP %d", reply->status);
    }
    return CEL_LACKS;
}

static enum cel_found get(struct cel_credentials *c, cel_web_fn fn, celery_error *err)
{
    struct cel_buf line = {.max = TOKEN_MAX};
    enum cel_found how;

    cel_buf_adds(&line, "x-aws-ec2-metadata-token: ");
    cel_buf_add_slice(&line, cel_buf_slice(&c->session));
    const char *headers[] = {cel_buf_cstr(&line)};
    how =
        cel_fetch(c, "GET", headers, c->session.len > 0 ? 1 : 0, timeout_of(c), fn, err);
    cel_buf_fini(&line);
    return how;
}

/* A failed search tells; a transient one is tried again by the next call. */
static void on_keys(void *ctx, const struct cel_web_reply *reply)
{
    struct cel_credentials *c = ctx;
    celery_error err = {0};
    enum cel_found how;

    c->fetch = NULL;
    if (reply->err || reply->status != 200) {
        how = lacks(&err, reply);
    } else {
        how = cel_found_json(c, reply->body, SOURCE, &err);
        c->found.outlive = true; /* when the service is late, old keys are still taken */
        how = how == CEL_FAILED ? CEL_LACKS : how;
    }
    end(c, how, &err);
}

static bool is_name(struct cel_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        /* What IAM allows: alphanumeric and +=,.@_- */
        char c = text.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || memchr("+=,.@_-", c, 7))) {
            return false;
        }
    }
    return text.len > 0 && text.len <= NAME_MAX_LEN;
}

static void on_role(void *ctx, const struct cel_web_reply *reply)
{
    struct cel_credentials *c = ctx;
    celery_error err = {0};
    enum cel_found how = CEL_LACKS;
    struct cel_slice name = CEL_SLICE_NULL;
    struct cel_slice body = reply->body;

    c->fetch = NULL;
    if (reply->err || reply->status != 200) {
        how = lacks(&err, reply);
    } else if (!cel_slice_split(&body, '\n', &name) || !is_name(cel_slice_trim(name))) {
        cel_error_set(&err, CELERY_EAUTH, SOURCE ": the instance has no role");
    } else {
        set_url(c, ROLES, cel_slice_trim(name));
        how = get(c, on_keys, &err);
    }
    end(c, how, &err);
}

/* Old services, and containers behind one hop too many, get no token: then it goes without. */
static bool version_1(const struct cel_credentials *c, const struct cel_web_reply *reply)
{
    bool without = reply->status == 403 || reply->status == 404 || reply->status == 405 ||
                   (reply->err && reply->err->status == CELERY_ETIMEOUT && reply->sent);

    return without && !said(c, "AWS_EC2_METADATA_V1_DISABLED");
}

static void on_token(void *ctx, const struct cel_web_reply *reply)
{
    struct cel_credentials *c = ctx;
    celery_error err = {0};
    enum cel_found how;
    struct cel_slice token = cel_slice_trim(reply->body);

    c->fetch = NULL;
    cel_buf_clear(&c->session);
    if (!reply->err && reply->status == 200 && token.len > 0 &&
        !memchr(token.data, '\n', token.len) && !memchr(token.data, '\r', token.len)) {
        cel_buf_add_slice(&c->session, token);
    } else if (!version_1(c, reply)) {
        how = lacks(&err, reply);
        end(c, how, &err);
        return;
    }
    set_url(c, ROLES, CEL_SLICE_NULL);
    how = get(c, on_role, &err);
    end(c, how, &err);
}

static enum cel_found begin(struct cel_credentials *c, celery_error *err)
{
    static const char *const headers[] = {"x-aws-ec2-metadata-token-ttl-seconds: 21600"};

    set_url(c, "latest/api/token", CEL_SLICE_NULL);
    return cel_fetch(c, "PUT", headers, 1, timeout_of(c), on_token, err);
}

enum cel_found cel_find_ec2(struct cel_credentials *c, celery_error *err)
{
    if (said(c, "AWS_EC2_METADATA_DISABLED")) {
        cel_error_set(err, CELERY_EAUTH, "EC2's metadata is switched off");
        return CEL_LACKS;
    }
    c->tries = attempts_of(c);
    return begin(c, err);
}
