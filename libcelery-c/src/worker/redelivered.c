/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/redelivered.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/report.h"

/* What one request waits for.  Outlives it while an answer is on its way. */
struct cel_ask {
    struct cel_list node;  /* in w->asks or w->suspects; not while an answer is awaited */
    struct cel_request *r; /* NULL: it is gone */
    struct cel_list looking; /* in w->lookups while its result is read */
    struct cel_errand lookup;
    bool success;
    int64_t most; /* see count_start() */
    bool awaiting;
    struct cel_slice task_id; /* in text */
    char text[];
};

static void count(struct cel_ask *ask, int64_t most);

static void free_ask(struct cel_ask *give_ask)
{
    if (give_ask->r) {
        give_ask->r->ask = NULL;
    }
    cel_list_remove(&give_ask->node);
    cel_free(give_ask);
}

/* An answer came.  NULL: nobody waits for it any more, and ask is gone. */
static struct cel_request *answered(struct cel_ask *ask)
{
    struct cel_request *r = ask->r;

    ask->awaiting = false;
    if (!r || r->state != CEL_REQ_WAITING || r->w->shutdown == CEL_SHUTDOWN_DONE) {
        free_ask(ask);
        return NULL;
    }
    return r;
}

static void run(struct cel_ask *give_ask)
{
    struct cel_request *r = give_ask->r;

    free_ask(give_ask);
    r->asked = true;
    cel_list_prepend(&r->w->ready, &r->ready_node);
    cel_request_event(r, CEL_REQ_DUE);
    cel_worker_dispatch(r->w);
}

/* ---- starts without an end ---- */

static void park(struct cel_ask *give_ask, int64_t starts)
{
    struct cel_request *r = give_ask->r;
    struct cel_outcome outcome;

    free_ask(give_ask);
    r->spent = true;
    r->crashes = starts - 1; /* the last one makes it full, as that of a child does */
    cel_report_spent(r, starts, &outcome);
    cel_request_end(r, &outcome);
}

/*
 * Tasks that run beside one that takes the worker along would be blamed with it.  So of those
 * that were started before without an end, one runs at a time.
 */
static void wait_for_turn(struct cel_ask *ask)
{
    struct celery_worker *w = ask->r->w;

    if (w->suspect) {
        cel_list_append(&w->suspects, &ask->node);
        return;
    }
    w->suspect = ask->r;
    count(ask, w->policy.crash_budget);
}

static void next_suspect(struct celery_worker *w)
{
    struct cel_list *first = cel_list_first(&w->suspects);

    if (first && w->shutdown == CEL_SHUTDOWN_NONE) {
        cel_list_remove(first);
        wait_for_turn(cel_container_of(first, struct cel_ask, node));
    }
}

static void taken_over(struct cel_ask *give_ask)
{
    struct cel_request *r = give_ask->r;

    free_ask(give_ask);
    r->w->counts.lost_ownership++;
    cel_log(CELERY_LOG_WARNING,
            "Task %s[%s]: its message was taken over by another worker",
            cel_log_safe(r->job.call.task), cel_log_safe(r->job.call.id));
    cel_request_event(r, CEL_REQ_CONN_LOST);
}

static void on_counted(void *ctx, const celery_error *err, int64_t before)
{
    struct cel_ask *ask = ctx;
    struct cel_request *r = answered(ask);

    if (!r) {
        return;
    }
    if (err && (celery_error_retriable(err) || err->status == CELERY_EUNCERTAIN)) {
        cel_list_append(&r->w->asks, &ask->node);
    } else if (err) {
        cel_log(CELERY_LOG_ERROR, "Task %s[%s]: its start is not counted: %s",
                cel_log_safe(r->job.call.task), cel_log_safe(r->job.call.id),
                err->message);
        run(ask);
    } else if (before < 0) {
        taken_over(ask);
    } else if (before >= r->w->policy.crash_budget) {
        park(ask, before);
    } else if (before < ask->most) {
        run(ask);
    } else {
        wait_for_turn(ask);
    }
}

static void count(struct cel_ask *ask, int64_t most)
{
    struct celery_worker *w = ask->r->w;
    struct cel_transport *t = cel_link_transport(w->link);

    if (!w->policy.count_starts) {
        run(ask);
        return;
    }
    ask->most = most;
    ask->awaiting = true;
    t->ops->count_start(t, ask->r->tag, most, (struct cel_done){on_counted, ask});
}

/* Where one start is too many, or nothing runs beside it, all take turns from the first. */
static void ask_for_start(struct cel_ask *ask)
{
    const struct cel_worker_policy *p = &ask->r->w->policy;

    if (p->count_starts && (p->concurrency == 1 || p->crash_budget == 1)) {
        wait_for_turn(ask);
    } else {
        count(ask, 1);
    }
}

