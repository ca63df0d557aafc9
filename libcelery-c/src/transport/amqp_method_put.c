/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods to bytes, encoded by rabbitmq-c. */
#include "base/error.h"
#include "transport/amqp_codec.h"
#include "transport/amqp_table.h"
#include "transport/amqp_wire.h"

enum { FIXED_MAX = 64 }; /* what a method takes at most besides its texts and its table */

#define BIT(name)   ((m->bits & CEL_AMQP_##name) != 0)
#define BYTES(name) cel_amqp_bytes(m->name)

/* Any method as rabbitmq-c has it; what has no member has no arguments that we give. */
union arguments {
    amqp_connection_start_t start;
    amqp_connection_start_ok_t start_ok;
    amqp_connection_secure_t secure;
    amqp_connection_tune_t tune;
    amqp_connection_tune_ok_t tune_ok;
    amqp_connection_open_t open;
    amqp_connection_close_t close;
    amqp_connection_blocked_t blocked;
    amqp_channel_flow_t flow;
    amqp_channel_flow_ok_t flow_ok;
    amqp_channel_close_t channel_close;
    amqp_exchange_declare_t exchange_declare;
    amqp_exchange_bind_t exchange_bind;
    amqp_queue_declare_t queue_declare;
    amqp_queue_declare_ok_t queue_declare_ok;
    amqp_queue_bind_t queue_bind;
    amqp_queue_purge_t queue_purge;
    amqp_queue_purge_ok_t queue_purge_ok;
    amqp_queue_delete_t queue_delete;
    amqp_queue_delete_ok_t queue_delete_ok;
    amqp_basic_qos_t qos;
    amqp_basic_consume_t consume;
    amqp_basic_consume_ok_t consume_ok;
    amqp_basic_cancel_t cancel;
    amqp_basic_cancel_ok_t cancel_ok;
    amqp_basic_publish_t publish;
    amqp_basic_return_t returned;
    amqp_basic_deliver_t deliver;
    amqp_basic_get_t get;
    amqp_basic_get_ok_t get_ok;
    amqp_basic_ack_t ack;
    amqp_basic_reject_t reject;
    amqp_basic_nack_t nack;
};

static void fill_connection(union arguments *a, const struct cel_amqp_method *m,
                            amqp_table_t table)
{
    switch (m->id) {
    case CEL_AMQP_CONNECTION_START:
        a->start = (amqp_connection_start_t){0, 9, table, BYTES(mechanism), BYTES(text)};
        break;
    case CEL_AMQP_CONNECTION_START_OK:
        a->start_ok = (amqp_connection_start_ok_t){table, BYTES(mechanism),
                                                   BYTES(response), BYTES(text)};
        break;
    case CEL_AMQP_CONNECTION_SECURE:
        a->secure = (amqp_connection_secure_t){BYTES(response)};
        break;
    case CEL_AMQP_CONNECTION_TUNE:
        a->tune = (amqp_connection_tune_t){m->channel_max, m->frame_max, m->heartbeat};
        break;
    case CEL_AMQP_CONNECTION_TUNE_OK:
        a->tune_ok =
            (amqp_connection_tune_ok_t){m->channel_max, m->frame_max, m->heartbeat};
        break;
    case CEL_AMQP_CONNECTION_OPEN:
        a->open = (amqp_connection_open_t){.virtual_host = BYTES(vhost)};
        break;
    case CEL_AMQP_CONNECTION_CLOSE:
        a->close =
            (amqp_connection_close_t){m->code, BYTES(text), m->class_id, m->method_id};
        break;
    case CEL_AMQP_CONNECTION_BLOCKED:
        a->blocked = (amqp_connection_blocked_t){BYTES(text)};
        break;
    case CEL_AMQP_CHANNEL_FLOW:
        a->flow = (amqp_channel_flow_t){BIT(CANCEL_OK)};
        break;
    case CEL_AMQP_CHANNEL_FLOW_OK:
        a->flow_ok = (amqp_channel_flow_ok_t){BIT(CANCEL_OK)};
        break;
    case CEL_AMQP_CHANNEL_CLOSE:
        a->channel_close =
            (amqp_channel_close_t){m->code, BYTES(text), m->class_id, m->method_id};
        break;
    default:
        break;
    }
}

