/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/cmdline.h"

#include "base/buf.h"
#include "base/log.h"
#include "worker/autoscale.h"

#include <celery/worker.h>
#include <stddef.h>
#include <stdio.h>

enum kind {
    SETTING,        /* value goes to the setting */
    FLAG,           /* the setting becomes the fixed value */
    TEXT,           /* const char * in struct cel_cmdline at offset */
    SWITCH,         /* bool there */
    LEVEL,          /* -l */
    SCALE,          /* --autoscale */
    OF_PYTHON,      /* means nothing here, takes no value: accepted with a warning */
    OF_PYTHON_VALUE /* the same with a value */
};

struct option {
    char letter; /* 0: none */
    const char *name;
    enum kind kind;
    const char *setting;
    const char *value; /* of a FLAG; or the name of the value in the help */
    size_t offset;
    const char *help;
};

#define FIELD(member) offsetof(struct cel_cmdline, member)

/* clang-format off */
static const struct option options[] = {
    {'A', "app", TEXT, NULL, "NAME", FIELD(app_name), "Application: a shared object of tasks."},
    {'b', "broker", SETTING, "broker_url", "URL", 0, "Broker; several separated by ';'."},
    {0, "result-backend", SETTING, "result_backend", "URL", 0, "Result backend."},
    {0, "config", TEXT, NULL, "FILE", FIELD(config), "JSON file of settings."},
    {0, "workdir", TEXT, NULL, "DIR", FIELD(workdir), "Change to this folder first."},
    {'C', "no-color", SWITCH, NULL, NULL, FIELD(no_color), "No colours in log lines."},
    {'q', "quiet", SWITCH, NULL, NULL, FIELD(quiet), "No banner."},
    {0, "version", SWITCH, NULL, NULL, FIELD(version), "Print the version and exit."},
    {'h', "help", SWITCH, NULL, NULL, FIELD(help), "Show this text and exit."},
    {0, "loader", OF_PYTHON_VALUE, NULL, "LOADER", 0, "Ignored (Python only)."},
    {0, "skip-checks", OF_PYTHON, NULL, NULL, 0, "Ignored (Python only)."},

    {'n', "hostname", SETTING, "worker_hostname", "NAME", 0, "Node name; %h host, %n name, %d domain."},
    {'D', "detach", SWITCH, NULL, NULL, FIELD(detach), "Run in the background."},
    {'S', "statedb", SETTING, "worker_state_db", "PATH", 0, "Keep revoked ids there over restarts; %n, %h and %d as in -n."},
    {'l', "loglevel", LEVEL, NULL, "LEVEL", 0, "DEBUG, INFO, WARNING, ERROR, CRITICAL, FATAL."},
    {'f', "logfile", TEXT, NULL, "FILE", FIELD(log_file), "Log to a file instead of standard error."},
    {0, "log-json", SWITCH, NULL, NULL, FIELD(json), "One JSON object for each log line."},
    {0, "pidfile", TEXT, NULL, "FILE", FIELD(pid_file), "Write the process id there."},
    {0, "uid", TEXT, NULL, "USER", FIELD(uid), "User to run as."},
    {0, "gid", TEXT, NULL, "GROUP", FIELD(gid), "Group to run as."},
    {0, "umask", TEXT, NULL, "OCTAL", FIELD(umask), "File mode mask."},
    {0, "executable", OF_PYTHON_VALUE, NULL, "PATH", 0, "Ignored (Python only)."},
    {'O', "optimization", OF_PYTHON_VALUE, NULL, "default|fair", 0, "Accepted; always fair."},
    {0, "prefetch-multiplier", SETTING, "worker_prefetch_multiplier", "N", 0, "Messages held for each slot; 0: no limit; auto."},
    {0, "disable-prefetch", FLAG, "worker_disable_prefetch", "true", 0, "Take only what can run at once."},
    {'c', "concurrency", SETTING, "worker_concurrency", "N", 0, "Slots; default: processors this process may use."},
    {'P', "pool", SETTING, "worker_pool", "NAME", 0, "prefork, threads or solo."},
    {'E', "task-events", FLAG, "worker_send_task_events", "true", 0, "Send events of tasks, for monitors."},
    {0, "events", FLAG, "worker_send_task_events", "true", 0, "As --task-events."},
    {0, "time-limit", SETTING, "task_time_limit", "SECONDS", 0, "Hard time limit of a task."},
    {0, "soft-time-limit", SETTING, "task_soft_time_limit", "SECONDS", 0, "Soft time limit of a task."},
    {0, "max-tasks-per-child", SETTING, "worker_max_tasks_per_child", "N", 0, "Replace a child after so many tasks."},
    {0, "max-memory-per-child", SETTING, "worker_max_memory_per_child", "KIB", 0, "Replace a child that grew beyond this."},
    {0, "purge", SWITCH, NULL, NULL, FIELD(purge), "Empty the queues before starting."},
    {0, "discard", SWITCH, NULL, NULL, FIELD(purge), "As --purge."},
    {'Q', "queues", SETTING, "worker_queues", "A,B", 0, "Queues to consume; default: all that are defined."},
    {'X', "exclude-queues", SETTING, "worker_exclude_queues", "A,B", 0, "Queues not to consume."},
    {'I', "include", OF_PYTHON_VALUE, NULL, "MODULES", 0, "Ignored (Python only)."},
    {0, "without-gossip", FLAG, "worker_enable_gossip", "false", 0, "Do not listen to other workers."},
    {0, "without-mingle", FLAG, "worker_enable_mingle", "false", 0, "Do not ask other workers what is revoked."},
    {0, "without-heartbeat", FLAG, "worker_enable_heartbeat", "false", 0, "Send no worker-online, -heartbeat and -offline."},
    {0, "heartbeat-interval", SETTING, "worker_heartbeat_interval", "N", 0, "Seconds between heartbeat events."},
    {0, "autoscale", SCALE, NULL, "MAX,MIN", 0, "Between MIN and MAX slots, by load."},
    {0, "health-address", SETTING, "worker_health_address", "ADDRESS", 0, "Answer /healthz, /readyz and /metrics there: 127.0.0.1:9464, [::1]:9464, unix:/path."},
    {0, "drain-timeout", SETTING, "worker_shutdown_timeout", "SECONDS", 0, "A warm shutdown waits so long for running tasks."},
    {'B', "beat", SWITCH, NULL, NULL, FIELD(beat), "Send periodic tasks (beat_schedule) as well."},
    {'s', "schedule-filename", SETTING, "beat_schedule_filename", "FILE", 0, "With -B and beat_c_lock=file: keeps when they ran."},
    {0, "schedule", SETTING, "beat_schedule_filename", "FILE", 0, "As --schedule-filename."},
    {0, "scheduler", OF_PYTHON_VALUE, NULL, "NAME", 0, "Ignored."},
};
/* clang-format on */

