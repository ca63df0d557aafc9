/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/http_server.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/list.h"
#include "net/listen.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX     ((size_t)16 << 20)
#define ACCEPT_PAUSE 0.5   /* seconds, when the process has no descriptors left */
#define LINGER_MAX   65536 /* bytes that are read and dropped behind an answer */

enum state { READING, WRITING, LINGERING };

struct client {
    struct cel_list node; /* oldest first, so in the order of their deadlines */
    struct cel_http_server *server;
    struct cel_source *io;
    int fd;
    enum state state;
    double deadline;
    size_t sent;
    size_t dropped;
    struct cel_buf in;
    struct cel_buf out;
};

struct cel_http_server {
    struct cel_loop *loop;
    struct cel_listener listener;
    struct cel_source *io;
    struct cel_source *timer;
    struct cel_list clients;
    unsigned n_clients;
    bool pausing;
    cel_http_fn fn;
    void *ctx;
};

static void client_free(struct client *c)
{
    cel_source_free(c->io);
    close(c->fd);
    cel_list_remove(&c->node);
    c->server->n_clients--;
    cel_buf_fini(&c->in);
    cel_buf_fini(&c->out);
    cel_free(c);
}

/* ---- answering ---- */

/* Half-closed, and what still comes is read: a reset would overtake the answer. */
static bool linger(struct client *c)
{
    c->state = LINGERING;
    cel_source_io(c->io, CEL_READ);
    return shutdown(c->fd, SHUT_WR) == 0;
}

/* False: it is over. */
static bool write_some(struct client *c)
{
    while (c->sent < c->out.len) {
        ssize_t n =
            send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

        if (n > 0) {
            c->sent += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            cel_source_io(c->io, CEL_WRITE);
            return true;
        } else if (n >= 0 || errno != EINTR) {
            return false;
        }
    }
    return linger(c);
}

static bool answer(struct client *c, int status, const struct cel_http_request *request)
{
    struct cel_http_reply reply = {
        status == 200 ? 404 : status, "text/plain; charset=utf-8", {0}};

    cel_buf_init(&reply.body, BODY_MAX);
    if (status == 200) {
        c->server->fn(c->server->ctx, request, &reply);
    }
    if (!cel_buf_ok(&reply.body)) {
        cel_buf_clear(&reply.body);
        reply.status = 500;
    }
    if (reply.body.len == 0) {
        cel_buf_addf(&reply.body, "%d %s\n", reply.status, cel_http_reason(reply.status));
    }
    cel_http_write_head(&c->out, reply.status, reply.content_type, reply.body.len);
    if (!request->head) {
        cel_buf_add_slice(&c->out, cel_buf_slice(&reply.body));
    }
    bool ok = cel_buf_ok(&reply.body) && cel_buf_ok(&c->out);
    cel_buf_fini(&reply.body);
    c->state = WRITING;
    return ok && write_some(c);
}

/* ---- reading ---- */

static bool drop_some(struct client *c, size_t n)
{
    c->dropped += n;
    return c->dropped <= LINGER_MAX;
}

static bool take(struct client *c, const char *bytes, size_t n)
{
    struct cel_http_request request;

    if (c->state == LINGERING) {
        return drop_some(c, n);
    }
    if (cel_buf_add(&c->in, bytes, n) < 0) {
        return false;
    }
    int status = cel_http_parse(cel_buf_slice(&c->in), &request);
    return status == 0 || answer(c, status, &request);
}

static bool read_some(struct client *c)
{
    char bytes[2048];

    /* A bounded share of a pass. */
    for (unsigned i = 0; i < 8 && c->state != WRITING; i++) {
        ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);

        if (n > 0) {
            if (!take(c, bytes, (size_t)n)) {
                return false;
            }
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else {
            return n < 0 && errno == EAGAIN;
        }
    }
    return true;
}

