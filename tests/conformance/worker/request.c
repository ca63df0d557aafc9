/* SPDX-License-Identifier: BSD-3-Clause */
/* Tasks that answer with what their request says. */
#include "tasks.h"

#include <stdio.h>

static json_t *whole_ids(celery_task *task, json_t *i)
{
    return json_pack("[ooO]", text_or_null(celery_task_root_id(task)),
                     text_or_null(celery_task_parent_id(task)), i);
}

static celery_outcome ids(celery_task *task)
{
    json_t *i;

    if (celery_task_args(task, "i:j", &i) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return(task, whole_ids(task, i));
}

static celery_outcome collect_ids(celery_task *task)
{
    json_t *res, *i;

    if (celery_task_args(task, "res:j i:j", &res, &i) < 0) {
        return CELERY_FAILED;
    }
    return celery_task_return(task, json_pack("[Oo]", res, whole_ids(task, i)));
}

static celery_outcome return_priority(celery_task *task)
{
    return celery_task_return(task,
                              json_sprintf("Priority: %d", celery_task_priority(task)));
}

static celery_outcome return_request_eta(celery_task *task)
{
    return celery_task_return(task, text_or_null(celery_task_eta(task)));
}

/* request.time_limit is what the sender wrote, or what the task declares. */
static json_t *limits(celery_task *task, json_int_t hard, json_int_t soft)
{
    const celery_value *both = celery_task_header(task, "timelimit");
    const celery_value *sent_hard = celery_value_at(both, 0);
    const celery_value *sent_soft = celery_value_at(both, 1);
    json_t *none = hard ? NULL : json_null();
    json_t *result = json_object();

    json_object_set_new(result, "time_limit",
                        celery_value_kind(sent_hard) != CELERY_KIND_NULL
                            ? celery_value_to_json(sent_hard, NULL)
                            : (none ? json_incref(none) : json_integer(hard)));
    json_object_set_new(result, "soft_time_limit",
                        celery_value_kind(sent_soft) != CELERY_KIND_NULL
                            ? celery_value_to_json(sent_soft, NULL)
                            : (none ? json_incref(none) : json_integer(soft)));
    json_decref(none);
    return result;
}

static celery_outcome return_request_time_limits(celery_task *task)
{
    return celery_task_return(task, limits(task, 0, 0));
}

static celery_outcome task_with_declared_time_limits(celery_task *task)
{
    return celery_task_return(task, limits(task, 60, 45));
}

static celery_outcome return_properties(celery_task *task)
{
    return celery_task_return_value(task, celery_task_properties(task));
}

static const struct suite_task tasks[] = {
    {"ids", ids, NULL},
    {"collect_ids", collect_ids, NULL},
    {"return_priority", return_priority, NULL},
    {"return_properties", return_properties, NULL},
    {"return_request_eta", return_request_eta, NULL},
    {"return_request_time_limits", return_request_time_limits, NULL},
    {"task_with_declared_time_limits", task_with_declared_time_limits,
     "time_limit=60 soft_time_limit=45"},
};

void register_request(celery_app *app)
{
    suite_register(app, tasks, sizeof tasks / sizeof tasks[0]);
}
