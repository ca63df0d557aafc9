/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/results.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "net/backoff.h"

struct cel_results {
    struct cel_loop *loop;
    struct cel_backend *backend; /* NULL: results are disabled */
    struct cel_source *retry;    /* timer: connect, or send what waits */
    struct cel_list waiting;     /* struct cel_errand, not handed to the backend now */
    struct cel_list listeners;   /* struct cel_results_listener */
    struct cel_backoff backoff;
    double store_deadline;
    struct cel_url **urls;
    size_t n_urls;
    size_t url;
    size_t n_waiting;
    size_t n_sent; /* handed to the backend, unanswered */
    bool connecting;
    bool connected;
    bool giving_up;
    void (*fewer)(void *ctx);
    void *fewer_ctx;
    char name[200];
};

static void on_retry(void *ctx);

static void retry_later(struct cel_results *r)
{
    cel_source_rearm(r->retry, cel_loop_now(r->loop) + cel_backoff_next(&r->backoff));
}

/* Who gives up has nothing to go on with. */
static void tell_fewer(const struct cel_results *r)
{
    if (r->fewer && !r->giving_up) {
        r->fewer(r->fewer_ctx);
    }
}

static void end(struct cel_results *r, struct cel_errand *s, const celery_error *err)
{
    s->done(s->ctx, err);
    tell_fewer(r);
}

void cel_errand_answer(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_errand *s = ctx;
    struct cel_results *r = s->results;

    r->n_sent--;
    if (!err) {
        if (r->backoff.tries) {
            cel_log(CELERY_LOG_INFO, "Result backend %s stores again.", r->name);
            cel_backoff_reset(&r->backoff);
        }
        end(r, s, NULL);
        return;
    }
    /* Errands are harmless to do twice, so an uncertain one is done again. */
    bool again = celery_error_retriable(err) || err->status == CELERY_EUNCERTAIN;
    if (r->giving_up || !again || cel_loop_now(r->loop) > s->deadline) {
        end(r, s, err);
        return;
    }
    if (r->backoff.tries == 0) {
        cel_log(CELERY_LOG_ERROR, "Cannot store results in %s: %s. Trying again.",
                r->name, err->message);
    }
    cel_list_append(&r->waiting, &s->node);
    r->n_waiting++;
    if (r->connected) {
        retry_later(r);
    }
}

static void send_one(struct cel_results *r, struct cel_errand *s)
{
    r->n_sent++;
    s->start(s, r->backend);
}

static void send_waiting(struct cel_results *r)
{
    struct cel_list due;
    struct cel_list *it;

    /* What fails again is appended to r->waiting: take the list as it is now. */
    cel_list_init(&due);
    while ((it = cel_list_first(&r->waiting))) {
        cel_list_remove(it);
        cel_list_append(&due, it);
    }
    r->n_waiting = 0;
    while ((it = cel_list_first(&due))) {
        cel_list_remove(it);
        send_one(r, cel_container_of(it, struct cel_errand, node));
    }
}

static void on_connected(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_results *r = ctx;

    r->connecting = false;
    if (err) {
        cel_log(CELERY_LOG_ERROR,
                "Cannot connect to result backend %s: %s. Trying again.", r->name,
                err->message);
        r->url = (r->url + 1) % r->n_urls;
        retry_later(r);
        return;
    }
    r->connected = true;
    cel_backoff_reset(&r->backoff);
    send_waiting(r);
}

static void on_lost(void *ctx, const celery_error *why)
{
    struct cel_results *r = ctx;

    r->connected = false;
    cel_log(CELERY_LOG_WARNING, "Connection to result backend %s lost: %s. Reconnecting.",
            r->name, why ? why->message : "closed");
    retry_later(r);
}

/* Ends those whose time is over while there is nobody to store them. */
static void expire_waiting(struct cel_results *r)
{
    celery_error err = {CELERY_ETIMEOUT, 0,
                        "the result backend did not come back in time"};
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &r->waiting) {
        struct cel_errand *s = cel_container_of(it, struct cel_errand, node);

        if (r->giving_up || cel_loop_now(r->loop) > s->deadline) {
            cel_list_remove(it);
            r->n_waiting--;
            end(r, s, &err);
        }
    }
}

static void on_retry(void *ctx)
{
    struct cel_results *r = ctx;

    expire_waiting(r);
    if (r->connected) {
        send_waiting(r);
    } else if (!r->connecting) {
        r->connecting = true;
        r->backend->ops->connect(r->backend, r->url, (struct cel_done){on_connected, r});
    }
}

static void on_meta(void *ctx, struct cel_slice task_id, const struct cel_node *doc)
{
    struct cel_results *r = ctx;
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &r->listeners) {
        struct cel_results_listener *l =
            cel_container_of(it, struct cel_results_listener, node);

        l->meta(l, task_id, doc);
    }
}

