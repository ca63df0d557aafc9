/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages on their way: taken from batches, given to the transport, confirmed or tried again. */
#include "base/alloc.h"
#include "base/error.h"
#include "client/client.h"
#include "client/outbox.h"
#include "message/delayed.h"
#include <math.h>

/* A broker that confirms nothing for so long is given up, whatever its connection says. */
static const double CONFIRM_TIMEOUT = 30;

/* In flight at once; one message alone may be larger. */
enum { FLYING_MAX = 4 << 20 };

/* ---- posts ---- */

static struct cel_post *post_new(struct cel_batch *b, const struct cel_effect *e)
{
    size_t size = sizeof(struct cel_post) + e->exchange.len + e->routing_key.len + 2;
    struct cel_post *p = cel_calloc(1, size);

    if (!p) {
        return NULL;
    }
    char *key = p->exchange + e->exchange.len + 1;
    if (e->exchange.len) {
        memcpy(p->exchange, e->exchange.data, e->exchange.len);
    }
    if (e->routing_key.len) {
        memcpy(key, e->routing_key.data, e->routing_key.len);
    }
    p->routing_key = key;
    p->batch = b;
    p->id = e->id;
    p->queue = e->queue;
    p->envelope.raw = e->json;
    p->envelope.written = true;
    p->envelope.priority = (int)e->number;
    cel_list_init(&p->node);
    b->n_posts++;
    return p;
}

static void post_free(struct cel_post *p)
{
    p->batch->n_posts--;
    cel_list_remove(&p->node);
    cel_free(p);
}

static void drop_from(struct cel_list *list, const struct cel_batch *of)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, list) {
        struct cel_post *p = cel_container_of(it, struct cel_post, node);
        if (p->batch == of) {
            post_free(p);
        }
    }
}

void cel_outbox_drop_posts(struct cel_outbox *o, const struct cel_batch *of)
{
    drop_from(&o->waiting, of);
    drop_from(&o->resting, of);
}

static void end(struct cel_post *p)
{
    struct cel_batch *b = p->batch;

    post_free(p);
    cel_batch_check(b);
}

/* The post is in no list. */
static void failed(struct cel_post *p, const celery_error *why)
{
    struct cel_batch *b = p->batch;
    struct cel_outbox *o = b->outbox;
    celery_error err = *why;

    if (b->err.status == CELERY_OK && !o->closed && celery_error_retriable(why) &&
        p->retries < o->policy.max_retries) {
        p->at = cel_client_now(o->client) + cel_outbox_interval(o, p->retries++);
        cel_list_append(&o->resting, &p->node);
        return;
    }
    if (err.status == CELERY_EUNCERTAIN) {
        cel_error_set(&err, err.status, "task id %.*s: %s", (int)p->id.len, p->id.data,
                      why->message);
    }
    cel_batch_fail(b, &err);
    end(p);
}

/* ---- publishing ---- */

static void on_published(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_post *p = ctx;
    struct cel_outbox *o = p->batch->outbox;
    celery_error why = {0};

    cel_list_remove(&p->node);
    o->bytes_flying -= p->envelope.raw.len;
    cel_outbox_poke(o);
    if (!err) {
        p->batch->confirmed++;
        end(p);
        return;
    }
    if (o->giving_up) {
        cel_error_set(&why, CELERY_EUNCERTAIN, "publishing: no answer in %g s",
                      CONFIRM_TIMEOUT);
        err = &why;
    }
    failed(p, err);
}

static void fly(struct cel_outbox *o, struct cel_post *p)
{
    struct cel_transport *t = o->client->transport;

    p->at = cel_client_now(o->client);
    cel_list_remove(&p->node);
    cel_list_append(&o->flying, &p->node);
    o->bytes_flying += p->envelope.raw.len;
    t->ops->publish(t, p->exchange, p->routing_key, &p->envelope,
                    (struct cel_done){on_published, p});
}

