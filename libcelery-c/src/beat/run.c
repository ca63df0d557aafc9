/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run that is due gets its task id and is written down before it is sent, and again when the
 * broker has it.  Whoever finds it written down and not done, this beat after an uncertain
 * publish or the next leader, sends it under the same id.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "beat/beat.h"

#include <math.h>

#define RETRY_FIRST 0.2
#define RETRY_MOST  5.0
#define JUMP        1.0 /* seconds that the clock may move before all entries are looked at */
#define STATE_MAX   ((size_t)32 << 20)

static double loop_now(const celery_beat *b)
{
    return cel_loop_now(b->client->loop);
}

static void set_state(celery_beat *b, struct cel_entry *e, enum cel_run_state state)
{
    b->n_reserved -= e->state == CEL_RUN_RESERVED;
    b->n_ready -= e->state == CEL_RUN_READY;
    b->n_sending -= e->state == CEL_RUN_SENDING;
    e->state = state;
    b->n_reserved += state == CEL_RUN_RESERVED;
    b->n_ready += state == CEL_RUN_READY;
    b->n_sending += state == CEL_RUN_SENDING;
}

/* States came from elsewhere. */
static void recount(celery_beat *b)
{
    b->n_reserved = b->n_ready = b->n_sending = 0;
    for (size_t i = 0; i < b->plan.n; i++) {
        b->n_reserved += b->plan.entries[i]->state == CEL_RUN_RESERVED;
        b->n_ready += b->plan.entries[i]->state == CEL_RUN_READY;
        b->n_sending += b->plan.entries[i]->state == CEL_RUN_SENDING;
    }
}

/* ---- what is due ---- */

static void look_later(celery_beat *b, struct cel_entry *e, double at)
{
    cel_heap_remove(&b->plan.heap, &e->node);
    cel_heap_add(&b->plan.heap, &e->node, at); /* there is room: it was in */
}

static void reserve(celery_beat *b, struct cel_entry *e, int64_t now)
{
    e->run_before = e->last_run_at;
    e->last_run_at = now;
    e->total_run_count++;
    e->attempts = 0;
    e->send_at = 0;
    cel_uuid4(e->id);
    set_state(b, e, CEL_RUN_RESERVED);
    b->dirty = true;
}

/* Scheduler.tick() for one entry. */
static void look_at(celery_beat *b, struct cel_entry *e, int64_t now)
{
    struct cel_schedule_env env = {.zone = b->zone, .now = now, .deadline = b->deadline};
    double seconds = (double)now / 1e6;
    celery_error err = {0};
    bool due = false;
    int64_t wait = 0;

    if (e->state != CEL_RUN_NONE) {
        look_later(b, e, seconds + 0.05); /* the run before is on its way */
        return;
    }
    if (cel_schedule_due(&e->schedule, &env, e->last_run_at, &due, &wait, &err) < 0) {
        /* _is_due_failed(): one entry does not stop the others. */
        cel_log(CELERY_LOG_ERROR, "beat: Cannot calculate the next run of '%s': %s",
                cel_log_safe(cel_slice_of(e->name)), err.message);
        look_later(b, e, seconds + b->max_interval);
        return;
    }
    if (due) {
        reserve(b, e, now);
    }
    /* Rounded up: a double may be below the microsecond that is meant. */
    look_later(b, e, seconds + (double)wait / 1e6 + 2e-6);
}

/* Far jumps of the clock: what was computed with the old one is computed anew. */
static void watch_clock(celery_beat *b)
{
    double offset = cel_clock_wall() - cel_clock_mono();

    if (fabs(offset - b->clock_offset) > JUMP) {
        cel_plan_wake(&b->plan);
    }
    b->clock_offset = offset;
}

static void find_due(celery_beat *b)
{
    int64_t now = cel_clock_wall_us();
    double seconds = (double)now / 1e6;

    watch_clock(b);
    for (size_t i = 0; i < b->plan.n; i++) {
        struct cel_heap_node *first = cel_heap_first(&b->plan.heap);

        if (!first || first->key > seconds) {
            break;
        }
        look_at(b, cel_container_of(first, struct cel_entry, node), now);
    }
}

/* ---- writing down ---- */

static void move_all(celery_beat *b, enum cel_run_state from, enum cel_run_state to)
{
    for (size_t i = 0; i < b->plan.n; i++) {
        if (b->plan.entries[i]->state == from) {
            set_state(b, b->plan.entries[i], to);
        }
    }
}

