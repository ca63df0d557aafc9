/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a broker says once it has let us in: frames for a connection with a channel that consumes,
 * asks and has messages on their way.  The first byte chooses what is under way; then each frame
 * is an octet of its type, one of its channel (under 4) and one of its payload's length, so that no
 * lengths need to be guessed; a type from 128 on is that many raw bytes.  Whatever comes, each
 * operation ends once, and the connection has closed or waits for more.
 */
#include "base/clock.h"
#include "transport/amqp_conn.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPERATIONS = 4, PASSES = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cel_loop *loop;
static struct sockaddr_in address;
static int listener = -1;

static struct cel_amqp_conn *conn;
static struct cel_amqp_channel *channel;
static bool opened, closed, frees;
static int ended[OPERATIONS];

static void on_opened(void *ctx)
{
    opened = true;
}

static void on_blocked(void *ctx, bool blocked, struct cel_slice reason)
{
}

static void on_closed(void *ctx, const celery_error *why)
{
    if (closed || why->status == CELERY_OK) {
        abort();
    }
    closed = true;
    channel = NULL;
}

static const struct cel_amqp_conn_events conn_events = {on_opened, on_blocked, on_closed};

static void on_delivered(void *ctx, const struct cel_amqp_method *deliver,
                         struct cel_envelope *give_envelope,
                         const celery_error *malformed)
{
    cel_envelope_free(give_envelope);
    if (frees) {
        channel = cel_amqp_channel_free(channel);
    } else {
        cel_amqp_tell(channel, &(struct cel_amqp_method){.id = CEL_AMQP_BASIC_ACK,
                                                         .tag = deliver->tag});
    }
}

static void on_cancelled(void *ctx, struct cel_slice tag)
{
}

static void on_channel_closed(void *ctx, const celery_error *why)
{
    channel = cel_amqp_channel_free(channel);
}

static const struct cel_amqp_channel_events channel_events = {on_delivered, on_cancelled,
                                                              on_channel_closed};

static void on_ended(void *ctx, const celery_error *err, int64_t answer)
{
    if (++*(int *)ctx > 1) {
        abort();
    }
}

static void on_got(void *ctx, const celery_error *err, const struct cel_amqp_method *got,
                   struct cel_envelope *give_envelope)
{
    cel_envelope_free(give_envelope);
    on_ended(ctx, err, 0);
}

static void say(struct cel_buf *out, uint16_t to, struct cel_amqp_method m)
{
    if (cel_amqp_method_put(out, to, &m, NULL) < 0) {
        abort();
    }
}

/* A server that is content, up to the open channel. */
static void let_in(struct cel_buf *out)
{
    struct cel_arena a = {0};
    struct cel_node *can = cel_node_new(&a, CELERY_KIND_OBJECT);
    struct cel_node *all = cel_node_new(&a, CELERY_KIND_OBJECT);

    cel_node_put(&a, can, CEL_SLICE("publisher_confirms"), cel_node_new_bool(&a, true));
    cel_node_put(&a, all, CEL_SLICE("capabilities"), can);
    say(out, 0,
        (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_START,
                                 .table = all,
                                 .mechanism = CEL_SLICE("PLAIN"),
                                 .text = CEL_SLICE("en_US")});
    say(out, 0,
        (struct cel_amqp_method){
            .id = CEL_AMQP_CONNECTION_TUNE, .channel_max = 2047, .frame_max = 4096});
    say(out, 0, (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_OPEN_OK});
    say(out, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_OPEN_OK});
    cel_arena_fini(&a);
}

static void put_frame(struct cel_buf *out, uint8_t type, uint8_t to,
                      struct cel_slice payload)
{
    const unsigned char head[] = {type, 0, to & 3, 0, 0, 0, (unsigned char)payload.len};

    cel_buf_add(out, head, sizeof head);
    cel_buf_add_slice(out, payload);
    cel_buf_add(out, "\xce", 1);
}

