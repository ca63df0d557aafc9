/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "message/trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static void valid_is(const char *text, bool want)
{
    if (cel_traceparent_valid(cel_slice_of(text)) != want) {
        fail_msg("%s", text);
    }
}

static void test_traceparent(void **state)
{
    valid_is("00-" TRACE "-" SPAN "-01", true);
    valid_is("00-" TRACE "-" SPAN "-00", true);
    valid_is("cc-" TRACE "-" SPAN "-01-what the future will be like", true);
    valid_is("cc-" TRACE "-" SPAN "-01.what", false);
    valid_is("00-" TRACE "-" SPAN "-01-more", false);
    valid_is("ff-" TRACE "-" SPAN "-01", false);
    valid_is("00-" TRACE "-0000000000000000-01", false);
    valid_is("00-00000000000000000000000000000000-" SPAN "-01", false);
    valid_is("00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", false);
    valid_is("00-" TRACE "-" SPAN, false);
    valid_is("00_" TRACE "-" SPAN "-01", false);
    valid_is("", false);
    valid_is("0", false);
}

static void test_what_is_passed_on(void **state)
{
    static char large[600];
    struct cel_slice parent = CEL_SLICE("00-" TRACE "-" SPAN "-01");
    struct cel_slice value = CEL_SLICE("vendor=1");

    cel_trace_check(&parent, &value);
    assert_int_equal(parent.len, 55);
    assert_int_equal(value.len, 8);
    memset(large, 'x', sizeof large);
    value = cel_slice(large, sizeof large);
    cel_trace_check(&parent, &value);
    assert_int_equal(parent.len, 55);
    assert_int_equal(value.len, 0);
    parent = CEL_SLICE("nonsense");
    value = CEL_SLICE("vendor=1");
    cel_trace_check(&parent, &value);
    assert_int_equal(parent.len, 0);
    assert_int_equal(value.len, 0);
    value = CEL_SLICE("a=\n");
    parent = CEL_SLICE("cc-" TRACE "-" SPAN "-01-\x01");
    cel_trace_check(&parent, &value);
    assert_int_equal(parent.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent),
        cmocka_unit_test(test_what_is_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
