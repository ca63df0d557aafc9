/* SPDX-License-Identifier: BSD-3-Clause */
/* Listing, replaying and purging dead letters. */
#include "client/dead.h"
#include "base/alloc.h"
#include "base/error.h"
#include "client/client.h"

/*
 * KEYS: list.  ARGV: first and last place counted from the oldest (0), downwards; bytes of a
 * page, of an entry, of a cut entry.  Answers {length of the list, size, SHA-1 and text of
 * each}.
 */
static const char list_text[] =
    "local out, bytes = {redis.call('LLEN', KEYS[1])}, 0\n"
    "for i = tonumber(ARGV[1]), tonumber(ARGV[2]), -1 do\n"
    "  local entry = redis.call('LINDEX', KEYS[1], -1 - i)\n"
    "  if not entry or (#out > 1 and bytes + #entry > tonumber(ARGV[3])) then break end\n"
    "  out[#out + 1] = #entry\n"
    "  out[#out + 1] = redis.sha1hex(entry)\n"
    "  if #entry > tonumber(ARGV[4]) then entry = string.sub(entry, 1, ARGV[5]) end\n"
    "  bytes = bytes + #entry\n"
    "  out[#out + 1] = entry\n"
    "end\n"
    "return out\n";

/*
 * KEYS: list and, to replay, the queue's.  ARGV: SHA-1 of the entry, its place, bytes before
 * the message.  The push comes first, because a script that fails is not undone: a full Redis
 * refuses it while the entry is still there.  The newest of equal entries is as good as any.
 */
static const char take_text[] =
    "local list = KEYS[1]\n"
    "local function at(i)\n"
    "  local entry = redis.call('LINDEX', list, i)\n"
    "  return entry and redis.sha1hex(entry) == ARGV[1] and entry\n"
    "end\n"
    "local entry = at(-1 - tonumber(ARGV[2]))\n"
    "for i = 0, redis.call('LLEN', list) - 1 do\n"
    "  if entry then break end\n"
    "  entry = at(i)\n"
    "end\n"
    "if not entry then return 0 end\n"
    "if KEYS[2] then\n"
    "  redis.call('RPUSH', KEYS[2], string.sub(entry, 1 + tonumber(ARGV[3])))\n"
    "end\n"
    "redis.call('LREM', list, 1, entry)\n"
    "return 1\n";

/* KEYS: list.  Answers how many there were. */
static const char purge_text[] = "local n = redis.call('LLEN', KEYS[1])\n"
                                 "redis.call('DEL', KEYS[1])\n"
                                 "return n\n";

static celery_status keep_int(void *ctx, const struct cel_resp *reply)
{
    *(int64_t *)ctx = cel_resp_int(reply);
    return CELERY_OK;
}

static struct cel_slice number(char text[24], size_t n)
{
    struct cel_buf b = {0};
    size_t len;

    cel_buf_add_int(&b, (int64_t)n);
    len = b.len < 23 ? b.len : 23;
    memcpy(text, cel_buf_cstr(&b), len);
    cel_buf_fini(&b);
    return cel_slice(text, len);
}

/* ---- life ---- */

celery_dead *celery_dead_open(celery_app *app, celery_error *err)
{
    celery_dead *d;

    if (!app || cel_client_ready(app, err) < 0) {
        return NULL;
    }
    d = cel_calloc(1, sizeof *d);
    if (!d) {
        cel_error_nomem(err);
        return NULL;
    }
    d->app = app;
    celery_status status = cel_dead_held_is(app) ? cel_dead_held_open(app, &d->held, err)
                                                 : cel_dead_link_open(d, err);
    if (status < 0) {
        celery_dead_close(d);
        return NULL;
    }
    return d;
}

void celery_dead_close(celery_dead *dead)
{
    if (dead) {
        cel_dead_held_close(dead->held);
        cel_dead_link_close(dead);
        cel_arena_fini(&dead->found.arena);
        cel_free(dead);
    }
}

/* ---- counting ---- */

static celery_status count_key(celery_dead *d, struct cel_slice key, size_t *ret,
                               celery_error *err)
{
    struct cel_slice words[] = {CEL_SLICE("LLEN"), key};
    int64_t n = 0;
    celery_status status = cel_dead_call(d, NULL, 0, 2, words, keep_int, &n, err);

    *ret = status < 0 || n < 0 ? 0 : (size_t)n;
    return status;
}

/* A call about one list, by script or by LLEN. */
static celery_status list_call(celery_dead *d, const char *queue,
                               struct cel_redis_script *script, size_t *ret,
                               celery_error *err)
{
    char *key = cel_redis_dead_key(&d->keys, cel_slice_of(queue));
    struct cel_slice words[] = {cel_slice_of(key)};
    celery_status status;
    int64_t n = 0;

    if (!key) {
        return cel_error_nomem(err);
    }
    if (script) {
        status = cel_dead_call(d, script, 1, 1, words, keep_int, &n, err);
        *ret = status < 0 ? 0 : (size_t)n;
    } else {
        status = count_key(d, words[0], ret, err);
    }
    cel_free(key);
    return status;
}

