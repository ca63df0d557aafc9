/* SPDX-License-Identifier: BSD-3-Clause */
/* AMQP connections and channels against a scripted server. */
#include "amqp_fake.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct fake f;
static struct client c;

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
    return cel_loop_new(&loop, NULL) == CELERY_OK ? 0 : -1;
}

static int end(void **state)
{
    c.conn = cel_amqp_conn_free(c.conn);
    fake_stop(&f);
    loop = cel_loop_free(loop);
    cel_clock_set(NULL);
    return 0;
}

static struct cel_slice member(const struct cel_node *table, const char *name)
{
    return cel_node_text(cel_node_get(table, cel_slice_of(name)));
}

/* ---- the handshake ---- */

static void test_handshake(void **state)
{
    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_START_OK);
    assert_true(cel_slice_is(f.m.mechanism, "PLAIN"));
    assert_true(cel_slice_eq(f.m.response, CEL_SLICE("\0me\0s3cret")));
    assert_true(cel_slice_is(member(f.m.table, "product"), "libcelery-c"));
    assert_true(cel_slice_is(member(f.m.table, "connection_name"), "test@here"));
    const struct cel_node *can = cel_node_get(f.m.table, CEL_SLICE("capabilities"));
    assert_true(cel_node_bool(
        cel_node_get(can, CEL_SLICE("authentication_failure_close")), false));
    assert_true(cel_node_bool(cel_node_get(can, CEL_SLICE("connection.blocked")), false));
    fake_say(&f, 0,
             (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_TUNE,
                                      .channel_max = 7,
                                      .frame_max = 8192,
                                      .heartbeat = 60});
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_TUNE_OK);
    assert_int_equal(f.m.channel_max, 7);
    assert_int_equal(f.m.frame_max, 8192);
    assert_int_equal(f.m.heartbeat, 10);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_OPEN);
    assert_true(cel_slice_is(f.m.vhost, "/v"));
    fake_say(&f, 0, (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_OPEN_OK});
    wait_for(&c.opened, 1, &f);
    const struct cel_amqp_server *server = cel_amqp_conn_server(c.conn);
    assert_string_equal(server->product, "RabbitMQ[31m");
    assert_string_equal(server->version, "3.10.8");
    assert_int_equal(server->major, 3);
    assert_int_equal(server->minor, 10);
    assert_true(server->confirms && server->nack && !server->blocked);
    assert_int_equal(cel_amqp_conn_frame_max(c.conn), 8192);
}

static void test_a_server_without_limits_gets_ours(void **state)
{
    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_tune(&f, (struct cel_amqp_method){0});
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_TUNE_OK);
    assert_int_equal(f.m.channel_max, 2047);
    assert_int_equal(f.m.frame_max, 131072);
    assert_int_equal(f.m.heartbeat, 10);
}

static void test_other_mechanisms(void **state)
{
    client_open(&c, &f, "AMQPLAIN");
    fake_greet(&f);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_START_OK);
    assert_true(cel_slice_eq(
        f.m.response, CEL_SLICE("\x05LOGINS\0\0\0\x02me\x08PASSWORDS\0\0\0\x06s3cret")));
    c.conn = cel_amqp_conn_free(c.conn);
    fake_hang_up(&f);

    f.mechanisms = "PLAIN EXTERNAL";
    client_open(&c, &f, "EXTERNAL");
    fake_greet(&f);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_START_OK);
    assert_true(cel_slice_is(f.m.mechanism, "EXTERNAL"));
    assert_int_equal(f.m.response.len, 0);
}

static void expect_end(celery_status status, const char *words)
{
    wait_closed(&c, &f);
    assert_int_equal(c.why.status, status);
    if (!strstr(c.why.message, words)) {
        fail_msg("'%s' is not in: %s", words, c.why.message);
    }
    assert_null(strstr(c.why.message, "s3cret"));
    assert_null(strchr(c.why.message, '\n'));
}

