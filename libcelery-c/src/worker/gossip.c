/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/gossip.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "message/event.h"
#include "worker/carry.h"
#include "worker/election.h"
#include "worker/events.h"
#include "worker/follow.h"
#include "worker/mingle.h"

#include <stdio.h>
#include <unistd.h>

/* Gossip.interval: seconds between its looks at who is silent. */
#define INTERVAL 5.0

/* Of a worker that does not say (celery/events/state.py HEARTBEAT_EXPIRE_WINDOW and Worker). */
#define FREQ       60.0
#define EXPIRES_OF 2.0

/*
 * Seconds until an ack is sent.  A Python worker that gets one before it has heard of a second
 * candidate ends itself (kombu/clocks.py LamportClock.sort_heap, IndexError).
 */
#define ACK_AFTER 0.3

#define NEIGHBORS_MAX 5000
#define NAME_MAX_LEN  255

struct neighbor {
    double seen; /* loop time of its last event */
    double freq; /* seconds between its heartbeats */
};

struct cel_gossip {
    struct celery_worker *w;
    struct cel_arena arena; /* of the queue */
    struct cel_queue queue;
    struct cel_subscription subscription;
    struct cel_source *look;  /* timer: who is silent */
    struct cel_source *count; /* timer: elections that nobody else will decide */
    struct cel_source *ack;   /* timer: the acks that are owed */
    struct cel_map neighbors; /* node name: struct neighbor */
    struct cel_elections elections;
    char name[CEL_UUID_SIZE + 64];
};

/* ---- who is there ---- */

static bool is_alive(const struct neighbor *n, double now)
{
    return now <= n->seen + n->freq * EXPIRES_OF;
}

size_t cel_gossip_neighbors(const struct cel_gossip *g)
{
    return g ? g->neighbors.count : 0;
}

static void met(struct cel_gossip *g, const struct cel_event *e)
{
    struct neighbor *n = cel_map_get(&g->neighbors, e->hostname);
    double freq = cel_node_double(cel_node_get(e->fields, CEL_SLICE("freq")), FREQ);

    if (!n && g->neighbors.count < NEIGHBORS_MAX) {
        n = cel_calloc(1, sizeof *n);
        if (!n || cel_map_set(&g->neighbors, e->hostname, n, NULL) < 0) {
            cel_free(n);
            return;
        }
        cel_log(CELERY_LOG_DEBUG, "%s joined the party", cel_log_safe(e->hostname));
    }
    if (n) {
        n->seen = cel_loop_now(g->w->loop);
        n->freq = freq > 0 && freq < 86400 ? freq : FREQ;
    }
}

static void on_neighbor(struct cel_gossip *g, const struct cel_event *e)
{
    if (e->hostname.len == 0 || e->hostname.len > NAME_MAX_LEN) {
        return;
    }
    if (cel_slice_is(e->hostname, g->w->hostname)) {
        g->w->clock++;
        return;
    }
    cel_worker_adjust_clock(g->w, e->clock);
    if (!cel_slice_is(e->type, "worker-offline")) {
        met(g, e);
    } else if (cel_map_get(&g->neighbors, e->hostname)) {
        cel_log(CELERY_LOG_DEBUG, "%s left", cel_log_safe(e->hostname));
        cel_free(cel_map_del(&g->neighbors, e->hostname));
    }
}

/* Gossip.periodic(). */
static void on_look(void *ctx)
{
    struct cel_gossip *g = ctx;
    double now = cel_loop_now(g->w->loop);
    struct cel_slice name;
    void *n;
    size_t at = 0;

    while (cel_map_next(&g->neighbors, &at, &name, &n)) {
        if (!is_alive(n, now)) {
            cel_log(CELERY_LOG_INFO, "missed heartbeat from %s", cel_log_safe(name));
            cel_free(cel_map_del(&g->neighbors, name));
            at = 0; /* the map has changed */
        }
    }
    if (g->neighbors.count > 0) {
        cel_source_rearm(g->look, now + INTERVAL);
    }
}

