/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening, closing and driving a receiver of events. */
#include "client/events.h"
#include "base/alloc.h"
#include "base/error.h"

extern char **environ;

/* Seconds on top of the time-outs, for the answers of a broker that is there. */
#define GRACE 1.0

static celery_status take_keys(struct celery_events *ev, const char *const *keys,
                               celery_error *err)
{
    static const char *const all[] = {"#", NULL};

    for (keys = keys ? keys : all; *keys; keys++) {
        size_t len = strlen(*keys);

        if (len == 0 || len > 255 || ev->n_keys == CEL_EVENTS_KEYS) {
            return cel_error_set(err, CELERY_EINVAL,
                                 "routing keys of events have 1 to 255 bytes, and there "
                                 "are at most %d",
                                 CEL_EVENTS_KEYS);
        }
        ev->keys[ev->n_keys] = cel_arena_strndup(&ev->arena, *keys, len);
        if (!ev->keys[ev->n_keys++]) {
            return cel_error_nomem(err);
        }
    }
    return ev->n_keys > 0 ? CELERY_OK
                          : cel_error_set(err, CELERY_EINVAL, "no routing keys");
}

static celery_status open_transport(struct celery_events *ev, celery_error *err)
{
    celery_status status =
        cel_transport_urls(ev->config, "broker_read_url", &ev->urls, &ev->n_urls, err);

    if (status < 0) {
        return status;
    }
    status = cel_transport_new(ev->loop, ev->urls, ev->n_urls,
                               cel_config_doc(ev->config, "broker_transport_options"),
                               &cel_events_transport_events, ev, &ev->transport, err);
    if (status < 0) {
        return status;
    }
    if (!(ev->transport->flags & CEL_TRANSPORT_FANOUT)) {
        return cel_error_set(err, CELERY_ENOTSUP, "%s has no broadcasts: no events",
                             ev->transport->ops->name);
    }
    cel_transport_set_up(ev->transport, ev->config);
    return CELERY_OK;
}

static bool is_final(celery_status status)
{
    return status == CELERY_EAUTH || status == CELERY_ECONFIG || status == CELERY_ENOTSUP;
}

/* Until what is sent is received; fails when all URLs have failed once, or for good. */
static celery_status wait_open(struct celery_events *ev, celery_error *err)
{
    double timeout = cel_config_double(ev->config, "broker_connection_timeout", 4);
    double deadline = cel_loop_now(ev->loop) + timeout * (double)ev->n_urls + GRACE;

    while (!ev->listening) {
        const celery_error *why = &ev->link.last;
        double left = deadline - cel_loop_now(ev->loop);

        if (ev->link.rounds > 0 || (why->status < 0 && is_final(why->status))) {
            return cel_error_set(err, why->status, "%s", why->message);
        }
        if (left <= 0 || cel_loop_pass(ev->loop, left) < 0) {
            return cel_error_set(err, CELERY_ETIMEOUT, "no connection in time%s%s",
                                 *why->message ? ": " : "", why->message);
        }
    }
    return CELERY_OK;
}

static celery_status set_up(struct celery_events *ev,
                            const celery_events_options *options, celery_error *err)
{
    celery_status status = take_keys(ev, options ? options->routing_keys : NULL, err);

    if (options) {
        ev->link_fn = options->link;
        ev->no_wakeup = options->no_wakeup;
    }
    ev->refused = (struct cel_backoff)CEL_BACKOFF_INIT(1.0, 30.0);
    ev->accept[0] = cel_config_text(ev->config, "event_serializer");
    ev->accept[ev->accept[0] ? 1 : 0] = "json";
    ev->limits.accept = ev->accept;
    ev->limits.json.elements = CEL_EVENTS_NODES;
    if (status == CELERY_OK) {
        status = cel_mailbox_init(&ev->mailbox, &ev->arena,
                                  cel_config_text(ev->config, "control_exchange"), err);
    }
    if (status == CELERY_OK) {
        status = cel_loop_new(&ev->loop, err);
    }
    if (status == CELERY_OK) {
        status = open_transport(ev, err);
    }
    if (status == CELERY_OK) {
        status = cel_events_queues(ev, err);
    }
    if (status == CELERY_OK) {
        status = cel_events_link_start(ev, err);
    }
    if (status == CELERY_OK && !(options && options->patient)) {
        status = wait_open(ev, err);
    }
    return status;
}

static celery_events *open_events(const celery_app *app, struct cel_config *give_config,
                                  const celery_events_options *options,
                                  celery_event_fn fn, void *ctx, celery_error *err)
{
    struct celery_events *ev = cel_calloc(1, sizeof *ev);

    if (!ev) {
        cel_config_free(give_config);
        cel_error_nomem(err);
        return NULL;
    }
    ev->app = app;
    ev->own_config = give_config;
    ev->config = app ? app->config : give_config;
    ev->fn = fn;
    ev->ctx = ctx;
    if (set_up(ev, options, err) < 0) {
        celery_events_close(ev);
        return NULL;
    }
    return ev;
}

