/* SPDX-License-Identifier: BSD-3-Clause */
/* A message that is held now becomes a delivery. */
#include "transport/redis_deliver.h"
#include "base/alloc.h"
#include "message/envelope_json.h"
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

celery_status cel_redis_deliver(struct cel_redis_arrival *a, struct cel_slice field,
                                struct cel_slice raw, const char *parked)
{
    struct cel_redis_transport *r = a->r;
    struct cel_delivery d = {.queue = a->queue->name};
    celery_error err = {0};
    struct cel_redis_held *h;

    if (!parked && !a->score) {
        return CELERY_EPROTO;
    }
    d.malformed = cel_envelope_read(raw, &d.envelope, &err) < 0 || parked;
    h = d.envelope ? cel_hold_add(&r->hold, &d.tag) : NULL;
    if (!h) {
        cel_envelope_free(d.envelope);
        return CELERY_ENOMEM;
    }
    h->queue = a->queue;
    h->step = (uint8_t)a->step;
    h->raw_len = raw.len;
    h->state = parked ? CEL_REDIS_PARKED : CEL_REDIS_HELD;
    if (!parked) {
        if (set_field(h, field) < 0) {
            cel_hold_remove(&r->hold, d.tag);
            cel_envelope_free(d.envelope);
            return CELERY_ENOMEM;
        }
        h->score = a->score;
        a->score->count++;
    }
    h->counted = true;
    r->claiming.n_held++;
    r->claiming.credit -= r->claiming.credit > 0;
    d.redelivered = h->redelivered = d.envelope->redelivered;
    snprintf(d.why, sizeof d.why, "%.119s", parked ? parked : err.message);
    unsigned connects = r->connects;
    r->base.events->delivered(r->base.events_ctx, &d);
    if (a->queue->no_ack && r->connects == connects) {
        cel_redis_ack(&r->base, d.tag, (struct cel_done){0});
    }
    return CELERY_OK;
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
    if (cel_resp_size(reply) == 2) {
        return cel_redis_deliver(a, field, raw, NULL);
    }
    field = cel_resp_text(cel_resp_at(reply, 2));
    snprintf(why, sizeof why, "%.*s", (int)(field.len < 99 ? field.len : 99), field.data);
    return cel_redis_deliver(a, CEL_SLICE_NULL, raw, why);
}
