/* SPDX-License-Identifier: BSD-3-Clause */
/* From what a receive brings to deliveries: duplicates, order of FIFO groups, room. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/md5.h"
#include "transport/dead_letter.h"
#include "transport/sqs_codec.h"
#include "transport/sqs_entry.h"

size_t cel_sqs_room(const struct cel_sqs *s)
{
    size_t limit = s->prefetch ? s->prefetch : CEL_SQS_UNLIMITED;
    size_t room = s->n_out < limit ? limit - s->n_out : 0;

    return s->credited && s->credit < room ? s->credit : room;
}

/* ---- receiving ---- */

static struct cel_slice attribute(const struct cel_node *message, const char *name)
{
    const struct cel_node *all = cel_node_get(message, CEL_SLICE("Attributes"));

    return cel_node_text(cel_node_get(all, cel_slice_of(name)));
}

static char *put(char **at, struct cel_slice text)
{
    char *start = *at;

    memcpy(start, text.data ? text.data : "", text.len);
    start[text.len] = 0;
    *at += text.len + 1;
    return start;
}

static void begin_visibility(struct cel_sqs_message *m)
{
    m->received = cel_loop_now(m->queue->s->base.loop);
    m->visible_at = m->received + (double)cel_sqs_visibility(m->queue->s);
}

static struct cel_sqs_message *new_message(struct cel_sqs_queue *q,
                                           const struct cel_node *n)
{
    struct cel_slice id = cel_node_text(cel_node_get(n, CEL_SLICE("MessageId")));
    struct cel_slice group = attribute(n, "MessageGroupId");
    struct cel_slice handle = cel_node_text(cel_node_get(n, CEL_SLICE("ReceiptHandle")));
    struct cel_sqs_message *m = cel_calloc(1, sizeof *m + id.len + group.len + 2);
    char *at;

    if (!m) {
        return NULL;
    }
    at = (char *)(m + 1);
    m->id = put(&at, id);
    m->group = q->fifo ? put(&at, group) : NULL;
    m->handle = cel_strndup(handle.data ? handle.data : "", handle.len);
    m->queue = q;
    begin_visibility(m);
    cel_list_init(&m->node);
    cel_list_init(&m->settle);
    if (!cel_slice_to_int(attribute(n, "ApproximateReceiveCount"), &m->receives)) {
        m->receives = 1;
    }
    if (!m->handle) {
        cel_free(m);
        return NULL;
    }
    return m;
}

static void free_message(struct cel_sqs_message *m)
{
    if (m->state == CEL_SQS_STASHED) {
        cel_envelope_free(m->envelope);
    }
    cel_free(m->handle);
    cel_free(m);
}

static bool keep(struct cel_sqs_message *m)
{
    struct cel_sqs *s = m->queue->s;
    struct cel_sqs_message **held = cel_hold_add(&s->hold, &m->tag);

    if (!held) {
        return false;
    }
    if (cel_map_set(&s->by_id, cel_slice_of(m->id), m, NULL) < 0) {
        cel_hold_remove(&s->hold, m->tag);
        return false;
    }
    *held = m;
    return true;
}

void cel_sqs_forget(struct cel_sqs_message *m)
{
    struct cel_sqs *s = m->queue->s;

    cel_list_remove(&m->node);
    cel_list_remove(&m->settle);
    if (m->state == CEL_SQS_STASHED) {
        s->n_stashed--;
    }
    if (m->group && cel_map_get(&m->queue->groups, cel_slice_of(m->group)) == m) {
        cel_map_del(&m->queue->groups, cel_slice_of(m->group));
    }
    cel_map_del(&s->by_id, cel_slice_of(m->id));
    cel_hold_remove(&s->hold, m->tag);
    free_message(m);
}

/*
 * A message that we have already: the queue gave it again, because it was not renewed in time.
 * Only the newest handle is good for anything.
 */
static bool take_handle(struct cel_sqs *s, const struct cel_node *n)
{
    struct cel_slice id = cel_node_text(cel_node_get(n, CEL_SLICE("MessageId")));
    struct cel_slice handle = cel_node_text(cel_node_get(n, CEL_SLICE("ReceiptHandle")));
    struct cel_sqs_message *m = cel_map_get(&s->by_id, id);
    char *copy = m ? cel_strndup(handle.data ? handle.data : "", handle.len) : NULL;

    if (copy) {
        cel_free(m->handle);
        m->handle = copy;
        begin_visibility(m);
    }
    return m;
}

static struct cel_slice said(const struct cel_node *message, const char *name)
{
    const struct cel_node *all = cel_node_get(message, CEL_SLICE("MessageAttributes"));
    const struct cel_node *one = cel_node_get(all, cel_slice_of(name));

    return cel_node_text(cel_node_get(one, CEL_SLICE("StringValue")));
}

/* The service moved it, and does not say when: it was sent then. */
static void describe_moved(struct cel_sqs_message *m, const struct cel_node *n)
{
    struct cel_slice arn = attribute(n, "DeadLetterQueueSourceArn");
    int64_t sent = 0;

    (void)cel_slice_to_int(attribute(n, "SentTimestamp"), &sent);
    (void)cel_dead_describe(m->envelope, CEL_SLICE("moved by the redrive policy"),
                            (double)sent / 1000, cel_sqs_redrive_from(m->queue, arn));
}

