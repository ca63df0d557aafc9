/* SPDX-License-Identifier: BSD-3-Clause */
#include "sql_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct sql_server {
    pid_t pid;
    FILE *line; /* to and from databases.py */
    char url[300];
};

static void run(const char *kind, int fd, pid_t parent)
{
    sigset_t none;

    /* A test that dies takes its servers along. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(fd, 0);
    dup2(fd, 1);
    execl("/usr/bin/python3", "python3", DATABASES_PY, kind, (char *)NULL);
    _exit(127);
}

static int read_line(struct sql_server *s, char *text, size_t size)
{
    if (!fgets(text, (int)size, s->line)) {
        return -1;
    }
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

struct sql_server *sql_server_start(const char *kind, int *ret_skip)
{
    struct sql_server *s = calloc(1, sizeof *s);
    int fds[2];
    int status = 0;

    *ret_skip = 0;
    if (!s || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        free(s);
        return NULL;
    }
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0) {
        run(kind, fds[1], parent);
    }
    close(fds[1]);
    s->line = fdopen(fds[0], "r+");
    if (s->pid > 0 && s->line && read_line(s, s->url, sizeof s->url) == 0) {
        return s;
    }
    waitpid(s->pid, &status, 0);
    *ret_skip = WIFEXITED(status) && WEXITSTATUS(status) == 77;
    s->pid = 0;
    return sql_server_stop(s);
}

struct sql_server *sql_server_stop(struct sql_server *s)
{
    if (s) {
        if (s->line) {
            fclose(s->line);
        }
        while (s->pid > 0 && waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        free(s);
    }
    return NULL;
}

int sql_server_do(struct sql_server *s, const char *what)
{
    char answer[16];

    rewind(s->line);
    fprintf(s->line, "%s\n", what);
    fflush(s->line);
    return read_line(s, answer, sizeof answer) == 0 && strcmp(answer, "ok") == 0 ? 0 : -1;
}

const char *sql_server_url(const struct sql_server *s)
{
    return s->url;
}
