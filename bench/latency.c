/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The round trip of one task through an idle worker, without a Celery client's cost:
 * LPUSH of the message until the PUBLISH of its result arrives.
 * latency --port P --key K --count N --template FILE --id ID --tag TAG [--seed S]
 * Prints p50 and p99 in microseconds.
 */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void next_reply(redisContext *c)
{
    void *reply;

    if (redisGetReply(c, &reply) != REDIS_OK) {
        fprintf(stderr, "redis: %s\n", c->errstr);
        exit(1);
    }
    freeReplyObject(reply);
}

int main(int argc, char **argv)
{
    redisContext *push = tool_connect(argc, argv), *wait = tool_connect(argc, argv);
    const char *key = tool_option(argc, argv, "--key", "celery");
    long count = tool_number(argc, argv, "--count", 500);
    unsigned seed = (unsigned)tool_number(argc, argv, "--seed", 1);
    struct timespec gap = {0, 2 * 1000 * 1000}, patience = {10, 0};
    struct timeval limit = {patience.tv_sec, 0};
    double *took = calloc((size_t)count + 1, sizeof(*took));
    struct tool_template t;
    char id[TOOL_ID_LEN + 1];

    tool_template_load(&t, argc, argv);
    redisSetTimeout(wait, limit);
    redisAppendCommand(wait, "PSUBSCRIBE celery-task-meta-*");
    next_reply(wait);
    for (long i = 0; took && i < count; i++) {
        double start;

        tool_template_number(&t, seed, (unsigned long)i, id);
        nanosleep(&gap, NULL); /* let the worker fall idle again */
        start = tool_now();
        redisAppendCommand(push, "LPUSH %s %b", key, t.text, t.len);
        next_reply(push);
        tool_wait_result(wait, id);
        took[i] = (tool_now() - start) * 1e6;
    }
    tool_print_times(took, count);
    return 0;
}
