/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/chord.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "worker/chord_error.h"
#include "worker/join.h"
#include "worker/report_text.h"

/* Seconds until a part is looked at again whose chord another worker has claimed. */
#define BUSY_PAUSE 1.0

struct returning {
    struct cel_request *r;
    struct cel_carry_done done;
    struct cel_chord_end end;
    struct cel_chord_part part;
    struct cel_errand errand;
    struct cel_source *timer; /* while it is busy */
    enum cel_chord_answer answer;
    char token[CEL_UUID_SIZE];
    const struct cel_node *parts; /* in the request's arena, as all that follows */
    const struct cel_node *group;
    char *why;   /* the parts could not be read */
    bool called; /* the body has run */
};

static struct cel_arena *arena(struct returning *x)
{
    return &x->r->envelope->arena;
}

static void end(struct returning *x, const celery_error *err)
{
    struct cel_carry_done done = x->done;

    cel_source_free(x->timer);
    cel_free(x);
    done.fn(done.ctx, err);
}

static const celery_error nomem = {CELERY_ENOMEM, 0, "out of memory"};

static void end_nomem(struct returning *x)
{
    end(x, &nomem);
}

/* ---- the claim ---- */

static struct cel_follow_claim *new_claim(struct returning *x)
{
    struct cel_follow *f = cel_follow_get(x->r);
    struct cel_follow_claim *claim = f ? cel_arena_alloc(arena(x), sizeof *claim) : NULL;

    if (!claim) {
        return NULL;
    }
    memset(claim, 0, sizeof *claim);
    claim->r = x->r;
    claim->group_id = x->end.group_id;
    memcpy(claim->token, x->token, sizeof claim->token);
    if (cel_report_copy(x->r, &claim->group_id) < 0) {
        return NULL;
    }
    cel_list_append(&f->claims, &claim->node);
    return claim;
}

/* Decoded when it is needed: only the last part needs it. */
static const struct cel_node *body_of(struct returning *x)
{
    if (x->end.body) {
        return x->end.body;
    }
    const struct cel_task_call *call = cel_follow_call(x->r);

    return call ? cel_node_get(call->embed, CEL_SLICE("chord")) : NULL;
}

/* chord_error_from_stack(); ends x. */
static void fail_chord(struct returning *x, struct cel_slice text,
                       const struct cel_continue_exc *original)
{
    struct cel_follow_claim *claim = new_claim(x);

    if (claim) {
        claim->failed = true;
    }
    if (!claim || cel_chord_fail(x->r, x->end.group_id, body_of(x), text, original,
                                 &claim->effects) < 0) {
        end_nomem(x);
    } else {
        end(x, NULL);
    }
}

static void fail_text(struct returning *x, const char *what, const char *why)
{
    fail_chord(x, cel_report_text(x->r, "%s: %s", what, why), NULL);
}

/* All parts succeeded; ends x. */
static void call_body(struct returning *x, const struct cel_node *results)
{
    const struct cel_node *body = body_of(x);
    struct cel_follow_claim *claim = new_claim(x);
    celery_error err = {0};

    if (!claim) {
        end_nomem(x);
        return;
    }
    if (x->called) {
        end(x, NULL); /* nothing to send: the chord is ended */
        return;
    }
    celery_status status = cel_continue_chord(
        cel_follow_canvas(x->r->w), arena(x), cel_follow_call(x->r), body, results,
        cel_follow_priority(x->r), &claim->effects, &err);
    if (status == CELERY_ENOMEM) {
        end(x, &err);
    } else if (status < 0) {
        cel_list_remove(&claim->node);
        cel_effects_fini(&claim->effects);
        fail_text(x, "Callback error", err.message);
    } else {
        end(x, NULL);
    }
}

/* ---- the parts ---- */

/* [1, task id, state, result] */
static bool read_part(const struct cel_node *part, struct cel_slice *ret_id,
                      struct cel_slice *ret_state, const struct cel_node **ret_result)
{
    const struct cel_node *n = cel_node_first(part);

    if (!n || part->kind != CELERY_KIND_ARRAY || part->size != 4) {
        return false;
    }
    *ret_id = cel_node_text(n->next);
    *ret_state = cel_node_text(n->next->next);
    *ret_result = n->next->next->next;
    return ret_state->len > 0;
}

