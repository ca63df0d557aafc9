/* SPDX-License-Identifier: BSD-3-Clause */
/* The future of a task: pushed by the backend, kept once the task has ended. */
#include "base/alloc.h"
#include "base/error.h"
#include "client/client.h"

/* The backend's own limits are shorter; this one is for a server that answers nothing. */
static const double ANSWER_TIMEOUT = 30;

struct celery_result {
    struct cel_list node;  /* in tracked->results */
    celery_client *client; /* NULL: closed */
    struct cel_tracked *tracked;
    char *id;
    bool ignored;  /* sent with ignore_result: nothing will come */
    bool reported; /* the backend has said something since it was asked */
    bool ready;
    struct cel_arena arena; /* of all below */
    const struct cel_node *doc;
    const char *state;
    const char *traceback;
    const char *exc_type;
    const char *exc_module;
    const char *date_done;
};

/* ---- tracking ---- */

static struct cel_tracked *track(celery_client *client, struct cel_slice id)
{
    struct cel_tracked *t = cel_map_get(&client->tracked, id);
    if (t) {
        return t;
    }
    t = cel_alloc(sizeof *t + id.len);
    if (!t) {
        return NULL;
    }
    cel_list_init(&t->results);
    t->watched = false;
    t->len = id.len;
    memcpy(t->id, id.data, id.len);
    if (cel_map_set(&client->tracked, id, t, NULL) < 0) {
        cel_free(t);
        return NULL;
    }
    return t;
}

static struct cel_slice tracked_id(const struct cel_tracked *t)
{
    return cel_slice(t->id, t->len);
}

static void unwatch(celery_client *client, struct cel_tracked *t)
{
    if (t->watched) {
        t->watched = false;
        client->backend->ops->unwatch(client->backend, tracked_id(t));
    }
}

static void untrack(celery_result *r)
{
    struct cel_tracked *t = r->tracked;
    celery_client *client = r->client;
    cel_list_remove(&r->node);
    r->tracked = NULL;
    r->client = NULL;
    if (t && cel_list_empty(&t->results)) {
        unwatch(client, t);
        cel_map_del(&client->tracked, tracked_id(t));
        cel_free(t);
    }
}

celery_result *cel_result_new(celery_client *client, struct cel_slice id, bool ignored,
                              celery_error *err)
{
    celery_result *r = cel_calloc(1, sizeof *r);
    if (!r) {
        cel_error_nomem(err);
        return NULL;
    }
    cel_list_init(&r->node);
    r->ignored = ignored;
    r->state = "PENDING";
    r->id = cel_strndup(id.data, id.len);
    r->tracked = r->id ? track(client, id) : NULL;
    if (!r->tracked) {
        cel_error_nomem(err);
        celery_result_free(r);
        return NULL;
    }
    r->client = client;
    cel_list_append(&r->tracked->results, &r->node);
    return r;
}

celery_result *celery_result_new(celery_client *client, const char *task_id,
                                 celery_error *err)
{
    if (!client) {
        return NULL;
    }
    if (!task_id || !*task_id) {
        cel_error_set(err, CELERY_EINVAL, "a result needs a task id");
        return NULL;
    }
    return cel_result_new(client, cel_slice_of(task_id), false, err);
}

void celery_result_free(celery_result *result)
{
    if (result) {
        untrack(result);
        cel_arena_fini(&result->arena);
        cel_free(result->id);
        cel_free(result);
    }
}

void cel_result_orphan_all(celery_client *client)
{
    size_t at = 0;
    void *value;
    while (cel_map_next(&client->tracked, &at, NULL, &value)) {
        struct cel_tracked *t = value;
        struct cel_list *first;
        while ((first = cel_list_first(&t->results)) != NULL) {
            celery_result *r = cel_container_of(first, celery_result, node);
            cel_list_remove(first);
            r->client = NULL;
            r->tracked = NULL;
        }
        cel_free(t);
    }
    cel_map_fini(&client->tracked);
}

/* ---- what the backend reports ---- */

