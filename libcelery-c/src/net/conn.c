/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/conn.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/dial.h"
#include "net/sock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_MAX      (64u * 1024 * 1024)
#define CHUNK           (64u * 1024)
#define READS_A_PASS    16             /* then the other sources have their turn */
#define KEEP_MEMORY     (1024u * 1024) /* an emptied buffer larger than this is freed */
#define CONNECT_TIMEOUT 4.0
#define USER_TIMEOUT    20.0

enum state { DIALING, HANDSHAKE, OPEN, OVER };

struct cel_conn {
    struct cel_loop *loop;
    const struct cel_conn_events *events;
    void *ctx;
    enum state state;
    int fd;
    unsigned wanted; /* enum cel_io bits that io waits for */
    struct cel_dial *dial;
    struct cel_tls *tls;
    struct cel_tls_stream *stream;
    struct cel_source *io;
    struct cel_source *timer; /* deadline of the handshake; once open, "read again" */
    struct cel_source *hook;
    double deadline;
    double timeout;
    double last_read;
    struct cel_buf in;
    struct cel_buf out;
    size_t out_done; /* bytes at the front of out that are sent */
    uint64_t sent;
    bool paused;
    bool broken;      /* found while the owner was calling; closed() is due */
    celery_error why; /* if broken */
    bool freed;       /* the memory goes when nobody is inside any more */
    unsigned inside;  /* our functions on the stack */
    char *host;       /* NULL for a path */
    char *name;
};

static void destroy(struct cel_conn *c)
{
    cel_buf_fini(&c->in);
    cel_buf_fini(&c->out);
    cel_free(c->host);
    cel_free(c->name);
    cel_free(c);
}

static void release(struct cel_conn *c)
{
    c->state = OVER;
    c->dial = cel_dial_free(c->dial);
    c->io = cel_source_free(c->io);
    c->timer = cel_source_free(c->timer);
    c->hook = cel_source_free(c->hook);
    c->stream = cel_tls_stream_free(c->stream);
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
}

static void enter(struct cel_conn *c)
{
    c->inside++;
}

/* c may be gone afterwards. */
static void leave(struct cel_conn *c)
{
    c->inside--;
    if (c->inside == 0 && c->freed) {
        destroy(c);
    }
}

/* Only from the loop's callbacks. */
static void finish(struct cel_conn *c, const celery_error *err)
{
    if (c->state != OVER) {
        celery_error why = *err;
        release(c);
        c->events->closed(c->ctx, &why);
    }
}

static void update_wanted(struct cel_conn *c)
{
    unsigned wanted = c->paused ? 0 : CEL_READ;

    if (c->out_done < c->out.len) {
        wanted |= CEL_WRITE;
    }
    if (c->io && wanted != c->wanted) {
        c->wanted = wanted;
        cel_source_io(c->io, wanted);
    }
}

/* TLS may hold bytes that no poll announces: come back in the next pass. */
static void read_again(struct cel_conn *c)
{
    if (c->stream && c->state == OPEN && !c->paused) {
        cel_source_rearm(c->timer, cel_loop_now(c->loop));
    }
}

/* One read to the end of the input buffer; CELERY_NONE when nothing is there. */
static celery_status receive(struct cel_conn *c, size_t *ret_n, celery_error *err)
{
    size_t room = c->in.max - c->in.len < CHUNK ? c->in.max - c->in.len : CHUNK;

    if (room == 0) {
        return cel_error_set(err, CELERY_ELIMIT, "the server sent more than %zu bytes",
                             c->in.max);
    }
    celery_status status = cel_buf_reserve(&c->in, room, err);
    if (status < 0) {
        return status;
    }
    status = cel_sock_read(c->fd, c->stream, c->in.data + c->in.len, room, ret_n, err);
    if (status == CELERY_OK) {
        c->in.len += *ret_n;
        c->last_read = cel_loop_now(c->loop);
    }
    return status;
}

static void read_some(struct cel_conn *c)
{
    for (int i = 0; i < READS_A_PASS && c->state == OPEN && !c->paused; i++) {
        celery_error err = {0};
        size_t n = 0;
        celery_status status = receive(c, &n, &err);
        if (status == CELERY_NONE) {
            return;
        }
        if (status < 0) {
            finish(c, &err);
            return;
        }
        size_t before = c->in.len;
        c->events->readable(c->ctx, &c->in);
        if (!c->stream && n < CHUNK) {
            return; /* that was all: save the call that would say so */
        }
        if (c->in.len >= before) {
            break; /* put off: what comes behind it is better where it is */
        }
    }
    read_again(c);
}

