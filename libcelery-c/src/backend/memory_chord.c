/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups and chords of the memory backend: the rules of redis_chord.c. */
#include "backend/memory.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include <stdlib.h>

struct part {
    int64_t index;
    size_t order; /* of coming */
    struct cel_slice id;
    struct cel_slice state;
    struct cel_slice json;
    char bytes[];
};

struct chord {
    char *group; /* JSON of the saved tuple; NULL: none */
    int64_t size;
    bool sized;
    int64_t more;
    struct cel_map grown;   /* tokens of add_to_chord() */
    struct cel_map counted; /* "id:index" */
    struct part **parts;
    size_t n_parts;
    char token[40]; /* whose claim it is; "": nobody's */
    double claimed_until;
    bool over;
};

static struct cel_memory *self(struct cel_backend *base)
{
    return (struct cel_memory *)base;
}

static void clear_parts(struct chord *c)
{
    for (size_t i = 0; i < c->n_parts; i++) {
        cel_free(c->parts[i]);
    }
    cel_free(c->parts);
    c->parts = NULL;
    c->n_parts = 0;
    cel_map_fini(&c->counted);
    cel_map_fini(&c->grown);
    c->more = 0;
}

static void free_chord(struct chord *c)
{
    if (c) {
        clear_parts(c);
        cel_free(c->group);
        cel_free(c);
    }
}

void cel_memory_free_chords(struct cel_memory_store *s)
{
    size_t at = 0;
    void *chord;
    while (cel_map_next(&s->chords, &at, NULL, &chord)) {
        free_chord(chord);
    }
    cel_map_fini(&s->chords);
}

/* Made when there is none; NULL: no memory. */
static struct chord *get(struct cel_memory *m, struct cel_slice group_id)
{
    struct chord *c = cel_map_get(&m->store->chords, group_id);
    if (c) {
        return c;
    }
    c = cel_calloc(1, sizeof *c);
    if (c && cel_map_set(&m->store->chords, group_id, c, NULL) < 0) {
        cel_free(c);
        c = NULL;
    }
    return c;
}

/* The document of a copy of the text, which may go while it is read. */
static celery_status parse(struct cel_arena *a, struct cel_slice json,
                           struct cel_node **ret_doc)
{
    char *copy = cel_arena_strndup(a, json.data, json.len);
    return copy ? cel_json_parse(a, cel_slice(copy, json.len), NULL, ret_doc, NULL)
                : CELERY_ENOMEM;
}

/* ---- notes and saved groups ---- */

static celery_status note(struct chord *c, const struct cel_group_note *n)
{
    char *copy;
    void *old = NULL;
    celery_status status;
    switch (n->kind) {
    case CEL_NOTE_CHORD_SIZE:
        c->size = n->number;
        c->sized = true;
        c->over = false;
        c->token[0] = '\0';
        return CELERY_OK;
    case CEL_NOTE_CHORD_GROW:
        status = cel_map_set(&c->grown, n->json, c, &old);
        c->more += status == CELERY_OK && !old;
        return status;
    case CEL_NOTE_SAVE_GROUP:
    default:
        copy = cel_strndup(n->json.data, n->json.len);
        if (!copy) {
            return CELERY_ENOMEM;
        }
        cel_free(c->group);
        c->group = copy;
        return CELERY_OK;
    }
}

void cel_memory_note(struct cel_backend *base, const struct cel_group_note *n,
                     struct cel_done done)
{
    struct cel_memory *m = self(base);
    struct chord *c = m->open ? get(m, n->group_id) : NULL;
    celery_status status = c ? note(c, n) : m->open ? CELERY_ENOMEM : CELERY_ECLOSED;
    if (status < 0) {
        cel_memory_fail(done, status);
    } else {
        cel_memory_answer(m, done, 1);
    }
}

struct group_notice {
    struct cel_memory_notice head;
    struct cel_done done;
    size_t len;
    char id[];
};

static void call_group(struct cel_memory *m, struct cel_memory_notice *head, bool dropped)
{
    struct group_notice *n = cel_container_of(head, struct group_notice, head);
    struct cel_slice id = cel_slice(n->id, n->len);
    struct chord *c = dropped ? NULL : cel_map_get(&m->store->chords, id);
    struct cel_arena a = {0};
    struct cel_node *tuple = NULL;
    if (c && c->group) {
        parse(&a, cel_slice_of(c->group), &tuple);
    }
    if (dropped) {
        cel_memory_fail(n->done, CELERY_ECLOSED);
    } else {
        if (m->base.events->group) {
            m->base.events->group(m->base.events_ctx, id, tuple);
        }
        cel_done(n->done, NULL, tuple != NULL);
    }
    cel_arena_fini(&a);
    cel_free(n);
}

