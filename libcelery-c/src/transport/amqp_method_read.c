/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods from bytes, decoded by rabbitmq-c. */
#include "base/error.h"
#include "transport/amqp_codec.h"
#include "transport/amqp_scan.h"
#include "transport/amqp_table.h"
#include "transport/amqp_wire.h"

const char *cel_amqp_method_name(uint32_t id)
{
    static const struct {
        uint32_t id;
        const char *name;
    } names[] = {
        {CEL_AMQP_CONNECTION_START, "connection.start"},
        {CEL_AMQP_CONNECTION_START_OK, "connection.start-ok"},
        {CEL_AMQP_CONNECTION_SECURE, "connection.secure"},
        {CEL_AMQP_CONNECTION_TUNE, "connection.tune"},
        {CEL_AMQP_CONNECTION_TUNE_OK, "connection.tune-ok"},
        {CEL_AMQP_CONNECTION_OPEN, "connection.open"},
        {CEL_AMQP_CONNECTION_OPEN_OK, "connection.open-ok"},
        {CEL_AMQP_CONNECTION_CLOSE, "connection.close"},
        {CEL_AMQP_CONNECTION_CLOSE_OK, "connection.close-ok"},
        {CEL_AMQP_CONNECTION_BLOCKED, "connection.blocked"},
        {CEL_AMQP_CONNECTION_UNBLOCKED, "connection.unblocked"},
        {CEL_AMQP_CHANNEL_OPEN, "channel.open"},
        {CEL_AMQP_CHANNEL_OPEN_OK, "channel.open-ok"},
        {CEL_AMQP_CHANNEL_FLOW, "channel.flow"},
        {CEL_AMQP_CHANNEL_FLOW_OK, "channel.flow-ok"},
        {CEL_AMQP_CHANNEL_CLOSE, "channel.close"},
        {CEL_AMQP_CHANNEL_CLOSE_OK, "channel.close-ok"},
        {CEL_AMQP_EXCHANGE_DECLARE, "exchange.declare"},
        {CEL_AMQP_EXCHANGE_DECLARE_OK, "exchange.declare-ok"},
        {CEL_AMQP_EXCHANGE_BIND, "exchange.bind"},
        {CEL_AMQP_EXCHANGE_BIND_OK, "exchange.bind-ok"},
        {CEL_AMQP_QUEUE_DECLARE, "queue.declare"},
        {CEL_AMQP_QUEUE_DECLARE_OK, "queue.declare-ok"},
        {CEL_AMQP_QUEUE_BIND, "queue.bind"},
        {CEL_AMQP_QUEUE_BIND_OK, "queue.bind-ok"},
        {CEL_AMQP_QUEUE_PURGE, "queue.purge"},
        {CEL_AMQP_QUEUE_PURGE_OK, "queue.purge-ok"},
        {CEL_AMQP_QUEUE_DELETE, "queue.delete"},
        {CEL_AMQP_QUEUE_DELETE_OK, "queue.delete-ok"},
        {CEL_AMQP_BASIC_QOS, "basic.qos"},
        {CEL_AMQP_BASIC_QOS_OK, "basic.qos-ok"},
        {CEL_AMQP_BASIC_CONSUME, "basic.consume"},
        {CEL_AMQP_BASIC_CONSUME_OK, "basic.consume-ok"},
        {CEL_AMQP_BASIC_CANCEL, "basic.cancel"},
        {CEL_AMQP_BASIC_CANCEL_OK, "basic.cancel-ok"},
        {CEL_AMQP_BASIC_PUBLISH, "basic.publish"},
        {CEL_AMQP_BASIC_RETURN, "basic.return"},
        {CEL_AMQP_BASIC_DELIVER, "basic.deliver"},
        {CEL_AMQP_BASIC_GET, "basic.get"},
        {CEL_AMQP_BASIC_GET_OK, "basic.get-ok"},
        {CEL_AMQP_BASIC_GET_EMPTY, "basic.get-empty"},
        {CEL_AMQP_BASIC_ACK, "basic.ack"},
        {CEL_AMQP_BASIC_REJECT, "basic.reject"},
        {CEL_AMQP_BASIC_NACK, "basic.nack"},
        {CEL_AMQP_CONFIRM_SELECT, "confirm.select"},
        {CEL_AMQP_CONFIRM_SELECT_OK, "confirm.select-ok"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].id == id) {
            return names[i].name;
        }
    }
    return "?";
}

