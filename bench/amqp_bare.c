/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floor on RabbitMQ: a client that takes messages, stores a result for each, and
 * acknowledges what is stored.  It reads nothing but the id and runs no task.
 *
 * amqp_bare --amqp PORT --queue Q --count N --prefetch P [--port REDIS --db D]
 * With --port results go to Redis (SET and PUBLISH in a pipeline), otherwise to the queue that
 * reply_to names, with publisher confirms; a message is acknowledged behind its result.
 */
#include "amqp_tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONSUME = 1, PUBLISH = 2 };

struct bare {
    amqp_connection_state_t c;
    redisContext *redis; /* NULL: rpc */
    uint64_t tag;        /* of the delivery whose frames are coming */
    uint64_t missing;    /* bytes of its body */
    uint64_t last;       /* delivery tag of the last one taken */
    uint64_t acked;      /* up to here */
    uint64_t published, confirmed;
    unsigned long stored; /* in the pipeline to Redis */
};

static size_t document(char *doc, size_t size, const char *id)
{
    return (size_t)snprintf(doc, size,
                            "{\"task_id\": \"%.36s\", \"status\": \"SUCCESS\", "
                            "\"result\": null, \"traceback\": null, \"children\": []}",
                            id);
}

static void to_redis(struct bare *b, const char *id)
{
    char key[64], doc[256];
    size_t n = document(doc, sizeof(doc), id);

    snprintf(key, sizeof(key), "celery-task-meta-%.36s", id);
    redisAppendCommand(b->redis, "SET %s %b EX 86400", key, doc, n);
    redisAppendCommand(b->redis, "PUBLISH %s %b", key, doc, n);
    b->stored += 2;
}

static void to_queue(struct bare *b, const amqp_basic_properties_t *task)
{
    char doc[256];
    amqp_basic_properties_t p = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG |
                  AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG |
                  AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .content_encoding = amqp_cstring_bytes("utf-8"),
        .delivery_mode = 1,
        .correlation_id = task->correlation_id,
    };
    amqp_bytes_t body = {document(doc, sizeof(doc), task->correlation_id.bytes), doc};

    amqp_basic_publish(b->c, PUBLISH, amqp_empty_bytes, task->reply_to, 0, 0, &p, body);
    b->published++;
}

static void on_header(struct bare *b, const amqp_frame_t *frame)
{
    const amqp_basic_properties_t *p = frame->payload.properties.decoded;

    b->missing = frame->payload.properties.body_size;
    if (p->correlation_id.len != TOOL_ID_LEN) {
        fprintf(stderr, "amqp: a message has no id\n");
        exit(1);
    }
    if (b->redis) {
        to_redis(b, p->correlation_id.bytes);
    } else {
        to_queue(b, p);
    }
}

static void on_method(struct bare *b, const amqp_method_t *method)
{
    if (method->id == AMQP_BASIC_DELIVER_METHOD) {
        b->tag = ((amqp_basic_deliver_t *)method->decoded)->delivery_tag;
    } else if (method->id == AMQP_BASIC_ACK_METHOD) {
        b->confirmed = ((amqp_basic_ack_t *)method->decoded)->delivery_tag;
    }
}

static void on_frame(struct bare *b, const amqp_frame_t *frame)
{
    if (frame->frame_type == AMQP_FRAME_METHOD) {
        on_method(b, &frame->payload.method);
        return;
    }
    if (frame->frame_type == AMQP_FRAME_HEADER) {
        on_header(b, frame);
    } else if (frame->frame_type == AMQP_FRAME_BODY) {
        b->missing -= frame->payload.body_fragment.len;
    }
    if (b->missing == 0) {
        b->last = b->tag;
    }
}

static void settle(struct bare *b)
{
    uint64_t upto = b->redis ? b->last : b->confirmed; /* both count from 1 on */

    while (b->stored > 0) {
        void *reply;

        if (redisGetReply(b->redis, &reply) != REDIS_OK) {
            fprintf(stderr, "redis: %s\n", b->redis->errstr);
            exit(1);
        }
        freeReplyObject(reply);
        b->stored--;
    }
    if (upto > b->acked) {
        amqp_basic_ack(b->c, CONSUME, upto, 1);
        b->acked = upto;
    }
}

/* All that has come, then one write of what it leads to. */
static void drain(struct bare *b, uint64_t count)
{
    amqp_frame_t frame;

    while (b->acked < count) {
        if (!amqp_tool_frame(b->c, &frame, 10000)) {
            fprintf(stderr, "amqp: nothing came for 10 s\n");
            exit(1);
        }
        amqp_tool_cork(b->c, true);
        do {
            on_frame(b, &frame);
        } while (b->last - b->acked < 512 && amqp_tool_frame(b->c, &frame, 0));
        settle(b);
        amqp_tool_cork(b->c, false);
        if (b->missing == 0) {
            amqp_maybe_release_buffers(b->c);
        }
    }
}

int main(int argc, char **argv)
{
    struct bare b = {.c = amqp_tool_connect(argc, argv, 2)};
    const char *queue = tool_option(argc, argv, "--queue", "bench");
    uint64_t count = (uint64_t)tool_number(argc, argv, "--count", 1000);
    uint16_t prefetch = (uint16_t)tool_number(argc, argv, "--prefetch", 128);
    double start;

    if (tool_number(argc, argv, "--port", 0)) {
        b.redis = tool_connect(argc, argv);
        freeReplyObject(
            redisCommand(b.redis, "SELECT %d", (int)tool_number(argc, argv, "--db", 0)));
    }
    amqp_confirm_select(b.c, PUBLISH);
    amqp_tool_check(b.c, "confirms");
    amqp_basic_qos(b.c, CONSUME, 0, prefetch, 0);
    amqp_tool_check(b.c, "prefetch");
    start = tool_now();
    amqp_basic_consume(b.c, CONSUME, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0,
                       amqp_empty_table);
    amqp_tool_check(b.c, "consume");
    drain(&b, count);
    printf("{\"done\": %lu, \"seconds\": %.6f}\n", (unsigned long)b.acked,
           tool_now() - start);
    amqp_connection_close(b.c, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(b.c);
    return 0;
}
