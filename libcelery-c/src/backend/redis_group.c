/* SPDX-License-Identifier: BSD-3-Clause */
/* Notes on groups and chords, and saved groups. */
#include "backend/redis_chord_scripts.h"
#include "backend/redis_errand.h"
#include "base/alloc.h"
#include <stdio.h>

static const char *const size_keys[] = {".s", ".c"};
static const char *const grow_keys[] = {".t", ".d"};
static const char *const group_keys[] = {""};

const struct cel_node *cel_redis_saved_tuple(struct cel_redis_backend *b,
                                             struct cel_arena *a, struct cel_slice text,
                                             celery_error *err)
{
    struct cel_node *doc = NULL;
    if (b->base.codec->decode(a, text, NULL, &doc, err) < 0) {
        return NULL;
    }
    return cel_node_get(doc, CEL_SLICE("result"));
}

/* A plain command: its words behind the key. */
static void command(struct cel_redis_backend *b, const char *name,
                    struct cel_slice group_id, const char *const *key,
                    const struct cel_slice *args, size_t n_args, cel_redis_fn fn,
                    struct cel_done done)
{
    const struct cel_redis_errand unmade = {.done = done};
    struct cel_slice words[6];
    struct cel_redis_errand *e =
        b->state == CEL_RB_OPEN ? cel_redis_errand_new(b, group_id, done) : NULL;
    celery_status status = cel_redis_refusal(b);
    if (e && cel_redis_put_keys(b, group_id, key, 1, words + 1)) {
        words[0] = cel_slice_of(name);
        for (size_t i = 0; i < n_args; i++) {
            words[2 + i] = args[i];
        }
        status = cel_redis_command(b->redis, fn, e, 2 + n_args, words);
    }
    if (status < 0) {
        cel_redis_refuse(e, &unmade, status);
    }
}

static void save_group(struct cel_redis_backend *b, const struct cel_group_note *note,
                       struct cel_done done)
{
    struct cel_buf doc = {0};
    celery_status status = cel_group_write(b->base.codec, &doc, note->json, NULL);
    if (status < 0) {
        cel_redis_refuse(NULL, &(struct cel_redis_errand){.done = done}, status);
    } else {
        const char *ttl = note->of_chord ? b->chord_ttl : b->ttl;
        const struct cel_slice args[] = {cel_buf_slice(&doc), CEL_SLICE("EX"),
                                         cel_slice_of(ttl)};
        bool forever = strcmp(ttl, "0") == 0;
        command(b, "SET", note->group_id, group_keys, args, forever ? 1 : 3,
                cel_redis_on_number, done);
    }
    cel_buf_fini(&doc);
}

void cel_redis_note(struct cel_backend *base, const struct cel_group_note *note,
                    struct cel_done done)
{
    struct cel_redis_backend *b = (struct cel_redis_backend *)base;
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)note->number);
    const struct cel_slice args[] = {cel_slice_of(number), cel_slice_of(b->chord_ttl)};
    const struct cel_slice grow[] = {note->json, cel_slice_of(b->chord_ttl)};
    switch (note->kind) {
    case CEL_NOTE_CHORD_SIZE:
        cel_redis_ask(b, note->group_id, &cel_redis_size_script, size_keys, 2, args, 2,
                      done);
        break;
    case CEL_NOTE_CHORD_GROW:
        cel_redis_ask(b, note->group_id, &cel_redis_grow_script, grow_keys, 2, grow, 2,
                      done);
        break;
    case CEL_NOTE_SAVE_GROUP:
        save_group(b, note, done);
        break;
    }
}

static void on_group(void *ctx, const struct cel_resp *reply, const celery_error *why)
{
    struct cel_redis_errand *e = ctx;
    struct cel_redis_backend *b = e->b;
    celery_error err = {0};
    if (!cel_redis_answered(e, reply, why, &err)) {
        cel_redis_errand_failed(e, &err, !why);
        return;
    }
    struct cel_arena a = {0};
    const struct cel_node *tuple = NULL;
    if (cel_resp_kind(reply) == CEL_RESP_STRING) {
        tuple = cel_redis_saved_tuple(b, &a, cel_resp_text(reply), &err);
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
            cel_redis_on_number, done);
}
