/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/dead_amqp.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "client/broker.h"
#include "transport/amqp_copy.h"
#include <stdio.h>
#include <strings.h>

enum { MOST = 65535 /* what basic.qos can say */ };

#define MAX_BYTES ((size_t)512 << 20) /* of all letters of a queue together */

/* Seconds: an answer of the broker, and how long letters may be on their way. */
static const double ANSWER_TIMEOUT = 20;

struct letter {
    celery_dead_entry entry; /* the first member: entries are letters */
    struct cel_envelope *envelope;
    struct cel_slice id; /* as it is */
    uint64_t tag;        /* 0: settled */
};

struct cel_dead_amqp {
    const celery_app *app;
    struct cel_loop *loop;
    struct cel_router *router;
    struct cel_broker broker;
    char queue[256];         /* whose letters are held; "": none */
    struct letter **letters; /* oldest first */
    size_t n, cap, bytes;
    celery_error failed; /* of what came */
};

bool cel_dead_amqp_is(const celery_app *app)
{
    const char *url = cel_config_text(app->config, "broker_read_url");

    url = url && *url ? url : cel_config_text(app->config, "broker_url");
    return url &&
           (strncasecmp(url, "amqp", 4) == 0 || strncasecmp(url, "pyamqp", 6) == 0);
}

static celery_status dead_name(const char *queue, char name[300], celery_error *err)
{
    int n = snprintf(name, 300, "%s.celery-c.dead", queue);

    return n < 256 ? CELERY_OK
                   : cel_error_set(err, CELERY_EINVAL, "the queue's name is too long");
}

/* ---- reading letters ---- */

static const char *shown(struct cel_arena *a, struct cel_slice text)
{
    const char *safe = cel_log_safe(text);

    return cel_arena_strndup(a, safe, strlen(safe));
}

static struct cel_slice header_text(const struct cel_envelope *env, const char *name)
{
    return cel_node_text(cel_envelope_header(env, cel_slice_of(name)));
}

/* Fills the entry; the texts lie in the envelope's arena. */
static bool describe(struct cel_dead_amqp *d, struct letter *l)
{
    struct cel_call_limits limits = {
        .accept = cel_config_list(d->app->config, "accept_content")};
    struct cel_envelope *env = l->envelope;
    const struct cel_node *time = cel_envelope_header(env, CEL_SLICE(CEL_AMQP_DEAD_TIME));
    struct cel_slice queue = header_text(env, CEL_AMQP_DEAD_QUEUE);
    struct cel_task_call call;

    cel_task_call_read(env, &limits, &call, NULL);
    l->id = call.id;
    l->entry.time = cel_node_double(time, 0);
    l->entry.reason = shown(&env->arena, header_text(env, CEL_AMQP_DEAD_REASON));
    l->entry.queue = shown(&env->arena, queue.len ? queue : cel_slice_of(d->queue));
    l->entry.task = call.task.len ? shown(&env->arena, call.task) : NULL;
    l->entry.task_id = call.id.len ? shown(&env->arena, call.id) : NULL;
    l->entry.message = env->body.data ? env->body.data : "";
    l->entry.size = l->entry.message_size = env->body.len;
    return l->entry.reason && l->entry.queue;
}

static bool add_letter(struct cel_dead_amqp *d, struct letter *give_letter)
{
    if (d->n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 64;
        struct letter **letters = cel_realloc(d->letters, cap, sizeof *letters);

        if (!letters) {
            return false;
        }
        d->letters = letters;
        d->cap = cap;
    }
    give_letter->entry.index = d->n;
    d->letters[d->n++] = give_letter;
    return true;
}

static void on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    struct cel_dead_amqp *d = ctx;
    struct cel_envelope *env = give_delivery->envelope;
    struct letter *l = cel_calloc(1, sizeof *l);

    if (!env->body.data) {
        env->body = env->raw; /* what could not be read */
    }
    if (l) {
        l->envelope = env;
        l->tag = give_delivery->tag;
    }
    d->bytes += env->body.len;
    if (d->bytes > MAX_BYTES) {
        cel_error_set(&d->failed, CELERY_ELIMIT,
                      "the dead letters of the queue are larger than %zu MiB",
                      MAX_BYTES >> 20);
    }
    if (!l || !describe(d, l) || !add_letter(d, l)) {
        cel_error_nomem(&d->failed);
        cel_envelope_free(env);
        cel_free(l);
    }
}

/* ---- holding them ---- */

static void forget(struct cel_dead_amqp *d)
{
    for (size_t i = 0; i < d->n; i++) {
        cel_envelope_free(d->letters[i]->envelope);
        cel_free(d->letters[i]);
    }
    d->n = 0;
    d->bytes = 0;
    d->queue[0] = 0;
    d->failed = (celery_error){0};
}

