/* SPDX-License-Identifier: BSD-3-Clause */
/* What the view tells workers: to discard a task, and how often a kind of task may run. */
#include "cli/events_top.h"

#include <celery/control.h>
#include <stdlib.h>
#include <string.h>

/* {"ok": text} or {"error": text}, as alert_remote_control_reply() shows it. */
static void put_reply(FILE *out, const char *node, const celery_value *value)
{
    const celery_value *error = celery_value_get(value, "error");
    const celery_value *said = error ? error : celery_value_get(value, "ok");
    size_t len = 0;
    const char *text = celery_value_text(said, &len);

    fprintf(out, "%s: %s%.*s\n", node, error ? "error: " : "", (int)len,
            text ? text : "");
}

static void show_replies(struct top *top, celery_replies *give_replies,
                         const celery_error *err)
{
    char *text = NULL;
    size_t size, n = celery_replies_count(give_replies);
    FILE *out = open_memstream(&text, &size);

    if (!out) {
        celery_replies_free(give_replies);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        put_reply(out, celery_reply_node(give_replies, i),
                  celery_reply_value(give_replies, i));
    }
    if (!give_replies) {
        fprintf(out, "Error: %s\n", err->message);
    } else if (n == 0) {
        fprintf(out, "No replies received in 1s deadline.\n");
    }
    celery_replies_free(give_replies);
    if (fclose(out) == 0) {
        top_show_page(top, "Remote Control Command Replies", "", text);
    }
}

static void send_revoke(struct top *top)
{
    celery_error err = {0};
    celery_client *client = celery_client_open_app(top->session->app, &err);

    show_replies(
        top, celery_control(client, "revoke", NULL, &err, "{s:s}", "task_id", top->about),
        &err);
    celery_client_close(client);
}

static void send_rate_limit(struct top *top)
{
    celery_error err = {0};
    celery_client *client = celery_client_open_app(top->session->app, &err);

    show_replies(top,
                 celery_control(client, "rate_limit", NULL, &err, "{s:s, s:s}",
                                "task_name", top->about, "rate_limit", top->input),
                 &err);
    celery_client_close(client);
}

static void ask(struct top *top, const char *question, const char *about, bool one_key,
                void (*answered)(struct top *top))
{
    snprintf(top->about, sizeof top->about, "%s", about);
    top->mode = TOP_ASK;
    top->question = question;
    top->input[0] = 0;
    top->one_key = one_key;
    top->answered = answered;
}

void top_revoke(struct top *top)
{
    ask(top, "Revoke the selected task? [y/N] ", top_task(top)->uuid, true, send_revoke);
}

void top_rate_limit(struct top *top)
{
    const celery_state_task *t = top_task(top);

    if (t->name) {
        ask(top, "New rate limit: ", t->name, false, send_rate_limit);
    }
}
