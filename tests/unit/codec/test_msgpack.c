/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits, extensions and keys; values are compared with Python in tests/wire/serialization. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "codec/msgpack.h"

static struct cel_arena arena;

static int reset(void **state)
{
    cel_arena_reset(&arena);
    return 0;
}

#define BYTES(literal) (literal), sizeof(literal) - 1

static celery_status read_bytes(struct cel_slice bytes,
                                const struct cel_json_limits *limits, struct cel_node **n,
                                celery_error *err)
{
    char *copy = test_malloc(bytes.len + 1);
    memcpy(copy, bytes.data, bytes.len);
    celery_status status =
        cel_msgpack_read(&arena, cel_slice(copy, bytes.len), limits, n, err);
    if (status == CELERY_OK) {
        *n = cel_node_copy(&arena, *n);
    }
    test_free(copy);
    return status;
}

static void test_values_become_documents(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *json;
    } cases[] = {
        {BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615"},
        {BYTES("\xd3\x80\0\0\0\0\0\0\0"), "-9223372036854775808"},
        {BYTES("\xca\x3f\xc0\0\0"), "1.5"},
        {BYTES("\xc4\x02\xff\0"), "{\"__type__\": \"base64\", \"__value__\": \"/wA=\"}"},
        {BYTES("\x83\x01\xa1"
               "a\xc3\xa1"
               "b\xc4\x01k\xc0"),
         "{\"1\": \"a\", \"true\": \"b\", \"k\": null}"},
        {BYTES("\x82\xa1"
               "a\x01\xa1"
               "a\x02"),
         "{\"a\": 2}"},
        {BYTES("\xd6\xff\0\0\0\x01"),
         "{\"__type__\": \"datetime\", \"__value__\": \"1970-01-01T00:00:01+00:00\"}"},
        {BYTES("\xd7\xff\x1d\xcd\x65\0\0\0\0\x01"),
         "{\"__type__\": \"datetime\", \"__value__\": \"1970-01-01T00:00:01.125000+00:00\"}"},
        {BYTES("\xc7\x0c\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"),
         "{\"__type__\": \"datetime\", \"__value__\": \"1969-12-31T23:59:59+00:00\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cel_node *n;
        celery_error err = {0};
        struct cel_buf out = {0};
        if (read_bytes(cel_slice(cases[i].bytes, cases[i].len), NULL, &n, &err) < 0) {
            fail_msg("%s: %s", cases[i].json, err.message);
        }
        cel_json_write(&out, n);
        assert_string_equal(cel_buf_cstr(&out), cases[i].json);
        cel_buf_fini(&out);
    }
}

static void test_malformed_bytes_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {BYTES(""), "not msgpack: incomplete at byte 0"},
        {BYTES("\xc1"), "not msgpack: unused format at byte 1"},
        {BYTES("\x01\x01"), "not msgpack: extra data at byte 1"},
        {BYTES("\xa2x"), "not msgpack: incomplete at byte 1"},
        {BYTES("\xa1\xff"), "not msgpack: invalid UTF-8 in a string at byte 2"},
        {BYTES("\xdb\xff\xff\xff\xff"), "not msgpack: incomplete at byte 5"},
        {BYTES("\xdd\xff\xff\xff\xff"), "not msgpack: incomplete at byte 5"},
        {BYTES("\xdf\xff\xff\xff\xff"), "not msgpack: incomplete at byte 5"},
        {BYTES("\xd4\x01\0"), "not msgpack: unknown extension type at byte 3"},
        {BYTES("\xd4\xff\0"), "not msgpack: unknown extension type at byte 3"},
        {BYTES("\xd7\xff\xff\xff\xff\xff\0\0\0\0"),
         "not msgpack: unknown extension type at byte 10"},
        {BYTES("\x81\x90\x01"), "not msgpack: key that is an array or a map at byte 2"},
        {BYTES("\x81\xc4\x01\xff\x01"),
         "not msgpack: key of bytes that are not UTF-8 at byte 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cel_node *n;
        celery_error err = {0};
        assert_int_equal(
            read_bytes(cel_slice(cases[i].bytes, cases[i].len), NULL, &n, &err),
            CELERY_EMESSAGE);
        assert_string_equal(err.message, cases[i].text);
    }
}

static void test_limits_hold(void **state)
{
    struct cel_node *n;
    char deep[2000];
    memset(deep, 0x91, sizeof deep);
    assert_int_equal(read_bytes(cel_slice(deep, sizeof deep), NULL, &n, NULL),
                     CELERY_ELIMIT);
    deep[1000] = (char)0xc0;
    assert_int_equal(read_bytes(cel_slice(deep, 1001), NULL, &n, NULL), CELERY_OK);
    struct cel_json_limits limits = {.elements = 3};
    assert_int_equal(read_bytes(CEL_SLICE("\x92\x01\x02"), &limits, &n, NULL), CELERY_OK);
    assert_int_equal(read_bytes(CEL_SLICE("\x93\x01\x02\x03"), &limits, &n, NULL),
                     CELERY_ELIMIT);
}

static void test_what_packb_refuses_is_refused(void **state)
{
    static const char *const cases[] = {"18446744073709551616", "-9223372036854775809",
                                        "[\"\\ud800\"]", "{\"\\udfff\": 1}"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cel_node *n;
        struct cel_buf out = {0};
        celery_error err = {0};
        cel_json_parse(&arena, cel_slice_of(cases[i]), NULL, &n, NULL);
        assert_int_equal(cel_msgpack_write(&out, n, &err), CELERY_EMESSAGE);
        assert_true(err.message[0] != '\0');
        cel_buf_fini(&out);
    }
}

static void test_each_allocation_may_fail(void **state)
{
    const char bytes[] = "\x92\x81\x01\xd6\xff\0\0\0\x01\xcb\0\0\0\0\0\0\0\0";
    for (unsigned long nth = 1;; nth++) {
        struct cel_arena a = {0};
        struct cel_node *n;
        cel_alloc_fail_at(nth, 0);
        celery_status status = cel_msgpack_read(&a, CEL_SLICE(bytes), NULL, &n, NULL);
        cel_alloc_fail_at(0, 0);
        cel_arena_fini(&a);
        if (status == CELERY_OK) {
            assert_true(nth > 1);
            return;
        }
        assert_int_equal(status, CELERY_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_values_become_documents, reset),
        cmocka_unit_test_setup(test_malformed_bytes_are_refused, reset),
        cmocka_unit_test_setup(test_limits_hold, reset),
        cmocka_unit_test_setup(test_what_packb_refuses_is_refused, reset),
        cmocka_unit_test_setup(test_each_allocation_may_fail, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_arena_fini(&arena);
    return failed;
}
