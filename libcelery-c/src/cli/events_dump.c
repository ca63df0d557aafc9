/* SPDX-License-Identifier: BSD-3-Clause */
/* --dump as celery/events/dumper.py prints it, and --json. */
#include "cli/events.h"
#include "cli/json_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* TASK_NAMES: so many tasks are known by name when more is told of them. */
enum { KNOWN_TASKS = 4095, FIELDS_MAX = 64 };

struct dump {
    bool json;
    celery_state *tasks;
    celery_events *events;
    bool was_up;
    celery_error failure; /* nothing that another try could mend */
};

static void print_text(const char *text)
{
    text_print(stdout, text, strlen(text));
}

/* str(value) in Python. */
static void print_value(const celery_value *v)
{
    size_t len = 0;
    const char *text =
        celery_value_kind(v) == CELERY_KIND_STRING ? celery_value_text(v, &len) : NULL;
    char *repr = text ? NULL : celery_value_repr(v, 0);

    if (text) {
        text_print(stdout, text, len);
    } else if (repr) {
        print_text(repr);
    }
    free(repr);
}

/* ---- fields ---- */

struct field {
    const char *key;
    size_t len;
    const celery_value *value;
};

static int by_key(const void *a, const void *b)
{
    const struct field *x = a, *y = b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->key, y->key, len);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* What on_event() takes out before the rest is printed. */
static bool is_told(const struct field *f, bool task, bool named)
{
    static const struct {
        const char *key;
        int when; /* 0: always, 1: of tasks, 2: of tasks that are named */
    } told[] = {
        {"timestamp", 0}, {"type", 0}, {"hostname", 0}, {"uuid", 1},
        {"name", 2},      {"args", 2}, {"kwargs", 2},
    };

    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        if (strlen(told[i].key) == f->len && memcmp(told[i].key, f->key, f->len) == 0) {
            return told[i].when == 0 || (told[i].when == 1 && task) ||
                   (told[i].when == 2 && named);
        }
    }
    return false;
}

/* What is left to tell, sorted by name. */
static size_t collect_fields(const celery_event *e, struct field *fields)
{
    bool task = strncmp(e->type, "task-", 5) == 0;
    bool named =
        strcmp(e->type, "task-received") == 0 || strcmp(e->type, "task-sent") == 0;
    const celery_value *key = celery_value_first(e->fields);
    size_t n = 0;

    while (key && n < FIELDS_MAX) {
        struct field f = {.value = celery_value_next(key)};

        f.key = celery_value_text(key, &f.len);
        key = celery_value_next(f.value);
        if (f.key && !is_told(&f, task, named)) {
            fields[n++] = f;
        }
    }
    qsort(fields, n, sizeof fields[0], by_key);
    return n;
}

static void print_fields(const struct field *fields, size_t n)
{
    putchar(' ');
    for (size_t i = 0; i < n; i++) {
        printf("%s", i ? ", " : "");
        text_print(stdout, fields[i].key, fields[i].len);
        putchar('=');
        print_value(fields[i].value);
    }
}

/* ---- one event ---- */

/* str(datetime): no fraction when there is none. */
static void print_time(double timestamp)
{
    time_t seconds = (time_t)floor(timestamp);
    long us = lrint((timestamp - floor(timestamp)) * 1e6);
    char text[64];
    struct tm tm;

    seconds += us == 1000000;
    us = us == 1000000 ? 0 : us;
    if (!gmtime_r(&seconds, &tm)) {
        printf("%.6f", timestamp);
        return;
    }
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    printf("%s", text);
    if (us) {
        printf(".%06ld", us);
    }
    printf("+00:00");
}

/* humanize_type() */
static void print_type(const char *type)
{
    static const char *const human[][2] = {{"worker-offline", "shutdown"},
                                           {"worker-online", "started"},
                                           {"worker-heartbeat", "heartbeat"}};

    for (size_t i = 0; i < 3; i++) {
        if (strcmp(type, human[i][0]) == 0) {
            printf("%s", human[i][1]);
            return;
        }
    }
    for (const char *c = type; *c; c++) {
        char letter = *c == '-'                ? ' '
                      : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a')
                                               : *c;
        text_print(stdout, &letter, 1);
    }
}

/* What its events told of the task; " " when they were not seen. */
static void print_task(const struct dump *d, const celery_event *e)
{
    const celery_state_task *t = celery_state_task_of(d->tasks, e->uuid);

    putchar(' ');
    if (!t || !t->name) {
        return;
    }
    print_text(t->name);
    putchar('(');
    print_text(t->uuid);
    printf(") args=");
    print_text(t->args ? t->args : "None");
    printf(" kwargs=");
    print_text(t->kwargs ? t->kwargs : "None");
}

static void print_event(struct dump *d, const celery_event *e)
{
    struct field fields[FIELDS_MAX];
    size_t n = collect_fields(e, fields);

    print_text(e->hostname ? e->hostname : "-");
    printf(" [");
    print_time(e->timestamp);
    printf("] ");
    print_type(e->type);
    printf("%s", n > 0 ? ":" : "");
    if (strncmp(e->type, "task-", 5) == 0) {
        celery_state_event(d->tasks, e, NULL);
        print_task(d, e);
    }
    print_fields(fields, n);
    putchar('\n');
}

static void on_event(void *ctx, const celery_event *e)
{
    struct dump *d = ctx;

    if (d->json) {
        json_out_value(e->fields);
    } else {
        print_event(d, e);
    }
    if (fflush(stdout) != 0) {
        celery_events_stop(d->events); /* main() says why */
    }
}

/* ---- the link ---- */

static void on_link(void *ctx, const celery_error *err, double wait)
{
    struct dump *d = ctx;
    FILE *out = d->json ? stderr : stdout;

    if (!err) {
        d->was_up = true;
        return;
    }
    if (!d->was_up && !celery_error_retriable(err)) {
        d->failure = *err;
        celery_events_stop(d->events);
        return;
    }
    if (d->was_up) {
        fprintf(out, "-> Connection lost, attempting reconnect\n");
    }
    d->was_up = false;
    fprintf(out, "-> Cannot connect: ");
    text_print(out, err->message, strlen(err->message));
    fprintf(out, ".\nTrying again in %.2f seconds\n", wait);
    fflush(out);
}

int events_dump(struct session *s, const struct events_args *args)
{
    const celery_events_options options = {.link = on_link, .patient = true};
    celery_error err = {0};
    struct dump d = {.json = args->json};
    celery_status status = CELERY_OK;
    int code = 0;

    d.tasks = celery_state_new(0, KNOWN_TASKS, &err);
    d.events = d.tasks ? celery_events_open(s->app, &options, on_event, &d, &err) : NULL;
    if (!d.events) {
        code = session_failed(&err, err.status == CELERY_ECONFIG ? EXIT_USAGE : 1);
        goto out;
    }
    if (!d.json) {
        puts("-> evdump: starting capture...");
        fflush(stdout);
    }
    events_stop_on_signals(d.events);
    if (d.failure.status == CELERY_OK) {
        status = celery_events_run(d.events, -1, &err);
    }
    if (status < 0 || d.failure.status < 0) {
        code = session_failed(status < 0 ? &err : &d.failure, 1);
    }
    events_stop_on_signals(NULL);
out:
    celery_events_close(d.events);
    celery_state_free(d.tasks);
    return code;
}
