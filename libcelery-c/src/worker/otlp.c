/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/otlp.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "net/http_post.h"
#include "worker/otlp_span.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of spans that wait at most, and that go at once; seconds until fewer go, too. */
#define WAITING_MAX ((size_t)4 << 20)
#define BATCH       ((size_t)256 << 10)
#define PAUSE       1.0

/* Seconds for one post, and at the end. */
#define TIMEOUT     5.0
#define END_TIMEOUT 2.0

struct cel_otlp {
    struct celery_worker *w;
    struct cel_observer observer;
    struct cel_url *url;
    struct cel_tls *tls;
    char *path;
    struct cel_buf headers;
    struct cel_buf front; /* of each message: the resource and the scope */
    struct cel_buf spans; /* that wait, with commas between */
    struct cel_http_post *post;
    struct cel_source *timer;
    uint64_t dropped; /* spans, since the last line about it */
    bool failing;     /* it has been said */
};

/* ---- posting ---- */

static void post(struct cel_otlp *o);

static void on_posted(void *ctx, int status, const celery_error *err)
{
    struct cel_otlp *o = ctx;
    bool ok = status >= 200 && status < 300;

    o->post = cel_http_post_free(o->post);
    if (!ok && !o->failing) {
        char text[32] = "";

        snprintf(text, sizeof text, "HTTP status %d", status);
        cel_log(CELERY_LOG_WARNING, "otlp: spans are dropped: %s",
                cel_log_safe(cel_slice_of(err ? err->message : text)));
    } else if (ok && (o->failing || o->dropped > 0)) {
        cel_log(CELERY_LOG_INFO, "otlp: spans are sent again, %llu were dropped",
                (unsigned long long)o->dropped);
        o->dropped = 0;
    }
    o->failing = !ok;
    if (o->spans.len >= BATCH) {
        post(o);
    } else if (o->spans.len > 0) {
        cel_source_rearm(o->timer, cel_loop_now(o->w->loop) + PAUSE);
    }
}

static void post(struct cel_otlp *o)
{
    struct cel_http_post_to to = {
        .endpoint = {.host = o->url->host,
                     .port = o->url->port ? o->url->port
                             : o->tls     ? 443
                                          : 4318,
                     .tls = o->tls},
        .path = o->path,
        .headers = cel_buf_ok(&o->headers) ? o->headers.data : NULL,
        .content_type = "application/json",
        .timeout = TIMEOUT,
    };
    struct cel_buf text = {0};
    celery_error err = {0};

    if (o->post || o->spans.len == 0) {
        return;
    }
    cel_source_disarm(o->timer);
    cel_buf_add_slice(&text, cel_buf_slice(&o->front));
    cel_buf_add_slice(&text, cel_buf_slice(&o->spans));
    cel_buf_adds(&text, "]}]}]}");
    cel_buf_clear(&o->spans);
    if (!cel_buf_ok(&text) || cel_http_post_start(o->w->loop, &to, cel_buf_slice(&text),
                                                  on_posted, o, &o->post, &err) < 0) {
        o->dropped++;
    }
    cel_buf_fini(&text);
}

static void on_time(void *ctx)
{
    post(ctx);
}

/* ---- spans ---- */

/* What was begun at that length is whole: send it soon; or it was too much. */
static void added(struct cel_otlp *o, size_t before)
{
    if (!cel_buf_ok(&o->spans)) {
        cel_buf_fini(&o->spans);
        o->spans = (struct cel_buf){.max = WAITING_MAX};
        o->dropped++;
        return;
    }
    if (o->post) {
        return;
    }
    if (o->spans.len >= BATCH) {
        post(o);
    } else if (before == 0) {
        cel_source_rearm(o->timer, cel_loop_now(o->w->loop) + PAUSE);
    }
}

static void separate(struct cel_otlp *o)
{
    if (o->spans.len > 0) {
        cel_buf_addc(&o->spans, ',');
    }
}

static void on_notice(void *ctx, const struct cel_notice *n)
{
    struct cel_otlp *o = ctx;
    struct cel_request *r = n->request;
    size_t before = o->spans.len;

    if (n->kind == CEL_NOTICE_RECEIVED) {
        r->span = cel_span_begin(r, n->time);
        return;
    }
    if (!r->span || !r->span->sampled) {
        return;
    }
    if (o->spans.len >= WAITING_MAX / 2) {
        o->dropped++;
        return;
    }
    separate(o);
    if (n->kind == CEL_NOTICE_STARTED) {
        r->span->started = n->time;
        cel_span_write_wait(&o->spans, r, r->span);
    } else {
        cel_span_write_run(&o->spans, n, r->span);
        r->span = NULL; /* whatever else is told of it, it has ended */
    }
    added(o, before);
}

/* ---- life ---- */

static char *endpoint_of(const struct cel_config *c, bool *ret_whole)
{
    const char *own = cel_config_text(c, "worker_otlp_endpoint");
    const char *traces = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    const char *all = getenv("OTEL_EXPORTER_OTLP_ENDPOINT");

    *ret_whole = !(own && *own) && traces && *traces;
    return own && *own         ? cel_strdup(own)
           : traces && *traces ? cel_strdup(traces)
           : all && *all       ? cel_strdup(all)
                               : NULL;
}

