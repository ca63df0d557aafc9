/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing, the two connections, and waiting by passes of the loop. */
#include "client/client.h"
#include "base/alloc.h"
#include "base/error.h"
#include "client/control.h"
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

/* ---- waiting ---- */

void cel_waiting_done(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_waiting *w = ctx;
    w->done = true;
    w->answer = answer;
    if (err) {
        w->err = *err;
    }
}

double cel_client_now(const celery_client *client)
{
    return cel_loop_now(client->loop);
}

bool cel_client_pass(celery_client *client, double deadline)
{
    double left = deadline - cel_client_now(client);
    if (left < 0) {
        return false;
    }
    return cel_loop_pass(client->loop, left) == CELERY_OK;
}

bool cel_client_needs_queue(const celery_client *client)
{
    return client->backend && client->backend->ops->flags & CEL_BACKEND_REPLIES;
}

/* A wrong password does not become right by trying again. */
static bool is_final(const celery_error *err)
{
    return err->status == CELERY_EAUTH || err->status == CELERY_ECONFIG ||
           err->status == CELERY_ENOTSUP;
}

celery_status cel_client_wait_uplink(celery_client *client, struct cel_uplink *link,
                                     double deadline, celery_error *err)
{
    unsigned rounds = link->rounds;
    cel_uplink_hurry(link);
    while (link->state != CEL_UPLINK_UP) {
        if (link->rounds != rounds ||
            (link->state == CEL_UPLINK_DOWN && is_final(&link->last))) {
            return cel_error_set(err, link->last.status, "%s", link->last.message);
        }
        if (!cel_client_pass(client, deadline)) {
            return cel_error_set(err, CELERY_ETIMEOUT, "no connection in time%s%s",
                                 *link->last.message ? ": " : "", link->last.message);
        }
    }
    return CELERY_OK;
}

/* ---- events ---- */

static void on_delivered(void *ctx, struct cel_delivery *give_delivery)
{
    cel_remote_delivered(ctx, give_delivery); /* a client consumes nothing else */
}

void cel_client_broker_lost(celery_client *client, const celery_error *why)
{
    cel_map_fini(&client->declared);
    cel_sent_events_lost(client);
    cel_remote_lost(client, why);
    cel_uplink_lost(&client->broker, why);
    cel_outbox_poke(&client->outbox);
}

celery_status cel_client_wait_answer(celery_client *client, struct cel_waiting *w,
                                     double deadline, celery_error *err)
{
    celery_error late = {0};

    while (!w->done) {
        if (!cel_client_pass(client, deadline) && !w->done) {
            cel_error_set(&late, CELERY_ETIMEOUT, "the broker gives no answer");
            client->transport->ops->close(client->transport);
            cel_client_broker_lost(client, &late);
            w->done = true;
            w->err = late;
        }
    }
    return w->err.status < 0 ? cel_error_set(err, w->err.status, "%s", w->err.message)
                             : CELERY_OK;
}

static void on_broker_lost(void *ctx, const celery_error *why)
{
    cel_client_broker_lost(ctx, why);
}

static const struct cel_transport_events transport_events = {.delivered = on_delivered,
                                                             .lost = on_broker_lost};

static void on_backend_lost(void *ctx, const celery_error *why)
{
    celery_client *client = ctx;
    cel_uplink_lost(&client->results, why);
    cel_outbox_poke(&client->outbox);
}

static const struct cel_backend_events backend_events = {
    .meta = cel_result_meta, .group = cel_result_group_loaded, .lost = on_backend_lost};

static void connect_transport(void *ctx, size_t url_index, struct cel_done done)
{
    celery_client *client = ctx;
    client->transport->ops->connect(client->transport, url_index, done);
}

static void connect_backend(void *ctx, size_t url_index, struct cel_done done)
{
    celery_client *client = ctx;
    client->backend->ops->connect(client->backend, url_index, done);
}

static void on_broker_changed(void *ctx)
{
    celery_client *client = ctx;
    cel_outbox_poke(&client->outbox);
}

static void on_backend_up(void *ctx)
{
    celery_client *client = ctx;
    cel_result_watch_again(client);
    cel_outbox_poke(&client->outbox);
}

/* ---- opening ---- */

static celery_status open_broker(celery_client *client, celery_error *err)
{
    celery_status status =
        cel_transport_urls(client->config, "broker_write_url", &client->broker_urls,
                           &client->n_broker_urls, err);
    if (status < 0) {
        return status;
    }
    status = cel_transport_new(client->loop, client->broker_urls, client->n_broker_urls,
                               cel_config_doc(client->config, "broker_transport_options"),
                               &transport_events, client, &client->transport, err);
    if (status < 0) {
        return status;
    }
    cel_transport_set_up(client->transport, client->config);
    client->broker.loop = client->loop;
    client->broker.n_urls = client->n_broker_urls;
    client->broker.strategy = cel_config_text(client->config, "broker_failover_strategy");
    client->broker.connect = connect_transport;
    client->broker.up = on_broker_changed;
    client->broker.failed = on_broker_changed;
    client->broker.ctx = client;
    return cel_uplink_start(&client->broker, err);
}

static celery_status open_backend(celery_client *client, celery_error *err)
{
    celery_status status = cel_backend_urls(client->config, &client->backend_urls,
                                            &client->n_backend_urls, err);
    if (status < 0 || client->n_backend_urls == 0) {
        return status;
    }
    status =
        cel_backend_new(client->loop, client->backend_urls, client->n_backend_urls,
                        client->config, &backend_events, client, &client->backend, err);
    if (status < 0) {
        return status;
    }
    client->backend->reply_to = client->reply_to;
    client->results.loop = client->loop;
    client->results.n_urls = client->n_backend_urls;
    client->results.connect = connect_backend;
    client->results.up = on_backend_up;
    client->results.failed = on_broker_changed;
    client->results.ctx = client;
    return cel_uplink_start(&client->results, err);
}

