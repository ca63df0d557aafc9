/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Groups and chords (celery/backends/redis.py, 5.7.0): the same keys and the same rules, so that
 * Python and C workers count the parts of one chord together.
 *
 *   .j  the parts: [1, task id, state, result], by index or in the order they came
 *   .s  how many tasks the header has        .t  how many were added to it since
 *   .d  which parts were counted             .c  who calls the body; "done" afterwards
 */
#include "backend/redis.h"
#include "base/alloc.h"
#include "base/error.h"
#include <stdio.h>

enum { DONE_SECONDS = 300 }; /* late parts are known as such for so long, at least */

/*
 * CHORD_PART_RETURN_LUA, and in the same step what its caller reads next.  A claim that is ours
 * already is given again: the answer to it was lost.  A part that never came before, of a chord that
 * was ended, is of its next run: a fast worker returns it before set_chord_size().  Answer: {CEL_CHORD_...,
 * saved group or false, parts ...}.
 */
static struct cel_redis_script part_script = {
    .text =
        "local j, t, s, d, g, c = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]\n"
        "local tid, value, ordered, score = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]\n"
        "local ttl, claim, token = tonumber(ARGV[5]), ARGV[6], ARGV[7]\n"
        "local holder = redis.call('GET', c)\n"
        "if holder == 'done' then\n"
        "  if ARGV[8] == '0' then return {0} end\n"
        "  holder = nil\n"
        "end\n"
        "local member = tid .. ':' .. score\n"
        "if redis.call('SISMEMBER', d, member) == 0 then\n"
        "  if ordered then redis.call('ZADD', j, score, value)\n"
        "  else redis.call('RPUSH', j, value) end\n"
        "  redis.call('SADD', d, member)\n"
        "end\n"
        "local n\n"
        "if ordered then n = redis.call('ZCARD', j) else n = redis.call('LLEN', j) end\n"
        "if ttl > 0 then\n"
        "  for _, key in ipairs({j, t, s, d, g}) do redis.call('EXPIRE', key, ttl) end\n"
        "end\n"
        "local size = tonumber(redis.call('GET', s) or '')\n"
        "local more = tonumber(redis.call('GET', t) or '') or 0\n"
        "if not size or n ~= size + more then return {0} end\n"
        "if holder and holder ~= token then return {2} end\n"
        "redis.call('SET', c, token, 'EX', claim)\n"
        "local out = {1, redis.call('GET', g)}\n"
        "local parts\n"
        "if ordered then parts = redis.call('ZRANGE', j, 0, -1)\n"
        "else parts = redis.call('LRANGE', j, 0, -1) end\n"
        "for i = 1, #parts do out[i + 2] = parts[i] end\n"
        "return out\n",
};

/* CHORD_CLAIM_EXTEND_LUA. */
static struct cel_redis_script keep_script = {
    .text = "local holder = redis.call('GET', KEYS[1])\n"
            "if holder == ARGV[1] then\n"
            "  return redis.call('EXPIRE', KEYS[1], ARGV[2])\n"
            "end\n"
            "if not holder and redis.call('EXISTS', KEYS[2]) == 1 then\n"
            "  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])\n"
            "  return 1\n"
            "end\n"
            "return 0\n",
};

/*
 * CHORD_CLEANUP_LUA.  A failed chord only loses its size, so that a part that comes again does
 * not fail it again; what was counted is left to expire.
 */
static struct cel_redis_script end_script = {
    .text = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
            "if ARGV[3] == '1' then\n"
            "  redis.call('DEL', KEYS[2])\n"
            "  return 1\n"
            "end\n"
            "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])\n"
            "redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])\n"
            "return 1\n",
};

/*
 * The same, and the messages of the body into their lists in one step.  What was pushed is
 * taken back when a later push is refused (no memory, no permission).
 */
static struct cel_redis_script push_script = {
    .text = "local holder = redis.call('GET', KEYS[1])\n"
            "if holder and holder ~= ARGV[1] then return 0 end\n"
            "if not holder and redis.call('EXISTS', KEYS[2]) == 0 then return 0 end\n"
            "local n, own, other = (#ARGV - 4) / 2, ARGV[3], ARGV[4]\n"
            "if own ~= other then redis.call('SELECT', other) end\n"
            "for i = 1, n do\n"
            "  local r = redis.pcall('LPUSH', ARGV[3 + 2 * i], ARGV[4 + 2 * i])\n"
            "  if type(r) == 'table' then\n"
            "    for k = i - 1, 1, -1 do redis.call('LPOP', ARGV[3 + 2 * k]) end\n"
            "    if own ~= other then redis.call('SELECT', own) end\n"
            "    return r\n"
            "  end\n"
            "end\n"
            "if own ~= other then redis.call('SELECT', own) end\n"
            "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])\n"
            "redis.call('SET', KEYS[1], 'done', 'EX', ARGV[2])\n"
            "return 1\n",
};

