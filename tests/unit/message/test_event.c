/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/event.h"

#include "message/envelope_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
/* After the four that it needs. */
#include <cmocka.h>

/* What workers of Celery 5.6.3 sent, byte for byte, times cut at microseconds. */
#define ONLINE                                                                         \
    "{\"hostname\": \"w1@vm\", \"utcoffset\": 0, \"pid\": 25687, \"clock\": 1, "       \
    "\"freq\": 2.0, \"active\": 0, \"processed\": 0, \"loadavg\": [1.53, 1.2, 0.69], " \
    "\"sw_ident\": \"py-celery\", \"sw_ver\": \"5.6.3\", \"sw_sys\": \"Linux\", "      \
    "\"timestamp\": 1795352796.064319, \"type\": \"worker-online\"}"
#define RECEIVED                                                                         \
    "{\"hostname\": \"w1@vm\", \"utcoffset\": 0, \"pid\": 25687, \"clock\": 10, "        \
    "\"uuid\": \"6052dfd6-1113-4336-84af-87692578a58b\", \"name\": \"t.retry\", "        \
    "\"args\": \"()\", \"kwargs\": \"{}\", "                                             \
    "\"root_id\": \"6052dfd6-1113-4336-84af-87692578a58b\", \"parent_id\": null, "       \
    "\"retries\": 1, \"eta\": \"2026-11-22T13:06:39.821149+00:00\", \"expires\": null, " \
    "\"timestamp\": 1795352798.832192, \"type\": \"task-received\"}"
#define SUCCEEDED                                                                \
    "{\"hostname\": \"w1@vm\", \"utcoffset\": 0, \"pid\": 25687, \"clock\": 4, " \
    "\"uuid\": \"b45918a2-29cd-4143-a671-3aa22ba4a68b\", \"result\": \"5\", "    \
    "\"runtime\": 0.0172711090001485, \"timestamp\": 1795352797.773174, "        \
    "\"type\": \"task-succeeded\"}"
#define REVOKED                                                                      \
    "{\"hostname\": \"w1@vm\", \"utcoffset\": 0, \"pid\": 25687, \"clock\": 20, "    \
    "\"uuid\": \"R1\", \"terminated\": false, \"signum\": null, \"expired\": true, " \
    "\"timestamp\": 1795352797.5, \"type\": \"task-revoked\"}"

static const struct cel_call_limits limits = {
    .accept = (const char *const[]){"json", NULL},
};

static void in_utc(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
}

static void assert_text(struct cel_buf *out, const char *expected)
{
    assert_true(cel_buf_ok(out));
    assert_string_equal(cel_buf_cstr(out), expected);
    cel_buf_clear(out);
}

/* ---- writing ---- */

static void write_received(struct cel_buf *out, const struct cel_event_source *s)
{
    struct cel_slice id = CEL_SLICE("6052dfd6-1113-4336-84af-87692578a58b");

    cel_event_begin(out, s, 10);
    cel_event_text(out, "uuid", id);
    cel_event_text(out, "name", CEL_SLICE("t.retry"));
    cel_event_text(out, "args", CEL_SLICE("()"));
    cel_event_text(out, "kwargs", CEL_SLICE("{}"));
    cel_event_text(out, "root_id", id);
    cel_event_text(out, "parent_id", CEL_SLICE_NULL);
    cel_event_int(out, "retries", 1);
    cel_event_text(out, "eta", CEL_SLICE("2026-11-22T13:06:39.821149+00:00"));
    cel_event_text(out, "expires", CEL_SLICE_NULL);
    cel_event_end(out, "task-received", 1795352798832192);
}

