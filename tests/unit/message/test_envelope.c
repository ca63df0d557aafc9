/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "message/envelope.h"

static void test_new_is_empty_and_persistent(void **state)
{
    (void)state;
    struct cel_envelope *env = cel_envelope_new();
    assert_non_null(env);
    assert_null(env->headers);
    assert_null(env->body.data);
    assert_int_equal(env->delivery_mode, 2);
    assert_null(cel_envelope_free(env));
    assert_null(cel_envelope_free(NULL));
}

static void test_sized_allocates_once(void **state)
{
    (void)state;
    struct cel_envelope *env = cel_envelope_new_sized(5000);
    assert_non_null(env);
    size_t used = env->arena.used;
    assert_non_null(cel_arena_alloc(&env->arena, 5000));
    assert_int_equal(env->arena.used, used);
    cel_envelope_free(env);
    assert_null(cel_envelope_new_sized(SIZE_MAX));
}

static void test_header_finds_by_name(void **state)
{
    (void)state;
    struct cel_envelope *env = cel_envelope_new();
    struct cel_node *headers = cel_node_new(&env->arena, CELERY_KIND_OBJECT);
    assert_int_equal(cel_node_put(&env->arena, headers, CEL_SLICE("id"),
                                  cel_node_new_string(&env->arena, CEL_SLICE("a"))),
                     CELERY_OK);
    assert_null(cel_envelope_header(env, CEL_SLICE("id")));
    env->headers = headers;
    assert_true(
        cel_slice_is(cel_node_text(cel_envelope_header(env, CEL_SLICE("id"))), "a"));
    assert_null(cel_envelope_header(env, CEL_SLICE("task")));
    assert_null(cel_envelope_header(NULL, CEL_SLICE("id")));
    cel_envelope_free(env);
}

static void check_properties(const struct cel_envelope *env, const char *want)
{
    struct cel_buf out = {0};
    assert_int_equal(cel_envelope_write_properties(&out, env), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&out), want);
    cel_buf_fini(&out);
}

static void test_properties_are_fields_and_the_rest(void **state)
{
    struct cel_envelope *env = cel_envelope_new();
    struct cel_node *rest = cel_node_new(&env->arena, CELERY_KIND_OBJECT);
    env->delivery_mode = 0;
    check_properties(env, "{\"priority\": 0}");
    env->content_type = CEL_SLICE("application/json");
    env->content_encoding = CEL_SLICE("utf-8");
    env->delivery_mode = 2;
    env->priority = 3;
    env->correlation_id = CEL_SLICE("c\n");
    env->reply_to = CEL_SLICE("r");
    env->expiration = CEL_SLICE("5");
    assert_int_equal(cel_node_put(&env->arena, rest, CEL_SLICE("app_id"),
                                  cel_node_new_string(&env->arena, CEL_SLICE("us"))),
                     CELERY_OK);
    env->properties = rest;
    check_properties(env, "{\"content_type\": \"application/json\", "
                          "\"content_encoding\": \"utf-8\", \"delivery_mode\": 2, "
                          "\"priority\": 3, \"correlation_id\": \"c\\n\", "
                          "\"reply_to\": \"r\", \"expiration\": \"5\", "
                          "\"app_id\": \"us\"}");
    /* As JSON has them: all are there already. */
    env->raw = CEL_SLICE("{}");
    check_properties(env, "{\"app_id\": \"us\"}");
    env->properties = NULL;
    check_properties(env, "{}");
    cel_envelope_free(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_is_empty_and_persistent),
        cmocka_unit_test(test_sized_allocates_once),
        cmocka_unit_test(test_header_finds_by_name),
        cmocka_unit_test(test_properties_are_fields_and_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