void cel_memory_load_group(struct cel_backend *base, struct cel_slice group_id,
                           struct cel_done done)
{
    struct cel_memory *m = self(base);
    struct group_notice *n = m->open ? cel_calloc(1, sizeof *n + group_id.len + 1) : NULL;
    if (!n) {
        cel_memory_fail(done, m->open ? CELERY_ENOMEM : CELERY_ECLOSED);
        return;
    }
    n->head.call = call_group;
    n->done = done;
    n->len = group_id.len;
    if (group_id.len > 0) {
        memcpy(n->id, group_id.data, group_id.len);
    }
    cel_memory_tell(m, &n->head);
}

void cel_memory_forget_group(struct cel_backend *base, struct cel_slice group_id,
                             struct cel_done done)
{
    struct cel_memory *m = self(base);
    if (!m->open) {
        cel_memory_fail(done, CELERY_ECLOSED);
        return;
    }
    struct chord *c = cel_map_get(&m->store->chords, group_id);
    bool saved = c && c->group;
    if (saved) {
        cel_free(c->group);
        c->group = NULL;
    }
    cel_memory_answer(m, done, saved);
}

/* ---- parts ---- */

static struct cel_slice put_text(char **at, struct cel_slice text)
{
    struct cel_slice copy = cel_slice(*at, text.len);
    if (text.len > 0) {
        memcpy(*at, text.data, text.len);
    }
    *at += text.len;
    return copy;
}

static celery_status add_part(struct chord *c, const struct cel_chord_part *p)
{
    struct part **parts = cel_realloc(c->parts, c->n_parts + 1, sizeof *parts);
    struct part *part =
        cel_alloc(sizeof *part + p->task_id.len + p->state.len + p->result_json.len);
    if (parts) {
        c->parts = parts;
    }
    if (!parts || !part) {
        cel_free(part);
        return CELERY_ENOMEM;
    }
    char *at = part->bytes;
    part->index = p->group_index < 0 ? INT64_MAX : p->group_index;
    part->order = c->n_parts;
    part->id = put_text(&at, p->task_id);
    part->state = put_text(&at, p->state);
    part->json = put_text(&at, p->result_json);
    c->parts[c->n_parts++] = part;
    return CELERY_OK;
}

/* Once for each task and index. */
static celery_status count(struct chord *c, const struct cel_chord_part *p)
{
    struct cel_buf key = {0};
    void *old = NULL;
    cel_buf_add_slice(&key, p->task_id);
    cel_buf_addc(&key, ':');
    cel_buf_add_int(&key, p->group_index);
    celery_status status = cel_buf_ok(&key)
                               ? cel_map_set(&c->counted, cel_buf_slice(&key), c, &old)
                               : CELERY_ENOMEM;
    if (status == CELERY_OK && !old) {
        status = add_part(c, p);
        if (status < 0) {
            cel_map_del(&c->counted, cel_buf_slice(&key));
        }
    }
    cel_buf_fini(&key);
    return status;
}

static bool holds(const struct chord *c, struct cel_slice token)
{
    return c->token[0] && cel_clock_mono() < c->claimed_until &&
           cel_slice_is(token, c->token);
}

static bool is_free(const struct chord *c)
{
    return !c->token[0] || cel_clock_mono() >= c->claimed_until;
}

static void claim(struct chord *c, struct cel_slice token, int seconds)
{
    size_t len = token.len < sizeof c->token ? token.len : sizeof c->token - 1;
    memcpy(c->token, token.data, len);
    c->token[len] = '\0';
    c->claimed_until = cel_clock_mono() + seconds;
}

static int by_index(const void *a, const void *b)
{
    const struct part *x = *(struct part *const *)a;
    const struct part *y = *(struct part *const *)b;
    if (x->index != y->index) {
        return x->index < y->index ? -1 : 1;
    }
    return x->order < y->order ? -1 : 1;
}

