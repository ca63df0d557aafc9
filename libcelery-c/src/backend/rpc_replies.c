/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replies: the latest state of each task is kept in memory until it is forgotten, below a
 * ceiling.  What somebody has got already has a ceiling of its own, a low one.
 */
#include "backend/rpc.h"
#include "base/alloc.h"
#include "base/error.h"
#include "message/task_fields.h"

/* Some 400,000 small results nobody has asked for yet, and some 25,000 that were got. */
#define FRESH_MAX ((size_t)256 << 20)
#define TAKEN_MAX ((size_t)16 << 20)

/* What a task costs beside its reply: its place in the map, and what malloc adds. */
enum { OVERHEAD = 128 };

/* A task that has a reply, or that somebody watches. */
struct cel_rpc_task {
    struct cel_list node;  /* in fresh or taken; in none without a reply */
    struct cel_list watch; /* in watches, while somebody watches */
    struct cel_list due;
    bool succeeded; /* nothing overwrites it */
    bool taken;
    char *reply; /* NULL: none yet.  As it came: content type, compression, body */
    size_t type_len, compression_len, body_len;
    size_t id_len;
    char id[];
};

/* ---- tasks ---- */

static struct cel_slice id_of(const struct cel_rpc_task *t)
{
    return cel_slice(t->id, t->id_len);
}

static struct cel_rpc_task *find(const struct cel_rpc *b, struct cel_slice id)
{
    return cel_map_get(&b->replies.tasks, id);
}

static struct cel_rpc_task *find_or_make(struct cel_rpc *b, struct cel_slice id)
{
    struct cel_rpc_task *t = find(b, id);

    if (t || id.len == 0) {
        return t;
    }
    t = cel_calloc(1, sizeof *t + id.len);
    if (!t) {
        return NULL;
    }
    cel_list_init(&t->node);
    cel_list_init(&t->watch);
    cel_list_init(&t->due);
    t->id_len = id.len;
    memcpy(t->id, id.data, id.len);
    if (cel_map_set(&b->replies.tasks, id, t, NULL) < 0) {
        cel_free(t);
        return NULL;
    }
    return t;
}

static size_t cost(const struct cel_rpc_task *t)
{
    return sizeof *t + t->id_len + t->type_len + t->compression_len + t->body_len +
           OVERHEAD;
}

static bool is_watched(const struct cel_rpc_task *t)
{
    return !cel_list_empty(&t->watch);
}

static void drop_reply(struct cel_rpc *b, struct cel_rpc_task *t)
{
    if (t->reply) {
        *(t->taken ? &b->replies.taken_bytes : &b->replies.fresh_bytes) -= cost(t);
        cel_list_remove(&t->node);
        cel_free(t->reply);
        t->reply = NULL;
        t->taken = t->succeeded = false;
    }
}

/* Frees what is about nothing any more. */
static void tidy(struct cel_rpc *b, struct cel_rpc_task *t)
{
    if (!t->reply && !is_watched(t)) {
        cel_list_remove(&t->due);
        cel_map_del(&b->replies.tasks, id_of(t));
        cel_free(t);
    }
}

/* ---- what came ---- */

static void drop_oldest(struct cel_rpc *b, struct cel_list *list, const size_t *bytes,
                        size_t max)
{
    struct cel_list *first;

    while (*bytes > max && (first = cel_list_first(list)) != NULL) {
        struct cel_rpc_task *t = cel_container_of(first, struct cel_rpc_task, node);

        drop_reply(b, t);
        tidy(b, t);
    }
}

/* Puts a reply into the list it belongs to.  It, or others, may be gone then. */
static void file(struct cel_rpc *b, struct cel_rpc_task *t, bool taken)
{
    struct cel_rpc_replies *r = &b->replies;

    t->taken = taken;
    if (taken) {
        r->taken_bytes += cost(t);
        cel_list_append(&r->taken, &t->node);
        drop_oldest(b, &r->taken, &r->taken_bytes, r->taken_max);
    } else {
        r->fresh_bytes += cost(t);
        cel_list_append(&r->fresh, &t->node);
        drop_oldest(b, &r->fresh, &r->fresh_bytes, r->fresh_max);
    }
}

static void take(struct cel_rpc *b, struct cel_rpc_task *t)
{
    if (!t->taken) {
        b->replies.fresh_bytes -= cost(t);
        cel_list_remove(&t->node);
        file(b, t, true);
    }
}

