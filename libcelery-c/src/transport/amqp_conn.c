/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_conn_priv.h"
#include "transport/amqp_driver.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#define FRAME_MAX       131072u /* what RabbitMQ proposes, and py-amqp takes */
#define CHANNEL_MAX     2047
#define CONNECT_TIMEOUT 10.0
#define RPC_TIMEOUT     30.0
#define CONFIRM_TIMEOUT 30.0
#define MAX_MESSAGE     ((size_t)16 << 20)
#define HIGH_WATER      ((size_t)16 << 20)
#define EARLY_MAX       ((size_t)16 << 20)

static void destroy(struct cel_amqp_conn *c)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &c->all) {
        cel_amqp_channel_destroy(cel_container_of(it, struct cel_amqp_channel, link));
    }
    cel_buf_fini(&c->early);
    cel_arena_fini(&c->arena);
    cel_free(c->channels);
    cel_free(c->user);
    cel_free(c->password);
    cel_free(c->vhost);
    cel_free(c->mechanism);
    cel_free(c->name);
    cel_free(c->text);
    cel_free(c);
}

static void sweep(struct cel_amqp_conn *c)
{
    struct cel_list *it, *tmp;

    c->sweep = false;
    cel_list_foreach(it, tmp, &c->all) {
        struct cel_amqp_channel *ch = cel_container_of(it, struct cel_amqp_channel, link);
        if (!ch->held && !ch->numbered) {
            cel_amqp_channel_destroy(ch);
        }
    }
}

void cel_amqp_enter(struct cel_amqp_conn *c)
{
    c->inside++;
}

void cel_amqp_leave(struct cel_amqp_conn *c)
{
    c->inside--;
    if (c->inside > 0) {
        return;
    }
    if (c->freed) {
        destroy(c);
    } else if (c->sweep) {
        sweep(c);
    }
}

/* No operation outlives this; each hears of it once. */
static void end_all(struct cel_amqp_conn *c, const celery_error *why)
{
    struct cel_list *it;

    c->sent = c->conn ? cel_conn_sent(c->conn) : 0;
    c->phase = CEL_AMQP_OVER;
    c->timer = cel_source_free(c->timer);
    c->conn = cel_conn_free(c->conn);
    /* Nothing leaves the list while somebody is inside. */
    for (it = c->all.next; it != &c->all; it = it->next) {
        struct cel_amqp_channel *ch = cel_container_of(it, struct cel_amqp_channel, link);
        cel_amqp_channel_end(ch, c->sent, why, NULL);
    }
}

void cel_amqp_break(struct cel_amqp_conn *c, const celery_error *why)
{
    celery_error err = *why;

    if (c->phase == CEL_AMQP_OVER) {
        return;
    }
    cel_amqp_enter(c);
    end_all(c, &err);
    if (!c->freed) {
        c->events->closed(c->ctx, &err);
    }
    cel_amqp_leave(c);
}

void cel_amqp_fail(struct cel_amqp_conn *c, celery_status status, const char *fmt, ...)
{
    celery_error err = {0};
    va_list args;

    va_start(args, fmt);
    cel_error_vlead(&err, status, c->text, fmt, args);
    va_end(args);
    cel_amqp_break(c, &err);
}

/* ---- the outgoing side ---- */

struct cel_buf *cel_amqp_out(struct cel_amqp_conn *c)
{
    return c->phase == CEL_AMQP_UP ? cel_conn_out(c->conn) : &c->early;
}

void cel_amqp_wrote(struct cel_amqp_conn *c, const struct cel_buf *out, size_t before)
{
    if (out != &c->early) {
        c->put += out->len - before;
        cel_conn_flush_later(c->conn);
    }
}

void cel_amqp_unwrite(struct cel_buf *out, size_t before)
{
    out->len = before;
    out->failed = false; /* whole frames are in it again */
}

