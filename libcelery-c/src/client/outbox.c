/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches from their beginning to their end, and the connections they wait for. */
#include "client/outbox.h"
#include "base/alloc.h"
#include "base/error.h"
#include "client/client.h"
#include <math.h>

/* ---- batches ---- */

static void batch_end(struct cel_batch *b)
{
    struct cel_outbox *o = b->outbox;
    struct cel_done done = b->done;
    celery_error err = b->err;
    int64_t confirmed = b->confirmed;

    cel_list_remove(&b->all);
    cel_list_remove(&b->node);
    o->bytes -= b->bytes;
    o->n_batches--;
    cel_effects_fini(&b->effects);
    cel_free(b);
    cel_done(done, err.status < 0 ? &err : NULL, confirmed);
}

void cel_batch_check(struct cel_batch *b)
{
    if (b->rest.len == 0 && b->n_posts == 0 && b->n_noting == 0) {
        batch_end(b);
    }
}

void cel_batch_fail(struct cel_batch *b, const celery_error *why)
{
    if (b->err.status == CELERY_OK) {
        b->err = *why;
        b->rest.len = 0;
        cel_list_remove(&b->node);
        cel_outbox_drop_posts(b->outbox, b);
    }
}

void cel_batch_abandon(struct cel_batch *b)
{
    celery_error why = {0};

    cel_error_set(&why, CELERY_ECLOSED, "abandoned");
    b->done.fn = NULL;
    cel_batch_fail(b, &why);
    cel_batch_check(b);
}

static bool is_note(const struct cel_effect *e)
{
    return e->kind != CEL_EFFECT_PUBLISH && e->kind != CEL_EFFECT_CHILD &&
           e->kind != CEL_EFFECT_EVENT;
}

static bool has_notes(const struct cel_effects *effects)
{
    struct cel_slice rest = cel_buf_slice(&effects->bytes);
    struct cel_effect e;

    /* A plain task: one message, and nothing to look through. */
    if (effects->n == 1) {
        return cel_effects_next(&rest, &e, NULL) && is_note(&e);
    }
    while (cel_effects_next(&rest, &e, NULL)) {
        if (is_note(&e)) {
            return true;
        }
    }
    return false;
}

/* From now on: whoever comes first to a connection that is away starts the count. */
static void begin_waiting(struct cel_outbox *o, struct cel_road *road)
{
    road->rounds = road->link->rounds;
    road->since = cel_client_now(o->client);
    road->hurried = false;
}

struct cel_batch *cel_outbox_add(struct cel_outbox *o, struct cel_effects *give_effects,
                                 struct cel_done done, celery_error *err)
{
    bool notes = has_notes(give_effects);
    struct cel_batch *b = NULL;

    if (o->closed) {
        cel_error_set(err, CELERY_ECLOSED, "the client is closed");
    } else if (notes && !o->client->backend) {
        cel_error_set(err, CELERY_ECONFIG,
                      "chords and saved groups need a result backend: open the client "
                      "with the URL of one");
    } else {
        b = cel_calloc(1, sizeof *b);
        if (!b) {
            cel_error_nomem(err);
        }
    }
    if (!b) {
        cel_effects_fini(give_effects);
        return NULL;
    }
    if (o->n_batches == 0) {
        begin_waiting(o, &o->broker);
        begin_waiting(o, &o->results);
    }
    b->outbox = o;
    b->effects = *give_effects;
    *give_effects = (struct cel_effects){0};
    b->rest = cel_buf_slice(&b->effects.bytes);
    b->bytes = sizeof *b + b->effects.bytes.cap;
    b->done = done;
    b->noted = !notes;
    cel_list_init(&b->node);
    cel_list_append(&o->batches, &b->all);
    cel_list_append(notes ? &o->noting : &o->sending, &b->node);
    o->bytes += b->bytes;
    o->n_batches++;
    cel_outbox_poke(o);
    return b;
}

/* ---- connections ---- */

double cel_outbox_interval(const struct cel_outbox *o, int64_t n)
{
    double interval = o->policy.start + (double)n * o->policy.step;

    return interval < o->policy.max ? interval : o->policy.max;
}

/* A wrong password does not become right by trying again. */
static bool is_final(const celery_error *err)
{
    return err->status == CELERY_EAUTH || err->status == CELERY_ECONFIG ||
           err->status == CELERY_ENOTSUP;
}

static bool gave_up(const struct cel_outbox *o, const struct cel_road *road,
                    celery_error *why)
{
    const struct cel_uplink *link = road->link;
    unsigned rounds = link->rounds - road->rounds;

    if (rounds > (unsigned)o->policy.max_retries ||
        (link->state == CEL_UPLINK_DOWN && is_final(&link->last))) {
        *why = link->last;
        return true;
    }
    if (cel_client_now(o->client) - road->since > o->patience) {
        cel_error_set(why, CELERY_ETIMEOUT, "no connection in time%s%s",
                      *link->last.message ? ": " : "", link->last.message);
        return true;
    }
    return false;
}

