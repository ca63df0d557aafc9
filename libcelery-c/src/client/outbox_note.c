/* SPDX-License-Identifier: BSD-3-Clause */
/* Notes for the result backend, confirmed before the messages that need them. */
#include "backend/backend.h"
#include "base/error.h"
#include "client/client.h"
#include "client/outbox.h"
#include <math.h>

/* The backend's own limits are shorter; this one is for a server that answers nothing. */
static const double ANSWER_TIMEOUT = 30;

static void all_noted(struct cel_batch *b)
{
    b->noted = true;
    cel_list_remove(&b->node);
    if (b->rest.len > 0) {
        cel_list_append(&b->outbox->sending, &b->node);
    }
}

/* Setting a size and saving a group twice is harmless: also what is in doubt is repeated. */
static bool may_repeat(const struct cel_batch *b)
{
    return (celery_error_retriable(&b->note_err) ||
            b->note_err.status == CELERY_EUNCERTAIN) &&
           b->note_retries < b->outbox->policy.max_retries && !b->outbox->closed;
}

static void on_noted(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_batch *b = ctx;
    struct cel_outbox *o = b->outbox;

    if (err && b->note_err.status == CELERY_OK) {
        b->note_err = *err;
    }
    cel_outbox_poke(o);
    if (--b->n_noting > 0) {
        return;
    }
    if (b->err.status < 0) {
        cel_batch_check(b);
    } else if (b->note_err.status == CELERY_OK) {
        all_noted(b);
        cel_batch_check(b);
    } else if (may_repeat(b)) {
        b->notes_at =
            cel_client_now(o->client) + cel_outbox_interval(o, b->note_retries++);
    } else {
        cel_batch_fail(b, &b->note_err);
        cel_batch_check(b);
    }
}

static bool to_note(const struct cel_effect *e, struct cel_group_note *ret)
{
    *ret =
        (struct cel_group_note){.group_id = e->id, .number = e->number, .json = e->json};
    switch (e->kind) {
    case CEL_EFFECT_CHORD_SIZE:
        ret->kind = CEL_NOTE_CHORD_SIZE;
        return true;
    case CEL_EFFECT_CHORD_GROW:
        ret->kind = CEL_NOTE_CHORD_GROW;
        return true;
    case CEL_EFFECT_SAVE_GROUP:
        ret->kind = CEL_NOTE_SAVE_GROUP;
        ret->of_chord = true;
        return true;
    default:
        return false;
    }
}

static void begin(struct cel_batch *b)
{
    struct cel_backend *backend = b->outbox->client->backend;
    struct cel_slice rest = cel_buf_slice(&b->effects.bytes);
    struct cel_group_note note;
    struct cel_effect e;

    b->notes_at = cel_client_now(b->outbox->client);
    b->note_err = (celery_error){0};
    b->n_noting = 1; /* until all are begun */
    while (cel_effects_next(&rest, &e, NULL)) {
        if (to_note(&e, &note)) {
            b->n_noting++;
            backend->ops->note(backend, &note, (struct cel_done){on_noted, b});
        }
    }
    on_noted(b, NULL, 0);
}

static void give_up(struct cel_outbox *o)
{
    celery_client *client = o->client;
    celery_error why = {0};

    cel_error_set(&why, CELERY_ETIMEOUT, "result backend: no answer in %g s",
                  ANSWER_TIMEOUT);
    client->backend->ops->close(client->backend);
    cel_uplink_lost(&client->results, &why);
}

double cel_outbox_note(struct cel_outbox *o)
{
    double now = cel_client_now(o->client);
    double next = INFINITY;
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &o->noting) {
        struct cel_batch *b = cel_container_of(it, struct cel_batch, node);
        if (b->n_noting > 0 && now - b->notes_at >= ANSWER_TIMEOUT) {
            give_up(o); /* ends what is noted, and may end the batch */
            return now;
        }
        if (b->n_noting > 0) {
            next = fmin(next, b->notes_at + ANSWER_TIMEOUT);
        } else if (b->notes_at > now) {
            next = fmin(next, b->notes_at);
        } else if (o->client->results.state == CEL_UPLINK_UP) {
            begin(b);
        }
    }
    return next;
}