celery_status cel_amqp_send(struct cel_amqp_conn *c, uint16_t channel,
                            const struct cel_amqp_method *method, celery_error *err)
{
    struct cel_buf *out = cel_amqp_out(c);
    size_t before = out->len;

    if (c->phase == CEL_AMQP_OVER) {
        return cel_error_set(err, CELERY_ECLOSED, "%s: the connection is closed",
                             c->text);
    }
    celery_status status = cel_amqp_method_put(out, channel, method, err);
    if (status < 0) {
        cel_amqp_unwrite(out, before);
        return status;
    }
    cel_amqp_wrote(c, out, before);
    return CELERY_OK;
}

uint64_t cel_amqp_position(const struct cel_amqp_conn *c)
{
    return c->phase == CEL_AMQP_UP ? c->put : UINT64_MAX;
}

/* ---- the incoming side ---- */

static void take_method(struct cel_amqp_conn *c, const struct cel_amqp_frame *frame)
{
    struct cel_amqp_method method = {0};
    celery_error err = {0};
    struct cel_amqp_channel *ch = cel_amqp_channel_at(c, frame->channel);

    cel_arena_reset(&c->arena);
    celery_status status = cel_amqp_method_read(frame->payload, &c->arena, &method, &err);
    if (status < 0) {
        cel_amqp_fail(c, status, "%s", err.message);
    } else if (frame->channel == 0) {
        cel_amqp_conn_method(c, &method);
    } else if (ch) {
        cel_amqp_channel_method(ch, &method);
    } else {
        cel_amqp_fail(c, CELERY_EPROTO, "%s for channel %u, which is not open",
                      cel_amqp_method_name(method.id), frame->channel);
    }
}

static void take_content(struct cel_amqp_conn *c, const struct cel_amqp_frame *frame)
{
    struct cel_amqp_channel *ch = cel_amqp_channel_at(c, frame->channel);

    if (!ch) {
        cel_amqp_fail(c, CELERY_EPROTO, "content for channel %u, which is not open",
                      frame->channel);
    } else if (frame->type == CEL_AMQP_HEADER) {
        cel_amqp_content_header(ch, frame->payload);
    } else {
        cel_amqp_content_body(ch, frame->payload);
    }
}

static void take_frame(struct cel_amqp_conn *c, const struct cel_amqp_frame *frame)
{
    switch (frame->type) {
    case CEL_AMQP_METHOD:
        take_method(c, frame);
        break;
    case CEL_AMQP_HEADER:
    case CEL_AMQP_BODY:
        take_content(c, frame);
        break;
    case CEL_AMQP_HEARTBEAT:
        if (frame->channel != 0 || frame->payload.len != 0) {
            cel_amqp_fail(c, CELERY_EPROTO, "a heartbeat on channel %u", frame->channel);
        }
        break;
    default:
        cel_amqp_fail(c, CELERY_EPROTO, "a frame of type %u", frame->type);
    }
}

/* The first byte of a TLS alert or of another protocol's text says more than "no frame". */
static void not_amqp(struct cel_amqp_conn *c, struct cel_slice in,
                     const celery_error *err)
{
    if (c->phase != CEL_AMQP_GREETING) {
        cel_amqp_fail(c, err->status, "%s", err->message);
    } else if (in.len > 0 && in.data[0] == 0x15 && !c->tls) {
        cel_amqp_fail(c, CELERY_EPROTO,
                      "the server speaks TLS on this port: use amqps://");
    } else if (in.len > 3 && memcmp(in.data, "AMQP", 4) == 0) {
        cel_amqp_fail(c, CELERY_EPROTO, "%s", err->message);
    } else {
        cel_amqp_fail(c, CELERY_EPROTO,
                      "this is no AMQP server: is it the right port? (%s)", err->message);
    }
}