/* set_chord_size(): a chord that is applied again with the same id is a new run. */
static struct cel_redis_script size_script = {
    .text = "redis.call('DEL', KEYS[2])\n"
            "if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1])\n"
            "else redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end\n"
            "return 1\n",
};

/* INCR, once for each token: the note may be made again when its answer was lost. */
static struct cel_redis_script grow_script = {
    .text = "if redis.call('SADD', KEYS[2], ARGV[1]) == 0 then return 0 end\n"
            "redis.call('INCR', KEYS[1])\n"
            "if ARGV[2] ~= '0' then\n"
            "  redis.call('EXPIRE', KEYS[1], ARGV[2])\n"
            "  redis.call('EXPIRE', KEYS[2], ARGV[2])\n"
            "end\n"
            "return 1\n",
};

/* A command without a reply yet. */
struct errand {
    struct cel_redis_backend *b;
    struct cel_done done;
    struct cel_chord_done chord; /* of add_chord_part() */
    size_t id_len;
    char id[]; /* of the group, for load_group() */
};

static void fail(const struct errand *e, const celery_error *err)
{
    if (e->chord.fn) {
        e->chord.fn(e->chord.ctx, err, CEL_CHORD_OPEN, NULL);
    } else {
        cel_done(e->done, err, 0);
    }
}

/* err is filled when there is no answer to look at. */
static bool answered(const struct errand *e, const struct cel_resp *reply,
                     const celery_error *why, celery_error *err)
{
    if (why) {
        *err = *why;
        return false;
    }
    return !cel_redis_backend_failed(reply, err);
}

/* Takes e; a server that is no master (any more) is left. */
static void end_failed(struct errand *e, const celery_error *err, bool connected)
{
    struct cel_redis_backend *b = e->b;
    fail(e, err);
    cel_free(e);
    if (connected && err->status == CELERY_ECLOSED) {
        cel_redis_backend_drop(b, err);
    }
}

static void on_number(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct errand *e = ctx;
    celery_error err = {0};
    if (!answered(e, reply, why, &err)) {
        end_failed(e, &err, !why);
        return;
    }
    struct cel_done done = e->done;
    int64_t answer = cel_resp_int(reply);
    cel_free(e);
    cel_done(done, NULL, answer);
}

/* ---- parts ---- */

static const struct cel_node *saved_tuple(struct cel_redis_backend *b,
                                          struct cel_arena *a, struct cel_slice text,
                                          celery_error *err)
{
    struct cel_node *doc = NULL;
    if (b->base.codec->decode(a, text, NULL, &doc, err) < 0) {
        return NULL;
    }
    return cel_node_get(doc, CEL_SLICE("result"));
}

static celery_status read_parts(struct cel_redis_backend *b, struct cel_arena *a,
                                const struct cel_resp *reply,
                                struct cel_chord_parts *ret_parts, celery_error *err)
{
    struct cel_node *parts = cel_node_new(a, CELERY_KIND_ARRAY);
    for (size_t i = 2; i < cel_resp_size(reply); i++) {
        struct cel_slice text = cel_resp_text(cel_resp_at(reply, i));
        struct cel_node *part = NULL;
        celery_status status = b->base.codec->decode(a, text, NULL, &part, err);
        if (status < 0) {
            return status;
        }
        if (cel_node_append(parts, part) < 0) {
            return cel_error_nomem(err);
        }
    }
    ret_parts->parts = parts;
    if (cel_resp_kind(cel_resp_at(reply, 1)) == CEL_RESP_STRING) {
        ret_parts->group = saved_tuple(b, a, cel_resp_text(cel_resp_at(reply, 1)), err);
    }
    return err->status;
}

