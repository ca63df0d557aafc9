/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/dead.h"
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "message/task.h"
#include "transport/redis_args.h"
#include "transport/redis_dead.h"
#include "transport/redis_options.h"

/* Entries of one look; the largest value Redis can hold. */
enum { AT_ONCE = 20 };
#define LARGEST ((size_t)512 << 20)

/*
 * KEYS: dead-letter list, queue key or none.  ARGV: the entry, the message.  An entry is named by
 * its bytes, because places move while others park.
 */
static const char replay[] = "if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 0 then\n"
                             "  return 0\n"
                             "end\n"
                             "if KEYS[2] then redis.call('LPUSH', KEYS[2], ARGV[2]) end\n"
                             "return 1\n";

struct cel_dead {
    struct cel_loop *loop;
    struct cel_redis *redis;
    struct cel_redis_settings set;
    struct cel_redis_keys keys;
    struct cel_redis_args args;
    struct cel_redis_script replay;
    bool opened;
    celery_error failure; /* of the connection */
};

/* A question and what is done with its answer. */
struct question {
    struct cel_dead *d;
    bool answered;
    celery_error err;
    celery_status (*fn)(void *ctx, const struct cel_resp *reply, celery_error *err);
    void *ctx;
};

static void on_opened(void *ctx)
{
    struct cel_dead *d = ctx;

    d->opened = true;
}

static void on_closed(void *ctx, const celery_error *why)
{
    struct cel_dead *d = ctx;

    d->failure = *why;
    d->redis = cel_redis_free(d->redis);
}

static celery_status open_one(struct cel_dead *d, struct cel_url *const *urls, size_t n,
                              celery_error *err)
{
    static const struct cel_redis_events events = {.opened = on_opened,
                                                   .closed = on_closed};
    celery_status status;

    d->failure = (celery_error){0};
    status = cel_redis_open(d->loop, urls, n, &d->set.net, &events, d, &d->redis, err);
    while (status == 0 && !d->opened && d->redis) {
        status = cel_loop_pass(d->loop, -1);
    }
    if (status == 0 && !d->opened) {
        status = cel_error_set(err, d->failure.status, "%s", d->failure.message);
    }
    return status;
}

static celery_status open_any(struct cel_dead *d, struct cel_url *const *urls, size_t n,
                              celery_error *err)
{
    celery_status status = CELERY_ECONNECT;

    if (strcmp(urls[0]->scheme, "sentinel") == 0) {
        return open_one(d, urls, n, err);
    }
    for (size_t i = 0; i < n && status < 0; i++) {
        status = open_one(d, urls + i, 1, err);
    }
    return status;
}

static bool is_redis(const char *scheme)
{
    return strcmp(scheme, "redis") == 0 || strcmp(scheme, "rediss") == 0 ||
           strcmp(scheme, "redis+socket") == 0 || strcmp(scheme, "sentinel") == 0;
}

celery_status cel_dead_open(struct cel_url *const *urls, size_t n,
                            const struct cel_node *options, struct cel_dead **ret_dead,
                            celery_error *err)
{
    struct cel_dead *d;
    celery_status status;

    if (n == 0 || !is_redis(urls[0]->scheme)) {
        return cel_error_set(err, CELERY_ENOTSUP,
                             "only a Redis broker has dead-letter lists of this library");
    }
    d = cel_calloc(1, sizeof *d);
    if (!d) {
        return cel_error_nomem(err);
    }
    d->replay.text = replay;
    status = cel_redis_options_read(options, cel_redis_url_db(urls[0]), &d->set, &d->keys,
                                    err);
    d->set.net.max_reply = LARGEST;
    if (status == 0) {
        status = cel_loop_new(&d->loop, err);
    }
    for (size_t i = 0; i < n && status == 0; i++) {
        status = cel_redis_check_url(urls[i], &d->set.net, err);
    }
    if (status == 0) {
        status = open_any(d, urls, n, err);
    }
    if (status < 0) {
        cel_dead_close(d);
        return status;
    }
    *ret_dead = d;
    return CELERY_OK;
}

