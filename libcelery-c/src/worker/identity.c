/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/identity.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "net/sha1.h"
#include "worker/cgroup.h"
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { NAMES_MAX = 1000 }; /* workers without a name on one host */

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

/*
 * What bind() says of the name: 0 and *ret_fd, or errno.  The broker's URL is no secret as the
 * digest of it, and the name is cut where a host's is too long.
 */
static int claim(const char *broker_hash, const char *name, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char *text = address.sun_path + 1; /* behind a zero: abstract */

    if (fd < 0) {
        return errno;
    }
    snprintf(text, sizeof address.sun_path - 1, "celery-c-node/%.16s/%s", broker_hash,
             name);
    socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text));
    if (bind(fd, (const struct sockaddr *)&address, size) < 0) {
        int errnum = errno;
        close(fd);
        return errnum;
    }
    *ret_fd = fd;
    return 0;
}

char *cel_node_claim(const char *broker, int *ret_fd)
{
    char hash[41];
    char pattern[32] = "celery@%h";

    cel_sha1_hex(cel_slice_of(broker ? broker : ""), hash);
    *ret_fd = -1;
    for (int i = 2;; i++) {
        char *name = cel_node_name(pattern);
        int errnum = name ? claim(hash, name, ret_fd) : 0;

        if (errnum != EADDRINUSE || i > NAMES_MAX) {
            return name;
        }
        cel_free(name);
        snprintf(pattern, sizeof pattern, "celery%d@%%h", i);
    }
}

char *cel_node_format(const char *pattern, const char *node)
{
    const char *at = strchr(node, '@');
    struct cel_buf out = {0};

    expand(&out, pattern, cel_slice(node, at ? (size_t)(at - node) : strlen(node)),
           at ? at + 1 : "");
    return cel_buf_steal(&out);
}

unsigned cel_cpu_count(void)
{
    cpu_set_t set;
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    double quota = cel_cgroup_cpus("/sys/fs/cgroup", "/proc/self/cgroup");

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
