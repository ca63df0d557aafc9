/* SPDX-License-Identifier: BSD-3-Clause */
#include "tasks_inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OPTION(app, name, option, value) \
    celery_app_task_set(app, name, option, value, NULL)

/* Raises what it is told to, until it has been tried often enough. */
static celery_outcome auto_retry(celery_task *task)
{
    const char *type;
    int tries = 100;

    if (celery_task_args(task, "type:s | tries:i", &type, &tries) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) >= tries) {
        return celery_task_return_int(task, celery_task_retries(task));
    }
    return celery_task_fail(task, type, "again");
}

/* retry(**options), the first time. */
static celery_outcome retry_with(celery_task *task)
{
    const celery_value *options = NULL, *rest;

    if (celery_task_args(task, "options:v | rest:v", &options, &rest) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) > 0) {
        return celery_task_return_int(task, celery_task_retries(task));
    }
    for (const celery_value *k = celery_value_first(options), *v; k;
         k = celery_value_next(v)) {
        char name[40];
        size_t len;
        const char *text = celery_value_text(k, &len);

        v = celery_value_next(k);
        snprintf(name, sizeof(name), "%.*s", (int)len, text);
        celery_task_retry_set_value(task, name, v);
    }
    return celery_task_retry_exc(task, -1, "ValueError", "again");
}

/* A signature in dict form. */
static celery_sig *load(const celery_value *doc, celery_error *err)
{
    size_t len;
    char *text = celery_value_dumps(doc, &len);
    celery_sig *sig = text ? celery_sig_loads(text, len, err) : NULL;

    free(text);
    return sig;
}

static celery_outcome replace_with(celery_task *task)
{
    const celery_value *doc;
    celery_error err = {0};

    /* What comes before it in a chain is of no use here. */
    doc = celery_value_at(celery_task_positional(task),
                          celery_value_size(celery_task_positional(task)) - 1);
    celery_sig *sig = load(doc, &err);
    return sig ? celery_task_replace(task, sig)
               : celery_task_fail(task, "ValueError", "%s", err.message);
}

static celery_outcome spawn(celery_task *task)
{
    const celery_value *docs;
    celery_error err = {0};

    if (celery_task_args(task, "sigs:v", &docs) < 0) {
        return CELERY_FAILED;
    }
    for (size_t i = 0; i < celery_value_size(docs); i++) {
        celery_sig *sig = load(celery_value_at(docs, i), &err);
        const char *id = celery_task_send(task, sig, &err);

        celery_sig_free(sig);
        if (!id) {
            return celery_task_fail(task, "ValueError", "%s", err.message);
        }
    }
    return celery_task_return_int(task, (int64_t)celery_value_size(docs));
}

static celery_outcome grow(celery_task *task)
{
    const celery_value *doc, *value;
    celery_error err = {0};

    if (celery_task_args(task, "sig:v value:v", &doc, &value) < 0) {
        return CELERY_FAILED;
    }
    celery_sig *sig = load(doc, &err);
    const char *id = celery_task_add_to_chord(task, sig, &err);

    celery_sig_free(sig);
    if (!id) {
        return celery_task_fail(task, "ValueError", "%s", err.message);
    }
    return celery_task_return_value(task, value);
}

/* Sends, and waits for the result with a client of its own. */
static celery_outcome wait_for(celery_task *task)
{
    const celery_value *doc;
    celery_error err = {0};

    if (celery_task_args(task, "sig:v", &doc) < 0) {
        return CELERY_FAILED;
    }
    celery_sig *sig = load(doc, &err);
    celery_client *client = celery_task_client(task, &err);
    const char *id = client ? celery_task_send(task, sig, &err) : NULL;
    celery_result *result = id ? celery_result_new(client, id, &err) : NULL;
    json_t *value = result ? celery_result_wait(result, 20, &err) : NULL;

    celery_sig_free(sig);
    celery_result_free(result);
    return value ? celery_task_return(task, value)
                 : celery_task_fail(task, "ValueError", "%s", err.message);
}

static celery_outcome sum_of(celery_task *task)
{
    const celery_value *values;
    int64_t sum = 0, value;

    if (celery_task_args(task, "values:v", &values) < 0) {
        return CELERY_FAILED;
    }
    for (size_t i = 0; i < celery_value_size(values); i++) {
        sum += celery_value_int(celery_value_at(values, i), &value) ? value : 0;
    }
    return celery_task_return_int(task, sum);
}

/* Takes its process along, the first times. */
static celery_outcome crash_again(celery_task *task)
{
    int times;

    if (celery_task_args(task, "times:i", &times) < 0) {
        return CELERY_FAILED;
    }
    if (celery_task_retries(task) < times) {
        _exit(1);
    }
    return celery_task_return_int(task, celery_task_retries(task));
}

static json_t *value_or_null(const celery_value *value)
{
    json_t *json = value ? celery_value_to_json(value, NULL) : NULL;

    return json ? json : json_null();
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* The rest of the request. */
static celery_outcome request_more(celery_task *task)
{
    json_t *r = json_object();

    json_object_set_new(r, "group_index",
                        celery_task_group_index(task) < 0
                            ? json_null()
                            : json_integer(celery_task_group_index(task)));
    json_object_set_new(r, "callbacks", value_or_null(celery_task_callbacks(task)));
    json_object_set_new(r, "errbacks", value_or_null(celery_task_errbacks(task)));
    json_object_set_new(r, "chain", value_or_null(celery_task_chain(task)));
    json_object_set_new(r, "chord", value_or_null(celery_task_chord(task)));
    json_object_set_new(r, "shadow", text_or_null(celery_task_shadow(task)));
    json_object_set_new(r, "argsrepr", text_or_null(celery_task_argsrepr(task)));
    json_object_set_new(r, "kwargsrepr", text_or_null(celery_task_kwargsrepr(task)));
    json_object_set_new(r, "nesting", json_integer(celery_task_replaced_nesting(task)));
    json_object_set_new(r, "ignore_result",
                        json_boolean(celery_task_ignores_result(task)));
    json_object_set_new(r, "stamps", value_or_null(celery_task_stamps(task)));
    json_object_set_new(r, "called_directly",
                        json_boolean(celery_task_called_directly(task)));
    return celery_task_return(task, r);
}

static const struct {
    const char *name;
    celery_task_fn fn;
} tasks[] = {
    {"t.auto", auto_retry},
    {"t.retry_with", retry_with},
    {"t.replace_with", replace_with},
    {"t.spawn", spawn},
    {"t.grow", grow},
    {"t.wait_for", wait_for},
    {"t.crash_again", crash_again},
    {"t.sum_of", sum_of},
    {"t.request_more", request_more},
};

celery_status register_inside(celery_app *app)
{
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]) && status == CELERY_OK; i++) {
        status = celery_app_task(app, tasks[i].name, tasks[i].fn);
    }
    OPTION(app, "t.auto", "autoretry_for", "OSError,TypeError");
    OPTION(app, "t.auto", "dont_autoretry_for", "PermissionError");
    OPTION(app, "t.auto", "retry_kwargs", "{\"max_retries\": 2, \"countdown\": 0.5}");
    OPTION(app, "t.auto", "typing_name", "auto");
    OPTION(app, "t.crash_again", "retry_on_worker_lost", "true");
    OPTION(app, "t.crash_again", "acks_late", "true");
    OPTION(app, "t.crash_again", "max_retries", "2");
    OPTION(app, "t.crash_again", "default_retry_delay", "0.3");
    return status;
}
