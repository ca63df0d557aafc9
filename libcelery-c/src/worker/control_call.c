/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/control_call.h"

#include "base/log.h"

#include <stdio.h>

/* ---- what commands answer ---- */

const struct cel_node *cel_control_arg(const struct cel_control_call *c, const char *name)
{
    const struct cel_node *n = cel_node_get(c->args, cel_slice_of(name));

    return cel_node_is_null(n) ? NULL : n;
}

struct cel_node *cel_control_map(struct cel_control_call *c, const char *key,
                                 struct cel_node *value)
{
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);

    if (!map || cel_node_put(c->arena, map, cel_slice_of(key), value) < 0) {
        return NULL;
    }
    return map;
}

struct cel_node *cel_control_text(struct cel_control_call *c, const struct cel_buf *text)
{
    return cel_buf_ok(text) ? cel_node_new_string(c->arena, cel_buf_slice(text)) : NULL;
}

__attribute__((format(printf, 3, 0))) static struct cel_node *
answer(struct cel_control_call *c, const char *key, const char *fmt, va_list args)
{
    char text[600];
    int n = vsnprintf(text, sizeof text, fmt, args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;

    return cel_control_map(c, key, cel_node_new_string(c->arena, cel_slice(text, len)));
}

struct cel_node *cel_control_ok(struct cel_control_call *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    struct cel_node *value = answer(c, "ok", fmt, args);
    va_end(args);
    return value;
}

struct cel_node *cel_control_error(struct cel_control_call *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    struct cel_node *value = answer(c, "error", fmt, args);
    va_end(args);
    return value;
}

struct cel_node *cel_control_raise(struct cel_control_call *c, const char *exception,
                                   const char *fmt, ...)
{
    char text[600];
    struct cel_buf repr = {0};
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    cel_buf_adds(&repr, exception);
    cel_buf_addc(&repr, '(');
    if (len > 0) {
        cel_repr_string(&repr, cel_slice(text, len));
    }
    cel_buf_addc(&repr, ')');
    cel_log(CELERY_LOG_ERROR, "pidbox command error: %s",
            cel_log_safe(cel_buf_slice(&repr)));
    struct cel_node *value = cel_control_map(c, "error", cel_control_text(c, &repr));
    cel_buf_fini(&repr);
    return value;
}

/* ---- arguments ---- */

static bool has_parameter(const char *parameters, struct cel_slice name)
{
    struct cel_slice rest = cel_slice_of(parameters), word;

    while (cel_slice_split(&rest, ' ', &word)) {
        if (cel_slice_is(word, "*") ||
            (cel_slice_eq(word, name) && !cel_slice_is(word, "|"))) {
            return true;
        }
    }
    return false;
}

/* "'a'", "'a' and 'b'", "'a', 'b', and 'c'": how CPython lists what is missing. */
static size_t list_missing(struct cel_control_call *c, const char *parameters, char *text,
                           size_t size)
{
    struct cel_slice rest = cel_slice_of(parameters), word;
    struct cel_slice missing[8];
    size_t n = 0, len = 0;

    while (cel_slice_split(&rest, ' ', &word) && !cel_slice_is(word, "|")) {
        if (!cel_slice_is(word, "*") && !cel_node_get(c->args, word) && n < 8) {
            missing[n++] = word;
        }
    }
    for (size_t i = 0; i < n && len < size; i++) {
        const char *between = i == 0      ? ""
                              : i + 1 < n ? ", "
                              : n == 2    ? " and "
                                          : ", and ";
        int added = snprintf(text + len, size - len, "%s'%.*s'", between,
                             (int)missing[i].len, missing[i].data);
        len += added > 0 ? (size_t)added : 0;
    }
    return n;
}

/* NULL: they fit.  Otherwise what calling the function would raise. */
static struct cel_node *check_arguments(struct cel_control_call *c, const char *name,
                                        const char *parameters)
{
    const struct cel_node *v;
    char names[300];

    for (const struct cel_node *k = cel_node_first(c->args); k; k = v->next) {
        v = k->next;
        if (!has_parameter(parameters, cel_node_text(k))) {
            return cel_control_raise(c, "TypeError",
                                     "%s() got an unexpected keyword argument '%s'", name,
                                     cel_log_safe(cel_node_text(k)));
        }
    }
    size_t n = list_missing(c, parameters, names, sizeof names);
    if (n > 0) {
        return cel_control_raise(c, "TypeError",
                                 "%s() missing %zu required positional argument%s: %s",
                                 name, n, n == 1 ? "" : "s", names);
    }
    return NULL;
}

/* ---- dispatch ---- */

static const struct cel_control_command *find_in(const struct cel_control_command *table,
                                                 struct cel_slice name)
{
    for (; table->name; table++) {
        if (cel_slice_is(name, table->name) ||
            (table->alias && cel_slice_is(name, table->alias))) {
            return table;
        }
    }
    return NULL;
}

static struct cel_node *refuse(struct cel_control_call *c)
{
    return cel_control_raise(c, "PermissionError",
                             "this worker's remote control only reads");
}

/* A command that the application brought. */
static struct cel_node *run_own(struct cel_control_call *c,
                                const struct cel_control_def *def)
{
    static const struct cel_node none = {.kind = CELERY_KIND_OBJECT};
    celery_error err = {0};

    if (c->read_only && def->method.changes) {
        return refuse(c);
    }
    struct cel_node *error = check_arguments(c, def->method.name, def->checked);
    if (error) {
        return error;
    }
    json_t *answer = def->fn(def->ctx, c->args ? c->args : &none, &err);
    if (!answer) {
        return err.status < 0 ? cel_control_error(c, "%s", err.message)
                              : cel_node_new(c->arena, CELERY_KIND_NULL);
    }
    struct cel_node *value = cel_doc_from_json(c->arena, answer);
    json_decref(answer);
    return value;
}

struct cel_node *cel_control_run(struct cel_control_call *c,
                                 const struct cel_command *command)
{
    const struct cel_control_def *own = cel_app_find_control(c->w->app, command->method);
    const struct cel_control_command *d = find_in(cel_control_inspect, command->method);

    c->args = command->arguments;
    if (own) {
        return run_own(c, own);
    }
    if (!d) {
        d = find_in(cel_control_change, command->method);
    }
    if (!d) {
        return cel_control_raise(c, "KeyError", "%s", cel_log_safe(command->method));
    }
    if (c->read_only && !d->reads_only) {
        return refuse(c);
    }
    struct cel_node *error = check_arguments(c, d->name, d->parameters);
    return error ? error : d->fn(c);
}
