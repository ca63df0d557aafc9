/* SPDX-License-Identifier: BSD-3-Clause */
/* The live view: the loop and its keys. */
#include "cli/events_top.h"
#include "cli/tty.h"

#include <celery/log.h>
#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const celery_state_task *top_task(const struct top *top)
{
    return *top->selected ? celery_state_task_of(top->state, top->selected) : NULL;
}

/* ---- what comes ---- */

static void on_event(void *ctx, const celery_event *event)
{
    celery_state_event(((struct top *)ctx)->state, event, NULL);
}

static void on_link(void *ctx, const celery_error *err, double wait)
{
    struct top *top = ctx;

    top->up = err == NULL;
    top->dirty = true;
    if (err) {
        snprintf(top->trouble, sizeof top->trouble, "%s", err->message);
    } else {
        top->trouble[0] = 0;
    }
}

/* A line on standard error would stand across the picture. */
static void on_log(void *ctx, celery_log_level level, const char *message)
{
    struct top *top = ctx;

    snprintf(top->trouble, sizeof top->trouble, "%s", message);
    top->dirty = true;
}

/* ---- keys ---- */

static void beep(void)
{
    tty_write("\a", 1);
}

/* find_position(): the first when it is not there any more. */
static size_t position(const struct top *top)
{
    for (size_t i = 0; i < top->n_shown; i++) {
        if (strcmp(top->shown[i], top->selected) == 0) {
            return i;
        }
    }
    return 0;
}

static void select_row(struct top *top, size_t row)
{
    if (top->n_shown > 0) {
        row = row < top->n_shown ? row : top->n_shown - 1;
        memcpy(top->selected, top->shown[row], sizeof top->selected);
    }
}

static void move(struct top *top, int key)
{
    size_t at = position(top);
    size_t page = top->n_shown > 1 ? top->n_shown - 1 : 1;

    switch (key) {
    case TTY_DOWN:
        select_row(top, *top->selected ? at + 1 : 0);
        break;
    case TTY_UP:
        select_row(top, at > 0 ? at - 1 : 0);
        break;
    case TTY_PAGE_DOWN:
        select_row(top, at + page);
        break;
    case TTY_PAGE_UP:
        select_row(top, at > page ? at - page : 0);
        break;
    case TTY_HOME:
        select_row(top, 0);
        break;
    default:
        select_row(top, TOP_SHOWN);
        break;
    }
}

/* The keys of CursesMonitor, in either case. */
static const struct {
    int key;
    int as; /* of movements: the key they are */
    void (*fn)(struct top *top);
} actions[] = {
    {'j', TTY_DOWN, NULL},
    {'k', TTY_UP, NULL},
    {TTY_DOWN, TTY_DOWN, NULL},
    {TTY_UP, TTY_UP, NULL},
    {TTY_PAGE_DOWN, TTY_PAGE_DOWN, NULL},
    {TTY_PAGE_UP, TTY_PAGE_UP, NULL},
    {TTY_HOME, TTY_HOME, NULL},
    {TTY_END, TTY_END, NULL},
    {'i', 0, top_show_info},
    {TTY_ENTER, 0, top_show_info},
    {'r', 0, top_show_result},
    {'t', 0, top_show_traceback},
    {'c', 0, top_revoke},
    {'l', 0, top_rate_limit},
};

static void on_list_key(struct top *top, int key)
{
    key = key < 128 ? tolower(key) : key;
    top->quit = key == 'q';
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (actions[i].key != key) {
            continue;
        }
        if (!actions[i].fn) {
            move(top, actions[i].as);
        } else if (top_task(top)) {
            actions[i].fn(top);
        } else {
            beep();
        }
    }
}

/* Any key leaves it; those of movement scroll while there is more. */
static void on_page_key(struct top *top, int key, unsigned rows)
{
    size_t room = rows > 4 ? rows - 4 : 1;
    size_t last = top->page_rows > room ? top->page_rows - room : 0;

    if (key == 'j' || key == TTY_DOWN) {
        top->scroll += top->scroll < last;
    } else if (key == 'k' || key == TTY_UP) {
        top->scroll -= top->scroll > 0;
    } else if (key == TTY_PAGE_DOWN || key == ' ') {
        top->scroll = top->scroll + room < last ? top->scroll + room : last;
    } else if (key == TTY_PAGE_UP) {
        top->scroll = top->scroll > room ? top->scroll - room : 0;
    } else if (key != TTY_OTHER) {
        free(top->page);
        top->page = NULL;
        top->mode = TOP_LIST;
    }
}

