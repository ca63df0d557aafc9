/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages both ways over an AMQP connection, against a scripted server. */
#include "amqp_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct fake f;
static struct client c;
static struct cel_envelope *env;

static double skewed(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec + clock_skew;
}

static const struct cel_clock_ops skewed_clock = {.mono = skewed};

static int begin(void **state)
{
    cel_clock_set(&skewed_clock);
    clock_skew = 0;
    fake_start(&f);
    env = message("{\"a\": 1}", "id-1");
    return cel_loop_new(&loop, NULL) == CELERY_OK ? 0 : -1;
}

static int end(void **state)
{
    c.conn = cel_amqp_conn_free(c.conn);
    env = cel_envelope_free(env);
    fake_stop(&f);
    loop = cel_loop_free(loop);
    cel_clock_set(NULL);
    return 0;
}

static void settle(uint32_t id, uint64_t tag, bool multiple)
{
    fake_say(&f, 1,
             (struct cel_amqp_method){
                 .id = id, .tag = tag, .bits = multiple ? CEL_AMQP_MULTIPLE : 0});
}

static void publish(struct ended *e, const char *key)
{
    cel_amqp_publish(c.ch, "", key, true, env, INTO(e));
}

/* A channel that has selected confirms with n messages on their way. */
static void publish_many(struct ended *e, size_t n)
{
    client_with_channel(&c, &f);
    memset(e, 0, n * sizeof *e);
    for (size_t i = 0; i < n; i++) {
        publish(&e[i], "q");
    }
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CONFIRM_SELECT_OK});
    for (size_t i = 0; i < n; i++) {
        fake_expect(&f, 1, CEL_AMQP_BASIC_PUBLISH);
        assert_true(fake_next(&f, 5) && f.type == CEL_AMQP_HEADER);
        assert_true(fake_next(&f, 5) && f.type == CEL_AMQP_BODY);
    }
}

static int told(const struct ended *e, size_t n)
{
    int sum = 0;

    for (size_t i = 0; i < n; i++) {
        assert_in_range(e[i].times, 0, 1);
        sum += e[i].times;
    }
    return sum;
}

/* ---- out ---- */

static void test_confirms_one_by_one_several_and_nacked(void **state)
{
    struct ended e[200];

    publish_many(e, 200);
    assert_int_equal(cel_amqp_unconfirmed(c.ch), 200);
    settle(CEL_AMQP_BASIC_ACK, 3, false); /* not the oldest */
    wait_for(&e[2].times, 1, &f);
    assert_int_equal(told(e, 200), 1);
    settle(CEL_AMQP_BASIC_ACK, 5, true);
    wait_for(&e[4].times, 1, &f);
    assert_int_equal(told(e, 200), 5);
    settle(CEL_AMQP_BASIC_NACK, 7, true);
    wait_for(&e[6].times, 1, &f);
    assert_int_equal(e[5].status, CELERY_ELIMIT);
    assert_int_equal(e[6].status, CELERY_ELIMIT);
    assert_int_equal(e[6].code, 0);
    assert_int_equal(cel_amqp_unconfirmed(c.ch), 193);
    settle(CEL_AMQP_BASIC_ACK, 0, true); /* all */
    wait_for(&e[199].times, 1, &f);
    assert_int_equal(told(e, 200), 200);
    assert_int_equal(e[199].status, CELERY_OK);
    assert_int_equal(cel_amqp_unconfirmed(c.ch), 0);
    publish(&e[0], "q"); /* the numbers go on */
    settle(CEL_AMQP_BASIC_ACK, 201, false);
    wait_for(&e[0].times, 2, &f);
}

