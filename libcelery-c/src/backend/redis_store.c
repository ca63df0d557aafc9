/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing results: one script call for all that a pass of the loop produced. */
#include "backend/redis.h"
#include "base/alloc.h"
#include "base/error.h"

enum { BATCH_RESULTS = 256, BATCH_BYTES = 4 << 20, BYTES_KEPT = 1 << 20 };

#define REDIS_STRING_MAX ((size_t)512 << 20)

/*
 * celery/backends/base.py _store_result and redis.py _set: SUCCESS is never overwritten, and
 * who waits hears of it on the channel that is named like the key.  The first SET is the
 * answer for every task that stores nothing before its end.
 */
static struct cel_redis_script store_script = {
    .text =
        "local ttl, out, call = ARGV[1], {}, redis.pcall\n"
        "local function succeeded(old)\n"
        "  if string.sub(old, 1, 12) == '{\"status\": \"' then\n"
        "    return string.sub(old, 13, 20) == 'SUCCESS\"'\n"
        "  end\n"
        "  local ok, doc = pcall(cjson.decode, old)\n"
        "  if not ok then ok, doc = pcall(cmsgpack.unpack, old) end\n"
        "  if ok and type(doc) == 'table' then return doc.status == 'SUCCESS' end\n"
        "  return string.find('\\n' .. old, '\\nstatus: SUCCESS\\n', 1, true) ~= nil\n"
        "end\n"
        "local function again(key, doc)\n"
        "  local old = call('GET', key)\n"
        "  if type(old) == 'table' then return old end\n"
        "  if old and succeeded(old) then return 0 end\n"
        "  if ttl == '0' then return call('SET', key, doc) end\n"
        "  return call('SET', key, doc, 'EX', ttl)\n"
        "end\n"
        "for i = 1, #KEYS do\n"
        "  local key, doc, r = KEYS[i], ARGV[i + 1], nil\n"
        "  if ttl == '0' then\n"
        "    r = call('SET', key, doc, 'NX')\n"
        "  else\n"
        "    r = call('SET', key, doc, 'EX', ttl, 'NX')\n"
        "  end\n"
        "  if not r then r = again(key, doc) end\n"
        "  if r ~= 0 and r.ok then\n"
        "    r = call('PUBLISH', key, doc)\n"
        "    if type(r) == 'number' then r = 1 end\n"
        "  end\n"
        "  out[i] = r\n"
        "end\n"
        "return out\n",
};

/* A script call without a reply yet. */
struct flight {
    struct cel_redis_backend *b;
    size_t n;
    struct cel_done done[];
};

static void refuse(struct cel_done done, celery_status status, const char *text)
{
    celery_error err = {0};
    cel_error_set(&err, status, "result backend: %s", text);
    cel_done(done, &err, 0);
}

static struct cel_redis_entry *add_entry(struct cel_redis_batch *batch)
{
    if (batch->count == batch->cap) {
        size_t cap = batch->cap ? batch->cap * 2 : 64;
        struct cel_redis_entry *entries =
            cel_realloc(batch->entries, cap, sizeof *entries);
        if (!entries) {
            return NULL;
        }
        batch->entries = entries;
        batch->cap = cap;
    }
    return &batch->entries[batch->count++];
}

void cel_redis_store(struct cel_backend *base, const struct cel_task_meta *meta,
                     struct cel_done done)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    struct cel_redis_batch *batch = &b->batch;
    struct cel_buf *bytes = &batch->bytes;
    size_t start = bytes->len;
    celery_error err = {0};
    if (b->state != CEL_RB_OPEN) {
        refuse(done, CELERY_ECLOSED, "not connected");
        return;
    }
    celery_status status = cel_redis_backend_key(b, bytes, meta->task_id);
    size_t key_len = bytes->len - start;
    if (status == CELERY_OK) {
        status = cel_meta_write(bytes, meta, base->codec, &err);
    }
    size_t doc_len = bytes->len - start - key_len;
    if (status == CELERY_OK && doc_len > REDIS_STRING_MAX) {
        status =
            cel_error_set(&err, CELERY_ELIMIT, "result of %zu bytes: Redis takes %zu",
                          doc_len, REDIS_STRING_MAX);
    }
    struct cel_redis_entry *entry = status == CELERY_OK ? add_entry(batch) : NULL;
    if (!entry) {
        bytes->len = start;
        bytes->failed = false;
        if (status == CELERY_OK || err.status == CELERY_OK) {
            cel_error_nomem(&err);
        }
        cel_done(done, &err, 0);
        return;
    }
    /* RedisBackend._set_with_state() */
    const char *ttl = cel_slice_is(meta->status, "FAILURE") ? b->failure_ttl : b->ttl;
    *entry =
        (struct cel_redis_entry){start, key_len, start + key_len, doc_len, ttl, done};
    cel_source_schedule(b->hook);
}

