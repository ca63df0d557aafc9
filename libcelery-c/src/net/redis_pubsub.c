/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/redis_priv.h"

#include "base/log.h"

static const char invalidate_channel[] = "__redis__:invalidate";

/*
 * message, channel, payload; or pmessage, pattern, channel, payload.  The payload of
 * __redis__:invalidate is an array of keys, or nil when the whole database was emptied.
 */
bool cel_redis_take_message(struct cel_redis *r, const struct cel_resp *reply)
{
    struct cel_slice kind = cel_resp_text(cel_resp_at(reply, 0));
    size_t size = cel_resp_size(reply);
    bool plain = size == 3 && cel_slice_is(kind, "message");

    if (!plain && !(size == 4 && cel_slice_is(kind, "pmessage"))) {
        return false;
    }
    struct cel_slice channel = cel_resp_text(cel_resp_at(reply, size - 2));
    const struct cel_resp *payload = cel_resp_at(reply, size - 1);
    if (plain && cel_slice_is(channel, invalidate_channel)) {
        if (r->events->invalidated) {
            r->events->invalidated(r->ctx, payload);
        }
    } else if (r->events->message) {
        r->events->message(r->ctx, channel, cel_resp_text(payload));
    }
    return true;
}

/* Users of Redis 7 may subscribe to nothing until an ACL allows it. */
static void on_subscribed(void *ctx, const struct cel_resp *reply,
                          const celery_error *err)
{
    struct cel_redis *r = ctx;

    if (!err && cel_resp_kind(reply) == CEL_RESP_ERROR) {
        bool denied =
            cel_redis_error_is(reply, "NOPERM") || cel_redis_error_is(reply, "NOAUTH");
        cel_redis_fail(r, denied ? CELERY_EAUTH : CELERY_EPROTO, "cannot subscribe: %s",
                       cel_log_safe(cel_resp_text(reply)));
        return;
    }
    struct cel_slice kind = cel_resp_text(cel_resp_at(reply, 0));
    if (!err && r->events->subscribed &&
        (cel_slice_is(kind, "subscribe") || cel_slice_is(kind, "psubscribe"))) {
        r->events->subscribed(r->ctx, cel_resp_text(cel_resp_at(reply, 1)));
    }
}

static celery_status change(struct cel_redis *r, const char *command,
                            struct cel_slice channel)
{
    struct cel_slice argv[] = {cel_slice_of(command), channel};

    if (r->state != CEL_REDIS_OPEN) {
        return CELERY_ECLOSED;
    }
    return cel_redis_queue(r, on_subscribed, r, 2, argv);
}

celery_status cel_redis_subscribe(struct cel_redis *r, struct cel_slice channel,
                                  bool pattern)
{
    r->subscriber = true;
    return change(r, pattern ? "PSUBSCRIBE" : "SUBSCRIBE", channel);
}

celery_status cel_redis_unsubscribe(struct cel_redis *r, struct cel_slice channel,
                                    bool pattern)
{
    return change(r, pattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE", channel);
}
