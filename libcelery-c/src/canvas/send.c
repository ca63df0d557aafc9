/* SPDX-License-Identifier: BSD-3-Clause */
/* Task.apply_async() and Celery.send_task(): options become a message. */
#include "canvas/send.h"
#include "base/clock.h"
#include "canvas/message.h"
#include "message/delayed.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static const struct cel_ctx_conf *conf(const struct cel_sending *s)
{
    const struct cel_config *config = s->x->c->config;
    struct cel_ctx_conf *c = &s->x->conf;

    if (!c->read) {
        c->read = true;
        c->serializer = cel_config_text(config, "task_serializer");
        c->compression = cel_config_text(config, "task_compression");
        c->priority = (int)cel_config_int(config, "task_default_priority", 0);
        c->delivery_mode = (int)cel_config_int(config, "task_default_delivery_mode", 2);
        c->inherit_priority = cel_config_bool(config, "task_inherit_parent_priority");
        c->sent_event = cel_config_bool(config, "task_send_sent_event");
        c->time_limit = cel_config_double(config, "task_time_limit", -1);
        c->soft_time_limit = cel_config_double(config, "task_soft_time_limit", -1);
        c->repr_levels = cel_repr_levels(config);
    }
    return c;
}

/* ---- times ---- */

static void set_times(struct cel_sending *s)
{
    struct cel_task_call *call = &s->send.call;
    const struct cel_val *given = cel_opts_find(s->o, CEL_KEY("expires"));
    const struct cel_node *expires = cel_sending_option(s, "expires");
    double countdown = cel_sending_seconds(s, "countdown", 0), left = -1;

    if (fabs(countdown) > 0) {
        call->eta_us = s->now + (int64_t)(countdown * 1e6);
        s->delay = countdown;
    } else {
        int64_t us;
        call->eta = cel_sending_instant(s, "eta", &us);
        s->delay = call->eta.len ? (double)(us - s->now) * 1e-6 : 0;
    }
    if (cel_sending_is_number(expires)) {
        left = cel_sending_seconds(s, "expires", 0);
        call->expires_us = s->now + (int64_t)(left * 1e6);
        s->send.expiration_ms = left > 0 ? (int64_t)(left * 1e3) : 0;
    } else if (expires) {
        call->expires = cel_sending_instant(s, "expires", &call->expires_us);
    } else if (!given && s->def && s->def->expires >= 0) {
        call->expires_us = s->now + (int64_t)(s->def->expires * 1e6);
        s->send.expiration_ms = (int64_t)(s->def->expires * 1e3);
    }
}

/* What is registered has the limits of the settings (celery/app/task.py Task.from_config). */
static double limit_of(const struct cel_sending *s, const char *key, double own,
                       double setting)
{
    if (cel_opts_find(s->o, cel_slice_of(key))) {
        return cel_sending_seconds(s, key, -1);
    }
    return !s->def ? -1 : own >= 0 ? own : setting;
}

/* ---- routing (celery/app/amqp.py send_task_message) ---- */

static bool find_route(struct cel_sending *s)
{
    struct cel_ctx *x = s->x;
    const char *queue = cel_sending_text_or(s, "queue", s->def ? s->def->queue : NULL);
    struct cel_slice name = s->call->route_name.len ? s->call->route_name : s->call->task;
    celery_error why = {0};

    if (!queue && x->routed.len && cel_slice_eq(x->routed, name)) {
        s->route = x->route;
        return true;
    }
    if (cel_router_route(x->c->router, name, queue, &s->route, &why) < 0) {
        cel_ctx_fail(x, why.status, "%s", why.message);
        return false;
    }
    if (!queue) {
        x->routed = name; /* the parts of a group are mostly of one kind */
        x->route = s->route;
    }
    return true;
}

/*
 * celery/app/base.py send_task: native delayed delivery, to the queue by its own routing key.
 * An exchange of the caller's, and queues of direct exchanges, cannot take part; nor can
 * what is less than a second away, which upstream fails to send.
 */
static void set_delay(struct cel_sending *s)
{
    const struct cel_queue *q = s->route.queue;
    celery_error why = {0};
    char *key = NULL;

    if (!(s->delay > 0) || !cel_router_delays(s->x->c->router) ||
        strcmp(q->exchange_type, "direct") == 0 ||
        (cel_sending_text(s, "exchange").len && !cel_sending_text(s, "queue").len)) {
        return;
    }
    if (cel_delayed_key(s->x->a, s->delay, cel_slice_of(q->routing_key), &key, &why) <
        0) {
        cel_ctx_fail(s->x, why.status, "%s", why.message);
    }
    if (key) {
        s->send.exchange = CEL_SLICE(CEL_DELAYED_ENTRY);
        s->send.routing_key = cel_slice_of(key);
        s->delayed = true;
    }
}

