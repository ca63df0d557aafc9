/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/health.h"

#include "base/error.h"
#include "base/log.h"

static const char *shutdown_name(enum cel_shutdown how)
{
    static const char *const names[] = {
        [CEL_SHUTDOWN_NONE] = "no",   [CEL_SHUTDOWN_WARM] = "warm",
        [CEL_SHUTDOWN_SOFT] = "soft", [CEL_SHUTDOWN_COLD] = "cold",
        [CEL_SHUTDOWN_DONE] = "done",
    };

    return names[how];
}

/* The same document for both, so that whoever looks at a failing probe sees why. */
static void describe(const struct celery_worker *w, bool ok, struct cel_http_reply *reply)
{
    bool broker_live = cel_vitals_live(w);

    reply->status = ok ? 200 : 503;
    reply->content_type = "application/json";
    cel_buf_addf(&reply->body,
                 "{\"status\": \"%s\", \"broker\": {\"ok\": %s, \"connected\": %s, "
                 "\"silent_seconds\": %.3f}, \"loop\": {\"lag_seconds\": %.3f}, "
                 "\"ready\": %s, \"shutdown\": \"%s\", \"uptime_seconds\": %.3f}\n",
                 ok ? "ok" : "failing", broker_live ? "true" : "false",
                 cel_link_connected(w->link) ? "true" : "false", cel_vitals_silence(w),
                 w->vitals.lag, cel_vitals_ready(w) ? "true" : "false",
                 shutdown_name(w->shutdown), cel_loop_now(w->loop) - w->began_at);
}

static void healthz(struct celery_worker *w, struct cel_http_reply *reply)
{
    describe(w, cel_vitals_live(w), reply);
}

static void readyz(struct celery_worker *w, struct cel_http_reply *reply)
{
    describe(w, cel_vitals_ready(w), reply);
}

static const struct {
    const char *path;
    void (*fn)(struct celery_worker *w, struct cel_http_reply *reply);
} pages[] = {
    {"/healthz", healthz},
    {"/readyz", readyz},
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

celery_status cel_health_start(struct celery_worker *w,
                               struct cel_http_server **ret_server, celery_error *err)
{
    const char *address = cel_config_text(w->app->config, "worker_health_address");

    if (!address || !*address) {
        return CELERY_OK;
    }
    celery_status status = cel_vitals_watch(w, err);
    if (status == CELERY_OK) {
        status = cel_http_server_new(w->loop, address, on_request, w, ret_server, err);
    }
    if (status < 0) {
        return cel_error_prefix(err, status, "worker_health_address: ");
    }
    cel_log(CELERY_LOG_INFO, "Health and metrics on %s", address);
    return CELERY_OK;
}
