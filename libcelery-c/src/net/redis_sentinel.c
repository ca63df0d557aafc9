/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/redis_priv.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

#include <stdio.h>

struct cel_redis_sentinel {
    struct cel_redis *owner;
    struct cel_redis_target *targets; /* the sentinels; each is given away when tried */
    size_t n_targets;
    size_t next;
    struct cel_redis *probe; /* connection to one of them */
    celery_error why;        /* the last one's failure */
    char *master;
};

static void ask_next(struct cel_redis_sentinel *s);

static void note(struct cel_redis_sentinel *s, celery_status status, const char *text)
{
    cel_error_set(&s->why, status, "%s", text);
}

/* Takes over: s is freed, its owner connects. */
static void found(struct cel_redis_sentinel *s, struct cel_slice host, int port)
{
    struct cel_redis *r = s->owner;
    char *copy = cel_strndup(host.data, host.len);
    celery_error err = {0};

    if (!copy) {
        cel_redis_fail(r, CELERY_ENOMEM, "out of memory");
        return;
    }
    cel_free(r->target.host);
    r->target.host = copy;
    r->target.port = port;
    snprintf(r->target.text, sizeof r->target.text, "sentinel master %.40s at %.50s:%d",
             cel_log_safe(cel_slice_of(s->master)), cel_log_safe(cel_slice_of(copy)),
             port);
    r->sentinel = cel_redis_sentinel_free(s);
    if (cel_redis_connect(r, &err) < 0) {
        cel_redis_break(r, &err);
    }
}

static void on_address(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct cel_redis_sentinel *s = ctx;
    int64_t port = 0;

    if (err) {
        return; /* on_closed() comes too */
    }
    struct cel_slice host = cel_resp_text(cel_resp_at(reply, 0));
    struct cel_slice number = cel_resp_text(cel_resp_at(reply, 1));
    if (host.len > 0 && cel_slice_to_int(number, &port) && port > 0 && port < 65536) {
        found(s, host, (int)port);
        return;
    }
    char text[200];
    if (cel_resp_kind(reply) == CEL_RESP_NIL) {
        snprintf(
            text, sizeof text,
            "the sentinel knows no master %s: check master_name in the transport options",
            cel_log_safe(cel_slice_of(s->master)));
        note(s, CELERY_ECONFIG, text);
    } else {
        snprintf(text, sizeof text, "the sentinel does not name the master: %s",
                 cel_log_safe(cel_resp_text(reply)));
        note(s, CELERY_ECONNECT, text);
    }
    s->probe = cel_redis_free(s->probe);
    ask_next(s);
}

static void on_opened(void *ctx)
{
    struct cel_redis_sentinel *s = ctx;

    celery_status status = cel_redis_commandf(
        s->probe, on_address, s, "SENTINEL get-master-addr-by-name %s", s->master);
    if (status < 0) {
        note(s, status, celery_status_text(status));
        s->probe = cel_redis_free(s->probe);
        ask_next(s);
    }
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct cel_redis_sentinel *s = ctx;

    s->why = *why;
    s->probe = cel_redis_free(s->probe);
    ask_next(s);
}

static const struct cel_redis_events probe_events = {.opened = on_opened,
                                                     .closed = on_closed};

/* Opens the next one that can be; false when there is none left. */
static bool open_next(struct cel_redis_sentinel *s)
{
    while (s->next < s->n_targets) {
        struct cel_redis_target *target = &s->targets[s->next++];
        celery_status status =
            cel_redis_open_target(s->owner->loop, target, CEL_REDIS_SENTINEL,
                                  &probe_events, s, &s->probe, &s->why);
        *target = (struct cel_redis_target){0};
        if (status == CELERY_OK) {
            return true;
        }
    }
    return false;
}

static void ask_next(struct cel_redis_sentinel *s)
{
    if (!open_next(s)) {
        celery_error why = s->why;
        cel_error_prefix(&why, why.status, "no sentinel of %zu helps: ", s->n_targets);
        cel_redis_break(s->owner, &why);
    }
}

/* A sentinel has its own password; the URL's user and password are the master's. */
static celery_status set_target(struct cel_redis_target *t, const struct cel_url *url,
                                const struct cel_redis_options *options,
                                celery_error *err)
{
    celery_status status = cel_redis_target_init(t, url, options, err);

    if (status < 0) {
        return status;
    }
    if (strcmp(url->scheme, "sentinel") != 0) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "%s: all URLs of the list must be sentinel:// or none",
                             t->setting);
    }
    cel_free(t->user);
    cel_free(t->password);
    t->user = NULL;
    t->password = NULL;
    if (options->sentinel_password && *options->sentinel_password) {
        t->password = cel_strdup(options->sentinel_password);
        return t->password ? CELERY_OK : cel_error_nomem(err);
    }
    return CELERY_OK;
}

celery_status cel_redis_sentinel_start(struct cel_redis *r, struct cel_url *const *urls,
                                       size_t n, const struct cel_redis_options *options,
                                       celery_error *err)
{
    struct cel_redis_sentinel *s = cel_calloc(1, sizeof *s);
    celery_status status = CELERY_OK;

    if (!s) {
        return cel_error_nomem(err);
    }
    r->state = CEL_REDIS_LOOKING;
    r->sentinel = s; /* freed with r from here on */
    s->owner = r;
    s->master = cel_strdup(options->sentinel_master);
    s->targets = cel_calloc(n, sizeof *s->targets);
    if (!s->master || !s->targets) {
        return cel_error_nomem(err);
    }
    for (; s->n_targets < n && status == CELERY_OK; s->n_targets++) {
        status = set_target(&s->targets[s->n_targets], urls[s->n_targets], options, err);
    }
    if (status < 0) {
        return status;
    }
    if (!open_next(s)) {
        if (err) {
            *err = s->why;
        }
        return s->why.status;
    }
    return CELERY_OK;
}

struct cel_redis_sentinel *cel_redis_sentinel_free(struct cel_redis_sentinel *s)
{
    if (s) {
        for (size_t i = 0; i < s->n_targets; i++) {
            cel_redis_target_fini(&s->targets[i]);
        }
        cel_redis_free(s->probe);
        cel_free(s->targets);
        cel_free(s->master);
        cel_free(s);
    }
    return NULL;
}