static const struct cel_backend_events backend_events = {.meta = on_meta,
                                                         .lost = on_lost};

static void free_urls(struct cel_url **urls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cel_url_free(urls[i]);
    }
    cel_free(urls);
}

/* Backend.__init__(), W_FAILURE_EXPIRES_UNSUPPORTED */
static void warn_of_settings(const struct cel_backend_ops *ops,
                             const struct cel_config *config)
{
    if (cel_config_is_set(config, "result_failure_expires") &&
        !(ops->flags & CEL_BACKEND_FAILURE_EXPIRES)) {
        cel_log(
            CELERY_LOG_WARNING,
            "The result backend %s does not support result_failure_expires, so failed "
            "results expire like any other result.",
            ops->name);
    }
}

celery_status cel_results_new(struct cel_loop *loop, struct cel_url **give_urls, size_t n,
                              const struct cel_config *config, double store_deadline,
                              struct cel_results **ret_results, celery_error *err)
{
    struct cel_results *r = cel_calloc(1, sizeof *r);
    celery_status status;

    if (!r) {
        free_urls(give_urls, n);
        return cel_error_nomem(err);
    }
    r->loop = loop;
    r->urls = give_urls;
    r->n_urls = n;
    r->store_deadline = store_deadline;
    r->backoff = (struct cel_backoff)CEL_BACKOFF_INIT(0.1, 4);
    cel_list_init(&r->waiting);
    cel_list_init(&r->listeners);
    if (n > 0) {
        cel_url_text(r->urls[0], r->name, sizeof r->name);
        status = cel_backend_new(loop, r->urls, n, config, &backend_events, r,
                                 &r->backend, err);
        if (status == CELERY_OK) {
            status = cel_loop_add_timer(loop, &r->retry, 0, on_retry, r);
        }
        if (status < 0) {
            cel_results_free(r);
            return status;
        }
        warn_of_settings(r->backend->ops, config);
        cel_source_disarm(r->retry);
    }
    *ret_results = r;
    return CELERY_OK;
}

struct cel_results *cel_results_free(struct cel_results *r)
{
    if (!r) {
        return NULL;
    }
    r->giving_up = true;
    cel_backend_free(r->backend);
    expire_waiting(r);
    cel_source_free(r->retry);
    free_urls(r->urls, r->n_urls);
    cel_free(r);
    return NULL;
}

void cel_results_connect(struct cel_results *r)
{
    if (r->backend && !r->connected && !r->connecting) {
        on_retry(r);
    }
}

void cel_results_run(struct cel_results *r, struct cel_errand *s)
{
    if (!r->backend) {
        s->done(s->ctx, NULL);
        return;
    }
    s->results = r;
    s->deadline = cel_loop_now(r->loop) + r->store_deadline;
    if (r->connected) {
        send_one(r, s);
        return;
    }
    cel_list_append(&r->waiting, &s->node);
    r->n_waiting++;
}

static void start_store(struct cel_errand *e, struct cel_backend *backend)
{
    struct cel_store *s = cel_container_of(e, struct cel_store, errand);

    backend->ops->store(backend, &s->meta, (struct cel_done){cel_errand_answer, e});
}

void cel_results_store(struct cel_results *r, struct cel_store *s)
{
    s->errand.start = start_store;
    cel_results_run(r, &s->errand);
}

void cel_results_listen(struct cel_results *r, struct cel_results_listener *l)
{
    cel_list_append(&r->listeners, &l->node);
}

void cel_results_store_passing(struct cel_results *r, const struct cel_task_meta *meta)
{
    if (r->backend && r->connected) {
        r->backend->ops->store(r->backend, meta, (struct cel_done){0});
    }
}

void cel_results_give_up(struct cel_results *r)
{
    r->giving_up = true;
    expire_waiting(r);
}

const struct cel_backend_ops *cel_results_ops(const struct cel_results *r)
{
    return r->backend ? r->backend->ops : NULL;
}

const struct cel_url *cel_results_url(const struct cel_results *r)
{
    return r->backend && r->n_urls == 1 ? r->urls[0] : NULL;
}

bool cel_results_count(const struct cel_results *r)
{
    return r->backend && (r->backend->ops->flags & CEL_BACKEND_COUNTS);
}

bool cel_results_enabled(const struct cel_results *r)
{
    return r->backend != NULL;
}

bool cel_results_connected(const struct cel_results *r)
{
    return r->connected;
}

void cel_results_on_fewer(struct cel_results *r, void (*fn)(void *ctx), void *ctx)
{
    r->fewer = fn;
    r->fewer_ctx = ctx;
}

size_t cel_results_waiting(const struct cel_results *r)
{
    return r->n_waiting + r->n_sent;
}