static void answer_all(struct flight *f, const celery_error *err)
{
    for (size_t i = 0; i < f->n; i++) {
        cel_done(f->done[i], err, 0);
    }
}

static void answer_each(struct flight *f, const struct cel_resp *reply,
                        celery_error *ret_failover)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct cel_resp *one = cel_resp_at(reply, i);
        celery_error err = {0};
        if (cel_redis_backend_failed(one, &err)) {
            cel_done(f->done[i], &err, 0);
            if (err.status == CELERY_ECLOSED) {
                *ret_failover = err;
            }
        } else {
            cel_done(f->done[i], NULL, cel_resp_int(one));
        }
    }
}

/* A server that refuses to write because it is no master (any more) is left. */
static void on_stored(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct flight *f = ctx;
    struct cel_redis_backend *b = f->b;
    celery_error err = {0};
    celery_error failover = {0};
    if (why) {
        answer_all(f, why);
    } else if (cel_redis_backend_failed(reply, &err)) {
        if (err.status == CELERY_ECLOSED) {
            failover = err;
        }
        answer_all(f, &err);
    } else if (cel_resp_size(reply) != f->n) {
        cel_error_set(&err, CELERY_EPROTO, "result backend: unexpected answer");
        answer_all(f, &err);
    } else {
        answer_each(f, reply, &failover);
    }
    cel_free(f);
    if (failover.status < 0) {
        cel_redis_backend_drop(b, &failover);
    }
}

/* Sends n entries of one lifetime from the first; on failure they are answered. */
static void send_chunk(struct cel_redis_backend *b, size_t first, size_t n)
{
    struct cel_redis_batch *batch = &b->batch;
    struct flight *f = cel_alloc(sizeof *f + n * sizeof f->done[0]);
    struct cel_slice *words = cel_redis_backend_words(b, 2 * n + 1);
    celery_error err = {0};
    celery_status status = CELERY_ENOMEM;
    if (f && words) {
        const char *bytes = batch->bytes.data;
        f->b = b;
        f->n = n;
        words[n] = cel_slice_of(batch->entries[first].ttl);
        for (size_t i = 0; i < n; i++) {
            const struct cel_redis_entry *e = &batch->entries[first + i];
            words[i] = cel_slice(bytes + e->key_at, e->key_len);
            words[n + 1 + i] = cel_slice(bytes + e->doc_at, e->doc_len);
            f->done[i] = e->done;
        }
        status =
            cel_redis_eval(b->redis, &store_script, on_stored, f, n, 2 * n + 1, words);
    }
    if (status < 0) {
        cel_free(f);
        cel_error_set(&err, status, "result backend: %s", celery_status_text(status));
        for (size_t i = 0; i < n; i++) {
            cel_done(batch->entries[first + i].done, &err, 0);
        }
    }
}

static void reset_batch(struct cel_redis_backend *b)
{
    b->batch.count = 0;
    if (b->batch.bytes.cap > BYTES_KEPT) {
        cel_buf_fini(&b->batch.bytes);
    }
    cel_buf_clear(&b->batch.bytes);
}

void cel_redis_store_flush(void *ctx)
{
    struct cel_redis_backend *b = ctx;
    size_t first = 0;
    if (b->state != CEL_RB_OPEN) {
        return;
    }
    while (first < b->batch.count) {
        const struct cel_redis_entry *e = b->batch.entries + first;
        size_t left = b->batch.count - first;
        size_t n = 0;
        size_t bytes = 0;
        while (n < left && n < BATCH_RESULTS && bytes < BATCH_BYTES &&
               strcmp(e[n].ttl, e->ttl) == 0) {
            bytes += e[n++].doc_len;
        }
        send_chunk(b, first, n);
        first += n;
    }
    reset_batch(b);
}

/* Callbacks may store again: they are refused by then, the batch does not grow. */
void cel_redis_store_fail(struct cel_redis_backend *b, const celery_error *why)
{
    celery_error err = *why;
    err.status = CELERY_ECLOSED;
    for (size_t i = 0; i < b->batch.count; i++) {
        cel_done(b->batch.entries[i].done, &err, 0);
    }
    reset_batch(b);
}