static void test_confirms_of_what_was_not_sent(void **state)
{
    static const struct {
        uint64_t tag;
        bool multiple;
    } wrong[] = {{3, false}, {3, true}, {0, false}, {1, false}, {UINT64_MAX, true}};
    struct ended e[2];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        publish_many(e, 2);
        settle(CEL_AMQP_BASIC_ACK, 1, false);
        settle(CEL_AMQP_BASIC_ACK, wrong[i].tag, wrong[i].multiple);
        wait_closed(&c, &f);
        assert_int_equal(c.why.status, CELERY_EPROTO);
        assert_int_equal(e[0].status, CELERY_OK);
        assert_int_equal(e[1].status, CELERY_EUNCERTAIN);
        assert_int_equal(told(e, 2), 2);
        fake_hang_up(&f);
    }
}

static void give_back(const char *key, const struct cel_envelope *what)
{
    fake_message(&f, 1,
                 (struct cel_amqp_method){.id = CEL_AMQP_BASIC_RETURN,
                                          .code = 312,
                                          .text = CEL_SLICE("NO_ROUTE"),
                                          .routing_key = cel_slice_of(key)},
                 what);
}

static void test_a_returned_message_is_an_error_before_its_ack(void **state)
{
    struct ended routed = {0}, lost = {0}, other = {0}, same = {0};
    struct cel_envelope *second = message("{\"a\": 1}", "id-2");

    client_with_channel(&c, &f);
    publish(&routed, "q");
    publish(&lost, "nowhere");
    cel_amqp_publish(c.ch, "", "nowhere", true, second, INTO(&other));
    publish(&same, "nowhere"); /* the same message: the second return is this one's */
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CONFIRM_SELECT_OK});
    give_back("nowhere", env);
    give_back("nowhere", env);
    wait_for(&same.times, 1, &f);
    assert_int_equal(lost.status, CELERY_ENOTSUP);
    assert_int_equal(lost.code, 312);
    assert_int_equal(same.status, CELERY_ENOTSUP);
    assert_int_equal(other.times + routed.times, 0);
    settle(CEL_AMQP_BASIC_ACK, 4, true);
    wait_for(&other.times, 1, &f);
    assert_int_equal(lost.times, 1);
    assert_int_equal(same.times, 1);
    assert_int_equal(other.status, CELERY_OK);
    assert_int_equal(routed.status, CELERY_OK);
    give_back("nowhere", env); /* nobody's */
    wait_closed(&c, &f);
    assert_int_equal(c.why.status, CELERY_EPROTO);
    cel_envelope_free(second);
}

static void test_a_blocked_broker_gets_nothing_until_it_is_not(void **state)
{
    struct ended first = {0}, second = {0}, declared = {0};

    client_with_channel(&c, &f);
    fake_say(&f, 0,
             (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_BLOCKED,
                                      .text = CEL_SLICE("low on memory")});
    wait_for(&c.blocked, 1, &f);
    assert_true(c.is_blocked && cel_amqp_conn_is_blocked(c.conn));
    assert_string_equal(c.text, "low on memory");
    publish(&first, "one");
    publish(&second, "two");
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE},
                  INTO(&declared));
    fake_expect(&f, 1, CEL_AMQP_QUEUE_DECLARE); /* this is still possible */
    for (int i = 0; i < 30; i++) {
        clock_skew += 9; /* no deadline runs */
        fake_raw(&f, "\x08\0\0\0\0\0\0\xce", 8);
        fake_pass(&f);
    }
    assert_int_equal(first.times + second.times + declared.times + c.closed, 0);
    assert_int_equal(cel_amqp_unconfirmed(c.ch), 2);
    fake_say(&f, 0, (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_UNBLOCKED});
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_expect(&f, 1, CEL_AMQP_BASIC_PUBLISH);
    assert_true(cel_slice_is(f.m.routing_key, "one"));
    fake_next(&f, 5);
    fake_next(&f, 5);
    fake_expect(&f, 1, CEL_AMQP_BASIC_PUBLISH);
    assert_true(cel_slice_is(f.m.routing_key, "two"));
    assert_false(c.is_blocked);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE_OK});
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CONFIRM_SELECT_OK});
    settle(CEL_AMQP_BASIC_ACK, 2, true);
    wait_for(&second.times, 1, &f);
    assert_int_equal(first.status + second.status + declared.status, CELERY_OK);
}