/* ---- what a winner does ---- */

static void on_carried(void *ctx, const celery_error *err)
{
    if (err) {
        cel_log(CELERY_LOG_ERROR, "Could not call task: %s", err->message);
    }
}

/* Gossip.call_task(). */
static celery_status call_task(struct cel_gossip *g, const char *action,
                               celery_error *err)
{
    struct cel_effects effects = {0};
    struct cel_arena arena;
    struct cel_node *doc = NULL;
    struct cel_sig *sig = NULL;

    cel_arena_init(&arena, 0);
    celery_status status = cel_json_parse(&arena, cel_slice_of(action), NULL, &doc, err);
    if (status == CELERY_OK) {
        status = cel_canvas_read(&arena, doc, "action", &sig, err);
    }
    if (status == CELERY_OK) {
        status = cel_sig_apply(cel_follow_canvas(g->w), &arena, sig, NULL, NULL, NULL,
                               &effects, NULL, err);
    }
    if (status == CELERY_OK) {
        cel_carry_start(g->w, cel_buf_slice(&effects.bytes), NULL,
                        (struct cel_carry_done){on_carried, g});
    }
    cel_effects_fini(&effects);
    cel_arena_fini(&arena);
    return status;
}

static void act(struct cel_gossip *g, const struct cel_election *e)
{
    celery_error err = {0};

    if (strcmp(e->topic, "task") != 0) {
        cel_log(CELERY_LOG_ERROR, "Unknown election topic %s",
                cel_log_safe(cel_slice_of(e->topic)));
    } else if (call_task(g, e->action, &err) < 0) {
        cel_log(CELERY_LOG_ERROR, "Could not call task: %s",
                cel_log_safe(cel_slice_of(err.message)));
    }
}

/* ---- elections ---- */

static void decide(struct cel_gossip *g)
{
    double now = cel_loop_now(g->w->loop);
    struct cel_election *e;
    char own[NAME_MAX_LEN + 32];

    snprintf(own, sizeof own, "%.255s.%d", g->w->hostname, (int)getpid());
    while ((e = cel_election_due(&g->elections, cel_gossip_neighbors(g), now))) {
        if (strcmp(e->best, own) == 0) {
            cel_log(CELERY_LOG_INFO, "I won the election %s",
                    cel_log_safe(cel_slice_of(e->id)));
            act(g, e);
        } else {
            cel_log(CELERY_LOG_INFO, "node %s elected for %s",
                    cel_log_safe(cel_slice_of(e->best)),
                    cel_log_safe(cel_slice_of(e->id)));
        }
        e->over = true;
    }
}

static void on_count(void *ctx)
{
    decide(ctx);
}

void cel_gossip_election(struct cel_gossip *g, struct cel_slice id,
                         struct cel_slice topic, const struct cel_node *action)
{
    struct cel_buf json = {0}, *out;
    double now = g ? cel_loop_now(g->w->loop) : 0;
    struct cel_election *e = g && id.len > 0 && id.len <= NAME_MAX_LEN
                                 ? cel_election_get(&g->elections, id, true, now)
                                 : NULL;

    if (e && (!action || cel_json_write(&json, action) == CELERY_OK) &&
        (out = cel_events_begin(g->w->events))) {
        e->ours = true;
        cel_event_text(out, "id", id);
        cel_event_text(out, "topic", topic);
        cel_event_json(out, "action", action ? cel_buf_slice(&json) : CEL_SLICE("null"));
        cel_event_int(out, "cver", 1);
        cel_events_end(g->w->events, "worker-elect");
        cel_source_rearm(g->count, now + CEL_ELECTION_WAIT);
    }
    cel_buf_fini(&json);
}

