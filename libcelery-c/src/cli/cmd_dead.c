/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c dead: what workers have parked. */
#include "cli/cmd_dead.h"
#include "cli/confirm.h"
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIELD(member) offsetof(struct dead_args, member)

static const struct opt options[] = {
    {'Q', "queue", OPT_TEXT, FIELD(queue), "NAME", "Queue; default: task_default_queue.",
     NULL},
    {0, "queues", OPT_TEXT, FIELD(queue), "NAME", "As --queue.", NULL},
    {0, "json", OPT_SWITCH, FIELD(json), NULL, "One JSON object for each line.", NULL},
    {0, "raw", OPT_SWITCH, FIELD(raw), NULL,
     "show: the message's bytes alone, as they are.", NULL},
    {0, "all", OPT_SWITCH, FIELD(all), NULL, "replay, purge: all of the queue.", NULL},
    {'f', "force", OPT_SWITCH, FIELD(force), NULL, "purge: do not ask.", NULL},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};

/* ---- commands ---- */

/* The letter that the user named: by index if it is a number, otherwise by task id. */
static int look_up(struct dead_run *r, const celery_dead_entry **ret)
{
    celery_error err = {0};
    const char *which = r->args.which;
    size_t digits = strspn(which, "0123456789");
    celery_status status = CELERY_NONE;

    if (which[digits] == 0 && digits > 0 && digits < 10) {
        status = celery_dead_at(r->dead, r->queue, strtoul(which, NULL, 10), ret, &err);
    }
    if (status == CELERY_NONE) {
        celery_error why = {0};

        status = celery_dead_find(r->dead, r->queue, which, ret, &why);
        if (status != CELERY_OK && (status < 0 || err.status == CELERY_OK)) {
            err = why;
        }
    }
    return status == CELERY_OK ? 0 : session_failed(&err, 1);
}

static int show(struct dead_run *r)
{
    const celery_dead_entry *entry;

    if (r->args.raw && isatty(STDOUT_FILENO)) {
        fprintf(stderr, "Error: --raw is not for a terminal: send it to a file or a "
                        "pipe\n");
        return 2;
    }
    if (look_up(r, &entry)) {
        return 1;
    }
    if (r->args.raw) {
        if (entry->message_size < entry->size) {
            fprintf(stderr,
                    "Error: the message has %zu bytes, over 32 MiB: only its "
                    "beginning can be shown\n",
                    entry->size);
            return 1;
        }
        fwrite(entry->message, 1, entry->message_size, stdout);
    } else {
        dead_print_entry(entry, r->args.json);
    }
    return 0;
}

static int replay(struct dead_run *r)
{
    const celery_dead_entry *entry;
    celery_error err = {0};
    celery_status status;
    size_t n = 1;

    if (r->args.all) {
        status = celery_dead_replay_all(r->dead, r->queue, &n, &err);
    } else {
        if (look_up(r, &entry)) {
            return 1;
        }
        status = celery_dead_replay(r->dead, entry, &err);
    }
    if (status != CELERY_OK) {
        if (r->args.all && n > 0) {
            fprintf(stderr, "%zu replayed before this:\n", n);
        }
        return session_failed(&err, 1);
    }
    printf("%zu replayed\n", n);
    return 0;
}

/* OPT_GO when the user agrees. */
static int ask(const struct dead_run *r, size_t n)
{
    char question[512];

    if (r->args.force || n == 0) {
        return OPT_GO;
    }
    snprintf(question, sizeof question,
             "Remove %zu dead letter%s of queue %.255s for good?", n, n == 1 ? "" : "s",
             r->queue);
    return confirm_ask(question);
}