static void tidy_out(struct cel_conn *c)
{
    if (c->out_done == c->out.len) {
        c->out_done = 0;
        if (c->out.cap > KEEP_MEMORY) {
            cel_buf_fini(&c->out);
        } else {
            cel_buf_clear(&c->out);
        }
    } else if (c->out_done > CHUNK && c->out_done > c->out.len / 2) {
        cel_buf_drop(&c->out, c->out_done);
        c->out_done = 0;
    }
}

static celery_status write_out(struct cel_conn *c, celery_error *err)
{
    celery_status status = CELERY_OK;

    if (!cel_buf_ok(&c->out)) {
        return cel_error_set(
            err, CELERY_ELIMIT,
            "the server does not take in what is sent: more than %zu bytes "
            "wait",
            c->out.max);
    }
    while (status == CELERY_OK && c->out_done < c->out.len) {
        size_t n = 0;
        status = cel_sock_write(c->fd, c->stream, c->out.data + c->out_done,
                                c->out.len - c->out_done, &n, err);
        c->out_done += n;
        c->sent += n;
    }
    if (status < 0) {
        return status;
    }
    tidy_out(c);
    update_wanted(c);
    return CELERY_OK;
}

/* A write that failed: what the server said before it hung up tells more than the error. */
static void break_off(struct cel_conn *c, const celery_error *err)
{
    read_some(c);
    finish(c, err);
}

static void write_or_finish(struct cel_conn *c)
{
    celery_error err = {0};
    bool some = c->out_done < c->out.len;

    if (c->state == OPEN && write_out(c, &err) < 0) {
        break_off(c, &err);
    } else if (c->state == OPEN && some && c->out.len == 0 && c->events->drained) {
        c->events->drained(c->ctx);
    }
}

static void opened(struct cel_conn *c)
{
    c->state = OPEN;
    c->last_read = cel_loop_now(c->loop);
    cel_source_disarm(c->timer);
    c->wanted = ~0u;
    update_wanted(c);
    c->events->opened(c->ctx);
    if (c->state == OPEN) {
        write_or_finish(c);
    }
    read_again(c);
}

static void shake_hands(struct cel_conn *c)
{
    celery_error err = {0};
    unsigned wait = 0;
    celery_status status = cel_tls_handshake(c->stream, &wait, &err);

    if (status == CELERY_NONE) {
        cel_source_io(c->io, wait);
    } else if (status < 0) {
        finish(c, &err);
    } else {
        opened(c);
    }
}

static void on_io(void *ctx, int fd, unsigned ready)
{
    struct cel_conn *c = ctx;

    enter(c);
    if (c->state == HANDSHAKE) {
        shake_hands(c);
    } else if (c->state == OPEN) {
        if (ready & (CEL_READ | CEL_HANGUP)) {
            read_some(c);
        }
        if (c->state == OPEN && c->out_done < c->out.len &&
            (ready & CEL_WRITE || c->stream)) {
            write_or_finish(c);
        }
    }
    leave(c);
}

static void on_timer(void *ctx)
{
    struct cel_conn *c = ctx;

    enter(c);
    if (c->state == OPEN) {
        read_some(c);
    } else if (c->state == HANDSHAKE) {
        celery_error err = {0};
        cel_error_set(&err, CELERY_ETIMEOUT,
                      "no TLS within %g s: does it speak TLS on this port?", c->timeout);
        finish(c, &err);
    }
    leave(c);
}

static void on_hook(void *ctx)
{
    struct cel_conn *c = ctx;

    enter(c);
    if (c->broken) {
        break_off(c, &c->why);
    } else {
        write_or_finish(c);
    }
    leave(c);
}

static void on_dialed(void *ctx, int fd, const celery_error *failure)
{
    struct cel_conn *c = ctx;
    celery_error err = {0};

    enter(c);
    c->fd = fd;
    c->dial = cel_dial_free(c->dial);
    if (failure) {
        finish(c, failure);
    } else if (cel_loop_add_io(c->loop, &c->io, fd, CEL_READ | CEL_WRITE, on_io, c) < 0) {
        cel_error_set(&err, CELERY_ESYSTEM, "cannot wait for a socket");
        finish(c, &err);
    } else if (!c->tls) {
        opened(c);
    } else if (cel_tls_stream_new(c->tls, fd, c->host, &c->stream, &err) < 0) {
        finish(c, &err);
    } else {
        c->state = HANDSHAKE;
        cel_source_rearm(c->timer, c->deadline);
        shake_hands(c);
    }
    leave(c);
}

