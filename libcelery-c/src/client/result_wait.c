/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for the end of tasks and groups, pushed by the backend. */
#include "base/error.h"
#include "client/result.h"
#include <math.h>

/* Parents are looked at when the result takes longer (AsyncResult._maybe_reraise_parent_error). */
static const double PARENTS_AFTER = 1;

/* ---- failures ---- */

void cel_result_set_task_error(const celery_result *r, celery_error *err)
{
    struct cel_buf args = {0};
    struct cel_buf line = {0};
    const struct cel_node *message =
        cel_node_get(cel_result_member(r, "result"), CEL_SLICE("exc_message"));
    bool list = message && message->kind == CELERY_KIND_ARRAY;
    /* Older workers store a bare text. */
    cel_buf_adds(&args, list ? "" : "[");
    if (message) {
        cel_json_write(&args, message);
    }
    cel_buf_adds(&args, list ? "" : "]");
    const char *type = r->exc_type ? r->exc_type : "Exception";
    if (cel_exception_line(&line, cel_slice_of(type), cel_buf_slice(&args)) < 0) {
        cel_buf_clear(&line);
        cel_buf_adds(&line, type);
    }
    cel_error_set(err, strcmp(r->state, "REVOKED") == 0 ? CELERY_EREVOKED : CELERY_ETASK,
                  "%s", cel_buf_cstr(&line));
    cel_buf_fini(&args);
    cel_buf_fini(&line);
}

static celery_result *own_failure(celery_result *r)
{
    return r->group ? r->failed : cel_result_propagates(r) ? r : NULL;
}

celery_result *celery_result_failed(celery_result *result)
{
    for (celery_result *r = result; r; r = r->parent) {
        celery_result *failed = own_failure(r);
        if (failed || result->ready) {
            return failed;
        }
    }
    return NULL;
}

/* ---- waiting ---- */

/* Kept also when the backend is away: then it is watched once that is back. */
static void watch(celery_result *r, void *ctx)
{
    celery_client *client = r->client;
    if (!r->ready && !r->tracked->watched) {
        r->tracked->watched = true;
        if (client->results.state == CEL_UPLINK_UP) {
            client->backend->ops->watch(client->backend,
                                        cel_slice(r->tracked->id, r->tracked->len));
        }
    }
}

static void watch_parents(celery_result *r)
{
    while ((r = celery_result_parent(r)) != NULL) {
        cel_result_each_task(r, watch, NULL);
    }
}

static celery_status timed_out(const celery_result *r, double timeout, celery_error *err)
{
    celery_client *client = r->client;
    const char *what = r->group ? "group" : "task";
    if (client->results.state != CEL_UPLINK_UP) {
        return cel_error_set(err, CELERY_ETIMEOUT, "%s %s: result backend: %s", what,
                             r->id, client->results.last.message);
    }
    if (r->group) {
        return cel_error_set(err, CELERY_ETIMEOUT, "group %s: %zu of %zu ended in %g s",
                             r->id, r->n_ready, r->n_children, timeout);
    }
    /* By rpc:// it is still possible that nothing ever will come. */
    bool elsewhere = cel_client_needs_queue(client) && strcmp(r->state, "PENDING") == 0;
    return cel_error_set(err, CELERY_ETIMEOUT, "task %s: no result in %g s (state %s)%s",
                         r->id, timeout, r->state,
                         elsewhere ? "; rpc:// brings results only to the client that "
                                     "sent the task"
                                   : "");
}

/* Until over() says so; makes one pass at least. */
static celery_status wait_for(celery_result *r, double timeout,
                              bool (*over)(celery_result *r), celery_error *err)
{
    if (over(r)) {
        return CELERY_OK;
    }
    if (!cel_result_can_ask(r, err)) {
        return r->client ? CELERY_ECONFIG : CELERY_ECLOSED;
    }
    celery_client *client = r->client;
    double now = cel_client_now(client);
    double deadline = timeout < 0 ? 1e300 : now + timeout;
    double parents_at = now + PARENTS_AFTER;
    cel_result_each_task(r, watch, NULL);
    cel_uplink_hurry(&client->results);
    do {
        double until = fmin(deadline, parents_at);
        if (cel_loop_pass(client->loop, fmax(until - now, 0)) < 0) {
            return cel_error_set(err, CELERY_EINVAL,
                                 "a callback of the client cannot wait");
        }
        now = cel_client_now(client);
        if (now >= parents_at && !over(r)) {
            watch_parents(r);
            parents_at = INFINITY;
        }
    } while (!over(r) && now < deadline);
    return over(r) ? CELERY_OK : timed_out(r, timeout, err);
}

static bool is_ready(celery_result *r)
{
    return r->ready;
}

static bool is_decided(celery_result *r)
{
    return r->ready || celery_result_failed(r);
}

celery_status celery_result_join(celery_result *result, double timeout, celery_error *err)
{
    if (!result) {
        return CELERY_EINVAL;
    }
    return result->ignored ? CELERY_OK : wait_for(result, timeout, is_ready, err);
}

static bool has_news(celery_result *r)
{
    return r->ready || !cel_list_empty(&r->ended);
}

celery_result *celery_result_next(celery_result *group, double timeout, celery_error *err)
{
    if (!group) {
        return NULL;
    }
    if (!group->group) {
        cel_error_set(err, CELERY_EINVAL, "task %s is no group", group->id);
        return NULL;
    }
    if (wait_for(group, timeout, has_news, err) < 0) {
        return NULL;
    }
    struct cel_list *first = cel_list_first(&group->ended);
    if (!first) {
        return NULL;
    }
    cel_list_remove(first);
    return cel_container_of(first, celery_result, ended_node);
}

/* ---- values ---- */

static json_t *value_of(const celery_result *r, celery_error *err)
{
    if (r->ignored) {
        return json_null();
    }
    if (!r->group) {
        return cel_doc_to_json(cel_result_member(r, "result"), "result", err);
    }
    json_t *list = json_array();
    for (size_t i = 0; list && i < r->n_children; i++) {
        json_t *value = value_of(r->children[i], err);
        if (!value || json_array_append_new(list, value) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    if (!list) {
        cel_error_nomem(err);
    }
    return list;
}

json_t *celery_result_wait(celery_result *result, double timeout, celery_error *err)
{
    if (!result || (!result->ignored && wait_for(result, timeout, is_decided, err) < 0)) {
        return NULL;
    }
    celery_result *failed = result->ignored ? NULL : celery_result_failed(result);
    if (failed) {
        cel_result_set_task_error(failed, err);
        return NULL;
    }
    return value_of(result, err);
}