static void take_bytes(struct cel_amqp_conn *c, struct cel_buf *in)
{
    size_t done = 0;

    while (c->phase != CEL_AMQP_OVER && done < in->len) {
        struct cel_slice rest = cel_slice(in->data + done, in->len - done);
        struct cel_amqp_frame frame = {0};
        celery_error err = {0};
        ssize_t n = cel_amqp_frame_next(rest, c->frame_max, &frame, &err);
        if (n < 0) {
            not_amqp(c, rest, &err);
            return;
        }
        if (n == 0) {
            break;
        }
        take_frame(c, &frame);
        done += (size_t)n;
    }
    if (c->phase == CEL_AMQP_OVER) {
        return; /* the buffer may be gone with the connection */
    }
    if (done == in->len) {
        cel_buf_clear(in);
    } else if (done > 0) {
        cel_buf_drop(in, done);
    }
}

static void on_readable(void *ctx, struct cel_buf *in)
{
    struct cel_amqp_conn *c = ctx;

    cel_amqp_enter(c);
    take_bytes(c, in);
    cel_amqp_leave(c);
}

static void on_opened(void *ctx)
{
    struct cel_amqp_conn *c = ctx;

    cel_amqp_enter(c);
    cel_amqp_hello(c);
    cel_amqp_leave(c);
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct cel_amqp_conn *c = ctx;
    celery_error err = {0};

    cel_amqp_enter(c);
    cel_amqp_explain_lost(c, why, &err);
    cel_amqp_break(c, &err);
    cel_amqp_leave(c);
}

static void on_drained(void *ctx)
{
    struct cel_amqp_conn *c = ctx;

    cel_amqp_enter(c);
    cel_amqp_pump_all(c);
    cel_amqp_leave(c);
}

static const struct cel_conn_events conn_events = {
    .opened = on_opened,
    .readable = on_readable,
    .closed = on_closed,
    .drained = on_drained,
};

/* ---- open, free ---- */

static char *copy(const char *text, bool *failed)
{
    char *dup = text ? cel_strdup(text) : NULL;

    *failed = *failed || (text && !dup);
    return dup;
}

static char *name_of(const struct cel_amqp_params *p, bool *failed)
{
    struct cel_buf b = {0};
    bool v6 = strchr(p->host, ':') != NULL;

    cel_buf_adds(&b, p->tls ? "amqps://" : "amqp://");
    if (p->user && *p->user) {
        cel_buf_addf(&b, "%.64s@", p->user);
    }
    cel_buf_addf(&b, v6 ? "[%.80s]:%d" : "%.80s:%d", p->host, p->port);
    char *text = cel_buf_steal(&b);
    cel_buf_fini(&b);
    *failed = *failed || !text;
    return text;
}

static double or_else(double value, double otherwise)
{
    return value > 0 ? value : otherwise;
}

static celery_status take_params(struct cel_amqp_conn *c, const struct cel_amqp_params *p,
                                 celery_error *err)
{
    bool failed = false;

    c->user = copy(p->user ? p->user : "", &failed);
    c->password = copy(p->password ? p->password : "", &failed);
    c->vhost = copy(p->vhost ? p->vhost : "/", &failed);
    c->mechanism = copy(p->mechanism ? p->mechanism : "PLAIN", &failed);
    c->name = copy(p->name, &failed);
    c->text = name_of(p, &failed);
    c->tls = p->tls != NULL;
    c->asked_heartbeat = p->heartbeat;
    c->checkrate = p->checkrate > 2 ? p->checkrate : 2;
    c->connect_timeout = or_else(p->connect_timeout, CONNECT_TIMEOUT);
    c->rpc_timeout = or_else(p->rpc_timeout, RPC_TIMEOUT);
    c->confirm_timeout = or_else(p->confirm_timeout, CONFIRM_TIMEOUT);
    c->max_message = p->max_message ? p->max_message : MAX_MESSAGE;
    c->out_high_water = p->out_high_water ? p->out_high_water : HIGH_WATER;
    return failed ? cel_error_nomem(err) : CELERY_OK;
}

