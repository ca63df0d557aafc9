/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_publish.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/utf8.h"
#include "message/envelope_json.h"
#include "transport/redis_dead.h"
#include "transport/redis_wait.h"

static bool is_closed(struct cel_redis_transport *r, struct cel_done done)
{
    celery_error err = {0};

    if (r->connected) {
        return false;
    }
    cel_error_set(&err, CELERY_ECLOSED, "not connected to the broker");
    cel_done(done, &err, 0);
    return true;
}

static void done_nomem(struct cel_done done)
{
    celery_error err = {0};

    cel_error_nomem(&err);
    cel_done(done, &err, 0);
}

/* ---- several commands, one completion ---- */

struct several {
    struct cel_redis_transport *r;
    struct cel_done done;
    const char *what;
    size_t left;
    int64_t sum; /* of the answers */
    celery_error err;
};

static void several_end(struct several *s)
{
    if (--s->left == 0) {
        cel_done(s->done, s->err.status < 0 ? &s->err : NULL, s->sum);
        cel_free(s);
    }
}

static void on_one(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct several *s = ctx;

    cel_redis_check(s->r, reply, err, s->what, &s->err);
    s->sum += cel_resp_int(reply);
    several_end(s);
}

/* Sends r->args as one of them. */
static void several_send(struct several *s)
{
    if (cel_redis_send(s->r, on_one, s) == 0) {
        s->left++;
    } else {
        cel_error_nomem(&s->err);
    }
}

static struct several *several_new(struct cel_redis_transport *r, const char *what,
                                   struct cel_done done)
{
    struct several *s = cel_calloc(1, sizeof *s);

    if (!s) {
        done_nomem(done);
        return NULL;
    }
    *s = (struct several){.r = r, .done = done, .what = what, .left = 1};
    return s;
}

/* ---- routing ---- */

struct lookup {
    struct cel_redis_transport *r;
    cel_redis_route_fn fn;
    void *ctx;
    char *routing_key;
    bool known; /* the exchange was declared here, with type */
    enum cel_exchange_type type;
};

/* The type is what this side declared; kombu takes an unknown exchange for direct. */
static bool exchange_type(const struct cel_redis_transport *r, struct cel_slice exchange,
                          enum cel_exchange_type *ret)
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
        l->known = exchange_type(r, exchange, &l->type);
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

/* ---- publishing ---- */

struct publishing {
    struct several *several;
    struct cel_buf text;
    int priority;
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

static void on_route(void *ctx, const struct cel_slice *queues, size_t n,
                     const celery_error *err)
{
    struct publishing *p = ctx;
    struct several *s = p->several;
    struct cel_redis_transport *r = s->r;
    size_t step = cel_redis_step(&r->keys, p->priority);

    if (err) {
        s->err = *err;
    }
    for (size_t i = 0; i < n; i++) {
        char *key = cel_redis_queue_key(&r->keys, queues[i], step);

        if (!key) {
            cel_error_nomem(&s->err);
            continue;
        }
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "LPUSH");
        cel_redis_args_adds(&r->args, key);
        cel_redis_args_add(&r->args, cel_buf_slice(&p->text));
        several_send(s);
        if (is_consumed(r, queues[i])) {
            cel_redis_wait_own(r);
        }
        cel_free(key);
    }
    cel_buf_fini(&p->text);
    cel_free(p);
    several_end(s);
}

static void broadcast(struct publishing *p, struct cel_slice exchange,
                      struct cel_slice routing_key)
{
    struct several *s = p->several;
    struct cel_redis_transport *r = s->r;
    char *channel = cel_redis_channel(&r->keys, exchange, routing_key, false);

    if (channel) {
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "PUBLISH");
        cel_redis_args_adds(&r->args, channel);
        cel_redis_args_add(&r->args, cel_buf_slice(&p->text));
        several_send(s);
    } else {
        cel_error_nomem(&s->err);
    }
    cel_free(channel);
    cel_buf_fini(&p->text);
    cel_free(p);
    several_end(s);
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

    if (is_closed(r, done)) {
        return;
    }
    p = cel_calloc(1, sizeof *p);
    if (!p) {
        done_nomem(done);
        return;
    }
    p->priority = envelope->priority;
    p->several = several_new(r, "publishing", done);
    if (!p->several) {
        cel_free(p);
        return;
    }
    if (write_text(r, &p->text, envelope) < 0) {
        cel_error_nomem(&p->several->err);
        on_route(p, NULL, 0, NULL);
        return;
    }
    exchange_type(r, ex, &type);
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

/* ---- queues ---- */

static char *replaced(const char *text, char **old)
{
    char *copy = cel_strdup(text ? text : "");

    if (copy) {
        cel_free(*old);
        *old = copy;
    }
    return copy;
}

