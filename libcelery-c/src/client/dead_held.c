/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/dead_held.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "client/dead_letters.h"
#include <strings.h>

bool cel_dead_held_is(const celery_app *app)
{
    const char *url = cel_config_text(app->config, "broker_read_url");

    url = url && *url ? url : cel_config_text(app->config, "broker_url");
    return url &&
           (strncasecmp(url, "amqp", 4) == 0 || strncasecmp(url, "pyamqp", 6) == 0 ||
            strncasecmp(url, "sqs:", 4) == 0 || strncasecmp(url, "filesystem:", 11) == 0);
}

/* ---- life ---- */

celery_status cel_dead_held_open(const celery_app *app, struct cel_dead_held **ret,
                                 celery_error *err)
{
    struct cel_dead_held *d = cel_calloc(1, sizeof *d);
    celery_status status;

    if (!d) {
        return cel_error_nomem(err);
    }
    d->app = app;
    d->broker.what = "broker_url";
    d->broker.delivered = cel_dead_on_delivered;
    d->broker.ctx = d;
    status = cel_loop_new(&d->loop, err);
    d->broker.loop = d->loop;
    if (status == CELERY_OK) {
        status = cel_router_new(app->config, &d->router, err);
    }
    if (status == CELERY_OK) {
        status = cel_broker_open(&d->broker, NULL, (size_t)1 << 30, app->config, err);
    }
    if (status == CELERY_OK) {
        d->sqs = strcmp(d->broker.transport->ops->name, "sqs") == 0;
        d->raw = strcmp(d->broker.transport->ops->name, "amqp") != 0;
    }
    if (status < 0) {
        cel_dead_held_close(d);
        return status;
    }
    *ret = d;
    return CELERY_OK;
}

void cel_dead_held_close(struct cel_dead_held *d)
{
    if (d) {
        (void)cel_dead_release(d, NULL);
        cel_broker_close(&d->broker);
        cel_router_free(d->router);
        cel_loop_free(d->loop);
        cel_free(d->letters);
        cel_free(d);
    }
}

/* ---- the calls ---- */

/* How many the target of its redrive policy has, of this queue and of others. */
static celery_status count_moved(struct cel_dead_held *d, const char *queue, size_t *ret,
                                 celery_error *err)
{
    char name[300];

    *ret = 0;
    return cel_dead_redrive(d, queue, name) ? cel_broker_count(&d->broker, name, ret, err)
                                            : CELERY_OK;
}

celery_status cel_dead_held_count(struct cel_dead_held *d, const char *queue, size_t *ret,
                                  celery_error *err)
{
    char name[300];
    size_t moved;
    celery_status status = cel_dead_begin(d, queue, name, err);

    *ret = 0;
    if (status == CELERY_OK) {
        status = count_moved(d, queue, &moved, err);
    }
    if (status < 0 || moved == 0) {
        return status < 0 ? status : cel_broker_count(&d->broker, name, ret, err);
    }
    status = cel_dead_hold(d, queue, err); /* only then it is known whose they are */
    *ret = d->n;
    celery_status released = cel_dead_release(d, status == CELERY_OK ? err : NULL);
    return status < 0 ? status : released;
}

/* The broker lists no queues: those of the settings are asked about. */
celery_status cel_dead_held_queues(struct cel_dead_held *d, celery_dead_queue_fn fn,
                                   void *ctx, celery_error *err)
{
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < cel_router_count(d->router) && status == CELERY_OK; i++) {
        const char *name = cel_router_at(d->router, i)->name;
        size_t n = 0;

        status = cel_dead_held_count(d, name, &n, err);
        if (status == CELERY_OK && n > 0) {
            fn(ctx, cel_log_safe(cel_slice_of(name)), n);
        }
    }
    return status;
}

celery_status cel_dead_held_each(struct cel_dead_held *d, const char *queue,
                                 celery_dead_fn fn, void *ctx, celery_error *err)
{
    celery_status status = cel_dead_hold(d, queue, err);

    for (size_t i = d->n; i-- > 0 && status == CELERY_OK;) {
        if (!fn(ctx, &d->letters[i]->entry)) {
            break;
        }
    }
    celery_status released = cel_dead_release(d, status == CELERY_OK ? err : NULL);
    return status < 0 ? status : released;
}

celery_status cel_dead_held_at(struct cel_dead_held *d, const char *queue, size_t index,
                               const celery_dead_entry **ret, celery_error *err)
{
    celery_status status = cel_dead_hold(d, queue, err);

    if (status == CELERY_OK && index >= d->n) {
        cel_error_set(err, CELERY_NONE, "no dead letter %zu: queue %.100s has %zu", index,
                      queue, d->n);
        return CELERY_NONE;
    }
    if (status == CELERY_OK) {
        *ret = &d->letters[index]->entry;
    }
    return status;
}

