/* SPDX-License-Identifier: BSD-3-Clause */
/* A page of its own: what is known of a task, its result, its traceback. */
#include "cli/events_top.h"

#include <stdlib.h>
#include <string.h>

void top_show_page(struct top *top, const char *title, const char *task, char *give_text)
{
    free(top->page);
    top->page = give_text;
    top->scroll = 0;
    top->page_rows = 0;
    top->mode = TOP_PAGE;
    snprintf(top->title, sizeof top->title, "%s%s", title, task);
}

/* ---- texts ---- */

static void put_text(FILE *out, const char *name, const char *value)
{
    if (value) {
        fprintf(out, "%s: %s\n", name, value);
    }
}

static void put_time(FILE *out, const char *name, double time)
{
    char text[32];

    if (time > 0) {
        text_time(time, text);
        put_text(out, name, text);
    }
}

static void put_number(FILE *out, const char *name, const char *fmt, double value)
{
    if (value >= 0) {
        fprintf(out, "%s: ", name);
        fprintf(out, strcmp(fmt, "s") == 0 ? "%.3f s\n" : "%.0f\n", value);
    }
}

static void put_task(FILE *out, const celery_state_task *t)
{
    put_text(out, "args", t->args);
    put_text(out, "kwargs", t->kwargs);
    put_text(out, "name", t->name);
    put_text(out, "state", t->state);
    put_text(out, "worker", t->worker);
    put_text(out, "client", t->client);
    put_number(out, "retries", "", (double)t->retries);
    put_text(out, "result", t->result);
    put_text(out, "exception", t->exception);
    put_text(out, "eta", t->eta);
    put_number(out, "runtime", "s", t->runtime);
    put_text(out, "expires", t->expires);
    put_text(out, "queue", t->queue);
    put_text(out, "exchange", t->exchange);
    put_text(out, "routing_key", t->routing_key);
    put_text(out, "root_id", t->root_id);
    put_text(out, "parent_id", t->parent_id);
    put_time(out, "sent", t->sent);
    put_time(out, "received", t->received);
    put_time(out, "started", t->started);
    put_time(out, "succeeded", t->succeeded);
    put_time(out, "failed", t->failed);
    put_time(out, "retried", t->retried);
    put_time(out, "revoked", t->revoked);
    put_time(out, "rejected", t->rejected);
}

void top_show_info(struct top *top)
{
    const celery_state_task *t = top_task(top);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out) {
        return;
    }
    put_task(out, t);
    if (fclose(out) == 0) {
        top_show_page(top, "Task details for ", t->uuid, text);
    }
}

void top_show_result(struct top *top)
{
    const celery_state_task *t = top_task(top);
    const char *text = t->result ? t->result : t->exception;

    top_show_page(top, "Task Result for ", t->uuid,
                  strdup(text ? text : "No result is known."));
}

void top_show_traceback(struct top *top)
{
    const celery_state_task *t = top_task(top);

    top_show_page(top, "Task Exception Traceback for ", t->uuid,
                  strdup(t->traceback ? t->traceback : "No traceback is known."));
}

/* ---- drawing ---- */

/* One line of text in as many rows as it takes. */
static void draw_wrapped(struct top *top, struct frame *f, const char *line, size_t size)
{
    char *safe = text_escape(line, size);
    const char *at = safe;

    do {
        size_t fits = at ? text_fit(at, f->columns) : 0;
        bool shown = top->page_rows >= top->scroll && frame_left(f) > 2;

        fits = fits == 0 && at && *at ? 1 : fits; /* a letter wider than the screen */
        if (shown) {
            frame_line(f);
            frame_putf(f, STYLE_NONE, "%.*s", (int)fits, at ? at : "");
        }
        top->page_rows++;
        at += fits;
    } while (at && *at);
    free(safe);
}

void top_draw_page(struct top *top, struct frame *f)
{
    const char *text = top->page ? top->page : "";

    frame_put(f, STYLE_BOLD, top->title);
    frame_line(f);
    top->page_rows = 0;
    while (*text) {
        size_t len = strcspn(text, "\n");

        draw_wrapped(top, f, text, len);
        text += len + (text[len] == '\n');
    }
    frame_go(f, f->rows);
    frame_put(f, STYLE_BOLD, "Press any key to continue...");
}
