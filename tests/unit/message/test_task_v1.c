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

static celery_status read_body(const char *json, celery_error *err)
{
    struct cel_json_limits limits = {0};
    struct cel_node *doc = NULL;
    cel_task_call_init(&call);
    assert_int_equal(cel_json_parse(&arena, cel_slice_of(json), &limits, &doc, NULL),
                     CELERY_OK);
    return cel_task_v1_body(&arena, doc, &call, err);
}

static void test_embed_has_four_members(void **state)
{
    (void)state;
    struct cel_buf out = {0};
    assert_int_equal(
        read_body("{\"args\": [1], \"kwargs\": {\"a\": 2}, \"callbacks\": [3], "
                  "\"chain\": [4], \"chord\": {\"task\": \"t\"}}",
                  NULL),
        CELERY_OK);
    assert_int_equal(call.args->size, 1);
    assert_int_equal(call.kwargs->size, 1);
    assert_int_equal(cel_json_write(&out, call.embed), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out),
                        "{\"callbacks\": [3], \"errbacks\": null, "
                        "\"chain\": null, \"chord\": {\"task\": \"t\"}}");
    cel_buf_fini(&out);
}

static void test_missing_arguments_are_none(void **state)
{
    (void)state;
    assert_int_equal(read_body("{}", NULL), CELERY_OK);
    assert_int_equal(call.args->size, 0);
    assert_int_equal(call.args->kind, CELERY_KIND_ARRAY);
    assert_int_equal(call.kwargs->kind, CELERY_KIND_OBJECT);
}

static void test_wrong_types_are_refused(void **state)
{
    (void)state;
    celery_error err = {0};
    assert_int_equal(read_body("{\"args\": \"ab\"}", &err), CELERY_EMESSAGE);
    assert_string_equal(err.message, "args is no list");
    assert_int_equal(read_body("{\"args\": [], \"kwargs\": null}", &err),
                     CELERY_EMESSAGE);
    assert_string_equal(err.message, "kwargs is no map");
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
    const struct CMUnitTest tests[] = {
        T(test_embed_has_four_members),
        T(test_missing_arguments_are_none),
        T(test_wrong_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
