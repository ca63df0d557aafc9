/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"
#include <stdio.h>

static void test_set_get_replace_delete(void **state)
{
    struct cel_map m = {0};
    int one = 1;
    int two = 2;
    void *old = &two;
    assert_null(cel_map_get(&m, CEL_SLICE("a")));
    assert_null(cel_map_del(&m, CEL_SLICE("a")));
    assert_int_equal(cel_map_set(&m, CEL_SLICE("a"), &one, &old), CELERY_OK);
    assert_null(old);
    assert_int_equal(cel_map_set(&m, CEL_SLICE("a"), &two, &old), CELERY_OK);
    assert_ptr_equal(old, &one);
    assert_ptr_equal(cel_map_get(&m, CEL_SLICE("a")), &two);
    assert_int_equal(cel_map_set(&m, CEL_SLICE(""), &one, NULL), CELERY_OK);
    assert_ptr_equal(cel_map_get(&m, CEL_SLICE_NULL), &one);
    assert_ptr_equal(cel_map_del(&m, CEL_SLICE("a")), &two);
    assert_null(cel_map_get(&m, CEL_SLICE("a")));
    assert_int_equal(m.count, 1);
    cel_map_fini(&m);
}

static void test_many_keys_and_a_walk(void **state)
{
    struct cel_map m = {0};
    static char keys[5000][8];
    for (int i = 0; i < 5000; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        assert_int_equal(cel_map_set(&m, cel_slice_of(keys[i]), keys[i], NULL),
                         CELERY_OK);
    }
    for (int i = 0; i < 5000; i += 2) {
        assert_ptr_equal(cel_map_del(&m, cel_slice_of(keys[i])), keys[i]);
    }
    for (int i = 0; i < 5000; i++) {
        void *want = i % 2 ? keys[i] : NULL;
        assert_ptr_equal(cel_map_get(&m, cel_slice_of(keys[i])), want);
    }
    size_t at = 0;
    size_t seen = 0;
    struct cel_slice key;
    void *value;
    while (cel_map_next(&m, &at, &key, &value)) {
        assert_true(cel_slice_is(key, value));
        seen++;
    }
    assert_int_equal(seen, 2500);
    cel_map_fini(&m);
}

static void test_turnover_does_not_grow_it(void **state)
{
    struct cel_map m = {0};
    char key[16];
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "%d", i);
        cel_map_set(&m, cel_slice_of(key), &m, NULL);
        assert_ptr_equal(cel_map_del(&m, cel_slice_of(key)), &m);
    }
    assert_true(m.cap <= 16);
    cel_map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_get_replace_delete),
        cmocka_unit_test(test_many_keys_and_a_walk),
        cmocka_unit_test(test_turnover_does_not_grow_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