static void test_flow_stops_one_channel(void **state)
{
    struct ended e = {0};

    client_with_channel(&c, &f);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_FLOW});
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_FLOW_OK);
    publish(&e, "q");
    fake_nothing(&f);
    fake_say(&f, 1,
             (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_FLOW,
                                      .bits = CEL_AMQP_CANCEL_OK});
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_FLOW_OK);
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_expect(&f, 1, CEL_AMQP_BASIC_PUBLISH);
    c.conn = cel_amqp_conn_free(c.conn);
}

/* Everything that does not fit under high water waits, and goes out in order. */
static void test_a_broker_that_does_not_read(void **state)
{
    enum { SIZE = 100000, COUNT = 400 };
    static struct ended e[COUNT];
    struct cel_amqp_params p;
    char *body = malloc(SIZE);
    char key[16];
    int sent = 0;

    client_params(&p, &f);
    p.out_high_water = 1000000;
    c = (struct client){0};
    assert_int_equal(cel_amqp_conn_open(loop, &p, &conn_events, &c, &c.conn, NULL), 0);
    fake_let_in(&f);
    wait_for(&c.opened, 1, &f);
    client_channel(&c, &c.ch);
    memset(body, 'x', SIZE);
    env->body = cel_slice(body, SIZE);
    memset(e, 0, sizeof e);
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "%d", i);
        publish(&e[i], key);
    }
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_OPEN);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_OPEN_OK});
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CONFIRM_SELECT_OK});
    for (; sent < COUNT; sent++) {
        fake_expect(&f, 1, CEL_AMQP_BASIC_PUBLISH);
        snprintf(key, sizeof key, "%d", sent);
        assert_true(cel_slice_is(f.m.routing_key, key));
        assert_true(fake_next(&f, 5) && f.type == CEL_AMQP_HEADER);
        assert_true(fake_next(&f, 5) && f.type == CEL_AMQP_BODY);
        assert_int_equal(f.payload.len, SIZE);
    }
    settle(CEL_AMQP_BASIC_ACK, COUNT, true);
    wait_for(&e[COUNT - 1].times, 1, &f);
    assert_int_equal(told(e, COUNT), COUNT);
    free(body);
}

static void test_a_body_goes_out_in_frames_of_the_agreed_size(void **state)
{
    enum { SIZE = 10000 };
    struct ended e = {0};
    size_t got = 0;
    char *body = malloc(SIZE);

    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_tune(&f, (struct cel_amqp_method){.frame_max = 4096});
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_TUNE_OK);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_OPEN);
    fake_say(&f, 0, (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_OPEN_OK});
    client_channel(&c, &c.ch);
    memset(body, 'x', SIZE);
    env->body = cel_slice(body, SIZE);
    publish(&e, "q");
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_OPEN);
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_expect(&f, 1, CEL_AMQP_BASIC_PUBLISH);
    assert_true(fake_next(&f, 5) && f.type == CEL_AMQP_HEADER);
    while (got < SIZE) {
        assert_true(fake_next(&f, 5) && f.type == CEL_AMQP_BODY);
        assert_in_range(f.payload.len, 1, 4096 - 8);
        got += f.payload.len;
    }
    assert_int_equal(got, SIZE);
    free(body);
    c.conn = cel_amqp_conn_free(c.conn);
}