celery_status celery_dead_count(celery_dead *dead, const char *queue, size_t *ret_count,
                                celery_error *err)
{
    if (dead && dead->held) {
        return cel_dead_held_count(dead->held, queue, ret_count, err);
    }
    return dead ? list_call(dead, queue, NULL, ret_count, err) : CELERY_EINVAL;
}

celery_status celery_dead_purge(celery_dead *dead, const char *queue, size_t *ret_count,
                                celery_error *err)
{
    struct cel_redis_script script = {.text = purge_text};
    size_t n = 0;
    celery_status status = CELERY_EINVAL;

    if (dead) {
        status = dead->held ? cel_dead_held_purge(dead->held, queue, &n, err)
                            : list_call(dead, queue, &script, &n, err);
    }

    if (ret_count) {
        *ret_count = n;
    }
    return status;
}

/* ---- reading ---- */

struct reading {
    celery_dead *d;
    struct cel_dead_page *page;
    const char *queue;
    size_t from;
    size_t length; /* of the list */
};

static celery_status keep_page(void *ctx, const struct cel_resp *reply)
{
    struct reading *r = ctx;
    struct cel_dead_page *p = r->page;
    const char *const *accept = cel_config_list(r->d->app->config, "accept_content");
    size_t n = cel_resp_size(reply);

    r->length = (size_t)cel_resp_int(cel_resp_at(reply, 0));
    for (size_t i = 1; i + 2 < n && p->n < CEL_DEAD_PAGE; i += 3) {
        struct cel_dead_record *record = &p->records[p->n];
        size_t size = (size_t)cel_resp_int(cel_resp_at(reply, i));
        struct cel_slice sha = cel_resp_text(cel_resp_at(reply, i + 1));
        struct cel_slice text = cel_resp_text(cel_resp_at(reply, i + 2));
        const char *sha_copy = cel_arena_strndup(&p->arena, sha.data, sha.len);
        const char *copy = cel_arena_strndup(&p->arena, text.data, text.len);

        if (!copy || !sha_copy || text.len > size ||
            cel_dead_record_read(&p->arena, cel_slice(copy, text.len), size, r->queue,
                                 accept, record) < 0) {
            return CELERY_ENOMEM;
        }
        record->sha = cel_slice(sha_copy, sha.len);
        record->entry.index = r->from - p->n;
        p->n++;
    }
    return CELERY_OK;
}

/* Reads a page of the entries at and below from (CEL_DEAD_PAGE at most, n at most). */
static celery_status read_page(celery_dead *d, struct cel_dead_page *page,
                               const char *queue, size_t from, size_t n,
                               size_t *ret_length, celery_error *err)
{
    struct cel_redis_script script = {.text = list_text};
    char *key = cel_redis_dead_key(&d->keys, cel_slice_of(queue));
    char numbers[5][24];
    struct reading r = {.d = d, .page = page, .from = from};
    celery_status status;

    cel_arena_reset(&page->arena);
    page->n = 0;
    r.queue = cel_arena_strndup(&page->arena, queue, strlen(queue));
    if (!key || !r.queue) {
        cel_free(key);
        return cel_error_nomem(err);
    }
    n = n < CEL_DEAD_PAGE ? n : CEL_DEAD_PAGE;
    struct cel_slice words[] = {
        cel_slice_of(key),
        number(numbers[0], from),
        number(numbers[1], from + 1 > n ? from + 1 - n : 0),
        number(numbers[2], CEL_DEAD_PAGE_BYTES),
        number(numbers[3], CEL_DEAD_ENTRY_BYTES),
        number(numbers[4], CEL_DEAD_CUT_BYTES),
    };
    status = cel_dead_call(d, &script, 1, 6, words, keep_page, &r, err);
    cel_free(key);
    if (ret_length) {
        *ret_length = r.length;
    }
    return status;
}

celery_status celery_dead_each(celery_dead *dead, const char *queue, celery_dead_fn fn,
                               void *ctx, celery_error *err)
{
    struct cel_dead_page *page;
    celery_status status;
    bool more = true;
    size_t left = 0;

    if (!dead) {
        return CELERY_EINVAL;
    }
    if (dead->held) {
        return cel_dead_held_each(dead->held, queue, fn, ctx, err);
    }
    status = celery_dead_count(dead, queue, &left, err);
    page = cel_calloc(1, sizeof *page);
    if (!page) {
        return cel_error_nomem(err);
    }
    /* Downwards: what fn removes and what is parked meanwhile moves nothing that is left. */
    while (status == CELERY_OK && more && left > 0) {
        status = read_page(dead, page, queue, left - 1, left, NULL, err);
        for (size_t i = 0; i < page->n && more && status == CELERY_OK; i++) {
            more = fn(ctx, &page->records[i].entry);
        }
        if (page->n == 0) {
            break;
        }
        left -= page->n;
    }
    cel_arena_fini(&page->arena);
    cel_free(page);
    return status;
}