/* ---- tables, before they are decoded ---- */

/* Methods with a table: octets, names and octets again that stand before it. */
static const struct {
    uint32_t id;
    uint8_t octets, names, then;
} tables[] = {
    {CEL_AMQP_CONNECTION_START, 2, 0, 0}, {CEL_AMQP_CONNECTION_START_OK, 0, 0, 0},
    {CEL_AMQP_EXCHANGE_DECLARE, 2, 2, 1}, {CEL_AMQP_EXCHANGE_BIND, 2, 3, 1},
    {CEL_AMQP_QUEUE_DECLARE, 2, 1, 1},    {CEL_AMQP_QUEUE_BIND, 2, 3, 1},
    {CEL_AMQP_BASIC_CONSUME, 2, 2, 1},
};

/* Copies the arguments of a method with a table, because the table stays, and checks it. */
static celery_status check_table(uint32_t id, struct cel_slice *args,
                                 struct cel_arena *arena, celery_error *err)
{
    size_t i = 0, n = sizeof tables / sizeof *tables, size;

    while (i < n && tables[i].id != id) {
        i++;
    }
    if (i == n) {
        return CELERY_OK;
    }
    char *copy = cel_arena_strndup(arena, args->data, args->len);
    if (!copy) {
        return cel_error_nomem(err);
    }
    *args = cel_slice(copy, args->len);
    size_t at = tables[i].octets;
    for (unsigned k = 0; k < tables[i].names; k++) {
        at += at < args->len ? (size_t)(unsigned char)copy[at] + 1 : 1;
    }
    at += tables[i].then;
    const char *why = at <= args->len
                          ? cel_amqp_scan_table(copy + at, args->len - at, &size)
                          : "its arguments are incomplete";
    return why ? cel_error_set(err, CELERY_EPROTO, "%s: %s", cel_amqp_method_name(id),
                               why)
               : CELERY_OK;
}

/* ---- fields ---- */

#define BIT(on, name) ((on) ? (unsigned)CEL_AMQP_##name : 0u)

static void read_close(struct cel_amqp_method *m, uint16_t code, amqp_bytes_t text,
                       uint16_t class_id, uint16_t method_id)
{
    m->code = code;
    m->text = cel_amqp_slice(text);
    m->class_id = class_id;
    m->method_id = method_id;
}

static void read_tune(struct cel_amqp_method *m, uint16_t channel_max, uint32_t frame_max,
                      uint16_t heartbeat)
{
    m->channel_max = channel_max;
    m->frame_max = frame_max;
    m->heartbeat = heartbeat;
}

/* The table's object belongs to the method; false: no memory. */
static bool read_table(struct cel_amqp_method *m, struct cel_arena *arena,
                       const amqp_table_t *table)
{
    const char *fault = NULL; /* entries that were left out tell nobody anything */

    m->table = cel_amqp_table_read(arena, table, &fault);
    return m->table != NULL;
}