static void use_parts(struct returning *x)
{
    struct cel_node *results = cel_node_new(arena(x), CELERY_KIND_ARRAY);

    for (const struct cel_node *k = cel_node_first(x->parts); k; k = k->next) {
        struct cel_slice id;
        struct cel_slice state;
        const struct cel_node *result;

        if (!read_part(k, &id, &state, &result)) {
            fail_text(x, "Join error", "ValueError('a part that is none')");
            return;
        }
        if (cel_slice_is(state, "FAILURE") || cel_slice_is(state, "REVOKED")) {
            const struct cel_continue_exc exc =
                cel_chord_exception(x->r, x->end.group_id, result);

            fail_chord(x, cel_chord_dependency(x->r, id, result, &exc), &exc);
            return;
        }
        if (cel_node_append(results, cel_node_copy(arena(x), result)) < 0) {
            end_nomem(x);
            return;
        }
    }
    call_body(x, results);
}

/* ---- groups in the header: join() keeps their structure ---- */

static void on_joined(void *ctx, const struct cel_joined *joined)
{
    struct returning *x = ctx;

    switch (joined->end) {
    case CEL_JOIN_READY:
        call_body(x, cel_node_copy(arena(x), joined->value));
        break;
    case CEL_JOIN_FAILED: {
        const struct cel_node *map = cel_node_copy(arena(x), joined->exception);
        const struct cel_continue_exc exc =
            cel_chord_exception(x->r, x->end.group_id, map);

        fail_chord(x, cel_chord_raised(x->r, "Join error: ", map, &exc), &exc);
        break;
    }
    case CEL_JOIN_NOT_READY:
        fail_text(x, "Join error", "TimeoutError('The operation timed out.')");
        break;
    case CEL_JOIN_ERROR:
    default:
        if (joined->err->status == CELERY_EMESSAGE) {
            fail_text(x, "Join error", joined->err->message);
        } else {
            end(x, joined->err);
        }
    }
}

static void join_group(struct returning *x)
{
    double timeout =
        cel_config_double(x->r->w->app->config, "result_chord_join_timeout", 3);

    cel_join_start(x->r->w->loop, x->r->w->results, x->group, timeout > 0 ? timeout : -1,
                   (struct cel_join_done){on_joined, x});
}

/* ---- was its body called before? ---- */

/* Id of the task that a signature begins with, as its sender fixed it; NULL: none is fixed. */
static const struct cel_node *first_id(const struct cel_node *sig)
{
    for (int depth = 0; sig && depth < 100; depth++) {
        const struct cel_node *kwargs = cel_node_get(sig, CEL_SLICE("kwargs"));
        const struct cel_node *parts = cel_node_get(kwargs, CEL_SLICE("tasks"));

        if (sig->kind == CELERY_KIND_ARRAY) {
            sig = cel_node_first(sig);
        } else if (cel_node_text(cel_node_get(sig, CEL_SLICE("subtask_type"))).len == 0) {
            sig = cel_node_get(cel_node_get(sig, CEL_SLICE("options")),
                               CEL_SLICE("task_id"));
            return cel_node_is_string(sig) ? sig : NULL;
        } else {
            sig = parts ? parts : cel_node_get(kwargs, CEL_SLICE("header"));
        }
    }
    return NULL;
}

static void go_on(struct returning *x);

static void on_looked(void *ctx, const struct cel_joined *joined)
{
    struct returning *x = ctx;

    x->called = joined->end == CEL_JOIN_READY || joined->end == CEL_JOIN_FAILED;
    go_on(x);
}

/*
 * A worker can die after the body's message was confirmed and before the chord was ended.  Its
 * part comes again, and gets the claim when that of the dead one has expired; by then the body
 * has mostly run.
 */
static void look_for_body(struct returning *x)
{
    const struct cel_node *id = first_id(body_of(x));

    if (id) {
        cel_join_start(x->r->w->loop, x->r->w->results, id, 0,
                       (struct cel_join_done){on_looked, x});
    } else {
        go_on(x);
    }
}

/* ---- counting ---- */