static void set_route(struct cel_sending *s)
{
    if (!find_route(s)) {
        return;
    }
    const char *exchange = cel_sending_text_or(s, "exchange", NULL);
    const char *key = cel_sending_text_or(s, "routing_key", NULL);
    bool direct = strcmp(s->route.queue->exchange_type, "direct") == 0;
    s->send.exchange = s->route.exchange;
    s->send.routing_key = s->route.routing_key;
    if ((exchange && key) || !direct) {
        s->send.exchange = exchange ? cel_slice_of(exchange) : s->send.exchange;
        s->send.routing_key = key ? cel_slice_of(key) : s->send.routing_key;
    }
    set_delay(s);
}

static int priority_of(const struct cel_sending *s)
{
    const struct cel_canvas *c = s->x->c;
    int64_t own = cel_sending_int(s, "priority", INT64_MIN);

    if (own != INT64_MIN) {
        return (int)(own < 0 ? 0 : own > 255 ? 255 : own);
    }
    if (s->def && s->def->priority >= 0) {
        return s->def->priority;
    }
    if (s->route.priority >= 0) {
        return s->route.priority;
    }
    if (c->running_id.len && c->running_priority && conf(s)->inherit_priority) {
        return (int)cel_node_int(c->running_priority, 0);
    }
    return conf(s)->priority;
}

/* 1 and 2, or by kombu's names; else that of the exchange, which a delayed message loses. */
static int delivery_mode(const struct cel_sending *s)
{
    const struct cel_node *n = cel_sending_option(s, "delivery_mode");
    int own = s->route.queue && !s->delayed ? s->route.queue->delivery_mode : 0;

    if (cel_node_is_string(n)) {
        return cel_slice_is(cel_node_text(n), "transient") ? 1 : 2;
    }
    return n     ? (int)cel_sending_int(s, "delivery_mode", 2)
           : own ? own
                 : conf(s)->delivery_mode;
}

/* ---- headers and embed ---- */

/* gen<pid>@<host>, once for all messages of a call. */
static struct cel_slice origin(struct cel_sending *s)
{
    struct cel_ctx *x = s->x;
    char name[CEL_ANON_NODENAME];

    if (x->origin.len) {
        return x->origin;
    }
    if (x->c->origin.len) {
        return x->origin = x->c->origin;
    }
    char *copy = cel_arena_strndup(x->a, name, cel_anon_nodename(name));
    return x->origin = cel_slice_of(copy);
}

static void set_stamps(struct cel_sending *s)
{
    const struct cel_val *list = cel_opts_find(s->o, CEL_KEY("stamped_headers"));
    struct cel_arena *a = &s->x->scratch;

    if (cel_val_none(list)) {
        return;
    }
    const struct cel_node *names = cel_val_as_node(s->x, a, list);
    struct cel_node *stamps = cel_node_new(a, CELERY_KIND_OBJECT);
    if (!names || !stamps) {
        cel_ctx_fail(s->x, CELERY_ENOMEM, "out of memory");
        return;
    }
    if (names->kind != CELERY_KIND_ARRAY) {
        cel_sending_wrong(s, "stamped_headers", "is no list");
        return;
    }
    for (const struct cel_node *n = cel_node_first(names); n; n = n->next) {
        const struct cel_val *v = cel_opts_find(s->o, cel_node_text(n));
        if (!cel_node_is_string(n) || !v) {
            cel_sending_wrong(s, "stamped_headers", "names a stamp that is not there");
            return;
        }
        if (cel_node_put(a, stamps, cel_node_text(n), cel_val_as_node(s->x, a, v)) < 0) {
            cel_ctx_fail(s->x, CELERY_ENOMEM, "out of memory");
            return;
        }
    }
    s->send.call.stamped_headers = names;
    s->send.call.stamps = stamps;
}

static struct cel_node *callbacks(struct cel_sending *s, const char *key)
{
    const struct cel_val *v = cel_opts_find(s->o, cel_slice_of(key));
    struct cel_val list = cel_val_node(NULL);

