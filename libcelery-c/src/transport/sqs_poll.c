/* SPDX-License-Identifier: BSD-3-Clause */
/* Which queues are asked when, and for how many messages. */
#include "base/alloc.h"
#include "base/error.h"
#include "transport/sqs_state.h"

/* Seconds between two tries of a queue that the service could not read, at most. */
#define MAX_BACKOFF 20.0

/* Between two receives that found nothing, where the answer does not wait for messages. */
#define PAUSE 1.0

/*
 * A service may give a message to a poll whose connection was just closed; it is then nobody's until
 * its visibility ends.  So polls of a queue that is read no more are dropped only after they
 * have had nothing for so many seconds, also none of the messages that went back meanwhile.
 */
#define QUIET 0.5

struct poll {
    struct cel_list node;
    struct cel_sqs_queue *q;
    struct cel_sqs_call *call;
    size_t max;
    double began;
    bool extra; /* beside the queue's long poll */
};

/* ---- one receive ---- */

static void unlink_poll(struct poll *p)
{
    struct cel_sqs_queue *q = p->q;

    cel_list_remove(&p->node);
    q->n_polls--;
    q->requested -= p->max;
    q->s->requested -= q->broadcasts ? 0 : p->max;
}

static void take_in(struct poll *p, const struct cel_node *result)
{
    const struct cel_node *list = cel_node_get(result, CEL_SLICE("Messages"));
    struct cel_sqs_queue *q = p->q;

    for (const struct cel_node *n = cel_node_first(list); n; n = n->next) {
        cel_sqs_receive(q, n);
    }
    q->hot = list && list->size >= p->max;
    double now = cel_loop_now(q->s->base.loop);
    if (!p->extra && !cel_node_first(list) && now < p->began + PAUSE) {
        q->poll_after = now + PAUSE; /* wait_time_seconds is 0, or nobody heeds it */
    }
    if (!q->consuming) {
        cel_sqs_stash_return(q);
    }
}

/* Of the service's kind: later.  What no waiting cures, or no service there: anew. */
static void poll_failed(struct cel_sqs_queue *q, const struct cel_aws_answer *a)
{
    struct cel_sqs *s = q->s;
    celery_error err = *a->err;

    q->hot = false;
    if (!s->connected || !q->consuming) {
        return; /* cancelled */
    }
    if (a->again && a->http_status) {
        double wait = 0.25 * (double)(1 << (q->failures < 7 ? q->failures : 7));

        q->failures++;
        q->poll_after =
            cel_loop_now(s->base.loop) + (wait < MAX_BACKOFF ? wait : MAX_BACKOFF);
        cel_sqs_tick_at(s, q->poll_after);
        return;
    }
    cel_error_prefix(&err, err.status, "reading queue %.80s: ", q->sqs_name);
    cel_sqs_abandon(s, &err);
}

static void on_received(void *ctx, const struct cel_aws_answer *a)
{
    struct poll *p = ctx;
    struct cel_sqs_queue *q = p->q;

    unlink_poll(p);
    if (a->err) {
        poll_failed(q, a);
    } else {
        q->failures = 0;
        take_in(p, a->result);
    }
    cel_free(p);
    if (q->s->connected) {
        cel_sqs_wake(q->s);
    }
}

static bool start(struct cel_sqs_queue *q, size_t max, bool extra)
{
    struct cel_sqs *s = q->s;
    struct poll *p = cel_calloc(1, sizeof *p);
    int64_t wait = extra ? 0 : s->set.wait;

    if (!p) {
        return false;
    }
    p->q = q;
    p->extra = extra;
    p->began = cel_loop_now(s->base.loop);
    p->max = max < CEL_SQS_BATCH ? max : CEL_SQS_BATCH;
    cel_sqs_params(q);
    cel_buf_addf(&s->params,
                 ", \"MaxNumberOfMessages\": %zu, \"WaitTimeSeconds\": %lld, "
                 "\"VisibilityTimeout\": %lld, \"AttributeNames\": %s}",
                 p->max, (long long)wait, (long long)cel_sqs_visibility(s),
                 q->dead ? "[\"All\"], \"MessageAttributeNames\": [\"All\"]"
                         : "[\"ApproximateReceiveCount\", \"MessageGroupId\"]");
    cel_list_append(&q->polls, &p->node);
    q->n_polls++;
    q->requested += p->max;
    s->requested += q->broadcasts ? 0 : p->max;
    cel_sqs_call(s, q->aws, "ReceiveMessage", wait, on_received, p, &p->call);
    return true;
}

/* ---- all queues ---- */

static bool may_poll(struct cel_sqs_queue *q, double now)
{
    if (!q->consuming || q->find != CEL_SQS_FOUND) {
        return false;
    }
    if (q->poll_after > now) {
        cel_sqs_tick_at(q->s, q->poll_after);
        return false;
    }
    return true;
}

static size_t count_idle(struct cel_sqs *s, double now)
{
    struct cel_list *it, *tmp;
    size_t n = 0;

    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        n += !q->broadcasts && may_poll(q, now) && q->n_polls == 0;
    }
    return n;
}

/* Room that nothing was asked or received for yet. */
static size_t free_room(const struct cel_sqs *s)
{
    size_t room = cel_sqs_room(s), taken = s->requested + s->n_stashed;

    return room > taken ? room - taken : 0;
}

