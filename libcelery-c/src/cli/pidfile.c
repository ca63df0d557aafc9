/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/pidfile.h"
#include "cli/opt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The id in the file; 0: none that can be read. */
static long read_pid(const char *path)
{
    FILE *in = fopen(path, "re");
    long pid = 0;

    if (in) {
        if (fscanf(in, "%9ld", &pid) != 1 || pid < 0) {
            pid = 0;
        }
        fclose(in);
    }
    return pid;
}

static int failed(const char *path)
{
    fprintf(stderr, "Error: pidfile %s: %s\n", path, strerror(errno));
    return EXIT_CANTCREAT;
}

int pidfile_make(const char *path)
{
    long pid = read_pid(path);
    char text[24];

    if (pid > 0 && pid != getpid() && (kill((pid_t)pid, 0) == 0 || errno == EPERM)) {
        fprintf(stderr,
                "ERROR: Pidfile (%s) already exists.\nSeems we're already running? "
                "(pid: %ld)\n",
                path, pid);
        return EXIT_CANTCREAT;
    }
    if (pid > 0) {
        unlink(path);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

    if (fd < 0) {
        return failed(path);
    }
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (write(fd, text, (size_t)len) != len) {
        close(fd);
        return failed(path);
    }
    close(fd);
    return OPT_GO;
}

void pidfile_remove(const char *path)
{
    if (path && read_pid(path) == getpid()) {
        unlink(path);
    }
}
