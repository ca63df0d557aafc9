/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/memory.h"
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/memory_state.h"

/* Deliveries at most when prefetch is lifted. */
enum { UNLIMITED = 4096 };

static const char *broker_name(const struct cel_url *url)
{
    if (url->host && url->host[0]) {
        return url->host;
    }
    return url->path ? url->path : "";
}

static celery_status memory_init(struct cel_transport *t, struct cel_url *const *urls,
                                 size_t n, const struct cel_node *options,
                                 celery_error *err)
{
    struct cel_memory *m = cel_memory_of(t);

    cel_list_init(&m->node);
    cel_list_init(&m->inbox);
    cel_hold_init(&m->hold, sizeof(struct cel_memory_held));
    m->broker = cel_memory_broker_open(broker_name(urls[0]));
    return m->broker ? CELERY_OK : cel_error_nomem(err);
}

static void memory_fini(struct cel_transport *t)
{
    struct cel_memory *m = cel_memory_of(t);

    cel_hold_fini(&m->hold);
    cel_free(m->consuming);
    cel_free(m->listening);
}

/* ---- delivering ---- */

static size_t room(const struct cel_memory *m)
{
    size_t limit = m->prefetch ? m->prefetch : UNLIMITED;
    size_t free = m->hold.count < limit ? limit - m->hold.count : 0;

    return m->credited && m->credit < free ? m->credit : free;
}

static struct cel_memory_message *take_next(struct cel_memory *m,
                                            struct cel_memory_queue **ret_queue)
{
    struct cel_memory_message *message = NULL;

    pthread_mutex_lock(&m->broker->lock);
    for (unsigned p = 0; p < CEL_MEMORY_PRIORITIES && !message; p++) {
        for (size_t i = 0; i < m->n_consuming; i++) {
            if (!cel_list_empty(&m->consuming[i]->messages[p])) {
                *ret_queue = m->consuming[i];
                message = cel_memory_take(*ret_queue);
                cel_memory_rotate(m, i);
                break;
            }
        }
    }
    pthread_mutex_unlock(&m->broker->lock);
    return message;
}

static bool deliver_one(struct cel_memory *m)
{
    struct cel_memory_queue *q = NULL;
    struct cel_memory_message *message = take_next(m, &q);
    struct cel_delivery d = {0};
    celery_error err = {0};
    struct cel_memory_held *held;

    if (!message) {
        return false;
    }
    held = cel_hold_add(&m->hold, &d.tag);
    if (held) {
        d.malformed = cel_envelope_read(cel_slice(message->raw, message->len),
                                        &d.envelope, &err) < 0;
    }
    if (!held || !d.envelope) {
        cel_hold_remove(&m->hold, d.tag);
        cel_memory_put_back(m, q, message, true);
        return false;
    }
    *held = (struct cel_memory_held){q, message, false};
    m->credit -= m->credit > 0;
    d.queue = q->name;
    d.redelivered = d.envelope->redelivered;
    snprintf(d.why, sizeof d.why, "%.119s", err.message);
    unsigned connects = m->connects;
    m->base.events->delivered(m->base.events_ctx, &d);
    if (q->no_ack && m->connects == connects) {
        cel_memory_slot_ack(&m->base, d.tag, (struct cel_done){0});
    }
    return true;
}

static struct cel_memory_inbound *next_inbound(struct cel_memory *m)
{
    struct cel_list *first;

    pthread_mutex_lock(&m->broker->lock);
    first = cel_list_first(&m->inbox);
    if (first) {
        cel_list_remove(first);
        m->n_inbox--;
    }
    pthread_mutex_unlock(&m->broker->lock);
    return first ? cel_container_of(first, struct cel_memory_inbound, node) : NULL;
}

static bool broadcast_one(struct cel_memory *m)
{
    struct cel_memory_inbound *in = next_inbound(m);
    struct cel_envelope *env = NULL;

    if (!in) {
        return false;
    }
    if (cel_envelope_read(cel_slice(in->message->raw, in->message->len), &env, NULL) ==
            0 &&
        m->base.events->broadcast) {
        m->base.events->broadcast(m->base.events_ctx, in->exchange,
                                  cel_slice_of(in->routing_key), env);
    } else {
        cel_envelope_free(env);
    }
    cel_memory_inbound_free(in);
    return true;
}

static void on_wake(void *ctx)
{
    struct cel_memory *m = ctx;
    unsigned connects = m->connects;

    while (m->connects == connects && m->n_told < m->n_listening) {
        const char *queue = m->listening[m->n_told++]->queue->name;

        if (m->base.events->listening) {
            m->base.events->listening(m->base.events_ctx, queue);
        }
    }
    while (m->connects == connects && m->connected && broadcast_one(m)) {
    }
    while (m->connects == connects && m->connected && room(m) > 0 && deliver_one(m)) {
    }
}

