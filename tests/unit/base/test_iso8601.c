/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/iso8601.h"
#include "iso8601_cases.h"

static void test_parsing_is_that_of_dateutil(void **state)
{
    for (size_t i = 0; i < sizeof iso_cases / sizeof iso_cases[0]; i++) {
        int64_t us = 0;
        bool aware = false;
        bool valid = cel_iso8601_parse(cel_slice_of(iso_cases[i].text), &us, &aware);
        if (valid != iso_cases[i].valid || us != iso_cases[i].us ||
            aware != iso_cases[i].aware) {
            fail_msg("%s: %d %lld %d", iso_cases[i].text, valid, (long long)us, aware);
        }
    }
}

static void test_digits_of_celery_5_2(void **state)
{
    int64_t us;
    bool aware;
    assert_true(cel_iso8601_parse(CEL_SLICE("2026-1-2T03:04:05Z"), &us, &aware));
    assert_int_equal(us, INT64_C(1767323045000000));
}

static void test_formatting_is_that_of_datetime(void **state)
{
    for (size_t i = 0; i < sizeof iso_formats / sizeof iso_formats[0]; i++) {
        char text[CEL_ISO8601_SIZE];
        size_t len = cel_iso8601_format(iso_formats[i].us, CEL_ISO_OFFSET, text);
        assert_string_equal(text, iso_formats[i].text);
        assert_int_equal(len, strlen(text));
    }
}

static void test_other_styles(void **state)
{
    char text[CEL_ISO8601_SIZE];
    cel_iso8601_format(1, CEL_ISO_NAIVE, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000001");
    cel_iso8601_format(0, CEL_ISO_Z, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parsing_is_that_of_dateutil),
        cmocka_unit_test(test_digits_of_celery_5_2),
        cmocka_unit_test(test_formatting_is_that_of_datetime),
        cmocka_unit_test(test_other_styles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
