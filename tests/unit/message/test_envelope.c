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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_is_empty_and_persistent),
        cmocka_unit_test(test_sized_allocates_once),
        cmocka_unit_test(test_header_finds_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
