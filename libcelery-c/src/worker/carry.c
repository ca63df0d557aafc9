/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/carry.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/uuid.h"
#include "message/envelope_json.h"
#include "worker/direct.h"
#include "worker/events.h"

/* Messages of one list that are under way at a time. */
#define WINDOW 256

/* Seconds in which each message must be with the broker. */
#define PUBLISH_DEADLINE 900.0

struct cel_carry {
    struct celery_worker *w;
    struct cel_carry_done done;
    struct cel_arena arena;
    struct cel_slice list;
    struct cel_slice rest; /* entries not looked at yet, in this round */
    bool messages;         /* second round: the notes are confirmed */
    bool walking;
    bool direct; /* a step may be run without the broker */
    size_t open; /* entries under way */
    celery_error err;
};

struct note {
    struct cel_errand errand;
    struct cel_carry *carry;
    struct cel_group_note note;
};

struct message {
    struct cel_publish publish;
    struct cel_carry *carry;
    struct cel_envelope envelope; /* its text is the carry's */
};

static void walk(struct cel_carry *c);

static void fail(struct cel_carry *c, const celery_error *err)
{
    if (c->err.status == CELERY_OK) {
        c->err = *err;
    }
    c->rest = CEL_SLICE_NULL;
}

static void fail_nomem(struct cel_carry *c)
{
    celery_error err = {0};

    cel_error_nomem(&err);
    fail(c, &err);
}

/* An entry has ended: the next ones may go, or all is over.  May free c. */
static void one_less(struct cel_carry *c, const celery_error *err)
{
    if (err) {
        fail(c, err);
    }
    c->open--;
    if (!c->walking) {
        walk(c);
    }
}

/* ---- notes ---- */

static void start_note(struct cel_errand *e, struct cel_backend *backend)
{
    struct note *n = cel_container_of(e, struct note, errand);

    backend->ops->note(backend, &n->note, (struct cel_done){cel_errand_answer, e});
}

static void on_noted(void *ctx, const celery_error *err)
{
    struct note *n = ctx;

    one_less(n->carry, err);
}

/* CHORD_GROW: a token of its own, so that the note can be made twice. */
static celery_status fill_note(struct cel_carry *c, struct note *n,
                               const struct cel_effect *e)
{
    n->note.group_id = e->id;
    n->note.number = e->number;
    n->note.json = e->json;
    switch (e->kind) {
    case CEL_EFFECT_CHORD_SIZE:
        n->note.kind = CEL_NOTE_CHORD_SIZE;
        return CELERY_OK;
    case CEL_EFFECT_SAVE_GROUP:
        n->note.kind = CEL_NOTE_SAVE_GROUP;
        n->note.of_chord = true;
        return CELERY_OK;
    default:
        break;
    }
    char *token = cel_arena_alloc(&c->arena, CEL_UUID_SIZE);

    if (!token) {
        return CELERY_ENOMEM;
    }
    cel_uuid4(token);
    n->note.kind = CEL_NOTE_CHORD_GROW;
    n->note.json = cel_slice_of(token);
    return CELERY_OK;
}

static void leave_note(struct cel_carry *c, const struct cel_effect *e)
{
    struct note *n = cel_arena_alloc(&c->arena, sizeof *n);

    if (!n) {
        fail_nomem(c);
        return;
    }
    memset(n, 0, sizeof *n);
    n->carry = c;
    n->errand.start = start_note;
    n->errand.done = on_noted;
    n->errand.ctx = n;
    if (fill_note(c, n, e) < 0) {
        fail_nomem(c);
        return;
    }
    if (!cel_results_count(c->w->results)) {
        celery_error err = {CELERY_ENOTSUP, 0,
                            "the result backend cannot count the parts of chords"};
        fail(c, &err);
        return;
    }
    c->open++;
    cel_results_run(c->w->results, &n->errand);
}

/* ---- messages ---- */

static void on_published(void *ctx, const celery_error *err)
{
    struct message *m = ctx;
    struct cel_carry *c = m->carry;

    cel_free(m);
    one_less(c, err);
}

/* The message and its NUL-terminated texts in one piece; NULL: no memory. */
static struct message *new_message(struct cel_carry *c, const struct cel_effect *e)
{
    struct message *m = cel_calloc(1, sizeof *m + e->exchange.len + e->routing_key.len +
                                          e->queue.len + 3);

    if (!m) {
        return NULL;
    }
    char *exchange = (char *)(m + 1);
    char *routing_key = exchange + e->exchange.len + 1;