static void on_ask_key(struct top *top, int key)
{
    size_t len = strlen(top->input);

    if (top->one_key) {
        top->mode = TOP_LIST;
        if (key == 'y' || key == 'Y') {
            top->answered(top);
        }
    } else if (key == TTY_ESCAPE) {
        top->mode = TOP_LIST;
    } else if (key == TTY_ENTER) {
        top->mode = TOP_LIST;
        if (len > 0) {
            top->answered(top);
        }
    } else if (key == TTY_BACKSPACE) {
        top->input[len > 0 ? len - 1 : 0] = 0;
    } else if (key < 127 && len + 1 < sizeof top->input) {
        top->input[len] = (char)key;
        top->input[len + 1] = 0;
    }
}

static void take_keys(struct top *top)
{
    unsigned rows, columns;
    int key = tty_read_key();

    tty_size(&rows, &columns);
    for (; key != TTY_NONE && !top->quit; key = tty_read_key()) {
        top->dirty = true;
        if (key == TTY_GONE) {
            top->quit = true;
        } else if (top->mode == TOP_PAGE) {
            on_page_key(top, key, rows);
        } else if (top->mode == TOP_ASK) {
            on_ask_key(top, key);
        } else {
            on_list_key(top, key);
        }
    }
}

/* ---- the loop ---- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool draw(struct top *top)
{
    unsigned rows, columns;
    struct frame f;
    bool ok;

    tty_size(&rows, &columns);
    if (!frame_begin(&f, rows, columns, top->session->out.colour)) {
        return true; /* no memory: perhaps the next time */
    }
    if (top->mode == TOP_PAGE) {
        top_draw_page(top, &f);
    } else {
        top_draw(top, &f);
    }
    ok = !frame_end(&f) || tty_write(f.text, f.size);
    free(f.text);
    top->dirty = false;
    return ok;
}

/* A signal, which stops the receiver, ends the view. */
static void watch(struct top *top, double frequency)
{
    struct pollfd polled[2] = {{STDIN_FILENO, POLLIN, 0},
                               {celery_events_fd(top->events), POLLIN, 0}};
    double next = 0;

    while (!top->quit) {
        if (top->dirty || tty_changed() || now() >= next) {
            top->quit = !draw(top);
            next = now() + frequency;
        }
        double left = next - now();
        poll(polled, 2, left > 0 ? (int)(left * 1000) + 1 : 0);
        if (celery_events_run(top->events, 0, NULL) == CELERY_OK) {
            top->quit = true;
        }
        take_keys(top);
    }
}

int events_top(struct session *s, const struct events_args *args)
{
    const celery_events_options options = {.link = on_link, .patient = true};
    struct top *top = calloc(1, sizeof *top);
    celery_error err = {CELERY_ENOMEM, 0, "out of memory"};
    int code = 0;

    if (top) {
        top->session = s;
        top->state = celery_state_new(0, 0, &err);
        top->events =
            top->state ? celery_events_open(s->app, &options, on_event, top, &err) : NULL;
    }
    if (!top || !top->events) {
        code = session_failed(&err, err.status == CELERY_ECONFIG ? EXIT_USAGE : 1);
    } else if (!tty_begin()) {
        fprintf(stderr, "Error: the terminal cannot be set up.\n");
        code = 1;
    } else {
        events_stop_on_signals(top->events);
        celery_log_set(on_log, top, CELERY_LOG_WARNING);
        watch(top, args->frequency > 0.05 ? args->frequency : 0.05);
        tty_end();
        celery_log_set(NULL, NULL, CELERY_LOG_WARNING);
        events_stop_on_signals(NULL);
    }
    if (top) {
        celery_events_close(top->events);
        celery_state_free(top->state);
        free(top->page);
    }
    free(top);
    return code;
}