static void test_mechanism_that_is_not_offered(void **state)
{
    client_open(&c, &f, "EXTERNAL");
    fake_greet(&f);
    expect_end(CELERY_EAUTH, "rabbitmq_auth_mechanism_ssl");
    fake_hang_up(&f);
    client_open(&c, &f, "GSSAPI");
    fake_greet(&f);
    expect_end(CELERY_ECONFIG, "broker_login_method is GSSAPI");
}

static void fake_close(unsigned code, const char *text)
{
    fake_say(&f, 0,
             (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_CLOSE,
                                      .code = (uint16_t)code,
                                      .text = cel_slice_of(text)});
}

static void test_login_refused(void **state)
{
    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_START_OK);
    fake_close(403, "ACCESS_REFUSED - Login was refused");
    expect_end(CELERY_EAUTH, "login was refused for user me with mechanism PLAIN: check "
                             "user and password");
    assert_int_equal(c.why.code, 403);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_CLOSE_OK);
}

static void test_login_refused_without_a_word(void **state)
{
    f.mute_close = true;
    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_START_OK);
    fake_hang_up(&f);
    expect_end(CELERY_EAUTH, "login was refused for user me");

    f.mute_close = false; /* this one would have said so: it is the network */
    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_START_OK);
    fake_hang_up(&f);
    expect_end(CELERY_ECLOSED, "amqp://me@127.0.0.1");
}

static void test_vhost_refused(void **state)
{
    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_tune(&f, (struct cel_amqp_method){0});
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_TUNE_OK);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_OPEN);
    fake_close(530, "NOT_ALLOWED - vhost /v not\nfound");
    expect_end(CELERY_EAUTH, "vhost /v was refused");
    assert_int_equal(c.why.code, 530);
}

static void greet_with(const void *bytes, size_t len)
{
    client_open(&c, &f, NULL);
    fake_accept(&f);
    fake_raw(&f, bytes, len);
}

static void test_servers_of_other_protocols(void **state)
{
    greet_with("HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    expect_end(CELERY_EPROTO, "is it the right port?");
    fake_hang_up(&f);
    greet_with("\x15\x03\x01\x00\x02\x02\x28", 7);
    expect_end(CELERY_EPROTO, "use amqps://");
    fake_hang_up(&f);
    greet_with("AMQP\x00\x01\x00\x00", 8);
    expect_end(CELERY_EPROTO, "amqp://me@127.0.0.1");
    fake_hang_up(&f);
    greet_with("", 0);
    fake_hang_up(&f);
    expect_end(CELERY_ECONNECT, "hung up without a greeting");
}

static void test_a_silent_server(void **state)
{
    client_open(&c, &f, NULL);
    fake_accept(&f);
    fake_pass(&f);
    clock_skew += 4.2;
    for (int i = 0; i < 5; i++) {
        fake_pass(&f);
    }
    assert_int_equal(c.closed, 0); /* it may have been us who did not run */
    clock_skew += 0.6;
    expect_end(CELERY_ETIMEOUT, "no AMQP greeting within 4 s");
}

static void test_tune_with_frames_too_small(void **state)
{
    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_tune(&f, (struct cel_amqp_method){.frame_max = 4095});
    expect_end(CELERY_EPROTO, "4095");
}

static void test_methods_out_of_place(void **state)
{
    static const struct {
        uint16_t channel;
        uint32_t id;
    } wrong[] = {
        {0, CEL_AMQP_CONNECTION_START},   {0, CEL_AMQP_CONNECTION_TUNE},
        {0, CEL_AMQP_CONNECTION_OPEN_OK}, {0, CEL_AMQP_BASIC_DELIVER},
        {0, CEL_AMQP_CONNECTION_SECURE},  {0, CEL_AMQP_QUEUE_DECLARE_OK},
        {1, CEL_AMQP_CONNECTION_BLOCKED}, {1, CEL_AMQP_QUEUE_DECLARE_OK},
        {1, CEL_AMQP_BASIC_GET_OK},       {1, CEL_AMQP_BASIC_GET_EMPTY},
        {1, CEL_AMQP_BASIC_ACK},          {1, CEL_AMQP_BASIC_NACK},
        {1, CEL_AMQP_CHANNEL_OPEN_OK},    {1, CEL_AMQP_CHANNEL_CLOSE_OK},
        {2, CEL_AMQP_BASIC_DELIVER},      {9999, CEL_AMQP_CHANNEL_CLOSE},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        client_with_channel(&c, &f);
        fake_say(&f, wrong[i].channel,
                 (struct cel_amqp_method){.id = wrong[i].id, .tag = 1});
        wait_closed(&c, &f);
        assert_int_equal(c.why.status, CELERY_EPROTO);
        fake_hang_up(&f);
    }
}

static void test_frames_out_of_place(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } wrong[] = {
        {"\x02\0\x01\0\0\0\x01x\xce", 9},             /* header without a method */
        {"\x03\0\x01\0\0\0\x01x\xce", 9},             /* body without a header */
        {"\x03\0\0\0\0\0\x01x\xce", 9},               /* content on channel 0 */
        {"\x02\0\x05\0\0\0\x01x\xce", 9},             /* ... on one that is not open */
        {"\x08\0\x01\0\0\0\0\xce", 8},                /* heartbeat on a channel */
        {"\x04\0\0\0\0\0\0\xce", 8},                  /* no such type */
        {"\x08\0\0\0\0\0\0\xcd", 8},                  /* wrong end */
        {"\x01\0\0\0\0\0\x02\0\x0a\xce", 10},         /* half a method */
        {"\x01\0\0\x7f\xff\xff\xff\0\x0a\xce", 10},   /* larger than agreed on */
        {"\x01\0\x01\0\0\0\x04\0\x63\0\x63\xce", 12}, /* no such method */
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        client_with_channel(&c, &f);
        fake_raw(&f, wrong[i].bytes, wrong[i].len);
        wait_closed(&c, &f);
        assert_int_equal(c.why.status, CELERY_EPROTO);
        fake_hang_up(&f);
    }
}

