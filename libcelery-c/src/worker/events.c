/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/events_state.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

/*
 * Events of tasks in one message, where EventDispatcher.buffer_limit is 24: receivers take
 * lists of any length, and what a message costs is the same for each.
 */
#define BATCH_MAX 128

/* Seconds between such messages that are not full.  The first event of a quiet time goes at once. */
#define GATHER 0.01

/* Ceilings: one batch, what waits for the broker, and what it has not answered. */
#define BATCH_BYTES   ((size_t)4 << 20)
#define WAITING_BYTES ((size_t)8 << 20)
#define IN_FLIGHT_MAX 64

/* Seconds for which the last events have time to go. */
#define CLOSE_GRACE 1.0

static void pump(struct cel_events *e);

/* ---- messages ---- */

static void message_free(struct cel_events_message *m)
{
    m->events->bytes -= m->size;
    cel_list_remove(&m->node);
    cel_envelope_free(m->envelope);
}

/* In an outage there is one line when it begins, and one that counts when it is over. */
static void drop(struct cel_events *e, size_t count, const char *why)
{
    if (e->dropped == 0) {
        cel_log(CELERY_LOG_WARNING, "events: %s: the oldest are dropped", why);
    }
    e->dropped += count;
}

void cel_events_look(struct cel_events *e)
{
    if (e->dropped > 0 && e->open && e->in_flight < IN_FLIGHT_MAX) {
        cel_log(CELERY_LOG_WARNING, "events: %llu were dropped",
                (unsigned long long)e->dropped);
        e->dropped_before += e->dropped;
        e->dropped = 0;
    }
}

uint64_t cel_events_dropped(const struct cel_events *e)
{
    return e ? e->dropped_before + e->dropped : 0;
}

size_t cel_events_waiting(const struct cel_events *e)
{
    return e ? e->bytes : 0;
}

static void make_room(struct cel_events *e, size_t size)
{
    while (e->bytes + size > WAITING_BYTES) {
        struct cel_list *oldest = cel_list_first(&e->unsent);

        oldest = oldest ? oldest : cel_list_first(&e->waiting);
        if (!oldest) {
            return;
        }
        struct cel_events_message *m =
            cel_container_of(oldest, struct cel_events_message, node);
        drop(e, m->count, "the broker does not take them");
        message_free(m);
    }
}

static void put(struct cel_events *e, const struct cel_event_source *from,
                struct cel_slice json, const char *routing_key, size_t count)
{
    struct cel_events_message *m = NULL;
    struct cel_envelope *env = NULL;
    celery_error err = {0};

    celery_status status = cel_event_envelope(from->hostname, json, e->codec, e->exchange,
                                              routing_key, &env, &err);
    if (status == CELERY_OK) {
        m = cel_arena_alloc(&env->arena, sizeof *m);
    }
    if (!m) {
        cel_envelope_free(env);
        drop(e, count, status < 0 ? err.message : "out of memory");
        return;
    }
    *m = (struct cel_events_message){
        .events = e, .envelope = env, .count = count, .size = json.len + sizeof *env};
    snprintf(m->routing_key, sizeof m->routing_key, "%s", routing_key);
    make_room(e, m->size);
    e->bytes += m->size;
    cel_list_append(&e->waiting, &m->node);
    pump(e);
}

/* ---- to the broker ---- */

/* Nothing but the permission, or the exchange, can be wrong: it is as wrong for the next one. */
static void refuse(struct cel_events *e, const celery_error *err)
{
    if (!e->refused) {
        cel_log(CELERY_LOG_ERROR, "events: none are sent on this connection: %s",
                err->message);
    }
    e->refused = true;
}

static void on_published(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_events_message *m = ctx;
    struct cel_events *e = m->events;

    e->in_flight--;
    if (err && err->status == CELERY_ECLOSED) {
        e->open = false; /* lost() comes, if it was not us who closed it */
        cel_list_append(&e->unsent, &m->node);
        return;
    }
    if (err && (err->status == CELERY_ENOTSUP || err->status == CELERY_EAUTH)) {
        refuse(e, err);
    } else if (err && err->status != CELERY_EUNCERTAIN) {
        drop(e, m->count, err->message);
    }
    message_free(m);
    pump(e);
}

static bool may_send(const struct cel_events *e)
{
    return e->open && e->declared && !e->refused && e->in_flight < IN_FLIGHT_MAX;
}