#define N_OPTIONS (sizeof options / sizeof options[0])

static bool takes_value(const struct option *o)
{
    return o->kind == SETTING || o->kind == TEXT || o->kind == LEVEL ||
           o->kind == SCALE || o->kind == OF_PYTHON_VALUE;
}

static const struct option *find_long(struct cel_slice name)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (cel_slice_is(name, options[i].name)) {
            return &options[i];
        }
    }
    return NULL;
}

static const struct option *find_letter(char letter)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (options[i].letter == letter) {
            return &options[i];
        }
    }
    return NULL;
}

static void usage(const struct cel_cmdline *line)
{
    fprintf(stderr,
            "Usage: %s worker [OPTIONS]\nTry '%s worker --help' for help.\n\nError: ",
            line->program, line->program);
}

static enum cel_cmdline_answer no_such_option(const struct cel_cmdline *line,
                                              struct cel_slice name)
{
    char word[64];
    const char *nearest = NULL;
    int best = 99;

    snprintf(word, sizeof word, "%.*s", (int)name.len, name.data);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        int distance = cel_config_distance(word, options[i].name);
        if (distance < best) {
            best = distance;
            nearest = options[i].name;
        }
    }
    usage(line);
    fprintf(stderr, "No such option: --%s", cel_log_safe(name));
    if (nearest && best <= 4) {
        fprintf(stderr, " (did you mean --%s?)", nearest);
    }
    fputc('\n', stderr);
    return CEL_CMDLINE_USAGE;
}