/*
 * A receive for one message costs as much as one for ten.  So a little room waits a moment for
 * more, as long as there is something to do.
 */
static bool is_worth_it(struct cel_sqs *s, size_t room, double now)
{
    size_t limit = s->prefetch ? s->prefetch : CEL_SQS_UNLIMITED;
    size_t enough = limit / 2 < CEL_SQS_BATCH ? (limit + 1) / 2 : CEL_SQS_BATCH;

    if (room >= enough || s->n_out == 0) {
        s->room_since = 0;
        return true;
    }
    if (s->room_since == 0) {
        s->room_since = now;
    }
    if (now < s->room_since + CEL_SQS_LINGER) {
        cel_sqs_tick_at(s, s->room_since + CEL_SQS_LINGER);
        return false;
    }
    s->room_since = 0;
    return true;
}

/*
 * Each queue has its own poll, so that none waits for another's long one.  Where those have asked
 * for all the room there is, it asks for one message; what comes too much, at most one for each
 * queue, is held back for a moment.
 */
static void poll_idle(struct cel_sqs *s, size_t room, double now)
{
    size_t idle = count_idle(s, now);
    size_t share = idle && room / idle > 1 ? room / idle : 1;
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        if (!q->broadcasts && may_poll(q, now) && q->n_polls == 0) {
            start(q, share, false);
        }
    }
}

/* More at once of those whose last answer was full; they are asked in turn. */
static void poll_hot(struct cel_sqs *s, double now)
{
    struct cel_list *it, *tmp;
    bool more = true;

    while (more) {
        more = false;
        cel_list_foreach(it, tmp, &s->queues) {
            struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

            if (!q->broadcasts && may_poll(q, now) && q->hot &&
                q->n_polls < CEL_SQS_POLLS && free_room(s) >= CEL_SQS_BATCH &&
                s->connected) {
                more = start(q, CEL_SQS_BATCH, true);
            }
        }
    }
}

/* A worker that has no room for tasks is told things all the same. */
static void poll_broadcasts(struct cel_sqs *s, double now)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        if (q->broadcasts && may_poll(q, now) && q->n_polls == 0) {
            start(q, CEL_SQS_BATCH, false);
        }
    }
}

static void drop_quiet(struct cel_sqs *s, double now)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        if (q->consuming || q->n_polls == 0) {
            continue;
        }
        if (s->n_returning > 0 || q->n_changes > 0 || q->n_settling > 0) {
            q->quiet_after = now + QUIET;
        }
        if (now >= q->quiet_after) {
            cel_sqs_polls_stop(q);
        } else {
            cel_sqs_tick_at(s, q->quiet_after);
        }
    }
}

void cel_sqs_poll_flush(struct cel_sqs *s)
{
    double now = cel_loop_now(s->base.loop);
    size_t room = cel_sqs_room(s);
    size_t free = free_room(s);

    drop_quiet(s, now);
    poll_broadcasts(s, now);
    if (room <= s->n_stashed) {
        s->room_since = 0;
        return;
    }
    if (count_idle(s, now) == 0 && free < CEL_SQS_BATCH) {
        return;
    }
    if (is_worth_it(s, free, now)) {
        poll_idle(s, free, now);
        poll_hot(s, now);
    }
}

/* ---- the slots ---- */

celery_status cel_sqs_consume(struct cel_transport *t, const char *queue,
                              celery_error *err)
{
    struct cel_sqs *s = cel_sqs_of(t);
    struct cel_sqs_queue *q;

    if (!s->connected) {
        return cel_error_set(err, CELERY_ECLOSED, "not connected to the broker");
    }
    q = cel_sqs_queue(s, queue, err);
    if (!q) {
        return err ? err->status : CELERY_ECONFIG;
    }
    q->listening_due = q->broadcasts && !q->consuming;
    q->consuming = true;
    cel_sqs_find(q, (struct cel_done){0});
    cel_sqs_wake(s);
    return CELERY_OK;
}

void cel_sqs_polls_stop(struct cel_sqs_queue *q)
{
    struct cel_list *first;

    while ((first = cel_list_first(&q->polls))) {
        struct poll *p = cel_container_of(first, struct poll, node);

        if (!p->call) {
            break;
        }
        cel_sqs_call_cancel(p->call);
    }
}

void cel_sqs_stash_return(struct cel_sqs_queue *q)
{
    struct cel_list *first;

    while ((first = cel_list_first(&q->stash))) {
        cel_sqs_change(cel_container_of(first, struct cel_sqs_message, node), 0,
                       (struct cel_done){0});
    }
}

void cel_sqs_unread(struct cel_sqs_queue *q)
{
    if (q->temporary && q->consuming) {
        cel_sqs_unsubscribe(q);
    }
    q->consuming = false;
    q->quiet_after = cel_loop_now(q->s->base.loop) + QUIET;
    if (q->s->connected) {
        cel_sqs_stash_return(q);
        cel_sqs_wake(q->s);
    }
}

celery_status cel_sqs_cancel(struct cel_transport *t, const char *queue,
                             celery_error *err)
{
    struct cel_sqs_queue *q = cel_sqs_queue(cel_sqs_of(t), queue, err);
    bool was_read = q && q->consuming;

    if (q) {
        cel_sqs_unread(q);
    }
    if (was_read && q->temporary && q->broadcasts) {
        cel_sqs_discard(q);
    }
    return CELERY_OK;
}