/* All go back to their places: the newest first, as each is put before the others. */
static celery_status release(struct cel_dead_amqp *d, celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    struct cel_waiting last = {.done = true};
    celery_status status = CELERY_OK;
    char name[300];

    if (d->queue[0] && d->broker.up && dead_name(d->queue, name, err) == CELERY_OK) {
        t->ops->cancel(t, name, NULL);
        for (size_t i = d->n; i-- > 0 && status == CELERY_OK && d->broker.up;) {
            if (d->letters[i]->tag) {
                last = (struct cel_waiting){.done = false};
                t->ops->reject(t, d->letters[i]->tag, true, true, NULL, 0,
                               (struct cel_done){cel_waiting_done, &last});
                status = cel_broker_wait(&d->broker, &last, ANSWER_TIMEOUT, err);
            }
        }
    }
    forget(d);
    return status;
}

/* What every call begins with: nothing is held, and there is a connection. */
static celery_status begin(struct cel_dead_amqp *d, const char *queue, char name[300],
                           celery_error *err)
{
    celery_status status = release(d, NULL);

    if (status < 0) { /* then the broker gives them back itself */
        d->broker.transport->ops->close(d->broker.transport);
        d->broker.up = false;
    }
    status = dead_name(queue, name, err);
    return status == CELERY_OK ? cel_broker_connect(&d->broker, err) : status;
}

/* Until so many letters have come. */
static celery_status wait_for(struct cel_dead_amqp *d, size_t n, celery_error *err)
{
    double deadline = cel_loop_now(d->loop) + ANSWER_TIMEOUT;
    size_t before = 0;

    while (d->n < n && d->failed.status == CELERY_OK) {
        double left = deadline - cel_loop_now(d->loop);

        if (!d->broker.up) {
            return cel_broker_error(&d->broker, &d->broker.lost, err);
        }
        if (left <= 0 || cel_loop_pass(d->loop, left < 0.2 ? left : 0.2) < 0) {
            return cel_error_set(err, CELERY_ETIMEOUT,
                                 "the dead letters are held by somebody else");
        }
        if (d->n > before) {
            before = d->n;
            deadline = cel_loop_now(d->loop) + ANSWER_TIMEOUT;
        }
    }
    return d->failed.status < 0
               ? cel_error_set(err, d->failed.status, "%s", d->failed.message)
               : CELERY_OK;
}

static celery_status hold(struct cel_dead_amqp *d, const char *queue, celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    char name[300];
    size_t n = 0;
    celery_status status = begin(d, queue, name, err);

    if (status == CELERY_OK) {
        status = cel_broker_count(&d->broker, name, &n, err);
    }
    if (status < 0 || n == 0) {
        return status;
    }
    if (n > MOST) {
        return cel_error_set(err, CELERY_ELIMIT, "%zu dead letters are too many", n);
    }
    snprintf(d->queue, sizeof d->queue, "%s", queue);
    t->ops->set_prefetch(t, MOST);
    status = t->ops->consume(t, name, err);
    return status == CELERY_OK ? wait_for(d, n, err) : status;
}

/* ---- life ---- */

celery_status cel_dead_amqp_open(const celery_app *app, struct cel_dead_amqp **ret,
                                 celery_error *err)
{
    struct cel_dead_amqp *d = cel_calloc(1, sizeof *d);
    celery_status status;

    if (!d) {
        return cel_error_nomem(err);
    }
    d->app = app;
    d->broker.what = "broker_url";
    d->broker.delivered = on_delivered;
    d->broker.ctx = d;
    status = cel_loop_new(&d->loop, err);
    d->broker.loop = d->loop;
    if (status == CELERY_OK) {
        status = cel_router_new(app->config, &d->router, err);
    }
    if (status == CELERY_OK) {
        status = cel_broker_open(&d->broker, NULL, (size_t)1 << 30, app->config, err);
    }
    if (status < 0) {
        cel_dead_amqp_close(d);
        return status;
    }
    *ret = d;
    return CELERY_OK;
}

void cel_dead_amqp_close(struct cel_dead_amqp *d)
{
    if (d) {
        (void)release(d, NULL);
        cel_broker_close(&d->broker);
        cel_router_free(d->router);
        cel_loop_free(d->loop);
        cel_free(d->letters);
        cel_free(d);
    }
}

/* ---- the calls ---- */

celery_status cel_dead_amqp_count(struct cel_dead_amqp *d, const char *queue, size_t *ret,
                                  celery_error *err)
{
    char name[300];
    celery_status status = begin(d, queue, name, err);

    *ret = 0;
    return status == CELERY_OK ? cel_broker_count(&d->broker, name, ret, err) : status;
}