static void test_headers_too_large_for_a_frame_fail_alone(void **state)
{
    struct ended e[2] = {0};
    size_t size = 200000;
    char *text = malloc(size);

    memset(text, 'h', size);
    client_with_channel(&c, &f);
    struct cel_node *headers = cel_node_new(&env->arena, CELERY_KIND_OBJECT);
    cel_node_put(&env->arena, headers, CEL_SLICE("h"),
                 cel_node_new_string(&env->arena, cel_slice(text, size)));
    env->headers = headers;
    publish(&e[0], "q");
    assert_int_equal(e[0].times, 1);
    assert_int_equal(e[0].status, CELERY_ELIMIT);
    env->headers = NULL;
    publish(&e[1], "q");
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CONFIRM_SELECT_OK});
    fake_expect(&f, 1, CEL_AMQP_BASIC_PUBLISH);
    settle(CEL_AMQP_BASIC_ACK, 1, false);
    wait_for(&e[1].times, 1, &f);
    assert_int_equal(e[1].status, CELERY_OK);
    free(text);
}

static void pass_time(double seconds, bool alive)
{
    for (int i = 0; i < 4; i++) {
        clock_skew += seconds / 4;
        if (alive) {
            fake_raw(&f, "\x08\0\0\0\0\0\0\xce", 8);
        }
        fake_pass(&f);
        fake_pass(&f);
    }
}

static void test_a_confirm_that_does_not_come_costs_one_message(void **state)
{
    struct ended e[3] = {{0}};

    publish_many(e, 2);
    pass_time(20, true);
    publish(&e[2], "q");
    pass_time(12, true);
    pass_time(1, true);
    assert_int_equal(told(e, 2), 2);
    assert_int_equal(e[0].status, CELERY_EUNCERTAIN);
    assert_int_equal(e[2].times, 0);
    assert_int_equal(c.closed, 0);
    settle(CEL_AMQP_BASIC_ACK, 3, true); /* late, for two of them */
    wait_for(&e[2].times, 1, &f);
    assert_int_equal(e[2].status, CELERY_OK);
    assert_int_equal(told(e, 3), 3);
}

static void test_no_confirm_and_silence_is_a_dead_connection(void **state)
{
    struct ended e = {0};
    struct cel_amqp_params p;

    client_params(&p, &f);
    p.heartbeat = 0;
    c = (struct client){0};
    assert_int_equal(cel_amqp_conn_open(loop, &p, &conn_events, &c, &c.conn, NULL), 0);
    fake_let_in(&f);
    client_channel(&c, &c.ch);
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_OPEN);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_OPEN_OK});
    pass_time(1, false);
    publish(&e, "q");
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    pass_time(29, false);
    assert_int_equal(c.closed, 0);
    pass_time(3, false);
    wait_closed(&c, &f);
    assert_int_equal(c.why.status, CELERY_ETIMEOUT);
    assert_int_equal(e.times, 1);
    assert_int_equal(e.status, CELERY_EUNCERTAIN);
}

static void test_a_publish_that_costs_the_channel(void **state)
{
    struct ended sent = {0}, unsent = {0};

    client_with_channel(&c, &f);
    publish(&sent, "q");
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_say(&f, 0, (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_BLOCKED});
    wait_for(&c.blocked, 1, &f);
    publish(&unsent, "q");
    fake_say(
        &f, 1,
        (struct cel_amqp_method){
            .id = CEL_AMQP_CHANNEL_CLOSE, .code = 404, .class_id = 60, .method_id = 40});
    wait_for(&c.ch_closed, 1, &f);
    assert_int_equal(sent.status, CELERY_EUNCERTAIN);
    assert_int_equal(sent.code, 404);
    assert_int_equal(unsent.status, CELERY_ECLOSED);
    assert_int_equal(c.closed, 0);
}

static void test_the_connection_may_go_in_a_confirm(void **state)
{
    struct ended e[3];

    publish_many(e, 3);
    e[1].frees = &c;
    settle(CEL_AMQP_BASIC_ACK, 3, true);
    wait_for(&e[2].times, 1, &f);
    assert_null(c.conn);
    assert_int_equal(e[1].status, CELERY_OK);
    assert_int_equal(e[2].status, CELERY_EUNCERTAIN);
    assert_int_equal(c.closed, 0);
}

