/* SPDX-License-Identifier: BSD-3-Clause */
/* Control.revoke(): a broadcast to all workers. */
#include "base/error.h"
#include "client/client.h"
#include "client/result.h"
#include <celery/control.h>

/* One id alone is a text, as upstream has it.  Takes ids. */
static celery_status revoke(celery_client *client, json_t *give_ids, bool one,
                            bool terminate, const char *signal,
                            const celery_control_options *options, celery_error *err)
{
    json_t *first = one ? json_array_get(give_ids, 0) : NULL;
    celery_status status =
        give_ids
            ? celery_control_send(client, "revoke", options, err, "{s:O,s:b,s:s}",
                                  "task_id", first ? first : give_ids, "terminate",
                                  (int)terminate, "signal", signal ? signal : "SIGTERM")
            : cel_error_nomem(err);

    json_decref(give_ids);
    return status;
}

struct ids {
    json_t *list;
    bool failed;
};

static void add_id(celery_result *task, void *ctx)
{
    struct ids *ids = ctx;

    if (json_array_append_new(ids->list, json_string(task->id)) < 0) {
        ids->failed = true;
    }
}

celery_status celery_result_revoke(celery_result *result, bool terminate,
                                   const char *signal, celery_error *err)
{
    celery_client *client = result ? result->client : NULL;

    if (!client) {
        return result ? cel_error_set(err, CELERY_ECLOSED, "the client is closed")
                      : CELERY_EINVAL;
    }
    struct ids ids = {.list = json_array()};
    cel_result_each_task(result, add_id, &ids);
    if (ids.failed) {
        json_decref(ids.list);
        return cel_error_nomem(err);
    }
    return revoke(client, ids.list, !result->group, terminate, signal, NULL, err);
}

celery_status celery_control_revoke(celery_client *client, const char *const *task_ids,
                                    size_t n, bool terminate, const char *signal,
                                    const celery_control_options *options,
                                    celery_error *err)
{
    if (!client) {
        return CELERY_EINVAL;
    }
    json_t *ids = json_array();
    for (size_t i = 0; i < n; i++) {
        if (!task_ids[i] || json_array_append_new(ids, json_string(task_ids[i])) < 0) {
            json_decref(ids);
            return cel_error_set(err, CELERY_EINVAL, "task id %zu is no text", i);
        }
    }
    return revoke(client, ids, n == 1, terminate, signal, options, err);
}
