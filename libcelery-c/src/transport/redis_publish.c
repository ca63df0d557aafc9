/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_publish.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/utf8.h"
#include "message/envelope_json.h"
#include "transport/redis_several.h"
#include "transport/redis_take.h"
#include "transport/redis_wait.h"

struct publishing {
    struct cel_redis_several *several;
    struct cel_buf text;
    int priority;
    int64_t unread_ms;
};

static bool is_consumed(const struct cel_redis_transport *r, struct cel_slice queue)
{
    for (size_t i = 0; i < r->claiming.n_order; i++) {
        if (cel_slice_is(queue, r->claiming.order[i]->name)) {
            return true;
        }
    }
    return false;
}

static void on_taken(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_redis_several *s = ctx;

    if (err) {
        s->err = *err;
    }
    s->sum += answer;
    cel_redis_several_end(s);
}

static void push(struct publishing *p, struct cel_slice queue, size_t step)
{
    struct cel_redis_several *s = p->several;
    struct cel_redis_transport *r = s->r;
    char *key = cel_redis_queue_key(&r->keys, queue, step);

    if (!key) {
        cel_error_nomem(&s->err);
        return;
    }
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, "LPUSH");
    cel_redis_args_adds(&r->args, key);
    cel_redis_args_add(&r->args, cel_buf_slice(&p->text));
    cel_redis_several_send(s);
    if (p->unread_ms > 0) { /* whoever reads the last one removes the key anyway */
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "PEXPIRE");
        cel_redis_args_adds(&r->args, key);
        cel_redis_args_add_int(&r->args, p->unread_ms);
        cel_redis_several_send(s);
    }
    if (is_consumed(r, queue)) {
        cel_redis_wait_own(r);
    }
    cel_free(key);
}

static void on_route(void *ctx, const struct cel_slice *queues, size_t n,
                     const celery_error *err)
{
    struct publishing *p = ctx;
    struct cel_redis_several *s = p->several;
    size_t step = cel_redis_step(&s->r->keys, p->priority);

    if (err) {
        s->err = *err;
    }
    if (n == 1 && p->unread_ms == 0 &&
        cel_redis_take(s->r, queues[0], step, cel_buf_slice(&p->text),
                       (struct cel_done){on_taken, s})) {
        s->left++;
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        push(p, queues[i], step);
    }
    cel_buf_fini(&p->text);
    cel_free(p);
    cel_redis_several_end(s);
}

static void broadcast(struct publishing *p, struct cel_slice exchange,
                      struct cel_slice routing_key)
{
    struct cel_redis_several *s = p->several;
    struct cel_redis_transport *r = s->r;
    char *channel = cel_redis_channel(&r->keys, exchange, routing_key, false);

    if (channel) {
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "PUBLISH");
        cel_redis_args_adds(&r->args, channel);
        cel_redis_args_add(&r->args, cel_buf_slice(&p->text));
        cel_redis_several_send(s);
    } else {
        cel_error_nomem(&s->err);
    }
    cel_free(channel);
    cel_buf_fini(&p->text);
    cel_free(p);
    cel_redis_several_end(s);
}

static celery_status write_text(const struct cel_redis_transport *r, struct cel_buf *out,
                                const struct cel_envelope *envelope);

/* What was written with a base64 body is taken apart again. */
static celery_status rewrite_text(const struct cel_redis_transport *r,
                                  struct cel_buf *out, struct cel_slice raw)
{
    struct cel_envelope *envelope = NULL;
    celery_status status = cel_envelope_read(raw, &envelope, NULL);

    if (status == CELERY_OK) {
        status = write_text(r, out, envelope);
    }
    cel_envelope_free(envelope);
    return status;
}

static celery_status write_text(const struct cel_redis_transport *r, struct cel_buf *out,
                                const struct cel_envelope *envelope)
{
    struct cel_envelope plain;

    if (r->set.body_plain && envelope->written) {
        return rewrite_text(r, out, envelope->raw);
    }
    if (!r->set.body_plain || !cel_utf8_valid(envelope->body)) {
        return cel_envelope_write(out, envelope);
    }
    plain = *envelope;
    plain.body_plain = true;
    return cel_envelope_write(out, &plain);
}

void cel_redis_publish(struct cel_transport *t, const char *exchange,
                       const char *routing_key, const struct cel_envelope *envelope,
                       struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_slice key = cel_slice_of(routing_key ? routing_key : "");
    struct cel_slice ex = cel_slice_of(exchange ? exchange : "");
    enum cel_exchange_type type;
    struct publishing *p;

    if (cel_redis_closed(r, done)) {
        return;
    }
    p = cel_calloc(1, sizeof *p);
    if (!p) {
        cel_redis_done_nomem(done);
        return;
    }
    p->priority = envelope->priority;
    p->unread_ms = envelope->unread_ms;
    p->several = cel_redis_several_new(r, "publishing", done);
    if (!p->several) {
        cel_free(p);
        return;
    }
    if (write_text(r, &p->text, envelope) < 0) {
        cel_error_nomem(&p->several->err);
        on_route(p, NULL, 0, NULL);
        return;
    }
    cel_redis_exchange_type(r, ex, &type);
    if (ex.len && type == CEL_EXCHANGE_FANOUT) {
        broadcast(p, ex, key);
    } else {
        cel_redis_route(r, ex, key, on_route, p);
    }
}

celery_status cel_redis_place(struct cel_transport *t, const char *exchange,
                              const char *routing_key,
                              const struct cel_envelope *envelope,
                              struct cel_buf *ret_key, struct cel_buf *ret_text)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    size_t step = cel_redis_step(&r->keys, envelope->priority);
    char *key;

    if (exchange && *exchange) {
        return CELERY_ENOTSUP;
    }
    key = cel_redis_queue_key(&r->keys, cel_slice_of(routing_key), step);
    if (!key) {
        return CELERY_ENOMEM;
    }
    cel_buf_adds(ret_key, key);
    cel_free(key);
    celery_status status = write_text(r, ret_text, envelope);
    return status == CELERY_OK && !cel_buf_ok(ret_key) ? CELERY_ENOMEM : status;
}
