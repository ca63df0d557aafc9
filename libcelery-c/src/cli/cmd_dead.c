/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c dead: what workers have parked. */
#include "cli/cmd_dead.h"
#include "cli/command.h"
#include "cli/load.h"

#include <celery/app.h>
#include <celery/dead.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "Usage: %s [-b URL] [--config FILE] dead COMMAND [ARGS]...\n\n"
    "  Messages that workers could not read or run, kept with the reason.\n\n"
    "Commands:\n"
    "  list                   The dead letters of a queue, newest first.\n"
    "  show INDEX|ID          One of them with its bytes.\n"
    "  replay INDEX|ID|--all  Back to the head of the queue, exactly as it was.\n"
    "  purge INDEX|ID|--all   Remove for good.\n"
    "  queues                 Which queues have dead letters.\n\n"
    "Options:\n"
    "  -b, --broker URL       Broker; default: CELERY_BROKER_URL, or the settings.\n"
    "      --config FILE      JSON file of settings.\n"
    "  -A, --app NAME         Application: a shared object of tasks.\n"
    "  -Q, --queue NAME       Queue; default: task_default_queue.\n"
    "      --json             One JSON object for each line.\n"
    "      --raw              show: the message's bytes alone, as they are.\n"
    "      --all              replay, purge: all of the queue.\n"
    "  -f, --force            purge: do not ask.\n"
    "      --help             Show this text and exit.\n";

/* ---- the command line ---- */

enum { NO_VALUE, A_VALUE, IGNORED };

static const struct option {
    char letter;
    const char *name;
    int kind;
    size_t offset; /* of const char * or bool in struct dead_args */
} options[] = {
    {'b', "broker", A_VALUE, offsetof(struct dead_args, broker)},
    {0, "config", A_VALUE, offsetof(struct dead_args, config)},
    {'A', "app", A_VALUE, offsetof(struct dead_args, app)},
    {0, "workdir", A_VALUE, offsetof(struct dead_args, workdir)},
    {0, "result-backend", A_VALUE, offsetof(struct dead_args, backend)},
    {'Q', "queue", A_VALUE, offsetof(struct dead_args, queue)},
    {0, "queues", A_VALUE, offsetof(struct dead_args, queue)},
    {0, "json", NO_VALUE, offsetof(struct dead_args, json)},
    {0, "raw", NO_VALUE, offsetof(struct dead_args, raw)},
    {0, "all", NO_VALUE, offsetof(struct dead_args, all)},
    {'f', "force", NO_VALUE, offsetof(struct dead_args, force)},
    {'C', "no-color", IGNORED, 0},
    {'q', "quiet", IGNORED, 0},
    {'h', "help", NO_VALUE, offsetof(struct dead_args, help)},
};

#define N_OPTIONS (sizeof options / sizeof options[0])

static const struct option *find(const char *word)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        size_t len = strlen(o->name);

        if (word[1] == '-') {
            if (strncmp(word + 2, o->name, len) == 0 &&
                (word[2 + len] == 0 || word[2 + len] == '=')) {
                return o;
            }
        } else if (o->letter && word[1] == o->letter) {
            return o;
        }
    }
    return NULL;
}

/* What is attached to an option: --name=value, -nvalue, -n=value; NULL: nothing. */
static const char *attached(const struct option *o, const char *word)
{
    const char *rest = word[1] == '-' ? word + 2 + strlen(o->name) : word + 2;

    return *rest == 0 ? NULL : *rest == '=' ? rest + 1 : rest;
}

static int wrong(const char *program, const char *what, const char *word)
{
    fprintf(stderr,
            "Usage: %s dead COMMAND [ARGS]...\nTry '%s dead --help' for help.\n\n",
            program, program);
    fprintf(stderr, "Error: %s%s", what, word ? ": " : "");
    dead_print_text(stderr, word ? word : "", word ? strnlen(word, 100) : 0);
    fputc('\n', stderr);
    return 2;
}

static int parse_option(struct dead_args *a, int argc, char **argv, int *at)
{
    const struct option *o = find(argv[*at]);
    const char *value;

    if (!o) {
        return wrong(argv[0], "no such option", argv[*at]);
    }
    value = attached(o, argv[*at]);
    if (o->kind != A_VALUE && value) {
        return wrong(argv[0], "this option takes no value", argv[*at]);
    }
    if (o->kind == NO_VALUE) {
        *(bool *)((char *)a + o->offset) = true;
    } else if (o->kind == A_VALUE) {
        if (!value) {
            value = *at + 1 < argc ? argv[++*at] : NULL;
        }
        if (!value || !*value) {
            return wrong(argv[0], "this option needs a value", argv[*at]);
        }
        *(const char **)(void *)((char *)a + o->offset) = value;
    }
    return 0;
}

static int parse(struct dead_args *a, int argc, char **argv)
{
    const char *words[3] = {NULL};
    size_t n = 0;
    bool only_words = false;

    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            int code = parse_option(a, argc, argv, &i);

            if (code) {
                return code;
            }
        } else if (n < 3) {
            words[n++] = argv[i];
        } else {
            return wrong(argv[0], "one word too many", argv[i]);
        }
    }
    a->verb = words[1]; /* words[0] is "dead" */
    a->which = words[2];
    return 0;
}

