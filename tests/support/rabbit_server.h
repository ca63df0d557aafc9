/* SPDX-License-Identifier: BSD-3-Clause */
/* Private RabbitMQ nodes for tests; rabbit.py does the work. */
#ifndef SUPPORT_RABBIT_SERVER_H
#define SUPPORT_RABBIT_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#ifndef TEST_SKIPPED
#define TEST_SKIPPED 77
#endif

struct rabbit_server;

struct rabbit_server_options {
    bool shared; /* a virtual host on a node that other tests use as well */
    bool tls;    /* a TLS port; certificates from the openssl command */
    const char *const *plugins;  /* names, NULL */
    const char *const *settings; /* "{consumer_timeout, 5000}", ..., NULL */
    const char *version;         /* "4"; NULL: the installed one */
};

/* False when rabbitmq-server is not installed: the test exits with TEST_SKIPPED. */
bool rabbit_server_installed(void);

/* Waits until it answers (seconds).  NULL when it does not; options may be NULL. */
struct rabbit_server *rabbit_server_start(const struct rabbit_server_options *options);

/* Ends it, whatever its state, and removes its folder.  Returns NULL. */
struct rabbit_server *rabbit_server_stop(struct rabbit_server *server);

const char *rabbit_server_url(const struct rabbit_server *server); /* amqp://.../vhost */
int rabbit_server_port(const struct rabbit_server *server);
int rabbit_server_tls_port(const struct rabbit_server *server);

/*
 * The folder; with tls it holds ca.pem, other-ca.pem, server.pem and server.key (for
 * localhost and 127.0.0.1; the server listens on 127.0.0.2 as well), client.pem and
 * client.key (of the user guest, for EXTERNAL).
 */
const char *rabbit_server_dir(const struct rabbit_server *server);

/*
 * A command of rabbit.py: "alarm on", "alarm off", "close REASON", "kill9", "start",
 * "restart", "stop_app", "start_app", "pause", "resume", "delete_queue NAME",
 * "messages NAME", "ready NAME", "unacked NAME", "consumers NAME", "vhost NAME",
 * "user NAME PASSWORD", "connections", "queues", "exchanges", "bindings", "eval ERLANG".
 * The answer as text, valid until the next call; NULL with a line on stderr when it failed.
 */
const char *rabbit_server_tell(struct rabbit_server *server, const char *command, ...)
    __attribute__((format(printf, 2, 3)));

/* The answer as a number; -1: failed, or there is no such queue. */
long rabbit_server_count(struct rabbit_server *server, const char *what,
                         const char *queue);

#endif