static struct cel_node *parts_doc(struct cel_arena *a, struct chord *c)
{
    struct cel_node *array = cel_node_new(a, CELERY_KIND_ARRAY);
    celery_status status = CELERY_OK;
    qsort(c->parts, c->n_parts, sizeof c->parts[0], by_index);
    for (size_t i = 0; i < c->n_parts && status == CELERY_OK; i++) {
        struct cel_node *one = cel_node_new(a, CELERY_KIND_ARRAY);
        struct cel_node *value = NULL;
        const struct part *part = c->parts[i];
        status = parse(a, part->json, &value);
        if (status == CELERY_OK &&
            (cel_node_append(one, cel_node_new_int(a, 1)) < 0 ||
             cel_node_append(one, cel_node_new_string(a, part->id)) < 0 ||
             cel_node_append(one, cel_node_new_string(a, part->state)) < 0 ||
             cel_node_append(one, value) < 0 || cel_node_append(array, one) < 0)) {
            status = CELERY_ENOMEM;
        }
    }
    return status == CELERY_OK ? array : NULL;
}

struct part_notice {
    struct cel_memory_notice head;
    struct cel_chord_done done;
    enum cel_chord_answer answer;
    struct cel_arena arena;
    struct cel_chord_parts parts;
};

static void call_part(struct cel_memory *m, struct cel_memory_notice *head, bool dropped)
{
    struct part_notice *n = cel_container_of(head, struct part_notice, head);
    celery_error err = {0};
    if (dropped) {
        cel_error_set(&err, CELERY_ECLOSED, "result backend: not connected");
    } else if (n->answer == CEL_CHORD_CLAIMED && !n->parts.parts) {
        cel_error_nomem(&err);
    }
    n->done.fn(n->done.ctx, err.status < 0 ? &err : NULL, n->answer, &n->parts);
    cel_arena_fini(&n->arena);
    cel_free(n);
}

static enum cel_chord_answer decide(struct chord *c, const struct cel_chord_part *p)
{
    if (!c->sized || (int64_t)c->n_parts != c->size + c->more) {
        return CEL_CHORD_OPEN;
    }
    if (!is_free(c) && !holds(c, p->token)) {
        return CEL_CHORD_BUSY;
    }
    claim(c, p->token, p->claim_seconds);
    return CEL_CHORD_CLAIMED;
}

void cel_memory_add_chord_part(struct cel_backend *base,
                               const struct cel_chord_part *part,
                               struct cel_chord_done done)
{
    struct cel_memory *m = self(base);
    struct chord *c = m->open ? get(m, part->group_id) : NULL;
    struct part_notice *n = c ? cel_calloc(1, sizeof *n) : NULL;
    celery_status status = n ? CELERY_OK : m->open ? CELERY_ENOMEM : CELERY_ECLOSED;
    if (status == CELERY_OK && (!c->over || part->fresh)) {
        status = count(c, part);
    }
    if (status < 0) {
        celery_error err = {0};
        cel_free(n);
        cel_error_set(&err, status, "result backend: %s", celery_status_text(status));
        done.fn(done.ctx, &err, CEL_CHORD_OPEN, NULL);
        return;
    }
    n->head.call = call_part;
    n->done = done;
    n->answer = c->over ? CEL_CHORD_OPEN : decide(c, part);
    if (n->answer == CEL_CHORD_CLAIMED) {
        struct cel_node *group = NULL;
        n->parts.parts = parts_doc(&n->arena, c);
        if (c->group) {
            parse(&n->arena, cel_slice_of(c->group), &group);
        }
        n->parts.group = group;
    }
    cel_memory_tell(m, &n->head);
}

void cel_memory_keep_chord(struct cel_backend *base, struct cel_slice group_id,
                           struct cel_slice token, int seconds, struct cel_done done)
{
    struct cel_memory *m = self(base);
    if (!m->open) {
        cel_memory_fail(done, CELERY_ECLOSED);
        return;
    }
    struct chord *c = cel_map_get(&m->store->chords, group_id);
    bool ours = c && !c->over && c->sized && (is_free(c) || holds(c, token));
    if (ours) {
        claim(c, token, seconds);
    }
    cel_memory_answer(m, done, ours);
}

void cel_memory_end_chord(struct cel_backend *base, struct cel_slice group_id,
                          struct cel_slice token, bool failed, struct cel_done done)
{
    struct cel_memory *m = self(base);
    if (!m->open) {
        cel_memory_fail(done, CELERY_ECLOSED);
        return;
    }
    struct chord *c = cel_map_get(&m->store->chords, group_id);
    bool ours = c && holds(c, token);
    if (ours) {
        c->sized = false;
        c->over = !failed;
        if (!failed) {
            clear_parts(c);
            c->token[0] = '\0';
        }
    }
    cel_memory_answer(m, done, ours);
}
