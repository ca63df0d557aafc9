/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues by name: declaring, counting, purging; and the dead letters of one. */
#include "base/alloc.h"
#include "base/error.h"
#include "transport/redis_dead.h"
#include "transport/redis_listen.h"
#include "transport/redis_publish.h"
#include "transport/redis_several.h"

void cel_redis_free_queue(struct cel_redis_queue *q)
{
    cel_free(q->name);
    cel_free(q->dead_key);
    cel_free(q->exchange);
    cel_free(q->routing_key);
    for (size_t i = 0; i < CEL_REDIS_MAX_STEPS; i++) {
        cel_free(q->keys[i]);
    }
    cel_free(q);
}

static bool name_queue(struct cel_redis_transport *r, struct cel_redis_queue *q,
                       const char *name)
{
    struct cel_slice text = cel_slice_of(name);

    q->name = cel_strdup(name);
    q->dead_key = cel_redis_dead_key(&r->keys, text);
    q->exchange = cel_strdup("");
    q->routing_key = cel_strdup(name);
    for (size_t i = 0; i < r->keys.n_steps; i++) {
        q->keys[i] = cel_redis_queue_key(&r->keys, text, i);
        if (!q->keys[i]) {
            return false;
        }
    }
    return q->name && q->dead_key && q->exchange && q->routing_key;
}

struct cel_redis_queue *cel_redis_find_queue(struct cel_redis_transport *r,
                                             const char *name)
{
    struct cel_list *it, *tmp;
    struct cel_redis_queue *q;

    cel_list_foreach(it, tmp, &r->queues) {
        q = cel_container_of(it, struct cel_redis_queue, node);
        if (strcmp(q->name, name) == 0) {
            return q;
        }
    }
    q = cel_calloc(1, sizeof *q);
    if (!q) {
        return NULL;
    }
    if (!name_queue(r, q, name)) {
        cel_redis_free_queue(q);
        return NULL;
    }
    cel_list_append(&r->queues, &q->node);
    return q;
}

static char *replaced(const char *text, char **old)
{
    char *copy = cel_strdup(text ? text : "");

    if (copy) {
        cel_free(*old);
        *old = copy;
    }
    return copy;
}

/* SADD: kombu _queue_bind; queues themselves come into being with their first message. */
static void change_binding(struct cel_redis_transport *r, const struct cel_redis_queue *q,
                           struct cel_redis_several *s, const char *command)
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
        cel_redis_args_adds(&r->args, command);
        cel_redis_args_adds(&r->args, key);
        cel_redis_args_add(&r->args, cel_buf_slice(&member));
        cel_redis_several_send(s);
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
    struct cel_redis_several *s;

    if (cel_redis_closed(r, done)) {
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
        cel_redis_done_nomem(done);
        return;
    }
    queue->type = type;
    queue->no_ack = q->no_ack;
    s = cel_redis_several_new(r, "declaring a queue", done);
    if (s) {
        if (queue->exchange[0] && !q->no_declare && !q->exchange_only) {
            change_binding(r, queue, s, "SADD");
        }
        cel_redis_several_end(s);
    }
}

/* Sends a command for each priority key of a queue. */
static void each_key(struct cel_redis_transport *r, struct cel_redis_several *s,
                     const struct cel_redis_queue *q, const char *command)
{
    for (size_t i = 0; i < r->keys.n_steps; i++) {
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, command);
        cel_redis_args_adds(&r->args, q->keys[i]);
        cel_redis_several_send(s);
    }
}

/*
 * The queue of that name and the commands about it, to be ended.  NULL: done has been told
 * why not.
 */
static struct cel_redis_several *about_queue(struct cel_transport *t, const char *queue,
                                             const char *what, struct cel_done done,
                                             struct cel_redis_queue **ret_q)
{
    struct cel_redis_transport *r = cel_redis_transport(t);

    if (cel_redis_closed(r, done)) {
        return NULL;
    }
    *ret_q = cel_redis_find_queue(r, queue);
    if (!*ret_q) {
        cel_redis_done_nomem(done);
        return NULL;
    }
    return cel_redis_several_new(r, what, done);
}

void cel_redis_count(struct cel_transport *t, const char *queue, struct cel_done done)
{
    struct cel_redis_queue *q;
    struct cel_redis_several *s = about_queue(t, queue, "counting messages", done, &q);

    if (s) {
        each_key(cel_redis_transport(t), s, q, "LLEN");
        cel_redis_several_end(s);
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
    struct cel_redis_several *s = about_queue(t, queue, "purging a queue", done, &q);

    if (!s) {
        return;
    }
    cel_redis_args_clear(&r->args);
    cel_redis_args_adds(&r->args, "EVAL");
    cel_redis_args_adds(&r->args, purge);
    cel_redis_args_add_int(&r->args, (int64_t)r->keys.n_steps);
    for (size_t i = 0; i < r->keys.n_steps; i++) {
        cel_redis_args_adds(&r->args, q->keys[i]);
    }
    cel_redis_several_send(s);
    cel_redis_several_end(s);
}

/* kombu _delete; its messages and the binding by which more would come. */
void cel_redis_delete_queue(struct cel_transport *t, const char *queue,
                            struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_redis_queue *q;
    struct cel_redis_several *s = about_queue(t, queue, "deleting a queue", done, &q);

    if (!s) {
        return;
    }
    cel_redis_cancel(t, queue, NULL);
    if (q->exchange[0]) {
        change_binding(r, q, s, "SREM");
    }
    each_key(r, s, q, "DEL");
    cel_redis_several_end(s);
}

/* ---- dead letters ---- */

void cel_redis_bury(struct cel_transport *t, const char *queue,
                    const struct cel_envelope *envelope, const char *reason,
                    struct cel_done done)
{
    struct cel_redis_transport *r = cel_redis_transport(t);
    struct cel_redis_queue *q = cel_redis_find_queue(r, queue);
    struct cel_buf entry = {0};
    struct cel_redis_several *s;

    if (cel_redis_closed(r, done)) {
        return;
    }
    if (!q || cel_redis_dead_write(&entry, cel_slice_of(reason), cel_slice_of(queue),
                                   envelope->raw)) {
        cel_buf_fini(&entry);
        cel_redis_done_nomem(done);
        return;
    }
    s = cel_redis_several_new(r, "parking a message", done);
    if (s) {
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "LPUSH");
        cel_redis_args_adds(&r->args, q->dead_key);
        cel_redis_args_add(&r->args, cel_buf_slice(&entry));
        cel_redis_several_send(s);
        cel_redis_args_clear(&r->args);
        cel_redis_args_adds(&r->args, "LTRIM");
        cel_redis_args_adds(&r->args, q->dead_key);
        cel_redis_args_add_int(&r->args, 0);
        cel_redis_args_add_int(&r->args, (int64_t)r->base.max_dead - 1);
        cel_redis_several_send(s);
        cel_redis_several_end(s);
    }
    cel_buf_fini(&entry);
}