static enum cel_cmdline_answer bad_value(const struct cel_cmdline *line,
                                         const struct option *o, const char *why)
{
    usage(line);
    fprintf(stderr, "Invalid value for '--%s': %s\n", o->name, why);
    return CEL_CMDLINE_USAGE;
}

static enum cel_cmdline_answer set(const struct cel_cmdline *line,
                                   struct cel_config *config, const struct option *o,
                                   const char *setting, const char *value)
{
    celery_error err = {0};

    if (config && cel_config_set(config, setting, value, CEL_FROM_CLI, &err) < 0) {
        return bad_value(line, o, err.message);
    }
    return CEL_CMDLINE_RUN;
}

/* "max,min" in either order, or one number. */
static enum cel_cmdline_answer set_scale(const struct cel_cmdline *line,
                                         struct cel_config *config,
                                         const struct option *o, const char *value)
{
    struct cel_autoscale scale;

    if (!cel_autoscale_parse(value, &scale)) {
        return bad_value(line, o, "expected MAX,MIN, two numbers of slots");
    }
    return set(line, config, o, "worker_autoscale", value);
}

static enum cel_cmdline_answer apply(struct cel_cmdline *line, struct cel_config *config,
                                     const struct option *o, const char *value)
{
    switch (o->kind) {
    case SETTING:
        return set(line, config, o, o->setting, value);
    case FLAG:
        return set(line, config, o, o->setting, o->value);
    case TEXT:
        *(const char **)(void *)((char *)line + o->offset) = value;
        break;
    case SWITCH:
        *(bool *)((char *)line + o->offset) = true;
        break;
    case LEVEL:
        if (!cel_log_level_parse(value, &line->level)) {
            return bad_value(line, o,
                             "use DEBUG, INFO, WARNING, ERROR, CRITICAL or FATAL");
        }
        break;
    case SCALE:
        return set_scale(line, config, o, value);
    case OF_PYTHON:
    case OF_PYTHON_VALUE:
        if (config && !o->setting) {
            line->ignored |= UINT64_C(1) << (o - options);
        }
        break;
    }
    return CEL_CMDLINE_RUN;
}

/* "worker.prefetch_multiplier=1", "task.acks_late=true" behind the options. */
static enum cel_cmdline_answer
apply_assignment(struct cel_cmdline *line, struct cel_config *config, const char *word)
{
    const char *equals = strchr(word, '=');
    char name[128];
    celery_error err = {0};

    if (!equals || equals == word) {
        usage(line);
        fprintf(stderr, "Got unexpected extra argument (%s)\n",
                cel_log_safe(cel_slice_of(word)));
        return CEL_CMDLINE_USAGE;
    }
    bool dotted = memchr(word, '.', (size_t)(equals - word)) != NULL;
    snprintf(name, sizeof name, "%s%.*s", dotted ? "" : "worker_", (int)(equals - word),
             word);
    for (char *p = name; *p; p++) {
        *p = *p == '.' ? '_' : *p;
    }
    if (config && cel_config_set(config, name, equals + 1, CEL_FROM_CLI, &err) < 0) {
        usage(line);
        fprintf(stderr, "%s\n", err.message);
        return CEL_CMDLINE_USAGE;
    }
    return CEL_CMDLINE_RUN;
}

/* The value: behind '=', behind the letter, or the next word. */
static const char *value_of(const char *attached, int *at, int argc, char **argv)
{
    if (attached) {
        return attached;
    }
    return *at + 1 < argc ? argv[++*at] : NULL;
}

static enum cel_cmdline_answer with_value(struct cel_cmdline *line,
                                          struct cel_config *config,
                                          const struct option *o, const char *value)
{
    if (takes_value(o) && !value) {
        usage(line);
        fprintf(stderr, "Option '--%s' requires an argument.\n", o->name);
        return CEL_CMDLINE_USAGE;
    }
    return apply(line, config, o, value);
}