/* Everything that waits for this connection, which does not come. */
static void fail_waiting(struct cel_outbox *o, const struct cel_road *road,
                         const celery_error *why)
{
    struct cel_list *it, *tmp;
    size_t n = o->n_batches; /* whoever is told may add more */

    cel_list_foreach(it, tmp, &o->batches) {
        struct cel_batch *b = cel_container_of(it, struct cel_batch, all);
        if (n-- == 0) {
            break;
        }
        if (road == &o->broker ? b->noted
                               : !b->noted || cel_client_needs_queue(o->client)) {
            cel_batch_fail(b, why);
            cel_batch_check(b);
        }
    }
}

/* When to look again. */
static double hurry(struct cel_outbox *o, struct cel_road *road)
{
    double now = cel_client_now(o->client);
    const struct cel_uplink *link = road->link;
    unsigned rounds = link->rounds - road->rounds;

    if (link->state != CEL_UPLINK_DOWN) {
        return road->since + o->patience;
    }
    if (!road->hurried || road->hurried_round != link->rounds) {
        road->hurried = true;
        road->hurried_round = link->rounds;
        road->hurry_at = now + (rounds ? cel_outbox_interval(o, rounds - 1) : 0);
    }
    if (now >= road->hurry_at) {
        cel_uplink_hurry(road->link);
        return road->since + o->patience;
    }
    return road->hurry_at;
}

static double check_road(struct cel_outbox *o, struct cel_road *road, bool wanted)
{
    celery_error why = {0};

    if (!wanted || road->link->state == CEL_UPLINK_UP) {
        begin_waiting(o, road);
        return INFINITY;
    }
    if (gave_up(o, road, &why)) {
        fail_waiting(o, road, &why);
        begin_waiting(o, road);
        return INFINITY;
    }
    return hurry(o, road);
}

static bool wants_broker(const struct cel_outbox *o)
{
    return o->sending.next != &o->sending || o->waiting.next != &o->waiting;
}

/* ---- the hook ---- */

static void pump(void *ctx)
{
    struct cel_outbox *o = ctx;
    double next = INFINITY;

    bool queue = cel_client_needs_queue(o->client) && wants_broker(o);

    next = fmin(next, check_road(o, &o->results, queue || !cel_list_empty(&o->noting)));
    next = fmin(next, cel_outbox_note(o));
    next = fmin(next, check_road(o, &o->broker, wants_broker(o)));
    next = fmin(next, cel_outbox_send(o));
    if (isinf(next)) {
        cel_source_disarm(o->timer);
    } else {
        cel_source_rearm(o->timer, next);
    }
}

static void on_timer(void *ctx)
{
    cel_outbox_poke(ctx);
}

void cel_outbox_poke(struct cel_outbox *o)
{
    if (o->hook && !o->closed) {
        cel_source_schedule(o->hook);
    }
}

/* ---- beginning and end ---- */

static void read_policy(struct cel_outbox *o)
{
    const struct cel_config *config = o->client->config;
    const struct cel_node *map = cel_config_doc(config, "task_publish_retry_policy");

    o->policy = (struct cel_retry_policy){
        .max_retries = cel_node_int(cel_node_get(map, CEL_SLICE("max_retries")), 3),
        .start = cel_node_double(cel_node_get(map, CEL_SLICE("interval_start")), 0),
        .step = cel_node_double(cel_node_get(map, CEL_SLICE("interval_step")), 0.2),
        .max = cel_node_double(cel_node_get(map, CEL_SLICE("interval_max")), 1),
    };
    if (!cel_config_bool(config, "task_publish_retry") || o->policy.max_retries < 0) {
        o->policy.max_retries = 0;
    }
}

celery_status cel_outbox_init(struct cel_outbox *o, celery_client *client,
                              celery_error *err)
{
    double timeout = cel_config_double(client->config, "broker_connection_timeout", 4);

    *o = (struct cel_outbox){.client = client};
    o->broker.link = &client->broker;
    o->results.link = &client->results;
    struct cel_list *lists[] = {&o->batches, &o->noting,  &o->sending,
                                &o->waiting, &o->resting, &o->flying};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        cel_list_init(lists[i]);
    }
    read_policy(o);
    o->patience = timeout * (double)(client->n_broker_urls ? client->n_broker_urls : 1) *
                  (double)(o->policy.max_retries + 1);
    if (cel_loop_add_hook(client->loop, &o->hook, pump, o) < 0 ||
        cel_loop_add_timer(client->loop, &o->timer, 0, on_timer, o) < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(o->timer);
    return CELERY_OK;
}

void cel_outbox_fini(struct cel_outbox *o)
{
    celery_error why = {0};
    struct cel_list *first;

    if (!o->client) {
        return;
    }
    cel_error_set(&why, CELERY_ECLOSED, "the client is closed");
    o->closed = true;
    while ((first = cel_list_first(&o->batches)) != NULL) {
        struct cel_batch *b = cel_container_of(first, struct cel_batch, all);
        cel_batch_fail(b, &why);
        b->n_noting = 0;
        cel_batch_check(b);
    }
    o->hook = cel_source_free(o->hook);
    o->timer = cel_source_free(o->timer);
}
