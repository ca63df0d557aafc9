/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/mailbox.h"
#include "base/clock.h"
#include "base/error.h"
#include "message/control.h"

#include <stdio.h>

static char *text_of(struct cel_arena *a, const char *front, const char *middle,
                     const char *end)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s%s%s", front, middle, end);

    return n < 0 || (size_t)n >= sizeof text ? NULL
                                             : cel_arena_strndup(a, text, (size_t)n);
}

celery_status cel_mailbox_init(struct cel_mailbox *m, struct cel_arena *a,
                               const char *control_exchange, celery_error *err)
{
    const char *name = control_exchange;

    if (strlen(name) > 200) {
        return cel_error_set(err, CELERY_ECONFIG, "control_exchange is too long");
    }
    m->exchange = text_of(a, "", name, ".pidbox");
    m->reply_exchange = text_of(a, "reply.", name, ".pidbox");
    return m->exchange && m->reply_exchange ? CELERY_OK : cel_error_nomem(err);
}

/* ---- queues ---- */

celery_status cel_mailbox_queue(const struct cel_mailbox *m, struct cel_arena *a,
                                const char *node, struct cel_queue *ret,
                                celery_error *err)
{
    *ret = (struct cel_queue){
        .name = text_of(a, node, ".", m->exchange),
        .exchange = m->exchange,
        .exchange_type = "fanout",
        .routing_key = "",
        .arguments = cel_queue_lifetime(a, m->expires, m->ttl),
        .durable = m->durable,
        .auto_delete = !m->durable,
        .exclusive = m->exclusive,
        .no_ack = true,
        .exchange_transient = true,
    };
    return ret->name && ret->arguments ? CELERY_OK : cel_error_nomem(err);
}

celery_status cel_mailbox_reply_queue(const struct cel_mailbox *m, struct cel_arena *a,
                                      const char *oid, struct cel_queue *ret,
                                      celery_error *err)
{
    *ret = (struct cel_queue){
        .name = text_of(a, oid, ".", m->reply_exchange),
        .exchange = m->reply_exchange,
        .exchange_type = "direct",
        .routing_key = cel_arena_strndup(a, oid, strlen(oid)),
        .arguments = cel_queue_lifetime(a, m->expires, m->ttl),
        .auto_delete = true,
        .no_ack = true,
        .exchange_transient = true,
    };
    return ret->name && ret->routing_key && ret->arguments ? CELERY_OK
                                                           : cel_error_nomem(err);
}

void cel_mailbox_exchange(const struct cel_mailbox *m, struct cel_queue *ret)
{
    *ret = (struct cel_queue){
        .name = m->exchange,
        .exchange = m->exchange,
        .exchange_type = "fanout",
        .routing_key = "",
        .exchange_transient = true,
        .exchange_only = true,
    };
}

/* ---- commands ---- */

static struct cel_node *text_or_null(struct cel_arena *a, const char *text)
{
    return text ? cel_node_new_string(a, cel_slice_of(text))
                : cel_node_new(a, CELERY_KIND_NULL);
}

static struct cel_node *copy_or(struct cel_arena *a, const struct cel_node *n,
                                celery_kind otherwise)
{
    return n ? cel_node_copy(a, n) : cel_node_new(a, otherwise);
}

static celery_status put(struct cel_arena *a, struct cel_node *object, const char *key,
                         struct cel_node *value)
{
    return value ? cel_node_put(a, object, cel_slice_of(key), value) : CELERY_ENOMEM;
}

static celery_status put_reply_to(const struct cel_mailbox *m, struct cel_arena *a,
                                  const struct cel_command_draft *d,
                                  struct cel_node *body)
{
    struct cel_node *to = cel_node_new(a, CELERY_KIND_OBJECT);

    return to && put(a, to, "exchange", text_or_null(a, m->reply_exchange)) == 0 &&
                   put(a, to, "routing_key", text_or_null(a, d->oid)) == 0 &&
                   put(a, body, "ticket", text_or_null(a, d->ticket)) == 0 &&
                   put(a, body, "reply_to", to) == 0
               ? CELERY_OK
               : CELERY_ENOMEM;
}

/* NULL: no memory. */
static struct cel_node *make_body(const struct cel_mailbox *m, struct cel_arena *a,
                                  const struct cel_command_draft *d)
{
    struct cel_node *body = cel_node_new(a, CELERY_KIND_OBJECT);

    if (!body || put(a, body, "method", text_or_null(a, d->method)) < 0 ||
        put(a, body, "arguments", copy_or(a, d->arguments, CELERY_KIND_OBJECT)) < 0 ||
        put(a, body, "destination", copy_or(a, d->destination, CELERY_KIND_NULL)) < 0 ||
        put(a, body, "pattern", text_or_null(a, d->pattern)) < 0 ||
        put(a, body, "matcher", text_or_null(a, d->matcher)) < 0) {
        return NULL;
    }
    return d->oid && put_reply_to(m, a, d, body) < 0 ? NULL : body;
}

static celery_status fill(struct cel_envelope *env, const struct cel_mailbox *m,
                          const struct cel_command_draft *d,
                          const struct cel_codec *codec, celery_error *err)
{
    struct cel_arena *a = &env->arena;
    struct cel_node *headers = cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_node *body = make_body(m, a, d);
    struct cel_node *expires = d->timeout > 0
                                   ? cel_node_new_double(a, cel_clock_wall() + d->timeout)
                                   : cel_node_new_int(a, 0);
    struct cel_buf text = {0};

    if (!headers || !body ||
        put(a, headers, "clock", cel_node_new_int(a, d->clock)) < 0 ||
        put(a, headers, "expires", expires) < 0) {
        return cel_error_nomem(err);
    }
    celery_status status = codec->encode(&text, body, err);
    if (status == CELERY_OK) {
        env->body = cel_slice(cel_arena_strndup(a, text.data, text.len), text.len);
        env->exchange =
            cel_slice_of(cel_arena_strndup(a, m->exchange, strlen(m->exchange)));
        status = env->body.data && env->exchange.data ? CELERY_OK : cel_error_nomem(err);
    }
    cel_buf_fini(&text);
    env->headers = headers;
    env->content_type = cel_slice_of(codec->content_type);
    env->content_encoding = cel_slice_of(codec->encoding);
    env->delivery_mode = 2;
    return status;
}

celery_status cel_command_write(const struct cel_mailbox *m,
                                const struct cel_command_draft *draft,
                                const struct cel_codec *codec,
                                struct cel_envelope **ret_env, celery_error *err)
{
    struct cel_envelope *env = cel_envelope_new();

    if (!env) {
        return cel_error_nomem(err);
    }
    celery_status status = fill(env, m, draft, codec, err);
    if (status < 0) {
        cel_envelope_free(env);
        return status;
    }
    *ret_env = env;
    return CELERY_OK;
}

/* ---- replies ---- */

celery_status cel_command_reply_read(struct cel_envelope *env,
                                     const struct cel_call_limits *limits,
                                     struct cel_command_reply *ret, celery_error *err)
{
    struct cel_node *body = NULL;
    celery_status status = cel_command_decode(env, limits, &body, err);

    if (status < 0) {
        return status;
    }
    *ret = (struct cel_command_reply){
        .ticket = cel_node_text(cel_envelope_header(env, CEL_SLICE("ticket"))),
        .nodes = body,
        .clock = cel_node_int(cel_envelope_header(env, CEL_SLICE("clock")), 0),
    };
    return CELERY_OK;
}
