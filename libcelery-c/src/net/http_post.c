/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/http_post.h"
#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/* A status line that is longer is none. */
enum { LINE_MAX_LEN = 1024, ANSWER_MAX = 65536 };

struct cel_http_post {
    struct cel_conn *conn;
    struct cel_source *timer;
    struct cel_buf text; /* the request */
    cel_http_post_fn fn;
    void *ctx;
    bool over;
};

static void end(struct cel_http_post *p, int status, const celery_error *err)
{
    if (p->over) {
        return;
    }
    p->over = true;
    cel_source_disarm(p->timer);
    p->fn(p->ctx, status, err); /* may free p */
}

static void on_opened(void *ctx)
{
    struct cel_http_post *p = ctx;

    /* A failure to send is told by closed(). */
    (void)cel_buf_add_slice(cel_conn_out(p->conn), cel_buf_slice(&p->text));
    (void)cel_conn_flush(p->conn);
}

/* "HTTP/1.1 200 ..."; 0: no such line. */
static int read_status(struct cel_slice line)
{
    int status = 0;

    if (line.len < 12 || memcmp(line.data, "HTTP/1.", 7) != 0 || line.data[8] != ' ') {
        return 0;
    }
    for (size_t i = 9; i < 12; i++) {
        if (line.data[i] < '0' || line.data[i] > '9') {
            return 0;
        }
        status = status * 10 + (line.data[i] - '0');
    }
    return status;
}

static void on_readable(void *ctx, struct cel_buf *in)
{
    struct cel_http_post *p = ctx;
    const char *stop = memchr(in->data, '\n', in->len);
    celery_error err = {0};

    if (!stop && in->len < LINE_MAX_LEN) {
        return;
    }
    int status = read_status(cel_slice(in->data, in->len));
    if (status == 0) {
        cel_error_set(&err, CELERY_EMESSAGE, "%s does not speak HTTP",
                      cel_conn_name(p->conn));
    }
    end(p, status, status ? NULL : &err);
}

static void on_closed(void *ctx, const celery_error *why)
{
    static const celery_error closed = {CELERY_ECLOSED, 0, "closed without an answer"};

    end(ctx, 0, why ? why : &closed);
}

static const struct cel_conn_events events = {
    .opened = on_opened, .readable = on_readable, .closed = on_closed};

static void on_time(void *ctx)
{
    static const celery_error late = {CELERY_ETIMEOUT, 0, "no answer in time"};

    end(ctx, 0, &late);
}

static void write_request(struct cel_http_post *p, const struct cel_http_post_to *to,
                          struct cel_slice body)
{
    const char *host = to->endpoint.host ? to->endpoint.host : "localhost";
    bool six = strchr(host, ':') != NULL;

    cel_buf_addf(&p->text, "POST %s HTTP/1.1\r\nHost: %s%s%s:%d\r\n%s", to->path,
                 six ? "[" : "", host, six ? "]" : "", to->endpoint.port,
                 to->headers ? to->headers : "");
    cel_buf_addf(&p->text,
                 "Content-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                 to->content_type, body.len);
    cel_buf_add_slice(&p->text, body);
}

celery_status cel_http_post_start(struct cel_loop *loop,
                                  const struct cel_http_post_to *to,
                                  struct cel_slice body, cel_http_post_fn fn, void *ctx,
                                  struct cel_http_post **ret_post, celery_error *err)
{
    struct cel_http_post *p = cel_calloc(1, sizeof *p);
    struct cel_endpoint endpoint = to->endpoint;

    if (!p) {
        return cel_error_nomem(err);
    }
    p->fn = fn;
    p->ctx = ctx;
    endpoint.connect_timeout = to->timeout;
    endpoint.in_max = ANSWER_MAX;
    write_request(p, to, body);
    celery_status status = cel_buf_ok(&p->text) ? CELERY_OK : cel_error_nomem(err);
    if (status == CELERY_OK) {
        status = cel_loop_add_timer(loop, &p->timer, cel_loop_now(loop) + to->timeout,
                                    on_time, p);
    }
    if (status == CELERY_OK) {
        status = cel_conn_open(loop, &endpoint, &events, p, &p->conn, err);
    }
    if (status < 0) {
        cel_http_post_free(p);
        return status;
    }
    *ret_post = p;
    return CELERY_OK;
}

struct cel_http_post *cel_http_post_free(struct cel_http_post *p)
{
    if (p) {
        p->over = true;
        cel_conn_free(p->conn);
        cel_source_free(p->timer);
        cel_buf_fini(&p->text);
        cel_free(p);
    }
    return NULL;
}
