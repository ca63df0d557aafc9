/* SPDX-License-Identifier: BSD-3-Clause */
#include "beat/plan.h"
#include "backend/backend.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

enum { REPR_MAX = 1024 }; /* amqp.argsrepr_maxsize */

static struct cel_entry *entry_free(struct cel_entry *e)
{
    if (e) {
        celery_sig_free(e->sig);
        cel_free(e->name);
        cel_free(e->task);
        cel_free(e);
    }
    return NULL;
}

void cel_plan_fini(struct cel_plan *plan)
{
    cel_heap_fini(&plan->heap); /* writes to the nodes in the entries */
    for (size_t i = 0; i < plan->n; i++) {
        entry_free(plan->entries[i]);
    }
    cel_free(plan->entries);
    cel_map_fini(&plan->by_name);
    *plan = (struct cel_plan){0};
}

struct cel_entry *cel_plan_find(const struct cel_plan *plan, struct cel_slice name)
{
    return cel_map_get(&plan->by_name, name);
}

/* ---- one entry ---- */

static celery_status to_json(struct cel_buf *out, const struct cel_node *n,
                             celery_error *err)
{
    cel_buf_clear(out);
    return cel_json_write(out, n) == CELERY_OK && cel_buf_ok(out) ? CELERY_OK
                                                                  : cel_error_nomem(err);
}

/* Upstream's beat gives a list, not a tuple, and so it is shown (_evaluate_entry_args()). */
static celery_status set_argsrepr(struct cel_entry *e, const struct cel_node *args,
                                  int levels, struct cel_buf *text, celery_error *err)
{
    struct cel_buf repr = {0};
    celery_status status = cel_saferepr(&repr, args, REPR_MAX, levels, false);

    cel_buf_clear(text);
    if (status < 0 || cel_json_write_string(text, cel_buf_slice(&repr)) < 0 ||
        !cel_buf_ok(text)) {
        status = cel_error_nomem(err);
    } else {
        status = celery_sig_set_option_text(e->sig, "argsrepr", cel_buf_cstr(text), err);
    }
    cel_buf_fini(&repr);
    return status;
}

static celery_status set_arguments(struct cel_entry *e, const struct cel_node *doc,
                                   int levels, struct cel_buf *text, celery_error *err)
{
    const struct cel_node *args = cel_node_get(doc, CEL_SLICE("args"));
    const struct cel_node *kwargs = cel_node_get(doc, CEL_SLICE("kwargs"));
    static const struct cel_node none = {.kind = CELERY_KIND_ARRAY};
    celery_status status;

    if ((args && args->kind != CELERY_KIND_ARRAY && !cel_node_is_null(args)) ||
        (kwargs && kwargs->kind != CELERY_KIND_OBJECT && !cel_node_is_null(kwargs))) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "args is a list, kwargs is a map of names");
    }
    status = set_argsrepr(e, cel_node_is_null(args) ? &none : args, levels, text, err);
    if (status == CELERY_OK && !cel_node_is_null(args)) {
        status = to_json(text, args, err);
        if (status == CELERY_OK) {
            status = celery_sig_set_args_text(e->sig, cel_buf_cstr(text), err);
        }
    }
    if (status == CELERY_OK && !cel_node_is_null(kwargs)) {
        status = to_json(text, kwargs, err);
        if (status == CELERY_OK) {
            status = celery_sig_set_kwargs_text(e->sig, cel_buf_cstr(text), err);
        }
    }
    return status;
}

/* Scheduler.apply_async(): options.setdefault('headers', {})['celery_beat_task'] = True */
static celery_status set_headers(struct cel_entry *e, const struct cel_node *headers,
                                 struct cel_buf *text, celery_error *err)
{
    struct cel_arena a = {0};
    struct cel_node *all = headers && headers->kind == CELERY_KIND_OBJECT
                               ? cel_node_copy(&a, headers)
                               : cel_node_new(&a, CELERY_KIND_OBJECT);
    celery_status status = cel_error_nomem(NULL);

