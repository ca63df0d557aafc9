/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "transport/hold.h"

static void test_a_record_is_found_by_its_tag(void **state)
{
    struct cel_hold h;
    uint64_t tags[100];

    cel_hold_init(&h, sizeof(int));
    for (int i = 0; i < 100; i++) {
        int *item = cel_hold_add(&h, &tags[i]);

        assert_non_null(item);
        assert_int_equal(*item, 0);
        assert_int_not_equal(tags[i], 0);
        *item = i;
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(*(int *)cel_hold_get(&h, tags[i]), i);
    }
    assert_int_equal(h.count, 100);
    cel_hold_fini(&h);
}

static void test_an_old_tag_finds_nothing(void **state)
{
    struct cel_hold h;
    uint64_t first, second;

    cel_hold_init(&h, sizeof(int));
    cel_hold_add(&h, &first);
    cel_hold_remove(&h, first);
    cel_hold_remove(&h, first);
    assert_null(cel_hold_get(&h, first));
    cel_hold_add(&h, &second);
    assert_int_not_equal(first, second);
    assert_null(cel_hold_get(&h, first));
    assert_null(cel_hold_get(&h, 0));
    assert_null(cel_hold_get(&h, UINT64_MAX));
    assert_int_equal(h.count, 1);
    cel_hold_fini(&h);
}

static void test_walk_meets_each_once_and_may_remove(void **state)
{
    struct cel_hold h;
    uint64_t tag;
    size_t n = 0;

    cel_hold_init(&h, 24);
    for (int i = 0; i < 40; i++) {
        cel_hold_add(&h, &tag);
    }
    for (size_t at = 0; cel_hold_next(&h, &at, &tag); n++) {
        cel_hold_remove(&h, tag);
    }
    assert_int_equal(n, 40);
    assert_int_equal(h.count, 0);
    cel_hold_fini(&h);
}

static void test_out_of_memory_keeps_what_is_held(void **state)
{
    struct cel_hold h;
    uint64_t tags[17];

    cel_hold_init(&h, sizeof(int));
    for (int i = 0; i < 16; i++) {
        *(int *)cel_hold_add(&h, &tags[i]) = i;
    }
    cel_alloc_fail_at(1, 1);
    assert_null(cel_hold_add(&h, &tags[16]));
    cel_alloc_fail_at(0, 0);
    assert_int_equal(*(int *)cel_hold_get(&h, tags[15]), 15);
    assert_int_equal(h.count, 16);
    cel_hold_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_is_found_by_its_tag),
        cmocka_unit_test(test_an_old_tag_finds_nothing),
        cmocka_unit_test(test_walk_meets_each_once_and_may_remove),
        cmocka_unit_test(test_out_of_memory_keeps_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
