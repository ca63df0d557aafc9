/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole queues: counting, purging, deleting. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/sqs_state.h"

/* One of them under way. */
struct errand {
    struct cel_sqs_queue *q;
    const char *action;
    cel_sqs_fn then;
    struct cel_done done;
    int64_t count;
    bool looking; /* the queue is not made for it */
};

static void end(struct errand *give_errand, const celery_error *err, int64_t answer)
{
    struct cel_done done = give_errand->done;

    cel_free(give_errand);
    cel_done(done, err, answer);
}

static void failed(struct errand *give_errand, const struct cel_aws_answer *a)
{
    celery_error err = *a->err;

    if (cel_sqs_is_missing(a)) {
        give_errand->q->find = CEL_SQS_UNKNOWN;
    }
    cel_error_prefix(&err, err.status, "queue %.80s: ", give_errand->q->sqs_name);
    end(give_errand, &err, 0);
}

static void call(struct errand *e, const char *more)
{
    cel_sqs_params(e->q);
    cel_buf_adds(&e->q->s->params, more);
    cel_sqs_call(e->q->s, e->q->aws, e->action, -1, e->then, e, NULL);
}

static void count_now(struct errand *e)
{
    call(e, ", \"AttributeNames\": [\"ApproximateNumberOfMessages\"]}");
}

static int64_t count_in(const struct cel_aws_answer *a)
{
    const struct cel_node *all = cel_node_get(a->result, CEL_SLICE("Attributes"));
    int64_t n = 0;

    (void)cel_slice_to_int(
        cel_node_text(cel_node_get(all, CEL_SLICE("ApproximateNumberOfMessages"))), &n);
    return n;
}

static void on_found(void *ctx, const celery_error *err, int64_t answer)
{
    struct errand *e = ctx;

    e->q->passive = e->looking ? false : e->q->passive;
    if (err && e->q->missing) {
        end(e, NULL, 0); /* then it has no messages */
    } else if (err) {
        end(e, err, 0);
    } else if (strcmp(e->action, "DeleteQueue") == 0) {
        call(e, "}");
    } else {
        count_now(e);
    }
}

static void begin(struct cel_transport *t, const char *queue, const char *action,
                  cel_sqs_fn then, struct cel_done done)
{
    struct cel_sqs *s = cel_sqs_of(t);
    celery_error err = {0};
    struct cel_sqs_queue *q;
    struct errand *e;

    if (cel_sqs_is_closed(s, done)) {
        return;
    }
    q = cel_sqs_queue(s, queue, &err);
    e = q ? cel_calloc(1, sizeof *e) : NULL;
    if (!e) {
        if (q) {
            cel_error_nomem(&err);
        }
        cel_done(done, &err, 0);
        return;
    }
    *e = (struct errand){.q = q, .action = action, .then = then, .done = done};
    if (q->find == CEL_SQS_UNKNOWN && !q->passive) {
        e->looking = q->passive = true;
    }
    cel_sqs_find(q, (struct cel_done){on_found, e});
}

/* ---- counting ---- */

static void on_counted(void *ctx, const struct cel_aws_answer *a)
{
    struct errand *e = ctx;

    if (a->err) {
        failed(e, a);
    } else {
        end(e, NULL, count_in(a));
    }
}

void cel_sqs_count(struct cel_transport *t, const char *queue, struct cel_done done)
{
    begin(t, queue, "GetQueueAttributes", on_counted, done);
}

/* ---- purging ---- */

/* Once a minute is what the service allows: then it is on its way already. */
static void on_purged(void *ctx, const struct cel_aws_answer *a)
{
    struct errand *e = ctx;

    if (a->err && !strstr(a->code, "PurgeQueueInProgress")) {
        failed(e, a);
    } else {
        end(e, NULL, e->count);
    }
}

static void on_counted_before(void *ctx, const struct cel_aws_answer *a)
{
    struct errand *e = ctx;

    if (a->err) {
        failed(e, a);
        return;
    }
    e->count = count_in(a);
    if (e->count == 0) {
        end(e, NULL,
            0); /* kombu Channel._purge purges an empty queue as well, for a minute */
        return;
    }
    e->action = "PurgeQueue";
    e->then = on_purged;
    call(e, "}");
}

void cel_sqs_purge(struct cel_transport *t, const char *queue, struct cel_done done)
{
    begin(t, queue, "GetQueueAttributes", on_counted_before, done);
}

/* ---- deleting ---- */

static void forget_bindings(struct cel_sqs_queue *q)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &q->s->bindings) {
        struct cel_sqs_binding *b = cel_container_of(it, struct cel_sqs_binding, node);

        if (b->queue == q) {
            cel_list_remove(&b->node);
            cel_free(b->exchange);
            cel_free(b->routing_key);
            cel_free(b);
        }
    }
}

static void on_deleted(void *ctx, const struct cel_aws_answer *a)
{
    struct errand *e = ctx;

    if (a->err && !cel_sqs_is_missing(a)) {
        failed(e, a);
        return;
    }
    e->q->find = CEL_SQS_UNKNOWN;
    end(e, NULL, 0);
}

void cel_sqs_delete_queue(struct cel_transport *t, const char *queue,
                          struct cel_done done)
{
    struct cel_sqs *s = cel_sqs_of(t);
    struct cel_sqs_queue *q;
    celery_error err = {0};

    if (cel_sqs_is_closed(s, done)) {
        return;
    }
    q = cel_sqs_queue(s, queue, &err);
    if (!q) {
        cel_done(done, &err, 0);
        return;
    }
    cel_sqs_unread(q);
    cel_sqs_polls_stop(q);
    cel_sqs_unsubscribe(q);
    forget_bindings(q);
    if (s->set.closed_world) { /* kombu Channel._delete: those are not ours */
        cel_done(done, NULL, 0);
        return;
    }
    begin(t, queue, "DeleteQueue", on_deleted, done);
}

/* ---- what only its reader had a use for ---- */

static void on_discarded(void *ctx, const struct cel_aws_answer *a)
{
    struct cel_sqs_queue *q = ctx;
    struct cel_sqs *s = q->s;

    s->n_leaving -= s->n_leaving > 0;
    if (a->err && !cel_sqs_is_missing(a) && s->connected) {
        cel_log(CELERY_LOG_WARNING,
                "SQS queue %s, which nobody reads any more, stays: %s", q->sqs_name,
                a->err->message);
    } else {
        q->find = CEL_SQS_UNKNOWN;
    }
}

void cel_sqs_discard(struct cel_sqs_queue *q)
{
    struct cel_sqs *s = q->s;

    if (!s->connected || s->set.closed_world || q->find != CEL_SQS_FOUND) {
        return;
    }
    cel_sqs_polls_stop(q);
    cel_sqs_params(q);
    cel_buf_adds(&s->params, "}");
    s->n_leaving++;
    cel_sqs_call(s, q->aws, "DeleteQueue", -1, on_discarded, q, NULL);
}
