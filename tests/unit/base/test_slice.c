/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"

static void test_split_gives_empty_parts_too(void **state)
{
    struct cel_slice rest = CEL_SLICE("a,,b,");
    struct cel_slice part;
    const char *const want[] = {"a", "", "b", ""};
    for (int i = 0; i < 4; i++) {
        assert_true(cel_slice_split(&rest, ',', &part));
        assert_true(cel_slice_is(part, want[i]));
    }
    assert_false(cel_slice_split(&rest, ',', &part));
}

static void test_starts_ends_trim(void **state)
{
    assert_true(cel_slice_starts(CEL_SLICE("abc"), CEL_SLICE("ab")));
    assert_false(cel_slice_starts(CEL_SLICE("a"), CEL_SLICE("ab")));
    assert_true(cel_slice_ends(CEL_SLICE("abc"), CEL_SLICE("bc")));
    assert_false(cel_slice_ends(CEL_SLICE("c"), CEL_SLICE("bc")));
    assert_true(cel_slice_is(cel_slice_trim(CEL_SLICE(" \t a b\n")), "a b"));
    assert_int_equal(cel_slice_trim(CEL_SLICE("  ")).len, 0);
}

static void test_to_int(void **state)
{
    static const struct {
        const char *text;
        bool valid;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"+7", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false},
        {"-9223372036854775809", false},
        {"", false},
        {"-", false},
        {" 1", false},
        {"1 ", false},
        {"1x", false},
        {"99999999999999999999", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        assert_int_equal(cel_slice_to_int(cel_slice_of(cases[i].text), &value),
                         cases[i].valid);
        assert_int_equal(value, cases[i].value);
    }
}

static void test_to_double(void **state)
{
    double value;
    assert_true(cel_slice_to_double(CEL_SLICE("1.5e3"), &value));
    assert_true(value == 1500);
    assert_true(cel_slice_to_double(CEL_SLICE("-0.1"), &value));
    assert_true(value == -0.1);
    const char *const wrong[] = {"",   "nan", "inf",   "0x10", "1e999",
                                 " 1", "1 ",  "1.5.2", "e"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(cel_slice_to_double(cel_slice_of(wrong[i]), &value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_gives_empty_parts_too),
        cmocka_unit_test(test_starts_ends_trim),
        cmocka_unit_test(test_to_int),
        cmocka_unit_test(test_to_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
