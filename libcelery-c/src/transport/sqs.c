/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/sqs.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/sqs_state.h"

/* Ids of deleted messages that are remembered, and for how many seconds. */
enum { SETTLED_MAX = 20000, SETTLED_AGE = 3600 };

/* Of these leases a receive makes a message ours: a call costs money. */
enum { LEASES = 4 };

int64_t cel_sqs_visibility(const struct cel_sqs *s)
{
    double seconds = s->base.lease_seconds * LEASES;

    return seconds < 2                   ? 2
           : seconds > CEL_SQS_DAY_LIMIT ? CEL_SQS_DAY_LIMIT
                                         : (int64_t)seconds;
}

/* ---- the hook ---- */

void cel_sqs_wake(struct cel_sqs *s)
{
    if (s->flush) {
        cel_source_schedule(s->flush);
    }
}

void cel_sqs_tick_at(struct cel_sqs *s, double at)
{
    if (s->tick && (s->tick_at == 0 || at < s->tick_at)) {
        s->tick_at = at;
        cel_source_rearm(s->tick, at);
    }
}

static void on_tick(void *ctx)
{
    struct cel_sqs *s = ctx;

    s->tick_at = 0;
    cel_sqs_wake(s);
}

static void on_flush(void *ctx)
{
    struct cel_sqs *s = ctx;
    unsigned connects = s->connects;
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        if (!s->connected || s->connects != connects) {
            return;
        }
        cel_sqs_deliver(q);
    }
    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        if (!s->connected || s->connects != connects) {
            return;
        }
        cel_sqs_publish_flush(q);
        cel_sqs_settle_flush(q);
    }
    if (s->connected && s->connects == connects) {
        cel_sqs_renew_flush(s);
        cel_sqs_poll_flush(s);
    }
}

/* ---- the end of a connection ---- */

/* Pending operations end in here.  What is held stays ours until its visibility ends. */
static void drop(struct cel_sqs *s)
{
    struct cel_list *it, *tmp;

    s->connected = s->connecting = false;
    s->connects++;
    cel_source_disarm(s->fail);
    cel_source_disarm(s->tick);
    s->tick_at = s->renew_at = s->room_since = 0;
    cel_sqs_calls_reset(s);
    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        cel_sqs_publish_reset(q);
        cel_sqs_settle_reset(q);
    }
    cel_sqs_queues_reset(s);
    cel_sqs_topics_reset(s);
}

static void on_fail(void *ctx)
{
    struct cel_sqs *s = ctx;
    celery_error why = s->failure;

    if (s->connected) {
        drop(s);
        s->base.events->lost(s->base.events_ctx, &why);
    }
}

void cel_sqs_abandon(struct cel_sqs *s, const celery_error *why)
{
    if (s->connected && s->failure.status == CELERY_OK) {
        s->failure = *why;
        cel_source_rearm(s->fail, cel_loop_now(s->base.loop));
    }
}

bool cel_sqs_is_closed(struct cel_sqs *s, struct cel_done done)
{
    const celery_error err = {CELERY_ECLOSED, 0, "not connected to the broker"};

    if (s->connected) {
        return false;
    }
    cel_done(done, &err, 0);
    return true;
}

/* ---- connecting: credentials, and what they are for is asked by the first declare ---- */

static celery_status add_sources(struct cel_sqs *s)
{
    struct cel_loop *loop = s->base.loop;

    if ((!s->flush && cel_loop_add_hook(loop, &s->flush, on_flush, s) < 0) ||
        (!s->tick && cel_loop_add_timer(loop, &s->tick, 0, on_tick, s) < 0) ||
        (!s->fail && cel_loop_add_timer(loop, &s->fail, 0, on_fail, s) < 0)) {
        return CELERY_ENOMEM;
    }
    cel_source_disarm(s->tick);
    cel_source_disarm(s->fail);
    return CELERY_OK;
}

static void on_ready(void *ctx, const struct cel_aws_answer *a)
{
    struct cel_sqs *s = ctx;
    struct cel_done done = s->on_connected;

    if (!s->connecting) {
        return;
    }
    s->connecting = false;
    s->on_connected = (struct cel_done){0};
    if (a->err) {
        cel_done(done, a->err, 0);
        return;
    }
    s->connected = true;
    s->last_answer = cel_loop_now(s->base.loop);
    cel_sqs_wake(s);
    cel_done(done, NULL, 0);
}

static celery_status open_client(struct cel_sqs *s, celery_error *err)
{
    struct cel_aws_options options = {
        .service = "sqs",
        .region = s->set.region,
        .endpoint = s->set.endpoint,
        .access_key = s->set.access_key,
        .secret_key = s->set.secret_key,
    };

    celery_status st =
        s->aws ? CELERY_OK : cel_aws_new(s->base.loop, &options, &s->aws, err);
    if (st == 0 && s->set.fanout && !s->sns) {
        options.service = "sns";
        st = cel_aws_new(s->base.loop, &options, &s->sns, err);
    }
    return st;
}

static void sqs_close(struct cel_transport *t);