/* Without memory it is told of nothing, and stays a letter. */
static void describe(struct cel_sqs_message *m, const struct cel_node *n)
{
    struct cel_arena arena = {0};
    struct cel_node *time = NULL;

    if (m->queue->source && !said(n, "celery-c-dead-reason").len) {
        describe_moved(m, n);
        return;
    }
    (void)cel_json_parse(&arena, said(n, "celery-c-dead-time"), NULL, &time, NULL);
    (void)cel_dead_describe(m->envelope, said(n, "celery-c-dead-reason"),
                            cel_node_double(time, 0), said(n, "celery-c-dead-queue"));
    cel_arena_fini(&arena);
}

static void read_body(struct cel_sqs_message *m, const struct cel_node *n)
{
    struct cel_slice body = cel_node_text(cel_node_get(n, CEL_SLICE("Body")));
    celery_error err = {0};

    m->malformed = cel_sqs_envelope_read(body, &m->envelope, &m->base64, &err) < 0;
    snprintf(m->why, sizeof m->why, "%.119s", err.message);
    if (m->envelope && m->receives > 1) {
        m->envelope->redelivered = true;
    }
    if (m->envelope && m->queue->dead) {
        describe(m, n);
    }
}

/* They are asked for where letters are read. */
static bool attributes_fit(const struct cel_node *n)
{
    const struct cel_node *md5 = cel_node_get(n, CEL_SLICE("MD5OfMessageAttributes"));
    char mine[CEL_MD5_HEX];

    return !cel_node_is_string(md5) ||
           !cel_sqs_attributes_md5(cel_node_get(n, CEL_SLICE("MessageAttributes")),
                                   mine) ||
           cel_slice_eq(cel_node_text(md5), cel_slice(mine, CEL_MD5_HEX));
}

/* Something on the way changed it.  It is left to come again, when it may come whole. */
static bool is_damaged(const struct cel_sqs_queue *q, const struct cel_node *n)
{
    struct cel_slice id = cel_node_text(cel_node_get(n, CEL_SLICE("MessageId")));

    if (cel_sqs_md5_fits(cel_node_get(n, CEL_SLICE("MD5OfBody")),
                         cel_node_text(cel_node_get(n, CEL_SLICE("Body")))) &&
        (!q->dead || attributes_fit(n))) {
        return false;
    }
    cel_log(CELERY_LOG_WARNING,
            "Message %s of SQS queue %s does not have the MD5 that came with it: left "
            "there, to be received again",
            cel_log_safe(id), q->name);
    return true;
}

void cel_sqs_receive(struct cel_sqs_queue *q, const struct cel_node *n)
{
    struct cel_sqs *s = q->s;
    struct cel_sqs_message *m;

    if (is_damaged(q, n) || take_handle(s, n)) {
        return;
    }
    m = new_message(q, n);
    if (!m || !keep(m)) {
        if (m) {
            free_message(m);
        }
        return; /* comes again when its visibility ends */
    }
    s->n_stashed++;
    if (cel_ageset_has(s->settled, cel_slice_of(m->id), cel_loop_now(s->base.loop))) {
        cel_sqs_delete(m, (struct cel_done){0}); /* at least once, says the service */
        return;
    }
    read_body(m, n);
    if (!m->envelope) {
        cel_sqs_forget(m);
        return;
    }
    cel_list_append(&q->stash, &m->node);
}

/* ---- delivering ---- */

/* One of a group at a time: the next one when that is settled.  Dead letters are not run. */
static bool may_go(const struct cel_sqs_message *m)
{
    return !m->group || m->queue->dead ||
           !cel_map_get(&m->queue->groups, cel_slice_of(m->group));
}

/* False: no memory, it stays in the stash. */
static bool deliver(struct cel_sqs_message *m)
{
    struct cel_sqs_queue *q = m->queue;
    struct cel_sqs *s = q->s;
    struct cel_delivery d = {
        .envelope = m->envelope,
        .queue = q->name,
        .tag = m->tag,
        .redelivered = m->envelope->redelivered,
        .malformed = m->malformed,
    };
    unsigned connects = s->connects;
    uint64_t tag = m->tag;

    if (m->group && cel_map_set(&q->groups, cel_slice_of(m->group), m, NULL) < 0) {
        return false;
    }
    memcpy(d.why, m->why, sizeof d.why);
    cel_list_remove(&m->node);
    m->state = CEL_SQS_HELD;
    s->n_stashed--;
    s->n_out++;
    s->credit -= s->credit > 0;
    s->base.events->delivered(s->base.events_ctx, &d);
    if (q->no_ack && s->connects == connects) {
        cel_sqs_ack(&s->base, tag, (struct cel_done){0});
    }
    return true;
}

static struct cel_sqs_message *next(struct cel_sqs_queue *q)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &q->stash) {
        struct cel_sqs_message *m = cel_container_of(it, struct cel_sqs_message, node);

        if (may_go(m)) {
            return m;
        }
    }
    return NULL;
}

void cel_sqs_deliver(struct cel_sqs_queue *q)
{
    unsigned connects = q->s->connects;
    struct cel_sqs_message *m;

    if (q->broadcasts) {
        cel_sqs_hear(q);
        return;
    }
    while (q->s->connects == connects && q->consuming && cel_sqs_room(q->s) > 0 &&
           (m = next(q)) && deliver(m)) {
    }
}