static void on_part(void *ctx, const celery_error *err, enum cel_chord_answer answer,
                    const struct cel_chord_parts *parts)
{
    struct returning *x = ctx;

    x->answer = answer;
    if (answer == CEL_CHORD_CLAIMED && err && err->status == CELERY_EMESSAGE) {
        x->why = cel_arena_strndup(arena(x), err->message, strlen(err->message));
        err = NULL;
    } else if (!err && answer == CEL_CHORD_CLAIMED) {
        x->parts = cel_node_copy(arena(x), parts->parts);
        x->group = parts->group ? cel_node_copy(arena(x), parts->group) : NULL;
        if (!x->parts || (parts->group && !x->group)) {
            err = &nomem; /* never a body with fewer results: the message goes back */
        }
    }
    cel_errand_answer(&x->errand, err, 0);
}

static void start_part(struct cel_errand *e, struct cel_backend *backend)
{
    struct returning *x = cel_container_of(e, struct returning, errand);

    const struct cel_chord_part part = x->part;

    x->part.fresh = false; /* asked again, it may have been counted */
    backend->ops->add_chord_part(backend, &part, (struct cel_chord_done){on_part, x});
}

static void count(void *ctx)
{
    struct returning *x = ctx;

    cel_results_run(x->r->w->results, &x->errand);
}

/*
 * Somebody has claimed the chord and has not ended it: he is about to, or he died, and then his
 * claim expires.  The part may not be settled before that is known.
 */
static void wait_for_other(struct returning *x)
{
    struct cel_loop *loop = x->r->w->loop;

    if (!x->timer && cel_loop_add_timer(loop, &x->timer, 0, count, x) < 0) {
        end_nomem(x);
        return;
    }
    cel_source_rearm(x->timer, cel_loop_now(loop) + BUSY_PAUSE);
}

static void go_on(struct returning *x)
{
    if (x->why) {
        fail_text(x, "Join error", x->why);
    } else if (x->group) {
        join_group(x);
    } else {
        use_parts(x);
    }
}

/* The keys of the chord are in nobody's hand: its body fails, without a claim. */
static void fail_uncounted(struct returning *x, const celery_error *err)
{
    struct cel_follow *f = cel_follow_get(x->r);
    struct cel_slice text =
        cel_report_text(x->r, "Join error: ValueError('%s')", err->message);

    if (!f ||
        cel_chord_fail(x->r, x->end.group_id, body_of(x), text, NULL, &f->errbacks) < 0) {
        end_nomem(x);
    } else {
        end(x, NULL);
    }
}

static void on_counted(void *ctx, const celery_error *err)
{
    struct returning *x = ctx;

    if (err && err->status == CELERY_EPROTO) {
        fail_uncounted(x, err);
    } else if (err) {
        end(x, err);
    } else if (x->answer == CEL_CHORD_OPEN) {
        end(x, NULL);
    } else if (x->answer == CEL_CHORD_BUSY) {
        wait_for_other(x);
    } else if (x->r->job.redelivered) {
        look_for_body(x);
    } else {
        go_on(x);
    }
}

void cel_chord_return(struct cel_request *r, const struct cel_chord_end *chord_end,
                      struct cel_carry_done done)
{
    double timeout = cel_config_double(r->w->app->config, "result_chord_join_timeout", 3);
    struct returning *x;

    /* Without a backend that counts, celery.chord_unlock looks after the chord. */
    if (!cel_results_count(r->w->results)) {
        done.fn(done.ctx, NULL);
        return;
    }
    x = cel_calloc(1, sizeof *x);
    if (!x) {
        done.fn(done.ctx, &nomem);
        return;
    }
    x->r = r;
    x->done = done;
    x->end = *chord_end;
    cel_uuid4(x->token);
    x->part = (struct cel_chord_part){
        .group_id = chord_end->group_id,
        .task_id = chord_end->task_id,
        .group_index = chord_end->group_index,
        .state = chord_end->state,
        .result_json = chord_end->result_json,
        .token = cel_slice_of(x->token),
        .claim_seconds = timeout * 2 > 5 ? (int)(timeout * 2) : 5,
        .fresh = !r->job.redelivered,
    };
    x->errand.start = start_part;
    x->errand.done = on_counted;
    x->errand.ctx = x;
    count(x);
}