struct cel_dead *cel_dead_close(struct cel_dead *d)
{
    if (d) {
        cel_redis_free(d->redis);
        cel_loop_free(d->loop);
        cel_redis_args_fini(&d->args);
        cel_redis_keys_fini(&d->keys);
        cel_redis_settings_fini(&d->set);
        cel_free(d);
    }
    return NULL;
}

/* ---- asking ---- */

static void on_answer(void *ctx, const struct cel_resp *reply, const celery_error *err)
{
    struct question *q = ctx;
    struct cel_slice text = cel_resp_text(reply);

    q->answered = true;
    if (err) {
        q->err = *err;
    } else if (cel_resp_kind(reply) == CEL_RESP_ERROR) {
        cel_error_set(&q->err, CELERY_EPROTO, "%.*s",
                      (int)(text.len < 200 ? text.len : 200), text.data);
    } else {
        q->fn(q->ctx, reply, &q->err);
    }
}

/* Sends the words (to the replay script, with that many keys, if any) and waits. */
static celery_status ask(struct cel_dead *d, size_t n_keys, struct question *q,
                         celery_error *err)
{
    celery_status status = d->redis && !d->args.failed ? CELERY_OK : CELERY_ECLOSED;

    q->d = d;
    if (status == 0 && n_keys > 0) {
        status = cel_redis_eval(d->redis, &d->replay, on_answer, q, n_keys, d->args.n,
                                d->args.words);
    } else if (status == 0) {
        status = cel_redis_command(d->redis, on_answer, q, d->args.n, d->args.words);
    }
    if (status < 0) {
        return cel_error_set(err, status, "%s", celery_status_text(status));
    }
    while (!q->answered) {
        cel_loop_pass(d->loop, -1);
    }
    if (q->err.status < 0 && err) {
        *err = q->err;
    }
    return q->err.status;
}

static void words(struct cel_dead *d, const char *command, const char *key)
{
    cel_redis_args_clear(&d->args);
    cel_redis_args_adds(&d->args, command);
    cel_redis_args_adds(&d->args, key);
}

static celery_status take_number(void *ctx, const struct cel_resp *reply,
                                 celery_error *err)
{
    *(int64_t *)ctx = cel_resp_int(reply);
    return CELERY_OK;
}

static celery_status length(struct cel_dead *d, const char *key, int64_t *ret,
                            celery_error *err)
{
    struct question q = {.fn = take_number, .ctx = ret};

    words(d, "LLEN", key);
    return ask(d, 0, &q, err);
}

/* ---- queues ---- */

struct scan {
    struct cel_buf cursor;
    struct cel_buf names; /* each with a NUL */
    struct cel_slice prefix;
};

static celery_status take_keys(void *ctx, const struct cel_resp *reply, celery_error *err)
{
    const struct cel_slice end = CEL_SLICE(".celery-c.dead");
    const struct cel_resp *keys = cel_resp_at(reply, 1);
    struct scan *s = ctx;

    cel_buf_clear(&s->cursor);
    cel_buf_add_slice(&s->cursor, cel_resp_text(cel_resp_at(reply, 0)));
    for (size_t i = 0; i < cel_resp_size(keys); i++) {
        struct cel_slice key = cel_resp_text(cel_resp_at(keys, i));

        if (cel_slice_ends(key, end) && cel_slice_starts(key, s->prefix) &&
            key.len >= s->prefix.len + end.len) {
            cel_buf_add(&s->names, key.data + s->prefix.len,
                        key.len - s->prefix.len - end.len);
            cel_buf_addc(&s->names, 0);
        }
    }
    if (!cel_buf_ok(&s->cursor) || !cel_buf_ok(&s->names)) {
        cel_error_nomem(err);
    }
    return CELERY_OK;
}

