/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/uuid.h"
#include "canvas/sig.h"

#include <stdarg.h>
#include <stdio.h>

/* Documents of one message; a message that large goes nowhere anyway. */
#define SCRATCH_MAX ((size_t)64 << 20)

void cel_ctx_init(struct cel_ctx *x, const struct cel_canvas *c, struct cel_arena *a,
                  struct cel_effects *effects, celery_error *err)
{
    *x = (struct cel_ctx){.c = c, .a = a, .effects = effects, .err = err};
    x->left = SIZE_MAX;
    cel_arena_init(&x->scratch, SCRATCH_MAX);
    if (c && c->config) {
        x->header_errbacks =
            cel_config_bool(c->config, "task_allow_error_cb_on_chord_header");
    }
}

celery_status cel_ctx_fini(struct cel_ctx *x)
{
    cel_arena_fini(&x->scratch);
    return x->status;
}

void cel_ctx_fail(struct cel_ctx *x, celery_status status, const char *fmt, ...)
{
    char text[256];
    va_list args;

    if (x->status != CELERY_OK) {
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    x->status = cel_error_set(x->err, status, "%s", text);
}

static size_t count(const struct cel_sig *sig, size_t most, unsigned depth)
{
    const struct cel_list_obj *tasks = cel_sig_tasks(sig);
    size_t n = 1;

    if (depth >= CEL_CANVAS_DEPTH_MAX) {
        return n;
    }
    for (size_t i = 0; tasks && i < tasks->n && n < most; i++) {
        n += tasks->items[i].kind == CEL_VAL_SIG
                 ? count(tasks->items[i].sig, most - n, depth + 1)
                 : 1;
    }
    return sig->kw->body && n < most ? n + count(sig->kw->body, most - n, depth + 1) : n;
}

void cel_ctx_allow(struct cel_ctx *x, const struct cel_sig *sig)
{
    size_t parts = sig ? count(sig, CEL_CANVAS_PARTS_MAX, 0) : 1;

    x->left = CEL_CANVAS_COST_MAX + parts * CEL_CANVAS_COST_PART;
}

void cel_ctx_spend(struct cel_ctx *x, size_t size)
{
    if (size <= x->left) {
        x->left -= size;
        return;
    }
    cel_ctx_fail(x, CELERY_ELIMIT, "more is to be sent than its signatures allow");
}

void *cel_ctx_alloc(struct cel_ctx *x, size_t size)
{
    cel_ctx_spend(x, size);
    void *block = cel_ctx_ok(x) ? cel_arena_alloc(x->a, size) : NULL;

    if (block) {
        memset(block, 0, size);
    } else if (cel_ctx_ok(x)) {
        x->status = cel_doc_refused(x->a, size, x->err);
    }
    return block;
}

bool cel_ctx_enter(struct cel_ctx *x)
{
    if (x->depth >= CEL_CANVAS_DEPTH_MAX) {
        cel_ctx_fail(x, CELERY_ELIMIT, "signatures are nested more than %d deep",
                     CEL_CANVAS_DEPTH_MAX);
    }
    x->depth++;
    return cel_ctx_ok(x);
}

void cel_ctx_leave(struct cel_ctx *x)
{
    x->depth--;
}

struct cel_slice cel_ctx_uuid(struct cel_ctx *x)
{
    char *id = cel_ctx_alloc(x, CEL_UUID_SIZE);

    if (!id) {
        return CEL_SLICE_NULL;
    }
    if (x->c && x->c->uuid) {
        x->c->uuid(id);
    } else {
        cel_uuid4(id);
    }
    return cel_slice(id, strlen(id));
}

static const struct cel_node *kept(struct cel_ctx *x, const struct cel_node *n)
{
    if (!n) {
        cel_ctx_fail(x, CELERY_ENOMEM, "out of memory");
    }
    return n;
}

const struct cel_node *cel_ctx_text(struct cel_ctx *x, struct cel_slice text)
{
    return kept(x, cel_node_new_string(x->a, text));
}

const struct cel_node *cel_ctx_int(struct cel_ctx *x, int64_t value)
{
    return kept(x, cel_node_new_int(x->a, value));
}

const struct cel_node *cel_ctx_bool(struct cel_ctx *x, bool value)
{
    return kept(x, cel_node_new_bool(x->a, value));
}
