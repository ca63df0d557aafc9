/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes one message that real Celery sent to a queue, and puts copies of it into another, each
 * with an id of its own and waiting for a confirm:
 * amqp_fill --amqp PORT --from QUEUE --to QUEUE --count N [--reply-to QUEUE] [--seed S]
 */
#include "amqp_tool.h"

#include <stdio.h>
#include <stdlib.h>

enum { WINDOW = 500 };

static unsigned long confirmed(amqp_connection_state_t c)
{
    amqp_frame_t frame;

    while (amqp_tool_frame(c, &frame, 10000)) {
        if (frame.frame_type == AMQP_FRAME_METHOD &&
            frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            unsigned long tag =
                ((amqp_basic_ack_t *)frame.payload.method.decoded)->delivery_tag;
            amqp_maybe_release_buffers(c);
            return tag;
        }
    }
    fprintf(stderr, "amqp: no confirm within 10 s\n");
    exit(1);
}

static void send_all(amqp_connection_state_t c, struct amqp_tool_message *t,
                     const char *to, unsigned long count, unsigned seed)
{
    unsigned long done = 0;

    for (unsigned long i = 0; i < count; i++) {
        amqp_tool_number(t, seed, i);
        amqp_basic_publish(c, 2, amqp_empty_bytes, amqp_cstring_bytes(to), 1, 0,
                           &t->m.properties, t->m.body);
        while (i + 1 - done >= WINDOW) {
            done = confirmed(c);
        }
    }
    while (done < count) {
        done = confirmed(c);
    }
}

int main(int argc, char **argv)
{
    amqp_connection_state_t c = amqp_tool_connect(argc, argv, 2);
    const char *to = tool_option(argc, argv, "--to", "bench");
    struct amqp_tool_message t;

    amqp_tool_take(c, &t, tool_option(argc, argv, "--from", "template"),
                   tool_option(argc, argv, "--reply-to", NULL));
    amqp_confirm_select(c, 2);
    amqp_tool_check(c, "confirms");
    send_all(c, &t, to, (unsigned long)tool_number(argc, argv, "--count", 1000),
             (unsigned)tool_number(argc, argv, "--seed", 1));
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(c);
    return 0;
}
