/* SPDX-License-Identifier: BSD-3-Clause */
/* A message that is held now becomes a delivery. */
#include "transport/redis_deliver.h"
#include "base/alloc.h"
#include "message/envelope_json.h"
#include "transport/redis_large.h"
#include "transport/redis_settle.h"
#include <stdio.h>

/* kombu's bytes end with ..."delivery_tag": "<tag>"}}; the claim script saw to the quotes. */
static struct cel_slice tail_tag(struct cel_slice raw)
{
    size_t end, at;

    if (raw.len < 4 || raw.data[raw.len - 3] != '"') {
        return CEL_SLICE_NULL;
    }
    end = raw.len - 3;
    at = end;
    while (at > 0 && raw.data[at - 1] != '"') {
        at--;
    }
    return cel_slice(raw.data + at, end - at);
}

static celery_status set_field(struct cel_redis_held *h, struct cel_slice field)
{
    if (field.len < sizeof h->field) {
        memcpy(h->field, field.data, field.len);
        h->field[field.len] = 0;
        return CELERY_OK;
    }
    h->long_field = cel_strndup(field.data, field.len);
    return h->long_field ? CELERY_OK : CELERY_ENOMEM;
}

/* A record of what is held; 0: out of memory. */
static uint64_t hold(struct cel_redis_arrival *a, struct cel_slice field, size_t len,
                     bool parked)
{
    struct cel_redis_transport *r = a->r;
    uint64_t tag = 0;
    struct cel_redis_held *h = cel_hold_add(&r->hold, &tag);

    if (!h) {
        return 0;
    }
    h->queue = a->queue;
    h->step = (uint8_t)a->step;
    h->raw_len = len;
    h->state = parked ? CEL_REDIS_PARKED : CEL_REDIS_HELD;
    if (!parked) {
        if (set_field(h, field) < 0) {
            cel_hold_remove(&r->hold, tag);
            return 0;
        }
        h->score = a->score;
        a->score->count++;
    }
    h->counted = true;
    r->claiming.n_held++;
    r->claiming.credit -= r->claiming.credit > 0;
    return tag;
}

celery_status cel_redis_hand_out(struct cel_redis_transport *r, uint64_t tag,
                                 struct cel_slice raw, const char *parked)
{
    struct cel_redis_held *h = cel_hold_get(&r->hold, tag);
    struct cel_delivery d = {.tag = tag, .queue = h->queue->name};
    bool no_ack = h->queue->no_ack;
    celery_error err = {0};

    d.malformed = cel_envelope_read(raw, &d.envelope, &err) < 0 || parked;
    if (!d.envelope) {
        cel_redis_hold_drop(r, tag);
        return CELERY_ENOMEM;
    }
    d.redelivered = h->redelivered = d.envelope->redelivered;
    snprintf(d.why, sizeof d.why, "%.119s", parked ? parked : err.message);
    unsigned connects = r->connects;
    r->base.events->delivered(r->base.events_ctx, &d);
    if (no_ack && r->connects == connects) {
        cel_redis_ack(&r->base, tag, (struct cel_done){0});
    }
    return CELERY_OK;
}

celery_status cel_redis_deliver(struct cel_redis_arrival *a, struct cel_slice field,
                                struct cel_slice raw, const char *parked)
{
    if (!parked && !a->score) {
        return CELERY_EPROTO;
    }
    uint64_t tag = hold(a, field, raw.len, parked);

    return tag ? cel_redis_hand_out(a->r, tag, raw, parked) : CELERY_ENOMEM;
}

/* The claim told only how long it is. */
static celery_status deliver_later(struct cel_redis_arrival *a, struct cel_slice field,
                                   int64_t len)
{
    if (!a->score || len < 0) {
        return CELERY_EPROTO;
    }
    uint64_t tag = hold(a, field, (size_t)len, false);
    celery_status status = tag ? cel_redis_large_add(a->r, tag) : CELERY_ENOMEM;

    if (tag && status < 0) {
        cel_redis_hold_drop(a->r, tag);
    }
    return status;
}

celery_status cel_redis_deliver_reply(struct cel_redis_arrival *a,
                                      const struct cel_resp *reply)
{
    struct cel_slice field, raw;
    char why[100];

    if (cel_resp_kind(reply) == CEL_RESP_STRING) {
        raw = cel_resp_text(reply);
        return cel_redis_deliver(a, tail_tag(raw), raw, NULL);
    }
    field = cel_resp_text(cel_resp_at(reply, 0));
    raw = cel_resp_text(cel_resp_at(reply, 1));
    if (cel_resp_kind(cel_resp_at(reply, 1)) == CEL_RESP_INT) {
        return deliver_later(a, field, cel_resp_int(cel_resp_at(reply, 1)));
    }
    if (cel_resp_size(reply) == 2) {
        return cel_redis_deliver(a, field, raw, NULL);
    }
    field = cel_resp_text(cel_resp_at(reply, 2));
    snprintf(why, sizeof why, "%.*s", (int)(field.len < 99 ? field.len : 99), field.data);
    return cel_redis_deliver(a, CEL_SLICE_NULL, raw, why);
}