static bool read_connection(struct cel_amqp_method *m, struct cel_arena *arena,
                            const void *decoded)
{
    switch (m->id) {
    case CEL_AMQP_CONNECTION_START: {
        const amqp_connection_start_t *d = decoded;
        m->mechanism = cel_amqp_slice(d->mechanisms);
        m->text = cel_amqp_slice(d->locales);
        return read_table(m, arena, &d->server_properties);
    }
    case CEL_AMQP_CONNECTION_START_OK: {
        const amqp_connection_start_ok_t *d = decoded;
        m->mechanism = cel_amqp_slice(d->mechanism);
        m->response = cel_amqp_slice(d->response);
        m->text = cel_amqp_slice(d->locale);
        return read_table(m, arena, &d->client_properties);
    }
    case CEL_AMQP_CONNECTION_SECURE: {
        const amqp_connection_secure_t *d = decoded;
        m->response = cel_amqp_slice(d->challenge);
        return true;
    }
    case CEL_AMQP_CONNECTION_TUNE: {
        const amqp_connection_tune_t *d = decoded;
        read_tune(m, d->channel_max, d->frame_max, d->heartbeat);
        return true;
    }
    case CEL_AMQP_CONNECTION_TUNE_OK: {
        const amqp_connection_tune_ok_t *d = decoded;
        read_tune(m, d->channel_max, d->frame_max, d->heartbeat);
        return true;
    }
    case CEL_AMQP_CONNECTION_OPEN: {
        const amqp_connection_open_t *d = decoded;
        m->vhost = cel_amqp_slice(d->virtual_host);
        return true;
    }
    case CEL_AMQP_CONNECTION_CLOSE: {
        const amqp_connection_close_t *d = decoded;
        read_close(m, d->reply_code, d->reply_text, d->class_id, d->method_id);
        return true;
    }
    case CEL_AMQP_CONNECTION_BLOCKED: {
        const amqp_connection_blocked_t *d = decoded;
        m->text = cel_amqp_slice(d->reason);
        return true;
    }
    default:
        return true; /* nothing in it */
    }
}

static void read_channel(struct cel_amqp_method *m, const void *decoded)
{
    switch (m->id) {
    case CEL_AMQP_CHANNEL_FLOW: {
        const amqp_channel_flow_t *d = decoded;
        m->bits = BIT(d->active, CANCEL_OK);
        break;
    }
    case CEL_AMQP_CHANNEL_FLOW_OK: {
        const amqp_channel_flow_ok_t *d = decoded;
        m->bits = BIT(d->active, CANCEL_OK);
        break;
    }
    case CEL_AMQP_CHANNEL_CLOSE: {
        const amqp_channel_close_t *d = decoded;
        read_close(m, d->reply_code, d->reply_text, d->class_id, d->method_id);
        break;
    }
    default:
        break;
    }
}

static bool read_exchange(struct cel_amqp_method *m, struct cel_arena *arena,
                          const void *decoded)
{
    if (m->id == CEL_AMQP_EXCHANGE_DECLARE) {
        const amqp_exchange_declare_t *d = decoded;
        m->exchange = cel_amqp_slice(d->exchange);
        m->type = cel_amqp_slice(d->type);
        m->bits = BIT(d->passive, PASSIVE) | BIT(d->durable, DURABLE) |
                  BIT(d->auto_delete, AUTO_DELETE);
        return read_table(m, arena, &d->arguments);
    }
    if (m->id == CEL_AMQP_EXCHANGE_BIND) {
        const amqp_exchange_bind_t *d = decoded;
        m->exchange = cel_amqp_slice(d->destination);
        m->source = cel_amqp_slice(d->source);
        m->routing_key = cel_amqp_slice(d->routing_key);
        return read_table(m, arena, &d->arguments);
    }
    return true;
}