/* ---- which one is next ---- */

static struct cel_post *take(struct cel_batch *b, celery_error *why)
{
    struct cel_effect e;

    while (cel_effects_next(&b->rest, &e, NULL)) {
        if (e.kind == CEL_EFFECT_PUBLISH) {
            struct cel_post *p = post_new(b, &e);
            if (!p) {
                cel_error_nomem(why);
            }
            return p;
        }
        if (e.kind == CEL_EFFECT_EVENT) {
            cel_sent_event(b->outbox->client, b, &e);
        }
    }
    return NULL;
}

/* It stays the first of waiting; a batch leaves its list with its last message. */
static struct cel_post *next_post(struct cel_outbox *o)
{
    struct cel_list *first;

    while (cel_list_empty(&o->waiting) && (first = cel_list_first(&o->sending)) != NULL) {
        struct cel_batch *b = cel_container_of(first, struct cel_batch, node);
        celery_error why = {0};
        struct cel_post *p = take(b, &why);
        if (!p || b->rest.len == 0) {
            cel_list_remove(&b->node);
        }
        if (p) {
            cel_list_append(&o->waiting, &p->node);
        } else {
            if (why.status < 0) {
                cel_batch_fail(b, &why);
            }
            cel_batch_check(b);
        }
    }
    first = cel_list_first(&o->waiting);
    return first ? cel_container_of(first, struct cel_post, node) : NULL;
}

/* ---- queues ---- */

static void on_declared(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_outbox *o = ctx;

    o->declared = true;
    o->declare_err = err ? *err : (celery_error){0};
    cel_outbox_poke(o);
}

/* It waits at the broker: what brings it to its queue then has to exist. */
static bool is_delayed(const struct cel_outbox *o, const struct cel_post *p)
{
    return strcmp(p->exchange, CEL_DELAYED_ENTRY) == 0 &&
           o->client->transport->ops->declare_delayed;
}

/* In client->declared a queue has the client, or the outbox when its delays are declared too. */
static bool is_declared(const struct cel_outbox *o, const struct cel_post *p)
{
    const void *what = cel_map_get(&o->client->declared, p->queue);

    return what == o || (what && !is_delayed(o, p));
}

static void call_declare(struct cel_outbox *o, const struct cel_queue *queue)
{
    struct cel_transport *t = o->client->transport;
    const char *type =
        cel_config_text(o->client->config, "broker_native_delayed_delivery_queue_type");
    const struct cel_done done = {on_declared, o};

    if (o->delaying) {
        t->ops->declare_delayed(t, type && *type ? type : "quorum", queue, 1, done);
    } else {
        t->ops->declare(t, queue, done);
    }
}

static celery_status start_declare(struct cel_outbox *o, struct cel_slice name,
                                   celery_error *err)
{
    char *text = cel_strndup(name.data, name.len);
    struct cel_route route = {0};
    celery_status status =
        text ? cel_router_route(o->client->router, CEL_SLICE("-"), text, &route, err)
             : cel_error_nomem(err);

    cel_free(text);
    if (status < 0) {
        return status;
    }
    o->declaring = route.queue;
    o->declared = false;
    o->declaring_since = cel_client_now(o->client);
    o->delaying = cel_map_get(&o->client->declared, name) != NULL;
    call_declare(o, route.queue);
    return CELERY_OK;
}

/* The transport has answered. */
static celery_status end_declare(struct cel_outbox *o, celery_error *err)
{
    struct cel_slice name = cel_slice_of(o->declaring->name);

    o->declaring = NULL;
    if (o->declare_err.status == CELERY_EUNCERTAIN) {
        /* Declaring twice is harmless. */
        return cel_error_set(err, CELERY_ECLOSED, "%s", o->declare_err.message);
    }
    /* Who may not declare delayed delivery can still use what is there. */
    bool fails = !o->delaying || celery_error_retriable(&o->declare_err);
    if (o->declare_err.status < 0 && fails) {
        *err = o->declare_err;
        return err->status;
    }
    void *what = o->delaying ? (void *)o : (void *)o->client;
    if (cel_map_set(&o->client->declared, name, what, NULL) < 0) {
        return cel_error_nomem(err);
    }
    return CELERY_OK;
}