static void test_what_is_called_early_goes_out_behind_open_ok(void **state)
{
    struct ended declared = {0}, published = {0};
    struct cel_envelope *env = message("{}", "id");

    client_open(&c, &f, NULL);
    client_channel(&c, &c.ch);
    cel_amqp_call(
        c.ch,
        &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE, .queue = CEL_SLICE("q")},
        INTO(&declared));
    cel_amqp_publish(c.ch, "", "q", true, env, INTO(&published));
    fake_let_in(&f);
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_OPEN);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_OPEN_OK});
    fake_expect(&f, 1, CEL_AMQP_QUEUE_DECLARE);
    fake_say(&f, 1,
             (struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE_OK, .count = 7});
    fake_expect(&f, 1, CEL_AMQP_CONFIRM_SELECT);
    fake_expect(&f, 1, CEL_AMQP_BASIC_PUBLISH);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CONFIRM_SELECT_OK});
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_BASIC_ACK, .tag = 1});
    wait_for(&published.times, 1, &f);
    assert_int_equal(declared.times, 1);
    assert_int_equal(declared.answer, 7);
    assert_int_equal(published.status, CELERY_OK);
    cel_envelope_free(env);
}

static void test_early_calls_end_with_a_refused_login(void **state)
{
    struct ended declared = {0}, published = {0};
    struct cel_envelope *env = message("{}", "id");

    client_open(&c, &f, NULL);
    client_channel(&c, &c.ch);
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE},
                  INTO(&declared));
    cel_amqp_publish(c.ch, "", "q", true, env, INTO(&published));
    fake_greet(&f);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_START_OK);
    fake_close(403, "no");
    wait_closed(&c, &f);
    assert_int_equal(declared.times, 1);
    assert_int_equal(declared.status, CELERY_ECLOSED);
    assert_int_equal(published.times, 1);
    assert_int_equal(published.status, CELERY_ECLOSED);
    cel_envelope_free(env);
}

/* ---- heartbeats, deadlines ---- */