static int purge(struct dead_run *r)
{
    const celery_dead_entry *entry = NULL;
    celery_error err = {0};
    celery_status status;
    size_t n = 1;

    if (r->args.all) {
        if (celery_dead_count(r->dead, r->queue, &n, &err) < 0) {
            return session_failed(&err, 1);
        }
    } else if (look_up(r, &entry)) {
        return 1;
    }
    if (ask(r, n) != OPT_GO) {
        return 1;
    }
    status = entry ? celery_dead_remove(r->dead, entry, &err)
                   : celery_dead_purge(r->dead, r->queue, &n, &err);
    if (status != CELERY_OK) {
        return session_failed(&err, 1);
    }
    printf("%zu removed\n", n);
    return 0;
}

static int list(struct dead_run *r)
{
    return dead_print_list(r);
}

static int queues(struct dead_run *r)
{
    return dead_print_queues(r);
}

static const struct verb verbs[] = {
    {"list", NULL, "The dead letters of a queue, newest first."},
    {"show", "INDEX|ID", "One of them with its bytes."},
    {"replay", "INDEX|ID|--all", "Back to the head of the queue, exactly as it was."},
    {"purge", "INDEX|ID|--all", "Remove for good."},
    {"queues", NULL, "Which queues have dead letters."},
    {NULL, NULL, NULL},
};

static const struct action {
    const char *name;
    int which; /* 0: takes none, 1: needs one, 2: or --all */
    int (*run)(struct dead_run *r);
} actions[] = {
    {"list", 0, list},   {"show", 1, show},     {"replay", 2, replay},
    {"purge", 2, purge}, {"queues", 0, queues},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, name) == 0) {
            return &actions[i];
        }
    }
    return NULL;
}

/* What is wrong with the words, before anything is opened. */
static int check(const struct dead_args *a, const struct action *act,
                 const struct line *line)
{
    const char *wrong = NULL;

    if (!act) {
        return opt_usage(line->program, &cmd_dead,
                         "no such command; list, show, replay, purge or queues: %s",
                         line->words[0]);
    }
    if (act->which == 0 && a->which) {
        return opt_usage(line->program, &cmd_dead, "one word too many: %s", a->which);
    }
    if (act->which == 1 && !a->which) {
        wrong = "say which: the INDEX or task ID that `dead list` shows";
    } else if (act->which == 2 && !a->which == !a->all) {
        wrong = "say which: an INDEX, a task ID, or --all";
    } else if (act->which != 2 && a->all) {
        wrong = "--all is for replay and purge";
    }
    if (wrong) {
        return opt_usage(line->program, &cmd_dead, "%s", wrong);
    }
    return act->run == purge ? confirm_possible(line, a->force) : OPT_GO;
}

static int with_letters(struct dead_run *r, const struct action *act, celery_app *app)
{
    celery_error err = {0};
    int code;

    r->dead = celery_dead_open(app, &err);
    r->queue = r->args.queue ? r->args.queue : celery_app_get(app, "task_default_queue");
    r->queue = r->queue ? r->queue : "celery";
    code = r->dead ? act->run(r) : session_failed(&err, 1);
    celery_dead_close(r->dead);
    return code;
}

static int run(int argc, char **argv)
{
    struct dead_run r = {.queue = NULL};
    struct line line;
    struct session s;
    int code = opt_parse(&cmd_dead, argc, argv, &r.args, &line);

    if (code != OPT_GO) {
        return code;
    }
    if (line.n_words == 0) {
        opt_help(line.program, &cmd_dead);
        return EXIT_USAGE;
    }
    const struct action *act = find_action(line.words[0]);
    r.args.which = line.n_words > 1 ? line.words[1] : NULL;
    code = check(&r.args, act, &line);
    if (code != OPT_GO) {
        return code;
    }
    code = session_app(&s, &line);
    if (code == OPT_GO) {
        r.out = s.out;
        code = with_letters(&r, act, s.app);
    }
    session_end(&s);
    return code;
}

const struct command cmd_dead = {
    .name = "dead",
    .group = "Messages",
    .summary = "List, replay and purge what workers have parked.",
    .about = "  Messages that workers could not read or run, kept with the reason.",
    .words = "[COMMAND] [INDEX|ID]",
    .verbs = verbs,
    .options = options,
    .run = run,
};