/* Deliveries that nobody read must not cost what was said last. */
static void test_what_was_flushed_arrives_though_input_is_unread(void **state)
{
    enum { SIZE = 60000, COUNT = 10 };
    static struct ended e[COUNT];
    char *body = calloc(1, SIZE);
    int bodies = 0;

    memset(e, 0, sizeof e);
    env->body = cel_slice(body, SIZE);
    client_with_channel(&c, &f);
    for (int i = 0; i < 100; i++) {
        fake_raw(&f, "\x08\0\0\0\0\0\0\xce", 8);
    }
    for (int i = 0; i < COUNT; i++) {
        publish(&e[i], "q");
    }
    c.conn = cel_amqp_conn_free(c.conn);
    assert_int_equal(told(e, COUNT), COUNT);
    do {
        assert_true(fake_next(&f, 5));
        bodies += f.type == CEL_AMQP_BODY;
    } while (f.m.id != CEL_AMQP_CONNECTION_CLOSE);
    assert_int_equal(bodies, COUNT);
    free(body);
}

/* ---- in ---- */

static struct cel_amqp_method deliver(uint64_t tag)
{
    return (struct cel_amqp_method){
        .id = CEL_AMQP_BASIC_DELIVER,
        .tag = tag,
        .consumer_tag = CEL_SLICE("ctag"),
        .exchange = CEL_SLICE("ex"),
        .routing_key = CEL_SLICE("rk"),
    };
}

static void test_deliveries(void **state)
{
    client_with_channel(&c, &f);
    fake_message(&f, 1, deliver(1), env);
    wait_for(&c.delivered, 1, &f);
    assert_string_equal(c.text, "{\"a\": 1}");
    assert_int_equal(c.tag, 1);
    env->body = CEL_SLICE(""); /* no body frame at all */
    fake_message(&f, 1, deliver(2), env);
    wait_for(&c.delivered, 2, &f);
    assert_int_equal(c.body_len, 0);
    char *body = calloc(1, 50000); /* 13 frames */
    env->body = cel_slice(body, 50000);
    body[0] = 'b';
    fake_message(&f, 1, deliver(3), env);
    wait_for(&c.delivered, 3, &f);
    assert_int_equal(c.body_len, 50000);
    assert_string_equal(c.text, "b");
    assert_int_equal(c.malformed.status, CELERY_OK);
    free(body);
}

static void test_messages_of_channels_are_interleaved(void **state)
{
    struct cel_amqp_channel *other = NULL;
    struct cel_buf one = {0}, two = {0};
    char *body = calloc(1, 20000);

    env->body = cel_slice(body, 20000);
    client_with_channel(&c, &f);
    client_channel(&c, &other);
    fake_put_message(&one, 1, deliver(1), env, 4096);
    fake_put_message(&two, 2, deliver(2), env, 4096);
    /* frame by frame in turn */
    while (one.len + two.len > 0) {
        struct cel_buf *turn = one.len >= two.len ? &one : &two;
        struct cel_amqp_frame frame;
        ssize_t n = cel_amqp_frame_next(cel_buf_slice(turn), 0, &frame, NULL);
        fake_raw(&f, turn->data, (size_t)n);
        cel_buf_drop(turn, (size_t)n);
    }
    wait_for(&c.delivered, 2, &f);
    assert_int_equal(c.body_len, 20000);
    cel_buf_fini(&one);
    cel_buf_fini(&two);
    free(body);
}

static void test_a_message_over_the_limit_is_skipped(void **state)
{
    char *body = calloc(1, 100001);

    client_with_channel(&c, &f);
    env->body = cel_slice(body, 100001);
    fake_message(&f, 1, deliver(1), env);
    wait_for(&c.delivered, 1, &f);
    assert_int_equal(c.malformed.status, CELERY_ELIMIT);
    assert_int_equal(c.body_len, 0);
    env->body = cel_slice(body, 100000);
    fake_message(&f, 1, deliver(2), env);
    wait_for(&c.delivered, 2, &f);
    assert_int_equal(c.malformed.status, CELERY_OK);
    assert_int_equal(c.body_len, 100000);
    free(body);
}

