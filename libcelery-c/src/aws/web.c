/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/web.h"

#include <strings.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "base/module.h"

struct cel_web {
    struct cel_loop *loop;
    const struct cel_http_driver *driver;
    struct cel_http_host host;
    struct cel_http_session *session;
    struct cel_source *timer;
    struct cel_source *hook; /* hands out what is finished */
    struct cel_list calls;
    struct cel_list finished;
    bool *gone; /* set while a function of somebody else's runs */
};

struct cel_web_call {
    struct cel_list link; /* in calls or finished */
    struct cel_web *web;
    struct cel_http_job *job;
    const struct cel_http_result *result;
    cel_web_fn fn;
    void *ctx;
};

const struct cel_http_driver *cel_web_driver(celery_error *err)
{
    return cel_module_load("curl", "http", err);
}

static void on_io(void *ctx, int fd, unsigned ready)
{
    struct cel_web *web = ctx;

    web->driver->ready(web->session, fd,
                       (ready & CEL_READ ? CEL_HTTP_READ : 0U) |
                           (ready & CEL_WRITE ? CEL_HTTP_WRITE : 0U) |
                           (ready & CEL_HANGUP ? CEL_HTTP_ERROR : 0U));
}

static void *watch(void *ctx, void *watched, int fd, unsigned wanted)
{
    struct cel_web *web = ctx;
    struct cel_source *source = watched;
    unsigned io = (wanted & CEL_HTTP_READ ? CEL_READ : 0U) |
                  (wanted & CEL_HTTP_WRITE ? CEL_WRITE : 0U);

    if (io == 0) {
        return cel_source_free(source);
    }
    if (source) {
        cel_source_io(source, io);
        return source;
    }
    return cel_loop_add_io(web->loop, &source, fd, io, on_io, web) < 0 ? NULL : source;
}

static void set_timer(void *ctx, long ms)
{
    struct cel_web *web = ctx;

    if (ms < 0) {
        cel_source_disarm(web->timer);
    } else {
        cel_source_rearm(web->timer, cel_loop_now(web->loop) + (double)ms / 1000);
    }
}

static void on_time(void *ctx)
{
    struct cel_web *web = ctx;

    web->driver->expired(web->session);
}

static void set_error(const struct cel_http_result *r, celery_error *err)
{
    static const celery_status statuses[] = {
        [CEL_HTTP_DONE] = CELERY_OK,          [CEL_HTTP_CONNECT] = CELERY_ECONNECT,
        [CEL_HTTP_TLS] = CELERY_ECONNECT,     [CEL_HTTP_TIME] = CELERY_ETIMEOUT,
        [CEL_HTTP_BROKEN] = CELERY_ECLOSED,   [CEL_HTTP_TOO_LARGE] = CELERY_ELIMIT,
        [CEL_HTTP_NO_MEMORY] = CELERY_ENOMEM,
    };

    cel_error_set(err, statuses[r->fate], "%s", cel_log_safe(cel_slice_of(r->why)));
}

static void hand_out(struct cel_web_call *call)
{
    const struct cel_http_result *r = call->result;
    celery_error err = {0};
    struct cel_web_reply reply = {
        .status = r->status,
        .headers = cel_slice(r->headers, r->headers_len),
        .body = cel_slice(r->body, r->body_len),
        .sent = r->sent,
    };

    if (r->fate != CEL_HTTP_DONE) {
        set_error(r, &err);
        reply.err = &err;
    }
    call->fn(call->ctx, &reply);
}

static void on_hook(void *ctx)
{
    struct cel_web *web = ctx;
    struct cel_list *it;
    bool gone = false;

    web->gone = &gone;
    while ((it = cel_list_first(&web->finished)) != NULL) {
        struct cel_web_call *call = cel_container_of(it, struct cel_web_call, link);

        cel_list_remove(it);
        hand_out(call);
        if (!gone) {
            web->driver->drop(call->job);
        }
        cel_free(call);
        if (gone) {
            return;
        }
    }
    web->gone = NULL;
}

static void on_done(void *ctx, const struct cel_http_result *result)
{
    struct cel_web_call *call = ctx;

    call->result = result;
    cel_list_remove(&call->link);
    cel_list_append(&call->web->finished, &call->link);
    cel_source_schedule(call->web->hook);
}

celery_status cel_web_new(struct cel_loop *loop, const struct cel_http_driver *driver,
                          const struct cel_http_options *options,
                          struct cel_web **ret_web, celery_error *err)
{
    struct cel_web *web = cel_calloc(1, sizeof *web);

    if (!web) {
        return cel_error_nomem(err);
    }
    web->loop = loop;
    web->driver = driver;
    web->host = (struct cel_http_host){.ctx = web, .watch = watch, .timer = set_timer};
    cel_list_init(&web->calls);
    cel_list_init(&web->finished);
    celery_status status = cel_loop_add_timer(loop, &web->timer, 0, on_time, web);
    if (status == CELERY_OK) {
        cel_source_disarm(web->timer);
        status = cel_loop_add_hook(loop, &web->hook, on_hook, web);
    }
    if (status < 0) {
        cel_web_free(web);
        return cel_error_nomem(err);
    }
    web->session = driver->open(&web->host, options);
    if (!web->session) {
        cel_web_free(web);
        return cel_error_nomem(err);
    }
    *ret_web = web;
    return CELERY_OK;
}

static void free_calls(struct cel_list *calls)
{
    struct cel_list *it;
    struct cel_list *tmp;

    cel_list_foreach(it, tmp, calls) {
        cel_free(cel_container_of(it, struct cel_web_call, link));
    }
}

struct cel_web *cel_web_free(struct cel_web *web)
{
    if (!web) {
        return NULL;
    }
    if (web->gone) {
        *web->gone = true;
    }
    if (web->session) {
        web->driver->close(web->session); /* drops every job */
    }
    free_calls(&web->calls);
    free_calls(&web->finished);
    cel_source_free(web->timer);
    cel_source_free(web->hook);
    cel_free(web);
    return NULL;
}

struct cel_web_call *cel_web_start(struct cel_web *web,
                                   const struct cel_http_order *order, cel_web_fn fn,
                                   void *ctx)
{
    struct cel_web_call *call = cel_calloc(1, sizeof *call);

    if (!call) {
        return NULL;
    }
    call->web = web;
    call->fn = fn;
    call->ctx = ctx;
    call->job = web->driver->start(web->session, order, on_done, call);
    if (!call->job) {
        cel_free(call);
        return NULL;
    }
    cel_list_append(&web->calls, &call->link);
    return call;
}

struct cel_web_call *cel_web_cancel(struct cel_web_call *call)
{
    if (call) {
        cel_list_remove(&call->link);
        call->web->driver->drop(call->job);
        cel_free(call);
    }
    return NULL;
}

struct cel_slice cel_web_header(const struct cel_web_reply *reply, const char *name)
{
    struct cel_slice rest = reply->headers;
    struct cel_slice line;
    struct cel_slice value = CEL_SLICE_NULL;
    size_t len = strlen(name);

    while (cel_slice_split(&rest, '\n', &line)) {
        if (line.len > len && line.data[len] == ':' &&
            strncasecmp(line.data, name, len) == 0) {
            value = cel_slice_trim(cel_slice(line.data + len + 1, line.len - len - 1));
        }
    }
    return value;
}
