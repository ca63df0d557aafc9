/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ageset.h"

static void test_members_expire(void **state)
{
    struct cel_ageset *s = cel_ageset_new(10, 60);
    cel_ageset_add(s, CEL_SLICE("a"), 0);
    cel_ageset_add(s, CEL_SLICE("b"), 30);
    assert_true(cel_ageset_has(s, CEL_SLICE("a"), 59));
    assert_false(cel_ageset_has(s, CEL_SLICE("a"), 60));
    assert_true(cel_ageset_has(s, CEL_SLICE("b"), 60));
    cel_ageset_add(s, CEL_SLICE("b"), 80);
    assert_true(cel_ageset_has(s, CEL_SLICE("b"), 130));
    assert_int_equal(cel_ageset_count(s), 1);
    cel_ageset_free(s);
}

static void test_the_oldest_make_room(void **state)
{
    struct cel_ageset *s = cel_ageset_new(2, 60);
    cel_ageset_add(s, CEL_SLICE("a"), 1);
    cel_ageset_add(s, CEL_SLICE("b"), 2);
    cel_ageset_add(s, CEL_SLICE("a"), 3);
    cel_ageset_add(s, CEL_SLICE("c"), 4);
    assert_false(cel_ageset_has(s, CEL_SLICE("b"), 4));
    void *at = NULL;
    struct cel_slice member;
    double added;
    assert_true(cel_ageset_next(s, &at, &member, &added));
    assert_true(cel_slice_is(member, "a") && added == 3);
    assert_true(cel_ageset_next(s, &at, &member, &added));
    assert_true(cel_slice_is(member, "c"));
    assert_false(cel_ageset_next(s, &at, &member, &added));
    cel_ageset_remove(s, CEL_SLICE("a"));
    cel_ageset_remove(s, CEL_SLICE("zz"));
    assert_int_equal(cel_ageset_count(s), 1);
    cel_ageset_free(s);
    assert_null(cel_ageset_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_expire),
        cmocka_unit_test(test_the_oldest_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
