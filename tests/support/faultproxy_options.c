/* SPDX-License-Identifier: BSD-3-Clause */
#include "faultproxy.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

struct faultproxy_options options;

void fail(const char *what)
{
    fprintf(stderr, "faultproxy: %s%s%s\n", what, errno ? ": " : "",
            errno ? strerror(errno) : "");
    exit(1);
}

/* "unix:PATH", "HOST:PORT" or "PORT". */
static void parse_address(const char *text, struct sockaddr_storage *at,
                          socklen_t *ret_len)
{
    struct sockaddr_un *un = (struct sockaddr_un *)at;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char host[256] = "127.0.0.1";
    const char *colon = strrchr(text, ':');

    errno = 0;
    if (strncmp(text, "unix:", 5) == 0) {
        un->sun_family = AF_UNIX;
        if (strlen(text + 5) >= sizeof un->sun_path) {
            fail("path too long");
        }
        memcpy(un->sun_path, text + 5, strlen(text + 5) + 1);
        *ret_len = sizeof *un;
        return;
    }
    if (colon) {
        snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    }
    if (getaddrinfo(host, colon ? colon + 1 : text, &hints, &list) != 0 || !list) {
        fail("address not understood");
    }
    memcpy(at, list->ai_addr, list->ai_addrlen);
    *ret_len = list->ai_addrlen;
    freeaddrinfo(list);
}

void parse_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"listen", required_argument, NULL, 'l'},
        {"to", required_argument, NULL, 't'},
        {"delay-ms", required_argument, NULL, 'd'},
        {"seed", required_argument, NULL, 's'},
        {"cut-after", required_argument, NULL, 'c'},
        {"stall-after", required_argument, NULL, 'S'},
        {"rst-after", required_argument, NULL, 'r'},
        {"half-close-after", required_argument, NULL, 'h'},
        {"split", no_argument, NULL, 'x'},
        {"corrupt-rate", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    uint64_t *numbers[128] = {['s'] = &options.seed,
                              ['c'] = &options.cut_after,
                              ['S'] = &options.stall_after,
                              ['r'] = &options.rst_after,
                              ['h'] = &options.half_close_after};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'l') {
            parse_address(optarg, &options.listen, &options.listen_len);
        } else if (c == 't') {
            parse_address(optarg, &options.to, &options.to_len);
        } else if (c == 'd') {
            options.delay = (uint64_t)(strtod(optarg, NULL) * 1e6);
        } else if (c == 'k') {
            options.corrupt_rate = strtod(optarg, NULL);
        } else if (c == 'x') {
            options.split = true;
        } else if (c != '?') {
            *numbers[c] = strtoull(optarg, NULL, 10);
        } else {
            exit(2);
        }
    }
    if (!options.listen_len || !options.to_len || optind < argc) {
        errno = 0;
        fail("--listen PORT|unix:PATH --to HOST:PORT|unix:PATH are needed");
    }
}

int start_listening(void)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&options.listen;
    int on = 1;

    if (options.listen.ss_family == AF_UNIX) {
        unlink(un->sun_path);
    }
    int fd =
        socket(options.listen.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&options.listen, options.listen_len) < 0 ||
        listen(fd, 512) < 0) {
        fail("cannot listen");
    }
    if (options.listen.ss_family == AF_UNIX) {
        printf("listening on %s\n", un->sun_path);
    } else {
        getsockname(fd, (struct sockaddr *)&options.listen, &options.listen_len);
        printf("listening on %d\n",
               ntohs(((struct sockaddr_in *)&options.listen)->sin_port));
    }
    fflush(stdout);
    return fd;
}
