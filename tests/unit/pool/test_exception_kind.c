/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/exception_kind.h"

static bool is(const char *module, const char *type, const char *wanted)
{
    return cel_exception_is(cel_slice_of(module), cel_slice_of(type), wanted);
}

static void test_builtins_have_pythons_hierarchy(void **state)
{
    (void)state;
    assert_true(is("builtins", "KeyError", "KeyError"));
    assert_true(is("builtins", "KeyError", "builtins.KeyError"));
    assert_true(is("builtins", "KeyError", "LookupError"));
    assert_true(is("builtins", "KeyError", "Exception"));
    assert_true(is("builtins", "KeyError", "BaseException"));
    assert_false(is("builtins", "LookupError", "KeyError"));
    assert_false(is("builtins", "KeyError", "IndexError"));
    assert_true(is("builtins", "ConnectionResetError", "OSError"));
    assert_true(is("builtins", "UnicodeDecodeError", "builtins.ValueError"));
}

static void test_what_is_no_exception_in_python(void **state)
{
    (void)state;
    assert_false(is("builtins", "SystemExit", "Exception"));
    assert_true(is("builtins", "SystemExit", "BaseException"));
    assert_true(is("builtins", "Exception", "Exception"));
    assert_false(is("builtins", "", "Exception"));
}

static void test_other_types_are_their_names(void **state)
{
    (void)state;
    assert_true(is("shop.errors", "Busy", "Busy"));
    assert_true(is("shop.errors", "Busy", "shop.errors.Busy"));
    assert_true(is("shop.errors", "Busy", "Exception"));
    assert_false(is("shop.errors", "Busy", "errors.Busy"));
    assert_false(is("shop.errors", "Busy", "shop.other.Busy"));
    assert_false(is("shop", "KeyError", "LookupError")); /* not the builtin one */
}

static void test_any_of_a_list(void **state)
{
    (void)state;
    char *list[] = {(char *)"OSError", (char *)"shop.Busy", NULL};
    struct cel_slice shop = CEL_SLICE("shop");
    assert_true(cel_exception_is_any(shop, CEL_SLICE("Busy"), list));
    assert_false(cel_exception_is_any(shop, CEL_SLICE("Closed"), list));
    assert_false(cel_exception_is_any(shop, CEL_SLICE("Busy"), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtins_have_pythons_hierarchy),
        cmocka_unit_test(test_what_is_no_exception_in_python),
        cmocka_unit_test(test_other_types_are_their_names),
        cmocka_unit_test(test_any_of_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
