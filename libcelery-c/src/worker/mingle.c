/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/mingle.h"
#include "app/mailbox.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "message/control.h"

/* Seconds for the replies (Mingle.send_hello), and how many are read at most. */
#define WAIT        1.0
#define REPLIES_MAX 10000

/*
 * Seconds without a connection after which it is worth to ask again: before that little can have
 * been missed, and RabbitMQ may still be removing the reply queue of the old one.
 */
#define BRIEF 2.0

struct cel_mingle {
    struct celery_worker *w;
    struct cel_arena arena; /* of the names */
    struct cel_mailbox mailbox;
    struct cel_queue exchange; /* of the commands, to be declared */
    struct cel_queue replies;
    struct cel_subscription subscription;
    struct cel_source *timer;
    struct cel_envelope *hello; /* lent to the transport */
    char oid[CEL_UUID_SIZE];
    char ticket[CEL_UUID_SIZE];
    bool asking;      /* between start and the last reply */
    bool learnt;      /* at least once */
    double lost_at;   /* loop time, of the last connection */
    int64_t expected; /* replies; -1: some */
    int64_t seen;     /* of them */
    unsigned synced;  /* that told something */
    bool read_only;
};

/* ---- what neighbours share ---- */

void cel_worker_adjust_clock(struct celery_worker *w, int64_t other)
{
    if (other > 0 && other < INT64_MAX / 2 && (uint64_t)other > w->clock) {
        w->clock = (uint64_t)other;
    }
    w->clock++;
}

void cel_worker_merge_revoked(struct celery_worker *w, const struct cel_node *theirs)
{
    bool map = theirs && theirs->kind == CELERY_KIND_OBJECT;
    const struct cel_node *n = cel_node_first(theirs);

    for (; n; n = map ? n->next->next : n->next) {
        if (cel_node_is_string(n)) {
            cel_revoked_add(&w->revoked, cel_node_text(n), cel_clock_mono());
        }
    }
}

struct cel_node *cel_worker_revoked_list(struct celery_worker *w, struct cel_arena *a)
{
    struct cel_node *list = cel_node_new(a, CELERY_KIND_ARRAY);
    void *at = NULL;
    struct cel_slice id;
    double added;

    while (list && cel_ageset_next(w->revoked.ids, &at, &id, &added)) {
        if (cel_node_append(list, cel_node_new_string(a, id)) < 0) {
            return NULL;
        }
    }
    return list;
}

/* ---- the end of it ---- */

static void on_deleted(void *ctx, const celery_error *err, int64_t answer)
{
    if (err) { /* it expires by itself */
        cel_log(CELERY_LOG_DEBUG, "mingle: %s", err->message);
    }
}

static void end(struct cel_mingle *m)
{
    struct celery_worker *w = m->w;
    struct cel_transport *t = cel_link_transport(w->link);

    if (!m->asking) {
        return;
    }
    m->asking = false;
    m->learnt = true;
    cel_source_disarm(m->timer);
    t->ops->delete_queue(t, m->replies.name, (struct cel_done){on_deleted, NULL});
    if (m->synced > 0) {
        cel_log(CELERY_LOG_INFO, "mingle: sync with %u nodes", m->synced);
        cel_log(CELERY_LOG_INFO, "mingle: sync complete");
    } else {
        cel_log(CELERY_LOG_INFO, "mingle: all alone");
    }
    cel_link_go_on(w->link);
}

static void on_time(void *ctx)
{
    end(ctx);
}

/* ---- replies ---- */

/* Mingle.sync_with_node().  Who asks itself, by an old connection, is told null. */
static void sync_with(struct cel_mingle *m, struct cel_slice node,
                      const struct cel_node *told)
{
    struct celery_worker *w = m->w;

    m->seen++;
    if (told->kind != CELERY_KIND_OBJECT || cel_slice_is(node, w->hostname)) {
        return;
    }
    cel_log(CELERY_LOG_DEBUG, "mingle: processing reply from %s", cel_log_safe(node));
    m->synced++;
    cel_worker_adjust_clock(w, cel_node_int(cel_node_get(told, CEL_SLICE("clock")), 0));
    if (!m->read_only) {
        cel_worker_merge_revoked(w, cel_node_get(told, CEL_SLICE("revoked")));
    }
}

static void on_reply(void *ctx, struct cel_slice routing_key,
                     struct cel_envelope *give_envelope)
{
    struct cel_mingle *m = ctx;
    struct cel_command_reply reply;
    celery_error err = {0};

    if (!m->asking) {
        cel_envelope_free(give_envelope);
        return;
    }
    if (cel_command_reply_read(give_envelope, &m->w->policy.limits, &reply, &err) < 0) {
        cel_log(CELERY_LOG_ERROR, "mingle: a reply cannot be read: %s",
                cel_log_safe(cel_slice_of(err.message)));
        m->seen++;
    } else if (cel_slice_is(reply.ticket, m->ticket)) {
        const struct cel_node *name = cel_node_first(reply.nodes);

        for (; name; name = name->next->next) {
            sync_with(m, cel_node_text(name), name->next);
        }
    }
    cel_envelope_free(give_envelope);
    if ((m->expected > 0 && m->seen >= m->expected) || m->seen >= REPLIES_MAX) {
        end(m);
    }
}