/* A header table whose length lies; the body size in front of it is right. */
static void test_a_malformed_header_costs_one_message(void **state)
{
    const char header[] = "\x02\0\x01\0\0\0\x16"
                          "\0\x3c\0\0\0\0\0\0\0\0\0\x02\x20\0"
                          "\0\0\0\x7f"
                          "ab\0\0"
                          "\xce";
    struct cel_buf out = {0};
    struct cel_amqp_method m = deliver(1);

    client_with_channel(&c, &f);
    cel_amqp_method_put(&out, 1, &m, NULL);
    cel_buf_add(&out, header, sizeof header - 1);
    cel_amqp_put_body(&out, 1, CEL_SLICE("hi"), 4096);
    fake_raw(&f, out.data, out.len);
    wait_for(&c.delivered, 1, &f);
    assert_int_equal(c.malformed.status, CELERY_EMESSAGE);
    assert_string_equal(c.text, "hi");
    fake_message(&f, 1, deliver(2), env);
    wait_for(&c.delivered, 2, &f);
    assert_int_equal(c.malformed.status, CELERY_OK);
    cel_buf_fini(&out);
}

static void test_content_that_breaks_the_protocol(void **state)
{
    const char short_header[] = "\x02\0\x01\0\0\0\x04\0\x3c\0\0\xce";
    struct cel_buf whole = {0}, body = {0};
    struct cel_amqp_method m = deliver(1);

    fake_put_message(&whole, 1, m, env, 4096);
    cel_amqp_put_body(&body, 1, CEL_SLICE("ninebytes"), 4096); /* 8 were said */
    for (int i = 0; i < 5; i++) {
        client_with_channel(&c, &f);
        if (i == 4) {
            fake_say(&f, 1, m); /* a header of 4 bytes */
            fake_raw(&f, short_header, sizeof short_header - 1);
        } else if (i == 0) {
            fake_say(&f, 1, m);
            fake_say(&f, 1, m); /* again before its content */
        } else {
            fake_raw(&f, whole.data, whole.len - 16); /* all but the body */
            if (i == 1) {
                fake_raw(&f, body.data, body.len);
            } else if (i == 2) {
                fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_OPEN_OK});
            } else {
                fake_raw(&f, "\x02\0\x01\0\0\0\x01x\xce", 9); /* a second header */
            }
        }
        wait_closed(&c, &f);
        assert_int_equal(c.why.status, CELERY_EPROTO);
        assert_int_equal(c.delivered, 0);
        fake_hang_up(&f);
    }
    cel_buf_fini(&whole);
    cel_buf_fini(&body);
}

static void test_the_connection_may_go_in_a_delivery(void **state)
{
    struct cel_buf out = {0};

    client_with_channel(&c, &f);
    c.free_in_delivered = true;
    fake_put_message(&out, 1, deliver(1), env, 4096);
    fake_put_message(&out, 1, deliver(2), env, 4096);
    fake_raw(&f, out.data, out.len);
    wait_for(&c.delivered, 1, &f);
    fake_pass(&f);
    assert_int_equal(c.delivered, 1);
    assert_null(c.conn);
    cel_buf_fini(&out);
}

static void on_got(void *ctx, const celery_error *err, const struct cel_amqp_method *got,
                   struct cel_envelope *give_envelope)
{
    struct ended *e = ctx;

    on_ended(e, err, give_envelope ? (int64_t)got->tag : 0);
    cel_envelope_free(give_envelope);
}