static celery_status connect_to(struct cel_amqp_conn *c, const struct cel_amqp_params *p,
                                celery_error *err)
{
    struct cel_endpoint endpoint = {
        .host = p->host,
        .port = p->port,
        .tls = p->tls,
        .connect_timeout = c->connect_timeout,
        .user_timeout = CEL_AMQP_USER_TIMEOUT,
        .keepalive = true,
        .out_max = 2 * c->out_high_water + CEL_AMQP_MAX_BODY + ((size_t)1 << 20),
    };

    c->deadline = cel_loop_now(c->loop) + c->connect_timeout;
    celery_status status =
        cel_conn_open(c->loop, &endpoint, &conn_events, c, &c->conn, err);
    return status < 0 ? cel_error_prefix(err, status, "%s: ", c->text) : status;
}

celery_status cel_amqp_conn_open(struct cel_loop *loop,
                                 const struct cel_amqp_params *params,
                                 const struct cel_amqp_conn_events *events, void *ctx,
                                 struct cel_amqp_conn **ret_conn, celery_error *err)
{
    const struct cel_amqp_driver *driver = cel_amqp_driver(err);
    struct cel_amqp_conn *c = driver ? cel_calloc(1, sizeof *c) : NULL;

    if (!c) {
        return driver ? cel_error_nomem(err) : CELERY_ENOTSUP;
    }
    c->loop = loop;
    c->events = events;
    c->ctx = ctx;
    c->frame_max = FRAME_MAX;
    c->channel_max = CHANNEL_MAX;
    cel_list_init(&c->all);
    cel_buf_init(&c->early, EARLY_MAX);
    cel_arena_init(&c->arena, 1u << 20);
    celery_status status = take_params(c, params, err);
    if (status == CELERY_OK) {
        status = cel_amqp_timer(c, err);
    }
    if (status == CELERY_OK) {
        status = connect_to(c, params, err);
    }
    if (status < 0) {
        cel_source_free(c->timer);
        destroy(c);
        return status;
    }
    *ret_conn = c;
    return CELERY_OK;
}

/* As far as the socket takes it. */
static void say_goodbye(struct cel_amqp_conn *c)
{
    const struct cel_amqp_method bye = {
        .id = CEL_AMQP_CONNECTION_CLOSE,
        .code = 200,
        .text = CEL_SLICE("bye"),
    };

    if (c->phase == CEL_AMQP_UP && cel_amqp_send(c, 0, &bye, NULL) == CELERY_OK) {
        cel_conn_flush(c->conn);
        cel_conn_hang_up(c->conn);
    }
}

void cel_amqp_conn_flush(struct cel_amqp_conn *c)
{
    if (c && c->phase == CEL_AMQP_UP) {
        cel_conn_flush(c->conn);
    }
}

struct cel_amqp_conn *cel_amqp_conn_free(struct cel_amqp_conn *c)
{
    celery_error err = {0};

    if (!c || c->freed) {
        return NULL;
    }
    cel_error_set(&err, CELERY_ECLOSED, "%s: connection given up", c->text);
    c->freed = true;
    cel_amqp_enter(c);
    if (c->phase != CEL_AMQP_OVER) {
        say_goodbye(c);
        end_all(c, &err);
    }
    cel_amqp_leave(c);
    return NULL;
}

const struct cel_amqp_server *cel_amqp_conn_server(const struct cel_amqp_conn *c)
{
    return &c->server;
}

bool cel_amqp_conn_is_blocked(const struct cel_amqp_conn *c)
{
    return c->blocked;
}

double cel_amqp_conn_silence(const struct cel_amqp_conn *c)
{
    /* Without heartbeats an idle broker says nothing, and that means nothing. */
    return c->conn && c->heartbeat > 0
               ? cel_loop_now(c->loop) - cel_conn_last_read(c->conn)
               : 0;
}

uint32_t cel_amqp_conn_frame_max(const struct cel_amqp_conn *c)
{
    return c->frame_max;
}
