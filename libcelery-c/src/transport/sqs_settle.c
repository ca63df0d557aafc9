/* SPDX-License-Identifier: BSD-3-Clause */
/* Deleting and giving back, ten at a time. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/sqs_state.h"
#include <stdio.h>

enum { SETTLING = 8, /* calls at once for a queue */ };

struct batch {
    struct cel_sqs_queue *q;
    bool changes; /* of visibility; otherwise deletes */
    size_t n;
    struct cel_sqs_message *messages[CEL_SQS_BATCH];
};

/* ---- one message ---- */

struct cel_sqs_message *cel_sqs_take(struct cel_transport *t, uint64_t tag,
                                     struct cel_done done)
{
    struct cel_sqs *s = cel_sqs_of(t);
    struct cel_sqs_message **held;

    if (cel_sqs_is_closed(s, done)) {
        return NULL;
    }
    held = cel_hold_get(&s->hold, tag);
    if (!held || (*held)->state != CEL_SQS_HELD) {
        cel_done(done, NULL, 0);
        return NULL;
    }
    (*held)->state = CEL_SQS_SETTLING;
    s->n_out--;
    cel_sqs_wake(s);
    return *held;
}

void cel_sqs_unsettle(struct cel_sqs_message *m)
{
    cel_list_remove(&m->settle);
    m->state = CEL_SQS_HELD;
    m->queue->s->n_out++;
}

static void settling(struct cel_sqs_message *m, struct cel_done done)
{
    if (m->state == CEL_SQS_STASHED) { /* nobody has seen it */
        m->queue->s->n_stashed--;
        m->envelope = cel_envelope_free(m->envelope);
        cel_list_remove(&m->node);
    }
    m->state = CEL_SQS_SETTLING;
    m->done = done;
    m->tries = 0;
}

static void on_found(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_sqs_queue *q = ctx;

    if (err) {
        cel_sqs_abandon(q->s, err);
    }
}

static void add(struct cel_sqs_message *m, struct cel_list *list, size_t *n)
{
    struct cel_sqs_queue *q = m->queue;

    if (q->n_deletes + q->n_changes == 0) {
        q->settle_after = cel_loop_now(q->s->base.loop) + CEL_SQS_LINGER;
    }
    cel_list_append(list, &m->settle);
    ++*n;
    if (q->find == CEL_SQS_UNKNOWN) { /* read over an earlier connection */
        cel_sqs_find(q, (struct cel_done){on_found, q});
    }
    cel_sqs_wake(q->s);
}

void cel_sqs_delete(struct cel_sqs_message *m, struct cel_done done)
{
    settling(m, done);
    add(m, &m->queue->deletes, &m->queue->n_deletes);
}

void cel_sqs_change(struct cel_sqs_message *m, int64_t seconds, struct cel_done done)
{
    settling(m, done);
    m->seconds = seconds;
    m->queue->s->n_returning++;
    add(m, &m->queue->changes, &m->queue->n_changes);
}

/* What came of a settlement.  Nobody's are forgotten: they come back by themselves. */
static void settled(struct cel_sqs_message *m, bool change, const celery_error *err,
                    int64_t answer)
{
    struct cel_done done = m->done;
    struct cel_sqs *s = m->queue->s;

    s->n_returning -= change;
    if (err && done.fn) {
        cel_sqs_unsettle(m);
    } else {
        if (!change && !err) {
            cel_ageset_add(s->settled, cel_slice_of(m->id), cel_loop_now(s->base.loop));
        }
        cel_sqs_forget(m);
    }
    cel_done(done, err, answer);
}

/* ---- batches ---- */

static void put_back(struct batch *b, struct cel_sqs_message *m)
{
    struct cel_sqs_queue *q = b->q;

    cel_list_append(b->changes ? &q->changes : &q->deletes, &m->settle);
    *(b->changes ? &q->n_changes : &q->n_deletes) += 1;
    q->settle_after = cel_loop_now(q->s->base.loop) + 0.1 * (double)(1 << m->tries);
}

static void on_entry(void *ctx, size_t i, const struct cel_node *done,
                     const struct cel_node *failed)
{
    struct batch *b = ctx;
    struct cel_sqs_message *m = b->messages[i];
    celery_error err = {0};

    if (!failed) {
        settled(m, b->changes, NULL, 1);
    } else if (cel_sqs_entry_is_final(failed)) {
        settled(m, b->changes, NULL, 0); /* it was not ours any more */
    } else if (++m->tries < CEL_SQS_TRIES && b->q->s->connected) {
        put_back(b, m);
    } else {
        cel_sqs_entry_error(failed, "settling a message", &err);
        cel_sqs_abandon(b->q->s, &err);
        settled(m, b->changes, &err, 0);
    }
}