celery_status cel_dead_held_find(struct cel_dead_held *d, const char *queue,
                                 const char *task_id, const celery_dead_entry **ret,
                                 celery_error *err)
{
    celery_status status = cel_dead_hold(d, queue, err);

    for (size_t i = d->n; i-- > 0 && status == CELERY_OK;) {
        if (cel_slice_is(d->letters[i]->id, task_id)) {
            *ret = &d->letters[i]->entry;
            return CELERY_OK;
        }
    }
    if (status == CELERY_OK) {
        cel_error_set(err, CELERY_NONE, "queue %.100s has no dead letter with that id",
                      queue);
        return CELERY_NONE;
    }
    return status;
}

/* ---- one letter goes ---- */

/* Published and confirmed before it is acknowledged: at the worst there are two. */
static celery_status publish(struct cel_dead_held *d, const struct cel_dead_letter *l,
                             celery_error *err)
{
    struct cel_envelope *copy = cel_dead_as_it_was(d, l);
    struct cel_transport *t = d->broker.transport;
    struct cel_waiting w = {0};
    celery_status status;

    if (!copy) {
        return cel_error_nomem(err);
    }
    t->ops->publish(t, "", d->queue, copy, (struct cel_done){cel_waiting_done, &w});
    status = cel_broker_wait(&d->broker, &w, CEL_DEAD_ANSWER_TIMEOUT, err);
    cel_envelope_free(copy);
    return status;
}

celery_status cel_dead_held_take(struct cel_dead_held *d, const celery_dead_entry *entry,
                                 bool replay, celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    struct cel_dead_letter *l = NULL;
    struct cel_waiting w = {0};
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < d->n; i++) {
        l = &d->letters[i]->entry == entry ? d->letters[i] : l;
    }
    if (!l || !l->tag || !d->broker.up) {
        cel_error_set(err, CELERY_NONE, "the dead letter is not there any more");
        return CELERY_NONE;
    }
    if (replay) {
        status = publish(d, l, err);
    }
    if (status == CELERY_OK) {
        t->ops->ack(t, l->tag, (struct cel_done){cel_waiting_done, &w});
        status = cel_broker_wait(&d->broker, &w, CEL_DEAD_ANSWER_TIMEOUT, err);
        l->tag = 0;
    }
    return status;
}

/* The oldest first: each goes to the end of the queue. */
celery_status cel_dead_held_replay_all(struct cel_dead_held *d, const char *queue,
                                       size_t *ret, celery_error *err)
{
    celery_status status = cel_dead_hold(d, queue, err);

    *ret = 0;
    for (size_t i = 0; i < d->n && status == CELERY_OK; i++) {
        status = cel_dead_held_take(d, &d->letters[i]->entry, true, err);
        *ret += status == CELERY_OK;
    }
    celery_status released = cel_dead_release(d, status == CELERY_OK ? err : NULL);
    return status < 0 ? status : released;
}

/* One by one: the target of a redrive policy may have letters of other queues. */
static celery_status remove_each(struct cel_dead_held *d, const char *queue, size_t *ret,
                                 celery_error *err)
{
    celery_status status = cel_dead_hold(d, queue, err);

    for (size_t i = 0; i < d->n && status == CELERY_OK; i++) {
        status = cel_dead_held_take(d, &d->letters[i]->entry, false, err);
        *ret += status == CELERY_OK;
    }
    celery_status released = cel_dead_release(d, status == CELERY_OK ? err : NULL);
    return status < 0 ? status : released;
}

celery_status cel_dead_held_purge(struct cel_dead_held *d, const char *queue, size_t *ret,
                                  celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    struct cel_waiting w = {0};
    char name[300];
    size_t moved = 0;
    celery_status status = cel_dead_begin(d, queue, name, err);

    *ret = 0;
    if (status == CELERY_OK) {
        status = count_moved(d, queue, &moved, err);
    }
    if (status == CELERY_OK && moved > 0) {
        return remove_each(d, queue, ret, err);
    }
    if (status == CELERY_OK) {
        t->ops->purge(t, name, (struct cel_done){cel_waiting_done, &w});
        status = cel_broker_wait(&d->broker, &w, CEL_DEAD_ANSWER_TIMEOUT, err);
        *ret = status == CELERY_OK && w.answer > 0 ? (size_t)w.answer : 0;
    }
    return status;
}
