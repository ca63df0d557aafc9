/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/process_stat.h"

#include "base/clock.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static FILE *open_of(int pid, const char *name)
{
    char path[64];

    if (pid == 0) {
        snprintf(path, sizeof path, "/proc/self/%s", name);
    } else {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    }
    return fopen(path, "re");
}

static void read_resident(int pid, struct cel_process_stat *ret)
{
    FILE *f = open_of(pid, "statm");
    long pages = 0;

    if (f && fscanf(f, "%*d %ld", &pages) == 1) {
        ret->resident = (int64_t)pages * sysconf(_SC_PAGESIZE);
    }
    if (f) {
        fclose(f);
    }
}

static void read_proportional(int pid, struct cel_process_stat *ret)
{
    FILE *f = open_of(pid, "smaps_rollup");
    char line[128];
    long long kib;

    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "Pss: %lld kB", &kib) == 1) {
            ret->proportional = kib * 1024;
            break;
        }
    }
    if (f) {
        fclose(f);
    }
}

/* Behind the name, which may hold blanks and brackets, fields 14, 15 and 22 of proc(5). */
static void read_times(int pid, struct cel_process_stat *ret)
{
    FILE *f = open_of(pid, "stat");
    char text[1024] = "";
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    const char *behind = n > 0 ? strrchr(text, ')') : NULL;
    unsigned long long user = 0;
    unsigned long long system = 0;
    unsigned long long start = 0;
    struct timespec boot;

    if (f) {
        fclose(f);
    }
    if (!behind ||
        sscanf(behind + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d "
               "%*d %*d %*d %*d %llu",
               &user, &system, &start) != 3) {
        return;
    }
    double ticks = (double)sysconf(_SC_CLK_TCK);
    ret->cpu = (double)(user + system) / ticks;
    if (clock_gettime(CLOCK_BOOTTIME, &boot) == 0) {
        double up = (double)boot.tv_sec + (double)boot.tv_nsec / 1e9;
        ret->started = cel_clock_wall() - up + (double)start / ticks;
    }
}

static void count_descriptors(struct cel_process_stat *ret)
{
    DIR *dir = opendir("/proc/self/fd");

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        ret->descriptors += e->d_name[0] != '.';
    }
    if (dir) {
        closedir(dir);
        ret->descriptors--; /* that of this very look */
    }
}

void cel_process_stat(int pid, struct cel_process_stat *ret)
{
    *ret = (struct cel_process_stat){0};
    read_resident(pid, ret);
    read_proportional(pid, ret);
    read_times(pid, ret);
    if (pid == 0) {
        count_descriptors(ret);
    }
}
