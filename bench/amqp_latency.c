/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The round trip of one task through an idle worker: from its publish until its result comes,
 * by reply queue, or with --port from Redis.
 * amqp_latency --amqp PORT --from QUEUE --to QUEUE --reply-to QUEUE --count N [--port REDIS]
 */
#include "amqp_tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The header with this correlation id, and its body behind it. */
static void wait_for_reply(amqp_connection_state_t c, const char *id)
{
    amqp_frame_t frame;
    bool found = false;
    uint64_t missing = 0;

    while (!found || missing > 0) {
        if (!amqp_tool_frame(c, &frame, 10000)) {
            fprintf(stderr, "amqp: no reply within 10 s\n");
            exit(1);
        }
        if (frame.frame_type == AMQP_FRAME_HEADER) {
            amqp_basic_properties_t *p = frame.payload.properties.decoded;

            missing = frame.payload.properties.body_size;
            found = p->correlation_id.len == TOOL_ID_LEN &&
                    memcmp(p->correlation_id.bytes, id, TOOL_ID_LEN) == 0;
        } else if (frame.frame_type == AMQP_FRAME_BODY) {
            missing -= frame.payload.body_fragment.len;
        }
    }
    amqp_maybe_release_buffers(c);
}

int main(int argc, char **argv)
{
    amqp_connection_state_t c = amqp_tool_connect(argc, argv, 2);
    amqp_connection_state_t wait = amqp_tool_connect(argc, argv, 1);
    const char *replies = tool_option(argc, argv, "--reply-to", "replies");
    const char *to = tool_option(argc, argv, "--to", "bench");
    long count = tool_number(argc, argv, "--count", 500);
    redisContext *redis = NULL;
    struct timespec gap = {0, 2 * 1000 * 1000};
    struct timeval limit = {10, 0};
    double *took = calloc((size_t)count + 1, sizeof(*took));
    struct amqp_tool_message t;

    amqp_tool_take(c, &t, tool_option(argc, argv, "--from", "template"), replies);
    if (tool_number(argc, argv, "--port", 0)) {
        redis = tool_connect(argc, argv);
        redisSetTimeout(redis, limit);
        freeReplyObject(redisCommand(redis, "PSUBSCRIBE celery-task-meta-*"));
    } else {
        amqp_basic_consume(wait, 1, amqp_cstring_bytes(replies), amqp_empty_bytes, 0, 1,
                           0, amqp_empty_table);
        amqp_tool_check(wait, "consume");
    }
    for (long i = 0; took && i < count; i++) {
        double start;

        amqp_tool_number(&t, (unsigned)tool_number(argc, argv, "--seed", 1),
                         (unsigned long)i);
        nanosleep(&gap, NULL); /* let the worker fall idle again */
        start = tool_now();
        amqp_basic_publish(c, 2, amqp_empty_bytes, amqp_cstring_bytes(to), 0, 0,
                           &t.m.properties, t.m.body);
        if (redis) {
            tool_wait_result(redis, t.id);
        } else {
            wait_for_reply(wait, t.id);
        }
        took[i] = (tool_now() - start) * 1e6;
    }
    tool_print_times(took, count);
    return 0;
}
