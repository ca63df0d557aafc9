/* SPDX-License-Identifier: BSD-3-Clause */
/* apply_async() of any signature, and the calls from outside. */
#include "canvas/sig.h"

void cel_trail_add(struct cel_ctx *x, const struct cel_res *res)
{
    struct cel_buf json = {0};

    if (!x->c->running_id.len || !res) {
        return;
    }
    const struct cel_node *tuple = cel_res_tuple(x, res);
    celery_status st = tuple ? cel_json_write(&json, tuple) : CELERY_ENOMEM;
    if (st == CELERY_OK) {
        st = cel_effects_add(x->effects,
                             &(struct cel_effect){.kind = CEL_EFFECT_CHILD,
                                                  .id = res->id,
                                                  .json = cel_buf_slice(&json)});
    }
    cel_buf_fini(&json);
    if (st < 0) {
        cel_ctx_fail(x, st, "the list of what is to be sent is too long");
    }
}

/* Signature.apply_async() */
static struct cel_res *task_apply(struct cel_ctx *x, const struct cel_sig *sig,
                                  const struct cel_node *args,
                                  const struct cel_node *kwargs, struct cel_opts *opts)
{
    bool partial = !sig->immutable && args && args->size > 0;
    struct cel_val v;

    (void)cel_opts_pop(opts, CEL_KEY("route_name"), &v);
    cel_opts_drop_none(opts);
    return cel_call_send(
        x, &(struct cel_call){
               .task = sig->task,
               .args = partial ? cel_args_joined(x, args, sig->args) : sig->args,
               .args_list = !partial && !sig->args_tuple,
               .kwargs = sig->immutable ? sig->kw->node
                                        : cel_kwargs_merged(x, sig->kw->node, kwargs),
               .opts = cel_sig_merge_opts(x, sig, opts),
           });
}

struct cel_res *cel_sig_applied(struct cel_ctx *x, const struct cel_sig *sig,
                                const struct cel_node *args,
                                const struct cel_node *kwargs, struct cel_opts *opts)
{
    struct cel_res *res = NULL;

    if (sig && opts && cel_ctx_enter(x)) {
        switch (sig->type) {
        case CEL_SIG_TASK:
            res = task_apply(x, sig, args, kwargs, opts);
            break;
        case CEL_SIG_CHAIN:
            res = cel_chain_apply(x, sig, args, kwargs, opts);
            break;
        case CEL_SIG_GROUP:
            res = cel_group_apply(x, sig, args, kwargs, opts);
            break;
        case CEL_SIG_CHORD:
            res = cel_chord_apply(x, sig, args, kwargs, opts);
            break;
        case CEL_SIG_MAP:
        case CEL_SIG_STARMAP:
            res = cel_map_apply(x, sig, opts);
            break;
        case CEL_SIG_CHUNKS:
            res = cel_chunks_apply(x, sig, args, kwargs, opts);
            break;
        }
        cel_ctx_leave(x);
    }
    return cel_ctx_ok(x) ? res : NULL;
}

celery_status cel_sig_apply(const struct cel_canvas *c, struct cel_arena *a,
                            const struct cel_sig *sig, const struct cel_node *args,
                            const struct cel_node *kwargs, const struct cel_node *options,
                            struct cel_effects *effects, struct cel_node **ret_result,
                            celery_error *err)
{
    struct cel_ctx x;
    size_t len = effects->bytes.len, n = effects->n;
    celery_status st = cel_canvas_check_options(options, "options", err);

    if (st < 0) {
        return st;
    }
    cel_ctx_init(&x, c, a, effects, err);
    cel_ctx_allow(&x, sig);
    struct cel_opts *opts = cel_opts_from(&x, options);
    struct cel_res *res = cel_sig_applied(&x, sig, args, kwargs, opts);
    if (!res && cel_ctx_ok(&x)) {
        cel_ctx_fail(&x, CELERY_EMESSAGE, "nothing to apply: a chain without tasks");
    }
    struct cel_node *result = cel_res_tuple(&x, res);
    st = cel_ctx_fini(&x);
    if (st < 0) {
        effects->bytes.len = len;
        effects->bytes.failed = false;
        effects->n = n;
    } else if (ret_result) {
        *ret_result = result;
    }
    return st;
}

celery_status cel_sig_freeze(const struct cel_canvas *c, struct cel_arena *a,
                             struct cel_sig *sig, struct cel_node **ret_result,
                             celery_error *err)
{
    struct cel_ctx x;

    cel_ctx_init(&x, c, a, NULL, err);
    cel_ctx_allow(&x, sig);
    struct cel_res *res = cel_sig_frozen(&x, sig, &(struct cel_freeze){0});
    struct cel_node *result = cel_res_tuple(&x, res);
    celery_status st = cel_ctx_fini(&x);
    if (st == CELERY_OK && ret_result) {
        *ret_result = result;
    }
    return st;
}
