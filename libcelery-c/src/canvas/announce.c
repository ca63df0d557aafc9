/* SPDX-License-Identifier: BSD-3-Clause */
/* What the backend is told of a chord before its header is sent. */
#include "canvas/sig.h"

/* celery/backends/redis.py apply_chord(): only a header with groups in it has a form to keep. */
static void save_header(struct cel_ctx *x, const struct cel_res *header)
{
    bool nested = false;
    struct cel_buf json = {0};
    celery_status st;

    for (size_t i = 0; i < header->n && !nested; i++) {
        nested = header->children[i]->group;
    }
    if (!nested) {
        return;
    }
    const struct cel_node *tuple = cel_res_tuple(x, header);
    if (!tuple) {
        return;
    }
    st = cel_json_write(&json, tuple);
    if (st == CELERY_OK) {
        st = cel_effects_add(x->effects,
                             &(struct cel_effect){.kind = CEL_EFFECT_SAVE_GROUP,
                                                  .id = header->id,
                                                  .json = cel_buf_slice(&json)});
    }
    cel_buf_fini(&json);
    if (st < 0) {
        cel_ctx_fail(x, st, "the result of a group cannot be saved");
    }
}

/* ---- celery/backends/base.py fallback_chord_unlock() ---- */

static void put(struct cel_ctx *x, struct cel_node *map, const char *key,
                struct cel_node *value)
{
    if (cel_doc_add_member(map, cel_node_new_string(x->a, cel_slice_of(key)), value) <
        0) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
    }
}

static const struct cel_node *unlock_args(struct cel_ctx *x, const struct cel_res *header,
                                          const struct cel_sig *body)
{
    struct cel_node *args = cel_node_new(x->a, CELERY_KIND_ARRAY);

    if (!args || cel_node_append(args, cel_node_new_string(x->a, header->id)) < 0 ||
        cel_node_append(args, cel_sig_node(x, x->a, body)) < 0) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
    }
    return args;
}

static const struct cel_node *unlock_kwargs(struct cel_ctx *x,
                                            const struct cel_res *header,
                                            const struct cel_val *interval,
                                            const struct cel_val *max_retries,
                                            struct cel_slice exchange_type)
{
    struct cel_node *map = cel_node_new(x->a, CELERY_KIND_OBJECT);
    struct cel_node *result = cel_node_new(x->a, CELERY_KIND_ARRAY);

    for (size_t i = 0; result && i < header->n; i++) {
        if (cel_node_append(result, cel_res_tuple(x, header->children[i])) < 0) {
            result = NULL;
        }
    }
    if (!map || !result) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
        return NULL;
    }
    put(x, map, "interval", cel_val_as_node(x, x->a, interval));
    put(x, map, "max_retries", cel_val_as_node(x, x->a, max_retries));
    put(x, map, "result", result);
    if (exchange_type.len) {
        put(x, map, "_chord_unlock_exchange_type",
            cel_node_new_string(x->a, exchange_type));
    }
    return map;
}

static bool is_stamp(const struct cel_opts *o, struct cel_slice key)
{
    const struct cel_val *stamped = cel_opts_find(o, CEL_KEY("stamped_headers"));

    if (!stamped || stamped->kind != CEL_VAL_NODE) {
        return false;
    }
    for (const struct cel_node *n = cel_node_first(stamped->node); n; n = n->next) {
        if (cel_slice_eq(cel_node_text(n), key)) {
            return true;
        }
    }
    return false;
}

static void unlock_routing(struct cel_ctx *x, const struct cel_sig *body,
                           struct cel_opts *o, struct cel_slice *ret_exchange_type)
{
    static const char *const keys[] = {"exchange", "exchange_type", "routing_key",
                                       "headers"};
    const struct cel_task_def *def =
        x->c->app ? cel_app_find_task(x->c->app, body->task) : NULL;
    struct cel_slice queue = cel_opts_text(body->opts, CEL_KEY("queue"));
    struct cel_route route;

    if (!queue.len && def && def->queue) {
        queue = cel_slice_of(def->queue);
    }
    const char *name = queue.len ? cel_arena_strndup(x->a, queue.data, queue.len) : NULL;
    celery_error why = {0};
    if (cel_router_route(x->c->router, body->task, name, &route, &why) < 0) {
        cel_ctx_fail(x, why.status, "%s", why.message);
        return;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct cel_slice key = cel_slice_of(keys[i]);
        struct cel_val *v = cel_opts_find(body->opts, key);
        if (!cel_val_none(v) && !is_stamp(body->opts, key)) {
            cel_opts_set(x, o, key, *v);
        }
    }
    *ret_exchange_type = cel_opts_text(o, CEL_KEY("exchange_type"));
    if (!ret_exchange_type->len) {
        *ret_exchange_type = cel_slice_of(route.queue->exchange_type);
        cel_opts_set_text(x, o, CEL_KEY("exchange_type"), *ret_exchange_type);
    }
    cel_opts_set_text(x, o, CEL_KEY("queue"), cel_slice_of(route.queue->name));
}

static void set_priority(struct cel_ctx *x, const struct cel_sig *body,
                         struct cel_opts *o)
{
    const struct cel_val *own = cel_opts_find(body->opts, CEL_KEY("priority"));
    const struct cel_task_def *def =
        x->c->app ? cel_app_find_task(x->c->app, body->task) : NULL;

    if (own) {
        cel_opts_set(x, o, CEL_KEY("priority"), *own);
    } else if (!def || def->priority >= 0) {
        cel_opts_set(x, o, CEL_KEY("priority"),
                     cel_val_node(cel_ctx_int(x, def ? def->priority : 0)));
    }
}

static void send_unlock(struct cel_ctx *x, const struct cel_res *header,
                        const struct cel_sig *body, const struct cel_val *interval,
                        const struct cel_val *max_retries)
{
    struct cel_opts *o = cel_opts_new(x);
    struct cel_slice exchange_type = CEL_SLICE_NULL;

    cel_opts_set(x, o, CEL_KEY("countdown"), cel_val_node(cel_ctx_int(x, 1)));
    cel_opts_set(x, o, CEL_KEY("ignore_result"), cel_val_node(cel_ctx_bool(x, true)));
    unlock_routing(x, body, o, &exchange_type);
    set_priority(x, body, o);
    const struct cel_node *args = unlock_args(x, header, body);
    const struct cel_node *kwargs =
        unlock_kwargs(x, header, interval, max_retries, exchange_type);
    if (cel_ctx_ok(x)) {
        (void)cel_call_send(x, &(struct cel_call){
                                   .task = CEL_SLICE("celery.chord_unlock"),
                                   .args = args,
                                   .kwargs = kwargs,
                                   .opts = o,
                               });
    }
}

bool cel_chord_allowed(struct cel_ctx *x)
{
    if (x->c->no_chords) {
        cel_ctx_fail(x, CELERY_ENOTSUP, "%s", x->c->no_chords);
    }
    return cel_ctx_ok(x);
}

void cel_chord_announce(struct cel_ctx *x, const struct cel_res *header,
                        const struct cel_sig *body, const struct cel_val *interval,
                        const struct cel_val *max_retries)
{
    if (!cel_chord_allowed(x)) {
        return;
    }
    if (x->c->backend_counts) {
        save_header(x, header);
    } else {
        send_unlock(x, header, body, interval, max_retries);
    }
}
