/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/health.h"

#include "base/error.h"
#include "base/log.h"
#include "codec/doc.h"
#include "net/http_server.h"
#include "worker/metrics.h"
#include <math.h>

static const char *shutdown_name(enum cel_shutdown how)
{
    static const char *const names[] = {
        [CEL_SHUTDOWN_NONE] = "no",   [CEL_SHUTDOWN_WARM] = "warm",
        [CEL_SHUTDOWN_SOFT] = "soft", [CEL_SHUTDOWN_COLD] = "cold",
        [CEL_SHUTDOWN_DONE] = "done",
    };

    return names[how];
}

/* A number of milliseconds as seconds, whatever the locale's decimal point is. */
static void add_seconds(struct cel_buf *out, const char *key, double seconds)
{
    char text[33];

    cel_buf_addf(out, "\"%s\": ", key);
    cel_buf_add(out, text, cel_repr_double(floor(seconds * 1000 + 0.5) / 1000, text));
}

/* The same document for both, so that whoever looks at a failing probe sees why. */
static void describe(const struct celery_worker *w, bool ok, struct cel_http_reply *reply)
{
    struct cel_buf *out = &reply->body;

    reply->status = ok ? 200 : 503;
    reply->content_type = "application/json";
    cel_buf_addf(out, "{\"status\": \"%s\", \"broker\": {\"ok\": %s, \"connected\": %s, ",
                 ok ? "ok" : "failing", cel_vitals_live(w) ? "true" : "false",
                 cel_link_connected(w->link) ? "true" : "false");
    add_seconds(out, "silent_seconds", cel_vitals_silence(w));
    cel_buf_adds(out, "}, \"loop\": {");
    add_seconds(out, "lag_seconds", w->vitals.lag);
    cel_buf_addf(out, "}, \"ready\": %s, \"shutdown\": \"%s\", ",
                 cel_vitals_ready(w) ? "true" : "false", shutdown_name(w->shutdown));
    add_seconds(out, "uptime_seconds", cel_loop_now(w->loop) - w->began_at);
    cel_buf_adds(out, "}\n");
}

static void healthz(struct celery_worker *w, struct cel_http_reply *reply)
{
    describe(w, cel_vitals_live(w), reply);
}

static void readyz(struct celery_worker *w, struct cel_http_reply *reply)
{
    describe(w, cel_vitals_ready(w), reply);
}

static void metrics(struct celery_worker *w, struct cel_http_reply *reply)
{
    reply->status = 200;
    reply->content_type = CEL_METRIC_CONTENT_TYPE;
    cel_metrics_write(w->metrics, &reply->body);
}

static const struct {
    const char *path;
    void (*fn)(struct celery_worker *w, struct cel_http_reply *reply);
} pages[] = {
    {"/healthz", healthz},
    {"/readyz", readyz},
    {"/metrics", metrics},
};

static void on_request(void *ctx, const struct cel_http_request *request,
                       struct cel_http_reply *reply)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (cel_slice_is(request->path, pages[i].path)) {
            pages[i].fn(ctx, reply);
            return;
        }
    }
}

void cel_health_stop(struct celery_worker *w)
{
    w->health = cel_http_server_free(w->health);
    w->metrics = cel_metrics_free(w->metrics);
}

celery_status cel_health_start(struct celery_worker *w, celery_error *err)
{
    const char *address = cel_config_text(w->app->config, "worker_health_address");

    if (!address || !*address) {
        return CELERY_OK;
    }
    celery_status status = cel_vitals_watch(w, err);
    if (status == CELERY_OK) {
        status = cel_metrics_new(w, &w->metrics, err);
    }
    if (status == CELERY_OK) {
        status = cel_http_server_new(w->loop, address, on_request, w, &w->health, err);
    }
    if (status < 0) {
        return cel_error_prefix(err, status, "worker_health_address: ");
    }
    cel_log(CELERY_LOG_INFO, "Health and metrics on %s", address);
    if (w->pool->ops == &cel_pool_solo) {
        cel_log(CELERY_LOG_WARNING,
                "The solo pool answers no probe while a task runs: use "
                "-P threads -c 1 where tasks are longer than probes wait");
    }
    return CELERY_OK;
}
