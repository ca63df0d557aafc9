/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floor: a pipelined client that does nothing but the commands which a safe claim,
 * storing a result and acknowledging need.  It parses nothing but the id and the tag and
 * runs no task.  A worker on the same Redis cannot be faster than this one.
 *
 * bare --port P --key K --batch B --window W [--ignore 1] [--db D]
 * keeps W claims of B messages in flight until the list is empty.
 */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BATCH 512

/* Takes up to ARGV[1] messages and notes each as unacknowledged, in one step. */
static const char claim_lua[] =
    "local t=redis.call('TIME') local now=t[1]..'.'..string.format('%06d',t[2])\n"
    "local out=redis.call('RPOP',KEYS[1],ARGV[1]) if not out then return {} end\n"
    "local z,h={},{}\n"
    "for i,raw in ipairs(out) do\n"
    "local tag=string.match(raw,'\"delivery_tag\": \"([^\"]*)\"',-120)\n"
    "z[#z+1]=now z[#z+1]=tag h[#h+1]=tag\n"
    "h[#h+1]='['..raw..', \"\", \"'..ARGV[2]..'\"]' end\n"
    "redis.call('ZADD',KEYS[2],unpack(z)) redis.call('HSET',KEYS[3],unpack(h))\n"
    "return out";

struct bare {
    redisContext *c;
    const char *key;
    char sha[41];
    int batch;
    int ignore;
    unsigned char *kinds; /* of replies to come: 1 a claim's, 0 another */
    size_t head, tail, mask;
    size_t claims; /* in flight */
    unsigned long done;
};

static void expect(struct bare *b, int claim)
{
    b->kinds[b->tail++ & b->mask] = (unsigned char)claim;
    b->claims += (size_t)claim;
}

static void claim(struct bare *b)
{
    redisAppendCommand(b->c, "EVALSHA %s 3 %s unacked_index unacked %d %s", b->sha,
                       b->key, b->batch, b->key);
    expect(b, 1);
}

/* The text value of a key of the envelope, without the quotes. */
static const char *find(const redisReply *m, const char *key)
{
    const char *p = strstr(m->str, key);

    return p ? p + strlen(key) : "";
}

static void store(struct bare *b, const char *id)
{
    char key[64], doc[256];
    int n = snprintf(doc, sizeof(doc),
                     "{\"status\": \"SUCCESS\", \"result\": null, \"traceback\": null, "
                     "\"children\": [], \"date_done\": "
                     "\"2026-01-01T00:00:00.000000+00:00\", \"task_id\": \"%.36s\"}",
                     id);

    snprintf(key, sizeof(key), "celery-task-meta-%.36s", id);
    redisAppendCommand(b->c, "SET %s %b EX 86400", key, doc, (size_t)n);
    redisAppendCommand(b->c, "PUBLISH %s %b", key, doc, (size_t)n);
    expect(b, 0);
    expect(b, 0);
}

static void settle(struct bare *b, const char **tags, int n)
{
    const char *argv[MAX_BATCH + 2] = {"HDEL", "unacked"};
    size_t lens[MAX_BATCH + 2] = {4, 7};

    for (int i = 0; i < n; i++) {
        argv[i + 2] = tags[i];
        lens[i + 2] = TOOL_ID_LEN;
    }
    redisAppendCommandArgv(b->c, n + 2, argv, lens);
    argv[0] = "ZREM";
    argv[1] = "unacked_index";
    lens[1] = 13;
    redisAppendCommandArgv(b->c, n + 2, argv, lens);
    expect(b, 0);
    expect(b, 0);
}

static void finish(struct bare *b, const redisReply *messages)
{
    const char *tags[MAX_BATCH];
    int n = (int)messages->elements;

    for (int i = 0; i < n; i++) {
        tags[i] = find(messages->element[i], "\"delivery_tag\": \"");
        if (!b->ignore) {
            store(b, find(messages->element[i], "\"correlation_id\": \""));
        }
    }
    if (n > 0) {
        settle(b, tags, n);
        b->done += (unsigned long)n;
        claim(b);
    }
}

static void drain(struct bare *b, int window)
{
    redisReply *reply;

    for (int i = 0; i < window; i++) {
        claim(b);
    }
    while (b->head != b->tail) {
        int is_claim = b->kinds[b->head++ & b->mask];

        if (redisGetReply(b->c, (void **)&reply) != REDIS_OK) {
            fprintf(stderr, "redis: %s\n", b->c->errstr);
            exit(1);
        }
        if (reply->type == REDIS_REPLY_ERROR) {
            fprintf(stderr, "redis: %s\n", reply->str);
            exit(1);
        }
        if (is_claim) {
            b->claims--;
            finish(b, reply);
        }
        freeReplyObject(reply);
    }
}

int main(int argc, char **argv)
{
    struct bare b = {.mask = (1u << 20) - 1};
    redisReply *reply;
    double start;

    b.c = tool_connect(argc, argv);
    b.key = tool_option(argc, argv, "--key", "celery");
    b.batch = (int)tool_number(argc, argv, "--batch", 64);
    b.ignore = (int)tool_number(argc, argv, "--ignore", 0);
    b.kinds = malloc(b.mask + 1);
    if (b.batch < 1 || b.batch > MAX_BATCH || !b.kinds) {
        fprintf(stderr, "--batch is 1 to %d\n", MAX_BATCH);
        return 2;
    }
    reply = redisCommand(b.c, "SCRIPT LOAD %s", claim_lua);
    if (!reply || reply->type != REDIS_REPLY_STRING) {
        fprintf(stderr, "redis: %s\n", reply ? reply->str : b.c->errstr);
        return 1;
    }
    snprintf(b.sha, sizeof(b.sha), "%s", reply->str);
    freeReplyObject(reply);
    start = tool_now();
    drain(&b, (int)tool_number(argc, argv, "--window", 2));
    printf("{\"done\": %lu, \"seconds\": %.6f}\n", b.done, tool_now() - start);
    free(b.kinds);
    redisFree(b.c);
    return 0;
}