/* ---- commands ---- */

static int failed(const celery_error *err)
{
    fprintf(stderr, "Error: ");
    dead_print_text(stderr, err->message, strlen(err->message));
    fputc('\n', stderr);
    return 1;
}

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
    return status == CELERY_OK ? 0 : failed(&err);
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
        return failed(&err);
    }
    printf("%zu replayed\n", n);
    return 0;
}

/* True when the user agrees. */
static bool confirm(const struct dead_run *r, size_t n)
{
    char answer[16] = "";

    if (r->args.force || n == 0) {
        return true;
    }
    fprintf(stderr, "Remove %zu dead letter%s of queue ", n, n == 1 ? "" : "s");
    dead_print_text(stderr, r->queue, strlen(r->queue));
    fprintf(stderr, " for good? [y/N] ");
    return fgets(answer, sizeof answer, stdin) && (*answer == 'y' || *answer == 'Y');
}

static int purge(struct dead_run *r)
{
    const celery_dead_entry *entry = NULL;
    celery_error err = {0};
    celery_status status;
    size_t n = 1;

    if (r->args.all) {
        if (celery_dead_count(r->dead, r->queue, &n, &err) < 0) {
            return failed(&err);
        }
    } else if (look_up(r, &entry)) {
        return 1;
    }
    if (!confirm(r, n)) {
        fprintf(stderr, "Aborted!\n");
        return 1;
    }
    status = entry ? celery_dead_remove(r->dead, entry, &err)
                   : celery_dead_purge(r->dead, r->queue, &n, &err);
    if (status != CELERY_OK) {
        return failed(&err);
    }
    printf("%zu removed\n", n);
    return 0;
}

static int list(struct dead_run *r)
{
    celery_error err = {0};

    return dead_print_list(r, &err) < 0 ? failed(&err) : 0;
}

static int queues(struct dead_run *r)
{
    celery_error err = {0};

    return dead_print_queues(r, &err) < 0 ? failed(&err) : 0;
}

static const struct verb {
    const char *name;
    int which; /* 0: takes none, 1: needs one, 2: or --all */
    int (*run)(struct dead_run *r);
} verbs[] = {
    {"list", 0, list},   {"show", 1, show},     {"replay", 2, replay},
    {"purge", 2, purge}, {"queues", 0, queues},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* What is wrong with the words, before anything is opened; 0: nothing. */
static int check(const struct dead_args *a, const struct verb *v, const char *program)
{
    if (!v) {
        return wrong(program, "no such command; list, show, replay, purge or queues",
                     a->verb);
    }
    if (v->which == 0 && a->which) {
        return wrong(program, "one word too many", a->which);
    }
    if (v->which == 1 && !a->which) {
        return wrong(program, "say which: the INDEX or task ID that `dead list` shows",
                     NULL);
    }
    if (v->which == 2 && !a->which == !a->all) {
        return wrong(program, "say which: an INDEX, a task ID, or --all", NULL);
    }
    if (v->which != 2 && a->all) {
        return wrong(program, "--all is for replay and purge", NULL);
    }
    if (v->run == purge && !a->force && !isatty(STDIN_FILENO)) {
        return wrong(program, "purge asks first, and nobody is there to answer: add -f",
                     NULL);
    }
    return 0;
}

/* The app with the settings of the command line. */
static int make_app(const struct dead_args *a, celery_app **ret)
{
    celery_error err = {0};
    celery_status status = CELERY_OK;

    if (a->workdir && chdir(a->workdir) < 0) {
        perror("Error: --workdir");
        return 2;
    }
    *ret = a->app ? load_app(a->app) : celery_app_new("celery-c");
    if (!*ret) {
        return 2;
    }
    if (a->config) {
        status = celery_app_load(*ret, a->config, &err);
    }
    if (status == CELERY_OK && a->broker) {
        status = celery_app_set(*ret, "broker_url", a->broker, &err);
    }
    return status < 0 ? failed(&err) + 1 : 0;
}

int cmd_dead(int argc, char **argv)
{
    struct dead_run r = {.queue = NULL};
    const struct verb *v;
    celery_app *app = NULL;
    celery_error err = {0};
    int code = parse(&r.args, argc, argv);

    if (code) {
        return code;
    }
    if (r.args.help || !r.args.verb) {
        printf(help_text, argv[0]);
        return r.args.help ? 0 : 2;
    }
    v = find_verb(r.args.verb);
    code = check(&r.args, v, argv[0]);
    if (code) {
        return code;
    }
    code = make_app(&r.args, &app);
    if (code == 0) {
        r.dead = celery_dead_open(app, &err);
        r.queue = r.args.queue ? r.args.queue : celery_app_get(app, "task_default_queue");
        r.queue = r.queue ? r.queue : "celery";
        code = r.dead ? v->run(&r) : failed(&err);
    }
    celery_dead_close(r.dead);
    celery_app_free(app);
    return code;
}
