/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the live view share (celery/events/cursesmon.py). */
#ifndef CEL_CLI_EVENTS_TOP_H
#define CEL_CLI_EVENTS_TOP_H

#include "cli/events.h"
#include "cli/frame.h"

enum {
    TOP_ID = 256,    /* bytes of an id with its NUL */
    TOP_SHOWN = 512, /* rows of tasks at most */
    TOP_INPUT = 64,
};

enum top_mode {
    TOP_LIST, /* workers and tasks */
    TOP_PAGE, /* a text of its own */
    TOP_ASK,  /* a line is typed in */
};

struct top {
    struct session *session;
    celery_state *state;
    celery_events *events;
    bool up;               /* events come */
    char trouble[256];     /* why not, or the library's latest line */
    char selected[TOP_ID]; /* a task's id; "": none */
    char shown[TOP_SHOWN][TOP_ID];
    size_t n_shown;

    enum top_mode mode;
    char title[TOP_ID + 64]; /* of the page */
    char *page;
    size_t scroll, page_rows; /* first line that is shown, and how many there are */

    const char *question;
    char about[4200]; /* the task's id or name that it is about */
    char input[TOP_INPUT];
    bool one_key; /* y or anything else */
    void (*answered)(struct top *top);

    bool dirty, quit;
};

/* ---- events_draw.c ---- */

void top_draw(struct top *top, struct frame *f);

/* ---- events_page.c ---- */

void top_show_info(struct top *top);
void top_show_result(struct top *top);
void top_show_traceback(struct top *top);

/* Takes the text, which is shown until a key is hit. */
void top_show_page(struct top *top, const char *title, const char *task, char *give_text);
void top_draw_page(struct top *top, struct frame *f);

/* ---- events_act.c ---- */

/* Ask first, then tell the workers and show what they answer. */
void top_revoke(struct top *top);
void top_rate_limit(struct top *top);

/* The task that is selected and still known; or NULL. */
const celery_state_task *top_task(const struct top *top);

#endif
