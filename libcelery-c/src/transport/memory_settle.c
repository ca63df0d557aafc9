/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of deliveries. */
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/memory_state.h"

void cel_memory_put_back(struct cel_memory *m, struct cel_memory_queue *q,
                         struct cel_memory_message *give_message, bool front)
{
    pthread_mutex_lock(&m->broker->lock);
    cel_memory_put(q, give_message, front);
    cel_memory_wake_all(m->broker);
    pthread_mutex_unlock(&m->broker->lock);
}

/* The text to be delivered again; the bytes as they were when they cannot be read. */
struct cel_memory_message *cel_memory_redelivered(struct cel_memory_message *give_message,
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

static struct cel_memory_message *release(struct cel_memory *m, uint64_t tag,
                                          struct cel_memory_queue **ret_queue)
{
    struct cel_memory_held *held = cel_hold_get(&m->hold, tag);
    struct cel_memory_message *message = NULL;

    if (held) {
        message = held->message;
        *ret_queue = held->queue;
        cel_hold_remove(&m->hold, tag);
        cel_loop_wake(m->base.loop);
    }
    return message;
}

void cel_memory_slot_ack(struct cel_transport *t, uint64_t tag, struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_memory_queue *q;
    struct cel_memory_message *message;

    if (cel_memory_closed(m, done)) {
        return;
    }
    message = release(m, tag, &q);
    cel_free(message);
    cel_done(done, NULL, message != NULL);
}

void cel_memory_slot_reject(struct cel_transport *t, uint64_t tag, bool requeue,
                            bool front, const char *header, int64_t value,
                            struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_memory_queue *q = NULL;
    struct cel_memory_message *message;
    struct cel_memory_held *held;

    if (cel_memory_closed(m, done)) {
        return;
    }
    held = cel_hold_get(&m->hold, tag);
    if (held && held->started) {
        held->message->starts = 0;
    }
    message = release(m, tag, &q);
    if (message && requeue) {
        cel_memory_put_back(m, q, cel_memory_redelivered(message, header, value), front);
    } else {
        cel_free(message);
    }
    cel_done(done, NULL, message != NULL);
}

void cel_memory_slot_park(struct cel_transport *t, uint64_t tag, const char *reason,
                          struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_memory_queue *q = NULL;
    struct cel_memory_message *message;

    if (cel_memory_closed(m, done)) {
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

void cel_memory_slot_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                                 struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_memory_held *held;
    int64_t before;

    if (cel_memory_closed(m, done)) {
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

void cel_memory_slot_bury(struct cel_transport *t, const char *queue,
                          const struct cel_envelope *envelope, const char *reason,
                          struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_memory_message *message;
    struct cel_memory_queue *q;
    celery_error err = {0};

    if (cel_memory_closed(m, done)) {
        return;
    }
    message = cel_memory_message(envelope->raw, 0);
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
