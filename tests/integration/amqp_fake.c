/* SPDX-License-Identifier: BSD-3-Clause */
#include "amqp_fake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 10.0

struct cel_loop *loop;
double clock_skew;

/* ---- the server ---- */

void fake_start(struct fake *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;

    *f = (struct fake){.fd = -1, .mechanisms = "AMQPLAIN PLAIN"};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(f->listener >= 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(f->listener, 8), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&at, &size), 0);
    f->port = ntohs(at.sin_port);
}

void fake_hang_up(struct fake *f)
{
    if (f->fd >= 0) {
        close(f->fd);
        f->fd = -1;
    }
}

void fake_stop(struct fake *f)
{
    fake_hang_up(f);
    close(f->listener);
    cel_buf_fini(&f->in);
    cel_buf_fini(&f->payload);
    cel_arena_fini(&f->arena);
}

static void take_in(struct fake *f)
{
    char bytes[65536];
    ssize_t n = f->fd < 0 ? -1 : recv(f->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n > 0) {
        cel_buf_add(&f->in, bytes, (size_t)n);
    } else if (n == 0 || (f->fd >= 0 && errno != EAGAIN)) {
        f->ended = true;
    }
}

void fake_pass(struct fake *f)
{
    cel_loop_pass(loop, 0.001);
    take_in(f);
}

void fake_accept(struct fake *f)
{
    double end = cel_clock_mono() + PATIENCE;

    cel_buf_clear(&f->in);
    f->ended = false;
    while (f->fd < 0 && cel_clock_mono() < end) {
        cel_loop_pass(loop, 0.001);
        f->fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
    }
    assert_true(f->fd >= 0);
    setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static bool cut_frame(struct fake *f)
{
    struct cel_amqp_frame frame = {0};
    celery_error err = {0};
    ssize_t n = cel_amqp_frame_next(cel_buf_slice(&f->in), 0, &frame, &err);

    assert_true(n >= 0);
    if (n == 0) {
        return false;
    }
    f->type = frame.type;
    f->channel = frame.channel;
    cel_buf_clear(&f->payload);
    cel_buf_add_slice(&f->payload, frame.payload);
    cel_buf_drop(&f->in, (size_t)n);
    f->m = (struct cel_amqp_method){0};
    if (f->type == CEL_AMQP_METHOD) {
        cel_arena_reset(&f->arena);
        assert_int_equal(
            cel_amqp_method_read(cel_buf_slice(&f->payload), &f->arena, &f->m, &err), 0);
    }
    return true;
}

bool fake_next(struct fake *f, double seconds)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    do {
        if (cut_frame(f)) {
            return true;
        }
        fake_pass(f);
        clock_gettime(CLOCK_MONOTONIC, &b);
    } while ((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec) <
             seconds);
    return cut_frame(f);
}

void fake_expect(struct fake *f, uint16_t channel, uint32_t id)
{
    do {
        assert_true(fake_next(f, PATIENCE));
    } while (f->type == CEL_AMQP_HEARTBEAT);
    assert_int_equal(f->type, CEL_AMQP_METHOD);
    assert_string_equal(cel_amqp_method_name(f->m.id), cel_amqp_method_name(id));
    assert_int_equal(f->channel, channel);
}

void fake_nothing(struct fake *f)
{
    assert_false(fake_next(f, 0.02));
}

void fake_raw(struct fake *f, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(f->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN) {
            return; /* it hung up: the test looks at that */
        } else {
            fake_pass(f);
        }
    }
}

static void send_buf(struct fake *f, struct cel_buf *b)
{
    assert_true(cel_buf_ok(b));
    fake_raw(f, b->data, b->len);
    cel_buf_fini(b);
}

void fake_say(struct fake *f, uint16_t channel, struct cel_amqp_method m)
{
    struct cel_buf out = {0};
    celery_error err = {0};

    assert_int_equal(cel_amqp_method_put(&out, channel, &m, &err), CELERY_OK);
    send_buf(f, &out);
}

