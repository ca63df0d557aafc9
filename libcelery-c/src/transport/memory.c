/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/memory.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/uuid.h"
#include "message/envelope_json.h"
#include "transport/memory_state.h"

/* Deliveries at most when prefetch is lifted. */
enum { UNLIMITED = 4096 };

struct held {
    struct cel_memory_queue *queue;
    struct cel_memory_message *message; /* owned */
    bool started;                       /* a start of this delivery was counted */
};

static struct cel_memory *memory_of(struct cel_transport *t)
{
    return (struct cel_memory *)t;
}

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
    struct cel_memory *m = memory_of(t);

    cel_list_init(&m->node);
    cel_list_init(&m->inbox);
    cel_hold_init(&m->hold, sizeof(struct held));
    m->broker = cel_memory_broker_open(broker_name(urls[0]));
    return m->broker ? CELERY_OK : cel_error_nomem(err);
}

static void memory_fini(struct cel_transport *t)
{
    struct cel_memory *m = memory_of(t);

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

/* The queue that delivered goes to the end of the line (round_robin). */
static void rotate(struct cel_memory *m, size_t i)
{
    struct cel_memory_queue *q = m->consuming[i];

    memmove(m->consuming + i, m->consuming + i + 1,
            (m->n_consuming - i - 1) * sizeof *m->consuming);
    m->consuming[m->n_consuming - 1] = q;
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
                rotate(m, i);
                break;
            }
        }
    }
    pthread_mutex_unlock(&m->broker->lock);
    return message;
}

static void put_back(struct cel_memory *m, struct cel_memory_queue *q,
                     struct cel_memory_message *give_message, bool front)
{
    pthread_mutex_lock(&m->broker->lock);
    cel_memory_put(q, give_message, front);
    cel_memory_wake_all(m->broker);
    pthread_mutex_unlock(&m->broker->lock);
}

static bool deliver_one(struct cel_memory *m)
{
    struct cel_memory_queue *q = NULL;
    struct cel_memory_message *message = take_next(m, &q);
    struct cel_delivery d = {0};
    celery_error err = {0};
    struct held *held;

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
        put_back(m, q, message, true);
        return false;
    }
    *held = (struct held){q, message, false};
    m->credit -= m->credit > 0;
    d.queue = q->name;
    d.redelivered = d.envelope->redelivered;
    snprintf(d.why, sizeof d.why, "%.119s", err.message);
    m->base.events->delivered(m->base.events_ctx, &d);
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

    while (m->connects == connects && m->connected && broadcast_one(m)) {
    }
    while (m->connects == connects && m->connected && room(m) > 0 && deliver_one(m)) {
    }
}

/* ---- connection ---- */

static void memory_connect(struct cel_transport *t, size_t url_index,
                           struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
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

/* The text to be delivered again; the bytes as they were when they cannot be read. */
static struct cel_memory_message *redelivered(struct cel_memory_message *give_message,
                                              const char *header, int64_t value)
{
    struct cel_memory_message *again = NULL;
    struct cel_envelope *env = NULL;
    struct cel_buf text = {0};

    if (cel_envelope_read(cel_slice(give_message->raw, give_message->len), &env, NULL) ==
            0 &&
        cel_envelope_write_redelivered(&text, env, header, value) == 0) {
        again = cel_memory_message(cel_buf_slice(&text), give_message->priority);
    }
    cel_envelope_free(env);
    cel_buf_fini(&text);
    if (again) {
        again->starts = give_message->starts;
        cel_free(give_message);
    }
    return again ? again : give_message;
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
    struct cel_memory *m = memory_of(t);
    struct held *held;
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
        put_back(m, held->queue, redelivered(held->message, NULL, 0), true);
        cel_hold_remove(&m->hold, tag);
    }
    drop_inbox(m);
    m->n_consuming = m->n_listening = 0;
    m->wake = cel_source_free(m->wake);
}

static bool is_closed(struct cel_memory *m, struct cel_done done)
{
    celery_error err = {0};

    if (m->connected) {
        return false;
    }
    cel_error_set(&err, CELERY_ECLOSED, "memory://%s: not connected", m->broker->name);
    cel_done(done, &err, 0);
    return true;
}

/* ---- queues ---- */