static const char *keep_text(celery_result *r, const struct cel_node *object,
                             const char *key)
{
    const struct cel_node *node = cel_node_get(object, cel_slice_of(key));
    if (!cel_node_is_string(node)) {
        return NULL;
    }
    struct cel_slice text = cel_node_text(node);
    return cel_arena_strndup(&r->arena, text.data, text.len);
}

static void clear(celery_result *r)
{
    cel_arena_reset(&r->arena);
    r->doc = NULL;
    r->ready = false;
    r->state = "PENDING";
    r->traceback = r->exc_type = r->exc_module = r->date_done = NULL;
}

static const struct cel_node *member(const celery_result *r, const char *key)
{
    return r && r->doc ? cel_node_get(r->doc, cel_slice_of(key)) : NULL;
}

static bool is_exception(const celery_result *r)
{
    return cel_state_is_exception(cel_slice_of(r->state));
}

/* A document that does not fit into memory is as if it had not come. */
static void take(celery_result *r, const struct cel_node *doc)
{
    r->reported = true;
    if (r->ready) {
        return;
    }
    clear(r);
    struct cel_node *copy = doc ? cel_node_copy(&r->arena, doc) : NULL;
    const char *state = copy ? keep_text(r, copy, "status") : NULL;
    if (!state) {
        return;
    }
    r->doc = copy;
    r->state = state;
    r->ready = cel_state_is_ready(cel_slice_of(state));
    r->traceback = keep_text(r, copy, "traceback");
    r->date_done = keep_text(r, copy, "date_done");
    if (is_exception(r)) {
        r->exc_type = keep_text(r, member(r, "result"), "exc_type");
        r->exc_module = keep_text(r, member(r, "result"), "exc_module");
    }
}

void cel_result_meta(void *ctx, struct cel_slice task_id, const struct cel_node *doc)
{
    celery_client *client = ctx;
    struct cel_tracked *t = cel_map_get(&client->tracked, task_id);
    struct cel_list *it;
    struct cel_list *tmp;
    bool ready = false;
    if (!t) {
        return;
    }
    cel_list_foreach(it, tmp, &t->results) {
        celery_result *r = cel_container_of(it, celery_result, node);
        take(r, doc);
        ready = r->ready;
    }
    if (ready) {
        unwatch(client, t);
    }
}

void cel_result_watch_again(void *ctx)
{
    celery_client *client = ctx;
    size_t at = 0;
    void *value;
    while (cel_map_next(&client->tracked, &at, NULL, &value)) {
        struct cel_tracked *t = value;
        if (t->watched) {
            client->backend->ops->watch(client->backend, tracked_id(t));
        }
    }
}

/* ---- asking ---- */

static bool can_ask(const celery_result *r, celery_error *err)
{
    if (!r->client) {
        cel_error_set(err, CELERY_ECLOSED, "the client is closed");
        return false;
    }
    if (!r->client->backend) {
        cel_error_set(err, CELERY_ECONFIG,
                      "no result backend: open the client with the URL of one");
        return false;
    }
    return true;
}

/* Kept also when the backend is away: then it is watched once that is back. */
static void watch(celery_result *r)
{
    celery_client *client = r->client;
    if (!r->tracked->watched) {
        r->tracked->watched = true;
        if (client->results.state == CEL_UPLINK_UP) {
            client->backend->ops->watch(client->backend, tracked_id(r->tracked));
        }
    }
    cel_uplink_hurry(&client->results);
}

static celery_status wait_ready(celery_result *r, double timeout, celery_error *err)
{
    celery_client *client = r->client;
    double deadline = timeout < 0 ? 1e300 : cel_client_now(client) + timeout;
    watch(r);
    do {
        if (!cel_client_pass(client, timeout == 0 ? cel_client_now(client) : deadline)) {
            break;
        }
    } while (!r->ready && timeout != 0);
    if (r->ready) {
        return CELERY_OK;
    }
    if (client->results.state != CEL_UPLINK_UP) {
        return cel_error_set(err, CELERY_ETIMEOUT, "task %s: result backend: %s", r->id,
                             client->results.last.message);
    }
    return cel_error_set(err, CELERY_ETIMEOUT, "task %s: no result in %g s (state %s)",
                         r->id, timeout, r->state);
}

