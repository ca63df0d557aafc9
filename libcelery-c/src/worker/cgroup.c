/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/cgroup.h"

#include "base/slice.h"
#include <limits.h>
#include <stdio.h>

/* A limit of memory in version 1 that is none: the largest number of whole pages. */
#define NO_MEMORY_LIMIT (INT64_MAX - ((int64_t)1 << 20))

struct group {
    bool unified;        /* version 2 */
    char path[PATH_MAX]; /* of the group, below the mount of its controller */
};

/* ---- which group ---- */

static bool names(struct cel_slice controllers, const char *wanted)
{
    struct cel_slice one;

    while (cel_slice_split(&controllers, ',', &one)) {
        if (cel_slice_is(one, wanted)) {
            return true;
        }
    }
    return false;
}

/*
 * Lines "4:cpu,cpuacct:/path" of version 1, "0::/path" of version 2; a controller is in one of
 * them only, so the named one counts first.
 */
static struct group find(const char *self, const char *controller)
{
    struct group g = {.unified = true};
    char line[PATH_MAX + 64];
    FILE *f = fopen(self, "re");

    while (f && fgets(line, sizeof line, f)) {
        struct cel_slice rest = cel_slice_trim(cel_slice_of(line));
        struct cel_slice number;
        struct cel_slice controllers;

        if (!cel_slice_split(&rest, ':', &number) ||
            !cel_slice_split(&rest, ':', &controllers)) {
            continue;
        }
        bool named = names(controllers, controller);
        if (named || (g.unified && controllers.len == 0)) {
            g.unified = !named;
            snprintf(g.path, sizeof g.path, "%.*s", (int)rest.len, rest.data);
        }
    }
    if (f) {
        fclose(f);
    }
    return g;
}

/* From /a/b to /a to the top; false when that was the top. */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash || path[0] == '\0') {
        return false;
    }
    *slash = '\0';
    return true;
}

/* ---- its files ---- */

/* The first line of a file; false: there is none. */
static bool read_line(const char *mounts, const char *controller, const char *path,
                      const char *name, char *ret, size_t size)
{
    char full[2 * PATH_MAX];

    snprintf(full, sizeof full, "%s%s%s%s/%s", mounts, *controller ? "/" : "", controller,
             path, name);
    FILE *f = fopen(full, "re");
    bool found = f && fgets(ret, (int)size, f);
    if (f) {
        fclose(f);
    }
    return found;
}

static bool read_number(const char *mounts, const char *controller, const char *path,
                        const char *name, int64_t *ret)
{
    char text[64];

    return read_line(mounts, controller, path, name, text, sizeof text) &&
           cel_slice_to_int(cel_slice_trim(cel_slice_of(text)), ret);
}

static double cpus_at(const char *mounts, const struct group *g, const char *path)
{
    char text[64];
    int64_t quota = 0;
    int64_t period = 0;

    if (g->unified) {
        struct cel_slice rest = CEL_SLICE_NULL;
        struct cel_slice first = CEL_SLICE_NULL;

        if (read_line(mounts, "", path, "cpu.max", text, sizeof text)) {
            rest = cel_slice_trim(cel_slice_of(text));
        }
        if (!cel_slice_split(&rest, ' ', &first) || !cel_slice_to_int(first, &quota) ||
            !cel_slice_to_int(rest, &period)) {
            return 0;
        }
    } else if (!read_number(mounts, "cpu", path, "cpu.cfs_quota_us", &quota) ||
               !read_number(mounts, "cpu", path, "cpu.cfs_period_us", &period)) {
        return 0;
    }
    return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

static double memory_at(const char *mounts, const struct group *g, const char *path)
{
    int64_t bytes = 0;
    bool found =
        g->unified ? read_number(mounts, "", path, "memory.max", &bytes)
                   : read_number(mounts, "memory", path, "memory.limit_in_bytes", &bytes);

    return found && bytes > 0 && bytes < NO_MEMORY_LIMIT ? (double)bytes : 0;
}

static double tightest(const char *mounts, const char *self, const char *controller,
                       double (*at)(const char *, const struct group *, const char *))
{
    struct group g = find(self, controller);
    double least = 0;

    if (strcmp(g.path, "/") == 0) {
        g.path[0] = '\0';
    }
    do {
        double limit = at(mounts, &g, g.path);

        if (limit > 0 && (least <= 0 || limit < least)) {
            least = limit;
        }
    } while (go_up(g.path));
    return least;
}

double cel_cgroup_cpus(const char *mounts, const char *self)
{
    return tightest(mounts, self, "cpu", cpus_at);
}

int64_t cel_cgroup_memory(const char *mounts, const char *self)
{
    return (int64_t)tightest(mounts, self, "memory", memory_at);
}
