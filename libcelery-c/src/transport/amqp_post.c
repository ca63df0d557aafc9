/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_post.h"
#include "base/alloc.h"
#include "base/error.h"
#include "message/envelope_json.h"
#include "transport/amqp_declare.h"

enum { NO_ROUTE = 312 };

/* A message on its way. */
struct post {
    struct cel_list node;
    struct cel_amqp_transport *a;
    const struct cel_envelope *envelope; /* borrowed, or */
    struct cel_envelope *owned;          /* read from what was written for others */
    struct cel_done done;
    celery_error why;
    bool mandatory;
    bool ours;  /* does not wait for declarations */
    bool again; /* its queue was declared once more for it */
    const char *routing_key;
    char exchange[]; /* and the routing key behind it */
};

static void end_with(struct post *give_post, const celery_error *err, int64_t answer)
{
    struct cel_done done = give_post->done;
    celery_error copy = err ? *err : (celery_error){0};

    cel_list_remove(&give_post->node);
    cel_envelope_free(give_post->owned);
    cel_free(give_post);
    cel_done(done, err ? &copy : NULL, answer);
}

static void end(struct post *give_post, const celery_error *err)
{
    end_with(give_post, err, 0);
}

static struct post *post_of(struct cel_list *node)
{
    return cel_container_of(node, struct post, node);
}

/* ---- answers ---- */

static void on_redeclared(void *ctx, const celery_error *err, int64_t answer)
{
    struct post *p = ctx;

    if (err) {
        end(p, err);
        return;
    }
    cel_list_append(&p->a->publishing.waiting, &p->node);
    cel_source_schedule(p->a->flush);
}

/* Nobody took it.  A queue that we know was deleted, and is made again once. */
static void returned(struct post *p, const celery_error *err)
{
    struct cel_amqp_queue *q =
        p->exchange[0] ? NULL : cel_amqp_known_queue(p->a, cel_slice_of(p->routing_key));
    celery_error why = {0};

    if (q && q->def.name && !q->def.no_declare && !p->again) {
        p->again = true;
        cel_amqp_redeclare(p->a, q, (struct cel_done){on_redeclared, p});
        return;
    }
    cel_error_set(&why, CELERY_ENOTSUP, "no queue took it: %s%s%srouting key %s (%s)",
                  p->exchange[0] ? "exchange " : "", p->exchange,
                  p->exchange[0] ? ", " : "", p->routing_key, err->message);
    why.code = err->code;
    end(p, &why);
}

static void on_published(void *ctx, const celery_error *err, int64_t answer)
{
    struct post *p = ctx;
    struct cel_amqp_transport *a = p->a;

    a->publishing.in_flight--;
    if (!err) {
        end_with(p, NULL, p->envelope->counted ? -1 : 0);
    } else if (err->code == NO_ROUTE && p->envelope->counted) {
        end_with(p, NULL, 0);
    } else if (err->status == CELERY_EUNCERTAIN || err->status == CELERY_ECLOSED) {
        p->why = *err;
        cel_list_append(&a->publishing.uncertain, &p->node);
        cel_source_schedule(a->flush);
    } else if (err->code == NO_ROUTE) {
        returned(p, err);
    } else {
        end(p, err);
    }
    if (!cel_list_empty(&a->publishing.waiting)) {
        cel_source_schedule(a->flush);
    }
}

/*
 * Which of them did it cannot be seen, unless it was alone: all others go again.  They may be
 * there twice then, as after any connection that was lost.
 */
static void on_closed(void *ctx, const celery_error *why)
{
    struct cel_amqp_transport *a = ctx;
    struct cel_list *first = cel_list_first(&a->publishing.uncertain);
    bool alone = first && first->next == &a->publishing.uncertain;
    celery_error copy = *why;

    a->publishing.channel = cel_amqp_channel_free(a->publishing.channel);
    a->publishing.careful = true;
    if (alone) {
        copy.status = CELERY_ENOTSUP; /* the same again would be refused again */
        end(post_of(first), &copy);
        cel_source_schedule(a->flush);
        return;
    }
    while (!cel_list_empty(&a->publishing.uncertain)) {
        struct cel_list *last = a->publishing.uncertain.prev;

        cel_list_remove(last);
        cel_list_prepend(&a->publishing.waiting, last);
    }
    cel_source_schedule(a->flush);
}

static const struct cel_amqp_channel_events events = {.closed = on_closed};

/* ---- sending ---- */