static void fill_exchange(union arguments *a, const struct cel_amqp_method *m,
                          amqp_table_t table)
{
    switch (m->id) {
    case CEL_AMQP_EXCHANGE_DECLARE:
        a->exchange_declare = (amqp_exchange_declare_t){
            .exchange = BYTES(exchange),
            .type = BYTES(type),
            .passive = BIT(PASSIVE),
            .durable = BIT(DURABLE),
            .auto_delete = BIT(AUTO_DELETE),
            .arguments = table,
        };
        break;
    case CEL_AMQP_EXCHANGE_BIND:
        a->exchange_bind = (amqp_exchange_bind_t){
            .destination = BYTES(exchange),
            .source = BYTES(source),
            .routing_key = BYTES(routing_key),
            .arguments = table,
        };
        break;
    default:
        break;
    }
}

static void fill_queue(union arguments *a, const struct cel_amqp_method *m,
                       amqp_table_t table)
{
    switch (m->id) {
    case CEL_AMQP_QUEUE_DECLARE:
        a->queue_declare = (amqp_queue_declare_t){
            .queue = BYTES(queue),
            .passive = BIT(PASSIVE),
            .durable = BIT(DURABLE),
            .exclusive = BIT(EXCLUSIVE),
            .auto_delete = BIT(AUTO_DELETE),
            .arguments = table,
        };
        break;
    case CEL_AMQP_QUEUE_DECLARE_OK:
        a->queue_declare_ok =
            (amqp_queue_declare_ok_t){BYTES(queue), m->count, m->consumers};
        break;
    case CEL_AMQP_QUEUE_BIND:
        a->queue_bind = (amqp_queue_bind_t){
            .queue = BYTES(queue),
            .exchange = BYTES(exchange),
            .routing_key = BYTES(routing_key),
            .arguments = table,
        };
        break;
    case CEL_AMQP_QUEUE_PURGE:
        a->queue_purge = (amqp_queue_purge_t){.queue = BYTES(queue)};
        break;
    case CEL_AMQP_QUEUE_PURGE_OK:
        a->queue_purge_ok = (amqp_queue_purge_ok_t){m->count};
        break;
    case CEL_AMQP_QUEUE_DELETE:
        a->queue_delete = (amqp_queue_delete_t){
            .queue = BYTES(queue),
            .if_unused = BIT(IF_UNUSED),
            .if_empty = BIT(IF_EMPTY),
        };
        break;
    case CEL_AMQP_QUEUE_DELETE_OK:
        a->queue_delete_ok = (amqp_queue_delete_ok_t){m->count};
        break;
    default:
        break;
    }
}

static void fill_consumer(union arguments *a, const struct cel_amqp_method *m,
                          amqp_table_t table)
{
    switch (m->id) {
    case CEL_AMQP_BASIC_QOS:
        a->qos = (amqp_basic_qos_t){.prefetch_count =
                                        (uint16_t)(m->count > UINT16_MAX ? 0 : m->count)};
        break;
    case CEL_AMQP_BASIC_CONSUME:
        a->consume = (amqp_basic_consume_t){
            .queue = BYTES(queue),
            .consumer_tag = BYTES(consumer_tag),
            .no_ack = BIT(NO_ACK),
            .exclusive = BIT(EXCLUSIVE),
            .arguments = table,
        };
        break;
    case CEL_AMQP_BASIC_CONSUME_OK:
        a->consume_ok = (amqp_basic_consume_ok_t){BYTES(consumer_tag)};
        break;
    case CEL_AMQP_BASIC_CANCEL:
        a->cancel = (amqp_basic_cancel_t){BYTES(consumer_tag), BIT(CANCEL_OK)};
        break;
    case CEL_AMQP_BASIC_CANCEL_OK:
        a->cancel_ok = (amqp_basic_cancel_ok_t){BYTES(consumer_tag)};
        break;
    case CEL_AMQP_BASIC_ACK:
        a->ack = (amqp_basic_ack_t){m->tag, BIT(MULTIPLE)};
        break;
    case CEL_AMQP_BASIC_REJECT:
        a->reject = (amqp_basic_reject_t){m->tag, BIT(REQUEUE)};
        break;
    case CEL_AMQP_BASIC_NACK:
        a->nack = (amqp_basic_nack_t){m->tag, BIT(MULTIPLE), BIT(REQUEUE)};
        break;
    default:
        break;
    }
}

