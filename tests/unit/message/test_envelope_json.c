/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "message/envelope_json.h"

#define TAG  "\"delivery_tag\": \"4f1b\""
#define INFO "\"delivery_info\": {\"exchange\": \"\", \"routing_key\": \"celery\"}"
#define ENVELOPE                                                                   \
    "{\"body\": \"W10=\", \"content-encoding\": \"utf-8\", "                       \
    "\"content-type\": \"application/json\", \"headers\": {\"task\": \"a\"}, "     \
    "\"properties\": {\"correlation_id\": \"c\", \"reply_to\": \"r\", "            \
    "\"delivery_mode\": 2, \"expiration\": \"60000\", " INFO ", \"priority\": 3, " \
    "\"body_encoding\": \"base64\", " TAG "}}"

static void test_read_finds_every_field(void **state)
{
    (void)state;
    struct cel_envelope *env = NULL;
    assert_int_equal(cel_envelope_read(CEL_SLICE(ENVELOPE), &env, NULL), CELERY_OK);
    assert_true(cel_slice_is(env->raw, ENVELOPE));
    assert_true(cel_slice_is(env->body, "[]"));
    assert_true(cel_slice_is(env->content_type, "application/json"));
    assert_true(cel_slice_is(env->content_encoding, "utf-8"));
    assert_true(cel_slice_is(env->correlation_id, "c"));
    assert_true(cel_slice_is(env->reply_to, "r"));
    assert_true(cel_slice_is(env->expiration, "60000"));
    assert_true(cel_slice_is(env->delivery_tag, "4f1b"));
    assert_true(cel_slice_is(env->exchange, ""));
    assert_true(cel_slice_is(env->routing_key, "celery"));
    assert_int_equal(env->priority, 3);
    assert_int_equal(env->delivery_mode, 2);
    assert_false(env->redelivered);
    assert_false(env->body_plain);
    cel_envelope_free(env);
}

static void test_read_allocates_once(void **state)
{
    (void)state;
    struct cel_envelope *env = NULL;
    cel_alloc_fail_at(0, 0);
    assert_int_equal(cel_envelope_read(CEL_SLICE(ENVELOPE), &env, NULL), CELERY_OK);
    assert_int_equal(cel_alloc_count(), 1);
    cel_envelope_free(env);
}

static void test_write_gives_what_was_read(void **state)
{
    (void)state;
    struct cel_envelope *env = NULL;
    struct cel_buf out = {0};
    assert_int_equal(cel_envelope_read(CEL_SLICE(ENVELOPE), &env, NULL), CELERY_OK);
    assert_int_equal(cel_envelope_write(&out, env), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), ENVELOPE);
    cel_buf_fini(&out);
    cel_envelope_free(env);
}

static void test_write_redelivered_marks_both_places(void **state)
{
    (void)state;
    struct cel_envelope *env = NULL;
    struct cel_buf out = {0};
    const char *raw =
        "{\"body\": \"\", \"x\": 1, \"headers\": {\"n\": 1, \"task\": \"a\"}, "
        "\"properties\": {" INFO ", " TAG "}}";
    assert_int_equal(cel_envelope_read(cel_slice_of(raw), &env, NULL), CELERY_OK);
    assert_int_equal(cel_envelope_write_redelivered(&out, env, "n", 2), CELERY_OK);
    assert_string_equal(
        cel_buf_cstr(&out),
        "{\"body\": \"\", \"x\": 1, \"headers\": {\"n\": 2, \"task\": \"a\", "
        "\"redelivered\": true}, \"properties\": {\"delivery_info\": {\"exchange\": \"\", "
        "\"routing_key\": \"celery\", \"redelivered\": true}, " TAG "}}");
    cel_envelope_free(env);

    env = NULL;
    struct cel_buf again = {0};
    assert_int_equal(cel_envelope_read(cel_buf_slice(&out), &env, NULL), CELERY_OK);
    assert_true(env->redelivered);
    assert_int_equal(cel_envelope_write_redelivered(&again, env, NULL, 0), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&again), cel_buf_cstr(&out));
    cel_buf_fini(&again);
    cel_buf_fini(&out);
    cel_envelope_free(env);
}

static void test_write_redelivered_makes_missing_headers(void **state)
{
    (void)state;
    struct cel_envelope *env = NULL;
    struct cel_buf out = {0};
    const char *raw = "{\"properties\": {" INFO ", " TAG "}}";
    assert_int_equal(cel_envelope_read(cel_slice_of(raw), &env, NULL), CELERY_OK);
    assert_int_equal(cel_envelope_write_redelivered(&out, env, "deaths", 1), CELERY_OK);
    assert_non_null(strstr(cel_buf_cstr(&out),
                           "\"headers\": {\"redelivered\": true, \"deaths\": 1}"));
    cel_buf_fini(&out);
    cel_envelope_free(env);
}

