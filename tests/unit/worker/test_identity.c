/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "worker/identity.h"

static void test_node_names(void **unused)
{
    static const struct {
        const char *pattern;
        const char *name; /* before the host's name, or all of it */
        bool host;
    } cases[] = {
        {NULL, "celery@", true},  {"", "celery@", true},
        {"w1@%h", "w1@", true},   {"w1", "w1@", true},
        {"w1@", "w1@", true},     {"w1@box", "w1@box", false},
        {"x%%@b", "x%@b", false}, {"w%i@box", "w@box", false},
    };
    char host[256];
    char want[600];

    gethostname(host, sizeof host);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *got = cel_node_name(cases[i].pattern);

        snprintf(want, sizeof want, "%s%s", cases[i].name, cases[i].host ? host : "");
        assert_string_equal(got, want);
        cel_free(got);
    }
}

static void assert_claimed(const char *broker, const char *start, int *ret_fd)
{
    char host[256];
    char want[300];
    char *got = cel_node_claim(broker, ret_fd);

    gethostname(host, sizeof host);
    snprintf(want, sizeof want, "%s@%s", start, host);
    assert_string_equal(got, want);
    assert_true(*ret_fd >= 0);
    cel_free(got);
}

static void test_names_nobody_gave_are_unique(void **unused)
{
    char broker[64];
    char other[64];
    int fds[4];

    snprintf(broker, sizeof broker, "redis://test/%d", (int)getpid());
    snprintf(other, sizeof other, "redis://other/%d", (int)getpid());
    assert_claimed(broker, "celery", &fds[0]);
    assert_claimed(broker, "celery2", &fds[1]);
    assert_claimed(broker, "celery3", &fds[2]);
    assert_claimed(other, "celery", &fds[3]); /* there nobody is called so */
    close(fds[1]);
    assert_claimed(broker, "celery2", &fds[1]); /* free again with its owner */
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        close(fds[i]);
    }
}

static void test_there_is_at_least_one_processor(void **unused)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    assert_in_range(cel_cpu_count(), 1, online);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_names),
        cmocka_unit_test(test_names_nobody_gave_are_unique),
        cmocka_unit_test(test_there_is_at_least_one_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