static char *append(char *at, struct cel_slice text)
{
    if (text.len > 0) {
        memcpy(at, text.data, text.len);
    }
    return at + text.len;
}

static struct cel_slice compression_of(const struct cel_envelope *env)
{
    const struct cel_node *n = cel_envelope_header(env, CEL_SLICE("compression"));

    return cel_node_is_string(n) ? cel_node_text(n) : CEL_SLICE_NULL;
}

/* Without memory for it a reply is lost, as it is when nobody consumes. */
static bool set_reply(struct cel_rpc_task *t, const struct cel_envelope *env)
{
    struct cel_slice compression = compression_of(env);

    t->reply = cel_alloc(env->content_type.len + compression.len + env->body.len + 1);
    if (!t->reply) {
        return false;
    }
    t->type_len = env->content_type.len;
    t->compression_len = compression.len;
    t->body_len = env->body.len;
    append(append(append(t->reply, env->content_type), compression), env->body);
    return true;
}

static celery_status decode(const struct cel_rpc *b, struct cel_arena *a,
                            struct cel_slice type, struct cel_slice compression,
                            struct cel_slice body, struct cel_node **ret_doc,
                            celery_error *err)
{
    celery_error why = {0};

    *ret_doc = NULL;
    if (cel_task_decode(a, body, type, compression, &b->limits, ret_doc, &why) !=
        CEL_CALL_OK) {
        *ret_doc = NULL;
        return cel_error_set(err, why.status < 0 ? why.status : CELERY_ENOMEM,
                             "result backend: %s", why.message);
    }
    if (cel_meta_status(*ret_doc).len == 0) {
        *ret_doc = NULL;
        return cel_error_set(err, CELERY_EMESSAGE,
                             "result backend: a reply that is no result document");
    }
    return CELERY_OK;
}

static celery_status decode_reply(const struct cel_rpc *b, const struct cel_rpc_task *t,
                                  struct cel_arena *a, struct cel_node **ret_doc,
                                  celery_error *err)
{
    size_t len = t->type_len + t->compression_len + t->body_len;
    const char *type = cel_arena_strndup(a, t->reply, len);

    if (!type) {
        return cel_error_nomem(err);
    }
    const char *compression = type + t->type_len;
    return decode(b, a, cel_slice(type, t->type_len),
                  cel_slice(compression, t->compression_len),
                  cel_slice(compression + t->compression_len, t->body_len), ret_doc, err);
}

/* correlation_id says which task it is of, as RPCBackend._get_message_task_id() has it. */
static struct cel_slice task_of(const struct cel_envelope *env,
                                const struct cel_node *doc)
{
    const struct cel_node *id = cel_node_get(doc, CEL_SLICE("task_id"));

    if (env->correlation_id.len > 0) {
        return env->correlation_id;
    }
    return cel_node_is_string(id) ? cel_node_text(id) : CEL_SLICE_NULL;
}

/* What cannot be read is kept all the same: load() says what is wrong with it. */
void cel_rpc_replied(struct cel_rpc *b, struct cel_envelope *give_envelope)
{
    struct cel_envelope *env = give_envelope;
    struct cel_node *doc = NULL;

    (void)decode(b, &env->arena, env->content_type, compression_of(env), env->body, &doc,
                 NULL);
    struct cel_slice status = cel_meta_status(doc);
    struct cel_slice id = task_of(env, doc);
    struct cel_rpc_task *t = find_or_make(b, id);
    if (!t || t->succeeded) {
        cel_envelope_free(env);
        return;
    }
    bool report = is_watched(t) && doc;
    drop_reply(b, t);
    if (set_reply(t, env)) {
        t->succeeded = cel_slice_is(status, "SUCCESS");
        file(b, t, report && cel_state_is_ready(status));
    } else {
        tidy(b, t);
    }
    if (report) {
        b->base.events->meta(b->base.events_ctx, id, doc);
    }
    cel_envelope_free(env);
}

/* ---- who asks ---- */

/*
 * Tells what is known of a task; t NULL, or without a reply: nothing.  Whoever is told may
 * forget it, so the document is read from a copy.
 */
static celery_status report(struct cel_rpc *b, struct cel_slice id,
                            struct cel_rpc_task *t, int64_t *found, celery_error *err)
{
    struct cel_arena a = {0};
    struct cel_node *doc = NULL;
    celery_status status = CELERY_OK;

