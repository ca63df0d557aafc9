/* SPDX-License-Identifier: BSD-3-Clause */
/* A call as a signed HTTP request. */
#include "aws/client_priv.h"

#include "base/alloc.h"
#include "base/clock.h"

/* Ten messages of a MiB each, every character of them escaped, and some. */
enum { ANSWER_MAX = 64 << 20, HEADERS = 8 };
static const double connect_seconds = 4;

struct header_lines {
    struct cel_sigv4_header signed_ones[HEADERS];
    size_t n;
    char *lines[HEADERS];
    size_t n_lines;
    bool failed;
};

static void sign_header(struct header_lines *h, const char *name, struct cel_slice value)
{
    h->signed_ones[h->n++] = (struct cel_sigv4_header){cel_slice_of(name), value};
}

static void send_header(struct header_lines *h, const char *name, struct cel_slice value)
{
    struct cel_buf line = {0};

    cel_buf_addf(&line, "%s: ", name);
    cel_buf_add_slice(&line, value);
    h->lines[h->n_lines] = cel_buf_steal(&line);
    h->failed = h->failed || !h->lines[h->n_lines];
    h->n_lines++;
}

static void both(struct header_lines *h, const char *name, struct cel_slice value)
{
    sign_header(h, name, value);
    send_header(h, name, value);
}

static void free_lines(struct header_lines *h)
{
    for (size_t i = 0; i < h->n_lines; i++) {
        cel_free(h->lines[i]);
    }
}

static celery_status sign(const struct cel_aws_call *call,
                          const struct cel_aws_keys *keys, struct cel_slice date,
                          struct header_lines *h)
{
    struct cel_aws *aws = call->aws;
    struct cel_buf authorization = {0};
    struct cel_sigv4 s = {
        .access_key = cel_slice_of(keys->access_key),
        .secret_key = cel_slice_of(keys->secret_key),
        .region = cel_slice_of(aws->region),
        .service = cel_slice_of(aws->service),
        .date = date,
        .method = CEL_SLICE("POST"),
        .path = CEL_SLICE("/"),
        .headers = h->signed_ones,
        .n_headers = h->n,
        .body = cel_buf_slice(&call->body),
    };
    celery_status status = cel_sigv4_authorization(&s, &aws->key, &authorization);

    if (status == CELERY_OK) {
        send_header(h, "Authorization", cel_buf_slice(&authorization));
    }
    cel_buf_fini(&authorization);
    return status;
}

static celery_status write_json(struct cel_aws_call *call, struct cel_buf *target,
                                struct header_lines *h)
{
    cel_buf_addf(target, "AmazonSQS.%s", call->action);
    cel_buf_add_slice(&call->body, cel_buf_slice(&call->params));
    both(h, "content-type", CEL_SLICE("application/x-amz-json-1.0"));
    both(h, "x-amz-target", cel_buf_slice(target));
    return cel_buf_ok(&call->body) && cel_buf_ok(target) ? CELERY_OK : CELERY_ENOMEM;
}

static celery_status write_form(struct cel_aws_call *call, struct header_lines *h)
{
    struct cel_arena arena = {0};
    struct cel_node *params = NULL;
    celery_status status =
        cel_json_parse(&arena, cel_buf_slice(&call->params), NULL, &params, NULL);

    if (status == CELERY_OK) {
        status = cel_query_write(&call->body, call->aws->kind, call->action, params);
    }
    cel_arena_fini(&arena);
    both(h, "content-type",
         CEL_SLICE("application/x-www-form-urlencoded; charset=utf-8"));
    return status == CELERY_OK || status == CELERY_ENOMEM ? status : CELERY_EINVAL;
}

static celery_status start(struct cel_aws_call *call, const struct header_lines *h,
                           cel_web_fn fn)
{
    struct cel_aws *aws = call->aws;
    double connect = call->timeout < connect_seconds ? call->timeout : connect_seconds;
    struct cel_http_order order = {
        .method = "POST",
        .url = aws->url,
        .headers = (const char *const *)h->lines,
        .n_headers = h->n_lines,
        .body = call->body.data,
        .body_len = call->body.len,
        .timeout_ms = (long)(call->timeout * 1000),
        .connect_ms = (long)(connect * 1000),
        .max_body = ANSWER_MAX,
    };

    if (h->failed) {
        return CELERY_ENOMEM;
    }
    call->web = cel_web_start(call->long_poll ? aws->polls : aws->web, &order, fn, call);
    aws->requests += call->web != NULL;
    return call->web ? CELERY_OK : CELERY_ENOMEM;
}

celery_status cel_aws_send(struct cel_aws_call *call, const struct cel_aws_keys *keys,
                           cel_web_fn fn)
{
    struct cel_aws *aws = call->aws;
    struct header_lines h = {0};
    struct cel_buf target = {0};
    char date[CEL_SIGV4_DATE + 1];

    cel_buf_clear(&call->body);
    cel_sigv4_date(cel_clock_wall_us() + (int64_t)(aws->skew * 1e6), date);
    celery_status status =
        aws->query ? write_form(call, &h) : write_json(call, &target, &h);
    sign_header(&h, "host", cel_slice_of(aws->host));
    both(&h, "x-amz-date", cel_slice_of(date));
    if (keys->token) {
        both(&h, "x-amz-security-token", cel_slice_of(keys->token));
    }
    if (status == CELERY_OK && !aws->unsigned_calls) {
        status = sign(call, keys, cel_slice_of(date), &h);
    }
    if (status == CELERY_OK) {
        status = start(call, &h, fn);
    }
    free_lines(&h);
    cel_buf_fini(&target);
    return status;
}
