/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues of an exchange. */
#include "base/alloc.h"
#include "base/error.h"
#include "transport/redis_publish.h"
#include "transport/redis_several.h"

struct lookup {
    struct cel_redis_transport *r;
    cel_redis_route_fn fn;
    void *ctx;
    char *routing_key;
    bool known; /* the exchange was declared here, with type */
    enum cel_exchange_type type;
};

bool cel_redis_exchange_type(const struct cel_redis_transport *r,
                             struct cel_slice exchange, enum cel_exchange_type *ret)
{
    const struct cel_list *head = &r->queues;

    for (const struct cel_list *it = head->next; it != head; it = it->next) {
        const struct cel_redis_queue *q =
            cel_container_of(it, struct cel_redis_queue, node);

        if (q->exchange && cel_slice_is(exchange, q->exchange)) {
            *ret = q->type;
            return true;
        }
    }
    *ret = CEL_EXCHANGE_DIRECT;
    return false;
}

static bool has(const struct cel_slice *queues, size_t n, struct cel_slice queue)
{
    for (size_t i = 0; i < n; i++) {
        if (cel_slice_eq(queues[i], queue)) {
            return true;
        }
    }
    return false;
}

static size_t match_all(const struct lookup *l, const struct cel_resp *members,
                        struct cel_slice *ret_queues)
{
    struct cel_slice key = cel_slice_of(l->routing_key);
    size_t n = 0;

    for (size_t i = 0; i < cel_resp_size(members); i++) {
        struct cel_slice member = cel_resp_text(cel_resp_at(members, i));
        struct cel_slice binding_key, queue;
        enum cel_exchange_type type = l->type;

        if (!cel_redis_member_split(&l->r->keys, member, &binding_key, &queue)) {
            continue;
        }
        /* Only a binding of a topic exchange has something between key and queue. */
        if (!l->known &&
            member.len > binding_key.len + queue.len + 2 * strlen(l->r->keys.sep)) {
            type = CEL_EXCHANGE_TOPIC;
        }
        if (cel_exchange_match(type, binding_key, key) && !has(ret_queues, n, queue)) {
            ret_queues[n++] = queue;
        }
    }
    return n;
}

static void on_members(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct lookup *l = ctx;
    celery_error why = {0};
    struct cel_slice *queues = NULL;
    size_t n = 0;

    if (cel_redis_check(l->r, reply, err, "reading bindings", &why) == 0) {
        queues = cel_calloc(cel_resp_size(reply) + 1, sizeof *queues);
        if (queues) {
            n = match_all(l, reply, queues);
        } else {
            cel_error_nomem(&why);
        }
    }
    if (n == 0 && why.status == 0 && l->r->set.deadletter_queue) {
        queues[n++] = cel_slice_of(l->r->set.deadletter_queue);
    }
    l->fn(l->ctx, queues, n, why.status < 0 ? &why : NULL);
    cel_free(queues);
    cel_free(l->routing_key);
    cel_free(l);
}

void cel_redis_route(struct cel_redis_transport *r, struct cel_slice exchange,
                     struct cel_slice routing_key, cel_redis_route_fn fn, void *ctx)
{
    char *key = NULL;
    struct lookup *l;
    celery_error err = {0};

    if (exchange.len == 0) {
        fn(ctx, &routing_key, 1, NULL);
        return;
    }
    l = cel_calloc(1, sizeof *l);
    key = cel_redis_binding_key(&r->keys, exchange);
    if (l) {
        *l = (struct lookup){.r = r, .fn = fn, .ctx = ctx};
        l->routing_key = cel_strndup(routing_key.data, routing_key.len);
        l->known = cel_redis_exchange_type(r, exchange, &l->type);
    }
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, "SMEMBERS");
    cel_redis_args_adds(&r->args, key);
    if (!l || !key || !l->routing_key || cel_redis_send(r, on_members, l) < 0) {
        cel_error_nomem(&err);
        cel_free(l ? l->routing_key : NULL);
        cel_free(l);
        fn(ctx, NULL, 0, &err);
    }
    cel_free(key);
}

/* ---- all of them ---- */

struct listing {
    struct cel_redis_transport *r;
    cel_binding_fn fn;
    void *ctx;
    struct cel_done done;
};

static void on_listed(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct listing l = *(struct listing *)ctx;
    celery_error why = {0};

    cel_free(ctx);
    if (cel_redis_check(l.r, reply, err, "reading bindings", &why) == 0) {
        for (size_t i = 0; i < cel_resp_size(reply); i++) {
            struct cel_slice member = cel_resp_text(cel_resp_at(reply, i));
            struct cel_slice routing_key, queue;

            if (cel_redis_member_split(&l.r->keys, member, &routing_key, &queue)) {
                l.fn(l.ctx, queue, routing_key);
            }
        }
    }
    cel_done(l.done, why.status < 0 ? &why : NULL, 0);
}

void cel_redis_bindings(struct cel_transport *t, const char *exchange, cel_binding_fn fn,
                        void *ctx, struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct listing *l;
    char *key;

    if (cel_redis_closed(r, done)) {
        return;
    }
    l = cel_alloc(sizeof *l);
    key = cel_redis_binding_key(&r->keys, cel_slice_of(exchange));
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, "SMEMBERS");
    cel_redis_args_adds(&r->args, key);
    if (l) {
        *l = (struct listing){r, fn, ctx, done};
    }
    if (!l || !key || cel_redis_send(r, on_listed, l) < 0) {
        cel_free(l);
        cel_redis_done_nomem(done);
    }
    cel_free(key);
}
