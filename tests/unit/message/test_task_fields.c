/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "message/task_fields.h"

static struct cel_arena arena;
static struct cel_task_call call;

static int teardown(void **state)
{
    (void)state;
    cel_arena_fini(&arena);
    return 0;
}

static celery_status read_fields(const char *json, celery_error *err)
{
    struct cel_json_limits limits = {0};
    struct cel_node *doc = NULL;
    cel_task_call_init(&call);
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(json), &limits, &doc, NULL),
                     CELERY_OK);
    return cel_task_fields_read(doc, &call, err);
}

static void test_every_field(void **state)
{
    (void)state;
    assert_int_equal(
        read_fields(
            "{\"task\": \"t\", \"id\": \"i\", \"shadow\": \"s\", \"eta\": "
            "\"1970-01-01T00:00:01\", \"expires\": \"1970-01-01T00:00:02Z\", "
            "\"group\": \"g\", \"group_index\": 4, \"retries\": 5, \"timelimit\": "
            "[6.5, 7], \"root_id\": \"r\", \"parent_id\": \"p\", \"argsrepr\": \"a\", "
            "\"kwargsrepr\": \"k\", \"origin\": \"o\", \"ignore_result\": true, "
            "\"replaced_task_nesting\": 8, \"stamped_headers\": [\"x\"], "
            "\"stamps\": {\"x\": 1}, \"compression\": \"c\", \"other\": 1}",
            NULL),
        CELERY_OK);
    assert_true(cel_slice_is(call.task, "t") && cel_slice_is(call.id, "i"));
    assert_true(cel_slice_is(call.shadow, "s") && cel_slice_is(call.group, "g"));
    assert_int_equal(call.eta_us, 1000000);
    assert_int_equal(call.expires_us, 2000000);
    assert_int_equal(call.group_index, 4);
    assert_int_equal(call.retries, 5);
    assert_true(call.time_limit == 6.5 && call.soft_time_limit == 7);
    assert_true(cel_slice_is(call.root_id, "r") && cel_slice_is(call.parent_id, "p"));
    assert_true(cel_slice_is(call.argsrepr, "a") && cel_slice_is(call.kwargsrepr, "k"));
    assert_true(cel_slice_is(call.origin, "o") && cel_slice_is(call.compression, "c"));
    assert_int_equal(call.ignore_result, CEL_YES);
    assert_int_equal(call.replaced_task_nesting, 8);
    assert_int_equal(call.stamped_headers->size, 1);
    assert_int_equal(call.stamps->size, 1);
}

static void test_null_is_absent(void **state)
{
    (void)state;
    assert_int_equal(
        read_fields(
            "{\"shadow\": null, \"eta\": null, \"expires\": null, \"group\": null, "
            "\"group_index\": null, \"retries\": null, \"timelimit\": null, "
            "\"ignore_result\": null, \"stamps\": null, \"compression\": null}",
            NULL),
        CELERY_OK);
    assert_null(call.shadow.data);
    assert_int_equal(call.eta_us, INT64_MIN);
    assert_int_equal(call.group_index, -1);
    assert_int_equal(call.retries, 0);
    assert_true(call.time_limit < 0);
    assert_int_equal(call.ignore_result, CEL_UNSET);
}

static void test_zero_limits_are_none(void **state)
{
    (void)state;
    static const char *const cases[] = {"[0, 0]", "[null, null]", "[]", "0",
                                        "[Infinity, 0]"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[64] = "{\"timelimit\": ";
        (void)strncat(json, cases[i], 30);
        (void)strncat(json, "}", 2);
        assert_int_equal(read_fields(json, NULL), CELERY_OK);
        assert_true(call.time_limit < 0 && call.soft_time_limit < 0);
    }
}

static void test_the_rest_is_read_in_spite_of_a_fault(void **state)
{
    (void)state;
    celery_error err = {0};
    assert_int_equal(
        read_fields("{\"retries\": \"x\", \"eta\": 3, \"id\": \"i\", \"task\": \"t\"}",
                    &err),
        CELERY_EMESSAGE);
    assert_string_equal(err.message, "retries is no count");
    assert_true(cel_slice_is(call.id, "i") && cel_slice_is(call.task, "t"));
}

static void test_taskset_is_the_group(void **state)
{
    (void)state;
    assert_int_equal(read_fields("{\"taskset\": \"g\"}", NULL), CELERY_OK);
    assert_true(cel_slice_is(call.group, "g"));
}

static void test_check(void **state)
{
    (void)state;
    char endless[CEL_ID_MAX + 2];
    memset(endless, 'x', sizeof endless);
    cel_task_call_init(&call);
    assert_int_equal(cel_task_fields_check(&call, NULL), CELERY_EMESSAGE);
    call.task = CEL_SLICE("t");
    assert_int_equal(cel_task_fields_check(&call, NULL), CELERY_EMESSAGE);
    call.id = CEL_SLICE("i");
    assert_int_equal(cel_task_fields_check(&call, NULL), CELERY_OK);
    call.task = cel_slice(endless, sizeof endless);
    assert_int_equal(cel_task_fields_check(&call, NULL), CELERY_EMESSAGE);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        T(test_every_field),          T(test_null_is_absent),
        T(test_zero_limits_are_none), T(test_the_rest_is_read_in_spite_of_a_fault),
        T(test_taskset_is_the_group), T(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