static void on_part(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct errand *e = ctx;
    celery_error err = {0};
    if (!answered(e, reply, why, &err)) {
        end_failed(e, &err, !why);
        return;
    }
    struct cel_arena a = {0};
    struct cel_chord_parts parts = {0};
    struct cel_chord_done done = e->chord;
    enum cel_chord_answer answer =
        (enum cel_chord_answer)cel_resp_int(cel_resp_at(reply, 0));
    if (answer == CEL_CHORD_CLAIMED) {
        read_parts(e->b, &a, reply, &parts, &err);
    }
    cel_free(e);
    done.fn(done.ctx, err.status < 0 ? &err : NULL, answer, &parts);
    cel_arena_fini(&a);
}

/* ---- asking ---- */

static struct errand *new_errand(struct cel_redis_backend *b, struct cel_slice id,
                                 struct cel_done done)
{
    struct errand *e = cel_calloc(1, sizeof *e + id.len);
    if (e) {
        e->b = b;
        e->done = done;
        e->id_len = id.len;
        if (id.len > 0) {
            memcpy(e->id, id.data, id.len);
        }
    }
    return e;
}

static celery_status refusal(const struct cel_redis_backend *b)
{
    return b->state == CEL_RB_OPEN ? CELERY_ENOMEM : CELERY_ECLOSED;
}

/* give_e may be NULL: there was no memory for it. */
static void refuse(struct errand *give_e, const struct errand *unmade,
                   celery_status status)
{
    celery_error err = {0};
    cel_error_set(&err, status, "result backend: %s",
                  status == CELERY_ECLOSED ? "not connected"
                                           : celery_status_text(status));
    fail(give_e ? give_e : unmade, &err);
    cel_free(give_e);
}

/*
 * The keys of a group with these endings into words; they lie in b->keys until the next
 * command is made.
 */
static bool put_keys(struct cel_redis_backend *b, struct cel_slice group_id,
                     const char *const *endings, size_t n, struct cel_slice *words)
{
    size_t base = strlen(b->group_prefix) + group_id.len;
    cel_buf_clear(&b->keys);
    for (size_t i = 0; i < n; i++) {
        cel_buf_adds(&b->keys, b->group_prefix);
        cel_buf_add_slice(&b->keys, group_id);
        cel_buf_adds(&b->keys, endings[i]);
    }
    if (!cel_buf_ok(&b->keys)) {
        return false;
    }
    const char *at = b->keys.data;
    for (size_t i = 0; i < n; i++) {
        words[i] = cel_slice(at, base + strlen(endings[i]));
        at += words[i].len;
    }
    return true;
}

static const char *const part_keys[] = {".j", ".t", ".s", ".d", "", ".c"};
static const char *const keep_keys[] = {".c", ".s"};
static const char *const end_keys[] = {".c", ".s", ".j", ".t", ".d"};
static const char *const size_keys[] = {".s", ".c"};
static const char *const grow_keys[] = {".t", ".d"};
static const char *const group_keys[] = {""};

celery_status cel_redis_write_part(const struct cel_codec *codec, struct cel_buf *out,
                                   const struct cel_chord_part *part, celery_error *err)
{
    struct cel_buf json = {0};
    struct cel_buf *to = codec == &cel_codec_json ? out : &json;
    cel_buf_adds(to, "[1, ");
    cel_json_write_string(to, part->task_id);
    cel_buf_adds(to, ", ");
    cel_json_write_string(to, part->state);
    cel_buf_adds(to, ", ");
    cel_buf_add_slice(to, part->result_json.len ? part->result_json : CEL_SLICE("null"));
    cel_buf_addc(to, ']');
    celery_status status = cel_buf_ok(to) ? CELERY_OK : CELERY_ENOMEM;
    if (to == &json) {
        struct cel_arena a = {0};
        struct cel_node *doc = NULL;
        if (status == CELERY_OK) {
            status = cel_json_parse(&a, cel_buf_slice(&json), NULL, &doc, err);
        }
        if (status == CELERY_OK) {
            status = codec->encode(out, doc, err);
        }
        cel_arena_fini(&a);
    }
    cel_buf_fini(&json);
    return status;
}

