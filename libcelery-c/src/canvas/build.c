/* SPDX-License-Identifier: BSD-3-Clause */
/* The public face of signatures: building, options, callbacks, dict form. */
#include "canvas/sig.h"

struct cel_node *cel_canvas_doc(struct cel_arena *a, const struct cel_sig *sig)
{
    struct cel_ctx x;

    if (!sig) {
        return NULL;
    }
    cel_ctx_init(&x, NULL, a, NULL, NULL);
    struct cel_node *doc = cel_sig_node(&x, a, sig);
    return cel_ctx_fini(&x) == CELERY_OK ? doc : NULL;
}

struct cel_sig *cel_sig_task(struct cel_arena *a, struct cel_slice task,
                             struct cel_node *args, struct cel_node *kwargs,
                             struct cel_node *options, bool immutable)
{
    struct cel_ctx x;

    cel_ctx_init(&x, NULL, a, NULL, NULL);
    struct cel_sig *sig = cel_sig_make(&x, CEL_SIG_TASK, task, args, NULL,
                                       cel_opts_from(&x, options), immutable);
    if (sig) {
        sig->kw->node = kwargs;
    }
    return cel_ctx_fini(&x) == CELERY_OK ? sig : NULL;
}

struct cel_sig *cel_sig_group(struct cel_arena *a, struct cel_sig *const *tasks, size_t n)
{
    struct cel_ctx x;

    cel_ctx_init(&x, NULL, a, NULL, NULL);
    struct cel_list_obj *l = cel_list_obj_new(&x, n);
    for (size_t i = 0; i < n; i++) {
        if (!tasks[i]) {
            cel_ctx_fail(&x, CELERY_EINVAL, "no signature");
            break;
        }
        cel_list_obj_add(&x, l, cel_val_sig(tasks[i]));
    }
    struct cel_sig *sig =
        cel_ctx_ok(&x) ? cel_sig_of_tasks(&x, CEL_SIG_GROUP, l, NULL) : NULL;
    return cel_ctx_fini(&x) == CELERY_OK ? sig : NULL;
}

struct cel_sig *cel_sig_chord(struct cel_arena *a, struct cel_sig *header,
                              struct cel_sig *body)
{
    struct cel_ctx x;

    if (!header) {
        return NULL;
    }
    cel_ctx_init(&x, NULL, a, NULL, NULL);
    struct cel_sig *sig = cel_chord_make(&x, cel_val_sig(header), body, NULL);
    return cel_ctx_fini(&x) == CELERY_OK ? sig : NULL;
}

struct cel_sig *cel_sig_map(struct cel_arena *a, struct cel_sig *task,
                            struct cel_node *it, bool star, int64_t n)
{
    struct cel_ctx x;

    if (!task || !it || it->kind != CELERY_KIND_ARRAY) {
        return NULL;
    }
    cel_ctx_init(&x, NULL, a, NULL, NULL);
    struct cel_sig *sig = cel_map_make(&x,
                                       n > 0  ? CEL_SIG_CHUNKS
                                       : star ? CEL_SIG_STARMAP
                                              : CEL_SIG_MAP,
                                       cel_val_sig(task), it, n, NULL);
    return cel_ctx_fini(&x) == CELERY_OK ? sig : NULL;
}

struct cel_sig *cel_sig_clone(struct cel_arena *a, const struct cel_sig *sig,
                              const struct cel_node *args, const struct cel_node *kwargs)
{
    struct cel_ctx x;

    cel_ctx_init(&x, NULL, a, NULL, NULL);
    struct cel_sig *copy = cel_sig_cloned(&x, sig, args, kwargs, NULL);
    return cel_ctx_fini(&x) == CELERY_OK ? copy : NULL;
}

celery_status cel_sig_set_option(struct cel_arena *a, struct cel_sig *sig,
                                 const char *name, struct cel_node *value)
{
    struct cel_ctx x;

    if (!sig || !name || !value) {
        return CELERY_EINVAL;
    }
    cel_ctx_init(&x, NULL, a, NULL, NULL);
    char *key = cel_arena_strndup(a, name, strlen(name));
    if (!key) {
        cel_ctx_fail(&x, CELERY_ENOMEM, "out of memory");
    } else {
        cel_opts_set(&x, sig->opts, cel_slice_of(key), cel_val_node(value));
    }
    return cel_ctx_fini(&x);
}

const struct cel_node *cel_sig_option(const struct cel_sig *sig, const char *name)
{
    const struct cel_val *v = sig ? cel_opts_find(sig->opts, cel_slice_of(name)) : NULL;

    return v && v->kind == CEL_VAL_NODE ? v->node : NULL;
}

void cel_sig_set_args(struct cel_sig *sig, struct cel_node *args)
{
    if (sig) {
        sig->args = args;
        sig->args_tuple = true;
    }
}

void cel_sig_set_kwargs(struct cel_sig *sig, struct cel_node *kwargs)
{
    if (sig) {
        sig->kw->node = kwargs;
    }
}

static celery_status
link_to(struct cel_arena *a, struct cel_sig *sig, struct cel_sig *callback,
        void (*link)(struct cel_ctx *, struct cel_sig *, struct cel_val))
{
    struct cel_ctx x;

    if (!sig || !callback || sig == callback) {
        return CELERY_EINVAL;
    }
    cel_ctx_init(&x, NULL, a, NULL, NULL);
    link(&x, sig, cel_val_sig(callback));
    return cel_ctx_fini(&x);
}

celery_status cel_sig_link(struct cel_arena *a, struct cel_sig *sig,
                           struct cel_sig *callback)
{
    return link_to(a, sig, callback, cel_sig_do_link);
}

celery_status cel_sig_link_error(struct cel_arena *a, struct cel_sig *sig,
                                 struct cel_sig *errback)
{
    return link_to(a, sig, errback, cel_sig_do_link_error);
}

struct cel_slice cel_sig_task_name(const struct cel_sig *sig)
{
    return sig ? sig->task : CEL_SLICE_NULL;
}

struct cel_slice cel_sig_type(const struct cel_sig *sig)
{
    static const char *const names[] = {"",     "chain",    "group", "chord",
                                        "xmap", "xstarmap", "chunks"};

    return cel_slice_of(sig ? names[sig->type] : "");
}
