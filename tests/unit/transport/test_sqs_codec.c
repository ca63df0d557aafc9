/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "transport/sqs_codec.h"

static const char envelope[] =
    "{\"body\": \"W10=\", \"content-encoding\": \"utf-8\", \"content-type\": "
    "\"application/json\", \"headers\": {\"task\": \"t\"}, \"properties\": "
    "{\"body_encoding\": \"base64\", \"delivery_info\": {\"exchange\": \"\", "
    "\"routing_key\": \"q\"}, \"delivery_tag\": \"d\"}}";

static void check(const char *body, bool base64, const char *text)
{
    struct cel_buf out = {0};

    assert_int_equal(cel_sqs_is_base64(cel_slice_of(body), &out), base64);
    if (base64) {
        assert_true(cel_slice_is(cel_buf_slice(&out), text));
    }
    cel_buf_fini(&out);
}

static void test_bodies(void **state)
{
    check("aGVsbG8=", true, "hello");
    check("aGVsbG8h", true, "hello!");
    check("aGVsbG8hIQ==", true, "hello!!");
    check("aGVsbG8", false, NULL);    /* no padding */
    check("aGVsbG9=", false, NULL);   /* stray bits */
    check("aGVs\nbG8=", false, NULL); /* what b64decode() would skip */
    check("/////w==", false, NULL);   /* no UTF-8 */
    check("", false, NULL);
    check("{\"a\": 1}", false, NULL);
    check("====", false, NULL);
}

static struct cel_envelope *read(const char *body, celery_status wanted, bool base64)
{
    struct cel_envelope *env = NULL;
    celery_error err = {0};
    bool was = !base64;

    assert_int_equal(cel_sqs_envelope_read(cel_slice_of(body), &env, &was, &err), wanted);
    assert_int_equal(was, base64);
    assert_non_null(env);
    return env;
}

static void test_both_forms_are_read(void **state)
{
    struct cel_buf text = {0};
    struct cel_envelope *env = read(envelope, CELERY_OK, false);

    assert_true(cel_slice_is(env->body, "[]"));
    cel_envelope_free(env);
    cel_base64_append(&text, envelope, strlen(envelope));
    env = read(cel_buf_cstr(&text), CELERY_OK, true);
    assert_true(cel_slice_is(env->body, "[]"));
    assert_true(cel_slice_is(env->raw, envelope));
    cel_envelope_free(env);
    cel_buf_fini(&text);
}

static void test_the_tag_is_the_services_affair(void **state)
{
    struct cel_envelope *env =
        read("{\"body\": \"W10=\", \"headers\": {}, \"properties\": {\"body_encoding\": "
             "\"base64\", \"delivery_info\": {}}}",
             CELERY_OK, false);

    assert_true(cel_slice_is(env->body, "[]"));
    cel_envelope_free(env);
}

static void test_what_is_no_envelope_keeps_its_bytes(void **state)
{
    static const char *const bad[] = {"no json", "[]", "{}", "{\"properties\": {}}",
                                      "{\"properties\": {\"delivery_info\": 1}}"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cel_envelope *env = read(bad[i], CELERY_EMESSAGE, false);

        assert_true(cel_slice_is(env->raw, bad[i]));
        cel_envelope_free(env);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_both_forms_are_read),
        cmocka_unit_test(test_the_tag_is_the_services_affair),
        cmocka_unit_test(test_what_is_no_envelope_keeps_its_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