void fake_put_message(struct cel_buf *out, uint16_t channel, struct cel_amqp_method m,
                      const struct cel_envelope *env, uint32_t frame_max)
{
    celery_error err = {0};

    assert_int_equal(cel_amqp_method_put(out, channel, &m, &err), CELERY_OK);
    assert_int_equal(
        cel_amqp_header_put(out, channel, env, env->body.len, frame_max, &err), 0);
    assert_int_equal(cel_amqp_put_body(out, channel, env->body, frame_max), CELERY_OK);
}

void fake_message(struct fake *f, uint16_t channel, struct cel_amqp_method m,
                  const struct cel_envelope *env)
{
    struct cel_buf out = {0};

    fake_put_message(&out, channel, m, env, 4096);
    send_buf(f, &out);
}

void fake_put_start(struct cel_buf *out, const struct fake *f)
{
    struct cel_arena a = {0};
    celery_error err = {0};
    struct cel_node *can = cel_node_new(&a, CELERY_KIND_OBJECT);
    struct cel_node *all = cel_node_new(&a, CELERY_KIND_OBJECT);

    cel_node_put(&a, can, CEL_SLICE("publisher_confirms"), cel_node_new_bool(&a, true));
    cel_node_put(&a, can, CEL_SLICE("basic.nack"), cel_node_new_bool(&a, true));
    cel_node_put(&a, can, CEL_SLICE("authentication_failure_close"),
                 cel_node_new_bool(&a, !f->mute_close));
    cel_node_put(&a, all, CEL_SLICE("capabilities"), can);
    cel_node_put(&a, all, CEL_SLICE("product"),
                 cel_node_new_string(&a, CEL_SLICE("RabbitMQ\n\033[31m")));
    cel_node_put(&a, all, CEL_SLICE("version"),
                 cel_node_new_string(&a, CEL_SLICE("3.10.8")));
    const struct cel_amqp_method start = {
        .id = CEL_AMQP_CONNECTION_START,
        .table = all,
        .mechanism = cel_slice_of(f->mechanisms),
        .text = CEL_SLICE("en_US"),
    };
    assert_int_equal(cel_amqp_method_put(out, 0, &start, &err), CELERY_OK);
    cel_arena_fini(&a);
}

void fake_greet(struct fake *f)
{
    struct cel_buf out = {0};

    fake_accept(f);
    while (f->in.len < 8 && !f->ended) {
        fake_pass(f);
    }
    assert_memory_equal(f->in.data, "AMQP\0\0\x09\x01", 8);
    cel_buf_drop(&f->in, 8);
    fake_put_start(&out, f);
    send_buf(f, &out);
}

void fake_tune(struct fake *f, struct cel_amqp_method tune)
{
    tune.id = CEL_AMQP_CONNECTION_TUNE;
    fake_expect(f, 0, CEL_AMQP_CONNECTION_START_OK);
    fake_say(f, 0, tune);
}

void fake_let_in(struct fake *f)
{
    fake_greet(f);
    fake_tune(f, (struct cel_amqp_method){
                     .channel_max = 2047, .frame_max = 131072, .heartbeat = 60});
    fake_expect(f, 0, CEL_AMQP_CONNECTION_TUNE_OK);
    fake_expect(f, 0, CEL_AMQP_CONNECTION_OPEN);
    fake_say(f, 0, (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_OPEN_OK});
}

/* ---- the client ---- */

static void copy_text(struct client *c, struct cel_slice text)
{
    size_t n = text.len < sizeof c->text - 1 ? text.len : sizeof c->text - 1;

    if (n > 0) {
        memcpy(c->text, text.data, n);
    }
    c->text[n] = '\0';
}

static void on_opened(void *ctx)
{
    struct client *c = ctx;

    c->opened++;
    if (c->free_in_opened) {
        c->conn = cel_amqp_conn_free(c->conn);
    }
}

static void on_blocked(void *ctx, bool blocked, struct cel_slice reason)
{
    struct client *c = ctx;

    c->blocked++;
    c->is_blocked = blocked;
    copy_text(c, reason);
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct client *c = ctx;

    c->closed++;
    c->why = *why;
    c->ch = cel_amqp_channel_free(c->ch);
    c->conn = cel_amqp_conn_free(c->conn);
}