static enum cel_cmdline_answer parse_long(struct cel_cmdline *line,
                                          struct cel_config *config, int *at, int argc,
                                          char **argv)
{
    const char *word = argv[*at] + 2;
    const char *equals = strchr(word, '=');
    struct cel_slice name =
        equals ? cel_slice(word, (size_t)(equals - word)) : cel_slice_of(word);
    const struct option *o = find_long(name);

    if (!o) {
        return no_such_option(line, name);
    }
    if (equals && !takes_value(o)) {
        usage(line);
        fprintf(stderr, "Option '--%s' does not take a value.\n", o->name);
        return CEL_CMDLINE_USAGE;
    }
    const char *value =
        takes_value(o) ? value_of(equals ? equals + 1 : NULL, at, argc, argv) : NULL;
    return with_value(line, config, o, value);
}

static enum cel_cmdline_answer parse_letters(struct cel_cmdline *line,
                                             struct cel_config *config, int *at, int argc,
                                             char **argv)
{
    for (const char *p = argv[*at] + 1; *p; p++) {
        const struct option *o = find_letter(*p);

        if (!o) {
            usage(line);
            fprintf(stderr, "No such option: -%c\n", *p > ' ' && *p < 127 ? *p : '?');
            return CEL_CMDLINE_USAGE;
        }
        if (takes_value(o)) {
            const char *attached = p[1] == '=' ? p + 2 : p[1] ? p + 1 : NULL;
            return with_value(line, config, o, value_of(attached, at, argc, argv));
        }
        enum cel_cmdline_answer answer = apply(line, config, o, NULL);
        if (answer != CEL_CMDLINE_RUN) {
            return answer;
        }
    }
    return CEL_CMDLINE_RUN;
}

enum cel_cmdline_answer cel_cmdline_parse(struct cel_cmdline *line,
                                          struct cel_config *config, int argc,
                                          char **argv)
{
    *line = (struct cel_cmdline){.level = CELERY_LOG_WARNING};
    line->program = argc > 0 && argv[0] ? argv[0] : "celery-c";
    bool seen_command = false;

    for (int i = 1; i < argc; i++) {
        enum cel_cmdline_answer answer;

        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2]) {
            answer = parse_long(line, config, &i, argc, argv);
        } else if (argv[i][0] == '-' && argv[i][1] && argv[i][1] != '-') {
            answer = parse_letters(line, config, &i, argc, argv);
        } else if (strcmp(argv[i], "worker") == 0 && !seen_command) {
            seen_command = true;
            answer = CEL_CMDLINE_RUN;
        } else {
            answer = apply_assignment(line, config, argv[i]);
        }
        if (answer != CEL_CMDLINE_RUN) {
            return answer;
        }
    }
    return line->help || line->version ? CEL_CMDLINE_HELP : CEL_CMDLINE_RUN;
}

_Static_assert(N_OPTIONS <= 64, "cel_cmdline.ignored has a bit for each option");

void cel_cmdline_tell_ignored(const struct cel_cmdline *line)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (!(line->ignored >> i & 1)) {
            continue;
        }
        if (line->json) {
            cel_log(CELERY_LOG_WARNING, "--%s has no effect on this worker",
                    options[i].name);
        } else {
            fprintf(stderr, "warning: --%s has no effect on this worker\n",
                    options[i].name);
        }
    }
}

void cel_cmdline_help(const char *program)
{
    printf("Usage: %s [OPTIONS] worker [OPTIONS] [ns.setting=value ...]\n\n"
           "  Run a worker.\n\nOptions:\n",
           program);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        char left[64];
        bool value = takes_value(o);

        snprintf(left, sizeof left, "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
                 value ? " " : "", value ? o->value : "");
        printf("  %-36s %s\n", left, o->help);
    }
}

void celery_worker_options(celery_worker_option_fn fn, void *ctx)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];

        fn(ctx, o->letter, o->name, takes_value(o) ? o->value : NULL, o->help);
    }
}