static void on_saved(void *ctx, const celery_error *err, int64_t answer)
{
    celery_beat *b = ctx;
    /* Without the disk a run is better sent than not (as upstream); the brokers can be waited for. */
    bool go_on = !err || b->lock->ops == &cel_beat_lock_file;

    b->saving = false;
    if (err && !b->save_failed) {
        cel_log(CELERY_LOG_ERROR, "beat: Cannot write the schedule's state: %s",
                err->message);
    }
    b->save_failed = err != NULL;
    b->dirty |= err != NULL;
    b->save_at = err ? loop_now(b) + RETRY_FIRST : 0;
    move_all(b, CEL_RUN_SAVING, go_on ? CEL_RUN_READY : CEL_RUN_RESERVED);
}

static void write_down(celery_beat *b)
{
    struct cel_buf text;
    celery_error err = {0};

    cel_buf_init(&text, STATE_MAX);
    b->saving = true;
    b->dirty = false;
    b->last_save = loop_now(b);
    b->tasks_since_save = 0;
    move_all(b, CEL_RUN_RESERVED, CEL_RUN_SAVING);
    if (cel_plan_write_state(&text, &b->plan, &b->settings) == CELERY_OK) {
        b->lock->ops->save(b->lock, cel_buf_slice(&text), (struct cel_done){on_saved, b});
    } else {
        cel_error_nomem(&err);
        on_saved(b, &err, 0);
    }
    cel_buf_fini(&text);
}

/*
 * Runs to be sent must be written at once, unless beat_sync_every lets some of them go first
 * (Scheduler.should_sync()); what is done may wait for a quiet moment.
 */
static bool should_save(const celery_beat *b)
{
    double age = loop_now(b) - b->last_save;

    if (!b->lock->held || b->saving || loop_now(b) < b->save_at) {
        return false;
    }
    if (age > b->sync_every) {
        return true; /* also without a change: the broker wants to hear of us */
    }
    if (!b->dirty) {
        return false;
    }
    return b->sync_every_tasks <= 1 || b->tasks_since_save >= b->sync_every_tasks;
}

/* ---- sending ---- */

static struct cel_entry *entry_of(celery_beat *b, const char *id)
{
    for (size_t i = 0; i < b->plan.n; i++) {
        if (b->plan.entries[i]->state == CEL_RUN_SENDING &&
            strcmp(b->plan.entries[i]->id, id) == 0) {
            return b->plan.entries[i];
        }
    }
    return NULL;
}

static void try_again(celery_beat *b, struct cel_entry *e, const celery_error *err)
{
    double wait = RETRY_FIRST * pow(2, e->attempts < 10 ? e->attempts : 10);

    wait = wait < RETRY_MOST ? wait : RETRY_MOST;
    e->attempts++;
    e->send_at = loop_now(b) + wait;
    set_state(b, e, CEL_RUN_READY);
    cel_log(CELERY_LOG_ERROR, "beat: '%s' could not be sent: %s. Trying again in %.2f s",
            cel_log_safe(cel_slice_of(e->name)), err->message, wait);
}

/* A message that no broker takes stays wrong: the run is over, as upstream's Message Error. */
static bool is_final(const celery_error *err)
{
    switch (err->status) {
    case CELERY_EINVAL:
    case CELERY_ECONFIG:
    case CELERY_ENOTSUP:
    case CELERY_EMESSAGE:
    case CELERY_ECONTENT:
    case CELERY_ELIMIT:
        return true;
    default:
        return false;
    }
}

static void on_sent(void *ctx, const char *id, const celery_error *err)
{
    celery_beat *b = ctx;
    struct cel_entry *e = entry_of(b, id);

    if (!e) {
        return; /* the plan, or the leader, has changed meanwhile */
    }
    if (err && !is_final(err)) {
        try_again(b, e, err);
        return;
    }
    if (err) {
        cel_log(CELERY_LOG_ERROR, "Message Error: Couldn't apply scheduled task %s: %s",
                cel_log_safe(cel_slice_of(e->name)), err->message);
    } else {
        cel_log(CELERY_LOG_DEBUG, "%s sent. id->%s", cel_log_safe(cel_slice_of(e->task)),
                id);
    }
    set_state(b, e, CEL_RUN_NONE);
    b->dirty = true;
    b->tasks_since_save++;
}