static celery_status open_channel(struct cel_amqp_transport *a, celery_error *err)
{
    return cel_amqp_channel_open(a->conn, &events, a, &a->publishing.channel, err);
}

static void send(struct post *p)
{
    struct cel_amqp_transport *a = p->a;
    celery_error err = {0};

    cel_list_remove(&p->node);
    if (!a->publishing.channel && open_channel(a, &err) < 0) {
        end(p, &err);
        return;
    }
    a->publishing.in_flight++;
    cel_amqp_publish(a->publishing.channel, p->exchange, p->routing_key, p->mandatory,
                     p->envelope, (struct cel_done){on_published, p});
}

static bool must_wait(const struct cel_amqp_transport *a, const struct post *p)
{
    return (a->asking.declaring > 0 && !p->ours) ||
           (a->publishing.careful && a->publishing.in_flight > 0);
}

void cel_amqp_post_flush(struct cel_amqp_transport *a)
{
    struct cel_list *first;

    if (!a->connected) {
        return;
    }
    first = cel_list_first(&a->publishing.uncertain);
    if (first) { /* no confirm came, and the channel is open: the broker is not well */
        cel_amqp_abandon(a, &post_of(first)->why);
        return;
    }
    while (a->connected && (first = cel_list_first(&a->publishing.waiting)) &&
           !must_wait(a, post_of(first))) {
        send(post_of(first));
    }
    if (a->publishing.in_flight == 0 && cel_list_empty(&a->publishing.waiting)) {
        a->publishing.careful = false;
    }
}

static void put(struct post *p)
{
    struct cel_amqp_transport *a = p->a;

    if (a->publishing.careful || must_wait(a, p) ||
        (!p->ours && !cel_list_empty(&a->publishing.waiting))) {
        cel_list_append(&a->publishing.waiting, &p->node);
        cel_source_schedule(a->flush);
    } else {
        send(p);
    }
}

static struct post *new_post(struct cel_amqp_transport *a, const char *exchange,
                             const char *routing_key, struct cel_done done)
{
    size_t len = strlen(exchange) + 1, key_len = strlen(routing_key) + 1;
    struct post *p = cel_calloc(1, sizeof *p + len + key_len);

    if (!p) {
        return NULL;
    }
    memcpy(p->exchange, exchange, len);
    memcpy(p->exchange + len, routing_key, key_len);
    p->routing_key = p->exchange + len;
    p->a = a;
    p->done = done;
    cel_list_init(&p->node);
    return p;
}

/* What was written as kombu's JSON (for any broker) becomes a message again. */
static celery_status read_written(struct post *p, celery_error *err)
{
    celery_status status = cel_envelope_read(p->envelope->raw, &p->owned, err);

    if (status == 0) {
        p->owned->priority = p->envelope->priority;
        p->envelope = p->owned;
    }
    return status;
}

void cel_amqp_post(struct cel_transport *t, const char *exchange, const char *routing_key,
                   const struct cel_envelope *envelope, struct cel_done done)
{
    struct cel_amqp_transport *a = cel_amqp_transport(t);
    const char *name = exchange ? exchange : "";
    celery_error err = {0};
    struct post *p;

    if (cel_amqp_is_closed(a, done)) {
        return;
    }
    p = new_post(a, name, routing_key ? routing_key : "", done);
    if (!p) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    p->envelope = envelope;
    p->mandatory = envelope->counted ||
                   (!envelope->optional && !(name[0] && cel_amqp_is_fanout(a, name)));
    if (envelope->written && read_written(p, &err) < 0) {
        end(p, &err);
        return;
    }
    put(p);
}

void cel_amqp_post_to(struct cel_amqp_transport *a, const char *queue,
                      const struct cel_envelope *envelope, struct cel_done done)
{
    struct post *p = new_post(a, "", queue, done);

    if (!p) {
        cel_amqp_refuse(done, CELERY_ENOMEM);
        return;
    }
    p->envelope = envelope;
    p->mandatory = true;
    p->ours = true;
    put(p);
}

void cel_amqp_post_reset(struct cel_amqp_transport *a)
{
    celery_error err = {CELERY_ECLOSED, 0, "connection closed"};
    struct cel_list *first;

    a->publishing.channel = NULL;
    a->publishing.careful = false;
    a->publishing.in_flight = 0;
    while ((first = cel_list_first(&a->publishing.uncertain))) {
        end(post_of(first), &post_of(first)->why);
    }
    while ((first = cel_list_first(&a->publishing.waiting))) {
        end(post_of(first), &err);
    }
}