    if (headers && headers->kind != CELERY_KIND_OBJECT) {
        status = cel_error_set(err, CELERY_ECONFIG, "options: headers is a map of names");
    } else if (all && cel_node_put(&a, all, CEL_SLICE("celery_beat_task"),
                                   cel_node_new_bool(&a, true)) == CELERY_OK) {
        status = to_json(text, all, err);
    } else {
        cel_error_nomem(err);
    }
    if (status == CELERY_OK) {
        status = celery_sig_set_option_text(e->sig, "headers", cel_buf_cstr(text), err);
    }
    cel_arena_fini(&a);
    return status;
}

static celery_status set_options(struct cel_entry *e, const struct cel_node *options,
                                 struct cel_buf *text, celery_error *err)
{
    const struct cel_node *headers = cel_node_get(options, CEL_SLICE("headers"));
    celery_status status = CELERY_OK;

    if (options && options->kind != CELERY_KIND_OBJECT && !cel_node_is_null(options)) {
        return cel_error_set(err, CELERY_ECONFIG, "options is a map of names");
    }
    for (const struct cel_node *k = cel_node_first(options), *v; k && status == CELERY_OK;
         k = v->next) {
        char name[64] = {0};

        v = k->next;
        if (k->size == 0 || k->size >= sizeof name) {
            return cel_error_set(err, CELERY_ECONFIG, "options: '%s' is none",
                                 cel_log_safe(cel_node_text(k)));
        }
        memcpy(name, k->text, k->size);
        e->own_id |= strcmp(name, "task_id") == 0;
        if (v != headers) {
            status = to_json(text, v, err);
            if (status == CELERY_OK) {
                status =
                    celery_sig_set_option_text(e->sig, name, cel_buf_cstr(text), err);
            }
        }
    }
    return status == CELERY_OK ? set_headers(e, headers, text, err) : status;
}

/* What ScheduleEntry() takes. */
static celery_status check_keys(const struct cel_node *doc, celery_error *err)
{
    static const char *const known[] = {"task",   "schedule", "args",
                                        "kwargs", "options",  "relative"};

    for (const struct cel_node *k = cel_node_first(doc), *v; k; k = v->next) {
        size_t i = 0;

        v = k->next;
        while (i < sizeof known / sizeof known[0] &&
               !cel_slice_is(cel_node_text(k), known[i])) {
            i++;
        }
        if (i == sizeof known / sizeof known[0]) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "'%s' is not one of task, schedule, args, kwargs, "
                                 "options, relative",
                                 cel_log_safe(cel_node_text(k)));
        }
    }
    return CELERY_OK;
}

static celery_status read_entry(struct cel_entry *e, const struct cel_node *doc,
                                int levels, celery_error *err)
{
    struct cel_slice task = cel_node_text(cel_node_get(doc, CEL_SLICE("task")));
    struct cel_buf text = {0};

    if (!doc || doc->kind != CELERY_KIND_OBJECT) {
        return cel_error_set(err, CELERY_ECONFIG, "an entry is a map");
    }
    celery_status status = check_keys(doc, err);

    if (status == CELERY_OK && (task.len == 0 || memchr(task.data, '\0', task.len))) {
        status = cel_error_set(err, CELERY_ECONFIG, "it names no task");
    }
    if (status == CELERY_OK) {
        status = cel_schedule_read(&e->schedule, cel_node_get(doc, CEL_SLICE("schedule")),
                                   err);
    }
    if (status < 0) {
        return status;
    }
    e->schedule.relative |=
        cel_node_bool(cel_node_get(doc, CEL_SLICE("relative")), false);
    e->task = cel_strndup(task.data, task.len);
    e->sig = e->task ? celery_sig_new(e->task, err, NULL) : NULL;
    if (!e->sig) {
        return cel_error_nomem(err);
    }
    status = set_arguments(e, doc, levels, &text, err);
    if (status == CELERY_OK) {
        status = set_options(e, cel_node_get(doc, CEL_SLICE("options")), &text, err);
    }
    cel_buf_fini(&text);
    return status;
}

/* ---- all of them ---- */