static void test_heartbeats_go_out_twice_an_interval(void **state)
{
    client_up(&c, &f);
    for (int i = 0; i < 6; i++) {
        clock_skew += 5.01;
        fake_raw(&f, "\x08\0\0\0\0\0\0\xce", 8); /* it lives as well */
        assert_true(fake_next(&f, 5));
        assert_int_equal(f.type, CEL_AMQP_HEARTBEAT);
        fake_nothing(&f);
    }
    assert_int_equal(c.closed, 0);
}

static void test_two_silent_heartbeats_end_it(void **state)
{
    client_up(&c, &f);
    for (int i = 0; i < 3; i++) {
        clock_skew += 6;
        fake_pass(&f);
        fake_pass(&f);
        assert_int_equal(c.closed, 0);
    }
    clock_skew += 2.1;
    fake_pass(&f);
    fake_pass(&f);
    assert_int_equal(c.closed, 0);
    clock_skew += 0.6;
    expect_end(CELERY_ETIMEOUT, "two heartbeats");
}

static void test_it_was_us_who_slept(void **state)
{
    client_up(&c, &f);
    fake_raw(&f, "\x08\0\0\0\0\0\0\xce", 8);
    clock_skew += 100;
    for (int i = 0; i < 5; i++) {
        fake_pass(&f);
    }
    clock_skew += 1;
    for (int i = 0; i < 5; i++) {
        fake_pass(&f);
    }
    assert_int_equal(c.closed, 0);
}

static void test_a_call_without_an_answer_ends_the_connection(void **state)
{
    struct ended e = {0};

    client_with_channel(&c, &f);
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE},
                  INTO(&e));
    fake_expect(&f, 1, CEL_AMQP_QUEUE_DECLARE);
    for (int i = 0; i < 4; i++) {
        clock_skew += 8;
        fake_raw(&f, "\x08\0\0\0\0\0\0\xce", 8);
        fake_pass(&f);
        fake_pass(&f);
    }
    clock_skew += 1;
    expect_end(CELERY_ETIMEOUT, "no answer to queue.declare within 30 s");
    assert_int_equal(e.times, 1);
    assert_int_equal(e.status, CELERY_EUNCERTAIN);
}

/* ---- channels ---- */

static void test_a_refused_declare_costs_the_channel_only(void **state)
{
    struct ended before = {0}, culprit = {0}, behind = {0}, after = {0};
    struct cel_amqp_channel *other = NULL;

    client_with_channel(&c, &f);
    client_channel(&c, &other);
    fake_expect(&f, 2, CEL_AMQP_CHANNEL_OPEN);
    fake_say(&f, 2, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_OPEN_OK});
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_BASIC_QOS, .count = 1},
                  INTO(&before));
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE},
                  INTO(&culprit));
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_DECLARE},
                  INTO(&behind));
    fake_expect(&f, 1, CEL_AMQP_BASIC_QOS);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_BASIC_QOS_OK});
    fake_say(&f, 1,
             (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_CLOSE,
                                      .code = 406,
                                      .text = CEL_SLICE("PRECONDITION_FAILED - arg"),
                                      .class_id = 50,
                                      .method_id = 10});
    wait_for(&c.ch_closed, 1, &f);
    assert_int_equal(before.status, CELERY_OK);
    assert_int_equal(culprit.status, CELERY_ECONFIG);
    assert_int_equal(culprit.code, 406);
    assert_int_equal(behind.status, CELERY_ECLOSED);
    assert_int_equal(c.ch_why.code, 406);
    assert_non_null(strstr(c.ch_why.message, "queue.declare: 406 PRECONDITION_FAILED"));
    fake_expect(&f, 1, CEL_AMQP_QUEUE_DECLARE);
    fake_expect(&f, 1, CEL_AMQP_QUEUE_DECLARE);
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_CLOSE_OK);
    cel_amqp_call(other, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE},
                  INTO(&after));
    fake_expect(&f, 2, CEL_AMQP_QUEUE_PURGE);
    fake_say(&f, 2, (struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE_OK, .count = 3});
    wait_for(&after.times, 1, &f);
    assert_int_equal(after.answer, 3);
    assert_int_equal(c.closed, 0);
    client_channel(&c, &c.ch); /* its number is free */
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_OPEN);
}

