/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending results: each state of a task is one message to its sender's queue. */
#include "backend/rpc.h"
#include "base/alloc.h"
#include "base/error.h"

enum { BYTES_KEPT = 1 << 20 };

/* A message that is not confirmed yet; lies in the envelope's arena. */
struct flight {
    struct cel_envelope *envelope;
    struct cel_done done;
};

static void on_published(void *ctx, const celery_error *err, int64_t answer)
{
    struct flight *f = ctx;
    struct cel_done done = f->done;

    cel_envelope_free(f->envelope);
    cel_done(done, err, err ? 0 : 1);
}

static struct cel_slice keep(struct cel_arena *a, struct cel_slice text)
{
    char *copy = cel_arena_strndup(a, text.data, text.len);

    return copy ? cel_slice(copy, text.len) : CEL_SLICE_NULL;
}

/* RPCBackend.store_result(): no headers, and what it cannot reach is dropped. */
static struct flight *make_flight(const struct cel_rpc *b,
                                  const struct cel_task_meta *meta)
{
    struct cel_slice id = meta->correlation_id.len ? meta->correlation_id : meta->task_id;
    size_t size = sizeof(struct flight) + b->doc.len + id.len + meta->reply_to.len + 128;
    struct cel_envelope *env = cel_envelope_new_sized(size);
    struct flight *f = env ? cel_arena_alloc(&env->arena, sizeof *f) : NULL;

    if (!f) {
        cel_envelope_free(env);
        return NULL;
    }
    f->envelope = env;
    env->content_type = cel_slice_of(b->base.codec->content_type);
    env->content_encoding = cel_slice_of(b->base.codec->encoding);
    env->body = keep(&env->arena, cel_buf_slice(&b->doc));
    env->correlation_id = keep(&env->arena, id);
    env->exchange = CEL_SLICE("");
    env->routing_key = keep(&env->arena, meta->reply_to);
    env->delivery_mode = b->delivery_mode;
    env->optional = true;
    env->unread_ms = b->expires_ms;
    if (!env->body.data || !env->correlation_id.data || !env->routing_key.data) {
        cel_envelope_free(env);
        return NULL;
    }
    return f;
}

/*
 * The document is that of all backends, as Celery 5.7 sends it; up to 5.6 it has status,
 * result, traceback, children and task_id alone.  Clients of all versions read both.
 */
static struct flight *write_flight(struct cel_rpc *b, const struct cel_task_meta *meta,
                                   celery_error *err)
{
    struct flight *f = NULL;

    cel_buf_clear(&b->doc);
    if (cel_meta_write(&b->doc, meta, b->base.codec, err) == CELERY_OK) {
        f = make_flight(b, meta);
        if (!f) {
            cel_error_nomem(err);
        }
    } else if (err->status == CELERY_OK) {
        cel_error_nomem(err);
    }
    if (b->doc.failed || b->doc.cap > BYTES_KEPT) {
        cel_buf_fini(&b->doc);
    }
    return f;
}

void cel_rpc_store(struct cel_backend *base, const struct cel_task_meta *meta,
                   struct cel_done done)
{
    struct cel_rpc *b = cel_rpc(base);
    celery_error err = {0};

    if (b->state != CEL_RPC_OPEN) {
        cel_rpc_refuse(done, CELERY_ECLOSED, "not connected");
        return;
    }
    if (meta->reply_to.len == 0) { /* nobody asked for it */
        cel_done(done, NULL, 0);
        return;
    }
    struct flight *f = write_flight(b, meta, &err);
    if (!f) {
        cel_done(done, &err, 0);
        return;
    }
    f->done = done;
    b->transport->ops->publish(b->transport, "", f->envelope->routing_key.data,
                               f->envelope, (struct cel_done){on_published, f});
}
