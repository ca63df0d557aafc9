/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool/serve.h"
#include <sys/resource.h>

#define UNSENT_MAX  16     /* the pool refills while the rest of a batch runs */
#define UNSENT_TIME 0.0005 /* seconds an outcome may wait for company */

static unsigned stopping(void *ctx)
{
    struct cel_serve *s = ctx;
    return cel_board_stopping(s->board, s->seq);
}

static void flush(struct cel_serve *s)
{
    s->io.flush(s->io.ctx);
    s->unsent = 0;
    s->unsent_time = 0;
}

static void send_state(void *ctx, struct cel_job *job, struct cel_slice state,
                       struct cel_slice meta_json)
{
    struct cel_serve *s = ctx;
    struct cel_wire_state frame = {s->seq, state, meta_json};
    if (cel_wire_write_state(&s->out, s->number + 1, &frame) >= 0) {
        s->number++;
        s->io.put(s->io.ctx, &s->out);
        flush(s);
    }
}

static celery_status send_effects(void *ctx, struct cel_job *job,
                                  struct cel_slice effects)
{
    struct cel_serve *s = ctx;
    celery_status status =
        cel_wire_write_effects(&s->out, s->number + 1, s->seq, effects);
    if (status < 0) {
        cel_buf_clear(&s->out);
        return status;
    }
    s->number++;
    s->io.put(s->io.ctx, &s->out);
    flush(s);
    return CELERY_OK;
}

celery_status cel_serve_init(struct cel_serve *s, const struct cel_pool_options *options,
                             struct cel_board *board, const struct cel_serve_io *io)
{
    *s = (struct cel_serve){.options = options, .io = *io, .board = board};
    struct cel_run_hooks hooks = {
        .ctx = s, .state = send_state, .effects = send_effects, .stopping = stopping};
    s->runner = cel_runner_new(options->app, options->hostname, &options->limits, &hooks);
    return s->runner ? CELERY_OK : CELERY_ENOMEM;
}

void cel_serve_fini(struct cel_serve *s)
{
    s->runner = cel_runner_free(s->runner);
    cel_buf_fini(&s->in);
    cel_buf_fini(&s->out);
}

void cel_serve_nudge(struct cel_serve *s)
{
    if (cel_board_stopping(s->board, s->seq) & CEL_STOP_SOFT) {
        cel_runner_soft_limit(s->runner);
    }
}

/* ---- one job ---- */

static void fail(struct cel_outcome *o, struct cel_slice type, struct cel_slice args)
{
    double runtime = o->runtime;
    unsigned follows = o->follows;
    *o = (struct cel_outcome){
        .kind = CEL_OUTCOME_FAILURE,
        .exc_type = type,
        .exc_module = CEL_SLICE("builtins"),
        .exc_args = args,
        .runtime = runtime,
        .follows = follows,
    };
}

static bool send_done(struct cel_serve *s, uint32_t seq, struct cel_outcome *o)
{
    celery_status status = cel_wire_write_done(&s->out, s->number + 1, seq, o);
    if (status == CELERY_ELIMIT) {
        fail(o, CEL_SLICE("ValueError"), CEL_SLICE("[\"the result is too large\"]"));
        status = cel_wire_write_done(&s->out, s->number + 1, seq, o);
    } else if (status < 0) {
        fail(o, CEL_SLICE("MemoryError"), CEL_SLICE("[\"no memory for the result\"]"));
        status = cel_wire_write_done(&s->out, s->number + 1, seq, o);
    }
    if (status < 0) {
        return false;
    }
    s->number++;
    s->io.put(s->io.ctx, &s->out);
    return true;
}

/* billiard.compat.mem_rss(): the peak, in KiB. */
static long max_rss(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

static bool run_job(struct cel_serve *s, struct cel_wire_job *job)
{
    if (s->unsent > 0 && !job->brief) {
        flush(s);
    }
    if (s->full || !cel_board_claim(s->board, job->seq)) {
        return true;
    }
    struct cel_outcome outcome;
    s->seq = job->seq;
    cel_runner_run(s->runner, &job->job, &outcome);
    if (s->options->max_memory_per_child > 0) {
        outcome.max_rss_kib = max_rss();
        s->full = outcome.max_rss_kib > s->options->max_memory_per_child;
    }
    bool sent = send_done(s, job->seq, &outcome);
    cel_board_end(s->board, job->seq);
    s->unsent++;
    s->unsent_time += outcome.runtime;
    if (s->unsent >= UNSENT_MAX || s->unsent_time > UNSENT_TIME) {
        flush(s);
    }
    return sent;
}

/* Runs the jobs that are complete in the buffer. */
static bool run_batch(struct cel_serve *s)
{
    struct cel_slice rest = cel_buf_slice(&s->in);
    for (;;) {
        struct cel_frame frame;
        struct cel_wire_job job;
        celery_status status = cel_frame_next(&rest, &frame);
        if (status == CELERY_NONE) {
            break;
        }
        if (status < 0 || frame.type != CEL_FRAME_JOB ||
            !cel_wire_read_job(s->options->app, frame.payload, &job) ||
            !run_job(s, &job)) {
            return false;
        }
    }
    cel_buf_drop(&s->in, s->in.len - rest.len);
    if (s->unsent > 0) {
        flush(s);
    }
    return true;
}

bool cel_serve_run(struct cel_serve *s)
{
    if (cel_wire_write_up(&s->out, ++s->number) < 0) {
        return false;
    }
    s->io.put(s->io.ctx, &s->out);
    flush(s);
    while (s->io.fill(s->io.ctx, &s->in)) {
        if (!run_batch(s)) {
            return false;
        }
    }
    return true;
}
