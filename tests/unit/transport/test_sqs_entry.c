/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/iso8601.h"
#include "message/envelope_json.h"
#include "transport/sqs_entry.h"

#include <stdio.h>

static struct cel_sqs sqs;
static struct cel_sqs_queue queue;
static const struct cel_sqs_extra nothing;

static struct cel_envelope *message(const char *headers, const char *properties)
{
    struct cel_envelope *env = cel_envelope_new();
    struct cel_node *node = NULL;

    env->content_type = CEL_SLICE("application/json");
    env->content_encoding = CEL_SLICE("utf-8");
    env->body = CEL_SLICE("[]");
    assert_int_equal(
        cel_json_parse(&env->arena, cel_slice_of(headers), NULL, &node, NULL), 0);
    env->headers = node;
    assert_int_equal(
        cel_json_parse(&env->arena, cel_slice_of(properties), NULL, &node, NULL), 0);
    env->properties = node;
    return env;
}

static void dedup(const char *headers, char text[CEL_SQS_DEDUP_SIZE])
{
    struct cel_envelope *env = message(headers, "{}");

    cel_sqs_dedup(env, text);
    cel_envelope_free(env);
}

static void test_what_is_repeated_has_the_same_id(void **state)
{
    char a[CEL_SQS_DEDUP_SIZE], b[CEL_SQS_DEDUP_SIZE];

    dedup("{\"id\": \"x\", \"retries\": 0, \"origin\": \"gen1@h\"}", a);
    dedup("{\"id\": \"x\", \"retries\": 0, \"origin\": \"gen2@h\"}", b);
    assert_string_equal(a, b);
    assert_memory_equal(a, "x-", 2);
    dedup("{\"id\": \"x\", \"retries\": 1, \"origin\": \"gen1@h\"}", b);
    assert_string_not_equal(a, b);
    dedup("{\"id\": \"y\", \"retries\": 0, \"origin\": \"gen1@h\"}", b);
    assert_string_not_equal(a, b);
    dedup("{\"id\": \"a b\\u00e9\"}", b);
    assert_memory_equal(b, "a_b__-", 6);
}

static int64_t delay(double eta, double now)
{
    char iso[CEL_ISO8601_SIZE], headers[100];

    cel_iso8601_format((int64_t)(eta * 1e6), CEL_ISO_OFFSET, iso);
    snprintf(headers, sizeof headers, "{\"eta\": \"%s\"}", iso);
    struct cel_envelope *env = message(headers, "{}");
    int64_t seconds = cel_sqs_delay(env, now);
    cel_envelope_free(env);
    return seconds;
}

static void test_delays(void **state)
{
    struct cel_envelope *env = message("{\"eta\": null}", "{}");

    assert_int_equal(cel_sqs_delay(env, 1e9), 0);
    cel_envelope_free(env);
    assert_int_equal(delay(1000000010.5, 1e9), 10);
    assert_int_equal(delay(1000000000.5, 1e9), 0);
    assert_int_equal(delay(999999999, 1e9), 0);
    assert_int_equal(delay(1000000900, 1e9), 900);
    assert_int_equal(delay(1000000901, 1e9), 0); /* too long: held by who gets it */
}

static char *write(const char *headers, const char *properties, celery_status wanted)
{
    struct cel_envelope *env = message(headers, properties);
    struct cel_buf out = {0}, text = {0};
    celery_error err = {0};
    struct cel_sqs_digests digests;

    assert_int_equal(
        cel_sqs_entry_write(&out, &text, &queue, 3, env, &nothing, &digests, &err),
        wanted);
    cel_buf_fini(&text);
    cel_envelope_free(env);
    if (wanted < 0) {
        cel_buf_fini(&out);
        return NULL;
    }
    return cel_buf_steal(&out);
}

static void set_up(bool fifo, bool plain)
{
    static char name[] = "q", fifo_name[] = "q.fifo";

    sqs.set.plain = plain;
    queue = (struct cel_sqs_queue){
        .s = &sqs, .sqs_name = fifo ? fifo_name : name, .fifo = fifo};
    queue.max_bytes = CEL_SQS_MAX_BYTES;
}

static void test_entries(void **state)
{
    char *text;

    set_up(false, false);
    text = write("{}", "{}", CELERY_OK);
    assert_memory_equal(text, "{\"Id\": \"3\", \"MessageBody\": \"eyJib2R5IjogIl", 40);
    assert_null(strstr(text, "MessageGroupId"));
    assert_null(strstr(text, "DelaySeconds"));
    cel_free(text);
    text = write("{}", "{\"MessageGroupId\": \"g\", \"DelaySeconds\": 7}", CELERY_OK);
    assert_non_null(strstr(text, "\"MessageGroupId\": \"g\", \"DelaySeconds\": 7"));
    assert_null(strstr(text, "MessageDeduplicationId"));
    cel_free(text);
    set_up(true, true);
    text = write("{\"id\": \"x\"}", "{\"DelaySeconds\": 7}", CELERY_OK);
    assert_non_null(strstr(text, "\"MessageBody\": \"{\\\"body\\\": "));
    assert_non_null(strstr(text, "\"MessageGroupId\": \"default\", "
                                 "\"MessageDeduplicationId\": \"x-"));
    assert_null(strstr(text, "\"DelaySeconds\": 7}"));
    cel_free(text);
}

static void test_attributes_leave_the_message(void **state)
{
    char *text;

    set_up(false, true);
    text = write("{}",
                 "{\"message_attributes\": {\"a\": {\"DataType\": \"String\", "
                 "\"StringValue\": \"b\"}}}",
                 CELERY_OK);
    assert_non_null(strstr(text, "\"MessageAttributes\": {\"a\": {\"DataType\""));
    assert_null(strstr(text, "message_attributes"));
    cel_free(text);
}

