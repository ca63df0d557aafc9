/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked of the backend, and waited for. */
#include "base/alloc.h"
#include "base/error.h"
#include "client/result.h"

/* The backend's own limits are shorter; this one is for a server that answers nothing. */
static const double ANSWER_TIMEOUT = 30;

bool cel_result_can_ask(const celery_result *r, celery_error *err)
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

/* ---- operations that somebody waits for ---- */

static void on_one(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_gather *g = ctx;
    g->left--;
    g->sum += answer;
    if (err && g->err.status == CELERY_OK) {
        g->err = *err;
    }
}

struct cel_done cel_gather_one(struct cel_gather *g)
{
    g->left++;
    return (struct cel_done){on_one, g};
}

/* Closing ends what is still open, and so nothing points to this stack any more. */
static void drop_backend(celery_client *client, struct cel_gather *g)
{
    celery_error why = {0};
    cel_error_set(&why, CELERY_ETIMEOUT, "result backend: no answer in %g s",
                  ANSWER_TIMEOUT);
    client->backend->ops->close(client->backend);
    cel_uplink_lost(&client->results, &why);
    g->err = why;
}

celery_status cel_client_ask(celery_client *client,
                             void (*begin)(struct cel_backend *b, struct cel_gather *g,
                                           void *ctx),
                             void *ctx, int64_t *ret_sum, celery_error *err)
{
    double deadline = cel_client_now(client) + ANSWER_TIMEOUT;
    celery_status status =
        cel_client_wait_uplink(client, &client->results, deadline, err);
    if (status < 0) {
        return status;
    }
    struct cel_gather g = {0};
    begin(client->backend, &g, ctx);
    while (g.left > 0) {
        if (!cel_client_pass(client, deadline)) {
            drop_backend(client, &g);
            break;
        }
    }
    if (g.err.status < 0) {
        return cel_error_set(err, g.err.status, "%s", g.err.message);
    }
    if (ret_sum) {
        *ret_sum = g.sum;
    }
    return CELERY_OK;
}

/* ---- states ---- */

struct ids {
    struct cel_slice *items;
    size_t n, cap;
    bool failed;
};

static void add_id(celery_result *r, void *ctx)
{
    struct ids *ids = ctx;
    if (r->ready || ids->failed) {
        return;
    }
    if (ids->n == ids->cap) {
        size_t cap = ids->cap ? ids->cap * 2 : 16;
        struct cel_slice *more = cel_realloc(ids->items, cap, sizeof *more);
        if (!more) {
            ids->failed = true;
            return;
        }
        ids->items = more;
        ids->cap = cap;
    }
    ids->items[ids->n++] = cel_slice_of(r->id);
}

static void begin_load(struct cel_backend *b, struct cel_gather *g, void *ctx)
{
    struct ids *ids = ctx;
    b->ops->load(b, ids->items, ids->n, cel_gather_one(g));
}

/* Reads what is not known to have ended. */
static celery_status refresh(celery_result *r, celery_error *err)
{
    struct ids ids = {0};
    celery_status status = CELERY_OK;
    if (r->ready) {
        return CELERY_OK;
    }
    if (!cel_result_can_ask(r, err)) {
        return r->client ? CELERY_ECONFIG : CELERY_ECLOSED;
    }
    cel_result_each_task(r, add_id, &ids);
    if (ids.failed) {
        status = cel_error_nomem(err);
    } else if (ids.n > 0) {
        status = cel_client_ask(r->client, begin_load, &ids, NULL, err);
    }
    cel_free(ids.items);
    return status;
}

const char *celery_result_state(celery_result *result, celery_error *err)
{
    if (!result || refresh(result, err) < 0) {
        return NULL;
    }
    if (!result->group) {
        return result->state;
    }
    return result->failed ? "FAILURE" : result->ready ? "SUCCESS" : "PENDING";
}

static void count(const celery_result *r, celery_result_counts *c)
{
    bool failed = r->group ? r->failed != NULL : cel_result_propagates(r);
    c->total++;
    c->ready += r->ready;
    c->waiting += !r->ready;
    c->failed += failed;
    c->succeeded += r->ready && !failed;
}

celery_status celery_result_count(celery_result *result, celery_result_counts *ret,
                                  celery_error *err)
{
    *ret = (celery_result_counts){0};
    if (!result) {
        return CELERY_EINVAL;
    }
    celery_status status = refresh(result, err);
    if (status < 0) {
        return status;
    }
    if (!result->group) {
        count(result, ret);
    }
    for (size_t i = 0; result->group && i < result->n_children; i++) {
        count(result->children[i], ret);
    }
    return CELERY_OK;
}

/* ---- forgetting ---- */

struct forgetting {
    struct cel_backend *b;
    struct cel_gather *g;
};

static void forget_one(celery_result *r, void *ctx)
{
    struct forgetting *f = ctx;
    f->b->ops->forget(f->b, cel_slice_of(r->id), cel_gather_one(f->g));
}

/* AsyncResult.forget(): the parents too. */
static void begin_forget(struct cel_backend *b, struct cel_gather *g, void *ctx)
{
    struct forgetting f = {b, g};
    for (celery_result *r = ctx; r; r = celery_result_parent(r)) {
        cel_result_each_task(r, forget_one, &f);
    }
}

static void forgotten(celery_result *r, void *ctx)
{
    cel_result_unwatch(r);
    cel_result_clear(r);
}

celery_status celery_result_forget(celery_result *result, celery_error *err)
{
    if (!result) {
        return CELERY_EINVAL;
    }
    if (!cel_result_can_ask(result, err)) {
        return result->client ? CELERY_ECONFIG : CELERY_ECLOSED;
    }
    celery_status status =
        cel_client_ask(result->client, begin_forget, result, NULL, err);
    for (celery_result *r = result; status == CELERY_OK && r; r = r->parent) {
        cel_result_each_task(r, forgotten, NULL);
    }
    return status;
}
