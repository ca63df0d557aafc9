/* SPDX-License-Identifier: BSD-3-Clause */
/* What the programs of the benchmark on RabbitMQ share.  They use rabbitmq-c as it comes. */
#ifndef BENCH_AMQP_TOOL_H
#define BENCH_AMQP_TOOL_H

#include "tool.h"

#include <stdbool.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#else
#include <amqp.h>
#endif

enum { AMQP_TOOL_IDS = 4 };

/* A message of Celery, and every place in it where its id stands. */
struct amqp_tool_message {
    amqp_message_t m;
    char id[TOOL_ID_LEN + 1];
    amqp_bytes_t *ids[AMQP_TOOL_IDS];
    int n_ids;
};

/* Connects to --amqp PORT on 127.0.0.1 as guest, opens channels 1 to n, or ends the program. */
amqp_connection_state_t amqp_tool_connect(int argc, char **argv, int n);

/* Ends the program with the broker's words if the last call failed. */
void amqp_tool_check(amqp_connection_state_t c, const char *what);

/* Holds small packets back while many are written. */
void amqp_tool_cork(amqp_connection_state_t c, bool on);

/* The next frame; false: none came within so many milliseconds. */
bool amqp_tool_frame(amqp_connection_state_t c, amqp_frame_t *ret_frame, int ms);

/* Takes a message from a queue; with reply_to it asks for its result there. */
void amqp_tool_take(amqp_connection_state_t c, struct amqp_tool_message *t,
                    const char *queue, const char *reply_to);

/* Gives it the nth id. */
void amqp_tool_number(struct amqp_tool_message *t, unsigned seed, unsigned long n);

#endif