static bool read_queue(struct cel_amqp_method *m, struct cel_arena *arena,
                       const void *decoded)
{
    switch (m->id) {
    case CEL_AMQP_QUEUE_DECLARE: {
        const amqp_queue_declare_t *d = decoded;
        m->queue = cel_amqp_slice(d->queue);
        m->bits = BIT(d->passive, PASSIVE) | BIT(d->durable, DURABLE) |
                  BIT(d->exclusive, EXCLUSIVE) | BIT(d->auto_delete, AUTO_DELETE);
        return read_table(m, arena, &d->arguments);
    }
    case CEL_AMQP_QUEUE_DECLARE_OK: {
        const amqp_queue_declare_ok_t *d = decoded;
        m->queue = cel_amqp_slice(d->queue);
        m->count = d->message_count;
        m->consumers = d->consumer_count;
        return true;
    }
    case CEL_AMQP_QUEUE_BIND: {
        const amqp_queue_bind_t *d = decoded;
        m->queue = cel_amqp_slice(d->queue);
        m->exchange = cel_amqp_slice(d->exchange);
        m->routing_key = cel_amqp_slice(d->routing_key);
        return read_table(m, arena, &d->arguments);
    }
    case CEL_AMQP_QUEUE_PURGE:
        m->queue = cel_amqp_slice(((const amqp_queue_purge_t *)decoded)->queue);
        return true;
    case CEL_AMQP_QUEUE_PURGE_OK:
        m->count = ((const amqp_queue_purge_ok_t *)decoded)->message_count;
        return true;
    case CEL_AMQP_QUEUE_DELETE: {
        const amqp_queue_delete_t *d = decoded;
        m->queue = cel_amqp_slice(d->queue);
        m->bits = BIT(d->if_unused, IF_UNUSED) | BIT(d->if_empty, IF_EMPTY);
        return true;
    }
    case CEL_AMQP_QUEUE_DELETE_OK:
        m->count = ((const amqp_queue_delete_ok_t *)decoded)->message_count;
        return true;
    default:
        return true;
    }
}

static bool read_consumer(struct cel_amqp_method *m, struct cel_arena *arena,
                          const void *decoded)
{
    switch (m->id) {
    case CEL_AMQP_BASIC_QOS:
        m->count = ((const amqp_basic_qos_t *)decoded)->prefetch_count;
        return true;
    case CEL_AMQP_BASIC_CONSUME: {
        const amqp_basic_consume_t *d = decoded;
        m->queue = cel_amqp_slice(d->queue);
        m->consumer_tag = cel_amqp_slice(d->consumer_tag);
        m->bits = BIT(d->no_ack, NO_ACK) | BIT(d->exclusive, EXCLUSIVE);
        return read_table(m, arena, &d->arguments);
    }
    case CEL_AMQP_BASIC_CONSUME_OK:
        m->consumer_tag =
            cel_amqp_slice(((const amqp_basic_consume_ok_t *)decoded)->consumer_tag);
        return true;
    case CEL_AMQP_BASIC_CANCEL: {
        const amqp_basic_cancel_t *d = decoded;
        m->consumer_tag = cel_amqp_slice(d->consumer_tag);
        m->bits = BIT(d->nowait, CANCEL_OK);
        return true;
    }
    case CEL_AMQP_BASIC_CANCEL_OK:
        m->consumer_tag =
            cel_amqp_slice(((const amqp_basic_cancel_ok_t *)decoded)->consumer_tag);
        return true;
    default:
        return true;
    }
}

static void read_message(struct cel_amqp_method *m, const void *decoded)
{
    switch (m->id) {
    case CEL_AMQP_BASIC_PUBLISH: {
        const amqp_basic_publish_t *d = decoded;
        m->exchange = cel_amqp_slice(d->exchange);
        m->routing_key = cel_amqp_slice(d->routing_key);
        m->bits = BIT(d->mandatory, MANDATORY);
        break;
    }
    case CEL_AMQP_BASIC_RETURN: {
        const amqp_basic_return_t *d = decoded;
        m->code = d->reply_code;
        m->text = cel_amqp_slice(d->reply_text);
        m->exchange = cel_amqp_slice(d->exchange);
        m->routing_key = cel_amqp_slice(d->routing_key);
        break;
    }
    case CEL_AMQP_BASIC_DELIVER: {
        const amqp_basic_deliver_t *d = decoded;
        m->consumer_tag = cel_amqp_slice(d->consumer_tag);
        m->tag = d->delivery_tag;
        m->bits = BIT(d->redelivered, REDELIVERED);
        m->exchange = cel_amqp_slice(d->exchange);
        m->routing_key = cel_amqp_slice(d->routing_key);
        break;
    }
    case CEL_AMQP_BASIC_GET: {
        const amqp_basic_get_t *d = decoded;
        m->queue = cel_amqp_slice(d->queue);
        m->bits = BIT(d->no_ack, NO_ACK);
        break;
    }
    case CEL_AMQP_BASIC_GET_OK: {
        const amqp_basic_get_ok_t *d = decoded;
        m->tag = d->delivery_tag;
        m->bits = BIT(d->redelivered, REDELIVERED);
        m->exchange = cel_amqp_slice(d->exchange);
        m->routing_key = cel_amqp_slice(d->routing_key);
        m->count = d->message_count;
        break;
    }
    default:
        break;
    }
}

