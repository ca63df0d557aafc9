/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <celery/app.h>
#include <stdio.h>

static void test_text_and_number_agree(void **state)
{
    (void)state;
    unsigned major, minor, patch;
    assert_int_equal(sscanf(celery_version(), "%u.%u.%u", &major, &minor, &patch), 3);
    assert_int_equal(celery_version_number(), major << 16 | minor << 8 | patch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_number_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
