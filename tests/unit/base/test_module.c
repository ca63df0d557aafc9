/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/module.h"
#include <stdlib.h>
#include <string.h>

static void test_its_table(void **state)
{
    const char *const *ops;
    celery_error err = {0};

    setenv("CELERY_MODULE_PATH", "/nonexistent::" TEST_MODULES, 1);
    ops = cel_module_load("plain_module", "test", &err);
    assert_non_null(ops);
    assert_string_equal(*ops, "what the module offers");
    assert_ptr_equal(cel_module_load("plain_module", "test", &err), ops);
    assert_true(cel_module_is_there("plain_module"));
    assert_false(cel_module_is_there("elephant"));
}

static void test_of_another_kind_or_version(void **state)
{
    celery_error err = {0};

    setenv("CELERY_MODULE_PATH", TEST_MODULES, 1);
    assert_null(cel_module_load("plain_module", "sql", &err));
    assert_int_equal(err.status, CELERY_ENOTSUP);
    assert_non_null(strstr(err.message, "of another version"));
    assert_null(cel_module_load("old_module", "test", &err));
    assert_non_null(strstr(err.message, "of another version"));
}

static void test_that_is_missing_says_what_to_install(void **state)
{
    celery_error err = {0};

    setenv("CELERY_MODULE_PATH", "/nonexistent", 1);
    assert_null(cel_module_load("elephant", "sql", &err));
    assert_int_equal(err.status, CELERY_ENOTSUP);
    assert_non_null(strstr(err.message, "install the package libcelery-c-elephant"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_table),
        cmocka_unit_test(test_of_another_kind_or_version),
        cmocka_unit_test(test_that_is_missing_says_what_to_install),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
