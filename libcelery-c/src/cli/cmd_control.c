/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c inspect, control and status (celery/bin/control.py). */
#include "cli/cmd_control.h"

#include "cli/names.h"

#include <stdlib.h>
#include <string.h>

#define FIELD(member) offsetof(struct control_args, member)
#define REMOTE        "Remote Control Options"

/* clang-format off */
#define COMMON \
    {'t', "timeout", OPT_SECONDS, FIELD(timeout), "SECONDS", "Time without a reply after which no more are waited for (1).", REMOTE}, \
    {'d', "destination", OPT_TEXT, FIELD(destination), "A,B", "Names of the nodes that are meant; default: all.", REMOTE}, \
    {0, "pattern", OPT_TEXT, FIELD(pattern), "PATTERN", "Only nodes whose names match.", REMOTE}, \
    {0, "matcher", OPT_CHOICE, FIELD(matcher), "glob|pcre", "How the pattern is written (glob).", REMOTE}, \
    {'j', "json", OPT_SWITCH, FIELD(json), NULL, "Print the replies as JSON.", REMOTE}

static const struct opt status_options[] = {COMMON, {0, NULL, 0, 0, NULL, NULL, NULL}};
static const struct opt method_options[] = {
    COMMON,
    {0, "list", OPT_SWITCH, FIELD(list), NULL, "List the methods and exit.", REMOTE},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

/* ---- methods ---- */

/* The methods of a command: those of the application, and those of every worker. */
struct methods {
    const celery_app *app;
    bool changes;
};

static const celery_control_method *next_method(const struct methods *m, size_t *at)
{
    const celery_control_method *method;

    while ((method = celery_app_control_method(m->app, *at))) {
        ++*at;
        if (method->changes == m->changes) {
            return method;
        }
    }
    size_t own = 0;
    while (celery_app_control_method(m->app, own)) {
        own++;
    }
    for (method = celery_control_methods() + (*at - own); method->name; method++) {
        ++*at;
        if (method->changes == m->changes && !method->hidden) {
            return method;
        }
    }
    return NULL;
}

static const char *method_name(const void *ctx, size_t i)
{
    const celery_control_method *method = NULL;
    size_t at = 0;

    for (size_t j = 0; j <= i; j++) {
        method = next_method(ctx, &at);
        if (!method) {
            return NULL;
        }
    }
    return method->name;
}

static int list_methods(const struct methods *m, const struct term *out)
{
    const celery_control_method *method;
    size_t at = 0;

    fprintf(out->out, "%s%s Commands:%s\n", term_on(out, STYLE_BOLD),
            m->changes ? "Control" : "Inspect", term_off(out));
    while ((method = next_method(m, &at))) {
        fprintf(out->out, "  %s%s%s\n      %s\n", method->name,
                *method->signature ? " " : "", method->signature, method->help);
    }
    return 0;
}

static int find_method(const struct line *line, const struct methods *m,
                       const celery_control_method **ret)
{
    const char *command = line->command->name;
    const char *word = line->n_words > 0 ? line->words[0] : NULL;
    size_t at = 0;
    char near[200];

    if (!word) {
        return opt_usage(line->program, line->command,
                         "Missing argument 'METHOD'. See %s --list", command);
    }
    while ((*ret = next_method(m, &at))) {
        if (strcmp((*ret)->name, word) == 0) {
            return OPT_GO;
        }
    }
    const celery_control_method *other = celery_control_method_named(word);
    if (other && other->changes != m->changes) {
        return opt_usage(line->program, line->command,
                         "Command %.64s not recognized. Did you mean %s %.64s?", word,
                         other->changes ? "control" : "inspect", word);
    }
    if (opt_nearest(word, method_name, m, "", near, sizeof near) == 0) {
        return opt_usage(line->program, line->command,
                         "Command %.64s not recognized. See %s --list", word, command);
    }
    return opt_usage(line->program, line->command,
                     "Command %.64s not recognized. Did you mean %s?", word, near);
}

/* ---- asking ---- */

static bool on_reply(void *ctx, const char *node, const celery_value *value)
{
    const struct control_run *r = ctx;

    control_print_reply(r, node, value);
    return true;
}

static int open_client(struct session *s)
{
    celery_error err = {0};

    /* Results are not asked for: their server need not be there. */
    if (celery_app_set(s->app, "result_backend", "disabled://", &err) == CELERY_OK) {
        s->client = celery_client_open_app(s->app, &err);
    }
    return s->client
               ? OPT_GO
               : session_failed(&err, err.status == CELERY_ECONFIG ? EXIT_USAGE
                                                                   : EXIT_UNAVAILABLE);
}

static celery_replies *ask(struct control_run *r, const char *method, json_t *arguments,
                           celery_error *err)
{
    celery_control_options options = {
        .pattern = r->args.pattern,
        .matcher = r->args.matcher,
        .timeout = r->args.timeout,
        .reply = r->args.json ? NULL : on_reply,
        .ctx = r,
    };
    struct names nodes = {0};

    if (r->args.destination) {
        names_split(&nodes, r->args.destination);
    }
    const char **list = calloc(nodes.n + 1, sizeof *list);
    if (!list || nodes.failed) {
        free(list);
        names_fini(&nodes);
        snprintf(err->message, sizeof err->message, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < nodes.n; i++) {
        list[i] = nodes.names[i];
    }
    options.destination = list;
    celery_replies *replies = celery_control(r->s.client, method, &options, err,
                                             arguments ? "O" : NULL, arguments);
    free(list);
    names_fini(&nodes);
    return replies;
}

static void warn(const celery_replies *replies)
{
    const char *why = NULL;
    size_t n = celery_replies_dropped(replies, &why);

    if (n > 0) {
        fprintf(stderr, "Warning: %zu %s could not be read: ", n,
                n == 1 ? "reply" : "replies");
        text_print(stderr, why, strlen(why));
        fputc('\n', stderr);
    }
}

/* Takes the replies. */
static int finish(const struct control_run *r, celery_replies *give_replies, bool as_list,
                  bool count)
{
    size_t n = celery_replies_count(give_replies);
    int code = 0;

    warn(give_replies);
    if (n == 0) {
        fprintf(stderr, "Error: No nodes replied within time constraint\n");
        code = EXIT_UNAVAILABLE;
    } else if (r->args.json && !control_print_json(give_replies, as_list)) {
        fprintf(stderr, "Error: out of memory\n");
        code = 1;
    }
    if (n > 0 && count && !r->args.json && !r->quiet) {
        printf("\n%zu %s online.\n", n, n == 1 ? "node" : "nodes");
    }
    celery_replies_free(give_replies);
    return code;
}

static int begin(struct control_run *r, const struct line *line)
{
    r->quiet = line->globals.quiet;
    if (r->args.matcher && !r->args.pattern) {
        return opt_usage(line->program, line->command, "--matcher needs a --pattern");
    }
    return OPT_GO;
}

/* ---- the commands ---- */

static int run_method(const struct command *command, int argc, char **argv)
{
    struct control_run r = {.values = true};
    const celery_control_method *method = NULL;
    celery_error err = {0};
    json_t *arguments = NULL;
    struct line line;
    int code = opt_parse(command, argc, argv, &r.args, &line);

    if (code != OPT_GO || (code = begin(&r, &line)) != OPT_GO) {
        return code;
    }
    code = session_app(&r.s, &line);
    r.out = &r.s.out;
    const struct methods m = {r.s.app, strcmp(command->name, "control") == 0};
    if (code == OPT_GO && r.args.list) {
        code = list_methods(&m, r.out);
    }
    if (code == OPT_GO) {
        code = find_method(&line, &m, &method);
    }
    if (code == OPT_GO) {
        arguments = celery_control_arguments(method, (const char *const *)line.words + 1,
                                             line.n_words - 1, &err);
        code = arguments ? OPT_GO : opt_usage(line.program, command, "%s", err.message);
    }
    if (code == OPT_GO) {
        code = open_client(&r.s);
    }
    if (code == OPT_GO) {
        celery_replies *replies = ask(&r, method->name, arguments, &err);

        code = replies ? finish(&r, replies, m.changes, !m.changes)
                       : session_failed(&err, EXIT_UNAVAILABLE);
    }
    json_decref(arguments);
    session_end(&r.s);
    return code;
}

static int inspect(int argc, char **argv)
{
    return run_method(&cmd_inspect, argc, argv);
}

static int control(int argc, char **argv)
{
    return run_method(&cmd_control, argc, argv);
}

static int status(int argc, char **argv)
{
    struct control_run r = {0};
    celery_error err = {0};
    struct line line;
    int code = opt_parse(&cmd_status, argc, argv, &r.args, &line);

    if (code != OPT_GO || (code = begin(&r, &line)) != OPT_GO) {
        return code;
    }
    code = session_app(&r.s, &line);
    r.out = &r.s.out;
    if (code == OPT_GO) {
        code = open_client(&r.s);
    }
    if (code == OPT_GO) {
        celery_replies *replies = ask(&r, "ping", NULL, &err);

        code = replies ? finish(&r, replies, false, true)
                       : session_failed(&err, EXIT_UNAVAILABLE);
    }
    session_end(&r.s);
    return code;
}

/* ---- their methods, for --help and completion ---- */

enum { VERBS_MAX = 48 };
static struct verb inspect_verbs[VERBS_MAX], control_verbs[VERBS_MAX];

void control_fill_verbs(void)
{
    size_t n[2] = {0, 0};

    for (const celery_control_method *m = celery_control_methods(); m->name; m++) {
        struct verb *verbs = m->changes ? control_verbs : inspect_verbs;

        if (!m->hidden && n[m->changes] < VERBS_MAX - 1) {
            verbs[n[m->changes]++] =
                (struct verb){m->name, *m->signature ? m->signature : NULL, m->help};
        }
    }
}

const struct command cmd_inspect = {
    .name = "inspect",
    .group = "Remote Control",
    .summary = "Ask the workers about themselves.",
    .words = "[METHOD] [ARGUMENT]...",
    .verbs = inspect_verbs,
    .options = method_options,
    .run = inspect,
};

const struct command cmd_control = {
    .name = "control",
    .group = "Remote Control",
    .summary = "Tell the workers to do something.",
    .words = "[METHOD] [ARGUMENT]...",
    .verbs = control_verbs,
    .options = method_options,
    .run = control,
};

const struct command cmd_status = {
    .name = "status",
    .group = "Remote Control",
    .summary = "Show the workers that are online.",
    .options = status_options,
    .run = status,
};
