/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include <celery/app.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void test_set_returns_the_status_and_fills(void **state)
{
    celery_error err = {0};
    assert_int_equal(cel_error_set(&err, CELERY_ECONFIG, "%s %d", "x", 5),
                     CELERY_ECONFIG);
    assert_int_equal(err.status, CELERY_ECONFIG);
    assert_string_equal(err.message, "x 5");
    assert_int_equal(cel_error_set(NULL, CELERY_EINVAL, "x"), CELERY_EINVAL);
    assert_int_equal(cel_error_nomem(&err), CELERY_ENOMEM);
    assert_string_equal(err.message, "out of memory");
}

static void test_sys_adds_the_reason(void **state)
{
    celery_error err = {0};
    cel_error_sys(&err, CELERY_ESYSTEM, ENOENT, "open %s", "f");
    assert_string_equal(err.message, "open f: No such file or directory");
    assert_int_equal(err.code, ENOENT);
}

static void test_prefix_goes_in_front(void **state)
{
    celery_error err = {0};
    cel_error_set(&err, CELERY_EPROTO, "bad");
    cel_error_prefix(&err, CELERY_EPROTO, "queue %s: ", "q");
    assert_string_equal(err.message, "queue q: bad");
}

static void test_own_message_can_be_an_argument(void **state)
{
    celery_error err = {0};
    cel_error_set(&err, CELERY_EPROTO, "bad");
    cel_error_set(&err, CELERY_EPROTO, "it is %s", err.message);
    assert_string_equal(err.message, "it is bad");
}

static void test_long_text_is_cut_between_characters(void **state)
{
    celery_error err = {0};
    char text[400] = "x";
    for (size_t i = 1; i + 1 < sizeof text; i += 2) {
        memcpy(text + i, "\303\251", 2);
    }
    text[sizeof text - 1] = '\0';
    cel_error_set(&err, CELERY_EPROTO, "%s", text);
    assert_int_equal(strlen(err.message), 239);
    cel_error_prefix(&err, CELERY_EPROTO, "y");
    assert_int_equal(strlen(err.message), 238);
}

static void test_every_status_has_a_name_and_a_text(void **state)
{
    assert_string_equal(celery_status_name(CELERY_ETIMEOUT), "CELERY_ETIMEOUT");
    assert_string_equal(celery_status_text(CELERY_ETIMEOUT), "timed out");
    assert_string_equal(celery_status_name((celery_status)-999), "CELERY_UNKNOWN");
    assert_non_null(celery_status_text((celery_status)-999));
}

static void test_retriable_follows_the_table(void **state)
{
    celery_error err = {.status = CELERY_ECLOSED};
    assert_true(celery_error_retriable(&err));
    err.status = CELERY_EUNCERTAIN;
    assert_false(celery_error_retriable(&err));
    assert_false(celery_error_retriable(NULL));
}

static void test_version_number_matches_the_text(void **state)
{
    int number = celery_version_number();
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", number >> 16, number >> 8 & 255,
             number & 255);
    assert_string_equal(text, celery_version());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_returns_the_status_and_fills),
        cmocka_unit_test(test_sys_adds_the_reason),
        cmocka_unit_test(test_prefix_goes_in_front),
        cmocka_unit_test(test_own_message_can_be_an_argument),
        cmocka_unit_test(test_long_text_is_cut_between_characters),
        cmocka_unit_test(test_every_status_has_a_name_and_a_text),
        cmocka_unit_test(test_retriable_follows_the_table),
        cmocka_unit_test(test_version_number_matches_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