/* kombu _queue_bind; queues themselves come into being with their first message. */
static void bind(struct cel_redis_transport *r, const struct cel_redis_queue *q,
                 struct several *s)
{
    char *key = cel_redis_binding_key(&r->keys, cel_slice_of(q->exchange));
    struct cel_slice binding_key = cel_slice_of(q->routing_key);
    struct cel_buf member = {0}, pattern = {0};

    if (q->type == CEL_EXCHANGE_TOPIC) {
        cel_exchange_topic_pattern(&pattern, binding_key);
    }
    cel_redis_member_write(&member, &r->keys, binding_key, cel_buf_slice(&pattern),
                           cel_slice_of(q->name));
    if (key && cel_buf_ok(&member) && cel_buf_ok(&pattern)) {
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "SADD");
        cel_redis_args_adds(&r->args, key);
        cel_redis_args_add(&r->args, cel_buf_slice(&member));
        several_send(s);
    } else {
        cel_error_nomem(&s->err);
    }
    cel_buf_fini(&member);
    cel_buf_fini(&pattern);
    cel_free(key);
}

void cel_redis_declare(struct cel_transport *t, const struct cel_queue *q,
                       struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_redis_queue *queue;
    enum cel_exchange_type type;
    celery_error err = {0};
    struct several *s;

    if (is_closed(r, done)) {
        return;
    }
    if (!cel_exchange_type_parse(q->exchange_type, &type)) {
        cel_error_set(&err, CELERY_ENOTSUP,
                      "queue %s: Redis has no exchanges of type %s; use direct, topic or "
                      "fanout",
                      q->name, q->exchange_type);
        cel_done(done, &err, 0);
        return;
    }
    queue = cel_redis_find_queue(r, q->name);
    if (!queue || !replaced(q->exchange, &queue->exchange) ||
        !replaced(q->routing_key, &queue->routing_key)) {
        done_nomem(done);
        return;
    }
    queue->type = type;
    s = several_new(r, "declaring a queue", done);
    if (s) {
        if (queue->exchange[0] && !q->no_declare) {
            bind(r, queue, s);
        }
        several_end(s);
    }
}

/* Sends a command for each priority key of a queue. */
static void each_key(struct cel_redis_transport *r, struct several *s,
                     const struct cel_redis_queue *q, const char *command)
{
    for (size_t i = 0; i < r->keys.n_steps; i++) {
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, command);
        cel_redis_args_adds(&r->args, q->keys[i]);
        several_send(s);
    }
}

void cel_redis_count(struct cel_transport *t, const char *queue, struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_redis_queue *q;
    struct several *s;

    if (is_closed(r, done)) {
        return;
    }
    q = cel_redis_find_queue(r, queue);
    s = q ? several_new(r, "counting messages", done) : NULL;
    if (!q) {
        done_nomem(done);
    } else if (s) {
        each_key(r, s, q, "LLEN");
        several_end(s);
    }
}

/* kombu _purge: the lengths are the answer, DEL's own answers are only 0 or 1. */
static const char purge[] = "local n = 0\n"
                            "for _, key in ipairs(KEYS) do\n"
                            "  n = n + redis.call('LLEN', key)\n"
                            "  redis.call('DEL', key)\n"
                            "end\n"
                            "return n\n";

void cel_redis_purge(struct cel_transport *t, const char *queue, struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_redis_queue *q;
    struct several *s;

    if (is_closed(r, done)) {
        return;
    }
    q = cel_redis_find_queue(r, queue);
    s = q ? several_new(r, "purging a queue", done) : NULL;
    if (!s) {
        if (!q) {
            done_nomem(done);
        }
        return;
    }
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, "EVAL");
    cel_redis_args_adds(&r->args, purge);
    cel_redis_args_add_int(&r->args, (int64_t)r->keys.n_steps);
    for (size_t i = 0; i < r->keys.n_steps; i++) {
        cel_redis_args_adds(&r->args, q->keys[i]);
    }
    several_send(s);
    several_end(s);
}

/* ---- dead letters ---- */

void cel_redis_bury(struct cel_transport *t, const char *queue, struct cel_slice raw,
                    const char *reason, struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_redis_queue *q = cel_redis_find_queue(r, queue);
    struct cel_buf entry = {0};
    struct several *s;

    if (is_closed(r, done)) {
        return;
    }
    if (!q ||
        cel_redis_dead_write(&entry, cel_slice_of(reason), cel_slice_of(queue), raw)) {
        cel_buf_fini(&entry);
        done_nomem(done);
        return;
    }
    s = several_new(r, "parking a message", done);
    if (s) {
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "LPUSH");
        cel_redis_args_adds(&r->args, q->dead_key);
        cel_redis_args_add(&r->args, cel_buf_slice(&entry));
        several_send(s);
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "LTRIM");
        cel_redis_args_adds(&r->args, q->dead_key);
        cel_redis_args_add_int(&r->args, 0);
        cel_redis_args_add_int(&r->args, (int64_t)r->base.max_dead - 1);
        several_send(s);
        several_end(s);
    }
    cel_buf_fini(&entry);
}
