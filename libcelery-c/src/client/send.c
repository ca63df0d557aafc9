/* SPDX-License-Identifier: BSD-3-Clause */
/* celery/canvas.py apply_async: a signature becomes messages, and the caller waits for them. */
#include "client/send.h"
#include "base/error.h"
#include "client/result.h"
#include "client/sig.h"

/* Bytes that may wait in the outbox before a sender has to. */
enum { BACKLOG_MAX = 8 << 20 };

static bool is_ignored(const celery_client *client, const struct cel_sig *tree)
{
    const struct cel_node *own = cel_sig_option(tree, "ignore_result");
    const struct cel_task_def *def =
        client->app ? cel_app_find_task(client->app, cel_sig_task_name(tree)) : NULL;
    return cel_sig_type(tree).len == 0 &&
           cel_node_bool(own, def && def->ignore_result == CEL_YES);
}

static void fill_canvas(struct cel_canvas *c, const celery_client *client)
{
    const struct cel_backend *b = client->backend;
    *c = (struct cel_canvas){
        .app = client->app,
        .config = client->config,
        .router = client->router,
        .reply_to = cel_slice_of(client->reply_to),
        /* Without a backend a chord is refused by the outbox. */
        .backend_counts = !b || b->ops->flags & CEL_BACKEND_COUNTS,
        .no_chords = b ? b->ops->no_chords : NULL,
    };
}

celery_status cel_sending_init(struct cel_sending *ret, celery_client *client,
                               const celery_sig *sig, celery_error *err)
{
    const struct cel_sig *tree = cel_sig_tree(sig, err);
    struct cel_canvas canvas;

    *ret = (struct cel_sending){.client = client};
    if (!tree) {
        return sig->failed.status;
    }
    fill_canvas(&canvas, client);
    ret->ignored = is_ignored(client, tree);
    celery_status status = cel_sig_apply(&canvas, &ret->arena, tree, NULL, NULL, NULL,
                                         &ret->effects, &ret->tuple, err);
    if (status < 0) {
        cel_sending_fini(ret);
    }
    return status;
}

struct cel_slice cel_sending_id(const struct cel_sending *s)
{
    const struct cel_node *head = cel_node_first(s->tuple);
    return cel_node_text(cel_node_first(head));
}

/* What is made of a tuple later needs a copy that lives as long. */
static bool is_plain(const struct cel_node *tuple)
{
    const struct cel_node *head = cel_node_first(tuple);
    const struct cel_node *id = cel_node_first(head);
    return id && cel_node_is_null(id->next) && cel_node_is_null(head->next);
}

celery_result *cel_result_of_tuple(celery_client *client, const struct cel_node *tuple,
                                   celery_error *err)
{
    struct cel_arena tree = {0};
    celery_result *r = NULL;
    if (!is_plain(tuple)) {
        tuple = cel_node_copy(&tree, tuple);
    }
    if (tuple) {
        r = cel_result_from_tuple(client, tuple, err);
    } else {
        cel_error_nomem(err);
    }
    if (r) {
        r->tree = tree;
    } else {
        cel_arena_fini(&tree);
    }
    return r;
}

celery_result *cel_sending_result(const struct cel_sending *s, celery_error *err)
{
    celery_result *r = cel_result_of_tuple(s->client, s->tuple, err);
    if (r) {
        r->ignored = s->ignored;
    }
    return r;
}

void cel_sending_fini(struct cel_sending *s)
{
    cel_effects_fini(&s->effects);
    cel_arena_fini(&s->arena);
}

celery_result *celery_sig_freeze(celery_client *client, celery_sig *sig,
                                 celery_error *err)
{
    if (!client || !sig || !cel_sig_tree(sig, err)) {
        return NULL;
    }
    struct cel_canvas canvas;
    struct cel_node *tuple = NULL;
    fill_canvas(&canvas, client);
    if (cel_sig_freeze(&canvas, &sig->arena, sig->tree, &tuple, err) < 0) {
        return NULL;
    }
    return cel_result_of_tuple(client, tuple, err);
}

celery_status cel_send_make_room(celery_client *client, celery_error *err)
{
    while (client->outbox.bytes > BACKLOG_MAX) {
        if (!cel_client_pass(client, 1e300)) {
            return cel_error_set(err, CELERY_EINVAL,
                                 "too much to send from inside a callback");
        }
    }
    return CELERY_OK;
}

/* Waits for the batch, which is over when w is done. */
static celery_status wait_sent(celery_client *client, struct cel_batch *batch,
                               struct cel_waiting *w, celery_error *err)
{
    while (!w->done) {
        if (!cel_client_pass(client, 1e300) && !w->done) {
            cel_batch_abandon(batch);
            return cel_error_set(err, CELERY_EINVAL,
                                 "a callback of the client cannot wait: use "
                                 "celery_send_async()");
        }
    }
    if (w->err.status < 0) {
        return cel_error_set(err, w->err.status, "%s", w->err.message);
    }
    return CELERY_OK;
}

celery_status cel_send_effects(celery_client *client, struct cel_effects *give_effects,
                               celery_error *err)
{
    struct cel_waiting w = {0};
    celery_error why = {0};
    struct cel_batch *batch = cel_outbox_add(
        &client->outbox, give_effects, (struct cel_done){cel_waiting_done, &w}, &why);
    if (!batch) {
        return cel_error_set(err, why.status, "%s", why.message);
    }
    return wait_sent(client, batch, &w, err);
}

celery_result *celery_send_sig(celery_client *client, const celery_sig *sig,
                               celery_error *err)
{
    if (!client || !sig) {
        return NULL;
    }
    struct cel_sending sending;
    if (cel_sending_init(&sending, client, sig, err) < 0) {
        return NULL;
    }
    /* Before sending: afterwards there must be nothing left that can fail. */
    celery_result *result = cel_sending_result(&sending, err);
    celery_status status =
        result ? cel_send_effects(client, &sending.effects, err) : CELERY_OK;
    if (status < 0) {
        cel_error_prefix(err, status, "%s: ", celery_sig_task(sig));
        celery_result_free(result);
        result = NULL;
    }
    cel_sending_fini(&sending);
    return result;
}

celery_result *celery_send(celery_client *client, const char *task, celery_error *err,
                           const char *fmt, ...)
{
    /* Without a client too: values given by "o" are taken. */
    celery_error nowhere = {0};
    va_list args_list;
    va_start(args_list, fmt);
    celery_sig *sig = cel_sig_newv(task, client ? err : &nowhere, fmt, args_list);
    va_end(args_list);
    celery_result *result = celery_send_sig(client, sig, err);
    celery_sig_free(sig);
    return result;
}