static void test_get(void **state)
{
    struct ended got = {0}, empty = {0}, lost = {0};
    struct cel_amqp_method m = deliver(9);

    client_with_channel(&c, &f);
    cel_amqp_get(c.ch, CEL_SLICE("q"), false, (struct cel_amqp_got){on_got, &got});
    cel_amqp_get(c.ch, CEL_SLICE("q"), true, (struct cel_amqp_got){on_got, &empty});
    cel_amqp_get(c.ch, CEL_SLICE("q"), true, (struct cel_amqp_got){on_got, &lost});
    fake_expect(&f, 1, CEL_AMQP_BASIC_GET);
    fake_expect(&f, 1, CEL_AMQP_BASIC_GET);
    assert_true(f.m.bits & CEL_AMQP_NO_ACK);
    m.id = CEL_AMQP_BASIC_GET_OK;
    fake_message(&f, 1, m, env);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_BASIC_GET_EMPTY});
    wait_for(&empty.times, 1, &f);
    assert_int_equal(got.times, 1);
    assert_int_equal(got.answer, 9);
    assert_int_equal(empty.answer, 0);
    assert_int_equal(empty.status, CELERY_OK);
    fake_say(&f, 1, m); /* the method only */
    fake_pass(&f);
    fake_hang_up(&f);
    wait_for(&lost.times, 1, &f);
    assert_int_equal(lost.status, CELERY_EUNCERTAIN);
}

/* ---- bytes that come in pieces, or not at all; memory that is not there ---- */

/* All that a server says in a short life. */
static void whole_life(struct cel_buf *out)
{
    static const uint32_t answers[] = {
        CEL_AMQP_CHANNEL_OPEN_OK, CEL_AMQP_QUEUE_DECLARE_OK, CEL_AMQP_CONFIRM_SELECT_OK};
    struct cel_amqp_method tune = {.id = CEL_AMQP_CONNECTION_TUNE, .frame_max = 131072};
    struct cel_amqp_method ok = {.id = CEL_AMQP_CONNECTION_OPEN_OK};
    struct cel_amqp_method ack = {.id = CEL_AMQP_BASIC_ACK, .tag = 1};
    struct cel_amqp_method back = {.id = CEL_AMQP_BASIC_RETURN,
                                   .code = 312,
                                   .routing_key = CEL_SLICE("q"),
                                   .text = CEL_SLICE("NO_ROUTE")};

    fake_put_start(out, &f);
    cel_amqp_method_put(out, 0, &tune, NULL);
    cel_amqp_method_put(out, 0, &ok, NULL);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct cel_amqp_method m = {.id = answers[i]};
        cel_amqp_method_put(out, 1, &m, NULL);
    }
    fake_put_message(out, 1, back, env, 4096);
    cel_amqp_method_put(out, 1, &ack, NULL);
    fake_put_message(out, 1, deliver(1), env, 4096);
}

struct life {
    struct ended declared, published;
};

/* False: it could not even start. */
static bool live(struct life *l)
{
    struct cel_amqp_params p;

    *l = (struct life){0};
    c = (struct client){0};
    client_params(&p, &f);
    if (cel_amqp_conn_open(loop, &p, &conn_events, &c, &c.conn, NULL) < 0) {
        return false;
    }
    if (cel_amqp_channel_open(c.conn, &channel_events, &c, &c.ch, NULL) == CELERY_OK) {
        cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE},
                      INTO(&l->declared));
        publish(&l->published, "q");
    }
    return true;
}

static void feed(const char *bytes, size_t len)
{
    fake_accept(&f);
    fake_pass(&f);
    fake_raw(&f, bytes, len);
}

static void test_a_server_that_speaks_byte_by_byte(void **state)
{
    struct cel_buf out = {0};
    struct life l;

    whole_life(&out);
    assert_true(live(&l));
    feed(out.data, 1);
    for (size_t i = 1; i < out.len; i++) {
        fake_raw(&f, out.data + i, 1);
        cel_loop_pass(loop, 0.001);
    }
    wait_for(&c.delivered, 1, &f);
    assert_int_equal(l.declared.status, CELERY_OK);
    assert_int_equal(l.published.code, 312);
    assert_int_equal(c.closed, 0);
    cel_buf_fini(&out);
}

