/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/uuid.h"
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_uuid4_has_version_and_variant(void **state)
{
    char a[CEL_UUID_SIZE];
    char b[CEL_UUID_SIZE];
    for (int i = 0; i < 1000; i++) {
        cel_uuid4(a);
        cel_uuid4(b);
        assert_int_equal(strlen(a), 36);
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
        assert_string_not_equal(a, b);
    }
}

static void test_uuid3_is_that_of_python(void **state)
{
    char text[CEL_UUID_SIZE];
    cel_uuid3_oid("example", text); /* uuid.uuid3(uuid.NAMESPACE_OID, "example") */
    assert_string_equal(text, "16eda250-39c7-3c5d-b2f8-7eb6dfedff40");
}

static void test_a_forked_child_makes_other_ids(void **state)
{
    char mine[CEL_UUID_SIZE];
    char its[CEL_UUID_SIZE] = "";
    int fds[2];
    cel_uuid4(mine);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        cel_uuid4(its);
        _exit(write(fds[1], its, sizeof its) != sizeof its);
    }
    cel_uuid4(mine);
    assert_int_equal(read(fds[0], its, sizeof its), sizeof its);
    waitpid(pid, NULL, 0);
    assert_string_not_equal(mine, its);
    close(fds[0]);
    close(fds[1]);
}

static void test_random_double_is_in_range(void **state)
{
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        double x = cel_random_double();
        assert_true(x >= 0 && x < 1);
        sum += x;
    }
    assert_true(sum > 4500 && sum < 5500);
    unsigned char large[4096] = {0};
    cel_random(large, sizeof large);
    assert_true(memcmp(large, large + 2048, 2048) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uuid4_has_version_and_variant),
        cmocka_unit_test(test_uuid3_is_that_of_python),
        cmocka_unit_test(test_a_forked_child_makes_other_ids),
        cmocka_unit_test(test_random_double_is_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