const struct cel_amqp_conn_events conn_events = {on_opened, on_blocked, on_closed};

static void on_delivered(void *ctx, const struct cel_amqp_method *deliver,
                         struct cel_envelope *env, const celery_error *malformed)
{
    struct client *c = ctx;

    c->delivered++;
    c->tag = deliver->tag;
    c->body_len = env->body.len;
    c->malformed = malformed ? *malformed : (celery_error){0};
    copy_text(c, env->body);
    if (!c->any_names) {
        assert_true(cel_slice_is(deliver->consumer_tag, "ctag"));
        assert_true(cel_slice_is(env->exchange, "ex"));
        assert_true(cel_slice_is(env->routing_key, "rk"));
    }
    cel_envelope_free(env);
    if (c->free_in_delivered) {
        c->conn = cel_amqp_conn_free(c->conn);
    }
}

static void on_cancelled(void *ctx, struct cel_slice tag)
{
    struct client *c = ctx;

    c->cancelled++;
    copy_text(c, tag);
}

static void on_channel_closed(void *ctx, const celery_error *why)
{
    struct client *c = ctx;

    c->ch_closed++;
    c->ch_why = *why;
    if (c->free_in_closed_channel) {
        c->conn = cel_amqp_conn_free(c->conn);
    } else {
        c->ch = cel_amqp_channel_free(c->ch);
    }
}

const struct cel_amqp_channel_events channel_events = {on_delivered, on_cancelled,
                                                       on_channel_closed};

void client_params(struct cel_amqp_params *p, const struct fake *f)
{
    *p = (struct cel_amqp_params){
        .host = "127.0.0.1",
        .port = f->port,
        .user = "me",
        .password = "s3cret",
        .vhost = "/v",
        .name = "test@here",
        .heartbeat = 10,
        .max_message = 100000,
        .connect_timeout = 4,
    };
}

void client_open(struct client *c, const struct fake *f, const char *mechanism)
{
    struct cel_amqp_params p;
    celery_error err = {0};

    client_params(&p, f);
    p.mechanism = mechanism;
    *c = (struct client){0};
    assert_int_equal(cel_amqp_conn_open(loop, &p, &conn_events, c, &c->conn, &err),
                     CELERY_OK);
}

void wait_for(const int *count, int wanted, struct fake *f)
{
    time_t end = time(NULL) + (time_t)PATIENCE;

    while (*count < wanted && time(NULL) < end) {
        fake_pass(f);
    }
    assert_int_equal(*count, wanted);
}

void wait_closed(struct client *c, struct fake *f)
{
    wait_for(&c->closed, 1, f);
    assert_null(c->conn);
}

void client_up(struct client *c, struct fake *f)
{
    client_open(c, f, NULL);
    fake_let_in(f);
    wait_for(&c->opened, 1, f);
}

void client_channel(struct client *c, struct cel_amqp_channel **ret)
{
    celery_error err = {0};

    assert_int_equal(cel_amqp_channel_open(c->conn, &channel_events, c, ret, &err), 0);
}

void client_with_channel(struct client *c, struct fake *f)
{
    client_up(c, f);
    client_channel(c, &c->ch);
    fake_expect(f, 1, CEL_AMQP_CHANNEL_OPEN);
    fake_say(f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_OPEN_OK});
    fake_pass(f);
}

void on_ended(void *ctx, const celery_error *err, int64_t answer)
{
    struct ended *e = ctx;

    e->times++;
    e->status = err ? err->status : CELERY_OK;
    e->code = err ? err->code : 0;
    e->answer = answer;
    if (e->frees) {
        e->frees->conn = cel_amqp_conn_free(e->frees->conn);
    }
}

struct cel_envelope *message(const char *body, const char *correlation_id)
{
    struct cel_envelope *env = cel_envelope_new();

    assert_non_null(env);
    env->body = cel_slice_of(body);
    env->correlation_id = cel_slice_of(correlation_id);
    env->content_type = CEL_SLICE("application/json");
    return env;
}
