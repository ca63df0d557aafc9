/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/unlock.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "pool/builtin.h"
#include "worker/chord_error.h"
#include "worker/join.h"
#include "worker/report_text.h"

#include <stdio.h>

#define NAME "celery.chord_unlock"

struct unlock {
    struct cel_request *r;
    double started;
    const struct cel_task_call *call;
    struct cel_slice group_id;
    const struct cel_node *body;
    struct cel_effects effects;
};

bool cel_unlock_is(const struct cel_request *r)
{
    return r->job.task->fn == cel_builtin_chord_unlock;
}

/* ---- its end ---- */

static void finish(struct unlock *u, struct cel_outcome *outcome)
{
    struct cel_request *r = u->r;

    outcome->runtime = cel_clock_mono() - u->started;
    outcome->effects = cel_buf_slice(&u->effects.bytes);
    outcome->follows = CEL_FOLLOWS_BODY;
    if (u->call && cel_continue_needed(u->call)) {
        outcome->follows |= CEL_FOLLOWS_ANY;
    }
    if (u->call && cel_continue_is_part(u->call)) {
        outcome->follows |= CEL_FOLLOWS_CHORD;
    }
    cel_request_finish(r, outcome); /* copies what it needs */
    cel_effects_fini(&u->effects);
    cel_free(u);
}

static void succeed(struct unlock *u)
{
    finish(u, &(struct cel_outcome){.kind = CEL_OUTCOME_SUCCESS,
                                    .result_json = CEL_SLICE("null"),
                                    .repr = CEL_SLICE("None")});
}

static void fail(struct unlock *u, const char *type, const char *module, const char *text)
{
    struct cel_buf args = {0};

    cel_buf_addc(&args, '[');
    cel_json_write_string(&args, cel_slice_of(text));
    cel_buf_addc(&args, ']');
    finish(u, &(struct cel_outcome){
                  .kind = CEL_OUTCOME_FAILURE,
                  .exc_type = cel_slice_of(type),
                  .exc_module = cel_slice_of(module),
                  .exc_args = cel_buf_ok(&args) ? cel_buf_slice(&args) : CEL_SLICE("[]"),
              });
    cel_buf_fini(&args);
}

static void fail_nomem(struct unlock *u)
{
    fail(u, "MemoryError", "builtins", "out of memory");
}

/* The body fails; this task itself has done what it is for. */
static void fail_body(struct unlock *u, struct cel_slice text,
                      const struct cel_continue_exc *original)
{
    if (cel_chord_fail(u->r, u->group_id, u->body, text, original, &u->effects) < 0) {
        fail_nomem(u);
    } else {
        succeed(u);
    }
}

/* ---- again later ---- */

static const struct cel_node *kwarg(const struct unlock *u, const char *name)
{
    return cel_node_get(u->call->kwargs, cel_slice_of(name));
}

static double interval(const struct unlock *u)
{
    const struct cel_config *config = u->r->w->app->config;

    return cel_node_double(kwarg(u, "interval"),
                           cel_config_double(config, "result_chord_retry_interval", 1));
}

static bool put(struct cel_arena *a, struct cel_node *o, const char *key,
                struct cel_node *value)
{
    return cel_node_put(a, o, cel_slice_of(key), value) == CELERY_OK;
}

static struct cel_node *text(struct cel_arena *a, struct cel_slice s)
{
    return s.len > 0 ? cel_node_new_string(a, s) : cel_node_new(a, CELERY_KIND_NULL);
}

/* Task.retry(): the same call once more, to the queue it came from. */
static celery_status add_retry(struct unlock *u, celery_error *err)
{
    struct cel_request *r = u->r;
    struct cel_arena *a = &r->envelope->arena;
    struct cel_node *o = cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_slice root = u->call->root_id.len ? u->call->root_id : u->call->id;

    if (!o || !put(a, o, "task_id", text(a, u->call->id)) ||
        !put(a, o, "retries", cel_node_new_int(a, u->call->retries + 1)) ||
        !put(a, o, "countdown", cel_node_new_double(a, interval(u))) ||
        !put(a, o, "root_id", text(a, root)) ||
        !put(a, o, "parent_id", text(a, u->call->parent_id)) ||
        !put(a, o, "priority", cel_node_new_int(a, r->job.priority)) ||
        !put(a, o, "ignore_result", cel_node_new_bool(a, true)) ||
        !put(a, o, "queue", text(a, cel_slice_of(r->queue)))) {
        return cel_error_nomem(err);
    }
    struct cel_sig *sig =
        cel_sig_task(a, CEL_SLICE(NAME), cel_node_copy(a, u->call->args),
                     cel_node_copy(a, u->call->kwargs), NULL, true);

    return sig ? cel_sig_apply(cel_follow_canvas(r->w), a, sig, NULL, NULL, o,
                               &u->effects, NULL, err)
               : cel_error_nomem(err);
}

