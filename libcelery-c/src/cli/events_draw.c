/* SPDX-License-Identifier: BSD-3-Clause */
/* The picture: workers, tasks, and what is known of the one that is selected. */
#include "cli/events_top.h"

#include <celery/app.h>
#include <math.h>
#include <string.h>
#include <time.h>

enum {
    FOOT = 5, /* rows: a line, selected, info, trouble or question, keys */
    STATE = 9,
    TIME = 8,
    MIN_WORKER = 15,
    MIN_TASK = 16,
    UUID = 36,
};

static const char keys[] =
    "j:down k:up i:info t:traceback r:result c:revoke l:rate limit q:quit";

static enum style style_of(const char *state)
{
    static const struct {
        const char *state;
        enum style style;
    } styles[] = {
        {"SUCCESS", STYLE_GREEN},   {"FAILURE", STYLE_RED},    {"RETRY", STYLE_RED},
        {"REVOKED", STYLE_MAGENTA}, {"STARTED", STYLE_YELLOW},
    };

    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        if (strcmp(styles[i].state, state) == 0) {
            return styles[i].style;
        }
    }
    return STYLE_NONE;
}

/* ---- workers ---- */

struct rows {
    struct top *top;
    struct frame *f;
    size_t left; /* rows that may be used */
    size_t more; /* that did not fit */
};

static void number_text(int64_t value, char text[24])
{
    if (value < 0) {
        memcpy(text, "-", 2);
    } else {
        snprintf(text, 24, "%lld", (long long)value);
    }
}

static unsigned worker_width(const struct frame *f)
{
    return f->columns > 60 ? f->columns - 45 : MIN_WORKER;
}

static bool draw_worker(void *ctx, const celery_state_worker *w)
{
    struct rows *r = ctx;
    char active[24], processed[24], load[64] = "-";

    if (r->left == 0) {
        r->more++;
        return true;
    }
    r->left--;
    number_text(w->active, active);
    number_text(w->processed, processed);
    if (w->loadavg[0] >= 0) {
        snprintf(load, sizeof load, "%.2f %.2f %.2f", w->loadavg[0], w->loadavg[1],
                 w->loadavg[2]);
    }
    frame_line(r->f);
    frame_cell(r->f, STYLE_NONE, w->hostname, worker_width(r->f));
    frame_cell(r->f, w->alive ? STYLE_GREEN : STYLE_RED, w->alive ? "ONLINE" : "OFFLINE",
               8);
    frame_cell(r->f, STYLE_NONE, active, 6);
    frame_cell(r->f, STYLE_NONE, processed, 9);
    frame_put(r->f, STYLE_NONE, load);
    return true;
}

/* The last row says how many more there are. */
static void draw_workers(struct top *top, struct frame *f, size_t n)
{
    size_t room = frame_left(f) / 3;
    struct rows r = {.top = top, .f = f, .left = n > room ? room - (room > 0) : n};

    frame_line(f);
    frame_cell(f, STYLE_BOLD, "WORKER", worker_width(f));
    frame_cell(f, STYLE_BOLD, "STATE", 8);
    frame_cell(f, STYLE_BOLD, "ACTIVE", 6);
    frame_cell(f, STYLE_BOLD, "PROCESSED", 9);
    frame_put(f, STYLE_BOLD, "LOAD");
    celery_state_each_worker(top->state, 0, draw_worker, &r);
    if (n == 0) {
        frame_line(f);
        frame_put(f, STYLE_DIM, "No workers discovered.");
    } else if (r.more > 0) {
        frame_line(f);
        frame_putf(f, STYLE_DIM, "... and %zu more", r.more);
    }
}

/* ---- tasks ---- */

struct widths {
    unsigned uuid, task, worker;
};

/* CursesMonitor.format_row() */
static struct widths widths_of(const struct frame *f)
{
    unsigned fixed = STATE + TIME + 4;
    unsigned room = f->columns > fixed ? f->columns - fixed : 0;
    unsigned others = MIN_TASK + MIN_WORKER;
    struct widths w = {.uuid = room > others ? room - others : room / 3};

    w.uuid = w.uuid > UUID ? UUID : w.uuid;
    w.task = (room - w.uuid + 1) / 2;
    w.worker = room - w.uuid - w.task;
    return w;
}

static void clock_text(double time, char text[32])
{
    char whole[32];

    text_time(time, whole);
    memcpy(text, "-", 2);
    if (strlen(whole) == 19) {
        memcpy(text, whole + 11, 9);
    }
}