celery_status celery_dead_at(celery_dead *dead, const char *queue, size_t index,
                             const celery_dead_entry **ret_entry, celery_error *err)
{
    celery_status status;
    size_t length = 0;

    if (!dead) {
        return CELERY_EINVAL;
    }
    if (dead->held) {
        return cel_dead_held_at(dead->held, queue, index, ret_entry, err);
    }
    status = read_page(dead, &dead->found, queue, index, 1, &length, err);
    if (status == CELERY_OK && dead->found.n == 0) {
        cel_error_set(err, CELERY_NONE, "no dead letter %zu: queue %.100s has %zu", index,
                      queue, length);
        return CELERY_NONE;
    }
    if (status == CELERY_OK) {
        *ret_entry = &dead->found.records[0].entry;
    }
    return status;
}

struct search {
    struct cel_slice id;
    size_t index;
    bool found;
};

static bool has_id(void *ctx, const celery_dead_entry *entry)
{
    struct search *s = ctx;
    const struct cel_dead_record *r = (const struct cel_dead_record *)entry;

    s->found = r->id.len > 0 && cel_slice_eq(r->id, s->id);
    s->index = entry->index;
    return !s->found;
}

celery_status celery_dead_find(celery_dead *dead, const char *queue, const char *task_id,
                               const celery_dead_entry **ret_entry, celery_error *err)
{
    struct search s = {.id = cel_slice_of(task_id)};

    if (dead && dead->held) {
        return cel_dead_held_find(dead->held, queue, task_id, ret_entry, err);
    }
    celery_status status = celery_dead_each(dead, queue, has_id, &s, err);

    if (status == CELERY_OK && s.found) {
        return celery_dead_at(dead, queue, s.index, ret_entry, err);
    }
    if (status == CELERY_OK) {
        cel_error_set(err, CELERY_NONE, "queue %.100s has no dead letter with that id",
                      queue);
        return CELERY_NONE;
    }
    return status;
}

/* ---- replaying and removing ---- */

static celery_status take(celery_dead *d, const celery_dead_entry *entry, bool replay,
                          celery_error *err)
{
    const struct cel_dead_record *r = (const struct cel_dead_record *)entry;
    struct cel_redis_script script = {.text = take_text};
    struct cel_slice queue = cel_slice_of(r->list);
    char *list = cel_redis_dead_key(&d->keys, queue);
    char *to =
        cel_redis_queue_key(&d->keys, queue, cel_redis_step(&d->keys, r->priority));
    struct cel_slice words[5];
    char numbers[2][24];
    celery_status status = CELERY_ENOMEM;
    int64_t taken = 0;
    size_t n = 0;

    if (!list || !to) {
        cel_error_nomem(err);
        goto out;
    }
    words[n++] = cel_slice_of(list);
    if (replay) {
        words[n++] = cel_slice_of(to);
    }
    words[n++] = r->sha;
    words[n++] = number(numbers[0], entry->index);
    words[n++] = number(numbers[1], r->head);
    status = cel_dead_call(d, &script, replay ? 2 : 1, n, words, keep_int, &taken, err);
    if (status == CELERY_OK && taken == 0) {
        cel_error_set(err, CELERY_NONE, "the dead letter is not there any more");
        status = CELERY_NONE;
    }
out:
    cel_free(list);
    cel_free(to);
    return status;
}

static celery_status take_any(celery_dead *d, const celery_dead_entry *entry, bool replay,
                              celery_error *err)
{
    return d->held ? cel_dead_held_take(d->held, entry, replay, err)
                   : take(d, entry, replay, err);
}

celery_status celery_dead_replay(celery_dead *dead, const celery_dead_entry *entry,
                                 celery_error *err)
{
    return dead && entry ? take_any(dead, entry, true, err) : CELERY_EINVAL;
}

celery_status celery_dead_remove(celery_dead *dead, const celery_dead_entry *entry,
                                 celery_error *err)
{
    return dead && entry ? take_any(dead, entry, false, err) : CELERY_EINVAL;
}

struct replaying {
    celery_dead *d;
    size_t n;
    celery_status status;
    celery_error *err;
};

static bool replay_next(void *ctx, const celery_dead_entry *entry)
{
    struct replaying *r = ctx;
    celery_error why = {0};
    celery_status status = celery_dead_replay(r->d, entry, &why);

    r->n += status == CELERY_OK;
    if (status < 0) {
        r->status = cel_error_set(r->err, status, "%s", why.message);
    }
    return status >= 0; /* CELERY_NONE: somebody else took it */
}

celery_status celery_dead_replay_all(celery_dead *dead, const char *queue,
                                     size_t *ret_count, celery_error *err)
{
    struct replaying r = {.d = dead, .err = err};
    celery_status status = dead && dead->held
                               ? cel_dead_held_replay_all(dead->held, queue, &r.n, err)
                               : celery_dead_each(dead, queue, replay_next, &r, err);

    if (ret_count) {
        *ret_count = r.n;
    }
    return status < 0 ? status : r.status;
}