static void test_writes_what_celery_writes(void **state)
{
    struct cel_event_source s = {0};
    struct cel_buf out = {0};

    in_utc();
    assert_int_equal(cel_event_source_init(&s, "w1@vm", 25687), CELERY_OK);
    cel_event_begin(&out, &s, 1);
    cel_event_double(&out, "freq", 2);
    cel_event_int(&out, "active", 0);
    cel_event_int(&out, "processed", 0);
    cel_event_json(&out, "loadavg", CEL_SLICE("[1.53, 1.2, 0.69]"));
    cel_event_text(&out, "sw_ident", CEL_SLICE("py-celery"));
    cel_event_text(&out, "sw_ver", CEL_SLICE("5.6.3"));
    cel_event_text(&out, "sw_sys", CEL_SLICE("Linux"));
    cel_event_end(&out, "worker-online", 1795352796064319);
    assert_text(&out, ONLINE);
    write_received(&out, &s);
    assert_text(&out, RECEIVED);
    cel_event_begin(&out, &s, 4);
    cel_event_text(&out, "uuid", CEL_SLICE("b45918a2-29cd-4143-a671-3aa22ba4a68b"));
    cel_event_text(&out, "result", CEL_SLICE("5"));
    cel_event_double(&out, "runtime", 0.0172711090001485);
    cel_event_end(&out, "task-succeeded", 1795352797773174);
    assert_text(&out, SUCCEEDED);
    cel_event_put_value(&out, CEL_EVENT_LEAD("plain"),
                        CEL_SLICE("what is longer than sixteen bytes"));
    cel_event_put_value(&out, CEL_EVENT_LEAD("odd"),
                        CEL_SLICE("what is longer than sixteen by\"es"));
    cel_event_put_value(&out, CEL_EVENT_LEAD("odd"), CEL_SLICE("\\ sixteen bytes .."));
    cel_event_put_value(&out, CEL_EVENT_LEAD("odd"), CEL_SLICE("\xc3\xa4"));
    cel_event_put_value(&out, CEL_EVENT_LEAD("none"), CEL_SLICE_NULL);
    assert_text(&out, ", \"plain\": \"what is longer than sixteen bytes\", "
                      "\"odd\": \"what is longer than sixteen by\\\"es\", "
                      "\"odd\": \"\\\\ sixteen bytes ..\", \"odd\": \"\\u00e4\", "
                      "\"none\": null");
    cel_event_begin(&out, &s, 20);
    cel_event_text(&out, "uuid", CEL_SLICE("R1"));
    cel_event_bool(&out, "terminated", false);
    cel_event_text(&out, "signum", CEL_SLICE_NULL);
    cel_event_bool(&out, "expired", true);
    cel_event_end(&out, "task-revoked", 1795352797500000);
    assert_text(&out, REVOKED);
    cel_buf_fini(&out);
    cel_event_source_fini(&s);
}

static void test_microseconds_as_seconds(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "0.0"},
        {-5, "0.0"},
        {1, "0.000001"},
        {120, "0.00012"},
        {1000000, "1.0"},
        {1000001, "1.000001"},
        {1500000, "1.5"},
        {1795352797773174, "1795352797.773174"},
        {1795352797700000, "1795352797.7"},
        {1795352798000000, "1795352798.0"},
        {1795352797000010, "1795352797.00001"},
        {INT64_MAX, "9223372036854.775807"},
    };
    struct cel_buf out = {0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cel_event_put_microseconds(&out, cases[i].us);
        assert_text(&out, cases[i].text);
    }
    cel_buf_fini(&out);
}

static void test_clock_of_the_blind(void **state)
{
    struct cel_event_source s = {0};
    struct cel_buf out = {0};

    in_utc();
    assert_int_equal(cel_event_source_init(&s, "a\"b", 1), CELERY_OK);
    cel_event_begin(&out, &s, 0);
    cel_event_end(&out, "x", 1000000);
    assert_text(&out, "{\"hostname\": \"a\\\"b\", \"utcoffset\": 0, \"pid\": 1, "
                      "\"clock\": null, \"timestamp\": 1.0, \"type\": \"x\"}");
    cel_buf_fini(&out);
    cel_event_source_fini(&s);
}

static void test_full_buffer(void **state)
{
    struct cel_event_source s = {0};
    struct cel_buf out = {.max = 64};

    assert_int_equal(cel_event_source_init(&s, "w1@vm", 25687), CELERY_OK);
    write_received(&out, &s);
    assert_false(cel_buf_ok(&out));
    cel_buf_fini(&out);
    cel_event_source_fini(&s);
}

/* Positive west of Greenwich; half hours are told since Celery 5.7. */
static void test_utcoffset(void **state)
{
    static const struct {
        const char *zone;
        double hours;
    } zones[] = {{"UTC", 0}, {"EST5", 5}, {"IST-5:30", -5.5}, {"NST3:30", 3.5}};

    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        setenv("TZ", zones[i].zone, 1);
        tzset();
        assert_float_equal(cel_event_utcoffset(), zones[i].hours, 0);
    }
    in_utc();
}