static celery_status show_queues(struct cel_dead *d, struct cel_slice names,
                                 void (*fn)(void *ctx, struct cel_slice queue, size_t n),
                                 void *ctx, celery_error *err)
{
    celery_status status = CELERY_OK;
    struct cel_slice name;

    while (status == 0 && names.len && cel_slice_split(&names, 0, &name)) {
        int64_t count = 0;
        char *key = cel_redis_dead_key(&d->keys, name);

        status = key ? length(d, key, &count, err) : cel_error_nomem(err);
        cel_free(key);
        if (status == 0 && count > 0) {
            fn(ctx, name, (size_t)count);
        }
    }
    return status;
}

celery_status cel_dead_queues(struct cel_dead *d,
                              void (*fn)(void *ctx, struct cel_slice queue, size_t count),
                              void *ctx, celery_error *err)
{
    struct scan s = {.prefix = cel_slice_of(d->keys.prefix)};
    celery_status status;

    cel_buf_adds(&s.cursor, "0");
    do {
        struct question q = {.fn = take_keys, .ctx = &s};
        struct cel_buf cursor = s.cursor;

        s.cursor = (struct cel_buf){0};
        words(d, "SCAN", cel_buf_cstr(&cursor));
        cel_redis_args_adds(&d->args, "MATCH");
        cel_redis_args_adds(&d->args, "*.celery-c.dead");
        cel_redis_args_adds(&d->args, "COUNT");
        cel_redis_args_adds(&d->args, "1000");
        status = ask(d, 0, &q, err);
        cel_buf_fini(&cursor);
    } while (status == 0 && !cel_slice_is(cel_buf_slice(&s.cursor), "0"));
    if (status == 0) {
        status = show_queues(d, cel_buf_slice(&s.names), fn, ctx, err);
    }
    cel_buf_fini(&s.cursor);
    cel_buf_fini(&s.names);
    return status;
}

/* ---- entries ---- */

struct listing {
    size_t index;
    size_t n; /* of this answer */
    void (*fn)(void *ctx, const struct cel_dead_entry *entry);
    void *ctx;
};

/* The id of the task, as far as headers or body tell. */
static void identify(struct cel_dead_entry *entry, struct cel_envelope *env)
{
    const struct cel_call_limits limits = {0};
    struct cel_task_call call;

    if (env) {
        cel_task_call_init(&call);
        cel_task_call_read(env, &limits, &call, NULL);
        entry->task_id = call.id;
        entry->task = call.task;
    }
}

static void show(const struct listing *l, size_t index, struct cel_slice text)
{
    struct cel_dead_entry entry = {.index = index};
    struct cel_envelope *env = NULL;
    struct cel_arena arena = {0};
    struct cel_redis_dead dead;

    cel_redis_dead_read(&arena, text, &dead);
    entry.time = dead.time;
    entry.reason = dead.reason;
    entry.raw = dead.raw;
    cel_envelope_read(dead.raw, &env, NULL);
    identify(&entry, env);
    l->fn(l->ctx, &entry);
    cel_envelope_free(env);
    cel_arena_fini(&arena);
}

static celery_status take_entries(void *ctx, const struct cel_resp *reply,
                                  celery_error *err)
{
    struct listing *l = ctx;

    l->n = cel_resp_size(reply);
    for (size_t i = 0; i < l->n; i++) {
        show(l, l->index + i, cel_resp_text(cel_resp_at(reply, i)));
    }
    return CELERY_OK;
}

celery_status cel_dead_list(struct cel_dead *d, const char *queue, size_t first,
                            size_t max,
                            void (*fn)(void *ctx, const struct cel_dead_entry *entry),
                            void *ctx, celery_error *err)
{
    char *key = cel_redis_dead_key(&d->keys, cel_slice_of(queue));
    struct listing l = {.index = first, .fn = fn, .ctx = ctx};
    celery_status status = key ? CELERY_OK : cel_error_nomem(err);
    size_t end = max ? first + max : SIZE_MAX;

    while (status == 0 && l.index < end) {
        struct question q = {.fn = take_entries, .ctx = &l};
        size_t n = end - l.index < AT_ONCE ? end - l.index : AT_ONCE;

        words(d, "LRANGE", key);
        cel_redis_args_add_int(&d->args, (int64_t)l.index);
        cel_redis_args_add_int(&d->args, (int64_t)(l.index + n - 1));
        status = ask(d, 0, &q, err);
        l.index += l.n;
        if (l.n < n) {
            break;
        }
    }
    cel_free(key);
    return status;
}

