/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues: declaring, choosing which are read, counting. */
#include "base/alloc.h"
#include "base/error.h"
#include "transport/memory_state.h"

bool cel_memory_closed(struct cel_memory *m, struct cel_done done)
{
    celery_error err = {0};

    if (m->connected) {
        return false;
    }
    cel_error_set(&err, CELERY_ECLOSED, "memory://%s: not connected", m->broker->name);
    cel_done(done, &err, 0);
    return true;
}

/* The queue that delivered goes to the end of the line (round_robin). */
void cel_memory_rotate(struct cel_memory *m, size_t i)
{
    struct cel_memory_queue *q = m->consuming[i];

    memmove(m->consuming + i, m->consuming + i + 1,
            (m->n_consuming - i - 1) * sizeof *m->consuming);
    m->consuming[m->n_consuming - 1] = q;
}

void cel_memory_slot_declare(struct cel_transport *t, const struct cel_queue *q,
                             struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_memory_queue *queue;
    enum cel_exchange_type type;
    celery_status status = CELERY_OK;
    celery_error err = {0};

    if (cel_memory_closed(m, done)) {
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
    if (queue) {
        queue->no_ack = q->no_ack;
    }
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

celery_status cel_memory_slot_consume(struct cel_transport *t, const char *queue,
                                      celery_error *err)
{
    struct cel_memory *m = cel_memory_of(t);
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

celery_status cel_memory_slot_cancel(struct cel_transport *t, const char *queue,
                                     celery_error *err)
{
    struct cel_memory *m = cel_memory_of(t);

    pthread_mutex_lock(&m->broker->lock);
    for (size_t i = 0; i < m->n_consuming; i++) {
        if (strcmp(m->consuming[i]->name, queue) == 0) {
            cel_memory_rotate(m, i);
            m->n_consuming--;
            break;
        }
    }
    for (size_t i = 0; i < m->n_listening; i++) {
        if (strcmp(m->listening[i]->queue->name, queue) == 0) {
            m->n_listening--;
            memmove(m->listening + i, m->listening + i + 1,
                    (m->n_listening - i) * sizeof *m->listening);
            m->n_told -= i < m->n_told;
            break;
        }
    }
    pthread_mutex_unlock(&m->broker->lock);
    return CELERY_OK;
}

celery_status cel_memory_slot_set_prefetch(struct cel_transport *t, unsigned count)
{
    cel_memory_of(t)->prefetch = count;
    cel_loop_wake(t->loop);
    return CELERY_OK;
}

void cel_memory_slot_set_credit(struct cel_transport *t, unsigned count)
{
    cel_memory_of(t)->credited = true;
    cel_memory_of(t)->credit = count;
    cel_loop_wake(t->loop);
}

/* What is done to a queue, with the lock held; the answer. */
typedef size_t (*queue_fn)(struct cel_memory_broker *b, struct cel_memory_queue *q);

static void with_queue(struct cel_transport *t, const char *queue, queue_fn fn,
                       struct cel_done done)
{
    struct cel_memory *m = cel_memory_of(t);
    struct cel_memory_queue *q;
    size_t n;

    if (cel_memory_closed(m, done)) {
        return;
    }
    pthread_mutex_lock(&m->broker->lock);
    q = cel_map_get(&m->broker->queues, cel_slice_of(queue));
    n = q ? fn(m->broker, q) : 0;
    pthread_mutex_unlock(&m->broker->lock);
    cel_done(done, NULL, (int64_t)n);
}

static size_t purge(struct cel_memory_broker *b, struct cel_memory_queue *q)
{
    return cel_memory_purge(q);
}

static size_t count(struct cel_memory_broker *b, struct cel_memory_queue *q)
{
    return q->count;
}

/* What is left of it is an empty queue that nothing comes to. */
static size_t delete (struct cel_memory_broker *b, struct cel_memory_queue *q)
{
    cel_memory_purge(q);
    cel_memory_unbind(b, q);
    return 0;
}

void cel_memory_slot_purge(struct cel_transport *t, const char *queue,
                           struct cel_done done)
{
    with_queue(t, queue, purge, done);
}

void cel_memory_slot_count(struct cel_transport *t, const char *queue,
                           struct cel_done done)
{
    with_queue(t, queue, count, done);
}

void cel_memory_slot_delete_queue(struct cel_transport *t, const char *queue,
                                  struct cel_done done)
{
    cel_memory_slot_cancel(t, queue, NULL);
    with_queue(t, queue, delete, done);
}