static void pump(struct cel_events *e)
{
    struct cel_transport *t = cel_link_transport(e->w->link);
    struct cel_list *first;

    while (may_send(e) && ((first = cel_list_first(&e->unsent)) ||
                           (first = cel_list_first(&e->waiting)))) {
        struct cel_events_message *m =
            cel_container_of(first, struct cel_events_message, node);

        cel_list_remove(first);
        e->in_flight++;
        t->ops->publish(t, e->exchange, m->routing_key, m->envelope,
                        (struct cel_done){on_published, m});
    }
    if (e->refused) { /* what cannot be sent need not be kept */
        while ((first = cel_list_first(&e->waiting)) ||
               (first = cel_list_first(&e->unsent))) {
            message_free(cel_container_of(first, struct cel_events_message, node));
        }
    }
}

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_events *e = ctx;

    if (!err) {
        e->declared = true;
    } else if (err->status != CELERY_ECLOSED && err->status != CELERY_EUNCERTAIN) {
        refuse(e, err);
    }
    pump(e);
}

void cel_events_connected(struct cel_events *e)
{
    if (!e) {
        return;
    }
    struct cel_transport *t = cel_link_transport(e->w->link);
    e->open = true;
    e->declared = false;
    e->refused = false;
    t->ops->declare(t, &e->declaration, (struct cel_done){on_declared, e});
    cel_heartbeat_start(e);
}

void cel_events_lost(struct cel_events *e)
{
    if (e) {
        e->open = false;
        cel_heartbeat_stop(e);
    }
}

/* ---- events of tasks ---- */

static void send_batch(struct cel_events *e)
{
    if (e->n_batch == 0) {
        return;
    }
    cel_buf_addc(&e->batch, ']');
    if (cel_buf_ok(&e->batch)) {
        put(e, &e->source, cel_buf_slice(&e->batch), "task.multi", e->n_batch);
    } else {
        drop(e, e->n_batch, "out of memory");
    }
    cel_buf_clear(&e->batch);
    e->n_batch = 0;
    e->batch_at = cel_loop_now(e->w->loop);
}

static void on_gathered(void *ctx)
{
    struct cel_events *e = ctx;

    e->gathering = false;
    send_batch(e);
}

/* The solo pool does not come back before a task has ended: nothing waits for it. */
static void on_flush(void *ctx)
{
    struct cel_events *e = ctx;
    double due = e->batch_at + GATHER;

    if (e->n_batch == 0) {
        return;
    }
    if (cel_loop_now(e->w->loop) >= due || e->w->pool->ops == &cel_pool_solo) {
        send_batch(e);
    } else if (!e->gathering) {
        e->gathering = true;
        cel_source_rearm(e->gather, due);
    }
}

struct cel_buf *cel_events_task_begin(struct cel_events *e)
{
    cel_buf_adds(&e->batch, e->n_batch == 0 ? "[" : ", ");
    cel_event_begin(&e->batch, &e->source, ++e->w->clock);
    return &e->batch;
}

void cel_events_task_end(struct cel_events *e, const char *type, int64_t time_us)
{
    cel_event_end(&e->batch, type, time_us);
    if (!cel_buf_ok(&e->batch)) { /* what it does not fit behind is gone with it */
        drop(e, e->n_batch + 1, "a batch is too large");
        cel_buf_clear(&e->batch);
        e->n_batch = 0;
        return;
    }
    e->n_batch++;
    if (e->n_batch >= BATCH_MAX || e->batch.len > BATCH_BYTES / 4) {
        send_batch(e);
    } else {
        cel_source_schedule(e->flush);
    }
}

bool cel_events_of_tasks(struct cel_events *e, bool on)
{
    bool before = e->observer.kinds != 0;

    e->observer.kinds = on ? cel_events_kinds() : 0;
    cel_notice_changed(e->w);
    return before != on;
}

/* ---- events of the worker ---- */

struct cel_buf *cel_events_begin(struct cel_events *e)
{
    if (!e || (e->refused && e->open)) {
        return NULL;
    }
    cel_buf_clear(&e->single);
    cel_event_begin(&e->single, &e->source, ++e->w->clock);
    return &e->single;
}

static void end_single(struct cel_events *e, const struct cel_event_source *from,
                       const char *type)
{
    char key[CEL_EVENT_TYPE_MAX];

    cel_event_end(&e->single, type, cel_clock_wall_us());
    if (!cel_buf_ok(&e->single) || !cel_event_routing_key(type, key)) {
        drop(e, 1, "an event was too large");
        return;
    }
    send_batch(e); /* what happened before is told before */
    put(e, from, cel_buf_slice(&e->single), key, 1);
}

void cel_events_end(struct cel_events *e, const char *type)
{
    end_single(e, &e->source, type);
}

void cel_events_pass_on(struct cel_events *e, struct cel_slice type,
                        struct cel_slice members)
{
    bool sent = cel_slice_is(type, "task-sent");
    char name[CEL_EVENT_TYPE_MAX] = "";

