/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tasks that the tests call, written with the public API alone and loaded with
 * celery-c -A.  pytasks.py has the same in Python; both must answer alike.
 */
#include "tasks_inside.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OPTION(app, name, option, value) \
    celery_app_task_set(app, name, option, value, NULL)

static void sleep_for(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (long)seconds) * 1e9)};

    while (nanosleep(&t, &t) < 0 && errno == EINTR) {
    }
}

/* Appends in one write(), so that lines of several processes stay whole. */
static bool append(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

    if (fd >= 0) {
        close(fd);
    }
    return n == (ssize_t)strlen(text);
}

static celery_outcome add(celery_task *task)
{
    int64_t x, y;

    if (celery_task_args(task, "x:I y:I", &x, &y) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_int(task, x + y);
}

static celery_outcome noop(celery_task *task)
{
    return celery_task_return_none(task);
}

static celery_outcome ident(celery_task *task)
{
    const celery_value *x;

    if (celery_task_args(task, "x:v", &x) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return_value(task, x);
}

static celery_outcome kw(celery_task *task)
{
    int64_t a, b = 2;

    if (celery_task_args(task, "a:I | b:I", &a, &b) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return(
        task, json_pack("{sIsI}", "a", (json_int_t)a, "b", (json_int_t)b));
}

static celery_outcome fail(celery_task *task)
{
    return celery_task_fail(task, "KeyError", "boom");
}

static celery_outcome fail_custom(celery_task *task)
{
    return celery_task_fail_args(task, "pytasks.OurError", json_pack("[si]", "text", 7),
                                 NULL);
}

static celery_outcome sleep_task(celery_task *task)
{
    double seconds;
    const celery_value *given;

    if (celery_task_args(task, "seconds:v", &given) < 0) {
        return CELERY_FAILED;
    }
    if (!celery_value_double(given, &seconds)) {
        return celery_task_fail(task, "TypeError", "seconds must be a number");
    }
    sleep_for(seconds);
    return celery_task_return_value(task, given);
}

static celery_outcome progress(celery_task *task)
{
    double seconds = 0.3;

    if (celery_task_args(task, "| seconds:d", &seconds) < 0) {
        return CELERY_FAILED;
    }
    celery_task_update_state(task, "PROGRESS",
                             json_pack("{sisi}", "current", 1, "total", 2));
    sleep_for(seconds);
    return celery_task_return_string(task, "done", 4);
}

static celery_outcome event(celery_task *task)
{
    celery_status wrong =
        celery_task_send_event(task, "shop-sold", json_pack("{si}", "pid", 1));
    celery_status st = celery_task_send_event(
        task, "shop-sold", json_pack("{si, s[si]}", "count", 2, "what", "\u20ac", 7));

    return celery_task_return_bool(task, st == CELERY_OK && wrong == CELERY_EINVAL &&
                                             celery_task_send_event(task, "", NULL) < 0);
}

static celery_outcome retry(celery_task *task)
{
    int n;
    double countdown = 0;

    if (celery_task_args(task, "n:i | countdown:d", &n, &countdown) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) >= n) {
        return celery_task_return_int(task, celery_task_retries(task));
    }
    return celery_task_retry_exc(task, countdown, "ValueError", "again");
}

static celery_outcome retry_out(celery_task *task)
{
    return celery_task_retry_exc(task, 0.5, "ValueError", "again");
}

static celery_outcome ignore(celery_task *task)
{
    return celery_task_ignore(task);
}

static celery_outcome reject(celery_task *task)
{
    return celery_task_reject(task, false, "no");
}

static celery_outcome rejectq(celery_task *task)
{
    if (celery_task_redelivered(task)) {
        return celery_task_return_string(task, "second", 6);
    }
    return celery_task_reject(task, true, "no");
}

static celery_outcome again(celery_task *task)
{
    return celery_task_reject(task, true, "not yet");
}

static celery_outcome crash(celery_task *task)
{
    /* Not raise(): a sanitizer would turn the signal into an exit. */
    signal(SIGSEGV, SIG_DFL);
    kill(getpid(), SIGSEGV);
    sleep_for(10);
    return celery_task_return_none(task);
}

static celery_outcome crash_late(celery_task *task)
{
    kill(getpid(), SIGKILL);
    sleep_for(10);
    return celery_task_return_none(task);
}

/* Takes its process along; a file says how often. */
static celery_outcome abort_late(celery_task *task)
{
    const char *path;

    if (celery_task_args(task, "path:s", &path) < 0) {
        return CELERY_FAILED;
    }
    append(path, "x");
    abort();
}

static celery_outcome exit_task(celery_task *task)
{
    int code;

    if (celery_task_args(task, "code:i", &code) < 0) {
        return CELERY_FAILED;
    }
    _exit(code);
}

static celery_outcome soft(celery_task *task)
{
    double seconds;

    if (celery_task_args(task, "seconds:d", &seconds) < 0) {
        return CELERY_FAILED;
    }
    for (; seconds > 0; seconds -= 0.01) {
        if (celery_task_should_stop(task)) {
            return celery_task_return_string(task, "stopped", 7);
        }
        sleep_for(0.01);
    }
    return celery_task_return_string(task, "finished", 8);
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *header_or_null(celery_task *task, const char *name)
{
    json_t *value = celery_value_to_json(celery_task_header(task, name), NULL);

    return value ? value : json_null();
}

static celery_outcome request(celery_task *task)
{
    json_t *r = json_object();

    json_object_set_new(r, "id", text_or_null(celery_task_id(task)));
    json_object_set_new(r, "task", text_or_null(celery_task_name(task)));
    json_object_set_new(r, "root_id", text_or_null(celery_task_root_id(task)));
    json_object_set_new(r, "parent_id", text_or_null(celery_task_parent_id(task)));
    json_object_set_new(r, "group", text_or_null(celery_task_group_id(task)));
    json_object_set_new(r, "retries", json_integer(celery_task_retries(task)));
    json_object_set_new(r, "hostname", text_or_null(celery_task_hostname(task)));
    json_object_set_new(r, "eta", text_or_null(celery_task_eta(task)));
    json_object_set_new(r, "expires", text_or_null(celery_task_expires(task)));
    json_object_set_new(r, "correlation_id",
                        text_or_null(celery_task_correlation_id(task)));
    json_object_set_new(r, "reply_to", text_or_null(celery_task_reply_to(task)));
    json_object_set_new(r, "exchange", text_or_null(celery_task_exchange(task)));
    json_object_set_new(r, "routing_key", text_or_null(celery_task_routing_key(task)));
    json_object_set_new(r, "priority", json_integer(celery_task_priority(task)));
    json_object_set_new(r, "redelivered", json_boolean(celery_task_redelivered(task)));
    json_object_set_new(r, "x_custom", header_or_null(task, "x_custom"));
    return celery_task_return(task, r);
}

static celery_outcome bytes(celery_task *task)
{
    unsigned char all[256];
    int n;

    if (celery_task_args(task, "n:i", &n) < 0) {
        return CELERY_FAILED;
    }
    for (int i = 0; i < 256; i++) {
        all[i] = (unsigned char)i;
    }
    return celery_task_return_bytes(task, all, n < 0 ? 0 : n > 256 ? 256 : (size_t)n);
}

static celery_outcome say(celery_task *task)
{
    const char *text;

    if (celery_task_args(task, "text:s", &text) < 0) {
        return CELERY_FAILED;
    }
    celery_task_log(task, CELERY_LOG_INFO, "celery_log of the task: %s", text);
    celery_log(CELERY_LOG_INFO, "celery_log of a library: %s", text);
    return celery_task_return_none(task);
}

/* Leaves a process behind that nobody waits for. */
static celery_outcome orphan(celery_task *task)
{
    return celery_task_return_int(task, system("sleep 0.5 >/dev/null 2>&1 &"));
}

static celery_outcome pid(celery_task *task)
{
    return celery_task_return_int(task, getpid());
}

static celery_outcome count(celery_task *task)
{
    const char *path, *word;
    double seconds = 0;
    char line[256];

    if (celery_task_args(task, "path:s word:s | seconds:d", &path, &word, &seconds) < 0) {
        return CELERY_FAILED;
    }
    usleep((useconds_t)(seconds * 1e6));
    snprintf(line, sizeof(line), "%s\n", word);
    if (!append(path, line)) {
        return celery_task_fail(task, "OSError", "cannot write %s", path);
    }
    return celery_task_return_none(task);
}

static celery_outcome mark(celery_task *task)
{
    const char *key;
    double seconds = 0;

    if (celery_task_args(task, "key:s | seconds:d", &key, &seconds) < 0) {
        return CELERY_FAILED;
    }
    if (!append(key, "x")) {
        return celery_task_fail(task, "OSError", "cannot write %s", key);
    }
    sleep_for(seconds);
    return celery_task_return_none(task);
}

static const struct {
    const char *name;
    celery_task_fn fn;
} tasks[] = {
    {"t.add", add},
    {"t.noop", noop},
    {"t.event", event},
    {"t.silent", noop},
    {"t.ident", ident},
    {"t.kw", kw},
    {"t.fail", fail},
    {"t.fail_custom", fail_custom},
    {"t.sleep", sleep_task},
    {"t.sleep_late", sleep_task},
    {"t.progress", progress},
    {"t.retry", retry},
    {"t.retry_out", retry_out},
    {"t.ignore", ignore},
    {"t.reject", reject},
    {"t.rejectq", rejectq},
    {"t.again", again},
    {"t.crash", crash},
    {"t.crash_late", crash_late},
    {"t.abort_late", abort_late},
    {"t.exit", exit_task},
    {"t.rate_s", noop},
    {"t.rate_m", noop},
    {"t.rate_0", noop},
    {"t.limited", soft},
    {"t.soft", soft},
    {"t.request", request},
    {"t.bytes", bytes},
    {"t.pid", pid},
    {"t.orphan", orphan},
    {"t.say", say},
    {"t.count", count},
    {"t.mark", mark},
};

/* ---- commands of remote control ---- */

static json_t *echo_command(void *ctx, const celery_value *arguments, celery_error *err)
{
    json_t *copy = celery_value_to_json(arguments, err);

    return copy ? json_pack("{s:o,s:s}", "echo", copy, "ctx", (const char *)ctx) : NULL;
}

static json_t *failing_command(void *ctx, const celery_value *arguments,
                               celery_error *err)
{
    if (celery_value_size(arguments) == 0) {
        return NULL; /* null */
    }
    err->status = CELERY_EINVAL;
    snprintf(err->message, sizeof err->message, "no %s today", (const char *)ctx);
    return NULL;
}

static json_t *large_command(void *ctx, const celery_value *arguments, celery_error *err)
{
    int64_t n = 0;
    json_t *list = json_array();

    celery_value_int(celery_value_get(arguments, "n"), &n);
    for (int64_t i = 0; i < n; i++) {
        json_array_append_new(list,
                              json_string("0123456789012345678901234567890123456789"));
    }
    return list;
}

static char command_word[] = "word";

static celery_status register_commands(celery_app *app)
{
    celery_status status =
        celery_app_control_command(app, "t_echo", "n:int | seconds:float flag:bool *",
                                   true, echo_command, command_word, NULL);

    if (status == CELERY_OK) {
        status = celery_app_control_command(app, "t_fail", "| why", false,
                                            failing_command, command_word, NULL);
    }
    if (status == CELERY_OK) {
        status = celery_app_control_command(app, "t_large", "n:int", true, large_command,
                                            NULL, NULL);
    }
    return status;
}

CELERY_API celery_status celery_register(celery_app *app);

celery_status celery_register(celery_app *app)
{
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]) && status == CELERY_OK; i++) {
        status = celery_app_task(app, tasks[i].name, tasks[i].fn);
    }
    if (status == CELERY_OK) {
        status = register_inside(app);
    }
    if (status == CELERY_OK) {
        status = register_commands(app);
    }
    if (status == CELERY_OK && getenv("INTEROP_LATE")) {
        status = celery_app_task(app, "t.late", add); /* what a newer program has */
    }
    OPTION(app, "t.silent", "send_events", "false");
    OPTION(app, "t.sleep", "typing_name", "sleep");
    OPTION(app, "t.sleep_late", "acks_late", "true");
    OPTION(app, "t.retry", "max_retries", "5");
    OPTION(app, "t.retry_out", "max_retries", "1");
    OPTION(app, "t.reject", "acks_late", "true");
    OPTION(app, "t.rejectq", "acks_late", "true");
    OPTION(app, "t.again", "acks_late", "true");
    OPTION(app, "t.crash_late", "acks_late", "true");
    OPTION(app, "t.crash_late", "reject_on_worker_lost", "true");
    OPTION(app, "t.rate_s", "rate_limit", "5");
    OPTION(app, "t.rate_m", "rate_limit", "300/m");
    OPTION(app, "t.rate_0", "rate_limit", "0");
    OPTION(app, "t.limited", "soft_time_limit", "0.5");
    OPTION(app, "t.limited", "time_limit", "2");
    OPTION(app, "t.abort_late", "acks_late", "true");
    OPTION(app, "t.count", "acks_late", "true");
    OPTION(app, "t.mark", "acks_late", "true");
    return status;
}