static void test_a_number_is_used_again_after_close_ok_only(void **state)
{
    struct ended e = {0};

    client_with_channel(&c, &f);
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE}, INTO(&e));
    c.ch = cel_amqp_channel_free(c.ch);
    assert_int_equal(e.times, 1);
    assert_int_equal(e.status, CELERY_EUNCERTAIN);
    fake_expect(&f, 1, CEL_AMQP_QUEUE_PURGE);
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_CLOSE);
    client_channel(&c, &c.ch);
    fake_expect(&f, 2, CEL_AMQP_CHANNEL_OPEN);
    /* late news of the old one, and its own end crossing ours */
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE_OK, .count = 3});
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_CLOSE, .code = 404});
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_CLOSE_OK);
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_CLOSE_OK});
    fake_pass(&f);
    fake_pass(&f);
    struct cel_amqp_channel *again = NULL;
    client_channel(&c, &again);
    fake_expect(&f, 1, CEL_AMQP_CHANNEL_OPEN);
    assert_int_equal(c.closed, 0);
    assert_int_equal(c.ch_closed, 0);
}

static void test_no_more_channels_than_agreed_on(void **state)
{
    struct cel_amqp_channel *ch = NULL;
    celery_error err = {0};

    client_open(&c, &f, NULL);
    fake_greet(&f);
    fake_tune(&f, (struct cel_amqp_method){.channel_max = 20});
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_TUNE_OK);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_OPEN);
    fake_say(&f, 0, (struct cel_amqp_method){.id = CEL_AMQP_CONNECTION_OPEN_OK});
    wait_for(&c.opened, 1, &f);
    for (int i = 0; i < 20; i++) {
        client_channel(&c, &ch);
    }
    assert_int_equal(cel_amqp_channel_open(c.conn, &channel_events, &c, &ch, &err),
                     CELERY_ELIMIT);
}

/* The process of a queue answers consume: later answers may be there first. */
static void test_answers_overtake_those_of_queues(void **state)
{
    struct ended a = {0}, b = {0}, q = {0};

    client_with_channel(&c, &f);
    cel_amqp_call(c.ch,
                  &(struct cel_amqp_method){.id = CEL_AMQP_BASIC_CONSUME,
                                            .consumer_tag = CEL_SLICE("a")},
                  INTO(&a));
    cel_amqp_call(c.ch,
                  &(struct cel_amqp_method){.id = CEL_AMQP_BASIC_CONSUME,
                                            .consumer_tag = CEL_SLICE("b")},
                  INTO(&b));
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE}, INTO(&q));
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE_OK, .count = 5});
    wait_for(&q.times, 1, &f);
    assert_int_equal(a.times + b.times, 0);
    fake_say(&f, 1,
             (struct cel_amqp_method){.id = CEL_AMQP_BASIC_CONSUME_OK,
                                      .consumer_tag = CEL_SLICE("b")});
    wait_for(&b.times, 1, &f);
    assert_int_equal(a.times, 0);
    fake_say(&f, 1,
             (struct cel_amqp_method){.id = CEL_AMQP_BASIC_CONSUME_OK,
                                      .consumer_tag = CEL_SLICE("a")});
    wait_for(&a.times, 1, &f);
    assert_int_equal(a.status, CELERY_OK);
}

static void test_the_broker_cancels_a_consumer(void **state)
{
    client_with_channel(&c, &f);
    fake_say(&f, 1,
             (struct cel_amqp_method){.id = CEL_AMQP_BASIC_CANCEL,
                                      .consumer_tag = CEL_SLICE("gone"),
                                      .bits = CEL_AMQP_CANCEL_OK});
    wait_for(&c.cancelled, 1, &f);
    assert_string_equal(c.text, "gone");
    fake_nothing(&f); /* it wants no answer */
    fake_say(&f, 1,
             (struct cel_amqp_method){.id = CEL_AMQP_BASIC_CANCEL,
                                      .consumer_tag = CEL_SLICE("x")});
    fake_expect(&f, 1, CEL_AMQP_BASIC_CANCEL_OK);
}