static void test_plain_body_stays_plain(void **state)
{
    (void)state;
    static const char *const encodings[] = {"", "\"body_encoding\": null, ",
                                            "\"body_encoding\": \"utf-8\", "};
    for (size_t i = 0; i < 3; i++) {
        struct cel_envelope *env = NULL;
        struct cel_buf raw = {0}, out = {0};
        assert_int_equal(cel_buf_addf(&raw,
                                      "{\"body\": \"[1]\", \"properties\": {%s%s, %s}}",
                                      encodings[i], INFO, TAG),
                         CELERY_OK);
        assert_int_equal(cel_envelope_read(cel_buf_slice(&raw), &env, NULL), CELERY_OK);
        assert_true(env->body_plain);
        assert_true(cel_slice_is(env->body, "[1]"));
        assert_int_equal(cel_envelope_write(&out, env), CELERY_OK);
        assert_non_null(strstr(cel_buf_cstr(&out), "{\"body\": \"[1]\", "));
        assert_non_null(strstr(cel_buf_cstr(&out), "\"body_encoding\": null, "));
        cel_buf_fini(&out);
        cel_buf_fini(&raw);
        cel_envelope_free(env);
    }
}

static void test_malformed_keeps_raw_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *why;
    } cases[] = {
        {"", "not JSON"},
        {"not json", "not JSON"},
        {"7", "no map"},
        {"[]", "no map"},
        {"{}", "no properties"},
        {"{\"properties\": 1}", "no properties"},
        {"{\"properties\": {" INFO "}}", "no delivery_tag"},
        {"{\"properties\": {" INFO ", \"delivery_tag\": 7}}", "no delivery_tag"},
        {"{\"properties\": {" INFO ", \"delivery_tag\": \"\\ud800\"}}", "delivery_tag"},
        {"{\"properties\": {" TAG "}}", "no delivery_info"},
        {"{\"properties\": {\"delivery_info\": [], " TAG "}}", "no delivery_info"},
        {"{\"headers\": [1], \"properties\": {" INFO ", " TAG "}}", "headers"},
        {"{\"body\": {}, \"properties\": {" INFO ", " TAG "}}", ""},
        {"{\"body\": 7, \"properties\": {" INFO ", " TAG "}}", "body is no text"},
        {"{\"body\": \"abc\", \"properties\": {\"body_encoding\": \"base64\", " INFO
         ", " TAG "}}",
         "not base64"},
        {"{\"body\": \"abc\", \"properties\": {\"body_encoding\": \"rot13\", " INFO
         ", " TAG "}}",
         "body_encoding"},
        {"{\"content-type\": [], \"properties\": {" INFO ", " TAG "}}", "content type"},
        {"{\"properties\": {\"reply_to\": {}, " INFO ", " TAG "}}", "property"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cel_envelope *env = NULL;
        celery_error err = {0};
        celery_status st = cel_envelope_read(cel_slice_of(cases[i].raw), &env, &err);
        assert_non_null(env);
        assert_true(cel_slice_is(env->raw, cases[i].raw));
        if (*cases[i].why &&
            (st != CELERY_EMESSAGE || !strstr(err.message, cases[i].why))) {
            fail_msg("%s: %d %s", cases[i].raw, st, err.message);
        }
        cel_envelope_free(env);
    }
}

static void test_false_headers_are_none(void **state)
{
    (void)state;
    static const char *const values[] = {"null", "[]", "\"\"", "0", "false", "{}"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct cel_envelope *env = NULL;
        struct cel_buf raw = {0};
        assert_int_equal(cel_buf_addf(&raw, "{\"headers\": %s, \"properties\": {%s, %s}}",
                                      values[i], INFO, TAG),
                         CELERY_OK);
        assert_int_equal(cel_envelope_read(cel_buf_slice(&raw), &env, NULL), CELERY_OK);
        assert_null(cel_node_first(env->headers));
        cel_buf_fini(&raw);
        cel_envelope_free(env);
    }
}

static void test_read_survives_failing_memory(void **state)
{
    (void)state;
    for (unsigned long n = 1; n < 20; n++) {
        struct cel_envelope *env = NULL;
        cel_alloc_fail_at(n, 1);
        celery_status st = cel_envelope_read(CEL_SLICE(ENVELOPE), &env, NULL);
        cel_alloc_fail_at(0, 0);
        if (st == CELERY_OK) {
            cel_envelope_free(env);
            return;
        }
        assert_int_equal(st, CELERY_ENOMEM);
        assert_null(env);
    }
    fail_msg("still out of memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_finds_every_field),
        cmocka_unit_test(test_read_allocates_once),
        cmocka_unit_test(test_write_gives_what_was_read),
        cmocka_unit_test(test_write_redelivered_marks_both_places),
        cmocka_unit_test(test_write_redelivered_makes_missing_headers),
        cmocka_unit_test(test_plain_body_stays_plain),
        cmocka_unit_test(test_malformed_keeps_raw_and_says_why),
        cmocka_unit_test(test_false_headers_are_none),
        cmocka_unit_test(test_read_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