    if (!cel_val_none(v)) {
        list = cel_val_list(cel_val_items(s->x, v)); /* maybe_list() */
    }
    return cel_val_as_node(s->x, &s->x->scratch, &list);
}

static struct cel_node *raw(struct cel_sending *s, const char *key)
{
    const struct cel_val *v = cel_opts_find(s->o, cel_slice_of(key));
    const struct cel_val none = cel_val_node(NULL);

    return cel_val_as_node(s->x, &s->x->scratch, v ? v : &none);
}

static void set_embed(struct cel_sending *s)
{
    static const char *const options[] = {"link", "link_error", "chain", "chord"};
    static const char *const names[] = {"callbacks", "errbacks", "chain", "chord"};
    struct cel_arena *a = &s->x->scratch;
    bool any = false;

    for (int i = 0; i < 4; i++) {
        any = any || !cel_val_none(cel_opts_find(s->o, cel_slice_of(options[i])));
    }
    if (!any) {
        return;
    }
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);
    for (int i = 0; i < 4 && map && cel_ctx_ok(s->x); i++) {
        struct cel_node *v = i < 2 ? callbacks(s, options[i]) : raw(s, options[i]);
        if (cel_doc_add_member(map, cel_node_new_string(a, cel_slice_of(names[i])), v) <
            0) {
            cel_ctx_fail(s->x, CELERY_ELIMIT, "%.*s: callbacks of more than %zu bytes",
                         (int)s->call->task.len, s->call->task.data, a->max);
        }
    }
    s->send.call.embed = map;
}

/* A list is shown as one (celery/app/amqp.py as_task_v2, saferepr). */
static void set_argsrepr(struct cel_sending *s)
{
    struct cel_buf out = {0};

    s->send.call.argsrepr = cel_sending_text(s, "argsrepr");
    s->send.call.kwargsrepr = cel_sending_text(s, "kwargsrepr");
    if (s->send.call.argsrepr.data || !s->call->args_list || !s->call->args ||
        s->call->args->size == 0) {
        return;
    }
    if (cel_saferepr(&out, s->call->args, 1024, s->send.repr_levels, false) ==
        CELERY_OK) {
        char *copy = cel_arena_strndup(&s->x->scratch, out.data, out.len);
        s->send.call.argsrepr = cel_slice(copy, copy ? out.len : 0);
    }
    cel_buf_fini(&out);
}

static void set_family(struct cel_sending *s)
{
    const struct cel_canvas *c = s->x->c;
    struct cel_task_call *call = &s->send.call;

    call->root_id = cel_sending_text(s, "root_id");
    call->parent_id = cel_sending_text(s, "parent_id");
    call->group = cel_sending_text(s, "group_id");
    call->group_index = cel_sending_int(s, "group_index", -1);
    if (!c->running_id.len) {
        return;
    }
    if (!call->root_id.len) {
        call->root_id = c->running_root.len ? c->running_root : c->running_id;
    }
    if (!call->parent_id.len) {
        call->parent_id = c->running_id;
    }
}

static enum cel_tristate ignore_result(const struct cel_sending *s)
{
    const struct cel_val *v = cel_opts_find(s->o, CEL_KEY("ignore_result"));

    if (v) {
        return cel_val_truth(v) ? CEL_YES : CEL_NO;
    }
    return s->def ? (cel_task_option(s->x->c->app, s->def->ignore_result,
                                     "task_ignore_result")
                         ? CEL_YES
                         : CEL_NO)
                  : CEL_UNSET;
}

static void set_call(struct cel_sending *s, struct cel_slice id)
{
    struct cel_task_call *call = &s->send.call;
    const struct cel_task_def *def = s->def;

    cel_task_call_init(call);
    call->id = id;
    call->task = s->call->task;
    call->args = s->call->args;
    call->kwargs = s->call->kwargs;
    call->shadow = cel_sending_text(s, "shadow");
    call->retries = cel_sending_int(s, "retries", 0);
    call->replaced_task_nesting = cel_sending_int(s, "replaced_task_nesting", 0);
    call->ignore_result = ignore_result(s);
    call->time_limit =
        limit_of(s, "time_limit", def ? def->time_limit : -1, conf(s)->time_limit);
    call->soft_time_limit = limit_of(
        s, "soft_time_limit", def ? def->soft_time_limit : -1, conf(s)->soft_time_limit);
    call->origin = cel_sending_text(s, "origin");
    if (!call->origin.len) {
        call->origin = origin(s);
    }
    set_family(s);
    set_times(s);
    set_stamps(s);
    set_embed(s);
    set_argsrepr(s);
}