/* ---- connection ---- */

static void memory_connect(struct cel_transport *t, size_t url_index,
                           struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    celery_error err = {0};

    if (!m->wake && cel_loop_add_wake(t->loop, &m->wake, on_wake, m) < 0) {
        cel_error_nomem(&err);
        cel_done(done, &err, 0);
        return;
    }
    pthread_mutex_lock(&m->broker->lock);
    if (!m->connected) {
        cel_list_append(&m->broker->transports, &m->node);
    }
    m->connected = true;
    pthread_mutex_unlock(&m->broker->lock);
    cel_done(done, NULL, 0);
}

static void drop_inbox(struct cel_memory *m)
{
    struct cel_memory_inbound *in;

    for (in = next_inbound(m); in; in = next_inbound(m)) {
        cel_memory_inbound_free(in);
    }
}

static void memory_close(struct cel_transport *t)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_memory_held *held;
    uint64_t tag;

    if (!m->connected) {
        return;
    }
    pthread_mutex_lock(&m->broker->lock);
    cel_list_remove(&m->node);
    m->connected = false;
    pthread_mutex_unlock(&m->broker->lock);
    m->connects++;
    for (size_t at = 0; (held = cel_hold_next(&m->hold, &at, &tag)) != NULL;) {
        cel_memory_put_back(m, held->queue,
                            cel_memory_redelivered(held->message, NULL, 0), true);
        cel_hold_remove(&m->hold, tag);
    }
    drop_inbox(m);
    m->n_consuming = m->n_listening = m->n_told = 0;
    m->wake = cel_source_free(m->wake);
}

/* ---- publishing ---- */

static void memory_publish(struct cel_transport *t, const char *exchange,
                           const char *routing_key, const struct cel_envelope *envelope,
                           struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_buf text = {0};
    celery_error err = {0};
    celery_status status;
    int64_t heard = 0;

    if (cel_memory_closed(m, done)) {
        return;
    }
    status = cel_envelope_write(&text, envelope);
    if (status == 0) {
        pthread_mutex_lock(&m->broker->lock);
        status = cel_memory_route(m->broker, exchange, routing_key, cel_buf_slice(&text),
                                  envelope->priority, &heard);
        cel_memory_wake_all(m->broker);
        pthread_mutex_unlock(&m->broker->lock);
    }
    cel_buf_fini(&text);
    if (status < 0) {
        cel_error_set(&err, status, "publishing to %s: %s", routing_key,
                      celery_status_text(status));
    }
    cel_done(done, status < 0 ? &err : NULL, heard);
}

static double memory_silence(const struct cel_transport *t)
{
    return 0; /* the broker is this process: whoever asks has just been answered */
}

static const char *const memory_schemes[] = {"memory", NULL};

const struct cel_transport_ops cel_transport_memory = {
    .name = "memory",
    .schemes = memory_schemes,
    .flags = CEL_TRANSPORT_CONFIRMS | CEL_TRANSPORT_FANOUT | CEL_TRANSPORT_PRIORITIES |
             CEL_TRANSPORT_REDELIVERS,
    .size = sizeof(struct cel_memory),
    .init = memory_init,
    .fini = memory_fini,
    .connect = memory_connect,
    .close = memory_close,
    .declare = cel_memory_slot_declare,
    .publish = memory_publish,
    .consume = cel_memory_slot_consume,
    .cancel = cel_memory_slot_cancel,
    .set_prefetch = cel_memory_slot_set_prefetch,
    .set_credit = cel_memory_slot_set_credit,
    .ack = cel_memory_slot_ack,
    .reject = cel_memory_slot_reject,
    .park = cel_memory_slot_park,
    .count_start = cel_memory_slot_count_start,
    .bury = cel_memory_slot_bury,
    .purge = cel_memory_slot_purge,
    .delete_queue = cel_memory_slot_delete_queue,
    .count = cel_memory_slot_count,
    .silence = memory_silence,
};

celery_status cel_memory_push(const char *broker, const char *queue, struct cel_slice raw)
{
    struct cel_memory_broker *b = cel_memory_broker_open(broker);
    struct cel_memory_queue *q;
    celery_status status = CELERY_ENOMEM;

    if (!b) {
        return status;
    }
    pthread_mutex_lock(&b->lock);
    q = cel_memory_queue(b, cel_slice_of(queue));
    if (q) {
        status = cel_memory_post(q, raw, 0);
        cel_memory_wake_all(b);
    }
    pthread_mutex_unlock(&b->lock);
    return status;
}