static void sqs_connect(struct cel_transport *t, size_t url_index, struct cel_done done)
{
    struct cel_sqs *s = cel_sqs_of(t);
    celery_error err = {0};

    sqs_close(t);
    s->failure = (celery_error){0};
    if (add_sources(s) < 0) {
        cel_error_nomem(&err);
    } else {
        open_client(s, &err);
    }
    if (err.status < 0) {
        cel_done(done, &err, 0);
        return;
    }
    s->connecting = true;
    s->on_connected = done;
    cel_aws_ready(s->aws, on_ready, s);
}

static void sqs_close(struct cel_transport *t)
{
    struct cel_sqs *s = cel_sqs_of(t);
    const celery_error err = {CELERY_ECLOSED, 0, "connection closed"};
    struct cel_done done = s->on_connected;

    if (!s->connected && !s->connecting) {
        return;
    }
    s->on_connected = (struct cel_done){0};
    drop(s);
    cel_done(done, &err, 0);
}

/* ---- how much ---- */

static celery_status sqs_set_prefetch(struct cel_transport *t, unsigned count)
{
    cel_sqs_of(t)->prefetch = count;
    cel_sqs_wake(cel_sqs_of(t));
    return CELERY_OK;
}

static void sqs_set_credit(struct cel_transport *t, unsigned count)
{
    cel_sqs_of(t)->credited = true;
    cel_sqs_of(t)->credit = count;
    cel_sqs_wake(cel_sqs_of(t));
}

static bool sqs_returning(const struct cel_transport *t)
{
    const struct cel_sqs *s = (const struct cel_sqs *)t;

    /* An owner that ends reads no queue any more: polls that are left are about to go. */
    return s->connected && (s->n_returning > 0 || s->requested > 0 || s->n_leaving > 0);
}

static double sqs_silence(const struct cel_transport *t)
{
    const struct cel_sqs *s = (const struct cel_sqs *)t;

    return cel_loop_now(t->loop) - s->last_answer;
}

/* ---- life ---- */

static celery_status sqs_init(struct cel_transport *t, struct cel_url *const *urls,
                              size_t n, const struct cel_node *options, celery_error *err)
{
    struct cel_sqs *s = cel_sqs_of(t);

    cel_list_init(&s->calls);
    cel_list_init(&s->queues);
    cel_list_init(&s->bindings);
    cel_list_init(&s->topics);
    cel_hold_init(&s->hold, sizeof(struct cel_sqs_message *));
    s->settled = cel_ageset_new(SETTLED_MAX, SETTLED_AGE);
    if (!s->settled) {
        return cel_error_nomem(err);
    }
    if (n > 1) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "sqs:// takes one URL: the service is never another one");
    }
    celery_status status = cel_sqs_options_read(urls[0], options, &s->set, err);
    if (status == 0 && s->set.fanout) {
        t->flags |= CEL_TRANSPORT_FANOUT | CEL_TRANSPORT_PAID;
    }
    return status;
}

static void sqs_fini(struct cel_transport *t)
{
    struct cel_sqs *s = cel_sqs_of(t);
    struct cel_sqs_message **held;
    size_t at = 0;
    uint64_t tag;

    while ((held = cel_hold_next(&s->hold, &at, &tag))) {
        cel_sqs_forget(*held);
    }
    cel_sqs_queues_free(s);
    cel_sqs_topics_free(s);
    cel_aws_free(s->sns);
    cel_aws_free(s->aws);
    s->flush = cel_source_free(s->flush);
    s->tick = cel_source_free(s->tick);
    s->fail = cel_source_free(s->fail);
    cel_hold_fini(&s->hold);
    cel_map_fini(&s->by_id);
    cel_ageset_free(s->settled);
    cel_buf_fini(&s->params);
    cel_buf_fini(&s->text);
    cel_sqs_options_fini(&s->set);
}

static const char *const sqs_schemes[] = {"sqs", NULL};

const struct cel_transport_ops cel_transport_sqs = {
    .name = "sqs",
    .schemes = sqs_schemes,
    .flags = CEL_TRANSPORT_CONFIRMS | CEL_TRANSPORT_REDELIVERS | CEL_TRANSPORT_RESUMES |
             CEL_TRANSPORT_FINAL,
    .size = sizeof(struct cel_sqs),
    .init = sqs_init,
    .fini = sqs_fini,
    .connect = sqs_connect,
    .close = sqs_close,
    .declare = cel_sqs_declare,
    .publish = cel_sqs_publish,
    .consume = cel_sqs_consume,
    .cancel = cel_sqs_cancel,
    .set_prefetch = sqs_set_prefetch,
    .set_credit = sqs_set_credit,
    .ack = cel_sqs_ack,
    .reject = cel_sqs_reject,
    .defer = cel_sqs_defer,
    .park = cel_sqs_park,
    .count_start = cel_sqs_count_start,
    .bury = cel_sqs_bury,
    .purge = cel_sqs_purge,
    .delete_queue = cel_sqs_delete_queue,
    .count = cel_sqs_count,
    .returning = sqs_returning,
    .silence = sqs_silence,
};