static void fill(struct cel_sending *s, struct cel_slice id)
{
    const struct cel_task_def *def = s->def;
    const char *serializer = conf(s)->serializer;
    const char *compression = conf(s)->compression;
    struct cel_slice reply_to = cel_sending_text(s, "reply_to");

    s->send.repr_levels = conf(s)->repr_levels;
    set_call(s, id);
    set_route(s);
    s->send.headers = cel_sending_option(s, "headers");
    if (s->send.headers && s->send.headers->kind != CELERY_KIND_OBJECT) {
        cel_sending_wrong(s, "headers", "is no map");
    }
    s->send.traceparent = s->x->c->traceparent;
    s->send.tracestate = s->x->c->tracestate;
    s->send.reply_to = reply_to.len ? reply_to : s->x->c->reply_to;
    s->send.priority = cel_ctx_ok(s->x) ? priority_of(s) : 0;
    s->send.delivery_mode = delivery_mode(s);
    s->send.serializer = cel_sending_text_or(
        s, "serializer", def && def->serializer ? def->serializer : serializer);
    s->send.compression = cel_sending_text_or(
        s, "compression", def && def->compression ? def->compression : compression);
}

/* *ret_id is the arena's. */
static celery_status make(struct cel_sending *s, struct cel_slice *ret_id,
                          struct cel_envelope **ret_env)
{
    struct cel_ctx *x = s->x;
    struct cel_slice id = cel_sending_text(s, "task_id");

    s->now = cel_clock_wall_us();
    s->def = x->c->app ? cel_app_find_task(x->c->app, s->call->task) : NULL;
    id = id.len ? id : cel_ctx_uuid(x);
    fill(s, id);
    *ret_id = id;
    if (cel_ctx_ok(x)) {
        celery_error why = {0};
        celery_status st = cel_task_send_envelope(&s->send, ret_env, &why);
        if (st < 0) {
            cel_ctx_fail(x, st, "%.*s: %s", (int)s->call->task.len, s->call->task.data,
                         why.message);
        }
    }
    return x->status;
}

struct cel_res *cel_call_send(struct cel_ctx *x, const struct cel_call *call)
{
    struct cel_sending s = {.x = x, .call = call, .o = call->opts};
    const struct cel_val *trail = cel_opts_find(call->opts, CEL_KEY("add_to_parent"));
    struct cel_envelope *env = NULL;
    struct cel_slice id;

    if (!cel_ctx_ok(x)) {
        return NULL;
    }
    if (make(&s, &id, &env) == CELERY_OK) {
        struct cel_slice queue = cel_slice_of(s.route.queue->name);
        celery_status st = cel_effects_publish(x->effects, id, env, queue,
                                               s.send.exchange, s.send.routing_key);
        if (st == CELERY_OK && conf(&s)->sent_event) {
            st = cel_effects_sent(x->effects, env, queue, s.send.exchange,
                                  s.send.routing_key);
        }
        if (st < 0) {
            cel_ctx_fail(x, st,
                         st == CELERY_ENOMEM ? "out of memory"
                                             : "too much to be sent at once");
        }
    }
    cel_envelope_free(env);
    cel_arena_reset(&x->scratch);
    struct cel_res *res = cel_ctx_ok(x) ? cel_res_new(x, id) : NULL;
    if (res && (!trail || cel_val_truth(trail))) {
        cel_trail_add(x, res);
    }
    return res;
}

celery_status cel_message_make(const struct cel_canvas *c, struct cel_arena *a,
                               struct cel_slice task, const struct cel_node *args,
                               const struct cel_node *kwargs,
                               const struct cel_node *options, struct cel_message *ret,
                               celery_error *err)
{
    struct cel_ctx x;
    cel_ctx_init(&x, c, a, NULL, err);
    struct cel_call call = {
        .task = task, .args = args, .kwargs = kwargs, .opts = cel_opts_from(&x, options)};
    struct cel_sending s = {.x = &x, .call = &call, .o = call.opts};

    if (make(&s, &ret->id, &ret->envelope) == CELERY_OK) {
        ret->queue = s.route.queue;
        ret->exchange = s.send.exchange.data;
        ret->routing_key = s.send.routing_key.data;
        ret->ignore_result = s.send.call.ignore_result == CEL_YES;
    }
    return cel_ctx_fini(&x);
}