/* rpc:// has its results from the broker. */
static celery_status wait_open(celery_client *client, bool only_results,
                               celery_error *err)
{
    double timeout = cel_config_double(client->config, "broker_connection_timeout", 4);
    size_t most = client->n_broker_urls > client->n_backend_urls ? client->n_broker_urls
                                                                 : client->n_backend_urls;
    double deadline = cel_client_now(client) + timeout * (double)most + 0.5;
    celery_status status = CELERY_OK;

    if (!only_results || cel_client_needs_queue(client)) {
        status = cel_client_wait_uplink(client, &client->broker, deadline, err);
    }
    if (status == CELERY_OK && client->backend) {
        status = cel_client_wait_uplink(client, &client->results, deadline, err);
    }
    return status;
}

/* kombu/common.py oid_from(): "<node>-<pid>-<thread>-<object>"; unique is all it must be. */
static void make_reply_to(celery_client *client)
{
    char name[120];
    unsigned char node[6];
    cel_random(node, sizeof node);
    snprintf(name, sizeof name, "%x%02x%02x%02x%02x%02x-%ld-%ld-%p", node[0], node[1],
             node[2], node[3], node[4], node[5], (long)getpid(),
             (long)syscall(SYS_gettid), (void *)client);
    cel_uuid3_oid(name, client->reply_to);
}

static celery_client *open_client(const celery_app *app, struct cel_config *give_config,
                                  const char *reply_to, bool only_results,
                                  celery_error *err)
{
    celery_client *client = cel_calloc(1, sizeof *client);
    if (!client) {
        cel_config_free(give_config);
        cel_error_nomem(err);
        return NULL;
    }
    client->app = app;
    client->own_config = give_config;
    client->config = app ? app->config : give_config;
    cel_list_init(&client->groups);
    if (reply_to) {
        snprintf(client->reply_to, sizeof client->reply_to, "%s", reply_to);
    } else {
        make_reply_to(client);
    }
    celery_status status = cel_loop_new(&client->loop, err);
    if (status == CELERY_OK) {
        status = cel_router_new(client->config, &client->router, err);
    }
    if (status == CELERY_OK) {
        status = open_broker(client, err);
    }
    if (status == CELERY_OK) {
        status = open_backend(client, err);
    }
    if (status == CELERY_OK) {
        status = cel_outbox_init(&client->outbox, client, err);
    }
    if (status == CELERY_OK) {
        status = wait_open(client, only_results, err);
    }
    if (status < 0) {
        celery_client_close(client);
        return NULL;
    }
    return client;
}

celery_client *celery_client_open(const char *broker_url, const char *backend_url,
                                  celery_error *err)
{
    if (!broker_url) {
        cel_error_set(err, CELERY_EINVAL, "celery_client_open: no broker URL");
        return NULL;
    }
    struct cel_config *config = cel_config_new();
    if (!config) {
        cel_error_nomem(err);
        return NULL;
    }
    celery_status status =
        cel_config_set(config, "broker_url", broker_url, CEL_FROM_API, err);
    if (status == CELERY_OK && backend_url) {
        status = cel_config_set(config, "result_backend", backend_url, CEL_FROM_API, err);
    }
    if (status < 0) {
        cel_config_free(config);
        return NULL;
    }
    return open_client(NULL, config, NULL, false, err);
}

celery_status cel_client_ready(celery_app *app, celery_error *err)
{
    /* A worker made from the app has read the environment already. */
    if (!app->frozen && cel_config_load_env(app->config, environ, err) < 0) {
        return CELERY_ECONFIG;
    }
    return cel_app_freeze(app, err);
}

celery_client *cel_client_open_as(celery_app *app, const char *reply_to,
                                  celery_error *err)
{
    if (!app || cel_client_ready(app, err) < 0) {
        return NULL;
    }
    return open_client(app, NULL, reply_to, false, err);
}

celery_client *celery_client_open_app(celery_app *app, celery_error *err)
{
    return cel_client_open_as(app, NULL, err);
}

celery_client *celery_client_open_results(celery_app *app, celery_error *err)
{
    if (!app || cel_client_ready(app, err) < 0) {
        return NULL;
    }
    return open_client(app, NULL, NULL, true, err);
}

void celery_client_close(celery_client *client)
{
    if (!client) {
        return;
    }
    if (client->broker.loop) {
        cel_uplink_stop(&client->broker);
    }
    if (client->results.loop) {
        cel_uplink_stop(&client->results);
    }
    cel_result_orphan_all(client);
    client->outbox.closed = true;
    cel_transport_free(client->transport);
    cel_sent_events_lost(client);
    cel_backend_free(client->backend);
    cel_outbox_fini(&client->outbox);
    cel_url_free_list(client->broker_urls, client->n_broker_urls);
    cel_url_free_list(client->backend_urls, client->n_backend_urls);
    cel_router_free(client->router);
    cel_remote_free(client->remote);
    cel_map_fini(&client->declared);
    cel_sent_events_fini(client);
    cel_loop_free(client->loop);
    cel_config_free(client->own_config);
    cel_free(client);
}

/* ---- a host's own loop ---- */

int celery_client_fd(const celery_client *client)
{
    return client ? cel_loop_fd(client->loop) : -1;
}

celery_status celery_client_step(celery_client *client, double timeout, celery_error *err)
{
    if (!client) {
        return CELERY_EINVAL;
    }
    if (cel_loop_pass(client->loop, timeout) < 0) {
        return cel_error_set(err, CELERY_ESYSTEM, "the client's loop cannot wait");
    }
    return CELERY_OK;
}
