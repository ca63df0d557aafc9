/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of one pass go out ten at a time; those of a FIFO queue one batch after the other. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "message/envelope_json.h"
#include "transport/sqs_entry.h"

enum {
    SENDING = 8,       /* batches at once for a standard queue */
    SENDING_PARTS = 2, /* of these batches that are not full */
};

/* One message for one queue. */
struct post {
    struct cel_list node; /* in unsent */
    const struct cel_envelope *envelope;
    struct cel_envelope *owned; /* what was written as JSON, read again; or NULL */
    struct cel_sqs_extra extra; /* texts in the block */
    struct cel_done done;
    struct cel_sqs_digests digests; /* as it was sent last */
    unsigned tries;
    bool looked; /* the queue was missing once and was looked up again */
    char text[];
};

struct batch {
    struct cel_sqs_queue *q;
    size_t n;
    struct post *posts[CEL_SQS_BATCH];
    bool again[CEL_SQS_BATCH];
};

static void end(struct post *give_post, const celery_error *err)
{
    struct cel_done done = give_post->done;

    cel_list_remove(&give_post->node);
    cel_envelope_free(give_post->owned);
    cel_free(give_post);
    cel_done(done, err, 0);
}

static void end_with(struct post *give_post, celery_status status, const char *text)
{
    celery_error err = {0};

    cel_error_set(&err, status, "%s", text);
    end(give_post, &err);
}

/* ---- a post ---- */

static const char *keep(char **at, const char *text)
{
    char *start = *at;

    if (!text) {
        return NULL;
    }
    *at += strlen(text) + 1;
    return memcpy(start, text, strlen(text) + 1);
}

