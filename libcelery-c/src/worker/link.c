/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/link_state.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

/* Seconds of work after which a lost connection is as good as the first one. */
#define STABLE 60

/*
 * What is left of the tries when a connection had come to consuming: at most 0.4 s.  The broker
 * serves, so nothing is won by waiting long, and a client of a broker that closes at once again
 * and again is not back more than a few times each second.
 */
enum { TRIES_AFTER_WORK = 2 };

static void connect_now(void *ctx);

static void free_urls(struct cel_link *l)
{
    for (size_t i = 0; i < l->n_urls; i++) {
        cel_url_free(l->urls[i]);
    }
    cel_free(l->urls);
}

/* ---- connecting ---- */

static bool retry_allowed(const struct cel_link *l)
{
    bool retry = l->was_ready ? l->policy->connection_retry
                              : l->policy->connection_retry_on_startup;

    return retry && (l->policy->connection_max_retries <= 0 ||
                     l->tries <= l->policy->connection_max_retries);
}

/*
 * What no waiting cures, as Celery sees it: refused logins, queues that are not what is
 * declared (amqp/exceptions.py IrrecoverableChannelError).  A worker that has been at work
 * goes on trying: the broker's users and queues may be on their way back.
 */
static bool is_hopeless(const struct cel_link *l, const celery_error *why)
{
    unsigned flags = l->transport->ops->flags;
    bool resumes = flags & CEL_TRANSPORT_RESUMES && !(flags & CEL_TRANSPORT_FINAL);

    if (l->was_ready || l->policy->channel_error_retry) {
        return false;
    }
    /* A server that cannot do what is needed; who resumes waits for one that is mended. */
    return why->status == CELERY_ENOTSUP ||
           (!resumes && (why->status == CELERY_EAUTH || why->status == CELERY_ECONFIG));
}

/* The reason without the URL that the line has already. */
static const char *reason(const struct cel_link *l, const celery_error *why)
{
    const char *scheme = strstr(l->name, "://");
    size_t n = scheme ? (size_t)(scheme - l->name) + 3 : 0;
    const char *rest =
        n && strncmp(why->message, l->name, n) == 0 ? strstr(why->message, ": ") : NULL;

    return rest ? rest + 2 : why->message;
}

void cel_link_connect_later(struct cel_link *l, const celery_error *why)
{
    bool all = cel_failover_next(&l->failover);
    double wait = all ? cel_backoff_next(&l->backoff) : 0;

    l->state = LINK_IDLE;
    l->tries++;
    l->hopeful = l->hopeful || !is_hopeless(l, why);
    if (!retry_allowed(l) || (all && !l->hopeful)) {
        l->events->failed(l->ctx, why);
        return;
    }
    l->hopeful = l->hopeful && !all;
    cel_log(CELERY_LOG_ERROR,
            "consumer: Cannot connect to %s: %s.\nTrying again in %.2f seconds... "
            "(%lld/%lld)\n",
            l->name, reason(l, why), wait, (long long)l->tries,
            (long long)l->policy->connection_max_retries);
    cel_url_text(l->urls[l->failover.at], l->name, sizeof l->name);
    cel_source_rearm(l->retry, cel_loop_now(l->loop) + wait);
}

void cel_link_consume_all(struct cel_link *l)
{
    celery_error err = {0};
    struct cel_list *it;

    l->transport->ops->set_prefetch(l->transport, l->prefetch);
    for (size_t i = 0; i < cel_router_count(l->router) && !l->stopping; i++) {
        const char *queue = cel_router_at(l->router, i)->name;

        if (l->transport->ops->consume(l->transport, queue, &err) < 0) {
            l->transport->ops->close(l->transport);
            cel_link_connect_later(l, &err);
            return;
        }
    }
    l->state = l->stopping ? LINK_STOPPED : LINK_CONSUMING;
    l->was_ready = true;
    l->tries = 0;
    cel_failover_works(&l->failover);
    l->stable_since = cel_loop_now(l->loop);
    l->events->ready(l->ctx);
    while ((it = cel_list_first(&l->waiting))) {
        cel_list_remove(it);
        cel_link_publish(l, cel_container_of(it, struct cel_publish, node));
    }
}

static void on_connected(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_link *l = ctx;

    if (l->state != LINK_CONNECTING) {
        return;
    }
    if (err) {
        cel_link_connect_later(l, err);
        return;
    }
    cel_log(CELERY_LOG_INFO, "Connected to %s", l->name);
    l->state = LINK_GREETING;
    if (l->events->connected) {
        l->events->connected(l->ctx);
    } else {
        cel_link_go_on(l);
    }
}

void cel_link_go_on(struct cel_link *l)
{
    if (l->state == LINK_GREETING) {
        cel_link_declare_all(l);
    }
}

static void connect_now(void *ctx)
{
    struct cel_link *l = ctx;

    if (l->state != LINK_IDLE) {
        return;
    }
    l->state = LINK_CONNECTING;
    l->transport->ops->connect(l->transport, l->failover.at,
                               (struct cel_done){on_connected, l});
}