static void test_what_is_too_large_is_refused(void **state)
{
    set_up(false, false);
    queue.max_bytes = 100;
    assert_null(write("{}", "{}", CELERY_ELIMIT));
}

/* kombu 5.7 Channel._resolve_delay_seconds; what FIFO queues get is no delay. */
static void test_delays_that_are_given(void **state)
{
    static const struct {
        const char *properties;
        const char *says; /* NULL: nothing */
    } rows[] = {
        {"{\"delay_seconds\": 8}", "\"DelaySeconds\": 8}"},
        {"{\"delay_seconds\": null, \"DelaySeconds\": 9}", "\"DelaySeconds\": 9}"},
        {"{\"delay_seconds\": 7, \"DelaySeconds\": 9}", "\"DelaySeconds\": 7}"},
        {"{\"DelaySeconds\": 5000}", "\"DelaySeconds\": 900}"},
        {"{\"DelaySeconds\": 1e9}", "\"DelaySeconds\": 900}"},
        {"{\"DelaySeconds\": 3.9}", "\"DelaySeconds\": 3}"},
        {"{\"DelaySeconds\": \"12\"}", "\"DelaySeconds\": 12}"},
        {"{\"DelaySeconds\": -1}", NULL},
        {"{\"DelaySeconds\": \"soon\"}", NULL},
        {"{\"DelaySeconds\": 0}", NULL},
    };

    set_up(false, false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = write("{}", rows[i].properties, CELERY_OK);

        if (rows[i].says) {
            assert_non_null(strstr(text, rows[i].says));
        } else {
            assert_null(strstr(text, ", \"DelaySeconds\""));
        }
        cel_free(text);
    }
}

/* At some length the closing quote moves the buffer. */
static void test_digests_are_of_what_is_sent(void **state)
{
    static char bytes[4000];
    struct cel_sqs_digests digests;
    char wanted[CEL_MD5_HEX];

    set_up(false, false);
    memset(bytes, 'x', sizeof bytes);
    for (size_t n = 1; n < sizeof bytes; n++) {
        struct cel_envelope env = {.raw = cel_slice(bytes, n), .written = true};
        struct cel_buf out = {0}, text = {0};
        celery_error err = {0};

        assert_int_equal(
            cel_sqs_entry_write(&out, &text, &queue, 3, &env, &nothing, &digests, &err),
            0);
        const char *body =
            strstr(cel_buf_cstr(&out), "Body\": \"") + strlen("Body\": \"");
        cel_md5_hex(cel_slice(body, CEL_BASE64_LEN(n)), wanted);
        assert_memory_equal(digests.body, wanted, sizeof wanted);
        assert_false(digests.has_attributes);
        cel_buf_fini(&text);
        cel_buf_fini(&out);
    }
}

static struct cel_node *read_map(struct cel_arena *a, const char *text)
{
    struct cel_node *map = NULL;

    assert_int_equal(cel_json_parse(a, cel_slice_of(text), NULL, &map, NULL), 0);
    return map;
}

static void test_md5_of_attributes(void **state)
{
    struct cel_arena a = {0};
    char md5[CEL_MD5_HEX];

    /* By Python's hashlib, after the manual. */
    assert_true(cel_sqs_attributes_md5(
        read_map(&a, "{\"b\": {\"DataType\": \"String\", \"StringValue\": \"\\u20ac\"}, "
                     "\"ab\": {\"DataType\": \"Binary.png\", \"BinaryValue\": \"AAEC\"}, "
                     "\"a\": {\"DataType\": \"Number.int\", \"StringValue\": \"42\"}}"),
        md5));
    assert_memory_equal(md5, "5fa21e79525936088b3228b75b4fe31c", CEL_MD5_HEX);

    /* And of what is sent: those of a letter. */
    const struct cel_sqs_extra letter = {.reason = "why", .from = "q"};
    struct cel_envelope *env = message("{}", "{}");
    struct cel_buf out = {0}, text = {0};
    struct cel_sqs_digests sent;
    celery_error err = {0};

    assert_int_equal(
        cel_sqs_entry_write(&out, &text, &queue, 3, env, &letter, &sent, &err), 0);
    const struct cel_node *entry = read_map(&a, cel_buf_cstr(&out));
    assert_true(
        cel_sqs_attributes_md5(cel_node_get(entry, CEL_SLICE("MessageAttributes")), md5));
    assert_true(sent.has_attributes);
    assert_memory_equal(sent.attributes, md5, CEL_MD5_HEX);
    cel_buf_fini(&text);
    cel_buf_fini(&out);
    cel_envelope_free(env);

    assert_false(cel_sqs_attributes_md5(read_map(&a, "{}"), md5));
    assert_false(cel_sqs_attributes_md5(NULL, md5));
    assert_false(cel_sqs_attributes_md5(
        read_map(&a, "{\"b\": {\"DataType\": \"String\", \"StringValue\": 3}}"), md5));
    assert_false(cel_sqs_attributes_md5(
        read_map(&a, "{\"b\": {\"DataType\": \"Binary\", \"StringValue\": \"x\"}}"),
        md5));
    cel_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests_are_of_what_is_sent),
        cmocka_unit_test(test_delays_that_are_given),
        cmocka_unit_test(test_what_is_repeated_has_the_same_id),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_attributes_leave_the_message),
        cmocka_unit_test(test_md5_of_attributes),
        cmocka_unit_test(test_what_is_too_large_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
