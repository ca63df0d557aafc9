/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/task.h: the properties of the message, which few tasks ask for. */
#include "pool/task.h"

const celery_value *celery_task_properties(celery_task *task)
{
    struct cel_slice tail = task->job->headers;
    struct cel_node *message = NULL;
    struct cel_buf whole = {0};

    if (tail.len == 0) {
        return NULL;
    }
    (void)cel_buf_adds(&whole, "{\"headers\": ");
    (void)cel_buf_add(&whole, tail.data, tail.len);
    char *copy = cel_buf_ok(&whole)
                     ? cel_arena_strndup(&task->arena, whole.data, whole.len)
                     : NULL;
    struct cel_slice text = cel_slice(copy, copy ? whole.len : 0);
    cel_buf_fini(&whole);
    if (!copy ||
        cel_json_parse(&task->arena, text, &task->limits.json, &message, NULL) < 0) {
        return NULL;
    }
    return cel_node_get(message, CEL_SLICE("properties"));
}
