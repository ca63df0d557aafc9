/* SPDX-License-Identifier: BSD-3-Clause */
#include "rabbit_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_ARGUMENTS 64

struct rabbit_server {
    pid_t pid;
    FILE *line; /* to and from rabbit.py */
    int port;
    int tls_port;
    char url[200];
    char dir[200];
    char *answer;
    size_t room;
};

bool rabbit_server_installed(void)
{
    return system("command -v erl_call >/dev/null 2>&1 && "
                  "ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-* >/dev/null 2>&1") == 0;
}

struct arguments {
    const char *argv[MOST_ARGUMENTS];
    size_t n;
};

static void add(struct arguments *a, const char *one)
{
    if (a->n + 1 < MOST_ARGUMENTS) {
        a->argv[a->n++] = one;
        a->argv[a->n] = NULL;
    }
}

static void add_each(struct arguments *a, const char *option, const char *const *values)
{
    for (size_t i = 0; values && values[i]; i++) {
        add(a, option);
        add(a, values[i]);
    }
}

static void set_arguments(struct arguments *a, const struct rabbit_server_options *o)
{
    add(a, "/usr/bin/python3");
    add(a, RABBIT_PY);
    add(a, "--serve");
    if (o->shared) {
        add(a, "--shared");
    }
    if (o->tls) {
        add(a, "--tls");
    }
    if (o->version) {
        add(a, "--version");
        add(a, o->version);
    }
    add_each(a, "--plugin", o->plugins);
    add_each(a, "--set", o->settings);
}

static void run(const struct arguments *a, int fd, pid_t parent)
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
    execv(a->argv[0], (char *const *)(unsigned long)a->argv);
    _exit(127);
}

static bool start(struct rabbit_server *s, const struct arguments *a)
{
    pid_t parent = getpid();
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return false;
    }
    s->pid = fork();
    if (s->pid == 0) {
        run(a, fds[1], parent);
    }
    close(fds[1]);
    s->line = fdopen(fds[0], "r+");
    if (!s->line) {
        close(fds[0]);
    }
    return s->pid > 0 && s->line;
}

static bool read_greeting(struct rabbit_server *s)
{
    if (getline(&s->answer, &s->room, s->line) < 0 ||
        sscanf(s->answer, "%199s %199s %d", s->url, s->dir, &s->tls_port) != 3) {
        return false;
    }
    const char *at = strrchr(s->url, '@');
    return at && sscanf(at, "@127.0.0.1:%d", &s->port) == 1;
}

struct rabbit_server *rabbit_server_start(const struct rabbit_server_options *options)
{
    struct rabbit_server_options o =
        options ? *options : (struct rabbit_server_options){0};
    struct rabbit_server *s = calloc(1, sizeof *s);
    struct arguments a = {.n = 0};

    set_arguments(&a, &o);
    if (!s || !start(s, &a) || !read_greeting(s)) {
        return rabbit_server_stop(s);
    }
    return s;
}

struct rabbit_server *rabbit_server_stop(struct rabbit_server *s)
{
    if (!s) {
        return NULL;
    }
    if (s->line) {
        fclose(s->line); /* it ends with its input */
    }
    while (s->pid > 0 && waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    free(s->answer);
    free(s);
    return NULL;
}

const char *rabbit_server_tell(struct rabbit_server *s, const char *command, ...)
{
    va_list ap;

    va_start(ap, command);
    vfprintf(s->line, command, ap);
    va_end(ap);
    fputc('\n', s->line);
    fflush(s->line);
    ssize_t n = getline(&s->answer, &s->room, s->line);
    if (n > 0 && s->answer[n - 1] == '\n') {
        s->answer[n - 1] = '\0';
    }
    if (n < 2 || strncmp(s->answer, "ok", 2) != 0) {
        fprintf(stderr, "rabbit.py, %s: %s\n", command, n > 0 ? s->answer : "it ended");
        return NULL;
    }
    return s->answer[2] == ' ' ? s->answer + 3 : s->answer + 2;
}

long rabbit_server_count(struct rabbit_server *s, const char *what, const char *queue)
{
    const char *answer = rabbit_server_tell(s, "%s %s", what, queue ? queue : "");

    return answer ? strtol(answer, NULL, 10) : -1;
}

const char *rabbit_server_url(const struct rabbit_server *s)
{
    return s->url;
}

int rabbit_server_port(const struct rabbit_server *s)
{
    return s->port;
}

int rabbit_server_tls_port(const struct rabbit_server *s)
{
    return s->tls_port;
}

const char *rabbit_server_dir(const struct rabbit_server *s)
{
    return s->dir;
}