static void test_zone_changes(void **state)
{
    struct cel_event_source s = {0};

    in_utc();
    assert_int_equal(cel_event_source_init(&s, "h", 7), CELERY_OK);
    setenv("TZ", "EST5", 1);
    tzset();
    cel_event_source_refresh(&s);
    assert_string_equal(
        cel_buf_cstr(&s.prefix),
        "{\"hostname\": \"h\", \"utcoffset\": 5, \"pid\": 7, \"clock\": ");
    setenv("TZ", "IST-5:30", 1);
    tzset();
    cel_event_source_refresh(&s);
    assert_string_equal(
        cel_buf_cstr(&s.prefix),
        "{\"hostname\": \"h\", \"utcoffset\": -5.5, \"pid\": 7, \"clock\": ");
    cel_event_source_fini(&s);
    in_utc();
}

static void test_routing_key(void **state)
{
    char key[CEL_EVENT_TYPE_MAX];
    char large[CEL_EVENT_TYPE_MAX + 1];

    assert_true(cel_event_routing_key("worker-elect-ack", key));
    assert_string_equal(key, "worker.elect.ack");
    assert_true(cel_event_routing_key("task-multi", key));
    assert_string_equal(key, "task.multi");
    memset(large, 'a', sizeof large);
    large[CEL_EVENT_TYPE_MAX] = 0;
    assert_false(cel_event_routing_key(large, key));
    large[CEL_EVENT_TYPE_MAX - 1] = 0;
    assert_true(cel_event_routing_key(large, key));
    assert_false(cel_event_routing_key("", key));
    assert_false(cel_event_routing_key(NULL, key));
}

static void test_envelope(void **state)
{
    struct cel_envelope *env = NULL;
    struct cel_buf headers = {0};
    celery_error err;

    assert_int_equal(cel_event_envelope("w1@vm", CEL_SLICE("[" REVOKED "]"),
                                        &cel_codec_json, "celeryev", "task.multi", &env,
                                        &err),
                     CELERY_OK);
    assert_true(cel_slice_is(env->body, "[" REVOKED "]"));
    assert_true(cel_slice_is(env->content_type, "application/json"));
    assert_true(cel_slice_is(env->content_encoding, "utf-8"));
    assert_true(cel_slice_is(env->exchange, "celeryev"));
    assert_true(cel_slice_is(env->routing_key, "task.multi"));
    assert_int_equal(env->delivery_mode, 1);
    assert_int_equal(env->priority, 0);
    assert_true(env->optional);
    assert_null(env->correlation_id.data);
    assert_null(env->reply_to.data);
    cel_json_write(&headers, env->headers);
    assert_text(&headers, "{\"hostname\": \"w1@vm\"}");
    cel_buf_fini(&headers);
    cel_envelope_free(env);
}

static void test_envelope_of_another_serializer(void **state)
{
    const struct cel_codec *codec = cel_codec_find(CEL_SLICE("yaml"));
    const struct cel_call_limits accept = {
        .accept = (const char *const[]){"yaml", NULL},
    };
    struct cel_event_batch batch;
    struct cel_envelope *env = NULL;
    struct cel_event e;
    celery_error err;

    if (!codec) {
        skip();
    }
    assert_int_equal(cel_event_envelope("h", CEL_SLICE(REVOKED), codec, "celeryev",
                                        "task.revoked", &env, &err),
                     CELERY_OK);
    assert_int_equal(cel_event_read(env, &accept, &batch, &err), CELERY_OK);
    assert_true(cel_event_next(&batch, &e));
    assert_true(cel_slice_is(e.type, "task-revoked"));
    cel_envelope_free(env);
}

static void test_exchange(void **state)
{
    struct cel_queue_step step;
    struct cel_queue q;

    cel_event_exchange(&q, "celeryev", false);
    assert_true(cel_queue_step(&q, 0, &step));
    assert_int_equal(step.kind, CEL_DECLARE_EXCHANGE);
    assert_string_equal(step.name, "celeryev");
    assert_string_equal(step.type, "topic");
    assert_true(step.durable);
    assert_false(step.auto_delete);
    assert_false(cel_queue_step(&q, 1, &step));
    cel_event_exchange(&q, "celeryev", true);
    assert_true(cel_queue_step(&q, 0, &step));
    assert_string_equal(step.type, "fanout");
}

/* ---- reading ---- */

static struct cel_envelope *message(const char *body)
{
    struct cel_envelope *env = cel_envelope_new();

    assert_non_null(env);
    env->content_type = CEL_SLICE("application/json");
    env->content_encoding = CEL_SLICE("utf-8");
    env->body = cel_slice_of(body);
    return env;
}

