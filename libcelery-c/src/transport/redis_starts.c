/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_starts.h"
#include "base/alloc.h"
#include "base/error.h"
#include "transport/redis_settle.h"
#include <stdio.h>

/* Seconds a count outlives its last start; for messages that somebody else settles. */
#define KEEP (7 * 24 * 3600)

/* One start to be counted. */
struct start {
    struct cel_list node; /* until it is sent */
    struct cel_redis_transport *r;
    uint64_t tag;
    int64_t most;
    struct cel_done done;
    char by[CEL_UUID_SIZE + 24]; /* this delivery, as no other is called */
    char *key;
};

static void end(struct start *give_start, const celery_error *err, int64_t answer)
{
    struct cel_done done = give_start->done;

    cel_free(give_start->key);
    cel_free(give_start);
    cel_done(done, err, answer);
}

static void on_counted(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct start *s = ctx;
    celery_error why = {0};
    bool failed = cel_redis_check(s->r, reply, err, "counting a start", &why) < 0;
    struct cel_redis_held *h = cel_hold_get(&s->r->hold, s->tag);

    if (h && (failed || cel_resp_int(reply) < s->most)) {
        h->started = true;
    }
    end(s, failed ? &why : NULL, cel_resp_int(reply));
}

static char *starts_key(const struct cel_redis_transport *r,
                        const struct cel_redis_held *h)
{
    return cel_redis_starts_key(&r->keys, cel_redis_field(h));
}

static void send_start(struct start *s)
{
    struct cel_redis_transport *r = s->r;
    struct cel_redis_held *h = cel_hold_get(&r->hold, s->tag);
    struct cel_redis_args *a = &r->args;
    celery_error err = {0};

    if (!h || h->state != CEL_REDIS_HELD) {
        end(s, NULL, -1);
        return;
    }
    s->key = starts_key(r, h);
    snprintf(s->by, sizeof s->by, "%s:%llu", r->worker, (unsigned long long)s->tag);
    cel_redis_args_clear(a);
    cel_redis_args_adds(a, r->keys.unacked_index);
    cel_redis_args_adds(a, s->key);
    cel_redis_args_adds(a, cel_redis_field(h));
    cel_redis_args_adds(a, h->score->text);
    cel_redis_args_add_int(a, s->most);
    cel_redis_args_adds(a, s->by);
    cel_redis_args_add_int(a, KEEP);
    if (!s->key || cel_redis_send_script(r, &r->scripts.start, 2, on_counted, s) < 0) {
        cel_error_nomem(&err);
        end(s, &err, 0);
    }
}

void cel_redis_count_start(struct cel_transport *t, uint64_t tag, int64_t most,
                           struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct start *s = cel_calloc(1, sizeof *s);
    celery_error err = {0};

    if (!s || !r->connected) {
        cel_error_set(&err, s ? CELERY_ECLOSED : CELERY_ENOMEM, "%s",
                      s ? "not connected to the broker" : "out of memory");
        cel_free(s);
        cel_done(done, &err, 0);
        return;
    }
    *s = (struct start){.r = r, .tag = tag, .most = most, .done = done};
    cel_list_append(&r->starting.waiting, &s->node);
    cel_source_schedule(r->flush);
}

/* ---- forgetting ---- */

void cel_redis_starts_forget(struct cel_redis_transport *r,
                             const struct cel_redis_held *h, bool back)
{
    char *key = h->started || (h->redelivered && !back) ? starts_key(r, h) : NULL;

    if (key) {
        cel_buf_add(&r->starting.gone, key, strlen(key) + 1);
        cel_free(key);
    }
}

/* Unlinked with the settlement before it in one write: what fails here expires. */
static void send_gone(struct cel_redis_transport *r)
{
    struct cel_buf *gone = &r->starting.gone;
    struct cel_redis_args *a = &r->args;

    cel_redis_args_clear(a);
    cel_redis_args_adds(a, "DEL");
    for (size_t at = 0; at < gone->len; at += strlen(gone->data + at) + 1) {
        cel_redis_args_adds(a, gone->data + at);
    }
    cel_redis_send(r, NULL, NULL);
    cel_buf_clear(gone);
}

void cel_redis_starts_flush(struct cel_redis_transport *r)
{
    struct cel_list *first;

    if (!r->connected || r->settling.renewing || r->failure.status < 0) {
        return;
    }
    if (r->starting.gone.len > 0) {
        send_gone(r);
    }
    while ((first = cel_list_first(&r->starting.waiting))) {
        cel_list_remove(first);
        send_start(cel_container_of(first, struct start, node));
    }
}

void cel_redis_starts_reset(struct cel_redis_transport *r)
{
    celery_error err = {CELERY_ECLOSED, 0, "connection closed"};
    struct cel_list *first;

    cel_buf_clear(&r->starting.gone);
    while ((first = cel_list_first(&r->starting.waiting))) {
        cel_list_remove(first);
        end(cel_container_of(first, struct start, node), &err, 0);
    }
}

void cel_redis_starts_fini(struct cel_redis_transport *r)
{
    cel_buf_fini(&r->starting.gone);
}
