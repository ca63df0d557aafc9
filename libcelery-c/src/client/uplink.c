/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/uplink.h"
#include "base/error.h"

static void try_in(struct cel_uplink *link, double wait)
{
    link->next = cel_loop_now(link->loop) + wait;
    cel_source_rearm(link->timer, link->next);
}

static void on_connected(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_uplink *link = ctx;
    if (link->state != CEL_UPLINK_CONNECTING) {
        return;
    }
    if (!err) {
        link->state = CEL_UPLINK_UP;
        cel_failover_works(&link->urls);
        cel_backoff_reset(&link->backoff);
        if (link->up) {
            link->up(link->ctx);
        }
        return;
    }
    double wait = 0;
    link->state = CEL_UPLINK_DOWN;
    link->last = *err;
    if (cel_failover_next(&link->urls)) {
        link->rounds++;
        wait = cel_backoff_next(&link->backoff);
    }
    try_in(link, wait);
    if (link->failed) {
        link->failed(link->ctx);
    }
}

static void try_now(void *ctx)
{
    struct cel_uplink *link = ctx;
    if (link->state == CEL_UPLINK_DOWN) {
        link->state = CEL_UPLINK_CONNECTING;
        link->connect(link->ctx, link->urls.at, (struct cel_done){on_connected, link});
    }
}

celery_status cel_uplink_start(struct cel_uplink *link, celery_error *err)
{
    link->backoff = (struct cel_backoff)CEL_BACKOFF_INIT(0.2, 5.0);
    cel_failover_init(&link->urls, link->n_urls, link->strategy);
    if (cel_loop_add_timer(link->loop, &link->timer, 0, try_now, link) < 0) {
        return cel_error_nomem(err);
    }
    cel_source_disarm(link->timer);
    link->state = CEL_UPLINK_DOWN;
    try_now(link);
    return CELERY_OK;
}

void cel_uplink_stop(struct cel_uplink *link)
{
    link->state = CEL_UPLINK_OFF;
    link->timer = cel_source_free(link->timer);
}

void cel_uplink_lost(struct cel_uplink *link, const celery_error *why)
{
    if (link->state == CEL_UPLINK_UP) {
        link->state = CEL_UPLINK_DOWN;
        link->last = *why;
        try_in(link, cel_backoff_next(&link->backoff));
    }
}

void cel_uplink_hurry(struct cel_uplink *link)
{
    if (link->state == CEL_UPLINK_DOWN) {
        try_in(link, 0);
    }
}

void cel_uplink_postpone(struct cel_uplink *link, double wait)
{
    if (link->state == CEL_UPLINK_DOWN) {
        try_in(link, wait);
    }
}