/* "name=value,name=value", percent-encoded values stay as they are; without line ends. */
static void read_headers(struct cel_otlp *o)
{
    const char *at = getenv("OTEL_EXPORTER_OTLP_HEADERS");

    while (at && *at) {
        size_t len = strcspn(at, ",");
        const char *equals = memchr(at, '=', len);

        if (equals && equals > at && !memchr(at, '\r', len) && !memchr(at, '\n', len)) {
            cel_buf_add(&o->headers, at, (size_t)(equals - at));
            cel_buf_adds(&o->headers, ": ");
            cel_buf_add(&o->headers, equals + 1, len - (size_t)(equals - at) - 1);
            cel_buf_adds(&o->headers, "\r\n");
        }
        at += len + (at[len] == ',');
    }
    cel_buf_addc(&o->headers, '\0');
}

static void write_front(struct cel_otlp *o)
{
    const char *name = getenv("OTEL_SERVICE_NAME");

    cel_buf_adds(&o->front, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":"
                            "\"service.name\",\"value\":{\"stringValue\":");
    cel_json_write_string(&o->front, cel_slice_of(name && *name ? name : "celery"));
    cel_buf_adds(&o->front, "}},{\"key\":\"service.instance.id\",\"value\":{"
                            "\"stringValue\":");
    cel_json_write_string(&o->front, cel_slice_of(o->w->hostname));
    cel_buf_addf(&o->front,
                 "}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"libcelery-c\",\"version\":"
                 "\"%s\"},\"spans\":[",
                 celery_version());
}

static celery_status read_endpoint(struct cel_otlp *o, const char *text, bool whole,
                                   celery_error *err)
{
    struct cel_tls_options tls = {.verify = CEL_TLS_REQUIRED, .check_hostname = true};
    celery_status status = cel_url_parse(text, &o->url, err);
    struct cel_buf path = {0};

    if (status < 0) {
        return status;
    }
    bool secure = strcmp(o->url->scheme, "https") == 0;
    if ((!secure && strcmp(o->url->scheme, "http") != 0) || !o->url->host) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "use http://host:4318 or https://host, not %s", text);
    }
    cel_buf_adds(&path, o->url->path ? o->url->path : "");
    while (!whole && path.len > 0 && path.data[path.len - 1] == '/') {
        path.len--;
    }
    cel_buf_adds(&path, whole ? (path.len ? "" : "/") : "/v1/traces");
    o->path = cel_buf_steal(&path);
    if (!o->path) {
        return cel_error_nomem(err);
    }
    return secure ? cel_tls_new(&tls, &o->tls, err) : CELERY_OK;
}

static celery_status open_otlp(struct cel_otlp *o, const char *text, bool whole,
                               celery_error *err)
{
    celery_status status = read_endpoint(o, text, whole, err);

    if (status == CELERY_OK) {
        status = cel_loop_add_timer(o->w->loop, &o->timer, 0, on_time, o);
    }
    if (status < 0) {
        return cel_error_prefix(err, status, "worker_otlp_endpoint: ");
    }
    cel_source_disarm(o->timer);
    o->spans.max = WAITING_MAX;
    read_headers(o);
    write_front(o);
    o->observer = (struct cel_observer){
        .kinds = CEL_NOTICE_ALL, .texts = true, .fn = on_notice, .ctx = o};
    return cel_notice_watch(o->w, &o->observer);
}

celery_status cel_otlp_new(struct celery_worker *w, struct cel_otlp **ret_otlp,
                           celery_error *err)
{
    bool whole = false;
    char *text = endpoint_of(w->app->config, &whole);
    struct cel_otlp *o = text ? cel_calloc(1, sizeof *o) : NULL;
    celery_status status = text && !o ? cel_error_nomem(err) : CELERY_OK;

    *ret_otlp = NULL;
    if (o) {
        o->w = w;
        status = open_otlp(o, text, whole, err);
    }
    cel_free(text);
    if (status < 0) {
        cel_otlp_free(o);
        return status;
    }
    *ret_otlp = o;
    return CELERY_OK;
}

void cel_otlp_close(struct cel_otlp *o)
{
    double until = o ? cel_loop_now(o->w->loop) + END_TIMEOUT : 0;

    while (o && (o->post || o->spans.len > 0) && cel_loop_now(o->w->loop) < until) {
        post(o);
        cel_loop_pass(o->w->loop, 0.1);
    }
}

struct cel_otlp *cel_otlp_free(struct cel_otlp *o)
{
    if (!o) {
        return NULL;
    }
    cel_notice_unwatch(o->w, &o->observer);
    cel_http_post_free(o->post);
    cel_source_free(o->timer);
    cel_tls_free(o->tls);
    cel_url_free(o->url);
    cel_buf_fini(&o->headers);
    cel_buf_fini(&o->front);
    cel_buf_fini(&o->spans);
    cel_free(o->path);
    cel_free(o);
    return NULL;
}
