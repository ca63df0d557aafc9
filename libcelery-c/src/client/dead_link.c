/* SPDX-License-Identifier: BSD-3-Clause */
/* A Redis connection that is waited for: one call at a time, on a loop of its own. */
#include "base/error.h"
#include "client/dead.h"
#include "config/use_ssl.h"

/* Seconds an answer may take, unless socket_timeout says otherwise, and to connect. */
#define COMMAND_TIMEOUT 10.0
#define CONNECT_TIMEOUT 4.0

static void on_opened(void *ctx)
{
    ((struct celery_dead *)ctx)->opened = true;
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct celery_dead *d = ctx;

    d->opened = false;
    d->closed = *why;
}

static const struct cel_redis_events events = {.opened = on_opened, .closed = on_closed};

static void drop(struct celery_dead *d)
{
    d->redis = cel_redis_free(d->redis);
    d->opened = false;
    d->closed = (celery_error){0};
}

static bool pass(struct celery_dead *d, double deadline)
{
    double left = deadline - cel_loop_now(d->loop);

    return left > 0 && cel_loop_pass(d->loop, left) == CELERY_OK;
}

static celery_status connect_to(struct celery_dead *d, size_t i, celery_error *err)
{
    bool all = strcmp(d->urls[0]->scheme, "sentinel") == 0;
    double timeout =
        d->set.net.connect_timeout > 0 ? d->set.net.connect_timeout : CONNECT_TIMEOUT;
    double deadline;
    celery_status status;

    drop(d);
    status = cel_redis_open(d->loop, all ? d->urls : d->urls + i, all ? d->n_urls : 1,
                            &d->set.net, &events, d, &d->redis, err);
    if (status < 0) {
        return status;
    }
    /* The connection has its own deadline for each step; this one is for all of them. */
    deadline = cel_loop_now(d->loop) + 3 * timeout + 1;
    while (!d->opened && d->closed.status == 0) {
        if (!pass(d, deadline)) {
            cel_error_set(&d->closed, CELERY_ETIMEOUT, "no connection in time");
        }
    }
    if (d->opened) {
        return CELERY_OK;
    }
    status = cel_error_set(err, d->closed.status, "%s", d->closed.message);
    drop(d);
    return status;
}

/* Tries one URL after the other; the error is the last one's. */
static celery_status connect_any(struct celery_dead *d, celery_error *err)
{
    bool all = strcmp(d->urls[0]->scheme, "sentinel") == 0;
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < (all ? 1 : d->n_urls); i++) {
        status = connect_to(d, i, err);
        if (status == CELERY_OK) {
            break;
        }
    }
    return status;
}

static celery_status read_urls(struct celery_dead *d, celery_error *err)
{
    const struct cel_config *config = d->app->config;
    const char *text = cel_config_text(config, "broker_read_url");
    celery_status status;

    if (!text || !*text) {
        text = cel_config_text(config, "broker_url");
    }
    if (!text || !*text) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "broker_url is not set; give -b or CELERY_BROKER_URL, for "
                             "example redis://localhost:6379/0");
    }
    status = cel_url_parse_list(text, &d->urls, &d->n_urls, err);
    if (status < 0) {
        return cel_error_prefix(err, status, "broker_url: ");
    }
    return cel_use_ssl(d->urls, d->n_urls, cel_config_doc(config, "broker_use_ssl"),
                       "broker_use_ssl", err);
}

static bool is_redis(const struct cel_url *url)
{
    return strncmp(url->scheme, "redis", 5) == 0 || strcmp(url->scheme, "sentinel") == 0;
}

celery_status cel_dead_link_open(struct celery_dead *d, celery_error *err)
{
    celery_status status = read_urls(d, err);

    for (size_t i = 0; i < d->n_urls && status == 0; i++) {
        if (!is_redis(d->urls[i])) {
            status = cel_error_set(err, CELERY_ENOTSUP,
                                   "broker_url: dead letters are kept by Redis, "
                                   "RabbitMQ, SQS and filesystem:// only, not by %s://",
                                   d->urls[i]->scheme);
        }
    }
    if (status == 0) {
        status = cel_redis_options_read(
            cel_config_doc(d->app->config, "broker_transport_options"),
            cel_redis_url_db(d->urls[0]), &d->set, &d->keys, err);
    }
    for (size_t i = 0; i < d->n_urls && status == 0; i++) {
        status = cel_redis_check_url(d->urls[i], &d->set.net, err);
    }
    if (status == 0) {
        status = cel_loop_new(&d->loop, err);
    }
    if (status < 0) {
        return status;
    }
    if (d->set.net.connect_timeout <= 0) {
        d->set.net.connect_timeout =
            cel_config_double(d->app->config, "broker_connection_timeout", 4);
    }
    if (d->set.net.command_timeout <= 0) {
        d->set.net.command_timeout = COMMAND_TIMEOUT;
    }
    return connect_any(d, err);
}

void cel_dead_link_close(struct celery_dead *d)
{
    drop(d);
    cel_url_free_list(d->urls, d->n_urls);
    cel_redis_keys_fini(&d->keys);
    cel_redis_settings_fini(&d->set);
    cel_loop_free(d->loop);
}

/* ---- one call ---- */

struct call {
    cel_dead_reply_fn fn;
    void *ctx;
    bool done;
    celery_status status;
    celery_error err;
};

static void on_reply(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct call *c = ctx;

    c->done = true;
    if (err) {
        c->err = *err;
        c->status = err->status;
    } else if (cel_resp_kind(reply) == CEL_RESP_ERROR) {
        struct cel_slice text = cel_resp_text(reply);
        bool refused = cel_slice_starts(text, CEL_SLICE("NO")); /* NOAUTH, NOPERM */

        c->status = cel_error_set(&c->err, refused ? CELERY_EAUTH : CELERY_EPROTO,
                                  "the broker answered: %.*s",
                                  (int)(text.len < 160 ? text.len : 160), text.data);
    } else {
        c->status = c->fn ? c->fn(c->ctx, reply) : CELERY_OK;
    }
}

celery_status cel_dead_call(struct celery_dead *d, struct cel_redis_script *script,
                            size_t n_keys, size_t argc, const struct cel_slice *argv,
                            cel_dead_reply_fn fn, void *ctx, celery_error *err)
{
    struct call c = {.fn = fn, .ctx = ctx};
    celery_status status = d->opened ? CELERY_OK : connect_any(d, err);
    double deadline;

    if (status < 0) {
        return status;
    }
    status = script ? cel_redis_eval(d->redis, script, on_reply, &c, n_keys, argc, argv)
                    : cel_redis_command(d->redis, on_reply, &c, argc, argv);
    if (status < 0) {
        return cel_error_set(err, status, "%s", celery_status_text(status));
    }
    deadline = cel_loop_now(d->loop) + 2 * d->set.net.command_timeout + 1;
    while (!c.done && pass(d, deadline)) {
    }
    if (!c.done) {
        drop(d); /* ends the call */
        return cel_error_set(err, CELERY_EUNCERTAIN, "the broker did not answer in time");
    }
    if (c.status < 0) {
        return c.err.status < 0
                   ? cel_error_set(err, c.status, "%s", c.err.message)
                   : cel_error_set(err, c.status, "%s", celery_status_text(c.status));
    }
    return CELERY_OK;
}