static celery_status set_name(struct cel_conn *c, const struct cel_endpoint *e,
                              celery_error *err)
{
    struct cel_buf name = {0};

    if (e->unix_path) {
        cel_buf_adds(&name, e->unix_path);
    } else {
        bool v6 = strchr(e->host, ':') != NULL;
        cel_buf_addf(&name, v6 ? "[%s]:%d" : "%s:%d", e->host, e->port);
        c->host = cel_strdup(e->host);
    }
    c->name = cel_buf_steal(&name);
    cel_buf_fini(&name);
    return c->name && (e->unix_path || c->host) ? CELERY_OK : cel_error_nomem(err);
}

static celery_status start(struct cel_conn *c, const struct cel_endpoint *e,
                           celery_error *err)
{
    struct cel_dial_to to = {
        .host = c->host,
        .port = e->port,
        .unix_path = e->unix_path,
        .timeout = c->timeout,
        .user_timeout = e->user_timeout > 0 ? e->user_timeout : USER_TIMEOUT,
        .keepalive = e->keepalive,
    };
    if (cel_loop_add_hook(c->loop, &c->hook, on_hook, c) < 0 ||
        cel_loop_add_timer(c->loop, &c->timer, c->deadline, on_timer, c) < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(c->timer);
    return cel_dial_start(c->loop, &to, on_dialed, c, &c->dial, err);
}

celery_status cel_conn_open(struct cel_loop *loop, const struct cel_endpoint *endpoint,
                            const struct cel_conn_events *events, void *ctx,
                            struct cel_conn **ret_conn, celery_error *err)
{
    struct cel_conn *c = cel_calloc(1, sizeof *c);

    if (!c) {
        return cel_error_nomem(err);
    }
    c->loop = loop;
    c->events = events;
    c->ctx = ctx;
    c->fd = -1;
    c->tls = endpoint->tls;
    c->timeout =
        endpoint->connect_timeout > 0 ? endpoint->connect_timeout : CONNECT_TIMEOUT;
    c->last_read = cel_loop_now(loop);
    c->deadline = c->last_read + c->timeout;
    cel_buf_init(&c->in, endpoint->in_max ? endpoint->in_max : BUFFER_MAX);
    cel_buf_init(&c->out, endpoint->out_max ? endpoint->out_max : BUFFER_MAX);

    celery_status status = set_name(c, endpoint, err);
    if (status == CELERY_OK) {
        status = start(c, endpoint, err);
    }
    if (status < 0) {
        cel_conn_free(c);
        return status;
    }
    *ret_conn = c;
    return CELERY_OK;
}

struct cel_conn *cel_conn_free(struct cel_conn *c)
{
    if (c) {
        release(c);
        c->freed = true;
        if (c->inside == 0) {
            destroy(c);
        }
    }
    return NULL;
}

void cel_conn_hang_up(struct cel_conn *c)
{
    char bytes[4096];

    if (c->state != OPEN || c->fd < 0) {
        return;
    }
    shutdown(c->fd, SHUT_WR);
    for (size_t n = 0; n < BUFFER_MAX; n += sizeof bytes) {
        if (recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0) {
            break;
        }
    }
}

struct cel_buf *cel_conn_out(struct cel_conn *c)
{
    return &c->out;
}

celery_status cel_conn_flush(struct cel_conn *c)
{
    if (c->state == OVER || c->broken) {
        return CELERY_ECLOSED;
    }
    if (c->state != OPEN) {
        return CELERY_OK; /* goes out when it is */
    }
    celery_status status = write_out(c, &c->why);
    if (status < 0) {
        c->broken = true;
        cel_source_schedule(c->hook);
    }
    return status;
}

void cel_conn_flush_later(struct cel_conn *c)
{
    if (c->state == OPEN) {
        cel_source_schedule(c->hook);
    }
}

void cel_conn_pause(struct cel_conn *c, bool paused)
{
    if (c->paused != paused) {
        c->paused = paused;
        if (c->state == OPEN) {
            update_wanted(c);
            read_again(c);
        }
    }
}

void cel_conn_set_user_timeout(struct cel_conn *c, double seconds)
{
#ifdef TCP_USER_TIMEOUT
    unsigned ms = seconds > 0 ? (unsigned)(seconds * 1000) : 0;

    if (c->fd >= 0 && c->host) {
        setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    }
#endif
}

struct cel_buf *cel_conn_in(struct cel_conn *c)
{
    return &c->in;
}

uint64_t cel_conn_sent(const struct cel_conn *c)
{
    return c->sent;
}

double cel_conn_last_read(const struct cel_conn *c)
{
    return c->last_read;
}

const char *cel_conn_name(const struct cel_conn *c)
{
    return c->name;
}
