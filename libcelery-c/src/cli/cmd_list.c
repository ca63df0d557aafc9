/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c list bindings (celery/bin/list.py). */
#include "cli/json_out.h"
#include "cli/session.h"

#include <celery/queue.h>
#include <stdlib.h>
#include <string.h>

struct list_args {
    const char *api;
    bool json;
    bool begun; /* the head is printed */
};

static const struct opt options[] = {
    {0, "json", OPT_SWITCH, offsetof(struct list_args, json), NULL,
     "One JSON object for each line.", NULL},
    {0, "broker-api", OPT_TEXT, offsetof(struct list_args, api), "URL",
     "RabbitMQ's management API; default: http://HOST:15672/api/ of the broker.", NULL},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};

static const struct verb verbs[] = {
    {"bindings", NULL, "Queues, their exchanges and routing keys."},
    {NULL, NULL, NULL},
};

/* Upstream's '{q:<28} {e:<28} {r}', also on a terminal. */
static void print_row(const char *queue, const char *exchange, const char *key)
{
    const char *cells[] = {queue, exchange};

    for (size_t i = 0; i < 2; i++) {
        char *cell = text_escape(cells[i], strlen(cells[i]));
        size_t width = cell ? text_width(cell) : 0;

        printf("%s%*s ", cell ? cell : "?", width < 28 ? (int)(28 - width) : 0, "");
        free(cell);
    }
    text_print(stdout, key, strlen(key));
    putchar('\n');
}

static void print_head(struct list_args *a)
{
    if (!a->begun && !a->json) {
        print_row("Queue", "Exchange", "Routing Key");
        print_row("----------------", "----------------", "----------------");
    }
    a->begun = true;
}

static void print_binding(void *ctx, const celery_binding *b)
{
    struct list_args *a = ctx;

    print_head(a);
    if (a->json) {
        json_out(json_pack("{ss ss ss}", "queue", b->queue, "exchange", b->exchange,
                           "routing_key", b->routing_key));
    } else {
        print_row(b->queue, b->exchange, b->routing_key);
    }
}

static int list_bindings(struct session *s, struct list_args *a)
{
    celery_error err = {0};

    if (celery_client_bindings(s->client, print_binding, a, &err) < 0) {
        return err.status == CELERY_ENOTSUP
                   ? opt_usage(s->line->program, &cmd_list, "%s", err.message)
                   : session_failed(&err, 1);
    }
    print_head(a);
    return 0;
}

static int run(int argc, char **argv)
{
    struct list_args a = {0};
    struct line line;
    struct session s;
    int code = opt_parse(&cmd_list, argc, argv, &a, &line);

    if (code != OPT_GO) {
        return code;
    }
    if (!opt_verb(&cmd_list, line.words[0])) {
        return opt_usage(line.program, &cmd_list, "No such command '%s'.", line.words[0]);
    }
    celery_error err = {0};
    code = session_app(&s, &line);
    if (code == OPT_GO && a.api && celery_app_set(s.app, "broker_api", a.api, &err) < 0) {
        code = session_failed(&err, EXIT_USAGE);
    }
    if (code == OPT_GO) {
        code = session_open(&s, 1);
    }
    if (code == OPT_GO) {
        code = list_bindings(&s, &a);
    }
    session_end(&s);
    return code;
}

const struct command cmd_list = {
    .name = "list",
    .group = "Messages",
    .summary = "List what the broker knows: bindings.",
    .about =
        "  RabbitMQ tells its bindings through its management plugin, which has to be\n"
        "  enabled; rabbitmqctl list_bindings is the other way.",
    .words = "COMMAND",
    .verbs = verbs,
    .options = options,
    .run = run,
};
