/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/identity.h"

#include "base/alloc.h"
#include "base/buf.h"
#include <sched.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

static void host_name(char *text, size_t size)
{
    if (gethostname(text, size) < 0 || text[0] == '\0') {
        snprintf(text, size, "localhost");
    }
    text[size - 1] = '\0';
}

static void expand(struct cel_buf *out, const char *pattern, struct cel_slice name,
                   const char *host)
{
    const char *dot = strchr(host, '.');

    for (const char *p = pattern; *p; p++) {
        if (*p != '%' || !p[1]) {
            cel_buf_addc(out, *p);
            continue;
        }
        switch (*++p) {
        case 'h':
            cel_buf_adds(out, host);
            break;
        case 'n':
            cel_buf_add_slice(out, name);
            break;
        case 'd':
            cel_buf_adds(out, dot ? dot + 1 : "");
            break;
        case 'i':
        case 'I':
            break;
        case '%':
            cel_buf_addc(out, '%');
            break;
        default:
            cel_buf_addc(out, '%');
            cel_buf_addc(out, *p);
        }
    }
}

char *cel_node_name(const char *pattern)
{
    char host[256];
    struct cel_buf out = {0};

    host_name(host, sizeof host);
    if (!pattern || !*pattern) {
        pattern = "celery@%h";
    }
    const char *at = strchr(pattern, '@');
    struct cel_slice name =
        at ? cel_slice(pattern, (size_t)(at - pattern)) : cel_slice_of(pattern);
    expand(&out, pattern, name, host);
    if (!at) {
        cel_buf_addc(&out, '@');
        cel_buf_adds(&out, host);
    } else if (at[1] == '\0') {
        cel_buf_adds(&out, host);
    }
    return cel_buf_steal(&out);
}

char *cel_node_format(const char *pattern, const char *node)
{
    const char *at = strchr(node, '@');
    struct cel_buf out = {0};

    expand(&out, pattern, cel_slice(node, at ? (size_t)(at - node) : strlen(node)),
           at ? at + 1 : "");
    return cel_buf_steal(&out);
}

/* First two whole numbers of a file; "max" gives -1. */
static int read_numbers(const char *path, long long *first, long long *second)
{
    char text[64] = "";
    FILE *file = fopen(path, "re");

    if (!file) {
        return 0;
    }
    char *line = fgets(text, sizeof text, file);
    fclose(file);
    if (!line) {
        return 0;
    }
    if (strncmp(text, "max", 3) == 0) {
        *first = -1;
        return 1;
    }
    return sscanf(text, "%lld %lld", first, second);
}

/* Processors worth of quota; 0: none. */
static double cgroup_quota(void)
{
    long long quota = -1;
    long long period = 0;

    if (read_numbers("/sys/fs/cgroup/cpu.max", &quota, &period) == 2 && quota > 0 &&
        period > 0) {
        return (double)quota / (double)period;
    }
    quota = -1;
    long long unused = 0;
    if (read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota, &unused) >= 1 &&
        read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period, &unused) >= 1 &&
        quota > 0 && period > 0) {
        return (double)quota / (double)period;
    }
    return 0;
}

unsigned cel_cpu_count(void)
{
    cpu_set_t set;
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    double quota = cgroup_quota();

    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        count = CPU_COUNT(&set);
    }
    if (quota > 0 && quota < (double)count) {
        count = (long)(quota + 0.999);
    }
    return count > 0 ? (unsigned)count : 1;
}

void cel_platform(char *text, size_t size)
{
    struct utsname u;

    if (uname(&u) == 0) {
        snprintf(text, size, "%s-%s-%s", u.sysname, u.release, u.machine);
    } else {
        snprintf(text, size, "unknown");
    }
}
