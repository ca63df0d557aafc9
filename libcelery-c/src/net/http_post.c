/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/http_post.h"
#include "base/alloc.h"
#include "base/error.h"

#include <string.h>
#include <strings.h>

/* A status line that is longer is none. */
enum { LINE_MAX_LEN = 1024, ANSWER_MAX = 65536 };

struct cel_http_post {
    struct cel_conn *conn;
    struct cel_source *timer;
    struct cel_buf text; /* the request */
    cel_http_post_fn fn;
    cel_http_get_fn get; /* instead */
    struct cel_buf answer;
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
    if (p->get) { /* both may free p */
        p->get(p->ctx, status, CEL_SLICE_NULL, err);
    } else {
        p->fn(p->ctx, status, err);
    }
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

static void not_http(struct cel_http_post *p)
{
    celery_error err = {0};

    cel_error_set(&err, CELERY_EMESSAGE, "%s does not speak HTTP",
                  cel_conn_name(p->conn));
    end(p, 0, &err);
}

/* ---- the answer to a GET ---- */

/* The value of a header, or {NULL, 0}; head is status line and headers. */
static struct cel_slice header(struct cel_slice head, const char *name)
{
    size_t n = strlen(name);
    struct cel_slice line;

    while (cel_slice_split(&head, '\n', &line)) {
        if (line.len > n && line.data[n] == ':' && strncasecmp(line.data, name, n) == 0) {
            return cel_slice_trim(cel_slice(line.data + n + 1, line.len - n - 1));
        }
    }
    return CEL_SLICE_NULL;
}

static void give_answer(struct cel_http_post *p, size_t head_len, size_t body_len)
{
    int status = read_status(cel_buf_slice(&p->answer));

    p->over = true;
    cel_source_disarm(p->timer);
    p->get(p->ctx, status, cel_slice(p->answer.data + head_len, body_len),
           NULL); /* may free p */
}

/* Without a length the answer ends with the connection, as HTTP/1.0 has it. */
static void look_at_answer(struct cel_http_post *p, bool closed)
{
    const char *stop =
        p->answer.len > 0 ? memmem(p->answer.data, p->answer.len, "\r\n\r\n", 4) : NULL;

    if (!stop) {
        if (p->answer.len >= LINE_MAX_LEN &&
            read_status(cel_buf_slice(&p->answer)) == 0) {
            not_http(p);
        }
        return;
    }
    size_t head_len = (size_t)(stop - p->answer.data) + 4;
    struct cel_slice head = cel_slice(p->answer.data, head_len);
    struct cel_slice length = header(head, "content-length");
    int64_t n = (int64_t)(p->answer.len - head_len);

    if (read_status(head) == 0 || header(head, "transfer-encoding").data ||
        (length.data && !cel_slice_to_int(length, &n))) {
        not_http(p);
    } else if (length.data ? n >= 0 && (size_t)n <= p->answer.len - head_len : closed) {
        give_answer(p, head_len, (size_t)n);
    }
}

static void on_answer(struct cel_http_post *p, struct cel_buf *in)
{
    static const celery_error large = {CELERY_ELIMIT, 0, "the answer is too large"};
    celery_status status = cel_buf_add_slice(&p->answer, cel_buf_slice(in));

    cel_buf_drop(in, in->len);
    if (status < 0) {
        end(p, 0, &large);
    } else {
        look_at_answer(p, false);
    }
}

static void on_readable(void *ctx, struct cel_buf *in)
{
    struct cel_http_post *p = ctx;
    const char *stop = memchr(in->data, '\n', in->len);

    if (p->over) {
        return;
    }
    if (p->get) {
        on_answer(p, in);
        return;
    }
    if (!stop && in->len < LINE_MAX_LEN) {
        return;
    }
    int status = read_status(cel_slice(in->data, in->len));
    if (status == 0) {
        not_http(p);
    } else {
        end(p, status, NULL);
    }
}

static void on_closed(void *ctx, const celery_error *why)
{
    static const celery_error closed = {CELERY_ECLOSED, 0, "closed without an answer"};

    struct cel_http_post *p = ctx;

    if (p->get && !p->over) {
        look_at_answer(p, true);
    }
    end(p, 0, why ? why : &closed);
}

static const struct cel_conn_events events = {
    .opened = on_opened, .readable = on_readable, .closed = on_closed};

static void on_time(void *ctx)
{
    static const celery_error late = {CELERY_ETIMEOUT, 0, "no answer in time"};

    end(ctx, 0, &late);
}

static void write_line(struct cel_http_post *p, const struct cel_http_post_to *to,
                       const char *method, const char *version)
{
    const char *host = to->endpoint.host ? to->endpoint.host : "localhost";
    bool six = strchr(host, ':') != NULL;

    cel_buf_addf(&p->text, "%s %s HTTP/%s\r\nHost: %s%s%s:%d\r\n%s", method, to->path,
                 version, six ? "[" : "", host, six ? "]" : "", to->endpoint.port,
                 to->headers ? to->headers : "");
}

static void write_request(struct cel_http_post *p, const struct cel_http_post_to *to,
                          struct cel_slice body)
{
    write_line(p, to, "POST", "1.1");
    cel_buf_addf(&p->text,
                 "Content-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                 to->content_type, body.len);
    cel_buf_add_slice(&p->text, body);
}

/* p->text is written. */
static celery_status start(struct cel_loop *loop, const struct cel_http_post_to *to,
                           struct cel_http_post *p, struct cel_http_post **ret,
                           celery_error *err)
{
    struct cel_endpoint endpoint = to->endpoint;
    celery_status status = cel_buf_ok(&p->text) ? CELERY_OK : cel_error_nomem(err);

    endpoint.connect_timeout = to->timeout;
    endpoint.in_max = ANSWER_MAX;
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
    *ret = p;
    return CELERY_OK;
}

celery_status cel_http_post_start(struct cel_loop *loop,
                                  const struct cel_http_post_to *to,
                                  struct cel_slice body, cel_http_post_fn fn, void *ctx,
                                  struct cel_http_post **ret_post, celery_error *err)
{
    struct cel_http_post *p = cel_calloc(1, sizeof *p);

    if (!p) {
        return cel_error_nomem(err);
    }
    p->fn = fn;
    p->ctx = ctx;
    write_request(p, to, body);
    return start(loop, to, p, ret_post, err);
}

celery_status cel_http_get_start(struct cel_loop *loop, const struct cel_http_post_to *to,
                                 size_t answer_max, cel_http_get_fn fn, void *ctx,
                                 struct cel_http_post **ret_get, celery_error *err)
{
    struct cel_http_post *p = cel_calloc(1, sizeof *p);

    if (!p) {
        return cel_error_nomem(err);
    }
    p->get = fn;
    p->ctx = ctx;
    cel_buf_init(&p->answer, answer_max);
    write_line(p, to, "GET", "1.0"); /* so that nobody answers in chunks */
    cel_buf_adds(&p->text, "Accept: application/json\r\nConnection: close\r\n\r\n");
    return start(loop, to, p, ret_get, err);
}

struct cel_http_post *cel_http_post_free(struct cel_http_post *p)
{
    if (p) {
        p->over = true;
        cel_conn_free(p->conn);
        cel_source_free(p->timer);
        cel_buf_fini(&p->text);
        cel_buf_fini(&p->answer);
        cel_free(p);
    }
    return NULL;
}
