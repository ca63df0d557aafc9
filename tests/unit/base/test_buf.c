/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"

static void test_appends_grow(void **state)
{
    struct cel_buf b = {0};
    for (int i = 0; i < 1000; i++) {
        cel_buf_addf(&b, "%d,", i);
    }
    assert_true(cel_buf_ok(&b));
    assert_int_equal(b.len, 3890);
    cel_buf_fini(&b);
}

static void test_ceiling_is_exact_and_remembered(void **state)
{
    struct cel_buf b;
    cel_buf_init(&b, 5);
    assert_int_equal(cel_buf_addf(&b, "%s", "abcde"), CELERY_OK);
    assert_string_equal(cel_buf_cstr(&b), "abcde");
    assert_int_equal(cel_buf_addc(&b, 'f'), CELERY_ELIMIT);
    assert_false(cel_buf_ok(&b));
    assert_true(cel_buf_addc(&b, 'f') < 0);
    assert_null(cel_buf_steal(&b));
    assert_int_equal(b.len, 5);
    cel_buf_clear(&b);
    assert_int_equal(cel_buf_adds(&b, "xyz"), CELERY_OK);
    cel_buf_fini(&b);
}

static void test_ints_drop_and_steal(void **state)
{
    struct cel_buf b = {0};
    cel_buf_add_int(&b, INT64_MIN);
    cel_buf_addc(&b, ' ');
    cel_buf_add_int(&b, 0);
    cel_buf_addc(&b, ' ');
    cel_buf_add_int(&b, INT64_MAX);
    assert_string_equal(cel_buf_cstr(&b), "-9223372036854775808 0 9223372036854775807");
    cel_buf_drop(&b, 21);
    char *text = cel_buf_steal(&b);
    assert_string_equal(text, "0 9223372036854775807");
    cel_free(text);
    assert_int_equal(b.len, 0);
    assert_string_equal(cel_buf_cstr(&b), "");
    cel_buf_drop(&b, 5);
    cel_buf_fini(&b);
}

static void test_without_memory_it_says_so(void **state)
{
    struct cel_buf b = {0};
    cel_alloc_fail_at(1, 1);
    assert_int_equal(cel_buf_adds(&b, "x"), CELERY_ENOMEM);
    assert_string_equal(cel_buf_cstr(&b), "");
    cel_alloc_fail_at(0, 0);
    assert_false(cel_buf_ok(&b));
    cel_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_grow),
        cmocka_unit_test(test_ceiling_is_exact_and_remembered),
        cmocka_unit_test(test_ints_drop_and_steal),
        cmocka_unit_test(test_without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