void cel_redis_add_chord_part(struct cel_backend *base, const struct cel_chord_part *part,
                              struct cel_chord_done done)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    const struct errand unmade = {.chord = done};
    struct errand *e = b->state == CEL_RB_OPEN
                           ? new_errand(b, CEL_SLICE_NULL, (struct cel_done){0})
                           : NULL;
    struct cel_buf value = {0};
    struct cel_slice words[14];
    char score[24] = "+inf";
    char claim[16];
    celery_error err = {0};
    celery_status status =
        e ? cel_redis_write_part(b->base.codec, &value, part, &err) : refusal(b);
    if (status == CELERY_OK && put_keys(b, part->group_id, part_keys, 6, words)) {
        e->chord = done;
        if (part->group_index >= 0) {
            snprintf(score, sizeof score, "%lld", (long long)part->group_index);
        }
        snprintf(claim, sizeof claim, "%d", part->claim_seconds);
        words[6] = part->task_id;
        words[7] = cel_buf_slice(&value);
        words[8] = b->chord_ordered ? CEL_SLICE("1") : CEL_SLICE("0");
        words[9] = cel_slice_of(score);
        words[10] = cel_slice_of(b->ttl);
        words[11] = cel_slice_of(claim);
        words[12] = part->token;
        words[13] = part->fresh ? CEL_SLICE("1") : CEL_SLICE("0");
        status = cel_redis_eval(b->redis, &part_script, on_part, e, 6, 14, words);
    } else if (status == CELERY_OK) {
        status = CELERY_ENOMEM;
    }
    cel_buf_fini(&value);
    if (status < 0) {
        if (e) {
            e->chord = done;
        }
        refuse(e, &unmade, status);
    }
}

/* A script or command on keys of one group, whose answer is a number. */
static void ask(struct cel_redis_backend *b, struct cel_slice group_id,
                struct cel_redis_script *script, const char *const *keys, size_t n_keys,
                const struct cel_slice *args, size_t n_args, struct cel_done done)
{
    const struct errand unmade = {.done = done};
    struct cel_slice words[12];
    struct errand *e =
        b->state == CEL_RB_OPEN ? new_errand(b, CEL_SLICE_NULL, done) : NULL;
    celery_status status = refusal(b);
    if (e && put_keys(b, group_id, keys, n_keys, words)) {
        for (size_t i = 0; i < n_args; i++) {
            words[n_keys + i] = args[i];
        }
        status = cel_redis_eval(b->redis, script, on_number, e, n_keys, n_keys + n_args,
                                words);
    }
    if (status < 0) {
        refuse(e, &unmade, status);
    }
}

void cel_redis_keep_chord(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_slice token, int seconds, struct cel_done done)
{
    char text[16];
    snprintf(text, sizeof text, "%d", seconds);
    const struct cel_slice args[] = {token, cel_slice_of(text)};
    ask((struct cel_redis_backend *)base, group_id, &keep_script, keep_keys, 2, args, 2,
        done);
}

void cel_redis_end_chord(struct cel_backend *base, struct cel_slice group_id,
                         struct cel_slice token, bool failed, struct cel_done done)
{
    char text[16];
    snprintf(text, sizeof text, "%d", DONE_SECONDS);
    const struct cel_slice args[] = {token, cel_slice_of(text),
                                     failed ? CEL_SLICE("1") : CEL_SLICE("0")};
    ask((struct cel_redis_backend *)base, group_id, &end_script, end_keys, 5, args, 3,
        done);
}

void cel_redis_end_chord_with(struct cel_backend *base, struct cel_slice group_id,
                              struct cel_slice token, int db,
                              const struct cel_chord_push *pushes, size_t n,
                              struct cel_done done)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    const struct errand unmade = {.done = done};
    size_t argc = 5 + 4 + 2 * n;
    struct errand *e =
        b->state == CEL_RB_OPEN ? new_errand(b, CEL_SLICE_NULL, done) : NULL;
    struct cel_slice *words = e ? cel_redis_backend_words(b, argc) : NULL;
    celery_status status = refusal(b);
    char seconds[16], own[16], other[16];

    if (words && put_keys(b, group_id, end_keys, 5, words)) {
        snprintf(seconds, sizeof seconds, "%d", DONE_SECONDS);
        snprintf(own, sizeof own, "%d", cel_redis_url_db(b->urls[b->url_index]));
        snprintf(other, sizeof other, "%d", db);
        words[5] = token;
        words[6] = cel_slice_of(seconds);
        words[7] = cel_slice_of(own);
        words[8] = cel_slice_of(other);
        for (size_t i = 0; i < n; i++) {
            words[9 + 2 * i] = pushes[i].key;
            words[10 + 2 * i] = pushes[i].text;
        }
        status = cel_redis_eval(b->redis, &push_script, on_number, e, 5, argc, words);
    }
    if (status < 0) {
        refuse(e, &unmade, status);
    }
}

