/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks run in the loop itself, one at a time. */
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "pool/pace.h"
#include "pool/pool.h"
#include "pool/run_task.h"
#include <signal.h>
#include <unistd.h>

#define PASS_TIME 0.002 /* seconds of work before the loop gets its turn */

struct solo {
    struct cel_pool pool;
    struct cel_runner *runner;
    struct cel_pace pace;
    struct cel_source *hook; /* runs what is short in the pass that brought it */
    struct cel_source *turn; /* runs the rest once the loop had its turn */
    struct cel_list waiting; /* of struct link */
    unsigned n_waiting;
    unsigned ahead;       /* how many jobs of the last name may wait */
    struct cel_job *head; /* accepted, not run yet */
    struct cel_job *running;
    bool asked; /* the running task should stop */
};

/* Lies in cel_job.pool_data. */
struct link {
    struct cel_list node;
};
_Static_assert(sizeof(struct link) <= sizeof(((struct cel_job *)0)->pool_data),
               "a link fits in pool_data");

static struct link *link_of(struct cel_job *job)
{
    return (struct link *)(void *)job->pool_data;
}

static struct cel_job *job_of(struct cel_list *node)
{
    return cel_container_of(node, struct cel_job, pool_data);
}

static struct solo *solo_of(struct cel_pool *p)
{
    return (struct solo *)p;
}

/* ---- running ---- */

static void run_head(struct solo *s)
{
    struct cel_job *job = s->head;
    const struct cel_task_def *task = job->task;
    struct cel_outcome outcome;
    s->head = NULL;
    s->running = job;
    s->asked = false;
    cel_runner_run(s->runner, job, &outcome);
    s->running = NULL;
    cel_pace_note(&s->pace, task, outcome.runtime);
    s->ahead = cel_pace_ahead(&s->pace, task);
    if (job->soft_limit > 0 && outcome.runtime >= job->soft_limit) {
        /* The loop could not say it at the time. */
        s->pool.events->soft_limit(s->pool.events_ctx, job);
    }
    s->pool.events->finished(s->pool.events_ctx, job, &outcome);
}

/* accepted() comes a pass earlier, so that an early acknowledgement is out before. */
static void accept_next(struct solo *s)
{
    const struct cel_pool_events *events = s->pool.events;
    struct cel_list *node = cel_list_first(&s->waiting);
    if (events->wanted && !events->wanted(s->pool.events_ctx, job_of(node))) {
        return;
    }
    cel_list_remove(node);
    s->n_waiting--;
    s->head = job_of(node);
    events->accepted(s->pool.events_ctx, s->head, 0, NULL);
}

static bool is_short(const struct solo *s, const struct cel_job *job)
{
    return cel_pace_ahead(&s->pace, job->task) > 1;
}

/* True when there is more to do, in a later pass. */
static bool work(struct solo *s, bool own_pass)
{
    double until = 0;
    while (s->runner && (s->head || !cel_list_empty(&s->waiting))) {
        if (!s->head) {
            accept_next(s);
        }
        if (!s->head || !s->runner) {
            continue; /* accepted() ended the pool */
        }
        bool brief = is_short(s, s->head);
        if (!brief && !own_pass) {
            return true;
        }
        double now = cel_clock_mono();
        if (until <= 0) {
            until = now + PASS_TIME;
        } else if (now >= until) {
            return true;
        }
        run_head(s);
        own_pass = own_pass && brief;
    }
    return false;
}

static void turn(struct solo *s, bool own_pass)
{
    if (s->running) {
        return;
    }
    bool more = work(s, own_pass);
    if (!s->runner) {
        return;
    }
    if (more) {
        cel_source_rearm(s->turn, 0);
    }
    s->pool.events->room(s->pool.events_ctx);
}

static void on_hook(void *ctx)
{
    turn(ctx, false);
}

static void on_turn(void *ctx)
{
    turn(ctx, true);
}

/* ---- the interface ---- */

static unsigned stopping(void *ctx)
{
    const struct solo *s = ctx;
    return s->asked ? CEL_STOP_ASKED : 0;
}

static void forward_state(void *ctx, struct cel_job *job, struct cel_slice state,
                          struct cel_slice meta_json)
{
    struct solo *s = ctx;
    s->pool.events->state(s->pool.events_ctx, job, state, meta_json);
}