static void send_run(celery_beat *b, struct cel_entry *e)
{
    celery_error err = {0};

    if (e->attempts == 0) {
        cel_log(CELERY_LOG_INFO, "Scheduler: Sending due task %s (%s)",
                cel_log_safe(cel_slice_of(e->name)), cel_log_safe(cel_slice_of(e->task)));
    }
    set_state(b, e, CEL_RUN_SENDING);
    if (!e->own_id) {
        celery_sig_set_task_id(e->sig, e->id);
    } else {
        const celery_value *id = celery_sig_option(e->sig, "task_id");
        struct cel_slice text = cel_node_text(id);

        memset(e->id, 0, sizeof e->id);
        memcpy(e->id, text.data, text.len < sizeof e->id ? text.len : sizeof e->id - 1);
    }
    if (celery_send_async(b->client, e->sig, on_sent, b, &err) < 0) {
        on_sent(b, e->id, &err);
    }
}

static void send_ready(celery_beat *b)
{
    for (size_t i = 0; i < b->plan.n && b->lock->held && b->n_ready > 0; i++) {
        struct cel_entry *e = b->plan.entries[i];

        if (e->state == CEL_RUN_READY && e->send_at <= loop_now(b)) {
            send_run(b, e);
        }
    }
}

/* With beat_sync_every they go first and are written down when there are enough. */
static void let_go(celery_beat *b)
{
    if (b->sync_every_tasks > 1 && b->lock->held) {
        move_all(b, CEL_RUN_RESERVED, CEL_RUN_READY);
    }
}

/* ---- one pass ---- */

static double next_look(const celery_beat *b)
{
    const struct cel_heap_node *first = cel_heap_first(&b->plan.heap);
    double wait = b->max_interval < 1 ? b->max_interval : 1;

    if (first && first->key - cel_clock_wall() < wait) {
        wait = first->key - cel_clock_wall();
    }
    if (b->n_ready > 0 && wait > 0.05) {
        wait = 0.05;
    }
    return wait > 0 ? wait : 0;
}

double cel_beat_tick(celery_beat *b)
{
    if (!b->lock->held) {
        return 1;
    }
    if (!atomic_load(&b->stopping)) {
        find_due(b);
    }
    let_go(b);
    if (should_save(b)) {
        write_down(b);
    }
    send_ready(b);
    return next_look(b);
}

/* ---- the lock ---- */

static void read_state(celery_beat *b, struct cel_slice text)
{
    celery_error err = {0};
    char where[200] = "";
    celery_status status = cel_plan_read_state(&b->plan, text, &b->settings, &err);

    if (status == CELERY_NONE) {
        cel_log(CELERY_LOG_WARNING, "%s", err.message);
    } else if (status < 0) {
        b->lock->ops->set_aside(b->lock, where, sizeof where);
        cel_log(CELERY_LOG_ERROR, "Removing corrupted schedule state (%s): %s%s%s",
                b->lock->where, err.message, *where ? "; it is kept as " : "", where);
    }
}

static void on_gained(void *ctx, struct cel_slice state)
{
    celery_beat *b = ctx;

    *b->waiting = '\0';
    cel_log(CELERY_LOG_INFO, "beat: This is the leader (%s)", b->lock->where);
    if (state.len > 0) {
        read_state(b, state);
    }
    recount(b);
    cel_plan_wake(&b->plan);
    b->clock_offset = cel_clock_wall() - cel_clock_mono();
    b->saving = false;
    b->dirty = true; /* new entries have their beginning, old ones are forgotten */
    b->tasks_since_save = b->sync_every_tasks;
    b->save_at = 0;
}

static void on_lost(void *ctx, const celery_error *why)
{
    celery_beat *b = ctx;

    cel_log(CELERY_LOG_WARNING, "beat: Not the leader any more: %s", why->message);
    /* What was written down is the next leader's, unless it is forgotten; the rest is due still. */
    b->saving = false;
    for (size_t i = 0; i < b->plan.n; i++) {
        struct cel_entry *e = b->plan.entries[i];

        if (e->state == CEL_RUN_RESERVED || e->state == CEL_RUN_SAVING) {
            e->last_run_at = e->run_before;
            e->total_run_count--;
            set_state(b, e, CEL_RUN_NONE);
        }
    }
}

static void on_waiting(void *ctx, const char *why)
{
    celery_beat *b = ctx;

    if (strncmp(b->waiting, why, sizeof b->waiting - 1) != 0) {
        size_t len = strlen(why);

        len = len < sizeof b->waiting ? len : sizeof b->waiting - 1;
        memcpy(b->waiting, why, len);
        b->waiting[len] = '\0';
        cel_log(CELERY_LOG_INFO, "beat: Waiting for the lock (%s): %s", b->lock->where,
                why);
    }
}

const struct cel_beat_lock_events cel_beat_lock_events = {
    .gained = on_gained, .lost = on_lost, .waiting = on_waiting};
