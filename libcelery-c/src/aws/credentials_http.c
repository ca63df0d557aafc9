/* SPDX-License-Identifier: BSD-3-Clause */
/* The endpoint of a container: botocore.credentials ContainerProvider. */
#include "aws/credentials_priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "base/error.h"
#include "base/log.h"
#include "base/url.h"

#define SOURCE "the container's endpoint"

enum { ANSWER_MAX = 1 << 20, ATTEMPTS = 3, TOKEN_MAX = 1 << 20 };
static const double attempt_seconds = 2;
static const double between_attempts = 1;

enum cel_found cel_fetch(struct cel_credentials *c, const char *method,
                         const char *const *headers, size_t n_headers, double timeout,
                         cel_web_fn fn, celery_error *err)
{
    struct cel_http_options http = {
        .ca_file = c->ca_file, .no_proxy = true, .agent = "celery-c/" CELERY_VERSION};
    struct cel_http_order order = {
        .method = method,
        .url = cel_buf_cstr(&c->url),
        .headers = headers,
        .n_headers = n_headers,
        .timeout_ms = (long)(timeout * 1000),
        .connect_ms = (long)(timeout * 1000),
        .max_body = ANSWER_MAX,
    };

    if (!c->meta && cel_web_new(c->loop, c->driver, &http, &c->meta, err) < 0) {
        return CEL_FAILED;
    }
    c->fetch = cel_buf_ok(&c->url) ? cel_web_start(c->meta, &order, fn, c) : NULL;
    if (!c->fetch) {
        cel_error_nomem(err);
        return CEL_FAILED;
    }
    return CEL_PENDING;
}

enum cel_found cel_fetch_later(struct cel_credentials *c, double seconds, cel_timer_fn fn,
                               celery_error *err)
{
    c->pause = cel_source_free(c->pause);
    if (cel_loop_add_timer(c->loop, &c->pause, cel_loop_now(c->loop) + seconds, fn, c) <
        0) {
        cel_error_nomem(err);
        return CEL_FAILED;
    }
    return CEL_PENDING;
}

/* ---- where ---- */

static bool loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET, host, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == 127;
    }
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* botocore.utils ContainerMetadataFetcher: keys are fetched in the clear from nowhere else. */
static bool allowed(const char *url, celery_error *err)
{
    static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23",
                                        "localhost"};
    struct cel_url *u = NULL;
    bool ok = false;

    if (cel_url_parse(url, &u, NULL) == CELERY_OK && u->host && !u->user &&
        !u->password) {
        ok = strcmp(u->scheme, "https") == 0 ||
             (strcmp(u->scheme, "http") == 0 && loopback(u->host));
        for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
            ok = ok || (strcmp(u->scheme, "http") == 0 && strcmp(u->host, hosts[i]) == 0);
        }
    }
    if (!ok) {
        cel_error_set(
            err, CELERY_ECONFIG,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI: neither https nor an address of "
            "this machine or of ECS and EKS");
    }
    cel_url_free(u);
    return ok;
}

static enum cel_found set_url(struct cel_credentials *c, celery_error *err)
{
    const char *relative =
        cel_aws_getenv(c->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = cel_aws_getenv(c->env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");

    cel_buf_clear(&c->url);
    if (!relative && !full) {
        cel_error_set(err, CELERY_EAUTH, "no container");
        return CEL_LACKS;
    }
    if (relative && relative[0] != '/') {
        cel_error_set(err, CELERY_ECONFIG,
                      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with \"/\"");
        return CEL_FAILED;
    }
    if (!relative && !allowed(full, err)) {
        return CEL_FAILED;
    }
    cel_buf_addf(&c->url, "%s%s", relative ? "http://169.254.170.2" : "",
                 relative ? relative : full);
    return CEL_FOUND;
}

/* "Authorization: ..."; its file is read anew each time.  Empty: there is none. */
static celery_status authorization(struct cel_credentials *c, struct cel_buf *line,
                                   celery_error *err)
{
    const char *file = cel_aws_getenv(c->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = cel_aws_getenv(c->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");

    if (!file && !token) {
        return CELERY_OK;
    }
    cel_buf_adds(line, "Authorization: ");
    if (file) {
        celery_status status = c->env->read(c->env->ctx, file, line, err);

        if (status != CELERY_OK) {
            return cel_error_prefix(err, CELERY_EAUTH, "token of " SOURCE ": ");
        }
    } else {
        cel_buf_adds(line, token);
    }
    if (!cel_buf_ok(line)) {
        return cel_error_nomem(err);
    }
    if (memchr(line->data, '\n', line->len) || memchr(line->data, '\r', line->len) ||
        memchr(line->data, '\0', line->len)) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "the token of " SOURCE " has a line end or NUL in it");
    }
    return CELERY_OK;
}

/* ---- the request ---- */

static enum cel_found attempt(struct cel_credentials *c, celery_error *err);

static void on_pause_over(void *ctx)
{
    struct cel_credentials *c = ctx;
    celery_error err = {0};
    enum cel_found how = attempt(c, &err);

    if (how != CEL_PENDING) {
        cel_credentials_found(c, how, &err);
    }
}

static void on_reply(void *ctx, const struct cel_web_reply *reply)
{
    struct cel_credentials *c = ctx;
    enum cel_found how = CEL_FAILED;
    celery_error err = {0};

    c->fetch = NULL;
    if (reply->err) {
        cel_error_set(&err, reply->err->status, SOURCE ": %s", reply->err->message);
    } else if (reply->status != 200) {
        cel_error_set(&err, CELERY_ECONNECT, SOURCE ": HTTP %d", reply->status);
    } else {
        how = cel_found_json(c, reply->body, SOURCE, &err);
    }
    if (how == CEL_FAILED && --c->tries > 0) {
        how = cel_fetch_later(c, between_attempts, on_pause_over, &err);
    }
    if (how != CEL_PENDING) {
        cel_credentials_found(c, how, &err);
    }
}

static enum cel_found attempt(struct cel_credentials *c, celery_error *err)
{
    struct cel_buf line = {.max = TOKEN_MAX};
    enum cel_found how = CEL_FAILED;

    if (authorization(c, &line, err) == CELERY_OK) {
        const char *headers[] = {"Accept: application/json", cel_buf_cstr(&line)};

        how = cel_fetch(c, "GET", headers, line.len > 0 ? 2 : 1, attempt_seconds,
                        on_reply, err);
    }
    cel_buf_fini(&line);
    return how;
}

enum cel_found cel_find_container(struct cel_credentials *c, celery_error *err)
{
    enum cel_found how = set_url(c, err);

    if (how == CEL_FOUND) {
        c->tries = ATTEMPTS;
        how = attempt(c, err);
    }
    return how;
}