/* Gossip.on_elect(): all fields have to be there. */
static void on_elect(struct cel_gossip *g, const struct cel_event *e)
{
    const struct cel_node *id = cel_node_get(e->fields, CEL_SLICE("id"));
    const struct cel_node *topic = cel_node_get(e->fields, CEL_SLICE("topic"));
    const struct cel_node *action = cel_node_get(e->fields, CEL_SLICE("action"));
    struct cel_slice name = cel_node_text(id);
    struct cel_election *election = NULL;
    struct cel_buf json = {0};
    double now = cel_loop_now(g->w->loop);
    char stands[NAME_MAX_LEN + 32];

    if (!cel_node_is_string(id) || name.len == 0 || name.len > NAME_MAX_LEN ||
        !cel_node_is_string(topic) || !action || e->clock <= 0 || e->pid <= 0 ||
        e->hostname.len == 0 || e->hostname.len > NAME_MAX_LEN) {
        cel_log(CELERY_LOG_ERROR, "election request missing field");
        return;
    }
    snprintf(stands, sizeof stands, "%.*s.%lld", (int)e->hostname.len, e->hostname.data,
             (long long)e->pid);
    if (cel_json_write(&json, action) == CELERY_OK) {
        election = cel_election_get(&g->elections, name, true, now);
    }
    if (!election || cel_election_stand(election, e->clock, cel_slice_of(stands),
                                        cel_node_text(topic), cel_buf_slice(&json)) < 0) {
        cel_log(CELERY_LOG_ERROR, "election %s: a request is too large",
                cel_log_safe(name));
    } else if (election->owed++ == 0) {
        cel_source_rearm(g->ack, now + ACK_AFTER);
    }
    cel_buf_fini(&json);
}

static void send_ack(struct cel_gossip *g, const struct cel_election *e)
{
    struct cel_buf *out = cel_events_begin(g->w->events);

    if (out) {
        cel_event_text(out, "id", cel_slice_of(e->id));
        cel_events_end(g->w->events, "worker-elect-ack");
    }
}

static void on_ack_time(void *ctx)
{
    struct cel_gossip *g = ctx;
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &g->elections.list) {
        struct cel_election *e = cel_container_of(it, struct cel_election, node);

        for (; e->owed > 0; e->owed--) {
            send_ack(g, e);
        }
        if (e->over) {
            cel_election_end(&g->elections, e);
        }
    }
}

static void on_ack(struct cel_gossip *g, const struct cel_event *e)
{
    struct cel_slice id = cel_node_text(cel_node_get(e->fields, CEL_SLICE("id")));
    struct cel_election *election = cel_election_get(&g->elections, id, false, 0);

    if (election) {
        election->acks++;
        decide(g);
    }
}

/* ---- messages ---- */

static void on_event(struct cel_gossip *g, const struct cel_event *e)
{
    if (cel_slice_is(e->type, "worker-elect")) {
        on_elect(g, e);
    } else if (cel_slice_is(e->type, "worker-elect-ack")) {
        on_ack(g, e);
    } else if (cel_slice_starts(e->type, CEL_SLICE("worker-"))) {
        bool alone = g->neighbors.count == 0;

        on_neighbor(g, e);
        if (alone && g->neighbors.count > 0) {
            cel_source_rearm(g->look, cel_loop_now(g->w->loop) + INTERVAL);
        }
    }
}

static void on_message(void *ctx, struct cel_slice routing_key,
                       struct cel_envelope *give_envelope)
{
    struct cel_gossip *g = ctx;
    struct cel_event_batch batch;
    struct cel_event e;
    celery_error err = {0};

    /* With fanout_patterns off all events come here (Gossip.on_message). */
    if (cel_slice_starts(routing_key, CEL_SLICE("task"))) {
        cel_envelope_free(give_envelope);
        return;
    }
    if (cel_event_read(give_envelope, &g->w->policy.limits, &batch, &err) < 0) {
        cel_log(CELERY_LOG_ERROR, "gossip: an event cannot be read: %s",
                cel_log_safe(cel_slice_of(err.message)));
    } else {
        while (cel_event_next(&batch, &e)) {
            on_event(g, &e);
        }
    }
    cel_envelope_free(give_envelope);
}

