/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/delayed.h"
#include "base/buf.h"
#include "base/error.h"
#include <stdio.h>

enum {
    TOP = CEL_DELAYED_LEVELS - 1,
    PREFIX = 2 * CEL_DELAYED_LEVELS, /* "0." or "1." for each level */
};

struct plan {
    struct cel_arena *a;
    struct cel_queue_step *steps;
    size_t n, cap;
};

static celery_status plan_init(struct plan *p, struct cel_arena *a, size_t cap,
                               celery_error *err)
{
    *p = (struct plan){.a = a, .cap = cap};
    p->steps = cel_arena_alloc(a, (cap ? cap : 1) * sizeof *p->steps);
    return p->steps ? CELERY_OK : cel_error_nomem(err);
}

static void add(struct plan *p, struct cel_queue_step step)
{
    p->steps[p->n++] = step;
}

/* ---- the levels ---- */

/* Below the last one is the exchange where messages come out. */
static const char *level_name(struct cel_arena *a, int level)
{
    char text[32];
    if (level < 0) {
        return CEL_DELAYED_DELIVERY;
    }
    int n = snprintf(text, sizeof text, "celery_delayed_%d", level);
    return cel_arena_strndup(a, text, (size_t)n);
}

/* Looks at the bit of a level: "*.*.1.#". */
static const char *level_key(struct cel_arena *a, int level, char bit)
{
    char text[PREFIX + 2], *end = text;
    for (int i = TOP; i > level; i--) {
        *end++ = '*';
        *end++ = '.';
    }
    *end++ = bit;
    *end++ = '.';
    *end++ = '#';
    return cel_arena_strndup(a, text, (size_t)(end - text));
}

static celery_status put_text(struct cel_arena *a, struct cel_node *map, const char *key,
                              const char *value)
{
    return cel_node_put(a, map, cel_slice_of(key),
                        cel_node_new_string(a, cel_slice_of(value)));
}

static struct cel_node *level_arguments(struct cel_arena *a, int level,
                                        const char *queue_type, const char *next)
{
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);
    int64_t ttl = ((int64_t)1 << level) * 1000;
    if (!map || !next || put_text(a, map, "x-queue-type", queue_type) < 0 ||
        put_text(a, map, "x-overflow", "reject-publish") < 0 ||
        cel_node_put(a, map, CEL_SLICE("x-message-ttl"), cel_node_new_int(a, ttl)) < 0 ||
        put_text(a, map, "x-dead-letter-exchange", next) < 0) {
        return NULL;
    }
    if (strcmp(queue_type, "quorum") == 0 &&
        put_text(a, map, "x-dead-letter-strategy", "at-least-once") < 0) {
        return NULL;
    }
    return map;
}

static bool add_level(struct plan *p, int level, const char *queue_type)
{
    const char *name = level_name(p->a, level);
    const char *key = level_key(p->a, level, '1');
    struct cel_node *arguments =
        level_arguments(p->a, level, queue_type, level_name(p->a, level - 1));
    if (!name || !key || !arguments) {
        return false;
    }
    add(p, (struct cel_queue_step){.kind = CEL_DECLARE_EXCHANGE,
                                   .name = name,
                                   .type = "topic",
                                   .durable = true});
    add(p, (struct cel_queue_step){.kind = CEL_DECLARE_QUEUE,
                                   .name = name,
                                   .arguments = arguments,
                                   .durable = true});
    add(p, (struct cel_queue_step){
               .kind = CEL_BIND_QUEUE, .name = name, .source = name, .routing_key = key});
    return true;
}

/* Who need not wait in a level goes to the next one at once. */
static bool add_shortcut(struct plan *p, int level)
{
    const char *source = level_name(p->a, level);
    const char *next = level_name(p->a, level - 1);
    const char *key = level_key(p->a, level, '0');
    if (!source || !next || !key) {
        return false;
    }
    add(p, (struct cel_queue_step){.kind = CEL_BIND_EXCHANGE,
                                   .name = next,
                                   .source = source,
                                   .routing_key = key});
    return true;
}

celery_status cel_delayed_steps(struct cel_arena *a, const char *queue_type,
                                struct cel_queue_step **ret_steps, size_t *ret_n,
                                celery_error *err)
{
    struct plan p;
    bool ok = true;
    if (strcmp(queue_type, "quorum") != 0 && strcmp(queue_type, "classic") != 0) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "broker_native_delayed_delivery_queue_type: %.40s; it is "
                             "quorum or classic",
                             queue_type);
    }
    celery_status st = plan_init(&p, a, CEL_DELAYED_LEVELS * 4 + 1, err);
    if (st < 0) {
        return st;
    }
    for (int level = TOP; level >= 0 && ok; level--) {
        ok = add_level(&p, level, queue_type);
    }
    for (int level = TOP; level > 0 && ok; level--) {
        ok = add_shortcut(&p, level);
    }
    add(&p, (struct cel_queue_step){.kind = CEL_DECLARE_EXCHANGE,
                                    .name = CEL_DELAYED_DELIVERY,
                                    .type = "topic",
                                    .durable = true});
    if (!ok || !add_shortcut(&p, 0)) {
        return cel_error_nomem(err);
    }
    *ret_steps = p.steps;
    *ret_n = p.n;
    return CELERY_OK;
}

/* ---- queues ---- */

/* The key of a queue, behind the bits of the delay. */
static const char *behind_bits(struct cel_arena *a, const char *key)
{
    size_t len = strlen(key);
    if (key[0] == '#') {
        return key;
    }
    char *text = cel_arena_alloc(a, len + 3);
    if (text) {
        text[0] = '#';
        text[1] = '.';
        memcpy(text + 2, key, len + 1);
    }
    return text;
}