static void on_settled(void *ctx, const struct cel_aws_answer *a)
{
    struct batch *b = ctx;
    struct cel_sqs *s = b->q->s;
    celery_error err = {0};

    b->q->n_settling--;
    if (!a->err) {
        cel_sqs_entries(a->result, b->n, on_entry, b);
    } else if (cel_sqs_is_missing(a)) { /* and its messages with it */
        for (size_t i = 0; i < b->n; i++) {
            settled(b->messages[i], b->changes, NULL, 0);
        }
    } else {
        err = *a->err;
        cel_error_prefix(&err, err.status, "queue %.80s: ", b->q->sqs_name);
        cel_sqs_abandon(s, &err);
        for (size_t i = 0; i < b->n; i++) {
            settled(b->messages[i], b->changes, &err, 0);
        }
    }
    cel_free(b);
    cel_sqs_wake(s);
}

static void add_entry(struct cel_buf *out, const struct batch *b, size_t i)
{
    const struct cel_sqs_message *m = b->messages[i];

    cel_buf_addf(out, "%s{\"Id\": \"%zu\"", i ? ", " : "", i);
    cel_sqs_param_text(out, "ReceiptHandle", cel_slice_of(m->handle));
    if (b->changes) {
        cel_buf_addf(out, ", \"VisibilityTimeout\": %lld", (long long)m->seconds);
    }
    cel_buf_addc(out, '}');
}

static bool send_next(struct cel_sqs_queue *q, bool changes)
{
    struct cel_list *list = changes ? &q->changes : &q->deletes;
    struct batch *b = cel_calloc(1, sizeof *b);
    struct cel_list *first;

    if (!b) {
        return false; /* at the next pass */
    }
    b->q = q;
    b->changes = changes;
    cel_sqs_params(q);
    cel_buf_adds(&q->s->params, ", \"Entries\": [");
    while (b->n < CEL_SQS_BATCH && (first = cel_list_first(list))) {
        b->messages[b->n] = cel_container_of(first, struct cel_sqs_message, settle);
        cel_list_remove(first);
        add_entry(&q->s->params, b, b->n++);
    }
    *(changes ? &q->n_changes : &q->n_deletes) -= b->n;
    cel_buf_adds(&q->s->params, "]}");
    q->n_settling++;
    cel_sqs_call(q->s, q->aws,
                 changes ? "ChangeMessageVisibilityBatch" : "DeleteMessageBatch", -1,
                 on_settled, b, NULL);
    return true;
}

/* What is not a whole batch waits a little for more, but not where nothing more comes. */
static bool may_send(const struct cel_sqs_queue *q, size_t n, bool due)
{
    return n > 0 && q->s->connected && q->find == CEL_SQS_FOUND &&
           q->n_settling < SETTLING && (due || n >= CEL_SQS_BATCH);
}

void cel_sqs_settle_flush(struct cel_sqs_queue *q)
{
    double now = cel_loop_now(q->s->base.loop);
    bool due = !q->consuming || q->settle_after <= now;

    while (may_send(q, q->n_deletes, due) && send_next(q, false)) {
    }
    while (may_send(q, q->n_changes, due) && send_next(q, true)) {
    }
    if (!due && q->n_deletes + q->n_changes) {
        cel_sqs_tick_at(q->s, q->settle_after);
    }
}

void cel_sqs_settle_reset(struct cel_sqs_queue *q)
{
    celery_error err = {CELERY_ECLOSED, 0, "connection closed"};
    struct cel_list *first;

    while ((first = cel_list_first(&q->deletes))) {
        cel_list_remove(first);
        settled(cel_container_of(first, struct cel_sqs_message, settle), false, &err, 0);
    }
    while ((first = cel_list_first(&q->changes))) {
        cel_list_remove(first);
        settled(cel_container_of(first, struct cel_sqs_message, settle), true, &err, 0);
    }
    q->n_deletes = q->n_changes = 0;
}

/* ---- the slots ---- */

void cel_sqs_ack(struct cel_transport *t, uint64_t tag, struct cel_done done)
{
    struct cel_sqs_message *m = cel_sqs_take(t, tag, done);

    if (m) {
        cel_sqs_delete(m, done);
    }
}

/*
 * Back to others.  What we hold of its FIFO group behind it goes back as well: it would come
 * before it otherwise, and the service gives none of a group while one is away.
 */
