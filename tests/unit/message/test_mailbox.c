/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/clock.h"
#include "message/control.h"
#include "message/mailbox.h"

#include <string.h>

static const char *const accept[] = {"json", NULL};
static const struct cel_call_limits limits = {.accept = accept};

struct names {
    struct cel_arena arena;
    struct cel_mailbox mailbox;
};

static void begin(struct names *n)
{
    *n = (struct names){0};
    cel_arena_init(&n->arena, 0);
    n->mailbox.expires = 10;
    assert_int_equal(cel_mailbox_init(&n->mailbox, &n->arena, "celery", NULL), 0);
}

static void end(struct names *n)
{
    cel_arena_fini(&n->arena);
}

static void test_names(void **state)
{
    struct names n;
    struct cel_queue q;

    begin(&n);
    assert_string_equal(n.mailbox.exchange, "celery.pidbox");
    assert_string_equal(n.mailbox.reply_exchange, "reply.celery.pidbox");
    assert_int_equal(cel_mailbox_queue(&n.mailbox, &n.arena, "w1@vm", &q, NULL), 0);
    assert_string_equal(q.name, "w1@vm.celery.pidbox");
    assert_string_equal(q.exchange_type, "fanout");
    assert_int_equal(cel_mailbox_reply_queue(&n.mailbox, &n.arena, "oid", &q, NULL), 0);
    assert_string_equal(q.name, "oid.reply.celery.pidbox");
    assert_string_equal(q.exchange_type, "direct");
    assert_string_equal(q.routing_key, "oid");
    assert_true(q.auto_delete && q.no_ack && !q.durable);
    assert_int_equal(cel_node_int(cel_node_get(q.arguments, CEL_SLICE("x-expires")), 0),
                     10000);
    end(&n);
}

/* The bytes of captures/amqp_a1_c.txt. */
static void test_a_command_as_kombu_writes_it(void **state)
{
    static const char want[] =
        "{\"method\": \"ping\", \"arguments\": {}, \"destination\": null, \"pattern\": "
        "null, \"matcher\": null, \"ticket\": \"4a83\", \"reply_to\": {\"exchange\": "
        "\"reply.celery.pidbox\", \"routing_key\": \"c9f5\"}}";
    const struct cel_command_draft draft = {
        .method = "ping", .ticket = "4a83", .oid = "c9f5", .clock = 1, .timeout = 1};
    struct cel_envelope *env = NULL;
    struct names n;

    begin(&n);
    assert_int_equal(cel_command_write(&n.mailbox, &draft, &cel_codec_json, &env, NULL),
                     0);
    assert_int_equal(env->body.len, sizeof want - 1);
    assert_memory_equal(env->body.data, want, sizeof want - 1);
    assert_true(cel_slice_is(env->exchange, "celery.pidbox"));
    assert_int_equal(env->delivery_mode, 2);
    assert_int_equal(cel_node_int(cel_envelope_header(env, CEL_SLICE("clock")), 0), 1);
    double expires = cel_node_double(cel_envelope_header(env, CEL_SLICE("expires")), 0);
    assert_true(expires > cel_clock_wall() && expires < cel_clock_wall() + 2);
    cel_envelope_free(env);
    end(&n);
}

/* What one side writes the other reads. */
static void test_there_and_back(void **state)
{
    struct cel_command_draft draft = {.method = "ping",
                                      .ticket = "t1",
                                      .oid = "o1",
                                      .pattern = "w*",
                                      .matcher = "glob"};
    struct cel_envelope *env = NULL, *reply = NULL;
    struct cel_command command;
    struct cel_command_reply back;
    struct names n;
    bool ours = false;

    begin(&n);
    assert_int_equal(cel_command_write(&n.mailbox, &draft, &cel_codec_json, &env, NULL),
                     0);
    assert_int_equal(cel_command_read(env, &limits, &command, NULL), 0);
    assert_true(command.wants_reply);
    assert_int_equal(cel_command_is_for(&command, "w1@vm", &ours, NULL), 0);
    assert_true(ours);
    struct cel_node *value = cel_node_new_int(&n.arena, 7);
    assert_int_equal(
        cel_command_reply(&command, "w1@vm", value, 5, &cel_codec_json, &reply, NULL), 0);
    assert_int_equal(cel_command_reply_read(reply, &limits, &back, NULL), 0);
    assert_true(cel_slice_is(back.ticket, "t1"));
    assert_int_equal(back.clock, 5);
    assert_int_equal(cel_node_int(cel_node_get(back.nodes, CEL_SLICE("w1@vm")), 0), 7);
    cel_envelope_free(env);
    cel_envelope_free(reply);
    end(&n);
}

static void test_what_is_no_reply(void **state)
{
    static const char *const bodies[] = {"", "[]", "7", "{\"a\": ", "\xff"};

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct cel_envelope *env = cel_envelope_new();
        struct cel_command_reply back;
        celery_error err = {0};

        assert_non_null(env);
        env->body = cel_slice_of(bodies[i]);
        env->content_type = CEL_SLICE("application/json");
        env->content_encoding = CEL_SLICE("utf-8");
        assert_true(cel_command_reply_read(env, &limits, &back, &err) < 0);
        assert_true(err.message[0] != '\0');
        cel_envelope_free(env);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_command_as_kombu_writes_it),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_is_no_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