/* "ValueError: text" from {"exc_type", "exc_message", "exc_module"}. */
static void set_task_error(const celery_result *r, celery_error *err)
{
    struct cel_buf args = {0};
    struct cel_buf line = {0};
    const struct cel_node *message =
        cel_node_get(member(r, "result"), CEL_SLICE("exc_message"));
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

json_t *celery_result_wait(celery_result *result, double timeout, celery_error *err)
{
    if (!result) {
        return NULL;
    }
    if (result->ignored) {
        return json_null();
    }
    if (!result->ready &&
        (!can_ask(result, err) || wait_ready(result, timeout, err) < 0)) {
        return NULL;
    }
    if (is_exception(result)) {
        set_task_error(result, err);
        return NULL;
    }
    return cel_doc_to_json(member(result, "result"), "result", err);
}

/* Runs an operation of the backend to its end. */
static celery_status ask(celery_result *r,
                         void (*start)(struct cel_backend *b, struct cel_slice id,
                                       struct cel_done done),
                         celery_error *err)
{
    celery_client *client = r->client;
    double deadline = cel_client_now(client) + ANSWER_TIMEOUT;
    celery_status status =
        cel_client_wait_uplink(client, &client->results, deadline, err);
    if (status < 0) {
        return status;
    }
    struct cel_waiting w = {0};
    start(client->backend, cel_slice_of(r->id), (struct cel_done){cel_waiting_done, &w});
    while (!w.done) {
        if (!cel_client_pass(client, deadline)) {
            celery_error why = {0};
            cel_error_set(&why, CELERY_ETIMEOUT, "result backend: no answer in %g s",
                          ANSWER_TIMEOUT);
            client->backend->ops->close(client->backend);
            cel_uplink_lost(&client->results, &why);
            w.err = why;
            break;
        }
    }
    if (w.err.status < 0) {
        return cel_error_set(err, w.err.status, "%s", w.err.message);
    }
    return CELERY_OK;
}

static void start_load(struct cel_backend *b, struct cel_slice id, struct cel_done done)
{
    b->ops->load(b, &id, 1, done);
}

static void start_forget(struct cel_backend *b, struct cel_slice id, struct cel_done done)
{
    b->ops->forget(b, id, done);
}

const char *celery_result_state(celery_result *result, celery_error *err)
{
    if (!result) {
        return NULL;
    }
    if (!result->ready && (!can_ask(result, err) || ask(result, start_load, err) < 0)) {
        return NULL;
    }
    return result->state;
}

celery_status celery_result_forget(celery_result *result, celery_error *err)
{
    if (!result) {
        return CELERY_EINVAL;
    }
    if (!can_ask(result, err)) {
        return result->client ? CELERY_ECONFIG : CELERY_ECLOSED;
    }
    celery_status status = ask(result, start_forget, err);
    if (status == CELERY_OK) {
        unwatch(result->client, result->tracked);
        clear(result);
    }
    return status;
}

/* ---- what is known ---- */

const char *celery_result_id(const celery_result *result)
{
    return result ? result->id : NULL;
}

const celery_value *celery_result_value(const celery_result *result)
{
    return result && !is_exception(result) ? member(result, "result") : NULL;
}

const char *celery_result_traceback(const celery_result *result)
{
    return result ? result->traceback : NULL;
}

const char *celery_result_exc_type(const celery_result *result)
{
    return result ? result->exc_type : NULL;
}

const char *celery_result_exc_module(const celery_result *result)
{
    return result ? result->exc_module : NULL;
}

const celery_value *celery_result_exc_args(const celery_result *result)
{
    return result && is_exception(result)
               ? cel_node_get(member(result, "result"), CEL_SLICE("exc_message"))
               : NULL;
}

const char *celery_result_date_done(const celery_result *result)
{
    return result ? result->date_done : NULL;
}

const celery_value *celery_result_children(const celery_result *result)
{
    const struct cel_node *children = member(result, "children");
    return cel_node_is_null(children) ? NULL : children;
}

const celery_value *celery_result_document(const celery_result *result)
{
    return result ? result->doc : NULL;
}
