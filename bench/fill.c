/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fills a list with copies of a message that real Celery made, each with an id and a
 * delivery tag of its own:
 * fill --port P --key K --count N --template FILE --id ID --tag TAG [--seed S]
 */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW 500

static void collect(redisContext *c, unsigned long replies)
{
    void *reply;

    while (replies--) {
        if (redisGetReply(c, &reply) != REDIS_OK) {
            fprintf(stderr, "redis: %s\n", c->errstr);
            exit(1);
        }
        freeReplyObject(reply);
    }
}

int main(int argc, char **argv)
{
    redisContext *c = tool_connect(argc, argv);
    const char *key = tool_option(argc, argv, "--key", "celery");
    unsigned long count = (unsigned long)tool_number(argc, argv, "--count", 1000);
    unsigned seed = (unsigned)tool_number(argc, argv, "--seed", 1);
    unsigned long pending = 0;
    struct tool_template t;
    char id[TOOL_ID_LEN + 1];

    tool_template_load(&t, argc, argv);
    for (unsigned long i = 0; i < count; i++) {
        tool_template_number(&t, seed, i, id);
        redisAppendCommand(c, "LPUSH %s %b", key, t.text, t.len);
        if (++pending == WINDOW) {
            collect(c, pending);
            pending = 0;
        }
    }
    collect(c, pending);
    redisFree(c);
    free(t.text);
    return 0;
}