/* ---- life ---- */

/*
 * Gossip.get_consumers(): queue_ttl is what --heartbeat-interval was, and without that option the
 * receiver's own.
 */
static double queue_ttl(const struct cel_config *c)
{
    bool given = cel_config_origin(c, "worker_heartbeat_interval") != CEL_FROM_DEFAULT;

    return cel_config_double(c, given ? "worker_heartbeat_interval" : "event_queue_ttl",
                             0);
}

/* celery/events/receiver.py EventReceiver. */
static celery_status make_queue(struct cel_gossip *g, const struct cel_config *c,
                                celery_error *err)
{
    bool redis = strcmp(cel_link_transport(g->w->link)->ops->name, "amqp") != 0;
    char id[CEL_UUID_SIZE];

    cel_uuid4(id);
    snprintf(g->name, sizeof g->name, "%.60s.%s",
             cel_config_text(c, "event_queue_prefix"), id);
    g->queue = (struct cel_queue){
        .name = g->name,
        .exchange = cel_config_text(c, "event_exchange"),
        .exchange_type = redis ? "fanout" : "topic",
        .exchange_only = redis, /* a binding that nobody reads would stay for ever */
        .routing_key = "worker.#",
        .arguments = cel_queue_lifetime(
            &g->arena, cel_config_double(c, "event_queue_expires", 0), queue_ttl(c)),
        .durable = cel_config_bool(c, "event_queue_durable"),
        .auto_delete = !cel_config_bool(c, "event_queue_durable"),
        .exclusive = cel_config_bool(c, "event_queue_exclusive"),
        .no_ack = true,
    };
    g->subscription = (struct cel_subscription){
        .queue = &g->queue, .what = "gossip", .received = on_message, .ctx = g};
    return g->queue.arguments ? CELERY_OK : cel_error_nomem(err);
}

static celery_status open_gossip(struct cel_gossip *g, celery_error *err)
{
    celery_status status = make_queue(g, g->w->app->config, err);

    if (status == CELERY_OK) {
        status = cel_loop_add_timer(g->w->loop, &g->look, 0, on_look, g);
    }
    if (status == CELERY_OK) {
        status = cel_loop_add_timer(g->w->loop, &g->count, 0, on_count, g);
    }
    if (status == CELERY_OK) {
        status = cel_loop_add_timer(g->w->loop, &g->ack, 0, on_ack_time, g);
    }
    if (status == CELERY_OK) {
        cel_source_disarm(g->look);
        cel_source_disarm(g->count);
        cel_source_disarm(g->ack);
    }
    return status;
}

celery_status cel_gossip_new(struct celery_worker *w, struct cel_gossip **ret_gossip,
                             celery_error *err)
{
    *ret_gossip = NULL;
    if (!cel_config_bool(w->app->config, "worker_enable_gossip") ||
        cel_link_transport(w->link)->flags & CEL_TRANSPORT_PAID) {
        return CELERY_OK;
    }
    struct cel_gossip *g = cel_calloc(1, sizeof *g);
    if (!g) {
        return cel_error_nomem(err);
    }
    g->w = w;
    cel_elections_init(&g->elections);
    celery_status status = open_gossip(g, err);
    if (status < 0 || !cel_link_subscribe(w->link, &g->subscription)) {
        cel_gossip_free(g);
        return status;
    }
    *ret_gossip = g;
    return CELERY_OK;
}

struct cel_gossip *cel_gossip_free(struct cel_gossip *g)
{
    struct cel_slice name;
    size_t at = 0;
    void *n;

    if (!g) {
        return NULL;
    }
    while (cel_map_next(&g->neighbors, &at, &name, &n)) {
        cel_free(n);
    }
    cel_map_fini(&g->neighbors);
    cel_elections_fini(&g->elections);
    cel_source_free(g->look);
    cel_source_free(g->count);
    cel_source_free(g->ack);
    cel_arena_fini(&g->arena);
    cel_free(g);
    return NULL;
}