static size_t size_of(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static struct post *new_post(const struct cel_sqs_extra *extra)
{
    struct post *p =
        cel_calloc(1, sizeof *p + size_of(extra->group) + size_of(extra->dedup) +
                          size_of(extra->reason) + size_of(extra->from) + extra->raw.len);
    char *at = p ? p->text : NULL;

    if (!p) {
        return NULL;
    }
    cel_list_init(&p->node);
    p->extra = *extra;
    p->extra.group = keep(&at, extra->group);
    p->extra.dedup = keep(&at, extra->dedup);
    p->extra.reason = keep(&at, extra->reason);
    p->extra.from = keep(&at, extra->from);
    if (extra->raw.len) {
        memcpy(at, extra->raw.data, extra->raw.len);
        p->extra.raw.data = at;
    }
    return p;
}

/*
 * What was written as kombu's JSON is read for what SQS wants beside it, and sent as it is; so is
 * what cannot be read, a dead letter that is sent again.
 */
static celery_status read_written(struct post *p, celery_error *err)
{
    celery_status st = cel_envelope_read(p->envelope->raw, &p->owned, err);

    if (st == 0) {
        p->owned->written = true;
        p->envelope = p->owned;
    }
    return st == CELERY_ENOMEM ? st : CELERY_OK;
}

static void on_found(void *ctx, const celery_error *err, int64_t answer);

struct pending {
    struct cel_sqs_queue *q;
    struct post *post;
};

static void look_up(struct cel_sqs_queue *q, struct post *give_post)
{
    struct pending *w = cel_alloc(sizeof *w);

    if (!w) {
        end_with(give_post, CELERY_ENOMEM, "out of memory");
        return;
    }
    *w = (struct pending){q, give_post};
    cel_sqs_find(q, (struct cel_done){on_found, w});
}

static void put(struct cel_sqs_queue *q, struct post *give_post)
{
    if (q->find != CEL_SQS_FOUND || !cel_list_empty(&q->waiting)) {
        look_up(q, give_post);
        return;
    }
    cel_list_append(&q->unsent, &give_post->node);
    q->n_unsent++;
    cel_sqs_wake(q->s);
}

static void on_found(void *ctx, const celery_error *err, int64_t answer)
{
    struct pending w = *(struct pending *)ctx;

    cel_free(ctx);
    if (err) {
        end(w.post, err);
        return;
    }
    cel_list_append(&w.q->unsent, &w.post->node);
    w.q->n_unsent++;
    cel_sqs_wake(w.q->s);
}

void cel_sqs_post(struct cel_sqs_queue *q, const struct cel_envelope *envelope,
                  const struct cel_sqs_extra *extra, struct cel_done done)
{
    static const struct cel_sqs_extra none;
    struct post *p = new_post(extra ? extra : &none);
    celery_error err = {0};

    if (!p) {
        cel_error_nomem(&err);
        cel_done(done, &err, 0);
        return;
    }
    p->envelope = envelope;
    p->done = done;
    if (envelope->written && read_written(p, &err) < 0) {
        end(p, &err);
        return;
    }
    put(q, p);
}

/* ---- batches ---- */

static void free_batch(struct batch *b)
{
    cel_free(b);
}

/* Once more, before all others: in their order. */
static void put_back(struct batch *b)
{
    struct cel_sqs_queue *q = b->q;

    for (size_t i = b->n; i-- > 0;) {
        if (b->again[i]) {
            cel_list_prepend(&q->unsent, &b->posts[i]->node);
            q->n_unsent++;
        }
    }
}

/* What it does not say is right. */
static bool says(const struct cel_node *md5, const char mine[CEL_MD5_HEX])
{
    return !cel_node_is_string(md5) ||
           cel_slice_eq(cel_node_text(md5), cel_slice(mine, CEL_MD5_HEX));
}

/* The service says what it got: if that is another message, it lies there, and ours is not sent. */
static bool is_whole(const struct cel_sqs_queue *q, const struct post *p,
                     const struct cel_node *done)
{
    const struct cel_node *body = cel_node_get(done, CEL_SLICE("MD5OfMessageBody"));
    const struct cel_node *rest = cel_node_get(done, CEL_SLICE("MD5OfMessageAttributes"));

    if (says(body, p->digests.body) &&
        (!p->digests.has_attributes || says(rest, p->digests.attributes))) {
        return true;
    }
    cel_log(CELERY_LOG_WARNING,
            "SQS queue %s got another message than was sent (MD5): it is sent again",
            q->name);
    return false;
}

static void on_entry(void *ctx, size_t i, const struct cel_node *done,
                     const struct cel_node *failed)
{
    static const struct cel_node damaged = {.kind = CELERY_KIND_OBJECT};
    struct batch *b = ctx;
    struct post *p = b->posts[i];
    celery_error err = {0};
    char what[120];

    if (done && !is_whole(b->q, p, done)) {
        failed = &damaged;
    }
    if (!failed) {
        end(p, NULL);
        return;
    }
    if (!cel_sqs_entry_is_final(failed) && ++p->tries < CEL_SQS_TRIES &&
        b->q->s->connected) {
        b->again[i] = true;
        b->q->send_after =
            cel_loop_now(b->q->s->base.loop) + 0.1 * (double)(1 << p->tries);
        return;
    }
    snprintf(what, sizeof what, "sending to queue %.80s", b->q->sqs_name);
    cel_sqs_entry_error(failed, what, &err);
    end(p, &err);
}

/* It was deleted meanwhile, perhaps: once more from its name on. */
static bool look_again(struct batch *b, size_t i)
{
    struct post *p = b->posts[i];

    if (p->looked || !b->q->s->connected) {
        return false;
    }
    p->looked = true;
    look_up(b->q, p);
    return true;
}

static void on_sent(void *ctx, const struct cel_aws_answer *a)
{
    struct batch *b = ctx;
    struct cel_sqs_queue *q = b->q;

    q->n_sending--;
    if (!a->err) {
        cel_sqs_entries(a->result, b->n, on_entry, b);
        put_back(b);
    } else {
        celery_error err = *a->err;
        bool missing = cel_sqs_is_missing(a);

        cel_error_prefix(&err, err.status, "sending to queue %.80s: ", q->sqs_name);
        if (missing) {
            q->find = q->find == CEL_SQS_FOUND ? CEL_SQS_UNKNOWN : q->find;
        }
        if (a->again) {
            cel_sqs_abandon(q->s, &err);
        }
        for (size_t i = 0; i < b->n; i++) {
            if (!missing || !look_again(b, i)) {
                end(b->posts[i], &err);
            }
        }
    }
    free_batch(b);
    cel_sqs_wake(q->s);
}

static void begin_params(struct cel_sqs_queue *q)
{
    cel_sqs_params(q);
    cel_buf_adds(&q->s->params, ", \"Entries\": [");
}

static void send_batch(struct cel_sqs_queue *q, struct batch *give_batch)
{
    cel_buf_adds(&q->s->params, "]}");
    q->n_sending++;
    cel_sqs_call(q->s, q->aws, "SendMessageBatch", -1, on_sent, give_batch, NULL);
}

/* Adds it unless it makes the batch larger than the service takes; false: not added. */
static bool add(struct cel_sqs_queue *q, struct batch *b, struct post *p,
                celery_error *err)
{
    struct cel_buf *out = &q->s->params;
    size_t before = out->len;

    if (b->n) {
        cel_buf_adds(out, ", ");
    }
    celery_status st = cel_sqs_entry_write(out, &q->s->text, q, b->n, p->envelope,
                                           &p->extra, &p->digests, err);
    if (st < 0 || (b->n && out->len > CEL_SQS_MAX_BYTES)) {
        out->len = before;
        return false;
    }
    cel_list_remove(&p->node);
    q->n_unsent--;
    b->posts[b->n++] = p;
    return true;
}

/* A post that cannot be sent ends when the batch is gone: its owner may send another. */
static bool send_next(struct cel_sqs_queue *q)
{
    struct batch *b = cel_calloc(1, sizeof *b);
    struct post *refused = NULL;
    struct cel_list *first;
    celery_error err = {0};

    if (!b) {
        return false; /* at the next pass */
    }
    b->q = q;
    begin_params(q);
    while (b->n < CEL_SQS_BATCH && (first = cel_list_first(&q->unsent))) {
        struct post *p = cel_container_of(first, struct post, node);

        if (!add(q, b, p, &err)) {
            refused = err.status < 0 ? p : NULL;
            break;
        }
    }
    if (refused) {
        cel_list_remove(&refused->node);
        q->n_unsent--;
    }
    if (b->n) {
        send_batch(q, b);
    } else {
        cel_buf_clear(&q->s->params);
        free_batch(b);
    }
    if (refused) {
        end(refused, &err);
    }
    return true;
}

static bool may_send(const struct cel_sqs_queue *q)
{
    unsigned most = q->fifo ? 1 : q->n_unsent >= CEL_SQS_BATCH ? SENDING : SENDING_PARTS;

    return q->n_unsent > 0 && q->n_sending < most && q->find == CEL_SQS_FOUND;
}

void cel_sqs_publish_flush(struct cel_sqs_queue *q)
{
    double now = cel_loop_now(q->s->base.loop);

    if (q->n_unsent && q->send_after > now) {
        cel_sqs_tick_at(q->s, q->send_after);
        return;
    }
    while (q->s->connected && may_send(q) && send_next(q)) {
    }
}

void cel_sqs_publish_reset(struct cel_sqs_queue *q)
{
    struct cel_list *first;

    while ((first = cel_list_first(&q->unsent))) {
        end_with(cel_container_of(first, struct post, node), CELERY_ECLOSED,
                 "connection closed");
    }
    q->n_unsent = 0;
}

/* ---- routing ---- */

/* One envelope for several queues: done when all have it. */
struct several {
    struct cel_done done;
    size_t left;
    celery_error err;
};

static void on_one(void *ctx, const celery_error *err, int64_t answer)
{
    struct several *all = ctx;

    if (err) {
        all->err = *err;
    }
    if (--all->left == 0) {
        struct cel_done done = all->done;
        celery_error why = all->err;

        cel_free(all);
        cel_done(done, why.status < 0 ? &why : NULL, 0);
    }
}

static bool matches(const struct cel_sqs_binding *b, const char *exchange,
                    const char *routing_key)
{
    return strcmp(b->exchange, exchange) == 0 &&
           cel_exchange_match(b->type, cel_slice_of(b->routing_key),
                              cel_slice_of(routing_key));
}

static void unroutable(const struct cel_envelope *envelope, const char *exchange,
                       const char *routing_key, struct cel_done done)
{
    celery_error err = {0};

    cel_error_set(&err, CELERY_ENOTSUP,
                  "no queue is bound to exchange %.60s with the key %.60s", exchange,
                  routing_key);
    cel_done(done, envelope->optional ? NULL : &err, 0);
}

static void route(struct cel_sqs *s, const char *exchange, const char *routing_key,
                  const struct cel_envelope *envelope, struct cel_done done)
{
    struct several *all = cel_calloc(1, sizeof *all);
    struct cel_list *it, *tmp;
    celery_error err = {0};
    bool none;

    if (!all) {
        cel_error_nomem(&err);
        cel_done(done, &err, 0);
        return;
    }
    *all = (struct several){.done = done, .left = 1};
    cel_list_foreach(it, tmp, &s->bindings) {
        struct cel_sqs_binding *b = cel_container_of(it, struct cel_sqs_binding, node);

        if (matches(b, exchange, routing_key)) {
            all->left++;
            cel_sqs_post(b->queue, envelope, NULL, (struct cel_done){on_one, all});
        }
    }
    none = all->left == 1;
    if (none) {
        cel_free(all);
        unroutable(envelope, exchange, routing_key, done);
        return;
    }
    on_one(all, NULL, 0);
}

void cel_sqs_publish(struct cel_transport *t, const char *exchange,
                     const char *routing_key, const struct cel_envelope *envelope,
                     struct cel_done done)
{
    struct cel_sqs *s = cel_sqs_of(t);
    const char *key = routing_key ? routing_key : "";
    celery_error err = {0};
    struct cel_sqs_queue *q;

    if (cel_sqs_is_closed(s, done)) {
        return;
    }
    if (exchange && exchange[0]) {
        struct cel_sqs_topic *topic = cel_sqs_topic_known(s, exchange);

        if (topic) {
            cel_sqs_topic_publish(topic, envelope, done);
            return;
        }
        if (s->set.fanout && cel_sqs_is_reply(exchange)) {
            cel_sqs_reply(s, exchange, key, envelope, done);
            return;
        }
        route(s, exchange, key, envelope, done);
        return;
    }
    q = cel_sqs_queue(s, key, &err);
    if (!q) {
        cel_done(done, &err, 0);
        return;
    }
    cel_sqs_post(q, envelope, NULL, done);
}
