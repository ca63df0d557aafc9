/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * celery-c health: asks the probe of a worker on this machine, for images without a shell or curl:
 * HEALTHCHECK of Docker, healthCheck of ECS.  Blocking: there is nothing else to do meanwhile.
 */
#include "cli/opt.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The documents of a worker have some hundred bytes. */
#define ANSWER_MAX 16384

struct health_args {
    const char *address;
    bool ready;
    double timeout;
};

#define FIELD(member) offsetof(struct health_args, member)
#define HEALTH        "Health Options"

/* clang-format off */
static const struct opt options[] = {
    {0, "health-address", OPT_TEXT, FIELD(address), "ADDRESS", "Where the worker answers (default: $CELERY_WORKER_HEALTH_ADDRESS).", HEALTH},
    {0, "ready", OPT_SWITCH, FIELD(ready), NULL, "Ask whether it consumes (/readyz) instead of whether it lives (/healthz).", HEALTH},
    {0, "timeout", OPT_SECONDS, FIELD(timeout), "SECONDS", "Wait at most so long (default: 4).", HEALTH},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int failed(const char *address, const char *why)
{
    fprintf(stderr, "Error: no worker answers at %.100s: %s\n", address, why);
    return 1;
}

/* What is left until the deadline holds for each call; zero would mean for ever. */
static bool limit(int fd, double deadline)
{
    double left = deadline - now();
    struct timeval t = {(time_t)left, (suseconds_t)((left - (double)(time_t)left) * 1e6)};

    if (left < 0.001) {
        errno = ETIMEDOUT;
        return false;
    }
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0;
}

/* A connected socket, or -1 with errno. */
static int try_connect(const struct sockaddr *name, socklen_t size, double deadline)
{
    int fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && (!limit(fd, deadline) || connect(fd, name, size) < 0)) {
        int errnum = errno == EINPROGRESS ? ETIMEDOUT : errno;
        close(fd);
        errno = errnum;
        return -1;
    }
    return fd;
}

static int connect_unix(const char *path, double deadline)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof name.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    return try_connect((const struct sockaddr *)&name, sizeof name, deadline);
}

/* "host:port", "[host]:port", ":port": numbers or localhost, as --health-address has them. */
static int connect_inet(const char *address, double deadline)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(address, ':');
    struct addrinfo *found;
    char host[256];
    int fd = -1;

    size_t len = colon ? (size_t)(colon - address) : 0;
    if (!colon || len >= sizeof host) {
        errno = EINVAL;
        return -1;
    }
    if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
        snprintf(host, sizeof host, "%.*s", (int)len - 2, address + 1);
    } else {
        snprintf(host, sizeof host, "%.*s", (int)len, address);
    }
    if (getaddrinfo(len > 0 ? host : NULL, colon + 1, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = try_connect(a->ai_addr, a->ai_addrlen, deadline);
    }
    freeaddrinfo(found);
    return fd;
}

/* All that the worker answers, which closes behind it; the length, or -1 with errno. */
static ssize_t ask(int fd, const char *path, double deadline, char *answer, size_t size)
{
    char request[128];
    size_t len = 0;

    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: worker\r\n\r\n", path);
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
        return -1;
    }
    while (len < size - 1) {
        ssize_t n = limit(fd, deadline) ? recv(fd, answer + len, size - 1 - len, 0) : -1;
        if (n < 0) {
            errno = errno == EAGAIN ? ETIMEDOUT : errno;
            return -1;
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    answer[len] = '\0';
    return (ssize_t)len;
}

/* Prints the document; 0 when the status is 200. */
static int judge(const char *address, const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");

    if (strncmp(answer, "HTTP/1.", 7) != 0 || !body) {
        return failed(address, "what answers there is no worker");
    }
    fputs(body + 4, stdout);
    return strncmp(answer + 8, " 200 ", 5) == 0 ? 0 : 1;
}

static int run(int argc, char **argv)
{
    struct health_args a = {.timeout = 4};
    char answer[ANSWER_MAX];
    struct line line;
    int code = opt_parse(&cmd_health, argc, argv, &a, &line);

    if (code != OPT_GO) {
        return code;
    }
    const char *address = a.address ? a.address : getenv("CELERY_WORKER_HEALTH_ADDRESS");
    if (!address || !*address) {
        return opt_usage(line.program, &cmd_health,
                         "say where the worker answers: --health-address, or "
                         "CELERY_WORKER_HEALTH_ADDRESS in the environment");
    }
    double deadline = now() + a.timeout;
    int fd = strncmp(address, "unix:", 5) == 0 ? connect_unix(address + 5, deadline)
                                               : connect_inet(address, deadline);
    if (fd < 0) {
        return failed(address, strerror(errno));
    }
    const char *path = a.ready ? "/readyz" : "/healthz";
    code = ask(fd, path, deadline, answer, sizeof answer) < 0
               ? failed(address, strerror(errno))
               : judge(address, answer);
    close(fd);
    return code;
}

const struct command cmd_health = {
    .name = "health",
    .group = "Workers",
    .summary = "Ask the probe of a worker on this machine.",
    .about =
        "Exits with 0 when the worker is well, and with 1 when it is not or does not\n"
        "answer: for HEALTHCHECK in images that have neither a shell nor curl.",
    .options = options,
    .run = run,
};
