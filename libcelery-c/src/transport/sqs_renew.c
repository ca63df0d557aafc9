/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything we hold is renewed at half its time.  kombu never does that, so there what runs or
 * waits longer than the visibility timeout is run twice.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/sqs_state.h"

/* Before the service's own limit, seconds. */
#define MARGIN 5.0

/* Tags, because what is renewed may be settled meanwhile. */
struct batch {
    struct cel_sqs_queue *q;
    size_t n;
    int64_t seconds;
    double since;
    uint64_t tags[CEL_SQS_BATCH];
};

static struct cel_sqs_message *message_of(const struct cel_sqs *s, uint64_t tag)
{
    struct cel_sqs_message **held = cel_hold_get(&s->hold, tag);

    return held ? *held : NULL;
}

static void taken(struct cel_sqs_message *m)
{
    struct cel_sqs *s = m->queue->s;
    bool held = m->state == CEL_SQS_HELD;
    uint64_t tag = m->tag;

    if (m->state == CEL_SQS_SETTLING) {
        return; /* the answer to that tells */
    }
    s->n_out -= held;
    cel_sqs_forget(m);
    if (held && s->base.events->taken) {
        s->base.events->taken(s->base.events_ctx, tag);
    }
}

static void on_entry(void *ctx, size_t i, const struct cel_node *done,
                     const struct cel_node *failed)
{
    struct batch *b = ctx;
    struct cel_sqs_message *m = message_of(b->q->s, b->tags[i]);

    if (!m) {
        return;
    }
    m->renewing = false;
    if (!failed) {
        m->visible_at = b->since + (double)b->seconds;
    } else if (cel_sqs_entry_is_final(failed)) {
        taken(m);
    }
}

static void on_renewed(void *ctx, const struct cel_aws_answer *a)
{
    struct batch *b = ctx;
    struct cel_sqs *s = b->q->s;
    struct cel_sqs_message *m;

    if (!a->err) {
        cel_sqs_entries(a->result, b->n, on_entry, b);
    }
    for (size_t i = 0; i < b->n && a->err; i++) {
        m = message_of(s, b->tags[i]);
        if (m) {
            m->renewing = false;
        }
    }
    if (a->err && s->connected) {
        cel_sqs_abandon(s, a->err);
    }
    cel_free(b);
}

static void send_batch(struct batch *give_batch)
{
    struct cel_sqs_queue *q = give_batch->q;
    struct cel_buf *out = &q->s->params;

    cel_sqs_params(q);
    cel_buf_adds(out, ", \"Entries\": [");
    for (size_t i = 0; i < give_batch->n; i++) {
        struct cel_sqs_message *m = message_of(q->s, give_batch->tags[i]);

        cel_buf_addf(out, "%s{\"Id\": \"%zu\"", i ? ", " : "", i);
        cel_sqs_param_text(out, "ReceiptHandle", cel_slice_of(m->handle));
        cel_buf_addf(out, ", \"VisibilityTimeout\": %lld}",
                     (long long)give_batch->seconds);
        m->renewing = true;
    }
    cel_buf_adds(out, "]}");
    cel_sqs_call(q->s, q->aws, "ChangeMessageVisibilityBatch", -1, on_renewed, give_batch,
                 NULL);
}

/* Seconds it can be ours still: the service counts 12 hours from the receipt. */
static double left(const struct cel_sqs_message *m, double now)
{
    return m->received + (double)m->queue->s->set.hold_limit - MARGIN - now;
}

static void say_limit(struct cel_sqs_message *m)
{
    if (!m->told_limit) {
        m->told_limit = true;
        cel_log(
            CELERY_LOG_WARNING,
            "Message %s of queue %s has been held for nearly %lld seconds, which SQS lets "
            "nobody exceed: it will be delivered once more",
            cel_log_safe(cel_slice_of(m->id)), m->queue->name,
            (long long)m->queue->s->set.hold_limit);
    }
}

/* 0: not now, and *at is when.  Otherwise for how many seconds. */
static int64_t wanted(struct cel_sqs_message *m, double now, double *at)
{
    double visibility = (double)cel_sqs_visibility(m->queue->s);
    double due = m->visible_at - visibility / 2;
    double rest = left(m, now);

    if (m->state == CEL_SQS_SETTLING || m->renewing) {
        return 0;
    }
    if (rest < visibility) { /* up to the limit, once */
        say_limit(m);
        double end = m->received + (double)m->queue->s->set.hold_limit;

        due = m->visible_at + MARGIN < end ? due : m->visible_at;
    }
    if (due > now) {
        *at = due < *at ? due : *at;
        return 0;
    }
    return rest < 1 ? -1 : (int64_t)(rest < visibility ? rest : visibility);
}

/* One round over what is held.  True: a batch went out, there may be more. */
static bool renew_some(struct cel_sqs_queue *q, double now, double *at)
{
    struct cel_sqs *s = q->s;
    struct cel_sqs_message **held;
    struct batch *b = cel_calloc(1, sizeof *b);
    size_t place = 0;
    uint64_t tag;

    if (!b) {
        return false;
    }
    b->q = q;
    b->since = now;
    while (b->n < CEL_SQS_BATCH && (held = cel_hold_next(&s->hold, &place, &tag))) {
        int64_t seconds = (*held)->queue == q ? wanted(*held, now, at) : 0;

        if (seconds > 0 && (b->n == 0 || b->seconds == seconds)) {
            b->seconds = seconds;
            b->tags[b->n++] = tag;
        }
    }
    if (b->n == 0) {
        cel_free(b);
        return false;
    }
    send_batch(b);
    return true;
}

static void drop_overdue(struct cel_sqs *s, double now)
{
    struct cel_sqs_message **held;
    size_t place = 0;
    double at = now;
    uint64_t tag;

    while ((held = cel_hold_next(&s->hold, &place, &tag))) {
        if (left(*held, now) < 1 && wanted(*held, now, &at) < 0) {
            taken(*held);
            place = 0;
        }
    }
}

void cel_sqs_renew_flush(struct cel_sqs *s)
{
    double now = cel_loop_now(s->base.loop);
    double at = now + (double)cel_sqs_visibility(s) / 4;
    unsigned connects = s->connects;
    struct cel_list *it, *tmp;

    if (s->hold.count == 0) {
        s->renew_at = 0;
        return;
    }
    if (now < s->renew_at) {
        cel_sqs_tick_at(s, s->renew_at);
        return;
    }
    drop_overdue(s, now);
    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        while (q->find == CEL_SQS_FOUND && s->connects == connects &&
               renew_some(q, now, &at)) {
        }
    }
    s->renew_at = at;
    cel_sqs_tick_at(s, at);
}
