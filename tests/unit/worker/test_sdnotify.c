/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/sdnotify.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void test_address(void **state)
{
    struct sockaddr_un a;
    unsigned len;
    char longest[200];

    assert_true(cel_sdnotify_address("/run/x", &a, &len));
    assert_string_equal(a.sun_path, "/run/x");
    assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + 7);

    assert_true(cel_sdnotify_address("@ab", &a, &len));
    assert_memory_equal(a.sun_path, "\0ab", 3);
    assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + 3);

    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    longest[0] = '/';
    assert_false(cel_sdnotify_address(longest, &a, &len));
    assert_false(cel_sdnotify_address(NULL, &a, &len));
    assert_false(cel_sdnotify_address("", &a, &len));
    assert_false(cel_sdnotify_address("@", &a, &len));
    assert_false(cel_sdnotify_address("vsock:2:1", &a, &len));
}

static void test_watchdog(void **state)
{
    assert_true(cel_sdnotify_watchdog("3000000", "42", 42) == 3);
    assert_true(cel_sdnotify_watchdog("3000000", NULL, 42) == 3);
    assert_true(cel_sdnotify_watchdog("3000000", "43", 42) == 0);
    assert_true(cel_sdnotify_watchdog("3000000", "", 42) == 0);
    assert_true(cel_sdnotify_watchdog(NULL, "42", 42) == 0);
    assert_true(cel_sdnotify_watchdog("0", "42", 42) == 0);
    assert_true(cel_sdnotify_watchdog("-5", "42", 42) == 0);
    assert_true(cel_sdnotify_watchdog("1s", "42", 42) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_watchdog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
