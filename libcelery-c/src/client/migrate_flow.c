/* SPDX-License-Identifier: BSD-3-Clause */
/* The flow of a migration: taken, published, confirmed, acknowledged. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "client/migrate.h"
#include "message/task.h"
#include "transport/amqp_copy.h"

enum {
    WINDOW = 200,      /* messages on their way, when nothing else is held */
    MOST_HELD = 65535, /* what AMQP's basic.qos can say */
    FAREWELL_PASSES = 12,
};

/* Of what is held, together. */
#define MOST_BYTES ((size_t)1 << 30)

/* Seconds: how often somebody is asked whether to go on, and what the end may take. */
static const double LOOK_EVERY = 0.2;
static const double END_TIMEOUT = 60;

/* One message between the two brokers. */
struct passage {
    struct cel_migrate *m;
    struct cel_envelope *copy; /* as it is published; borrows from the original */
    struct cel_envelope *original;
    uint64_t tag;
    char *task; /* escaped; NULL: not legible */
    char *id;
};

static void fail(struct cel_migrate *m, const celery_error *why)
{
    if (m->err.status == CELERY_OK) {
        m->err = *why;
    }
    m->stopping = true;
}

/* Its original too, unless that is kept. */
static void end_passage(struct passage *p)
{
    cel_envelope_free(p->copy);
    cel_envelope_free(p->original);
    cel_free(p->task);
    cel_free(p->id);
    cel_free(p);
}

/* Then the source gives it back itself when the connection is closed, which is soon. */
static void no_room(struct cel_migrate *m, struct cel_envelope *give_envelope)
{
    celery_error why = {0};

    cel_error_nomem(&why);
    fail(m, &why);
    cel_envelope_free(give_envelope);
}

/* What stays at the source, until the end. */
static void keep(struct cel_migrate *m, uint64_t tag, struct cel_envelope *give_envelope)
{
    celery_error why = {0};

    if (m->n_kept == m->cap_kept) {
        size_t cap = m->cap_kept ? 2 * m->cap_kept : 256;
        struct cel_migrate_kept *kept = cel_realloc(m->kept, cap, sizeof *kept);

        if (!kept) {
            no_room(m, give_envelope);
            return;
        }
        m->kept = kept;
        m->cap_kept = cap;
    }
    m->kept[m->n_kept++] = (struct cel_migrate_kept){tag, give_envelope};
    m->kept_bytes += give_envelope->body.len;
    if (m->n_kept >= MOST_HELD || m->kept_bytes > MOST_BYTES) {
        cel_error_set(&why, CELERY_ELIMIT,
                      "%zu messages of %zu bytes are held and more cannot be: move them "
                      "(-a), or give fewer queues",
                      m->n_kept, m->kept_bytes);
        fail(m, &why);
    }
}

/* ---- one message ---- */

static void settled(struct cel_migrate *m, const celery_error *err)
{
    celery_error why = {0};

    m->flying--;
    if (err) { /* it is at both */
        cel_broker_error(&m->source, err, &why);
        fail(m, &why);
    }
}

static void on_acknowledged(void *ctx, const celery_error *err, int64_t answer)
{
    struct passage *p = ctx;

    settled(p->m, err);
    end_passage(p);
}

static void on_given_back(void *ctx, const celery_error *err, int64_t answer)
{
    settled(ctx, err);
}

static void keep_original(struct passage *p)
{
    struct cel_envelope *original = p->original;

    p->original = NULL;
    keep(p->m, p->tag, original);
}

static void tell(struct cel_migrate *m, const char *task, const char *id)
{
    m->now.task = task;
    m->now.task_id = id;
    if (m->what->on_task && !m->what->on_task(m->what->ctx, &m->now)) {
        m->stopping = true;
    }
    m->now.task = m->now.task_id = NULL;
}

static void on_published(void *ctx, const celery_error *err, int64_t answer)
{
    struct passage *p = ctx;
    struct cel_migrate *m = p->m;
    celery_error why = {0};

    m->flying--;
    if (err) {
        cel_broker_error(&m->destination, err, &why);
        fail(m, &why);
        keep_original(p);
        end_passage(p);
        return;
    }
    m->now.count++;
    tell(m, p->task, p->id);
    if (m->what->move && m->source.up) {
        m->flying++;
        m->source.transport->ops->ack(m->source.transport, p->tag,
                                      (struct cel_done){on_acknowledged, p});
        return;
    }
    keep_original(p);
    end_passage(p);
}

static const char *destination_of(const struct cel_migrate *m, const char *queue)
{
    for (size_t i = 0; i < m->n_queues && queue; i++) {
        if (strcmp(m->queues[i].from->name, queue) == 0) {
            return m->queues[i].to;
        }
    }
    return NULL;
}

static char *shown(struct cel_slice text)
{
    return text.len ? cel_strdup(cel_log_safe(text)) : NULL;
}

/* Reads which task it is; false: it is none of those that are wanted. */
static bool is_wanted(const struct cel_migrate *m, struct passage *p)
{
    struct cel_call_limits limits = {
        .accept = cel_config_list(m->app->config, "accept_content")};
    struct cel_task_call call;

    cel_task_call_read(p->original, &limits, &call, NULL);
    p->task = shown(call.task);
    p->id = shown(call.id);
    return !m->what->tasks || cel_map_get(&m->tasks, call.task);
}

/*
 * republish(): the message as it is, for another broker: it finds its queue by name, and gets a
 * delivery tag of its own.  What speaks of the old broker's user is left out.
 */
static bool prepare(struct passage *p, const char *queue)
{
    p->copy = cel_amqp_copy(p->original);
    if (!p->copy) {
        return false;
    }
    p->copy->exchange = CEL_SLICE("");
    p->copy->routing_key = cel_slice_of(queue);
    p->copy->delivery_tag = CEL_SLICE_NULL;
    return true;
}

