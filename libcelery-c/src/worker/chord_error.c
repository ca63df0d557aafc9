/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/chord_error.h"

#include "base/log.h"
#include "worker/report_text.h"

/* What is in out, in the arena; fallback when there was no memory.  Ends out. */
static struct cel_slice keep(struct cel_request *r, struct cel_buf *out,
                             struct cel_slice fallback)
{
    struct cel_slice text = cel_buf_slice(out);

    if (!cel_buf_ok(out) || cel_report_copy(r, &text) < 0) {
        text = fallback;
    }
    cel_buf_fini(out);
    return text;
}

static struct cel_slice text_args(struct cel_request *r, struct cel_slice text)
{
    struct cel_buf out = {0};

    cel_buf_addc(&out, '[');
    cel_json_write_string(&out, text);
    cel_buf_addc(&out, ']');
    return keep(r, &out, CEL_SLICE("[]"));
}

/* As much of a traceback as there is truth in: the chord, and the exception's line. */
static struct cel_slice traceback(struct cel_request *r, struct cel_slice group_id,
                                  const struct cel_continue_exc *exc)
{
    struct cel_buf out = {0};

    cel_buf_adds(&out, "Traceback (most recent call last):\n  C chord \"");
    cel_buf_add_slice(&out, group_id);
    cel_buf_adds(&out, "\"\n");
    if (exc->module.len > 0 && !cel_slice_is(exc->module, "builtins")) {
        cel_buf_add_slice(&out, exc->module);
        cel_buf_addc(&out, '.');
    }
    cel_exception_line(&out, exc->type, exc->args_json);
    cel_buf_addc(&out, '\n');
    return keep(r, &out, CEL_SLICE_NULL);
}

celery_status cel_chord_fail(struct cel_request *r, struct cel_slice group_id,
                             const struct cel_node *body, struct cel_slice text,
                             const struct cel_continue_exc *original,
                             struct cel_effects *effects)
{
    struct cel_follow *f = cel_follow_get(r);
    struct cel_continue_exc exc = {
        .type = CEL_SLICE("ChordError"),
        .module = CEL_SLICE("celery.exceptions"),
        .args_json = text_args(r, text),
    };
    struct cel_continue_copies copies = {0};
    celery_error err = {0};

    cel_log(CELERY_LOG_ERROR, "Chord '%s' raised: ChordError(%s)", cel_log_safe(group_id),
            cel_log_safe(text));
    if (!f) {
        return CELERY_ENOMEM;
    }
    exc.traceback = traceback(r, group_id, &exc);
    celery_status status = cel_continue_chord_error(
        cel_follow_canvas(r->w), &r->envelope->arena, &r->job.call, body, &exc, original,
        effects, &copies, &err);
    if (status < 0) {
        return status;
    }
    cel_follow_tell(r, &err);
    return cel_follow_add_ends(f, &copies, &exc, original, true);
}

struct cel_continue_exc cel_chord_exception(struct cel_request *r,
                                            struct cel_slice group_id,
                                            const struct cel_node *map)
{
    const struct cel_node *args = cel_node_get(map, CEL_SLICE("exc_message"));
    struct cel_continue_exc exc = {
        .type = cel_node_text(cel_node_get(map, CEL_SLICE("exc_type"))),
        .module = cel_node_text(cel_node_get(map, CEL_SLICE("exc_module"))),
        .args_json = CEL_SLICE("[]"),
    };
    struct cel_buf out = {0};
    bool list = args && args->kind == CELERY_KIND_ARRAY;

    if (exc.type.len == 0) {
        exc.type = CEL_SLICE("Exception");
    }
    if (args) {
        cel_buf_adds(&out, list ? "" : "[");
        cel_json_write(&out, args);
        cel_buf_adds(&out, list ? "" : "]");
        exc.args_json = keep(r, &out, exc.args_json);
    }
    exc.traceback = traceback(r, group_id, &exc);
    return exc;
}

static void add_exception(struct cel_buf *out, const struct cel_node *map,
                          const struct cel_continue_exc *exc)
{
    if (cel_node_is_null(map)) {
        cel_buf_adds(out, "None");
    } else {
        cel_exception_repr(out, exc->type, exc->args_json);
    }
}

struct cel_slice cel_chord_raised(struct cel_request *r, const char *prefix,
                                  const struct cel_node *map,
                                  const struct cel_continue_exc *exc)
{
    struct cel_buf out = {0};

    cel_buf_adds(&out, prefix);
    add_exception(&out, map, exc);
    return keep(r, &out, CEL_SLICE("Join error"));
}

struct cel_slice cel_chord_dependency(struct cel_request *r, struct cel_slice task_id,
                                      const struct cel_node *map,
                                      const struct cel_continue_exc *exc)
{
    struct cel_buf out = {0};

    cel_buf_adds(&out, "Dependency ");
    cel_buf_add_slice(&out, task_id);
    cel_buf_adds(&out, " raised ");
    add_exception(&out, map, exc);
    return keep(r, &out, CEL_SLICE("a dependency failed"));
}
