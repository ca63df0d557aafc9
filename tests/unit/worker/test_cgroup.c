/* SPDX-License-Identifier: BSD-3-Clause */
/* Against a folder that looks like /sys/fs/cgroup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/cgroup.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];
static char self[80];

static void run(const char *command)
{
    assert_int_equal(system(command), 0);
}

static void put(const char *name, const char *text)
{
    char path[300];
    char *slash;

    snprintf(path, sizeof path, "%s/%s", root, name);
    for (slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state)
{
    snprintf(root, sizeof root, "/tmp/celery-cgroup-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(self, sizeof self, "%s/self", root);
    return 0;
}

static int tear_down(void **state)
{
    char command[100];

    snprintf(command, sizeof command, "rm -r %s", root);
    run(command);
    return 0;
}

static void test_nothing_there(void **state)
{
    assert_true(cel_cgroup_cpus(root, self) == 0);
    assert_int_equal(cel_cgroup_memory(root, self), 0);
}

static void test_version_2(void **state)
{
    put("self", "0::/a/b\n");
    put("cpu.max", "max 100000\n");
    put("a/cpu.max", "150000 100000\n");
    put("a/b/cpu.max", "400000 100000\n");
    put("a/memory.max", "max\n");
    put("a/b/memory.max", "1073741824\n");
    assert_true(cel_cgroup_cpus(root, self) == 1.5); /* the tighter one above */
    assert_int_equal(cel_cgroup_memory(root, self), 1 << 30);
}

/* In a container its own group is the top. */
static void test_version_2_in_a_container(void **state)
{
    put("self", "0::/\n");
    put("cpu.max", "50000 100000\n");
    put("memory.max", "4096\n");
    assert_true(cel_cgroup_cpus(root, self) == 0.5);
    assert_int_equal(cel_cgroup_memory(root, self), 4096);
}

/* /proc/self/cgroup has the path on the host, the mounts begin at the container's group. */
static void test_version_1(void **state)
{
    put("self",
        "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n0::/other\n");
    put("cpu/cpu.cfs_quota_us", "250000\n");
    put("cpu/cpu.cfs_period_us", "100000\n");
    put("memory/memory.limit_in_bytes", "1048576\n");
    put("cpu.max", "1 100000\n"); /* not of this controller */
    assert_true(cel_cgroup_cpus(root, self) == 2.5);
    assert_int_equal(cel_cgroup_memory(root, self), 1 << 20);
}

static void test_version_1_without_limits(void **state)
{
    put("self", "5:memory:/\n4:cpu:/\n");
    put("cpu/cpu.cfs_quota_us", "-1\n");
    put("cpu/cpu.cfs_period_us", "100000\n");
    put("memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(cel_cgroup_cpus(root, self) == 0);
    assert_int_equal(cel_cgroup_memory(root, self), 0);
}

static void test_nonsense(void **state)
{
    put("self", "nonsense\n\n0::/a\n");
    put("a/cpu.max", "lots of it\n");
    put("a/memory.max", "-5\n");
    put("cpu.max", "100 0\n");
    assert_true(cel_cgroup_cpus(root, self) == 0);
    assert_int_equal(cel_cgroup_memory(root, self), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_version_2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_version_2_in_a_container, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_version_1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_version_1_without_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