static void fill_message(union arguments *a, const struct cel_amqp_method *m)
{
    switch (m->id) {
    case CEL_AMQP_BASIC_PUBLISH:
        a->publish = (amqp_basic_publish_t){
            .exchange = BYTES(exchange),
            .routing_key = BYTES(routing_key),
            .mandatory = BIT(MANDATORY),
        };
        break;
    case CEL_AMQP_BASIC_RETURN:
        a->returned = (amqp_basic_return_t){m->code, BYTES(text), BYTES(exchange),
                                            BYTES(routing_key)};
        break;
    case CEL_AMQP_BASIC_DELIVER:
        a->deliver = (amqp_basic_deliver_t){BYTES(consumer_tag), m->tag, BIT(REDELIVERED),
                                            BYTES(exchange), BYTES(routing_key)};
        break;
    case CEL_AMQP_BASIC_GET:
        a->get = (amqp_basic_get_t){.queue = BYTES(queue), .no_ack = BIT(NO_ACK)};
        break;
    case CEL_AMQP_BASIC_GET_OK:
        a->get_ok = (amqp_basic_get_ok_t){m->tag, BIT(REDELIVERED), BYTES(exchange),
                                          BYTES(routing_key), m->count};
        break;
    default:
        break;
    }
}

/* start-ok's response and start's lists are long texts, all others have an octet of length. */
static celery_status check_names(const struct cel_amqp_method *m, size_t *size,
                                 celery_error *err)
{
    bool start = m->id == CEL_AMQP_CONNECTION_START;
    const struct {
        const char *what;
        struct cel_slice text;
    } names[] = {
        {"queue", m->queue},
        {"exchange", m->exchange},
        {"exchange", m->source},
        {"exchange type", m->type},
        {"routing key", m->routing_key},
        {"consumer tag", m->consumer_tag},
        {"virtual host", m->vhost},
        {"mechanism", start ? CEL_SLICE_NULL : m->mechanism},
        {"text", start ? CEL_SLICE_NULL : m->text},
    };
    *size = m->mechanism.len + m->text.len + m->response.len;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = names[i].text.len;
        if (len > UINT8_MAX) {
            return cel_error_set(err, CELERY_EINVAL,
                                 "%s: the %s has %zu bytes; AMQP takes 255",
                                 cel_amqp_method_name(m->id), names[i].what, len);
        }
        *size += len;
    }
    return CELERY_OK;
}

static celery_status write_method(struct cel_buf *out, uint16_t channel,
                                  const struct cel_amqp_method *m, amqp_table_t table,
                                  size_t size, celery_error *err)
{
    const struct cel_amqp_driver *driver = cel_amqp_driver(err);
    celery_status st = driver ? cel_buf_reserve(out, size, err) : CELERY_ENOTSUP;

    if (st < 0) {
        return st;
    }
    union arguments a;
    memset(&a, 0, sizeof a);
    fill_connection(&a, m, table);
    fill_exchange(&a, m, table);
    fill_queue(&a, m, table);
    fill_consumer(&a, m, table);
    fill_message(&a, m);

    char *at = out->data + out->len, *args = at + CEL_AMQP_FRAME_HEAD + 4;
    int len =
        driver->encode_method(m->id, &a, (amqp_bytes_t){size - FIXED_MAX / 2, args});
    if (len < 0) {
        return cel_error_set(err, CELERY_EINVAL, "rabbitmq-c does not take %s",
                             cel_amqp_method_name(m->id));
    }
    cel_amqp_set_head(at, CEL_AMQP_METHOD, channel, (uint32_t)len + 4);
    cel_amqp_set32(at + CEL_AMQP_FRAME_HEAD, m->id);
    args[len] = (char)CEL_AMQP_FRAME_END;
    out->len += (size_t)len + 4 + CEL_AMQP_FRAME_EXTRA;
    return CELERY_OK;
}

celery_status cel_amqp_method_put(struct cel_buf *out, uint16_t channel,
                                  const struct cel_amqp_method *method, celery_error *err)
{
    struct cel_arena arena = {0};
    amqp_table_t table = {0};
    size_t texts, in_table = 0;
    celery_status st = check_names(method, &texts, err);

    if (st == CELERY_OK && method->table) {
        st = cel_amqp_table_make(&arena, method->table, &table, &in_table, err);
    }
    if (st == CELERY_OK) {
        st = write_method(out, channel, method, table, FIXED_MAX + texts + in_table, err);
    }
    cel_arena_fini(&arena);
    return st;
}