static void test_a_server_that_is_cut_off_after_any_byte(void **state)
{
    struct cel_buf out = {0};
    struct life l;

    whole_life(&out);
    for (size_t n = 0; n < out.len; n++) {
        assert_true(live(&l));
        feed(out.data, n);
        fake_hang_up(&f);
        wait_closed(&c, &f);
        assert_int_equal(c.delivered, 0);
        assert_int_equal(l.declared.times, 1);
        assert_int_equal(l.published.times, 1);
    }
    cel_buf_fini(&out);
}

/* Each byte another one in turn: any answer but a crash, and each operation ends once. */
static void test_a_server_that_errs_in_any_byte(void **state)
{
    struct cel_buf out = {0};
    struct life l;

    whole_life(&out);
    for (size_t n = 0; n < out.len; n++) {
        for (int how = 0; how < 2; how++) {
            char was = out.data[n];
            out.data[n] = how ? (char)~was : (char)(was + 1);
            assert_true(live(&l));
            c.any_names = true;
            feed(out.data, out.len);
            out.data[n] = was;
            fake_pass(&f);
            fake_hang_up(&f);
            wait_closed(&c, &f);
            assert_int_equal(l.declared.times, 1);
            assert_int_equal(l.published.times, 1);
        }
    }
    cel_buf_fini(&out);
}

static void test_no_memory_at_any_moment(void **state)
{
    struct cel_buf out = {0};
    unsigned long n = 1;
    int whole = 0;
    struct life l;

    whole_life(&out);
    for (; whole < 3 && n < 5000; n++) {
        cel_alloc_fail_at(n, n % 2);
        bool alive = live(&l);
        if (alive) {
            struct cel_buf keep = f.in; /* the server shares our allocator */
            f.in = (struct cel_buf){0};
            feed(out.data, out.len);
            for (int i = 0; i < 3; i++) {
                cel_loop_pass(loop, 0.001);
            }
            cel_buf_fini(&f.in);
            f.in = keep;
        }
        whole += alive && c.delivered && !c.closed;
        cel_alloc_fail_at(0, 0);
        fake_hang_up(&f);
        if (alive) {
            wait_closed(&c, &f);
            assert_in_range(l.declared.times, 0, 1);
            assert_int_equal(l.declared.times, l.published.times);
        }
    }
    assert_int_equal(whole, 3);
    cel_buf_fini(&out);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(test_confirms_one_by_one_several_and_nacked),
        T(test_confirms_of_what_was_not_sent),
        T(test_a_returned_message_is_an_error_before_its_ack),
        T(test_a_blocked_broker_gets_nothing_until_it_is_not),
        T(test_flow_stops_one_channel),
        T(test_a_broker_that_does_not_read),
        T(test_a_body_goes_out_in_frames_of_the_agreed_size),
        T(test_headers_too_large_for_a_frame_fail_alone),
        T(test_a_confirm_that_does_not_come_costs_one_message),
        T(test_no_confirm_and_silence_is_a_dead_connection),
        T(test_a_publish_that_costs_the_channel),
        T(test_the_connection_may_go_in_a_confirm),
        T(test_what_was_flushed_arrives_though_input_is_unread),
        T(test_deliveries),
        T(test_messages_of_channels_are_interleaved),
        T(test_a_message_over_the_limit_is_skipped),
        T(test_a_malformed_header_costs_one_message),
        T(test_content_that_breaks_the_protocol),
        T(test_the_connection_may_go_in_a_delivery),
        T(test_get),
        T(test_a_server_that_speaks_byte_by_byte),
        T(test_a_server_that_is_cut_off_after_any_byte),
        T(test_a_server_that_errs_in_any_byte),
        T(test_no_memory_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