static void publish(struct cel_migrate *m, struct passage *p, const char *queue)
{
    m->started++;
    m->flying++;
    if (m->what->limit && m->started >= m->what->limit) {
        m->stopping = true;
    }
    m->destination.transport->ops->publish(m->destination.transport, "", queue, p->copy,
                                           (struct cel_done){on_published, p});
}

void cel_migrate_delivered(void *migrate, struct cel_delivery *give_delivery)
{
    struct cel_migrate *m = migrate;
    const char *to = destination_of(m, give_delivery->queue);
    struct passage *p = cel_calloc(1, sizeof *p);
    celery_error why = {0};
    bool wanted;

    if (!p) {
        no_room(m, give_delivery->envelope);
        return;
    }
    *p = (struct passage){
        .m = m, .original = give_delivery->envelope, .tag = give_delivery->tag};
    m->last = cel_loop_now(m->loop);
    wanted = !m->stopping && to && !give_delivery->malformed && is_wanted(m, p);
    if (wanted && m->destination.up && prepare(p, to)) {
        publish(m, p, to);
        return;
    }
    m->now.skipped += !m->stopping;
    if (wanted) {
        cel_error_nomem(&why);
        fail(m, m->destination.up ? &why : &m->destination.lost);
    }
    keep_original(p);
    end_passage(p);
}

/* ---- from the beginning to the end ---- */

static celery_status begin(struct cel_migrate *m, celery_error *err)
{
    struct cel_transport *t = m->source.transport;
    bool holds = !m->what->move || m->what->tasks;
    celery_status status = CELERY_OK;

    t->ops->set_prefetch(t, holds ? MOST_HELD : WINDOW);
    for (size_t i = 0; i < m->n_queues && status == CELERY_OK; i++) {
        status = t->ops->consume(t, m->queues[i].from->name, err);
    }
    m->last = cel_loop_now(m->loop);
    return status;
}

static bool goes_on(struct cel_migrate *m)
{
    double timeout = m->what->timeout > 0 ? m->what->timeout : 1.0;
    const struct cel_broker *both[] = {&m->source, &m->destination};

    for (size_t i = 0; i < 2; i++) {
        if (!both[i]->up) {
            celery_error why = {0};

            cel_broker_error(both[i], &both[i]->lost, &why);
            fail(m, &why);
        }
    }
    if (m->flying == 0 && !m->what->forever &&
        cel_loop_now(m->loop) - m->last >= timeout) {
        return false;
    }
    return !m->stopping;
}

static void run(struct cel_migrate *m)
{
    double asked = cel_loop_now(m->loop);

    while (goes_on(m)) {
        double now = cel_loop_now(m->loop);

        if (now - asked >= LOOK_EVERY) {
            asked = now;
            tell(m, NULL, NULL);
        }
        if (cel_loop_pass(m->loop, LOOK_EVERY) < 0) {
            celery_error why = {0};

            cel_error_set(&why, CELERY_ESYSTEM, "the loop cannot wait");
            fail(m, &why);
        }
    }
    m->stopping = true;
}

/* Passes until nothing is on its way; after the deadline the connections are closed. */
static void drain(struct cel_migrate *m, double deadline)
{
    while (m->flying > 0) {
        double left = deadline - cel_loop_now(m->loop);

        if (left <= 0 || cel_loop_pass(m->loop, left) < 0) {
            celery_error why = {0};

            cel_error_set(&why, CELERY_ETIMEOUT, "a broker gives no answer");
            fail(m, &why);
            m->destination.transport->ops->close(m->destination.transport);
            m->source.transport->ops->close(m->source.transport);
            m->source.up = m->destination.up = false;
            return;
        }
    }
}

/*
 * The newest first: each goes before the others, and so the oldest is the first in the end.
 * Without its connection they come back by themselves.
 */
static void give_back(struct cel_migrate *m)
{
    struct cel_transport *t = m->source.transport;
    size_t n = m->n_kept;

    for (size_t i = n; i-- > 0 && m->source.up;) {
        m->flying++;
        t->ops->reject(t, m->kept[i].tag, true, true, NULL, 0,
                       (struct cel_done){on_given_back, m});
    }
    drain(m, cel_loop_now(m->loop) + END_TIMEOUT);
    for (size_t i = 0; i < n; i++) {
        cel_envelope_free(m->kept[i].envelope);
    }
    m->n_kept -= n; /* more may have come meanwhile */
    memmove(m->kept, m->kept + n, m->n_kept * sizeof *m->kept);
}

/* The source writes behind its last settlements that it holds nothing any more. */
static void say_farewell(struct cel_migrate *m)
{
    struct cel_transport *t = m->source.transport;

    for (int i = 0; i < FAREWELL_PASSES && m->source.up; i++) {
        t->ops->set_prefetch(t, 1); /* there is something to do in this pass */
        (void)cel_loop_pass(m->loop, 0.02);
    }
}

celery_status cel_migrate_flow(struct cel_migrate *m, celery_error *err)
{
    celery_status status = begin(m, &m->err);

    if (status == CELERY_OK) {
        run(m);
    }
    for (size_t i = 0; i < m->n_queues && m->source.up; i++) {
        m->source.transport->ops->cancel(m->source.transport, m->queues[i].from->name,
                                         NULL);
    }
    drain(m, cel_loop_now(m->loop) + END_TIMEOUT);
    /* What was asked for before the end may still have come. */
    while (m->n_kept > 0) {
        give_back(m);
    }
    say_farewell(m);
    return m->err.status < 0 ? cel_error_set(err, m->err.status, "%s", m->err.message)
                             : CELERY_OK;
}