static void try_later(struct unlock *u)
{
    const struct cel_node *most = kwarg(u, "max_retries");
    celery_error err = {0};
    char reason[64];

    if (!cel_node_is_null(most) && u->call->retries >= cel_node_int(most, INT64_MAX)) {
        fail_body(u,
                  CEL_SLICE("chord_unlock could not be retried: "
                            "MaxRetriesExceededError()"),
                  NULL);
        return;
    }
    if (add_retry(u, &err) < 0) {
        fail(u, "OperationalError", "kombu.exceptions", err.message);
        return;
    }
    snprintf(reason, sizeof reason, "Retry in %gs", interval(u));
    finish(u, &(struct cel_outcome){
                  .kind = CEL_OUTCOME_RETRY,
                  .countdown = interval(u),
                  .reason = cel_slice_of(reason),
                  .exc_type = CEL_SLICE("Retry"),
                  .exc_module = CEL_SLICE("celery.exceptions"),
                  .exc_args = CEL_SLICE("[null, null, null]"),
              });
}

/* ---- looking ---- */

static void call_body(struct unlock *u, const struct cel_node *results)
{
    celery_error err = {0};
    celery_status status = cel_continue_chord(
        cel_follow_canvas(u->r->w), &u->r->envelope->arena, u->call, u->body, results,
        cel_follow_priority(u->r), &u->effects, &err);

    if (status == CELERY_ENOMEM) {
        fail_nomem(u);
    } else if (status < 0) {
        fail_body(u, cel_report_text(u->r, "Callback error: %s", err.message), NULL);
    } else {
        succeed(u);
    }
}

static void on_joined(void *ctx, const struct cel_joined *joined)
{
    struct unlock *u = ctx;
    struct cel_arena *a = &u->r->envelope->arena;

    switch (joined->end) {
    case CEL_JOIN_READY:
        call_body(u, cel_node_copy(a, joined->value));
        break;
    case CEL_JOIN_FAILED: {
        struct cel_slice id = joined->task_id;
        const struct cel_node *map = cel_node_copy(a, joined->exception);
        const struct cel_continue_exc exc = cel_chord_exception(u->r, u->group_id, map);

        fail_body(u, cel_chord_dependency(u->r, id, map, &exc), &exc);
        break;
    }
    case CEL_JOIN_ERROR:
        if (joined->err->status == CELERY_EMESSAGE) {
            fail(u, "TypeError", "builtins", joined->err->message);
            break;
        }
        try_later(u);
        break;
    case CEL_JOIN_NOT_READY:
    default:
        try_later(u);
    }
}

/* [[group id, null], result]: what GroupResult(group_id, results).as_tuple() is. */
static struct cel_node *header_tuple(struct cel_arena *a, const struct cel_node *id,
                                     const struct cel_node *results)
{
    struct cel_node *tuple = cel_node_new(a, CELERY_KIND_ARRAY);
    struct cel_node *head = cel_node_new(a, CELERY_KIND_ARRAY);

    if (!tuple || cel_node_append(head, cel_node_copy(a, id)) < 0 ||
        cel_node_append(head, cel_node_new(a, CELERY_KIND_NULL)) < 0 ||
        cel_node_append(tuple, head) < 0 ||
        cel_node_append(tuple, cel_node_copy(a, results)) < 0) {
        return NULL;
    }
    return tuple;
}

/* unlock_chord(group_id, callback, interval=None, max_retries=None, result=None) */
static const char *read_call(struct unlock *u, const struct cel_node **ret_tuple)
{
    struct cel_request *r = u->r;
    struct cel_arena *a = &r->envelope->arena;

    u->call = cel_follow_call(r);
    if (!u->call || u->call->args->kind != CELERY_KIND_ARRAY || u->call->args->size < 2) {
        return "missing required arguments: 'group_id' and 'callback'";
    }
    const struct cel_node *id = cel_node_first(u->call->args);
    const struct cel_node *results = kwarg(u, "result");

    u->body = id->next;
    u->group_id = cel_node_text(id);
    if (!cel_node_is_string(id) || u->body->kind != CELERY_KIND_OBJECT) {
        return "group_id is no text, or callback no signature";
    }
    if (!results || results->kind != CELERY_KIND_ARRAY) {
        return "result is not a list";
    }
    *ret_tuple = header_tuple(a, id, results);
    return *ret_tuple ? NULL : "out of memory";
}

void cel_unlock_run(struct cel_request *r)
{
    struct unlock *u = cel_calloc(1, sizeof *u);
    const struct cel_node *tuple = NULL;

    cel_request_event(r, CEL_REQ_ACCEPTED);
    if (!u) {
        cel_request_finish(r, &(struct cel_outcome){.kind = CEL_OUTCOME_REQUEUE});
        return;
    }
    u->r = r;
    u->started = cel_clock_mono();
    const char *why = read_call(u, &tuple);

    if (why) {
        fail(u, "TypeError", "builtins", why);
        return;
    }
    cel_join_start(r->w->loop, r->w->results, tuple, 0,
                   (struct cel_join_done){on_joined, u});
}
