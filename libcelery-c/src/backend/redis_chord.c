/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Groups and chords (celery/backends/redis.py, 5.7.0): the same keys and the same rules, so that
 * Python and C workers count the parts of one chord together.
 *
 *   .j  the parts: [1, task id, state, result], by index or in the order they came
 *   .s  how many tasks the header has        .t  how many were added to it since
 *   .d  which parts were counted             .c  who calls the body; "done" afterwards
 */
#include "backend/redis_chord_scripts.h"
#include "backend/redis_errand.h"
#include "base/alloc.h"
#include "base/error.h"
#include <stdio.h>

enum { DONE_SECONDS = 300 }; /* late parts are known as such for so long, at least */

/* ---- parts ---- */

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
        ret_parts->group =
            cel_redis_saved_tuple(b, a, cel_resp_text(cel_resp_at(reply, 1)), err);
    }
    return err->status;
}

static void on_part(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct cel_redis_errand *e = ctx;
    celery_error err = {0};
    if (!cel_redis_answered(e, reply, why, &err)) {
        cel_redis_errand_failed(e, &err, !why);
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

static const char *const part_keys[] = {".j", ".t", ".s", ".d", "", ".c"};
static const char *const keep_keys[] = {".c", ".s"};
static const char *const end_keys[] = {".c", ".s", ".j", ".t", ".d"};

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
    const struct cel_redis_errand unmade = {.chord = done};
    struct cel_redis_errand *e =
        b->state == CEL_RB_OPEN
            ? cel_redis_errand_new(b, CEL_SLICE_NULL, (struct cel_done){0})
            : NULL;
    struct cel_buf value = {0};
    struct cel_slice words[15];
    char score[24] = "+inf";
    char claim[16];
    celery_error err = {0};
    celery_status status = e ? cel_redis_write_part(b->base.codec, &value, part, &err)
                             : cel_redis_refusal(b);
    if (status == CELERY_OK &&
        cel_redis_put_keys(b, part->group_id, part_keys, 6, words)) {
        e->chord = done;
        if (part->group_index >= 0) {
            snprintf(score, sizeof score, "%lld", (long long)part->group_index);
        }
        snprintf(claim, sizeof claim, "%d", part->claim_seconds);
        words[6] = part->task_id;
        words[7] = cel_buf_slice(&value);
        words[8] = b->chord_ordered ? CEL_SLICE("1") : CEL_SLICE("0");
        words[9] = cel_slice_of(score);
        words[10] = cel_slice_of(b->chord_ttl);
        words[11] = cel_slice_of(claim);
        words[12] = part->token;
        words[13] = part->fresh ? CEL_SLICE("1") : CEL_SLICE("0");
        words[14] = cel_slice_of(b->group_ttl);
        status =
            cel_redis_eval(b->redis, &cel_redis_part_script, on_part, e, 6, 15, words);
    } else if (status == CELERY_OK) {
        status = CELERY_ENOMEM;
    }
    cel_buf_fini(&value);
    if (status < 0) {
        if (e) {
            e->chord = done;
        }
        cel_redis_refuse(e, &unmade, status);
    }
}

void cel_redis_keep_chord(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_slice token, int seconds, struct cel_done done)
{
    char text[16];
    snprintf(text, sizeof text, "%d", seconds);
    const struct cel_slice args[] = {token, cel_slice_of(text)};
    cel_redis_ask((struct cel_redis_backend *)base, group_id, &cel_redis_keep_script,
                  keep_keys, 2, args, 2, done);
}

void cel_redis_end_chord(struct cel_backend *base, struct cel_slice group_id,
                         struct cel_slice token, bool failed, struct cel_done done)
{
    char text[16];
    snprintf(text, sizeof text, "%d", DONE_SECONDS);
    const struct cel_slice args[] = {token, cel_slice_of(text),
                                     failed ? CEL_SLICE("1") : CEL_SLICE("0")};
    cel_redis_ask((struct cel_redis_backend *)base, group_id, &cel_redis_end_script,
                  end_keys, 5, args, 3, done);
}

void cel_redis_end_chord_with(struct cel_backend *base, struct cel_slice group_id,
                              struct cel_slice token, int db,
                              const struct cel_chord_push *pushes, size_t n,
                              struct cel_done done)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    const struct cel_redis_errand unmade = {.done = done};
    size_t argc = 5 + 4 + 2 * n;
    struct cel_redis_errand *e =
        b->state == CEL_RB_OPEN ? cel_redis_errand_new(b, CEL_SLICE_NULL, done) : NULL;
    struct cel_slice *words = e ? cel_redis_backend_words(b, argc) : NULL;
    celery_status status = cel_redis_refusal(b);
    char seconds[16], own[16], other[16];

    if (words && cel_redis_put_keys(b, group_id, end_keys, 5, words)) {
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
        status = cel_redis_eval(b->redis, &cel_redis_push_script, cel_redis_on_number, e,
                                5, argc, words);
    }
    if (status < 0) {
        cel_redis_refuse(e, &unmade, status);
    }
}
