/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows of real Celery, limits, memory; more values are compared in tests/interop/test_pickle.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "codec/pickle.h"

static struct cel_arena arena;

static int reset(void **state)
{
    cel_arena_reset(&arena);
    return 0;
}

static struct cel_node *parse(const char *json)
{
    struct cel_node *n;
    celery_error err = {0};
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(json), NULL, &n, &err),
                     CELERY_OK);
    return n;
}

static struct cel_slice unhex(const char *hex)
{
    size_t len = strlen(hex) / 2;
    char *bytes = cel_arena_alloc(&arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        static const char digits[] = "0123456789abcdef";
        size_t high = (size_t)(strchr(digits, hex[2 * i]) - digits);
        size_t low = (size_t)(strchr(digits, hex[2 * i + 1]) - digits);
        bytes[i] = (char)(high << 4 | low);
    }
    return cel_slice(bytes, len);
}

static const char failure_row[] =
    "8005954b000000000000007d94288c086578635f74797065948c0a56616c75654572726f72948c0b65"
    "78635f6d657373616765948c036261649485948c0a6578635f6d6f64756c65948c086275696c74696e"
    "7394752e";
static const char failure_json[] =
    "{\"exc_type\": \"ValueError\", \"exc_message\": [\"bad\"], \"exc_module\": \"builtins\"}";

/* As SQLAlchemy's PickleType stored them in celery_taskmeta.result. */
static const struct {
    const char *json;
    const char *hex;
} rows[] = {
    {"\"\"", "80059504000000000000008c00942e"},
    {"\"Hello World\"", "8005950f000000000000008c0b48656c6c6f20576f726c64942e"},
    {"0", "80054b002e"},
    {"256", "80059504000000000000004d00012e"},
    {"-2147483649", "80059508000000000000008a05ffffff7fff2e"},
    {"1000000000000000000000000000000",
     "80059510000000000000008a0d00000040eaed7446d09c2c9f0c2e"},
    {"-0.0", "8005950a000000000000004780000000000000002e"},
    {"true", "8005882e"},
    {"[]", "80055d942e"},
    {"[1, 2, 3]", "8005950b000000000000005d94284b014b024b03652e"},
    {"{\"a\": 1}", "8005950a000000000000007d948c0161944b01732e"},
    {"[{\"key\": 1}, {\"key\": 2}]",
     "80059517000000000000005d94287d948c036b6579944b01737d9468024b0273652e"},
};

static void assert_bytes(const struct cel_buf *out, const char *hex)
{
    struct cel_slice expected = unhex(hex);
    assert_int_equal(out->len, expected.len);
    assert_memory_equal(out->data, expected.data, expected.len);
}

static void test_rows_of_celery(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cel_buf out = {0};
        struct cel_node *n;
        celery_error err = {0};
        assert_int_equal(cel_pickle_write(&out, parse(rows[i].json), &err), CELERY_OK);
        assert_bytes(&out, rows[i].hex);
        assert_int_equal(cel_pickle_read(&arena, cel_buf_slice(&out), NULL, &n, &err),
                         CELERY_OK);
        assert_true(cel_node_equal(n, parse(rows[i].json)));
        cel_buf_fini(&out);
    }
}

static void test_failure_has_a_tuple(void **state)
{
    struct cel_buf out = {0};
    struct cel_node *n;
    celery_error err = {0};
    assert_int_equal(cel_pickle_write_exception(&out, parse(failure_json), &err),
                     CELERY_OK);
    assert_bytes(&out, failure_row);
    cel_buf_fini(&out);
    assert_int_equal(cel_pickle_read(&arena, unhex(failure_row), NULL, &n, &err),
                     CELERY_OK);
    assert_true(cel_node_equal(cel_pickle_exception(&arena, n), parse(failure_json)));
}

static void test_exception_object_is_a_map(void **state)
{
    struct cel_node *n;
    celery_error err = {0};
    struct cel_slice bytes =
        unhex("80059527000000000000008c086275696c74696e73948c0a56616c75654572726f72"
              "9493948c03626164944b01869452942e");
    assert_int_equal(cel_pickle_read(&arena, bytes, NULL, &n, &err), CELERY_OK);
    n = cel_pickle_exception(&arena, n);
    assert_true(cel_node_equal(n, parse("{\"exc_type\": \"ValueError\", "
                                        "\"exc_message\": [\"bad\", 1], "
                                        "\"exc_module\": \"builtins\"}")));
    assert_null(cel_pickle_exception(&arena, parse("[1]")));
    assert_null(cel_pickle_group(&arena, parse("[1]")));
}

static void test_limits(void **state)
{
    static const struct cel_json_limits shallow = {.depth = 2};
    static const struct cel_json_limits few = {.elements = 3};
    struct cel_node *n;
    celery_error err = {0};
    struct cel_slice deep = CEL_SLICE("]]]aa.");
    struct cel_slice many = CEL_SLICE("](NNNe.");
    assert_int_equal(cel_pickle_read(&arena, deep, &shallow, &n, &err), CELERY_ELIMIT);
    assert_int_equal(cel_pickle_read(&arena, deep, NULL, &n, &err), CELERY_OK);
    assert_int_equal(cel_pickle_read(&arena, many, &few, &n, &err), CELERY_ELIMIT);
    assert_int_equal(cel_pickle_read(&arena, many, NULL, &n, &err), CELERY_OK);

    char digits[CEL_PICKLE_DIGITS + 2];
    memset(digits, '9', sizeof digits);
    digits[CEL_PICKLE_DIGITS + 1] = '\0';
    struct cel_buf out = {0};
    assert_int_equal(cel_pickle_write(&out, parse(digits), &err), CELERY_ELIMIT);
    cel_buf_fini(&out);
    cel_buf_init(&out, 20);
    assert_int_equal(cel_pickle_write(&out, parse("[1, 2, 3]"), &err), CELERY_ELIMIT);
    cel_buf_fini(&out);
}

/* One allocation after the other fails. */
static void test_out_of_memory(void **state)
{
    struct cel_node *document =
        parse("{\"a\": [1, \"b\", {\"long key of a map\": null}], "
              "\"n\": 1000000000000000000000}");
    celery_status status = CELERY_ENOMEM;
    for (unsigned long i = 1; status != CELERY_OK; i++) {
        struct cel_buf out = {0};
        struct cel_arena a = {0};
        struct cel_node *n;
        celery_error err = {0};
        assert_true(i < 200);
        cel_alloc_fail_at(i, 1);
        status = cel_pickle_write(&out, document, &err);
        if (status == CELERY_OK) {
            status = cel_pickle_read(&a, cel_buf_slice(&out), NULL, &n, &err);
        }
        cel_alloc_fail_at(0, 0);
        assert_true(status == CELERY_OK || status == CELERY_ENOMEM);
        cel_buf_fini(&out);
        cel_arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows_of_celery, reset),
        cmocka_unit_test_setup(test_failure_has_a_tuple, reset),
        cmocka_unit_test_setup(test_exception_object_is_a_map, reset),
        cmocka_unit_test_setup(test_limits, reset),
        cmocka_unit_test_setup(test_out_of_memory, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cel_arena_fini(&arena);
    return failed;
}