static celery_status forward_effects(void *ctx, struct cel_job *job,
                                     struct cel_slice effects)
{
    struct solo *s = ctx;
    s->pool.events->effects(s->pool.events_ctx, job, effects);
    return CELERY_OK;
}

static celery_status solo_prepare(struct cel_pool *p, celery_error *err)
{
    return CELERY_OK;
}

static void solo_stop(struct cel_pool *p)
{
    struct solo *s = solo_of(p);
    s->hook = cel_source_free(s->hook);
    s->turn = cel_source_free(s->turn);
    s->runner = cel_runner_free(s->runner);
    cel_pace_fini(&s->pace);
}

static celery_status solo_start(struct cel_pool *p, celery_error *err)
{
    struct solo *s = solo_of(p);
    struct cel_run_hooks hooks = {
        .ctx = s,
        .state = forward_state,
        .effects = forward_effects,
        .stopping = stopping,
        .soft_by_clock = true,
    };
    cel_list_init(&s->waiting);
    s->ahead = 1;
    s->runner =
        cel_runner_new(p->options.app, p->options.hostname, &p->options.limits, &hooks);
    if (!s->runner || cel_pace_init(&s->pace, p->options.app) < 0 ||
        cel_loop_add_hook(p->loop, &s->hook, on_hook, s) < 0 ||
        cel_loop_add_timer(p->loop, &s->turn, 0, on_turn, s) < 0) {
        solo_stop(p);
        return cel_error_nomem(err);
    }
    cel_source_disarm(s->turn);
    return CELERY_OK;
}

static celery_status solo_submit(struct cel_pool *p, struct cel_job *job)
{
    struct solo *s = solo_of(p);
    cel_list_append(&s->waiting, &link_of(job)->node);
    s->n_waiting++;
    cel_source_schedule(s->hook);
    return CELERY_OK;
}

static unsigned solo_room(const struct cel_pool *p)
{
    const struct solo *s = (const struct solo *)p;
    unsigned held = s->n_waiting + (s->head ? 1 : 0) + (s->running ? 1 : 0);
    return held < s->ahead ? s->ahead - held : 0;
}

static bool solo_idle(const struct cel_pool *p)
{
    const struct solo *s = (const struct solo *)p;
    return s->runner && !s->running && !s->head && s->n_waiting == 0;
}

static celery_status solo_recall(struct cel_pool *p, struct cel_job *job)
{
    struct solo *s = solo_of(p);
    if (job == s->head || job == s->running) {
        return CELERY_NONE;
    }
    cel_list_remove(&link_of(job)->node);
    s->n_waiting--;
    return CELERY_OK;
}

/* What runs has the loop's thread: whoever asks is called from inside of it, or it has ended. */
static celery_status solo_abandon(struct cel_pool *p, struct cel_job *job)
{
    struct solo *s = solo_of(p);
    if (job != s->head) {
        return CELERY_NONE;
    }
    s->head = NULL;
    p->events->lost(p->events_ctx, job, SIGTERM, false);
    return CELERY_OK;
}

static void solo_interrupt(struct cel_pool *p, struct cel_job *job)
{
    struct solo *s = solo_of(p);
    if (job == s->running) {
        s->asked = true;
    }
}

static celery_status solo_resize(struct cel_pool *p, unsigned slots)
{
    return slots == 1 ? CELERY_OK : CELERY_ENOTSUP;
}

static size_t solo_pids(const struct cel_pool *p, int *ret_pids, size_t max)
{
    if (max > 0) {
        ret_pids[0] = (int)getpid();
    }
    return max > 0 ? 1 : 0;
}

const struct cel_pool_ops cel_pool_solo = {
    .name = "solo",
    .flags = CEL_POOL_SOFT_LIMITS,
    .size = sizeof(struct solo),
    .prepare = solo_prepare,
    .start = solo_start,
    .submit = solo_submit,
    .room = solo_room,
    .idle = solo_idle,
    .recall = solo_recall,
    .abandon = solo_abandon,
    .interrupt = solo_interrupt,
    .resize = solo_resize,
    .stop = solo_stop,
    .pids = solo_pids,
};
