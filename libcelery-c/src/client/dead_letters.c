/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/dead_letters.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/amqp_copy.h"
#include "transport/dead_letter.h"
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 65535 /* what basic.qos can say */ };

#define MAX_BYTES ((size_t)512 << 20) /* of all letters of a queue together */

/* Without another letter, where their number is a guess. */
static const double QUIET_TIMEOUT = 2;

/* SQS wants ".fifo" at the end of what has it. */
static celery_status dead_name(const struct cel_dead_held *d, const char *queue,
                               char name[300], celery_error *err)
{
    bool fifo = d->sqs && cel_slice_ends(cel_slice_of(queue), CEL_SLICE(".fifo"));
    size_t len = strlen(queue) - (fifo ? strlen(".fifo") : 0);
    int n = snprintf(name, 300, "%.*s" CEL_DEAD_SUFFIX "%s", (int)(len < 290 ? len : 290),
                     queue, fifo ? ".fifo" : "");

    return n < 256 ? CELERY_OK
                   : cel_error_set(err, CELERY_EINVAL, "the queue's name is too long");
}

bool cel_dead_redrive(const struct cel_dead_held *d, const char *queue, char name[300])
{
    return d->sqs && snprintf(name, 300, "%.270s" CEL_REDRIVE_SUFFIX, queue) < 256;
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
static bool describe(struct cel_dead_held *d, struct cel_dead_letter *l)
{
    struct cel_call_limits limits = {
        .accept = cel_config_list(d->app->config, "accept_content")};
    struct cel_envelope *env = l->envelope;
    const struct cel_node *time = cel_envelope_header(env, CEL_SLICE(CEL_DEAD_TIME));
    struct cel_slice queue = header_text(env, CEL_DEAD_QUEUE);
    struct cel_task_call call;

    cel_task_call_read(env, &limits, &call, NULL);
    l->id = call.id;
    l->entry.time = cel_node_double(time, 0);
    l->entry.reason = shown(&env->arena, header_text(env, CEL_DEAD_REASON));
    l->entry.queue = shown(&env->arena, queue.len ? queue : cel_slice_of(d->queue));
    l->entry.task = call.task.len ? shown(&env->arena, call.task) : NULL;
    l->entry.task_id = call.id.len ? shown(&env->arena, call.id) : NULL;
    l->raw = d->raw ? env->raw : CEL_SLICE_NULL;
    struct cel_slice shown_bytes = d->raw ? env->raw : env->body;
    l->entry.message = shown_bytes.data ? shown_bytes.data : "";
    l->entry.size = l->entry.message_size = shown_bytes.len;
    return l->entry.reason && l->entry.queue;
}

static bool add_letter(struct cel_dead_held *d, struct cel_dead_letter *give_letter)
{
    if (d->n_held == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 64;
        struct cel_dead_letter **letters = cel_realloc(d->letters, cap, sizeof *letters);

        if (!letters) {
            return false;
        }
        d->letters = letters;
        d->cap = cap;
    }
    give_letter->entry.index = d->n_held;
    d->letters[d->n_held++] = give_letter;
    d->n = d->n_held;
    return true;
}

void cel_dead_on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    struct cel_dead_held *d = ctx;
    struct cel_envelope *env = give_delivery->envelope;
    struct cel_dead_letter *l = cel_calloc(1, sizeof *l);

    if (!env->body.data && !d->raw) {
        env->body = env->raw; /* what could not be read */
    }
    if (l) {
        l->envelope = env;
        l->tag = give_delivery->tag;
    }
    d->bytes += d->raw ? env->raw.len : env->body.len;
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

static void forget(struct cel_dead_held *d)
{
    for (size_t i = 0; i < d->n_held; i++) {
        cel_envelope_free(d->letters[i]->envelope);
        cel_free(d->letters[i]);
    }
    d->n = d->n_held = 0;
    d->bytes = 0;
    d->queue[0] = 0;
    d->failed = (celery_error){0};
}

/* Where each has its place anyway, they go back together. */
struct going {
    struct cel_waiting w;
    size_t left;
};

static void on_gone(void *ctx, const celery_error *err, int64_t answer)
{
    struct going *g = ctx;

    if (err) {
        g->w.err = *err;
    }
    g->w.done = --g->left == 0;
}

static celery_status release_together(struct cel_dead_held *d, celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    struct going g = {.left = 1};

    for (size_t i = 0; i < d->n_held; i++) {
        if (d->letters[i]->tag) {
            g.left++;
            t->ops->reject(t, d->letters[i]->tag, true, true, NULL, 0,
                           (struct cel_done){on_gone, &g});
        }
    }
    on_gone(&g, NULL, 0);
    celery_status status =
        cel_broker_wait(&d->broker, &g.w, CEL_DEAD_ANSWER_TIMEOUT, err);
    if (g.left > 0) { /* the answers would come to what is no more */
        t->ops->close(t);
        d->broker.up = false;
    }
    return status;
}

/* The newest first, as each is put before the others. */
static celery_status release_in_order(struct cel_dead_held *d, celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    celery_status status = CELERY_OK;

    for (size_t i = d->n; i-- > 0 && status == CELERY_OK && d->broker.up;) {
        struct cel_waiting w = {0};

        if (d->letters[i]->tag) {
            t->ops->reject(t, d->letters[i]->tag, true, true, NULL, 0,
                           (struct cel_done){cel_waiting_done, &w});
            status = cel_broker_wait(&d->broker, &w, CEL_DEAD_ANSWER_TIMEOUT, err);
        }
    }
    return status;
}

/* A poll that is still open may get again what went back, and gives it back once more. */
static void wait_for_polls(struct cel_dead_held *d)
{
    struct cel_transport *t = d->broker.transport;
    double deadline = cel_loop_now(d->loop) + CEL_DEAD_ANSWER_TIMEOUT;
    double left = CEL_DEAD_ANSWER_TIMEOUT;

    while (d->broker.up && t->ops->returning && t->ops->returning(t) && left > 0 &&
           cel_loop_pass(d->loop, left < 0.1 ? left : 0.1) == CELERY_OK) {
        left = deadline - cel_loop_now(d->loop);
    }
}

/* All go back to their places. */
celery_status cel_dead_release(struct cel_dead_held *d, celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    celery_status status = CELERY_OK;
    char name[300];

    if (d->queue[0] && d->broker.up && dead_name(d, d->queue, name, err) == CELERY_OK) {
        t->ops->cancel(t, name, NULL);
        if (cel_dead_redrive(d, d->queue, name)) {
            t->ops->cancel(t, name, NULL);
        }
        status = d->raw ? release_together(d, err) : release_in_order(d, err);
        wait_for_polls(d);
    }
    forget(d);
    return status;
}

/* What every call begins with: nothing is held, and there is a connection. */
celery_status cel_dead_begin(struct cel_dead_held *d, const char *queue, char name[300],
                             celery_error *err)
{
    celery_status status = cel_dead_release(d, NULL);

    if (status < 0) { /* then the broker gives them back itself */
        d->broker.transport->ops->close(d->broker.transport);
        d->broker.up = false;
    }
    status = dead_name(d, queue, name, err);
    return status == CELERY_OK ? cel_broker_connect(&d->broker, err) : status;
}

/* Until so many letters have come. */
static celery_status wait_for(struct cel_dead_held *d, size_t n, celery_error *err)
{
    double deadline = cel_loop_now(d->loop) + CEL_DEAD_ANSWER_TIMEOUT;
    size_t before = 0;

    while (d->n_held < n && d->failed.status == CELERY_OK) {
        double left = deadline - cel_loop_now(d->loop);

        if (!d->broker.up) {
            return cel_broker_error(&d->broker, &d->broker.lost, err);
        }
        if (left <= 0 && d->sqs) {
            return CELERY_OK; /* it had counted others', or what was gone */
        }
        if (left <= 0 || cel_loop_pass(d->loop, left < 0.2 ? left : 0.2) < 0) {
            return cel_error_set(err, CELERY_ETIMEOUT,
                                 "the dead letters are held by somebody else");
        }
        if (d->n_held > before) {
            before = d->n_held;
            deadline = cel_loop_now(d->loop) +
                       (d->sqs ? QUIET_TIMEOUT : CEL_DEAD_ANSWER_TIMEOUT);
        }
    }
    return d->failed.status < 0
               ? cel_error_set(err, d->failed.status, "%s", d->failed.message)
               : CELERY_OK;
}

/* The target of a redrive policy may be that of several queues. */
static bool is_others(const struct cel_dead_held *d, const struct cel_dead_letter *l)
{
    struct cel_slice queue = header_text(l->envelope, CEL_DEAD_QUEUE);

    return queue.len && !cel_slice_is(queue, d->queue);
}

static int by_time(const void *a, const void *b)
{
    const struct cel_dead_letter *const *x = a, *const *y = b;
    double p = (*x)->entry.time, q = (*y)->entry.time;

    return (*x)->others != (*y)->others ? (*x)->others - (*y)->others : (p > q) - (p < q);
}

/* They came in any order. */
static void sort_letters(struct cel_dead_held *d)
{
    d->n = 0;
    for (size_t i = 0; i < d->n_held; i++) {
        d->letters[i]->others = is_others(d, d->letters[i]);
        d->n += !d->letters[i]->others;
    }
    qsort(d->letters, d->n_held, sizeof(struct cel_dead_letter *), by_time);
    for (size_t i = 0; i < d->n_held; i++) {
        d->letters[i]->entry.index = i;
    }
}

/* Asks for what there is, and takes it; how many are to come is added to *n. */
static celery_status take_from(struct cel_dead_held *d, const char *queue,
                               const char *name, size_t *n, celery_error *err)
{
    struct cel_transport *t = d->broker.transport;
    size_t more = 0;
    celery_status status = cel_broker_count(&d->broker, name, &more, err);

    if (status < 0 || more == 0) {
        return status;
    }
    *n += more;
    if (*n > MOST) {
        return cel_error_set(err, CELERY_ELIMIT, "%zu dead letters are too many", *n);
    }
    snprintf(d->queue, sizeof d->queue, "%s", queue);
    t->ops->set_prefetch(t, MOST);
    return t->ops->consume(t, name, err);
}

celery_status cel_dead_hold(struct cel_dead_held *d, const char *queue, celery_error *err)
{
    char name[300];
    size_t n = 0;
    celery_status status = cel_dead_begin(d, queue, name, err);

    if (status == CELERY_OK) {
        status = take_from(d, queue, name, &n, err);
    }
    if (status == CELERY_OK && cel_dead_redrive(d, queue, name)) {
        status = take_from(d, queue, name, &n, err);
    }
    if (status < 0 || n == 0) {
        return status;
    }
    status = wait_for(d, n, err);
    if (status == CELERY_OK && d->sqs) {
        sort_letters(d);
    }
    return status;
}

/* ---- what goes back to its queue ---- */

/* Headers that parking has put there; starts are counted anew. */
static bool is_ours(struct cel_slice name)
{
    static const char *const names[] = {CEL_DEAD_REASON, CEL_DEAD_TIME, CEL_DEAD_QUEUE,
                                        CEL_AMQP_STARTS};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (cel_slice_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* To be sent as it came. */
static struct cel_envelope *as_it_came(const struct cel_dead_letter *l)
{
    struct cel_envelope *copy = cel_envelope_new();

    if (copy) {
        copy->raw = l->raw;
        copy->written = true;
    }
    return copy;
}

/* Without the headers of parking. */
static struct cel_envelope *without_headers(const struct cel_dead_letter *l,
                                            const char *queue)
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

struct cel_envelope *cel_dead_as_it_was(const struct cel_dead_held *d,
                                        const struct cel_dead_letter *l)
{
    return d->raw ? as_it_came(l) : without_headers(l, d->queue);
}
