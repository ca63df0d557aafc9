/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "observed.h"
#include <stdio.h>
#include <unistd.h>

/* ---- how operations end ---- */

void on_done(void *ctx, const celery_error *err, int64_t answer)
{
    struct seen *seen = ctx;

    seen->answers++;
    seen->sum += answer;
    if (err) {
        seen->errors++;
        seen->status = err->status;
        snprintf(seen->message, sizeof seen->message, "%s", err->message);
    }
}

struct cel_done to(struct seen *seen)
{
    return (struct cel_done){on_done, seen};
}

/* ---- what is told ---- */

static void copy(char *to_text, size_t size, struct cel_slice text)
{
    snprintf(to_text, size, "%.*s", (int)text.len, text.data ? text.data : "");
}

static void on_meta(void *ctx, struct cel_slice task_id, const struct cel_node *doc)
{
    struct told *t = ctx;

    copy(t->last_id, sizeof t->last_id, task_id);
    copy(t->last_status, sizeof t->last_status, cel_meta_status(doc));
    copy(t->last_result, sizeof t->last_result,
         cel_node_text(cel_node_get(doc, CEL_SLICE("result"))));
    t->metas++;
    t->missing += doc == NULL;
}

static void on_lost(void *ctx, const celery_error *why)
{
    assert_true(why->status < 0);
    ((struct told *)ctx)->lost++;
}

const struct cel_backend_events told_events = {.meta = on_meta, .lost = on_lost};

/* ---- time ---- */

void run_until(struct cel_loop *loop, const int *counter, int want)
{
    double deadline = cel_clock_mono() + 20;

    while (*counter < want && cel_clock_mono() < deadline) {
        cel_loop_pass(loop, 0.2);
    }
    assert_int_equal(*counter, want);
}

void run_quiet(struct cel_loop *loop)
{
    double deadline = cel_clock_mono() + 0.1;

    while (cel_clock_mono() < deadline) {
        cel_loop_pass(loop, 0.01);
    }
}

const char *fresh_id(char id[32])
{
    static int n;

    snprintf(id, 32, "id-%d-%d", (int)getpid(), n++);
    return id;
}