static void on_client(void *ctx, int fd, unsigned ready)
{
    struct client *c = ctx;
    bool goes_on = c->state == WRITING ? write_some(c) : read_some(c);

    if (!goes_on) {
        client_free(c);
    }
}

/* ---- connections ---- */

static void arm(struct cel_http_server *s)
{
    struct cel_list *first = cel_list_first(&s->clients);

    if (s->pausing) {
        return;
    }
    if (first) {
        cel_source_rearm(s->timer,
                         cel_container_of(first, struct client, node)->deadline);
    } else {
        cel_source_disarm(s->timer);
    }
}

static struct client *oldest(struct cel_http_server *s)
{
    struct cel_list *first = cel_list_first(&s->clients);

    return first ? cel_container_of(first, struct client, node) : NULL;
}

static void add_client(struct cel_http_server *s, int fd)
{
    struct client *c = cel_calloc(1, sizeof *c);

    if (!c || cel_loop_add_io(s->loop, &c->io, fd, CEL_READ, on_client, c) < 0) {
        cel_free(c);
        close(fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    c->deadline = cel_loop_now(s->loop) + CEL_HTTP_DEADLINE;
    cel_buf_init(&c->in, CEL_HTTP_HEAD_MAX + 4096);
    cel_list_append(&s->clients, &c->node);
    if (++s->n_clients > CEL_HTTP_CLIENTS_MAX) {
        client_free(oldest(s));
    }
}

static bool is_short_of_resources(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS || errnum == ENOMEM;
}

static void on_connect(void *ctx, int fd, unsigned ready)
{
    struct cel_http_server *s = ctx;

    /* Who connects more often than that waits for the next pass. */
    for (unsigned i = 0; i < CEL_HTTP_CLIENTS_MAX; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (peer >= 0) {
            add_client(s, peer);
        } else if (is_short_of_resources(errno)) {
            s->pausing = true;
            cel_source_io(s->io, 0);
            cel_source_rearm(s->timer, cel_loop_now(s->loop) + ACCEPT_PAUSE);
            break;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            break;
        }
    }
    arm(s);
}

static void on_timer(void *ctx)
{
    struct cel_http_server *s = ctx;
    double now = cel_loop_now(s->loop);
    struct client *c;

    if (s->pausing) {
        s->pausing = false;
        cel_source_io(s->io, CEL_READ);
    }
    while ((c = oldest(s)) && c->deadline <= now) {
        client_free(c);
    }
    arm(s);
}

unsigned cel_http_server_clients(const struct cel_http_server *s)
{
    return s->n_clients;
}

celery_status cel_http_server_new(struct cel_loop *loop, const char *address,
                                  cel_http_fn fn, void *ctx,
                                  struct cel_http_server **ret_server, celery_error *err)
{
    struct cel_http_server *s = cel_calloc(1, sizeof *s);

    if (!s) {
        return cel_error_nomem(err);
    }
    s->loop = loop;
    s->fn = fn;
    s->ctx = ctx;
    cel_list_init(&s->clients);
    celery_status status = cel_listen(address, &s->listener, err);
    if (status == CELERY_OK &&
        (cel_loop_add_timer(loop, &s->timer, 0, on_timer, s) < 0 ||
         cel_loop_add_io(loop, &s->io, s->listener.fd, CEL_READ, on_connect, s) < 0)) {
        status = cel_error_nomem(err);
    }
    if (status < 0) {
        cel_http_server_free(s);
        return status;
    }
    cel_source_disarm(s->timer);
    *ret_server = s;
    return CELERY_OK;
}

struct cel_http_server *cel_http_server_free(struct cel_http_server *s)
{
    struct client *c;

    if (!s) {
        return NULL;
    }
    while ((c = oldest(s))) {
        client_free(c);
    }
    cel_source_free(s->io);
    cel_source_free(s->timer);
    cel_listener_close(&s->listener);
    cel_free(s);
    return NULL;
}
