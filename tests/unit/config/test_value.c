/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "config/value.h"
#include <math.h>

static void test_bool_words(void **state)
{
    (void)state;
    bool truth = true;
    assert_true(cel_value_parse_bool("oFF", &truth));
    assert_false(truth);
    assert_true(cel_value_parse_bool("Y", &truth));
    assert_true(truth);
    assert_false(cel_value_parse_bool("", &truth));
    assert_false(cel_value_parse_bool("2", &truth));
}

static void test_seconds(void **state)
{
    (void)state;
    double seconds = 0;
    assert_true(cel_value_parse_seconds(" 1.5 ", &seconds) && seconds == 1.5);
    assert_true(cel_value_parse_seconds("inf", &seconds) && isinf(seconds));
    assert_true(cel_value_parse_seconds("1:00:00", &seconds) && seconds == 3600);
    assert_true(cel_value_parse_seconds("3 days, 0:00:01", &seconds) &&
                seconds == 259201);
    assert_false(cel_value_parse_seconds("1:60:00", &seconds));
    assert_false(cel_value_parse_seconds("-1 day, 23:00:00", &seconds));
    assert_false(cel_value_parse_seconds("", &seconds));
    assert_false(cel_value_parse_seconds("1 day,", &seconds));
}

static void test_memory_that_fails(void **state)
{
    (void)state;
    const struct cel_setting list = {"l", NULL, CEL_SETTING_LIST, NULL, 0, 0, NULL, "."};
    bool refused = false;
    for (unsigned long n = 1; n < 10; n++) {
        struct cel_value v = {0};
        cel_alloc_fail_at(n, 1);
        celery_status st = cel_value_parse(&list, "a,b", &v, NULL);
        cel_alloc_fail_at(0, 0);
        assert_true(st == CELERY_OK || st == CELERY_ENOMEM);
        refused = refused || st == CELERY_ENOMEM;
        cel_value_fini(&v);
    }
    assert_true(refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bool_words),
        cmocka_unit_test(test_seconds),
        cmocka_unit_test(test_memory_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