static void put_frames(struct cel_buf *out, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        const char *rest = (const char *)data + at;
        size_t left = size - at, raw = data[at] >= 128 ? data[at] - 128u : 0;

        if (data[at] >= 128) {
            raw = raw < left - 1 ? raw : left - 1;
            cel_buf_add(out, rest + 1, raw);
            at += 1 + raw;
        } else if (left < 3) {
            return;
        } else {
            size_t len = data[at + 2] < left - 3 ? data[at + 2] : left - 3;
            put_frame(out, data[at], data[at + 1], cel_slice(rest + 3, len));
            at += 3 + len;
        }
    }
}

static void prepare(void)
{
    socklen_t len = sizeof address;

    if (loop) {
        return;
    }
    address = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (cel_loop_new(&loop, NULL) < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 8) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) < 0) {
        abort();
    }
}

static int come_in(void)
{
    const struct cel_amqp_params params = {.host = "127.0.0.1",
                                           .port = ntohs(address.sin_port),
                                           .user = "u",
                                           .password = "p",
                                           .vhost = "/",
                                           .max_message = 1000,
                                           .connect_timeout = 5};
    struct cel_buf out = {0};
    int fd;

    if (cel_amqp_conn_open(loop, &params, &conn_events, NULL, &conn, NULL) < 0 ||
        cel_amqp_channel_open(conn, &channel_events, NULL, &channel, NULL) < 0) {
        abort();
    }
    cel_loop_pass(loop, 0);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    /* A reset and not TIME_WAIT: there are thousands a second. */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    let_in(&out);
    if (fd < 0 || send(fd, out.data, out.len, MSG_NOSIGNAL) != (ssize_t)out.len) {
        abort();
    }
    cel_buf_fini(&out);
    for (int i = 0; !opened && !closed && i < PASSES; i++) {
        cel_loop_pass(loop, 0.01);
    }
    if (!opened || closed) {
        abort();
    }
    return fd;
}

static void begin(unsigned what, const struct cel_envelope *env)
{
    const struct cel_amqp_method consume = {.id = CEL_AMQP_BASIC_CONSUME,
                                            .queue = CEL_SLICE("q"),
                                            .consumer_tag = CEL_SLICE("c")};
    const struct cel_amqp_method declare = {.id = CEL_AMQP_QUEUE_DECLARE,
                                            .queue = CEL_SLICE("q")};

    frees = what & 16;
    for (int i = 0; i < OPERATIONS; i++) {
        ended[i] = what >> i & 1 ? 0 : -1;
    }
    if (what & 1) {
        cel_amqp_publish(channel, "", "q", true, env,
                         (struct cel_done){on_ended, &ended[0]});
    }
    if (what & 2) {
        cel_amqp_call(channel, &consume, (struct cel_done){on_ended, &ended[1]});
    }
    if (what & 4) {
        cel_amqp_call(channel, &declare, (struct cel_done){on_ended, &ended[2]});
    }
    if (what & 8) {
        cel_amqp_get(channel, CEL_SLICE("q"), false,
                     (struct cel_amqp_got){on_got, &ended[3]});
    }
}

/* Until all of it was read, or nobody reads any more. */
static void listen_to(int fd, const struct cel_buf *out)
{
    size_t sent = 0;

    for (int i = 0; i < PASSES && !closed && sent < out->len; i++) {
        ssize_t n =
            send(fd, out->data + sent, out->len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        cel_loop_pass(loop, 0);
    }
    for (int i = 0; i < 3; i++) {
        cel_loop_pass(loop, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cel_buf out = {0};
    struct cel_envelope *env = cel_envelope_new();
    int fd;

    prepare();
    opened = closed = false;
    env->body = CEL_SLICE("[[], {}, {}]");
    fd = come_in();
    begin(size > 0 ? data[0] : 0, env);
    cel_loop_pass(loop, 0);
    if (size > 1) {
        put_frames(&out, data + 1, size - 1);
        listen_to(fd, &out);
    }
    conn = cel_amqp_conn_free(conn);
    close(fd);
    cel_loop_pass(loop, 0);
    for (int i = 0; i < OPERATIONS; i++) {
        if (ended[i] == 0) {
            abort(); /* somebody would wait for ever */
        }
    }
    cel_buf_fini(&out);
    cel_envelope_free(env);
    return 0;
}