celery_events *celery_events_open(celery_app *app, const celery_events_options *options,
                                  celery_event_fn fn, void *ctx, celery_error *err)
{
    if (!app) {
        return NULL;
    }
    if (!fn) {
        cel_error_set(err, CELERY_EINVAL, "celery_events_open: no function");
        return NULL;
    }
    /* A worker made from the app has read the environment already. */
    if (!app->frozen && cel_config_load_env(app->config, environ, err) < 0) {
        return NULL;
    }
    if (cel_app_freeze(app, err) < 0) {
        return NULL;
    }
    return open_events(app, NULL, options, fn, ctx, err);
}

celery_events *celery_events_open_url(const char *broker_url,
                                      const celery_events_options *options,
                                      celery_event_fn fn, void *ctx, celery_error *err)
{
    if (!broker_url || !fn) {
        cel_error_set(err, CELERY_EINVAL, "celery_events_open_url: no %s",
                      fn ? "broker URL" : "function");
        return NULL;
    }
    struct cel_config *config = cel_config_new();
    if (!config) {
        cel_error_nomem(err);
        return NULL;
    }
    if (cel_config_set(config, "broker_url", broker_url, CEL_FROM_API, err) < 0) {
        cel_config_free(config);
        return NULL;
    }
    return open_events(NULL, config, options, fn, ctx, err);
}

/* Seconds that a broker gets to remove the queues of a receiver that goes. */
static const double LEAVE = 3;

static void on_queue_gone(void *ctx, const celery_error *err, int64_t answer)
{
    celery_events *ev = ctx;

    ev->to_delete--;
}

/* A broker with connections sees to it itself. */
static void leave(celery_events *ev)
{
    struct cel_transport *t = ev->transport;
    double deadline = cel_loop_now(ev->loop) + LEAVE;

    if (ev->link.state != CEL_UPLINK_UP || !(t->flags & CEL_TRANSPORT_PAID)) {
        return;
    }
    ev->to_delete = ev->n_queues;
    for (size_t i = 0; i < ev->n_queues; i++) {
        t->ops->delete_queue(t, ev->queues[i].name, (struct cel_done){on_queue_gone, ev});
    }
    while ((ev->to_delete > 0 || t->ops->returning(t)) &&
           cel_loop_now(ev->loop) < deadline && ev->link.state == CEL_UPLINK_UP &&
           cel_loop_pass(ev->loop, deadline - cel_loop_now(ev->loop)) == 0) {
    }
}

void celery_events_close(celery_events *ev)
{
    if (!ev) {
        return;
    }
    if (ev->link.loop) {
        leave(ev);
    }
    if (ev->link.loop) {
        cel_uplink_stop(&ev->link);
    }
    cel_transport_free(ev->transport);
    cel_url_free_list(ev->urls, ev->n_urls);
    cel_loop_free(ev->loop);
    cel_config_free(ev->own_config);
    cel_arena_fini(&ev->arena);
    cel_free(ev);
}

/* ---- driving ---- */

int celery_events_fd(const celery_events *ev)
{
    return ev ? cel_loop_fd(ev->loop) : -1;
}

celery_status celery_events_step(celery_events *ev, double timeout, celery_error *err)
{
    if (!ev) {
        return CELERY_EINVAL;
    }
    if (cel_loop_pass(ev->loop, timeout) < 0) {
        return cel_error_set(err, CELERY_ESYSTEM, "the receiver's loop cannot wait");
    }
    return CELERY_OK;
}

celery_status celery_events_run(celery_events *ev, double timeout, celery_error *err)
{
    if (!ev) {
        return CELERY_EINVAL;
    }
    double deadline = cel_loop_now(ev->loop) + timeout;
    double left = timeout;
    while (!ev->stop) {
        celery_status status = celery_events_step(ev, left, err);

        if (status < 0) {
            return status;
        }
        left = timeout < 0 ? -1 : deadline - cel_loop_now(ev->loop);
        if (timeout >= 0 && left <= 0 && !ev->stop) {
            return CELERY_NONE;
        }
    }
    ev->stop = 0;
    return CELERY_OK;
}

void celery_events_stop(celery_events *ev)
{
    if (ev) {
        ev->stop = 1;
        cel_loop_wake(ev->loop);
    }
}

celery_status celery_events_wakeup(celery_events *ev, celery_error *err)
{
    if (!ev) {
        return CELERY_EINVAL;
    }
    if (!ev->listening) {
        return cel_error_set(err, CELERY_ECLOSED, "no connection to the broker");
    }
    return cel_events_wake_up(ev, err);
}

void celery_events_count(const celery_events *ev, celery_events_counts *ret)
{
    *ret = ev ? ev->counts : (celery_events_counts){0};
    ret->connected = ev && ev->listening;
}