    if (e->exchange.len > 0) {
        memcpy(exchange, e->exchange.data, e->exchange.len);
    }
    if (e->routing_key.len > 0) {
        memcpy(routing_key, e->routing_key.data, e->routing_key.len);
    }
    m->carry = c;
    m->envelope.raw = e->json;
    m->envelope.written = true;
    m->envelope.priority = (int)e->number;
    m->publish.envelope = &m->envelope;
    m->publish.exchange = exchange;
    m->publish.routing_key = routing_key;
    m->publish.deadline = cel_loop_now(c->w->loop) + PUBLISH_DEADLINE;
    m->publish.done = on_published;
    m->publish.ctx = m;
    return m;
}

static celery_status find_queue(struct cel_carry *c, struct message *m,
                                const struct cel_effect *e, celery_error *err)
{
    char *name = (char *)m->publish.routing_key + e->routing_key.len + 1;
    struct cel_route route;

    if (e->queue.len == 0) {
        return CELERY_OK;
    }
    memcpy(name, e->queue.data, e->queue.len);
    celery_status status =
        cel_router_route(c->w->router, CEL_SLICE_NULL, name, &route, err);
    if (status == CELERY_OK) {
        m->publish.queue = route.queue;
    }
    return status;
}

static void publish(struct cel_carry *c, const struct cel_effect *e)
{
    struct message *m = new_message(c, e);
    celery_error err = {0};

    if (!m) {
        fail_nomem(c);
        return;
    }
    if (find_queue(c, m, e, &err) < 0) {
        cel_free(m);
        fail(c, &err);
        return;
    }
    if (c->direct && e->exchange.len == 0 &&
        cel_direct_run(c->w, m->publish.routing_key, e->json)) {
        cel_free(m);
        return;
    }
    c->open++;
    cel_link_publish(c->w->link, &m->publish);
}

/* ---- the list ---- */

static void end(struct cel_carry *c)
{
    struct cel_carry_done done = c->done;
    celery_error err = c->err;

    cel_arena_fini(&c->arena);
    cel_free(c);
    done.fn(done.ctx, err.status < 0 ? &err : NULL);
}

static bool is_note(const struct cel_effect *e)
{
    return e->kind == CEL_EFFECT_CHORD_SIZE || e->kind == CEL_EFFECT_SAVE_GROUP ||
           e->kind == CEL_EFFECT_CHORD_GROW;
}

static void walk_round(struct cel_carry *c)
{
    struct cel_effect e;
    bool bad = false;

    while (c->open < WINDOW && cel_effects_next(&c->rest, &e, &bad)) {
        if (!c->messages && is_note(&e)) {
            leave_note(c, &e);
        } else if (c->messages && e.kind == CEL_EFFECT_PUBLISH) {
            publish(c, &e);
        } else if (c->messages && e.kind == CEL_EFFECT_EVENT) {
            cel_events_pass_on(c->w->events, e.id, e.json);
        }
    }
    if (bad) {
        celery_error err = {CELERY_EPROTO, 0, "effects that are none"};
        fail(c, &err);
    }
}

/* Goes on as far as it can; may free c. */
static void walk(struct cel_carry *c)
{
    c->walking = true;
    for (;;) {
        walk_round(c);
        if (c->rest.len > 0 || c->open > 0) {
            break;
        }
        if (c->messages || c->err.status < 0) {
            end(c);
            return;
        }
        c->messages = true;
        c->rest = c->list;
    }
    c->walking = false;
}

static void add_children(struct cel_slice list, struct cel_buf *children)
{
    struct cel_effect e;

    while (children && cel_effects_next(&list, &e, NULL)) {
        if (e.kind == CEL_EFFECT_CHILD) {
            if (children->len > 0) {
                cel_buf_adds(children, ", ");
            }
            cel_buf_add_slice(children, e.json);
        }
    }
}

static void start(struct celery_worker *w, struct cel_slice effects, bool direct,
                  struct cel_buf *children, struct cel_carry_done done)
{
    struct cel_carry *c = cel_calloc(1, sizeof *c);
    char *copy = c ? cel_arena_strndup(&c->arena, effects.data, effects.len) : NULL;

    if (!copy) {
        celery_error err = {0};

        cel_error_nomem(&err);
        if (c) {
            cel_arena_fini(&c->arena);
        }
        cel_free(c);
        done.fn(done.ctx, &err);
        return;
    }
    add_children(effects, children);
    c->w = w;
    c->done = done;
    c->direct = direct;
    c->list = c->rest = cel_slice(copy, effects.len);
    walk(c);
}

void cel_carry_start(struct celery_worker *w, struct cel_slice effects,
                     struct cel_buf *children, struct cel_carry_done done)
{
    start(w, effects, false, children, done);
}

void cel_carry_follow(const struct cel_request *r, struct cel_buf *children,
                      struct cel_carry_done done)
{
    start(r->w, r->outcome.effects, cel_direct_from(r), children, done);
}