/*
 * A queue is declared once for each connection, before its first message; everything behind
 * that waits.  CELERY_NONE: not yet.
 */
static celery_status declare(struct cel_outbox *o, const struct cel_post *p,
                             celery_error *err)
{
    while (p->queue.len > 0 && !is_declared(o, p)) {
        celery_error why = {0};
        celery_status status =
            o->declaring ? CELERY_OK : start_declare(o, p->queue, &why);
        if (status == CELERY_OK && !o->declared) {
            return CELERY_NONE;
        }
        /* It may have been begun for a post that is gone. */
        bool own = status < 0 || cel_slice_is(p->queue, o->declaring->name);
        if (status == CELERY_OK) {
            status = end_declare(o, &why);
        }
        if (status < 0 && own) {
            *err = why;
            return status;
        }
    }
    return CELERY_OK;
}

/* ---- a broker that does not answer ---- */

static void give_up(struct cel_outbox *o)
{
    celery_client *client = o->client;
    celery_error why = {0};

    cel_error_set(&why, CELERY_ECLOSED, "the broker gives no answer in %g s",
                  CONFIRM_TIMEOUT);
    o->giving_up = true;
    client->transport->ops->close(client->transport);
    o->giving_up = false;
    cel_map_fini(&client->declared);
    cel_sent_events_lost(client);
    cel_uplink_lost(&client->broker, &why);
}

/* When the first of what is on its way will have taken too long. */
static double check_answers(struct cel_outbox *o)
{
    const struct cel_list *first = cel_list_first(&o->flying);
    double since = INFINITY;

    if (first) {
        since = cel_container_of(first, struct cel_post, node)->at;
    }
    if (o->declaring && !o->declared) {
        since = fmin(since, o->declaring_since);
    }
    if (cel_client_now(o->client) - since >= CONFIRM_TIMEOUT) {
        give_up(o);
        return cel_client_now(o->client);
    }
    return since + CONFIRM_TIMEOUT;
}

/* ---- all together ---- */

/* Those that are due again; the next time one is. */
static double wake_resting(struct cel_outbox *o)
{
    struct cel_list *it, *tmp;
    double now = cel_client_now(o->client);
    double next = INFINITY;

    cel_list_foreach(it, tmp, &o->resting) {
        struct cel_post *p = cel_container_of(it, struct cel_post, node);
        if (p->at <= now) {
            cel_list_remove(it);
            cel_list_append(&o->waiting, it);
        } else {
            next = fmin(next, p->at);
        }
    }
    return next;
}

/* A result that finds no queue is lost, so the queue comes first. */
static bool can_send(const struct cel_outbox *o)
{
    const celery_client *client = o->client;

    return client->broker.state == CEL_UPLINK_UP && o->bytes_flying < FLYING_MAX &&
           (!cel_client_needs_queue(client) || client->results.state == CEL_UPLINK_UP);
}

double cel_outbox_send(struct cel_outbox *o)
{
    struct cel_post *p;

    wake_resting(o);

    while (can_send(o) && (p = next_post(o)) != NULL) {
        celery_error why = {0};
        celery_status status = declare(o, p, &why);
        if (status == CELERY_NONE) {
            break;
        }
        if (status < 0) {
            cel_list_remove(&p->node);
            failed(p, &why);
        } else {
            fly(o, p);
        }
    }
    double next = check_answers(o);
    next = fmin(next, wake_resting(o));
    /* What failed within this call may go again at once. */
    return can_send(o) && !o->declaring && !cel_list_empty(&o->waiting)
               ? cel_client_now(o->client)
               : next;
}