    if (t && t->reply) {
        status = decode_reply(b, t, &a, &doc, err);
        if (status == CELERY_OK && cel_state_is_ready(cel_meta_status(doc))) {
            take(b, t);
        }
    }
    if (status == CELERY_OK) {
        *found += doc != NULL;
        b->base.events->meta(b->base.events_ctx, id, doc);
    }
    cel_arena_fini(&a);
    return status;
}

void cel_rpc_load(struct cel_backend *base, const struct cel_slice *task_ids, size_t n,
                  struct cel_done done)
{
    struct cel_rpc *b = cel_rpc(base);
    celery_error err = {0};
    celery_error why = {0};
    int64_t found = 0;

    if (b->state != CEL_RPC_OPEN) {
        cel_rpc_refuse(done, CELERY_ECLOSED, "not connected");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (report(b, task_ids[i], find(b, task_ids[i]), &found, &err) < 0) {
            why = err;
        }
    }
    cel_done(done, why.status < 0 ? &why : NULL, found);
}

static void run_due(void *ctx)
{
    struct cel_rpc *b = ctx;
    struct cel_list due;
    struct cel_list *first;
    int64_t found = 0;

    cel_list_init(&due);
    while ((first = cel_list_first(&b->replies.due)) != NULL) {
        cel_list_remove(first);
        cel_list_append(&due, first);
    }
    while ((first = cel_list_first(&due)) != NULL) {
        struct cel_rpc_task *t = cel_container_of(first, struct cel_rpc_task, due);
        char *id = cel_strndup(t->id, t->id_len);

        cel_list_remove(first);
        if (id) {
            report(b, cel_slice(id, t->id_len), t, &found, NULL);
        }
        cel_free(id);
    }
}

celery_status cel_rpc_watch(struct cel_backend *base, struct cel_slice task_id)
{
    struct cel_rpc *b = cel_rpc(base);

    if (b->state != CEL_RPC_OPEN) {
        return CELERY_ECLOSED;
    }
    struct cel_rpc_task *t = find_or_make(b, task_id);
    if (!t) {
        return CELERY_ENOMEM;
    }
    if (!is_watched(t)) {
        cel_list_append(&b->replies.watches, &t->watch);
    }
    if (cel_list_empty(&t->due)) {
        cel_list_append(&b->replies.due, &t->due);
    }
    cel_source_schedule(b->replies.due_hook);
    return CELERY_OK;
}

static void unwatch(struct cel_rpc *b, struct cel_rpc_task *t)
{
    cel_list_remove(&t->watch);
    cel_list_remove(&t->due);
    tidy(b, t);
}

void cel_rpc_unwatch(struct cel_backend *base, struct cel_slice task_id)
{
    struct cel_rpc *b = cel_rpc(base);
    struct cel_rpc_task *t = find(b, task_id);

    if (t) {
        unwatch(b, t);
    }
}

void cel_rpc_forget(struct cel_backend *base, struct cel_slice task_id,
                    struct cel_done done)
{
    struct cel_rpc *b = cel_rpc(base);
    struct cel_rpc_task *t = find(b, task_id);
    bool there = t && t->reply;

    if (b->state != CEL_RPC_OPEN) {
        cel_rpc_refuse(done, CELERY_ECLOSED, "not connected");
        return;
    }
    if (there) {
        drop_reply(b, t);
        tidy(b, t);
    }
    cel_done(done, NULL, there);
}

/* ---- life ---- */

void cel_rpc_unwatch_all(struct cel_rpc *b)
{
    struct cel_rpc_replies *r = &b->replies;
    struct cel_list *first;

    while ((first = cel_list_first(&r->watches)) != NULL) {
        unwatch(b, cel_container_of(first, struct cel_rpc_task, watch));
    }
}

celery_status cel_rpc_replies_init(struct cel_rpc *b)
{
    struct cel_rpc_replies *r = &b->replies;

    cel_list_init(&r->fresh);
    cel_list_init(&r->taken);
    cel_list_init(&r->watches);
    cel_list_init(&r->due);
    r->fresh_max = FRESH_MAX;
    r->taken_max = TAKEN_MAX;
    return cel_loop_add_hook(b->base.loop, &r->due_hook, run_due, b);
}

void cel_rpc_replies_fini(struct cel_rpc *b)
{
    struct cel_rpc_replies *r = &b->replies;
    size_t at = 0;
    void *task;

    r->due_hook = cel_source_free(r->due_hook);
    while (cel_map_next(&r->tasks, &at, NULL, &task)) {
        cel_free(((struct cel_rpc_task *)task)->reply);
        cel_free(task);
    }
    cel_map_fini(&r->tasks);
}