static void read_settlement(struct cel_amqp_method *m, const void *decoded)
{
    switch (m->id) {
    case CEL_AMQP_BASIC_ACK: {
        const amqp_basic_ack_t *d = decoded;
        m->tag = d->delivery_tag;
        m->bits = BIT(d->multiple, MULTIPLE);
        break;
    }
    case CEL_AMQP_BASIC_REJECT: {
        const amqp_basic_reject_t *d = decoded;
        m->tag = d->delivery_tag;
        m->bits = BIT(d->requeue, REQUEUE);
        break;
    }
    case CEL_AMQP_BASIC_NACK: {
        const amqp_basic_nack_t *d = decoded;
        m->tag = d->delivery_tag;
        m->bits = BIT(d->multiple, MULTIPLE) | BIT(d->requeue, REQUEUE);
        break;
    }
    default:
        break;
    }
}

static bool read_fields(struct cel_amqp_method *m, struct cel_arena *arena,
                        const void *decoded)
{
    switch (m->id >> 16) {
    case 10:
        return read_connection(m, arena, decoded);
    case 20:
        read_channel(m, decoded);
        return true;
    case 40:
        return read_exchange(m, arena, decoded);
    case 50:
        return read_queue(m, arena, decoded);
    case 60:
        read_message(m, decoded);
        read_settlement(m, decoded);
        return read_consumer(m, arena, decoded);
    default:
        return true;
    }
}

static bool is_known(uint32_t id)
{
    switch (id) {
#define X(name, class_id, method_id) case CEL_AMQP_##name:
        CEL_AMQP_METHODS(X)
#undef X
        return true;
    default:
        return false;
    }
}

celery_status cel_amqp_method_read(struct cel_slice payload, struct cel_arena *arena,
                                   struct cel_amqp_method *ret_method, celery_error *err)
{
    uint32_t id = payload.len < 4 ? 0 : cel_amqp_get32(payload.data);

    if (!is_known(id)) {
        return cel_error_set(err, CELERY_EPROTO, "method %u.%u is none of ours", id >> 16,
                             id & 0xffff);
    }
    struct cel_slice args = cel_slice(payload.data + 4, payload.len - 4);
    celery_status st = check_table(id, &args, arena, err);
    if (st < 0) {
        return st;
    }
    const struct cel_amqp_driver *driver = cel_amqp_driver(err);
    struct cel_amqp_pool pool;
    void *decoded = NULL;

    if (!driver) {
        return CELERY_ENOTSUP;
    }
    int res = driver->decode_method(id, cel_amqp_pool_init(&pool, driver),
                                    cel_amqp_bytes(args), &decoded);
    *ret_method = (struct cel_amqp_method){.id = id};
    if (res == AMQP_STATUS_NO_MEMORY ||
        (res == 0 && !read_fields(ret_method, arena, decoded))) {
        st = cel_error_nomem(err);
    } else if (res != 0) {
        st = cel_error_set(err, CELERY_EPROTO, "%s: its arguments are incomplete",
                           cel_amqp_method_name(id));
    }
    cel_amqp_pool_fini(&pool);
    return st;
}