/* ---- the question ---- */

static void on_said(void *ctx, const celery_error *err, int64_t heard)
{
    struct cel_mingle *m = ctx;

    m->hello = cel_envelope_free(m->hello);
    if (err && (err->status == CELERY_ECLOSED || err->status == CELERY_EUNCERTAIN)) {
        m->asking = false; /* the next connection asks again */
        cel_source_disarm(m->timer);
        return;
    }
    if (err) {
        cel_log(CELERY_LOG_WARNING, "mingle: %s", err->message);
    }
    m->expected = heard;
    if (err || heard == 0 || (heard > 0 && m->seen >= heard)) {
        end(m);
    }
}

static celery_status make_hello(struct cel_mingle *m, celery_error *err)
{
    const char *serializer = cel_config_text(m->w->app->config, "task_serializer");
    const struct cel_codec *codec = cel_codec_find(cel_slice_of(serializer));
    struct cel_arena arena;

    cel_arena_init(&arena, 0);
    struct cel_node *arguments = cel_node_new(&arena, CELERY_KIND_OBJECT);
    struct cel_command_draft draft = {
        .method = "hello",
        .arguments = arguments,
        .oid = m->oid,
        .ticket = m->ticket,
        .clock = (int64_t)++m->w->clock,
        .timeout = WAIT,
    };
    celery_status status = CELERY_ENOMEM;
    if (arguments &&
        cel_node_put(&arena, arguments, CEL_SLICE("from_node"),
                     cel_node_new_string(&arena, cel_slice_of(m->w->hostname))) == 0 &&
        cel_node_put(&arena, arguments, CEL_SLICE("revoked"),
                     cel_worker_revoked_list(m->w, &arena)) == 0) {
        status = cel_command_write(&m->mailbox, &draft, codec ? codec : &cel_codec_json,
                                   &m->hello, err);
    }
    cel_arena_fini(&arena);
    return status;
}

bool cel_mingle_start(struct cel_mingle *m)
{
    celery_error err = {0};

    if (!m || m->w->shutdown != CEL_SHUTDOWN_NONE || m->hello ||
        (m->learnt && cel_loop_now(m->w->loop) - m->lost_at < BRIEF)) {
        return false;
    }
    cel_uuid4(m->ticket);
    if (make_hello(m, &err) < 0) {
        cel_log(CELERY_LOG_WARNING, "mingle: %s", err.message);
        return false;
    }
    struct cel_transport *t = cel_link_transport(m->w->link);
    cel_log(CELERY_LOG_INFO, "mingle: searching for neighbors");
    m->asking = true;
    m->expected = -1;
    m->seen = 0;
    m->synced = 0;
    m->hello->counted = true;
    cel_source_rearm(m->timer, cel_loop_now(m->w->loop) + WAIT);
    cel_link_open(&m->subscription);
    t->ops->declare(t, &m->exchange, (struct cel_done){0});
    t->ops->publish(t, m->mailbox.exchange, "", m->hello, (struct cel_done){on_said, m});
    return true;
}

void cel_mingle_lost(struct cel_mingle *m)
{
    if (m) {
        m->lost_at = cel_loop_now(m->w->loop);
    }
}

/* ---- life ---- */

static celery_status open_mingle(struct cel_mingle *m, celery_error *err)
{
    const struct cel_config *c = m->w->app->config;
    celery_status status = cel_mailbox_read(&m->mailbox, &m->arena, c, err);

    cel_uuid4(m->oid);
    if (status == CELERY_OK) {
        status =
            cel_mailbox_reply_queue(&m->mailbox, &m->arena, m->oid, &m->replies, err);
    }
    if (status == CELERY_OK) {
        status = cel_loop_add_timer(m->w->loop, &m->timer, 0, on_time, m);
    }
    if (status < 0) {
        return status;
    }
    cel_source_disarm(m->timer);
    cel_mailbox_exchange(&m->mailbox, &m->exchange);
    m->subscription = (struct cel_subscription){.queue = &m->replies,
                                                .what = "mingle",
                                                .on_demand = true,
                                                .received = on_reply,
                                                .ctx = m};
    return CELERY_OK;
}

celery_status cel_mingle_new(struct celery_worker *w, struct cel_mingle **ret_mingle,
                             celery_error *err)
{
    const struct cel_config *c = w->app->config;

    *ret_mingle = NULL;
    if (!cel_config_bool(c, "worker_enable_mingle") ||
        cel_link_transport(w->link)->flags & CEL_TRANSPORT_PAID) {
        return CELERY_OK;
    }
    struct cel_mingle *m = cel_calloc(1, sizeof *m);
    if (!m) {
        return cel_error_nomem(err);
    }
    m->w = w;
    m->read_only = cel_config_bool(c, "worker_remote_control_read_only");
    celery_status status = open_mingle(m, err);
    if (status < 0 || !cel_link_subscribe(w->link, &m->subscription)) {
        cel_mingle_free(m);
        return status;
    }
    *ret_mingle = m;
    return CELERY_OK;
}

struct cel_mingle *cel_mingle_free(struct cel_mingle *m)
{
    if (m) {
        cel_source_free(m->timer);
        cel_arena_fini(&m->arena);
        cel_envelope_free(m->hello);
        cel_free(m);
    }
    return NULL;
}