    if (type.len >= sizeof name || !cel_events_begin(e)) {
        return;
    }
    memcpy(name, type.data, type.len);
    if (sent) {
        e->single.len = 0;
        cel_event_begin(&e->single, &e->sender, e->w->clock);
    }
    cel_buf_add_slice(&e->single, members);
    end_single(e, sent ? &e->sender : &e->source, name);
}

/* ---- life ---- */

void cel_events_close(struct cel_events *e)
{
    if (!e || !e->open) {
        return;
    }
    struct cel_loop *loop = e->w->loop;
    double deadline = cel_loop_now(loop) + CLOSE_GRACE;

    send_batch(e);
    cel_heartbeat_end(e);
    while (e->open && !e->refused && cel_loop_now(loop) < deadline &&
           (e->in_flight > 0 || !cel_list_empty(&e->waiting))) {
        if (cel_loop_pass(loop, deadline - cel_loop_now(loop)) < 0) {
            break;
        }
    }
}

static celery_status read_settings(struct cel_events *e, const struct cel_config *c,
                                   celery_error *err)
{
    struct cel_transport *t = cel_link_transport(e->w->link);
    const char *serializer = cel_config_text(c, "event_serializer");
    bool topics = t->ops->flags & CEL_TRANSPORT_TOPICS;

    e->exchange = cel_config_text(c, "event_exchange");
    e->exchange = e->exchange && *e->exchange ? e->exchange : "celeryev";
    e->codec = cel_codec_find(cel_slice_of(serializer ? serializer : "json"));
    if (!e->codec) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "event_serializer: %.40s is no serializer of this build",
                             serializer);
    }
    cel_event_exchange(&e->declaration, e->exchange, !topics);
    return CELERY_OK;
}

/* Tasks are sent by processes, not by nodes. */
static celery_status make_sources(struct cel_events *e)
{
    cel_anon_nodename(e->sender_name);
    if (cel_event_source_init(&e->source, e->w->hostname, (int)getpid()) < 0) {
        return CELERY_ENOMEM;
    }
    return cel_event_source_init(&e->sender, e->sender_name, (int)getpid());
}

celery_status cel_events_new(struct celery_worker *w, struct cel_events **ret_events,
                             celery_error *err)
{
    const struct cel_config *c = w->app->config;

    *ret_events = NULL;
    if (!(cel_link_transport(w->link)->flags & CEL_TRANSPORT_FANOUT)) {
        return CELERY_OK;
    }
    struct cel_events *e = cel_calloc(1, sizeof *e);
    if (!e) {
        return cel_error_nomem(err);
    }
    e->w = w;
    e->observer =
        (struct cel_observer){.texts = true, .fn = cel_events_on_notice, .ctx = e};
    cel_list_init(&e->waiting);
    cel_list_init(&e->unsent);
    cel_buf_init(&e->batch, BATCH_BYTES);
    cel_buf_init(&e->single, BATCH_BYTES);
    celery_status status = read_settings(e, c, err);
    if (status == CELERY_OK && make_sources(e) < 0) {
        status = cel_error_nomem(err);
    }
    if (status == CELERY_OK) {
        status = cel_loop_add_hook(w->loop, &e->flush, on_flush, e);
    }
    if (status == CELERY_OK) {
        status = cel_loop_add_timer(w->loop, &e->gather, 0, on_gathered, e);
    }
    if (status == CELERY_OK) {
        cel_source_disarm(e->gather);
    }
    if (status == CELERY_OK) {
        status = cel_heartbeat_init(e, err);
    }
    if (status == CELERY_OK) {
        status = cel_notice_watch(w, &e->observer);
    }
    if (status < 0) {
        cel_events_free(e);
        return status;
    }
    cel_events_of_tasks(e, cel_config_bool(c, "worker_send_task_events"));
    *ret_events = e;
    return CELERY_OK;
}

struct cel_events *cel_events_free(struct cel_events *e)
{
    struct cel_list *first;

    if (!e) {
        return NULL;
    }
    while ((first = cel_list_first(&e->waiting)) ||
           (first = cel_list_first(&e->unsent))) {
        message_free(cel_container_of(first, struct cel_events_message, node));
    }
    cel_notice_unwatch(e->w, &e->observer);
    cel_heartbeat_fini(e);
    cel_source_free(e->flush);
    cel_source_free(e->gather);
    cel_event_source_fini(&e->source);
    cel_event_source_fini(&e->sender);
    cel_buf_fini(&e->batch);
    cel_buf_fini(&e->single);
    cel_free(e);
    return NULL;
}