/* ---- events of the transport ---- */

/* Brokers with exchanges deliver broadcasts as any other message. */
static struct cel_subscription *subscription_of(const struct cel_link *l,
                                                const struct cel_delivery *d)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &l->subscriptions) {
        struct cel_subscription *s = cel_container_of(it, struct cel_subscription, node);

        if (d->queue && strcmp(s->queue->name, d->queue) == 0) {
            return s;
        }
    }
    return NULL;
}

static void on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    struct cel_link *l = ctx;
    struct cel_subscription *s = subscription_of(l, give_delivery);

    if (!s) {
        l->events->delivered(l->ctx, give_delivery);
    } else if (give_delivery->malformed) {
        cel_envelope_free(give_delivery->envelope);
    } else {
        s->received(s->ctx, give_delivery->envelope->routing_key,
                    give_delivery->envelope);
    }
}

static void on_taken(void *ctx, uint64_t tag)
{
    struct cel_link *l = ctx;

    l->events->taken(l->ctx, tag);
}

static void forgive(struct cel_link *l)
{
    if (!cel_link_connected(l)) {
        return; /* lost before it was of any use */
    }
    if (cel_loop_now(l->loop) - l->stable_since > STABLE) {
        cel_backoff_reset(&l->backoff);
    } else {
        cel_backoff_ease(&l->backoff, TRIES_AFTER_WORK);
    }
}

static void on_lost(void *ctx, const celery_error *why)
{
    struct cel_link *l = ctx;
    bool resumes = l->transport->ops->flags & CEL_TRANSPORT_RESUMES;

    if (l->state == LINK_CLOSED) {
        return;
    }
    forgive(l);
    l->state = LINK_IDLE;
    cel_link_declare_void(l);
    cel_log(
        CELERY_LOG_WARNING,
        "consumer: Connection to broker lost. Trying to re-establish the connection... "
        "(%s)",
        why ? why->message : "closed");
    l->events->lost(l->ctx, resumes);
    if (!l->policy->connection_retry) {
        l->events->failed(l->ctx, why);
        return;
    }
    cel_source_rearm(l->retry, cel_loop_now(l->loop) + cel_backoff_next(&l->backoff));
}

static void on_broadcast(void *ctx, const char *exchange, struct cel_slice routing_key,
                         struct cel_envelope *give_envelope)
{
    struct cel_link *l = ctx;
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &l->subscriptions) {
        struct cel_subscription *s = cel_container_of(it, struct cel_subscription, node);

        if (strcmp(exchange, s->queue->exchange) == 0) {
            s->received(s->ctx, routing_key, give_envelope);
            return;
        }
    }
    cel_envelope_free(give_envelope);
}

static const struct cel_transport_events transport_events = {
    .delivered = on_delivered,
    .lost = on_lost,
    .taken = on_taken,
    .broadcast = on_broadcast,
};

/* ---- publishing ---- */

static void on_published(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_publish *p = ctx;
    struct cel_link *l = p->link;

    if (!err) {
        p->done(p->ctx, NULL);
        return;
    }
    /* The same task id again: at least once is what acknowledging late promises anyway. */
    bool again = celery_error_retriable(err) || err->status == CELERY_EUNCERTAIN;
    if (!again || l->state == LINK_CLOSED || cel_loop_now(l->loop) > p->deadline) {
        p->done(p->ctx, err);
        return;
    }
    cel_list_append(&l->waiting, &p->node);
}

void cel_link_publish(struct cel_link *l, struct cel_publish *p)
{
    p->link = l;
    if (l->state == LINK_CONSUMING || l->state == LINK_STOPPED) {
        cel_link_declare_for(l, p);
        l->transport->ops->publish(l->transport, p->exchange, p->routing_key, p->envelope,
                                   (struct cel_done){on_published, p});
        return;
    }
    if (l->state == LINK_CLOSED) {
        celery_error err = {CELERY_ECLOSED, 0, "the connection to the broker was closed"};
        p->done(p->ctx, &err);
        return;
    }
    cel_list_append(&l->waiting, &p->node);
}

/* ---- life ---- */

static celery_status read_urls(struct cel_link *l, const struct cel_config *config,
                               celery_error *err)
{
    const char *strategy = cel_config_text(config, "broker_failover_strategy");
    celery_status status =
        cel_transport_urls(config, "broker_read_url", &l->urls, &l->n_urls, err);

    if (status < 0) {
        return status;
    }
    cel_failover_init(&l->failover, l->n_urls, strategy);
    cel_url_text(l->urls[l->failover.at], l->name, sizeof l->name);
    return CELERY_OK;
}

celery_status cel_link_new(struct cel_loop *loop, const struct cel_worker_policy *policy,
                           const struct cel_config *config, struct cel_router *router,
                           const struct cel_link_events *events, void *ctx,
                           struct cel_link **ret_link, celery_error *err)
{
    struct cel_link *l = cel_calloc(1, sizeof *l);