/* ---- putting back and removing ---- */

static celery_status take_text(void *ctx, const struct cel_resp *reply, celery_error *err)
{
    struct cel_slice text = cel_resp_text(reply);

    if (cel_resp_kind(reply) != CEL_RESP_STRING) {
        return CELERY_OK; /* no such entry */
    }
    if (cel_buf_add(ctx, text.data ? text.data : "", text.len) < 0) {
        cel_error_nomem(err);
    }
    return CELERY_OK;
}

/* The key a message goes back to: its priority is in it, if it is a message at all. */
static char *home_key(struct cel_dead *d, const char *queue, struct cel_slice raw)
{
    struct cel_envelope *env = NULL;
    size_t step = 0;
    char *key;

    if (cel_envelope_read(raw, &env, NULL) == 0) {
        step = cel_redis_step(&d->keys, env->priority);
    }
    cel_envelope_free(env);
    key = cel_redis_queue_key(&d->keys, cel_slice_of(queue), step);
    return key;
}

/* Takes away the entry at an index, and puts its message back if asked. */
static celery_status take_one(struct cel_dead *d, const char *key, const char *queue,
                              int64_t index, bool back, celery_error *err)
{
    struct cel_buf text = {0};
    struct question q = {.fn = take_text, .ctx = &text};
    struct cel_arena arena = {0};
    struct cel_redis_dead dead;
    celery_status status;
    int64_t moved = 0;
    char *home = NULL;

    words(d, "LINDEX", key);
    cel_redis_args_add_int(&d->args, index);
    status = ask(d, 0, &q, err);
    if (status == 0 && text.len == 0) {
        status = CELERY_NONE;
    }
    if (status == 0) {
        q = (struct question){.fn = take_number, .ctx = &moved};
        cel_redis_dead_read(&arena, cel_buf_slice(&text), &dead);
        cel_redis_args_clear(&d->args);
        cel_redis_args_adds(&d->args, key);
        if (back) {
            home = home_key(d, queue, dead.raw);
            cel_redis_args_adds(&d->args, home);
        }
        cel_redis_args_add(&d->args, cel_buf_slice(&text));
        cel_redis_args_add(&d->args, dead.raw);
        status = back && !home ? cel_error_nomem(err) : ask(d, back ? 2 : 1, &q, err);
        if (status == 0 && moved == 0) {
            status = CELERY_NONE;
        }
    }
    cel_free(home);
    cel_arena_fini(&arena);
    cel_buf_fini(&text);
    return status;
}

static celery_status take_many(struct cel_dead *d, const char *queue, int64_t index,
                               bool back, size_t *ret_n, celery_error *err)
{
    char *key = cel_redis_dead_key(&d->keys, cel_slice_of(queue));
    celery_status status = key ? CELERY_OK : cel_error_nomem(err);
    int64_t left = 1;

    *ret_n = 0;
    if (status == 0 && index == CEL_DEAD_ALL) {
        status = length(d, key, &left, err); /* not those that are parked meanwhile */
    }
    for (; status == 0 && left > 0; left--) {
        status = take_one(d, key, queue, index, back, err);
        *ret_n += status == 0;
    }
    cel_free(key);
    return status == CELERY_NONE && *ret_n > 0 ? CELERY_OK : status;
}

celery_status cel_dead_replay(struct cel_dead *d, const char *queue, int64_t index,
                              size_t *ret_n, celery_error *err)
{
    return take_many(d, queue, index, true, ret_n, err);
}

celery_status cel_dead_purge(struct cel_dead *d, const char *queue, int64_t index,
                             size_t *ret_n, celery_error *err)
{
    return take_many(d, queue, index, false, ret_n, err);
}