/* ---- the end ---- */

static void test_connection_forced_keeps_its_text(void **state)
{
    struct ended e = {0};

    client_with_channel(&c, &f);
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE}, INTO(&e));
    fake_expect(&f, 1, CEL_AMQP_QUEUE_PURGE);
    fake_close(320, "CONNECTION_FORCED - maintenance\ntonight");
    expect_end(CELERY_ECLOSED, "320 CONNECTION_FORCED - maintenance");
    assert_int_equal(c.why.code, 320);
    assert_int_equal(e.times, 1);
    assert_int_equal(e.status, CELERY_EUNCERTAIN);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_CLOSE_OK);
}

static void test_free_says_goodbye_and_ends_what_is_pending(void **state)
{
    struct ended e = {0};

    client_with_channel(&c, &f);
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE}, INTO(&e));
    c.conn = cel_amqp_conn_free(c.conn);
    assert_int_equal(e.times, 1);
    assert_int_equal(e.status, CELERY_EUNCERTAIN);
    fake_expect(&f, 1, CEL_AMQP_QUEUE_PURGE);
    fake_expect(&f, 0, CEL_AMQP_CONNECTION_CLOSE);
    fake_pass(&f);
    assert_true(f.ended);
    assert_int_equal(c.closed, 0);
}

static void test_free_inside_events(void **state)
{
    struct ended e = {0}, second = {0};

    client_open(&c, &f, NULL);
    c.free_in_opened = true;
    fake_let_in(&f);
    wait_for(&c.opened, 1, &f);
    assert_null(c.conn);
    fake_hang_up(&f);

    client_with_channel(&c, &f);
    c.free_in_closed_channel = true;
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_CHANNEL_CLOSE, .code = 404});
    wait_for(&c.ch_closed, 1, &f);
    assert_null(c.conn);
    fake_hang_up(&f);

    client_with_channel(&c, &f);
    e.frees = &c;
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE}, INTO(&e));
    cel_amqp_call(c.ch, &(struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE},
                  INTO(&second));
    fake_say(&f, 1, (struct cel_amqp_method){.id = CEL_AMQP_QUEUE_PURGE_OK});
    wait_for(&second.times, 1, &f);
    assert_null(c.conn);
    assert_int_equal(e.status, CELERY_OK);
    assert_int_equal(second.status, CELERY_EUNCERTAIN);
    assert_int_equal(c.closed, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(test_handshake),
        T(test_a_server_without_limits_gets_ours),
        T(test_other_mechanisms),
        T(test_mechanism_that_is_not_offered),
        T(test_login_refused),
        T(test_login_refused_without_a_word),
        T(test_vhost_refused),
        T(test_servers_of_other_protocols),
        T(test_a_silent_server),
        T(test_tune_with_frames_too_small),
        T(test_methods_out_of_place),
        T(test_frames_out_of_place),
        T(test_what_is_called_early_goes_out_behind_open_ok),
        T(test_early_calls_end_with_a_refused_login),
        T(test_heartbeats_go_out_twice_an_interval),
        T(test_two_silent_heartbeats_end_it),
        T(test_it_was_us_who_slept),
        T(test_a_call_without_an_answer_ends_the_connection),
        T(test_a_refused_declare_costs_the_channel_only),
        T(test_a_number_is_used_again_after_close_ok_only),
        T(test_no_more_channels_than_agreed_on),
        T(test_answers_overtake_those_of_queues),
        T(test_the_broker_cancels_a_consumer),
        T(test_connection_forced_keeps_its_text),
        T(test_free_says_goodbye_and_ends_what_is_pending),
        T(test_free_inside_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