static void memory_declare(struct cel_transport *t, const struct cel_queue *q,
                           struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct cel_memory_queue *queue;
    enum cel_exchange_type type;
    celery_status status = CELERY_OK;
    celery_error err = {0};

    if (is_closed(m, done)) {
        return;
    }
    if (!cel_exchange_type_parse(q->exchange_type, &type)) {
        cel_error_set(&err, CELERY_ENOTSUP, "queue %s: no exchanges of type %s", q->name,
                      q->exchange_type);
        cel_done(done, &err, 0);
        return;
    }
    pthread_mutex_lock(&m->broker->lock);
    queue = cel_memory_queue(m->broker, cel_slice_of(q->name));
    if (!queue) {
        status = CELERY_ENOMEM;
    } else if (q->exchange && q->exchange[0]) {
        status = cel_memory_bind(m->broker, queue, q->exchange,
                                 q->routing_key ? q->routing_key : "", type);
    }
    pthread_mutex_unlock(&m->broker->lock);
    if (status < 0) {
        cel_error_nomem(&err);
    }
    cel_done(done, status < 0 ? &err : NULL, 0);
}

/* With the lock held.  The fanout binding of a queue, or NULL. */
static struct cel_memory_binding *fanout_of(struct cel_memory *m,
                                            const struct cel_memory_queue *q)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &m->broker->bindings) {
        struct cel_memory_binding *b =
            cel_container_of(it, struct cel_memory_binding, node);

        if (b->queue == q && b->type == CEL_EXCHANGE_FANOUT) {
            return b;
        }
    }
    return NULL;
}

static celery_status add_pointer(void ***list, size_t *n, void *entry)
{
    void **more;

    for (size_t i = 0; i < *n; i++) {
        if ((*list)[i] == entry) {
            return CELERY_OK;
        }
    }
    more = cel_realloc(*list, *n + 1, sizeof *more);
    if (!more) {
        return CELERY_ENOMEM;
    }
    *list = more;
    more[(*n)++] = entry;
    return CELERY_OK;
}

static celery_status memory_consume(struct cel_transport *t, const char *queue,
                                    celery_error *err)
{
    struct cel_memory *m = memory_of(t);
    struct cel_memory_binding *fanout;
    struct cel_memory_queue *q;
    celery_status status = CELERY_ENOMEM;

    if (!m->connected) {
        return cel_error_set(err, CELERY_ECLOSED, "not connected");
    }
    pthread_mutex_lock(&m->broker->lock);
    q = cel_memory_queue(m->broker, cel_slice_of(queue));
    fanout = q ? fanout_of(m, q) : NULL;
    if (fanout) {
        status = add_pointer((void ***)(void *)&m->listening, &m->n_listening, fanout);
    } else if (q) {
        status = add_pointer((void ***)(void *)&m->consuming, &m->n_consuming, q);
    }
    pthread_mutex_unlock(&m->broker->lock);
    cel_loop_wake(t->loop);
    return status < 0 ? cel_error_nomem(err) : CELERY_OK;
}

static celery_status memory_cancel(struct cel_transport *t, const char *queue,
                                   celery_error *err)
{
    struct cel_memory *m = memory_of(t);

    pthread_mutex_lock(&m->broker->lock);
    for (size_t i = 0; i < m->n_consuming; i++) {
        if (strcmp(m->consuming[i]->name, queue) == 0) {
            rotate(m, i);
            m->n_consuming--;
            break;
        }
    }
    for (size_t i = 0; i < m->n_listening; i++) {
        if (strcmp(m->listening[i]->queue->name, queue) == 0) {
            m->listening[i] = m->listening[--m->n_listening];
            break;
        }
    }
    pthread_mutex_unlock(&m->broker->lock);
    return CELERY_OK;
}

static celery_status memory_set_prefetch(struct cel_transport *t, unsigned count)
{
    memory_of(t)->prefetch = count;
    cel_loop_wake(t->loop);
    return CELERY_OK;
}

static void memory_set_credit(struct cel_transport *t, unsigned count)
{
    memory_of(t)->credited = true;
    memory_of(t)->credit = count;
    cel_loop_wake(t->loop);
}

static void memory_purge(struct cel_transport *t, const char *queue, struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct cel_memory_queue *q;
    size_t n;

    if (is_closed(m, done)) {
        return;
    }
    pthread_mutex_lock(&m->broker->lock);
    q = cel_map_get(&m->broker->queues, cel_slice_of(queue));
    n = q ? cel_memory_purge(q) : 0;
    pthread_mutex_unlock(&m->broker->lock);
    cel_done(done, NULL, (int64_t)n);
}

static void memory_count(struct cel_transport *t, const char *queue, struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct cel_memory_queue *q;
    size_t n;

    if (is_closed(m, done)) {
        return;
    }
    pthread_mutex_lock(&m->broker->lock);
    q = cel_map_get(&m->broker->queues, cel_slice_of(queue));
    n = q ? q->count : 0;
    pthread_mutex_unlock(&m->broker->lock);
    cel_done(done, NULL, (int64_t)n);
}