    if (!l) {
        return cel_error_nomem(err);
    }
    l->loop = loop;
    l->policy = policy;
    l->router = router;
    l->events = events;
    l->ctx = ctx;
    l->backoff = (struct cel_backoff)CEL_BACKOFF_INIT(0.1, 4);
    cel_list_init(&l->waiting);
    cel_list_init(&l->subscriptions);
    celery_status status = read_urls(l, config, err);
    if (status < 0) {
        goto failed;
    }
    status = cel_transport_new(loop, l->urls, l->n_urls,
                               cel_config_doc(config, "broker_transport_options"),
                               &transport_events, l, &l->transport, err);
    if (status < 0) {
        goto failed;
    }
    cel_transport_set_up(l->transport, config);
    status = cel_loop_add_timer(loop, &l->retry, 0, connect_now, l);
    if (status < 0) {
        goto failed;
    }
    cel_source_disarm(l->retry);
    status = cel_link_declare_init(l, config, err);
    if (status < 0) {
        goto failed;
    }
    *ret_link = l;
    return CELERY_OK;
failed:
    cel_link_free(l);
    return status;
}

struct cel_link *cel_link_free(struct cel_link *l)
{
    if (!l) {
        return NULL;
    }
    cel_link_close(l);
    cel_transport_free(l->transport);
    cel_source_free(l->retry);
    cel_link_declare_fini(l);
    free_urls(l);
    cel_free(l);
    return NULL;
}

bool cel_link_subscribe(struct cel_link *l, struct cel_subscription *s)
{
    if (!(l->transport->flags & CEL_TRANSPORT_FANOUT)) {
        return false;
    }
    s->link = l;
    cel_list_append(&l->subscriptions, &s->node);
    return true;
}

void cel_link_start(struct cel_link *l, bool purge)
{
    l->purge = purge;
    connect_now(l);
}

void cel_link_stop_consuming(struct cel_link *l)
{
    l->stopping = true;
    if (l->state == LINK_CONSUMING) {
        for (size_t i = 0; i < cel_router_count(l->router); i++) {
            l->transport->ops->cancel(l->transport, cel_router_at(l->router, i)->name,
                                      NULL);
        }
        l->state = LINK_STOPPED;
    }
}

void cel_link_leave(struct cel_link *l)
{
    struct cel_list *it, *tmp;

    if (l->left || l->state != LINK_STOPPED || !l->transport->ops->returning) {
        return; /* a broker with connections sees to it itself */
    }
    l->left = true;
    cel_list_foreach(it, tmp, &l->subscriptions) {
        struct cel_subscription *s = cel_container_of(it, struct cel_subscription, node);

        l->transport->ops->cancel(l->transport, s->queue->name, NULL);
    }
}

void cel_link_cancel(struct cel_link *l, const struct cel_queue *queue)
{
    if (l->state == LINK_CONSUMING) {
        l->transport->ops->cancel(l->transport, queue->name, NULL);
    }
}

void cel_link_close(struct cel_link *l)
{
    celery_error err = {CELERY_ECLOSED, 0, "the connection to the broker was closed"};
    struct cel_list *it;

    l->state = LINK_CLOSED;
    if (l->transport) {
        l->transport->ops->close(l->transport);
    }
    while ((it = cel_list_first(&l->waiting))) {
        struct cel_publish *p = cel_container_of(it, struct cel_publish, node);

        cel_list_remove(it);
        p->done(p->ctx, &err);
    }
    if (l->retry) {
        cel_source_disarm(l->retry);
    }
    if (l->again) {
        cel_source_disarm(l->again);
    }
}

void cel_link_set_prefetch(struct cel_link *l, unsigned count)
{
    if (count != l->prefetch) {
        l->prefetch = count;
        if (l->state == LINK_CONSUMING) {
            l->transport->ops->set_prefetch(l->transport, count);
        }
    }
}

unsigned cel_link_prefetch(const struct cel_link *l)
{
    return l->prefetch;
}

bool cel_link_set_credit(struct cel_link *l, unsigned count)
{
    if (!l->transport->ops->set_credit) {
        return false;
    }
    l->transport->ops->set_credit(l->transport, count);
    return true;
}

const struct cel_url *cel_link_url(const struct cel_link *l)
{
    return l->n_urls == 1 ? l->urls[0] : NULL;
}

size_t cel_link_count_urls(const struct cel_link *l)
{
    return l->n_urls;
}

const struct cel_url *cel_link_url_at(const struct cel_link *l, size_t i)
{
    return l->urls[(l->failover.at + i) % l->n_urls];
}

struct cel_transport *cel_link_transport(struct cel_link *l)
{
    return l->transport;
}

bool cel_link_connected(const struct cel_link *l)
{
    return l->state == LINK_CONSUMING || l->state == LINK_STOPPED;
}

bool cel_link_consuming(const struct cel_link *l)
{
    return l->state == LINK_CONSUMING;
}

const char *cel_link_name(const struct cel_link *l)
{
    return l->name;
}
