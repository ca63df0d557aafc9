/* SPDX-License-Identifier: BSD-3-Clause */
/* Private Redis servers for tests: a Unix socket, a free port, TLS, or a sentinel. */
#ifndef SUPPORT_REDIS_SERVER_H
#define SUPPORT_REDIS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TEST_SKIPPED 77

struct redis_server;

struct redis_server_options {
    bool tls;                 /* tls_port; certificates from the openssl command */
    const char *sentinel_of;  /* lines for a sentinel's configuration; else a server */
    const char *const *extra; /* "--requirepass", "secret", ..., NULL */
    int port;                 /* 0: a free one */
};

/* False when redis-server is not installed: the test exits with TEST_SKIPPED. */
bool redis_server_installed(void);

/* Waits until it answers.  NULL when it does not; options may be NULL. */
struct redis_server *redis_server_start(const struct redis_server_options *options);

/*
 * The same for a whole test program: 0, with its URL in url, or what main() is to return: that
 * it is skipped, or that it failed, which is said.
 */
int redis_server_begin(struct redis_server **ret_server, char *url, size_t size);

/* Kills it, whatever its state, and removes its folder.  Returns NULL. */
struct redis_server *redis_server_stop(struct redis_server *server);

/* Ends or stops (SIGSTOP, SIGCONT) the process alone. */
void redis_server_signal(struct redis_server *server, int signo);

const char *redis_server_socket(const struct redis_server *server); /* its path */
const char *redis_server_url(const struct redis_server *server); /* redis+socket://... */
int redis_server_port(const struct redis_server *server);
int redis_server_tls_port(const struct redis_server *server);

/*
 * The folder; with tls it holds ca.pem, other-ca.pem, server.pem and server.key (for
 * localhost and 127.0.0.1; the server listens on 127.0.0.2 as well).
 */
const char *redis_server_dir(const struct redis_server *server);

int free_port(void);

#endif