static celery_status add_entry(struct cel_plan *plan, struct cel_slice name,
                               const struct cel_node *doc, int64_t now, celery_error *err)
{
    struct cel_entry *e = cel_calloc(1, sizeof *e);

    if (!e) {
        return cel_error_nomem(err);
    }
    e->last_run_at = now;
    e->name = cel_strndup(name.data, name.len);
    celery_status status =
        e->name ? read_entry(e, doc, plan->repr_levels, err) : cel_error_nomem(err);

    if (status == CELERY_OK && cel_map_set(&plan->by_name, name, e, NULL) < 0) {
        status = cel_error_nomem(err);
    }
    if (status < 0) {
        entry_free(e);
        return cel_error_prefix(err, status,
                                "beat_schedule: entry '%s': ", cel_log_safe(name));
    }
    plan->entries[plan->n++] = e;
    return CELERY_OK;
}

celery_status cel_plan_read(struct cel_plan *plan, const struct cel_node *doc,
                            int repr_levels, int64_t now, celery_error *err)
{
    size_t size = doc && doc->kind == CELERY_KIND_OBJECT ? doc->size : 0;
    celery_status status = CELERY_OK;

    *plan = (struct cel_plan){.repr_levels = repr_levels};
    if (!cel_node_is_null(doc) && doc->kind != CELERY_KIND_OBJECT) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "beat_schedule is a map of names to entries");
    }
    if (size > CEL_PLAN_MAX) {
        return cel_error_set(err, CELERY_ELIMIT, "beat_schedule: more than %d entries",
                             CEL_PLAN_MAX);
    }
    /* One more for celery.backend_cleanup. */
    plan->entries = cel_calloc(size + 1, sizeof(struct cel_entry *));
    if (!plan->entries) {
        return cel_error_nomem(err);
    }
    for (const struct cel_node *k = cel_node_first(doc), *v; k && status == CELERY_OK;
         k = v->next) {
        v = k->next;
        status = add_entry(plan, cel_node_text(k), v, now, err);
    }
    if (status < 0) {
        cel_plan_fini(plan);
    }
    return status;
}

/* Backends of Celery with supports_autoexpire. */
static bool expires_itself(const struct cel_config *config)
{
    const struct cel_backend_ops *ops = cel_backend_of(config);

    return ops && (strcmp(ops->name, "redis") == 0 || strcmp(ops->name, "rpc") == 0 ||
                   strcmp(ops->name, "memory") == 0);
}

celery_status cel_plan_add_defaults(struct cel_plan *plan,
                                    const struct cel_config *config, int64_t now,
                                    celery_error *err)
{
    static const char name[] = "celery.backend_cleanup";
    static const char json[] = "{\"task\": \"celery.backend_cleanup\", \"schedule\": "
                               "\"0 4 * * *\", \"options\": {\"expires\": 43200}}";
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;

    if (cel_config_double(config, "result_expires", 0) <= 0 || expires_itself(config) ||
        cel_plan_find(plan, CEL_SLICE(name))) {
        return CELERY_OK;
    }
    celery_status status = cel_json_parse(&a, CEL_SLICE(json), NULL, &doc, err);

    if (status == CELERY_OK) {
        status = add_entry(plan, CEL_SLICE(name), doc, now, err);
    }
    cel_arena_fini(&a);
    return status;
}

void cel_plan_merge(struct cel_plan *plan, const struct cel_plan *old)
{
    for (size_t i = 0; i < plan->n; i++) {
        struct cel_entry *e = plan->entries[i];
        const struct cel_entry *before = cel_plan_find(old, cel_slice_of(e->name));

        if (before) {
            e->last_run_at = before->last_run_at;
            e->total_run_count = before->total_run_count;
            e->state = before->state == CEL_RUN_NONE ? CEL_RUN_NONE : CEL_RUN_READY;
            memcpy(e->id, before->id, sizeof e->id);
        }
    }
}

celery_status cel_plan_wake(struct cel_plan *plan)
{
    celery_status status = cel_heap_reserve(&plan->heap, plan->n);

    for (size_t i = 0; i < plan->n && status == CELERY_OK; i++) {
        cel_heap_remove(&plan->heap, &plan->entries[i]->node);
        status = cel_heap_add(&plan->heap, &plan->entries[i]->node, 0);
    }
    return status;
}