/* ---- publishing ---- */

static void memory_publish(struct cel_transport *t, const char *exchange,
                           const char *routing_key, const struct cel_envelope *envelope,
                           struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct cel_buf text = {0};
    celery_error err = {0};
    celery_status status;

    if (is_closed(m, done)) {
        return;
    }
    status = cel_envelope_write(&text, envelope);
    if (status == 0) {
        pthread_mutex_lock(&m->broker->lock);
        status = cel_memory_route(m->broker, exchange, routing_key, cel_buf_slice(&text),
                                  envelope->priority);
        cel_memory_wake_all(m->broker);
        pthread_mutex_unlock(&m->broker->lock);
    }
    cel_buf_fini(&text);
    if (status < 0) {
        cel_error_set(&err, status, "publishing to %s: %s", routing_key,
                      celery_status_text(status));
    }
    cel_done(done, status < 0 ? &err : NULL, 0);
}

/* ---- settling ---- */

static struct cel_memory_message *release(struct cel_memory *m, uint64_t tag,
                                          struct cel_memory_queue **ret_queue)
{
    struct held *held = cel_hold_get(&m->hold, tag);
    struct cel_memory_message *message = NULL;

    if (held) {
        message = held->message;
        *ret_queue = held->queue;
        cel_hold_remove(&m->hold, tag);
        cel_loop_wake(m->base.loop);
    }
    return message;
}

static void memory_ack(struct cel_transport *t, uint64_t tag, struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct cel_memory_queue *q;
    struct cel_memory_message *message;

    if (is_closed(m, done)) {
        return;
    }
    message = release(m, tag, &q);
    cel_free(message);
    cel_done(done, NULL, message != NULL);
}

static void memory_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                          const char *header, int64_t value, struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct cel_memory_queue *q = NULL;
    struct cel_memory_message *message;
    struct held *held;

    if (is_closed(m, done)) {
        return;
    }
    held = cel_hold_get(&m->hold, tag);
    if (held && held->started) {
        held->message->starts = 0;
    }
    message = release(m, tag, &q);
    if (message && requeue) {
        put_back(m, q, redelivered(message, header, value), front);
    } else {
        cel_free(message);
    }
    cel_done(done, NULL, message != NULL);
}

static void memory_park(struct cel_transport *t, uint64_t tag, const char *reason,
                        struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct cel_memory_queue *q = NULL;
    struct cel_memory_message *message;

    if (is_closed(m, done)) {
        return;
    }
    message = release(m, tag, &q);
    if (message) {
        pthread_mutex_lock(&m->broker->lock);
        cel_memory_park(q, message, t->max_dead);
        pthread_mutex_unlock(&m->broker->lock);
    }
    cel_done(done, NULL, message != NULL);
}

static void memory_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                               struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct held *held;
    int64_t before;

    if (is_closed(m, done)) {
        return;
    }
    held = cel_hold_get(&m->hold, tag);
    before = held ? held->message->starts - held->started : -1;
    if (held && !held->started && before < most) {
        held->started = true;
        held->message->starts++;
    }
    cel_done(done, NULL, before);
}

static void memory_bury(struct cel_transport *t, const char *queue, struct cel_slice raw,
                        const char *reason, struct cel_done done)
{
    struct cel_memory *m = memory_of(t);
    struct cel_memory_message *message;
    struct cel_memory_queue *q;
    celery_error err = {0};

    if (is_closed(m, done)) {
        return;
    }
    message = cel_memory_message(raw, 0);
    pthread_mutex_lock(&m->broker->lock);
    q = message ? cel_memory_queue(m->broker, cel_slice_of(queue)) : NULL;
    if (q) {
        cel_memory_park(q, message, t->max_dead);
    }
    pthread_mutex_unlock(&m->broker->lock);
    if (!q) {
        cel_free(message);
        cel_error_nomem(&err);
    }
    cel_done(done, q ? NULL : &err, 0);
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
    .declare = memory_declare,
    .publish = memory_publish,
    .consume = memory_consume,
    .cancel = memory_cancel,
    .set_prefetch = memory_set_prefetch,
    .set_credit = memory_set_credit,
    .ack = memory_ack,
    .reject = memory_reject,
    .park = memory_park,
    .count_start = memory_count_start,
    .bury = memory_bury,
    .purge = memory_purge,
    .count = memory_count,
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
