/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/transport.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "config/use_ssl.h"
#include "transport/amqp.h"
#include "transport/filesystem.h"
#include "transport/memory.h"
#include "transport/redis.h"
#include "transport/sqs.h"

static const struct cel_transport_ops *const transports[] = {
    &cel_transport_redis,
#if CEL_AMQP
    &cel_transport_amqp,
#endif
    &cel_transport_sqs,   &cel_transport_filesystem, &cel_transport_memory,
};

static const char *const names[] = {
    "redis",
#if CEL_AMQP
    "amqp",
#endif
    "sqs",   "filesystem", "memory", NULL,
};

enum { N_TRANSPORTS = sizeof transports / sizeof *transports };

static bool has_scheme(const struct cel_transport_ops *ops, const char *scheme)
{
    for (const char *const *s = ops->schemes; *s; s++) {
        if (strcmp(*s, scheme) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_amqp(const char *scheme)
{
    return strcmp(scheme, "amqp") == 0 || strcmp(scheme, "amqps") == 0 ||
           strcmp(scheme, "pyamqp") == 0;
}

const struct cel_transport_ops *cel_transport_find(const char *scheme, celery_error *err)
{
    char known[160];
    size_t len = 0;

    for (size_t i = 0; i < N_TRANSPORTS; i++) {
        if (scheme && has_scheme(transports[i], scheme)) {
            return transports[i];
        }
    }
    if (!CEL_AMQP && scheme && is_amqp(scheme)) {
        cel_error_set(err, CELERY_ECONFIG,
                      "this build has no transport for %s://; build libcelery-c with "
                      "librabbitmq and -Damqp=enabled",
                      scheme);
        return NULL;
    }
    for (size_t i = 0; i < N_TRANSPORTS; i++) {
        for (const char *const *s = transports[i]->schemes; *s; s++) {
            int n = snprintf(known + len, sizeof known - len, " %s://", *s);

            if (n > 0 && (size_t)n < sizeof known - len) {
                len += (size_t)n;
            }
        }
    }
    known[len] = 0;
    cel_error_set(err, CELERY_ECONFIG,
                  "no broker transport for %.40s://; this build has%s",
                  scheme ? scheme : "", known);
    return NULL;
}

const char *const *cel_transport_names(void)
{
    return names;
}

celery_status cel_transport_new(struct cel_loop *loop, struct cel_url *const *urls,
                                size_t n, const struct cel_node *options,
                                const struct cel_transport_events *events, void *ctx,
                                struct cel_transport **ret_t, celery_error *err)
{
    const struct cel_transport_ops *ops;
    struct cel_transport *t;
    celery_status status;

    if (n == 0) {
        return cel_error_set(err, CELERY_ECONFIG, "no broker URL");
    }
    ops = cel_transport_find(urls[0]->scheme, err);
    if (!ops) {
        return CELERY_ECONFIG;
    }
    for (size_t i = 1; i < n; i++) {
        if (!has_scheme(ops, urls[i]->scheme)) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "the broker URLs of one list must be of one kind: "
                                 "%.40s:// and %.40s://",
                                 urls[0]->scheme, urls[i]->scheme);
        }
    }
    t = cel_calloc(1, ops->size);
    if (!t) {
        return cel_error_nomem(err);
    }
    t->ops = ops;
    t->flags = ops->flags;
    t->events = events;
    t->events_ctx = ctx;
    t->loop = loop;
    t->max_message = CEL_TRANSPORT_MAX_MESSAGE;
    t->max_dead = CEL_TRANSPORT_MAX_DEAD;
    t->lease_seconds = CEL_TRANSPORT_LEASE;
    status = ops->init(t, urls, n, options, err);
    if (status < 0) {
        cel_transport_free(t);
        return status;
    }
    *ret_t = t;
    return CELERY_OK;
}

/* Celery's default when no broker is named. */
#define DEFAULT_BROKER "amqp://guest@localhost//"

celery_status cel_transport_urls(const struct cel_config *config, const char *role,
                                 struct cel_url ***ret_urls, size_t *ret_n,
                                 celery_error *err)
{
    const char *text = cel_config_text(config, role);

    if (!text || !*text) {
        text = cel_config_text(config, "broker_url");
    }
    celery_status status =
        cel_url_parse_list(text && *text ? text : DEFAULT_BROKER, ret_urls, ret_n, err);
    if (status < 0) {
        return cel_error_prefix(err, status, "broker_url: ");
    }
    return cel_use_ssl(*ret_urls, *ret_n, cel_config_doc(config, "broker_use_ssl"),
                       "broker_use_ssl", err);
}

void cel_transport_set_up(struct cel_transport *t, const struct cel_config *config)
{
    t->connect_timeout = cel_config_double(config, "broker_connection_timeout", 4);
    t->max_message = (size_t)cel_config_int(config, "worker_max_message_bytes",
                                            CEL_TRANSPORT_MAX_MESSAGE);
    t->max_dead = (size_t)cel_config_int(config, "worker_dead_letter_limit",
                                         CEL_TRANSPORT_MAX_DEAD);
    t->lease_seconds =
        cel_config_double(config, "worker_lease_seconds", CEL_TRANSPORT_LEASE);
    t->redelivery_budget = cel_config_int(config, "worker_redelivery_budget", 3);
    t->login.method = cel_config_text(config, "broker_login_method");
    t->login.heartbeat = cel_config_double(config, "broker_heartbeat", 0);
    t->login.checkrate = cel_config_double(config, "broker_heartbeat_checkrate", 0);
}

struct cel_transport *cel_transport_free(struct cel_transport *t)
{
    if (t) {
        t->ops->close(t);
        t->ops->fini(t);
        cel_free(t);
    }
    return NULL;
}
