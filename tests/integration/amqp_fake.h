/* SPDX-License-Identifier: BSD-3-Clause */
/* A scripted AMQP server in the process of the test, and a client to look at. */
#ifndef AMQP_FAKE_H
#define AMQP_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "transport/amqp_conn.h"

extern struct cel_loop *loop;

/* Added to the clock; the loop's timers see it. */
extern double clock_skew;

struct fake {
    int listener;
    int port;
    int fd;
    bool ended; /* the client hung up */
    struct cel_buf in;
    struct cel_buf payload; /* of the last frame */
    struct cel_arena arena;
    uint8_t type; /* of the last frame */
    uint16_t channel;
    struct cel_amqp_method m;
    bool mute_close; /* authentication_failure_close is not announced */
    const char *mechanisms;
};

void fake_start(struct fake *f);
void fake_stop(struct fake *f);
/* One pass of the loop, one look at the socket. */
void fake_pass(struct fake *f);
void fake_accept(struct fake *f);
void fake_hang_up(struct fake *f);
/* The next frame, whatever it is; false: none came. */
bool fake_next(struct fake *f, double seconds);
/* The next method, which must be this one; heartbeats are passed over. */
void fake_expect(struct fake *f, uint16_t channel, uint32_t id);
void fake_nothing(struct fake *f); /* nothing comes */
void fake_raw(struct fake *f, const void *bytes, size_t len);
void fake_say(struct fake *f, uint16_t channel, struct cel_amqp_method m);
void fake_put_message(struct cel_buf *out, uint16_t channel, struct cel_amqp_method m,
                      const struct cel_envelope *env, uint32_t frame_max);
void fake_message(struct fake *f, uint16_t channel, struct cel_amqp_method m,
                  const struct cel_envelope *env);
/* start ... open-ok, of a server that is content. */
void fake_put_start(struct cel_buf *out, const struct fake *f);
void fake_greet(struct fake *f); /* accept, protocol header, start, start-ok */
void fake_tune(struct fake *f, struct cel_amqp_method tune);
void fake_let_in(struct fake *f);

/* A connection and what was heard of it. */
struct client {
    struct cel_amqp_conn *conn;
    struct cel_amqp_channel *ch;
    int opened, closed, ch_closed, delivered, cancelled, blocked, got;
    bool is_blocked;
    bool any_names; /* deliveries need not be "ctag", "ex", "rk" */
    celery_error why;
    celery_error ch_why;
    celery_error malformed;
    char text[200]; /* last body, tag or reason */
    size_t body_len;
    uint64_t tag;
    bool free_in_opened, free_in_delivered, free_in_closed_channel, free_in_done;
};

extern const struct cel_amqp_conn_events conn_events;
extern const struct cel_amqp_channel_events channel_events;

void client_open(struct client *c, const struct fake *f, const char *mechanism);
void client_params(struct cel_amqp_params *p, const struct fake *f);
/* Connected and in. */
void client_up(struct client *c, struct fake *f);
/* With a channel. */
void client_with_channel(struct client *c, struct fake *f);
void client_channel(struct client *c, struct cel_amqp_channel **ret);
void wait_closed(struct client *c, struct fake *f);
void wait_for(const int *count, int wanted, struct fake *f);

/* How one operation went. */
struct ended {
    int times;
    celery_status status;
    int code;
    int64_t answer;
    struct client *frees;
};
void on_ended(void *ctx, const celery_error *err, int64_t answer);
#define INTO(e) ((struct cel_done){on_ended, (e)})

struct cel_envelope *message(const char *body, const char *correlation_id);

#endif