static void give_back(struct cel_sqs_message *m, int64_t seconds, struct cel_done done)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &m->queue->stash) {
        struct cel_sqs_message *next = cel_container_of(it, struct cel_sqs_message, node);

        if (m->group && strcmp(next->group, m->group) == 0) {
            cel_sqs_change(next, 0, (struct cel_done){0});
        }
    }
    cel_sqs_change(m, seconds, done);
}

static int64_t backoff_of(const struct cel_sqs_message *m)
{
    struct cel_slice task =
        cel_node_text(cel_envelope_header(m->envelope, CEL_SLICE("task")));

    return cel_sqs_backoff(m->queue->predefined, task, m->receives);
}

/* A copy with the header takes its place. */
struct copying {
    struct cel_sqs_message *m;
    struct cel_done done;
};

static void on_copied(void *ctx, const celery_error *err, int64_t answer)
{
    struct copying c = *(struct copying *)ctx;

    cel_free(ctx);
    if (err) {
        cel_sqs_unsettle(c.m);
        cel_sqs_abandon(c.m->queue->s, err);
        cel_done(c.done, err, 0);
        return;
    }
    cel_sqs_delete(c.m, c.done);
}

static void replace(struct cel_sqs_message *m, const char *header, int64_t value,
                    struct cel_done done)
{
    struct copying *c = cel_alloc(sizeof *c);
    struct cel_buf text = {0};
    char dedup[100];

    if (!c || cel_envelope_write_redelivered(&text, m->envelope, header, value) < 0) {
        cel_free(c);
        cel_buf_fini(&text);
        give_back(m, 0, done); /* it is counted by the service at least */
        return;
    }
    *c = (struct copying){m, done};
    snprintf(dedup, sizeof dedup, "%.60s-%lld", m->id, (long long)value);
    const struct cel_sqs_extra extra = {
        .group = m->group,
        .dedup = m->group ? dedup : NULL,
        .raw = cel_buf_slice(&text),
        .not_base64 = !m->base64,
    };
    cel_sqs_post(m->queue, m->envelope, &extra, (struct cel_done){on_copied, c});
    cel_buf_fini(&text);
}

/*
 * Without requeue kombu leaves a message to its queue's redrive policy (Channel.basic_reject
 * deletes nothing), after a wait that backoff_policy tells; so do we where there is either.
 */
static void reject_for_good(struct cel_sqs_message *m, struct cel_done done)
{
    int64_t wait = backoff_of(m);

    if (wait >= 0) {
        give_back(m, wait, done);
    } else if (m->queue->redrive) {
        cel_sqs_forget(m);
        cel_done(done, NULL, 1);
    } else {
        cel_sqs_park_message(m, "rejected", done);
    }
}

void cel_sqs_reject(struct cel_transport *t, uint64_t tag, bool requeue, bool front,
                    const char *header, int64_t value, struct cel_done done)
{
    struct cel_sqs_message *m = cel_sqs_take(t, tag, done);
    int64_t wait;

    if (!m) {
        return;
    }
    if (!requeue) {
        reject_for_good(m, done);
    } else if (header && !m->queue->redrive) {
        replace(m, header, value, done);
    } else {
        wait = front ? 0 : backoff_of(m);
        give_back(m, wait > 0 ? wait : 0, done);
    }
}

/* Hidden until then, or for as long as the service lets a message be ours in all. */
void cel_sqs_defer(struct cel_transport *t, uint64_t tag, double until,
                   struct cel_done done)
{
    struct cel_sqs_message *m = cel_sqs_take(t, tag, done);

    if (m) {
        double wait = until - cel_clock_wall() - 1;
        double most = m->received + (double)m->queue->s->set.hold_limit * 0.99 -
                      cel_loop_now(t->loop);

        wait = wait < most ? wait : most;
        give_back(m, wait > 0 ? (int64_t)wait : 0, done);
    }
}

/* The service counts receipts; with a redrive policy it also acts on them, and we need not. */
void cel_sqs_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                         struct cel_done done)
{
    struct cel_sqs *s = cel_sqs_of(t);
    struct cel_sqs_message **held;

    if (cel_sqs_is_closed(s, done)) {
        return;
    }
    held = cel_hold_get(&s->hold, tag);
    if (!held || (*held)->state != CEL_SQS_HELD) {
        cel_done(done, NULL, -1);
        return;
    }
    cel_done(done, NULL, (*held)->queue->redrive ? 0 : (*held)->receives - 1);
}