static bool draw_task(void *ctx, const celery_state_task *t)
{
    struct rows *r = ctx;
    struct top *top = r->top;
    struct widths w = widths_of(r->f);
    char when[32];

    frame_line(r->f);
    if (strcmp(t->uuid, top->selected) == 0) {
        frame_reverse(r->f);
    }
    clock_text(t->timestamp, when);
    frame_cell(r->f, STYLE_NONE, t->uuid, w.uuid);
    frame_cell(r->f, STYLE_NONE, t->name, w.task);
    frame_cell(r->f, STYLE_NONE, t->worker, w.worker);
    frame_cell(r->f, STYLE_NONE, when, TIME);
    frame_cell(r->f, style_of(t->state), t->state, STATE);
    if (top->n_shown < TOP_SHOWN) {
        snprintf(top->shown[top->n_shown++], TOP_ID, "%s", t->uuid);
    }
    return true;
}

static void draw_tasks(struct top *top, struct frame *f)
{
    unsigned left = frame_left(f);
    struct rows r = {.top = top, .f = f};
    celery_state_filter filter = {.limit = left > FOOT + 1 ? left - FOOT - 1 : 0};
    struct widths w = widths_of(f);

    top->n_shown = 0;
    filter.limit = filter.limit < TOP_SHOWN ? filter.limit : TOP_SHOWN;
    frame_line(f);
    frame_cell(f, STYLE_BOLD, "UUID", w.uuid);
    frame_cell(f, STYLE_BOLD, "TASK", w.task);
    frame_cell(f, STYLE_BOLD, "WORKER", w.worker);
    frame_cell(f, STYLE_BOLD, "TIME", TIME);
    frame_cell(f, STYLE_BOLD, "STATE", STATE);
    if (filter.limit > 0) {
        celery_state_each_task(top->state, &filter, draw_task, &r, NULL);
    }
}

/* ---- the foot ---- */

static void put_field(struct frame *f, const char *name, const char *value)
{
    if (value) {
        frame_putf(f, STYLE_NONE, "%s=", name);
        frame_put(f, STYLE_NONE, value);
        frame_put(f, STYLE_NONE, " ");
    }
}

static void draw_selected(struct top *top, struct frame *f)
{
    const celery_state_task *t = top_task(top);
    char runtime[32];

    frame_line(f);
    if (!*top->selected) {
        frame_put(f, STYLE_NONE, "No task selected");
        return;
    }
    frame_put(f, STYLE_BOLD, "Selected: ");
    if (!t) {
        frame_put(f, STYLE_NONE, "Missing extended info");
        return;
    }
    put_field(f, "args", t->args);
    put_field(f, "kwargs", t->kwargs);
    put_field(f, "result", t->result);
    if (t->runtime >= 0) {
        snprintf(runtime, sizeof runtime, "%.2f", t->runtime);
        put_field(f, "runtime", runtime);
    }
    put_field(f, "exception", t->exception);
}

static void draw_foot(struct top *top, struct frame *f, const celery_state_counts *c)
{
    frame_go(f, f->rows > FOOT ? f->rows - FOOT + 1 : f->row + 1);
    frame_rule(f);
    draw_selected(top, f);
    frame_line(f);
    frame_put(f, STYLE_BOLD, "Info: ");
    frame_putf(f, STYLE_NONE, "events: %llu tasks: %llu workers: %zu/%zu",
               (unsigned long long)c->events, (unsigned long long)c->received, c->alive,
               c->workers);
    frame_line(f);
    if (top->mode == TOP_ASK) {
        frame_put(f, STYLE_BOLD, top->question);
        frame_put(f, STYLE_NONE, top->input);
        frame_put(f, STYLE_NONE, "_");
    } else {
        frame_put(f, STYLE_YELLOW, top->trouble);
    }
    frame_line(f);
    frame_put(f, STYLE_BOLD, "Keys: ");
    frame_put(f, STYLE_NONE, keys);
}

void top_draw(struct top *top, struct frame *f)
{
    celery_state_counts counts;

    celery_state_count(top->state, 0, &counts);
    frame_putf(f, STYLE_BOLD, "celery-c events %s", celery_version());
    frame_put(f, top->up ? STYLE_GREEN : STYLE_RED,
              top->up ? "  connected" : "  not connected");
    frame_line(f);
    draw_workers(top, f, counts.workers);
    frame_line(f);
    draw_tasks(top, f);
    draw_foot(top, f, &counts);
}
