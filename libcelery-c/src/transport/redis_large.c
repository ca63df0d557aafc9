/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_large.h"
#include "base/alloc.h"
#include "transport/redis_deliver.h"
#include "transport/redis_settle.h"

/* One that is to be fetched, or on its way. */
struct large {
    struct cel_list node;
    struct cel_redis_transport *r;
    uint64_t tag;
};

celery_status cel_redis_large_add(struct cel_redis_transport *r, uint64_t tag)
{
    struct large *x = cel_alloc(sizeof *x);

    if (!x) {
        return CELERY_ENOMEM;
    }
    *x = (struct large){.r = r, .tag = tag};
    cel_list_append(&r->claiming.large, &x->node);
    cel_source_schedule(r->flush);
    return CELERY_OK;
}

/* The value of unacked: an array whose first element is the message. */
static void on_fetched(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct large x = *(struct large *)ctx;
    const struct cel_redis_held *h = cel_hold_get(&x.r->hold, x.tag);
    struct cel_slice value = cel_resp_text(reply);
    celery_error why = {0};

    cel_free(ctx);
    if (cel_redis_check(x.r, reply, err, "fetching a message", &why) < 0) {
        cel_redis_hold_drop(x.r, x.tag);
        if (!err) {
            cel_redis_abandon(x.r, &why);
        }
        return;
    }
    if (!h) {
        return; /* a renewal has found that it is another's by now */
    }
    if (cel_resp_kind(reply) != CEL_RESP_STRING || value.len < 1 + h->raw_len) {
        cel_redis_hold_drop(x.r, x.tag); /* likewise */
        return;
    }
    value = cel_slice(value.data + 1, h->raw_len);
    if (cel_redis_hand_out(x.r, x.tag, value, NULL) < 0) {
        cel_redis_abandon_text(x.r, CELERY_ENOMEM, "taking messages");
    }
}

static celery_status send_fetch(struct cel_redis_transport *r, struct large *x)
{
    const struct cel_redis_held *h = cel_hold_get(&r->hold, x->tag);

    if (!h) {
        cel_free(x);
        return CELERY_OK;
    }
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, "HGET");
    cel_redis_args_adds(&r->args, r->keys.unacked);
    cel_redis_args_adds(&r->args, cel_redis_field(h));
    celery_status status = cel_redis_send(r, on_fetched, x);

    if (status < 0) {
        cel_redis_hold_drop(r, x->tag);
        cel_free(x);
    }
    return status;
}

void cel_redis_large_flush(struct cel_redis_transport *r)
{
    struct cel_list *it, *tmp;

    if (!r->connected || r->failure.status < 0) {
        return;
    }
    cel_list_foreach(it, tmp, &r->claiming.large) {
        struct large *x = cel_container_of(it, struct large, node);

        cel_list_remove(it);
        if (send_fetch(r, x) < 0) {
            cel_redis_abandon_text(r, CELERY_ENOMEM, "taking messages");
            return;
        }
    }
}

void cel_redis_large_reset(struct cel_redis_transport *r)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &r->claiming.large) {
        struct large *x = cel_container_of(it, struct large, node);

        cel_list_remove(it);
        cel_redis_hold_drop(r, x->tag);
        cel_free(x);
    }
}