static celery_status add_binding(struct plan *p, const char *queue, const char *exchange,
                                 const char *key, celery_error *err)
{
    key = behind_bits(p->a, key ? key : "");
    if (!key) {
        return cel_error_nomem(err);
    }
    add(p, (struct cel_queue_step){.kind = CEL_BIND_EXCHANGE,
                                   .name = exchange,
                                   .source = CEL_DELAYED_DELIVERY,
                                   .routing_key = key});
    add(p, (struct cel_queue_step){.kind = CEL_BIND_QUEUE,
                                   .name = queue,
                                   .source = exchange,
                                   .routing_key = key});
    return CELERY_OK;
}

static bool is_direct(const char *exchange, const char *type)
{
    return !exchange || !exchange[0] || !type || !type[0] || strcmp(type, "direct") == 0;
}

celery_status cel_delayed_bind_steps(struct cel_arena *a, const struct cel_queue *q,
                                     struct cel_queue_step **ret_steps, size_t *ret_n,
                                     const char **ret_direct, celery_error *err)
{
    struct plan p;
    celery_status st = plan_init(&p, a, 2 * (q->n_bindings + 1), err);
    *ret_direct = NULL;
    if (st < 0) {
        return st;
    }
    /* Like upstream: a queue that has an exchange of its own is reached through that. */
    bool own = q->exchange && q->exchange[0];
    for (size_t i = 0; i < (own ? 1 : q->n_bindings) && st == CELERY_OK; i++) {
        const char *exchange = own ? q->exchange : q->bindings[i].exchange;
        const char *type = own ? q->exchange_type : q->bindings[i].exchange_type;
        const char *key = own ? q->routing_key : q->bindings[i].routing_key;
        if (!is_direct(exchange, type)) {
            st = add_binding(&p, q->name, exchange, key, err);
        } else if (!*ret_direct) {
            *ret_direct = exchange ? exchange : "";
        }
    }
    *ret_steps = p.steps;
    *ret_n = p.n;
    return st;
}

void cel_delayed_direct_text(const char *exchange, char *text, size_t size)
{
    snprintf(
        text, size,
        "Exchange %.80s is a direct exchange and native delayed delivery do not support "
        "direct exchanges.\nETA tasks published to this exchange will block the worker "
        "until the ETA arrives.",
        exchange);
}

/* ---- routing keys ---- */

struct cel_slice cel_delayed_strip(struct cel_slice key)
{
    if (key.len < PREFIX) {
        return key;
    }
    for (size_t i = 0; i < PREFIX; i += 2) {
        if ((key.data[i] != '0' && key.data[i] != '1') || key.data[i + 1] != '.') {
            return key;
        }
    }
    return cel_slice(key.data + PREFIX, key.len - PREFIX);
}

celery_status cel_delayed_key(struct cel_arena *a, double countdown,
                              struct cel_slice routing_key, char **ret_key,
                              celery_error *err)
{
    struct cel_slice rest = cel_delayed_strip(routing_key);
    *ret_key = NULL;
    if (!(countdown >= 1) || rest.len == 0) {
        return CELERY_OK;
    }
    int64_t seconds =
        countdown >= (double)CEL_DELAYED_MAX ? CEL_DELAYED_MAX : (int64_t)countdown;
    char *key = cel_arena_alloc(a, PREFIX + rest.len + 1);
    if (!key) {
        return cel_error_nomem(err);
    }
    for (int i = 0; i < CEL_DELAYED_LEVELS; i++) {
        key[2 * i] = (seconds >> (TOP - i)) & 1 ? '1' : '0';
        key[2 * i + 1] = '.';
    }
    memcpy(key + PREFIX, rest.data, rest.len);
    key[PREFIX + rest.len] = '\0';
    *ret_key = key;
    return CELERY_OK;
}

/* ---- what is given back ---- */

enum { MAX_KEY = 255 };

bool cel_delayed_can_return(const char *queue)
{
    return PREFIX + strlen(CEL_DELAYED_BACK) + strlen(queue) <= MAX_KEY &&
           !strpbrk(queue, "*#");
}

struct cel_slice cel_delayed_returns_to(struct cel_slice key)
{
    struct cel_slice mark = CEL_SLICE(CEL_DELAYED_BACK);

    return cel_slice_starts(key, mark)
               ? cel_slice(key.data + mark.len, key.len - mark.len)
               : CEL_SLICE_NULL;
}

/* lead, CEL_DELAYED_BACK and the name of a queue. */
static char *return_text(struct cel_arena *a, const char *lead, const char *queue)
{
    size_t size = strlen(lead) + strlen(CEL_DELAYED_BACK) + strlen(queue) + 1;
    char *text = cel_arena_alloc(a, size);

    if (text) {
        snprintf(text, size, "%s" CEL_DELAYED_BACK "%s", lead, queue);
    }
    return text;
}

celery_status cel_delayed_return_step(struct cel_arena *a, const char *queue,
                                      struct cel_queue_step *ret_step, celery_error *err)
{
    *ret_step = (struct cel_queue_step){.kind = CEL_BIND_QUEUE,
                                        .name = queue,
                                        .source = CEL_DELAYED_DELIVERY,
                                        .routing_key = return_text(a, "#.", queue)};
    return ret_step->routing_key ? CELERY_OK : cel_error_nomem(err);
}

celery_status cel_delayed_return_key(struct cel_arena *a, double seconds,
                                     const char *queue, char **ret_key, celery_error *err)
{
    const char *text = return_text(a, "", queue);

    *ret_key = NULL;
    return text ? cel_delayed_key(a, seconds, cel_slice_of(text), ret_key, err)
                : cel_error_nomem(err);
}
