/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/chord_push.h"

#include "base/alloc.h"
#include "message/envelope_json.h"
#include "net/redis_conn.h"

/* Messages of a body that go in one step; a larger group goes the other way. */
#define PUSHES_MAX 64

struct pushing {
    struct cel_follow_claim *claim;
    struct cel_carry_done done;
    struct cel_errand errand;
    int db;
    size_t n;
    struct cel_buf keys[PUSHES_MAX];
    struct cel_buf texts[PUSHES_MAX];
};

static void free_pushing(struct pushing *p)
{
    for (size_t i = 0; i < p->n; i++) {
        cel_buf_fini(&p->keys[i]);
        cel_buf_fini(&p->texts[i]);
    }
    cel_free(p);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Sentinels may name different masters, and a path is a socket only in redis+socket. */
static bool same_server(const struct cel_url *a, const struct cel_url *b)
{
    if (!a || !b || strcmp(a->scheme, b->scheme) != 0) {
        return false;
    }
    if (strcmp(a->scheme, "redis+socket") == 0) {
        return same_text(a->path, b->path);
    }
    return (strcmp(a->scheme, "redis") == 0 || strcmp(a->scheme, "rediss") == 0) &&
           same_text(a->host, b->host) && a->port == b->port;
}

/* One message into keys[n], texts[n]. */
static bool place(struct pushing *p, const struct cel_effect *e)
{
    struct celery_worker *w = p->claim->r->w;
    struct cel_transport *t = cel_link_transport(w->link);
    struct cel_envelope *envelope = NULL;
    struct cel_buf routing_key = {0};
    bool placed = false;

    if (e->exchange.len == 0 && p->n < PUSHES_MAX &&
        cel_envelope_read(e->json, &envelope, NULL) == CELERY_OK &&
        cel_buf_add_slice(&routing_key, e->routing_key) == CELERY_OK) {
        p->n++;
        placed = t->ops->place(t, "", cel_buf_cstr(&routing_key), envelope,
                               &p->keys[p->n - 1], &p->texts[p->n - 1]) == CELERY_OK;
    }
    cel_buf_fini(&routing_key);
    cel_envelope_free(envelope);
    return placed;
}

/* Messages alone: a note must be confirmed before them. */
static bool place_all(struct pushing *p)
{
    struct cel_slice rest = cel_buf_slice(&p->claim->effects.bytes);
    struct cel_effect e;

    while (cel_effects_next(&rest, &e, NULL)) {
        if (e.kind == CEL_EFFECT_CHILD) {
            continue;
        }
        /* An event goes by another way: then the message does too. */
        if (e.kind != CEL_EFFECT_PUBLISH || !place(p, &e)) {
            return false;
        }
    }
    return p->n > 0;
}

/* Done once more, the claim has become the mark of the end: that is an end as well. */
static void on_done(void *ctx, const celery_error *err)
{
    struct pushing *p = ctx;
    struct cel_carry_done done = p->done;

    free_pushing(p);
    done.fn(done.ctx, err);
}

static void start(struct cel_errand *errand, struct cel_backend *backend)
{
    struct pushing *p = cel_container_of(errand, struct pushing, errand);
    struct cel_chord_push pushes[PUSHES_MAX];

    for (size_t i = 0; i < p->n; i++) {
        pushes[i].key = cel_buf_slice(&p->keys[i]);
        pushes[i].text = cel_buf_slice(&p->texts[i]);
    }
    backend->ops->end_chord_with(backend, p->claim->group_id,
                                 cel_slice_of(p->claim->token), p->db, pushes, p->n,
                                 (struct cel_done){cel_errand_answer, errand});
}

bool cel_chord_push(struct cel_follow_claim *claim, struct cel_carry_done done)
{
    struct celery_worker *w = claim->r->w;
    const struct cel_url *broker = cel_link_url(w->link);
    const struct cel_backend_ops *ops = cel_results_ops(w->results);

    if (!cel_link_transport(w->link)->ops->place || !ops || !ops->end_chord_with ||
        !same_server(broker, cel_results_url(w->results))) {
        return false;
    }
    struct pushing *p = cel_calloc(1, sizeof *p);

    if (!p) {
        return false;
    }
    p->claim = claim;
    p->done = done;
    p->db = cel_redis_url_db(broker);
    if (!place_all(p)) {
        free_pushing(p);
        return false;
    }
    p->errand.start = start;
    p->errand.done = on_done;
    p->errand.ctx = p;
    cel_results_run(w->results, &p->errand);
    return true;
}