/* The broker lists no queues: those of the settings are asked about. */
celery_status cel_dead_amqp_queues(struct cel_dead_amqp *d, celery_dead_queue_fn fn,
                                   void *ctx, celery_error *err)
{
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < cel_router_count(d->router) && status == CELERY_OK; i++) {
        const char *name = cel_router_at(d->router, i)->name;
        size_t n = 0;

        status = cel_dead_amqp_count(d, name, &n, err);
        if (status == CELERY_OK && n > 0) {
            fn(ctx, cel_log_safe(cel_slice_of(name)), n);
        }
    }
    return status;
}

celery_status cel_dead_amqp_each(struct cel_dead_amqp *d, const char *queue,
                                 celery_dead_fn fn, void *ctx, celery_error *err)
{
    celery_status status = hold(d, queue, err);

    for (size_t i = d->n; i-- > 0 && status == CELERY_OK;) {
        if (!fn(ctx, &d->letters[i]->entry)) {
            break;
        }
    }
    celery_status released = release(d, status == CELERY_OK ? err : NULL);
    return status < 0 ? status : released;
}

celery_status cel_dead_amqp_at(struct cel_dead_amqp *d, const char *queue, size_t index,
                               const celery_dead_entry **ret, celery_error *err)
{
    celery_status status = hold(d, queue, err);

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

celery_status cel_dead_amqp_find(struct cel_dead_amqp *d, const char *queue,
                                 const char *task_id, const celery_dead_entry **ret,
                                 celery_error *err)
{
    celery_status status = hold(d, queue, err);

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

/* Headers that parking has put there; starts are counted anew. */
static bool is_ours(struct cel_slice name)
{
    static const char *const names[] = {CEL_AMQP_DEAD_REASON, CEL_AMQP_DEAD_TIME,
                                        CEL_AMQP_DEAD_QUEUE, CEL_AMQP_STARTS};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (cel_slice_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* The message as it was before it was parked, for the queue by its name. */
static struct cel_envelope *as_it_was(const struct letter *l, const char *queue)
{
    struct cel_envelope *copy = cel_amqp_copy(l->envelope);
    struct cel_node *headers =
        copy ? cel_node_new(&copy->arena, CELERY_KIND_OBJECT) : NULL;
    const struct cel_node *old = copy ? copy->headers : NULL;

    for (const struct cel_node *k = cel_node_first(old), *v; headers && k; k = v->next) {
        v = k->next;
        if (!is_ours(cel_node_text(k)) &&
            cel_node_put(&copy->arena, headers, cel_node_text(k),
                         cel_node_copy(&copy->arena, v)) < 0) {
            headers = NULL;
        }
    }
    if (!headers) {
        return cel_envelope_free(copy);
    }
    copy->headers = headers;
    copy->exchange = CEL_SLICE("");
    copy->routing_key = cel_slice_of(queue);
    return copy;
}

/* Published and confirmed before it is acknowledged: at the worst there are two. */
static celery_status publish(struct cel_dead_amqp *d, const struct letter *l,
                             celery_error *err)
{
    struct cel_envelope *copy = as_it_was(l, d->queue);
    struct cel_transport *t = d->broker.transport;
    struct cel_waiting w = {0};
    celery_status status;

    if (!copy) {
        return cel_error_nomem(err);
    }
    t->ops->publish(t, "", d->queue, copy, (struct cel_done){cel_waiting_done, &w});
    status = cel_broker_wait(&d->broker, &w, ANSWER_TIMEOUT, err);
    cel_envelope_free(copy);
    return status;
}

celery_status cel_dead_amqp_take(struct cel_dead_amqp *d, const celery_dead_entry *entry,
                                 bool replay, celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    struct letter *l = NULL;
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
        status = cel_broker_wait(&d->broker, &w, ANSWER_TIMEOUT, err);
        l->tag = 0;
    }
    return status;
}

/* The oldest first: each goes to the end of the queue. */
celery_status cel_dead_amqp_replay_all(struct cel_dead_amqp *d, const char *queue,
                                       size_t *ret, celery_error *err)
{
    celery_status status = hold(d, queue, err);

    *ret = 0;
    for (size_t i = 0; i < d->n && status == CELERY_OK; i++) {
        status = cel_dead_amqp_take(d, &d->letters[i]->entry, true, err);
        *ret += status == CELERY_OK;
    }
    celery_status released = release(d, status == CELERY_OK ? err : NULL);
    return status < 0 ? status : released;
}

celery_status cel_dead_amqp_purge(struct cel_dead_amqp *d, const char *queue, size_t *ret,
                                  celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    struct cel_waiting w = {0};
    char name[300];
    celery_status status = begin(d, queue, name, err);

    *ret = 0;
    if (status == CELERY_OK) {
        t->ops->purge(t, name, (struct cel_done){cel_waiting_done, &w});
        status = cel_broker_wait(&d->broker, &w, ANSWER_TIMEOUT, err);
        *ret = status == CELERY_OK && w.answer > 0 ? (size_t)w.answer : 0;
    }
    return status;
}