/* ---- notes and saved groups ---- */

celery_status cel_redis_write_group(const struct cel_codec *codec, struct cel_buf *out,
                                    struct cel_slice json)
{
    struct cel_arena a = {0};
    struct cel_buf text = {0};
    struct cel_node *doc = NULL;
    cel_buf_adds(&text, "{\"result\": ");
    cel_buf_add_slice(&text, json);
    cel_buf_addc(&text, '}');
    celery_status status = cel_buf_ok(&text) ? CELERY_OK : CELERY_ENOMEM;
    if (status == CELERY_OK) {
        status = cel_json_parse(&a, cel_buf_slice(&text), NULL, &doc, NULL);
    }
    if (status == CELERY_OK) {
        status = codec->encode(out, doc, NULL);
    }
    cel_arena_fini(&a);
    cel_buf_fini(&text);
    return status;
}

/* A plain command: its words behind the key. */
static void command(struct cel_redis_backend *b, const char *name,
                    struct cel_slice group_id, const char *const *key,
                    const struct cel_slice *args, size_t n_args, cel_redis_fn fn,
                    struct cel_done done)
{
    const struct errand unmade = {.done = done};
    struct cel_slice words[6];
    struct errand *e = b->state == CEL_RB_OPEN ? new_errand(b, group_id, done) : NULL;
    celery_status status = refusal(b);
    if (e && put_keys(b, group_id, key, 1, words + 1)) {
        words[0] = cel_slice_of(name);
        for (size_t i = 0; i < n_args; i++) {
            words[2 + i] = args[i];
        }
        status = cel_redis_command(b->redis, fn, e, 2 + n_args, words);
    }
    if (status < 0) {
        refuse(e, &unmade, status);
    }
}

static void save_group(struct cel_redis_backend *b, const struct cel_group_note *note,
                       struct cel_done done)
{
    struct cel_buf doc = {0};
    celery_status status = cel_redis_write_group(b->base.codec, &doc, note->json);
    if (status < 0) {
        refuse(NULL, &(struct errand){.done = done}, status);
    } else {
        const struct cel_slice args[] = {cel_buf_slice(&doc), CEL_SLICE("EX"),
                                         cel_slice_of(b->ttl)};
        bool forever = strcmp(b->ttl, "0") == 0;
        command(b, "SET", note->group_id, group_keys, args, forever ? 1 : 3, on_number,
                done);
    }
    cel_buf_fini(&doc);
}

void cel_redis_note(struct cel_backend *base, const struct cel_group_note *note,
                    struct cel_done done)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)note->number);
    const struct cel_slice args[] = {cel_slice_of(number), cel_slice_of(b->ttl)};
    const struct cel_slice grow[] = {note->json, cel_slice_of(b->ttl)};
    switch (note->kind) {
    case CEL_NOTE_CHORD_SIZE:
        ask(b, note->group_id, &size_script, size_keys, 2, args, 2, done);
        break;
    case CEL_NOTE_CHORD_GROW:
        ask(b, note->group_id, &grow_script, grow_keys, 2, grow, 2, done);
        break;
    case CEL_NOTE_SAVE_GROUP:
        save_group(b, note, done);
        break;
    }
}

static void on_group(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct errand *e = ctx;
    struct cel_redis_backend *b = e->b;
    celery_error err = {0};
    if (!answered(e, reply, why, &err)) {
        end_failed(e, &err, !why);
        return;
    }
    struct cel_arena a = {0};
    const struct cel_node *tuple = NULL;
    if (cel_resp_kind(reply) == CEL_RESP_STRING) {
        tuple = saved_tuple(b, &a, cel_resp_text(reply), &err);
    }
    if (err.status == CELERY_OK && b->base.events->group) {
        b->base.events->group(b->base.events_ctx, cel_slice(e->id, e->id_len), tuple);
    }
    struct cel_done done = e->done;
    cel_free(e);
    cel_done(done, err.status < 0 ? &err : NULL, tuple != NULL);
    cel_arena_fini(&a);
}

void cel_redis_load_group(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_done done)
{
    command((struct cel_redis_backend *)base, "GET", group_id, group_keys, NULL, 0,
            on_group, done);
}

void cel_redis_forget_group(struct cel_backend *base, struct cel_slice group_id,
                            struct cel_done done)
{
    command((struct cel_redis_backend *)base, "DEL", group_id, group_keys, NULL, 0,
            on_number, done);
}