static void test_reads_both_shapes(void **state)
{
    struct cel_envelope *env = message("[" RECEIVED ", 7, {}, " SUCCEEDED "]");
    struct cel_event_batch batch;
    struct cel_event e;
    celery_error err;

    assert_int_equal(cel_event_read(env, &limits, &batch, &err), CELERY_OK);
    assert_true(cel_event_next(&batch, &e));
    assert_true(cel_slice_is(e.type, "task-received"));
    assert_true(cel_slice_is(e.hostname, "w1@vm"));
    assert_true(cel_slice_is(e.uuid, "6052dfd6-1113-4336-84af-87692578a58b"));
    assert_int_equal(e.clock, 10);
    assert_int_equal(e.pid, 25687);
    assert_true(e.timestamp > 1795352798.83 && e.timestamp < 1795352798.84);
    assert_true(cel_slice_is(cel_node_text(cel_node_get(e.fields, CEL_SLICE("name"))),
                             "t.retry"));
    assert_true(cel_event_next(&batch, &e));
    assert_true(cel_slice_is(e.type, "task-succeeded"));
    assert_false(cel_event_next(&batch, &e));
    assert_false(cel_event_next(&batch, &e));
    cel_envelope_free(env);

    env = message(ONLINE);
    assert_int_equal(cel_event_read(env, &limits, &batch, &err), CELERY_OK);
    assert_true(cel_event_next(&batch, &e));
    assert_true(cel_slice_is(e.type, "worker-online"));
    assert_null(e.uuid.data);
    assert_false(cel_event_next(&batch, &e));
    cel_envelope_free(env);
}

static void test_reads_anything(void **state)
{
    static const char *const none[] = {"[]", "[[]]", "{}", "{\"type\": 3}",
                                       "{\"type\": \"\"}"};
    static const char *const wrong[] = {"", "7", "\"x\"", "null", "[", "{\"type\""};
    struct cel_event_batch batch;
    struct cel_event e;
    celery_error err;

    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct cel_envelope *env = message(none[i]);
        assert_int_equal(cel_event_read(env, &limits, &batch, &err), CELERY_OK);
        assert_false(cel_event_next(&batch, &e));
        cel_envelope_free(env);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct cel_envelope *env = message(wrong[i]);
        assert_int_equal(cel_event_read(env, &limits, &batch, &err), CELERY_EMESSAGE);
        assert_false(cel_event_next(&batch, &e));
        cel_envelope_free(env);
    }
    struct cel_envelope *env = message("{}");
    env->content_type = CEL_SLICE("application/x-python-serialize");
    assert_int_equal(cel_event_read(env, &limits, &batch, &err), CELERY_ECONTENT);
    cel_envelope_free(env);
}

static void test_odd_fields(void **state)
{
    struct cel_envelope *env =
        message("{\"type\": \"t\", \"utcoffset\": -9223372036854775808, \"pid\": 1e300, "
                "\"clock\": 99999999999999999999, \"timestamp\": NaN, \"uuid\": 3}");
    struct cel_event_batch batch;
    struct cel_event e;
    celery_error err;

    assert_int_equal(cel_event_read(env, &limits, &batch, &err), CELERY_OK);
    assert_true(cel_event_next(&batch, &e));
    assert_int_equal(e.clock, 0);
    assert_int_equal(e.pid, 0);
    assert_null(e.uuid.data);
    (void)cel_event_time(&e);
    cel_envelope_free(env);
}

/* A sender in New York, read in Greenwich: both say what their clocks on the wall say. */
static void test_time_of_another_zone(void **state)
{
    in_utc();
    assert_true(cel_event_time(&(struct cel_event){.timestamp = 36000, .utcoffset = 5}) ==
                18000);
    assert_true(cel_event_time(&(struct cel_event){.timestamp = 36000}) == 36000);

    /* A float, as 5.7 writes it. */
    struct cel_envelope *env =
        message("{\"type\": \"t\", \"utcoffset\": -5.5, \"timestamp\": 36000.0}");
    struct cel_event_batch batch;
    struct cel_event e;
    assert_int_equal(cel_event_read(env, &limits, &batch, NULL), CELERY_OK);
    assert_true(cel_event_next(&batch, &e));
    assert_true(cel_event_time(&e) == 55800);
    cel_envelope_free(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_what_celery_writes),
        cmocka_unit_test(test_microseconds_as_seconds),
        cmocka_unit_test(test_clock_of_the_blind),
        cmocka_unit_test(test_full_buffer),
        cmocka_unit_test(test_utcoffset),
        cmocka_unit_test(test_zone_changes),
        cmocka_unit_test(test_routing_key),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_envelope_of_another_serializer),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_reads_both_shapes),
        cmocka_unit_test(test_reads_anything),
        cmocka_unit_test(test_odd_fields),
        cmocka_unit_test(test_time_of_another_zone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