/* ---- a success that is stored already (celery/app/trace.py build_tracer) ---- */

static void succeeded_before(struct cel_request *r)
{
    struct cel_outcome outcome = {
        .kind = CEL_OUTCOME_IGNORE,
        .reason = CEL_SLICE("Task already completed successfully."),
    };

    cel_request_end(r, &outcome);
}

static void start_lookup(struct cel_errand *errand, struct cel_backend *b)
{
    struct cel_ask *ask = cel_container_of(errand, struct cel_ask, lookup);

    ask->success = false;
    b->ops->load(b, &ask->task_id, 1, (struct cel_done){cel_errand_answer, errand});
}

static void on_meta(struct cel_results_listener *listener, struct cel_slice task_id,
                    const struct cel_node *doc)
{
    struct celery_worker *w =
        cel_container_of(listener, struct celery_worker, lookup_listener);
    struct cel_slice status = cel_node_text(cel_node_get(doc, CEL_SLICE("status")));
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->lookups) {
        struct cel_ask *ask = cel_container_of(it, struct cel_ask, looking);

        if (cel_slice_eq(task_id, ask->task_id)) {
            ask->success = cel_slice_is(status, "SUCCESS");
        }
    }
}

/* What cannot be read is no success, as there. */
static void on_looked(void *ctx, const celery_error *err)
{
    struct cel_ask *ask = ctx;

    cel_list_remove(&ask->looking);
    struct cel_request *r = answered(ask);

    if (!r) {
        return;
    }
    if (!err && ask->success) {
        free_ask(ask);
        cel_ageset_add(r->w->successful, r->job.call.id, cel_clock_mono());
        succeeded_before(r);
        return;
    }
    ask_for_start(ask);
}

/*
 * The result of a part of a chord is stored before it is counted among the parts; if that is
 * where the other worker died, only another run ends the chord.
 */
static bool is_chord_part(struct cel_request *r)
{
    struct cel_task_call call = r->job.call;

    if (!call.group.len ||
        cel_task_call_body(&r->envelope->arena, r->job.body, r->job.content_type,
                           call.compression, &r->w->policy.limits, &call,
                           NULL) != CEL_CALL_OK) {
        return false;
    }
    return !cel_node_is_null(cel_node_get(call.embed, CEL_SLICE("chord")));
}

static bool is_looked_up(struct cel_request *r)
{
    return r->w->policy.deduplicate && cel_results_enabled(r->w->results) &&
           !is_chord_part(r);
}

/* ---- the interface ---- */

void cel_redelivered_init(struct celery_worker *w)
{
    w->policy.count_starts = w->policy.crash_budget > 0 &&
                             !(w->pool->ops->flags & CEL_POOL_ISOLATED) &&
                             cel_link_transport(w->link)->ops->count_start;
    if (w->policy.deduplicate) {
        w->lookup_listener.meta = on_meta;
        cel_results_listen(w->results, &w->lookup_listener);
    }
}

bool cel_redelivered_ask(struct cel_request *r)
{
    struct celery_worker *w = r->w;
    struct cel_slice id = r->job.call.id;
    struct cel_ask *ask;

    if (!w->policy.deduplicate && !w->policy.count_starts) {
        return false;
    }
    bool look = is_looked_up(r);
    if (look && cel_ageset_has(w->successful, id, cel_clock_mono())) {
        succeeded_before(r);
        return true;
    }
    ask = cel_calloc(1, sizeof *ask + id.len);
    if (!ask) {
        return false;
    }
    memcpy(ask->text, id.data, id.len);
    ask->task_id = cel_slice(ask->text, id.len);
    cel_list_init(&ask->node);
    cel_list_init(&ask->looking);
    ask->r = r;
    r->ask = ask;
    r->state = CEL_REQ_WAITING;
    if (look) {
        ask->awaiting = true;
        cel_list_append(&w->lookups, &ask->looking);
        ask->lookup = (struct cel_errand){
            .start = start_lookup,
            .done = on_looked,
            .ctx = ask,
        };
        cel_results_run(w->results, &ask->lookup);
    } else {
        ask_for_start(ask);
    }
    return true;
}

void cel_redelivered_forget(struct cel_request *r)
{
    struct cel_ask *ask = r->ask;

    if (ask && ask->awaiting) {
        ask->r = NULL;
    } else if (ask) {
        free_ask(ask);
    }
    r->ask = NULL;
    if (r->w->suspect == r) {
        r->w->suspect = NULL;
        next_suspect(r->w);
    }
}

void cel_redelivered_again(struct celery_worker *w)
{
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->asks) {
        struct cel_ask *ask = cel_container_of(it, struct cel_ask, node);

        cel_list_remove(it);
        if (answered(ask)) {
            count(ask, ask->most);
        }
    }
}
