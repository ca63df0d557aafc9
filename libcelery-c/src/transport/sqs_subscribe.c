/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues that hear a topic (kombu/transport/SQS/SNS.py _SnsSubscription): the topic may send to
 * the queue, and the queue is subscribed to the topic, which gives it messages as they are.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "transport/sqs_codec.h"
#include "transport/sqs_state.h"

/* One declaration under way. */
struct joining {
    struct cel_sqs_queue *q; /* NULL: the exchange alone */
    struct cel_sqs_topic *topic;
    struct cel_done done;
    char *arn; /* of the queue */
};

static void end(struct joining *give_joining, const celery_error *err)
{
    struct joining j = *give_joining;
    celery_error why = {0};

    cel_free(j.arn);
    cel_free(give_joining);
    if (err && j.q) {
        why = *err;
        cel_error_prefix(&why, why.status, "queue %.80s: ", j.q->sqs_name);
        err = &why;
    }
    cel_done(j.done, err, 0);
}

/* One that was deleted meanwhile is found, or made, by the next connection. */
static void failed(struct joining *j, const struct cel_aws_answer *a)
{
    struct cel_sqs *s = j->topic->s;

    if (cel_sqs_is_missing(a)) {
        cel_sqs_abandon(s, a->err);
    }
    end(j, a->err);
}

static void end_nomem(struct joining *give_joining)
{
    celery_error err = {0};

    cel_error_nomem(&err);
    end(give_joining, &err);
}

/* ---- 4: the subscription ---- */

static void on_subscribed(void *ctx, const struct cel_aws_answer *a)
{
    struct joining *j = ctx;
    struct cel_slice arn;

    if (a->err) {
        end(j, a->err);
        return;
    }
    arn = cel_node_text(cel_node_get(a->result, CEL_SLICE("SubscriptionArn")));
    cel_free(j->q->subscription);
    j->q->subscription = arn.len ? cel_strndup(arn.data, arn.len) : NULL;
    end(j, NULL);
}

static void subscribe(struct joining *j)
{
    struct cel_sqs *s = j->topic->s;
    struct cel_buf *b = &s->params;

    cel_buf_clear(b);
    cel_buf_adds(b, "{\"TopicArn\": ");
    cel_json_write_string(b, cel_slice_of(j->topic->arn));
    cel_buf_adds(b, ", \"Protocol\": \"sqs\"");
    cel_sqs_param_text(b, "Endpoint", cel_slice_of(j->arn));
    cel_buf_adds(b, ", \"Attributes\": {\"RawMessageDelivery\": \"true\"}, "
                    "\"ReturnSubscriptionArn\": true}");
    cel_sqs_call(s, j->topic->aws, "Subscribe", -1, on_subscribed, j, NULL);
}

/* ---- 3: the topic may send to the queue ---- */

static void on_allowed(void *ctx, const struct cel_aws_answer *a)
{
    struct joining *j = ctx;

    if (a->err && !cel_sqs_is_denied(a)) {
        failed(j, a);
        return;
    }
    if (a->err) {
        cel_log(CELERY_LOG_WARNING,
                "The policy of SQS queue %s cannot be set: what is sent to SNS topic %s "
                "comes only if it is allowed already (%s)",
                j->q->sqs_name, j->topic->name, a->err->message);
    }
    subscribe(j);
}

/* _generate_new_sqs_policy(): other statements stay, kombu's own is replaced. */
static void write_statement(struct cel_buf *b, const struct joining *j)
{
    cel_buf_adds(b, "{\"Sid\": \"KombuManaged\", \"Effect\": \"Allow\", \"Principal\": "
                    "{\"Service\": \"sns.amazonaws.com\"}, \"Action\": "
                    "\"SQS:SendMessage\"");
    cel_sqs_param_text(b, "Resource", cel_slice_of(j->arn));
    cel_buf_adds(b, ", \"Condition\": {\"ArnLike\": {\"aws:SourceArn\": ");
    cel_json_write_string(b, cel_slice_of(j->topic->arn));
    cel_buf_adds(b, "}}}");
}

static void write_others(struct cel_buf *b, const struct cel_node *statement)
{
    struct cel_slice sid = cel_node_text(cel_node_get(statement, CEL_SLICE("Sid")));

    if (statement->kind == CELERY_KIND_OBJECT && !cel_slice_is(sid, "KombuManaged")) {
        cel_buf_adds(b, ", ");
        cel_json_write(b, statement);
    }
}

static void write_policy(struct cel_buf *b, const struct joining *j,
                         const struct cel_node *before)
{
    const struct cel_node *list = cel_node_get(before, CEL_SLICE("Statement"));

    cel_buf_adds(b, "{\"Statement\": [");
    write_statement(b, j);
    if (list && list->kind == CELERY_KIND_OBJECT) {
        write_others(b, list);
    } else {
        for (const struct cel_node *n = cel_node_first(list); n; n = n->next) {
            write_others(b, n);
        }
    }
    cel_buf_adds(b, "]");
    for (const struct cel_node *k = cel_node_first(before), *v; k; k = v->next) {
        v = k->next;
        if (!cel_slice_is(cel_node_text(k), "Statement")) {
            cel_buf_adds(b, ", ");
            cel_json_write_string(b, cel_node_text(k));
            cel_buf_adds(b, ": ");
            cel_json_write(b, v);
        }
    }
    if (!cel_node_get(before, CEL_SLICE("Version"))) {
        cel_buf_adds(b, ", \"Version\": \"2012-10-17\"");
    }
    cel_buf_adds(b, "}");
}

static void allow(struct joining *j, struct cel_slice before)
{
    struct cel_sqs *s = j->topic->s;
    struct cel_arena arena = {0};
    struct cel_node *doc = NULL;

    if (!before.len || cel_json_parse(&arena, before, NULL, &doc, NULL) < 0 ||
        doc->kind != CELERY_KIND_OBJECT) {
        doc = NULL; /* none, or malformed: kombu begins anew as well */
    }
    cel_buf_clear(&s->text);
    write_policy(&s->text, j, doc);
    cel_arena_fini(&arena);
    cel_sqs_params(j->q);
    cel_buf_adds(&s->params, ", \"Attributes\": {\"Policy\": ");
    cel_json_write_string(&s->params, cel_buf_slice(&s->text));
    cel_buf_adds(&s->params, "}}");
    cel_sqs_call(s, j->q->aws, "SetQueueAttributes", -1, on_allowed, j, NULL);
}

/* ---- 2: what the queue is called among services, and who may send to it ---- */

static void on_attributes(void *ctx, const struct cel_aws_answer *a)
{
    struct joining *j = ctx;
    const struct cel_node *all;
    struct cel_slice arn;

    if (a->err) {
        failed(j, a);
        return;
    }
    all = cel_node_get(a->result, CEL_SLICE("Attributes"));
    arn = cel_node_text(cel_node_get(all, CEL_SLICE("QueueArn")));
    j->arn = cel_strndup(arn.data ? arn.data : "", arn.len);
    if (!j->arn) {
        end_nomem(j);
        return;
    }
    allow(j, cel_node_text(cel_node_get(all, CEL_SLICE("Policy"))));
}

static void on_queue(void *ctx, const celery_error *err, int64_t answer)
{
    struct joining *j = ctx;

    if (err) {
        j->q = NULL; /* it is named in the line */
        end(j, err);
        return;
    }
    cel_sqs_params(j->q);
    cel_buf_adds(&j->topic->s->params,
                 ", \"AttributeNames\": [\"QueueArn\", \"Policy\"]}");
    cel_sqs_call(j->topic->s, j->q->aws, "GetQueueAttributes", -1, on_attributes, j,
                 NULL);
}

/* ---- 1: both are there ---- */

static void on_topic(void *ctx, const celery_error *err, int64_t answer)
{
    struct joining *j = ctx;

    if (err || !j->q) {
        j->q = NULL;
        end(j, err);
        return;
    }
    cel_sqs_find(j->q, (struct cel_done){on_queue, j});
}

/* NULL: err says why. */
static struct cel_sqs_queue *own_queue(struct cel_sqs *s, const struct cel_queue *def,
                                       struct cel_sqs_topic *topic, celery_error *err)
{
    const char *key = def->routing_key ? def->routing_key : "";
    struct cel_sqs_queue *q = cel_sqs_queue(s, def->name, err);
    char *copy = q ? cel_strdup(key) : NULL;

    if (!copy) {
        if (q) {
            cel_error_nomem(err);
        }
        return NULL;
    }
    cel_free(q->routing_key);
    q->routing_key = copy;
    q->topic = topic;
    q->no_ack = def->no_ack;
    q->temporary = def->auto_delete;
    q->broadcasts = def->no_ack && s->base.events->broadcast;
    return q;
}

void cel_sqs_subscribe(struct cel_sqs *s, const struct cel_queue *def,
                       struct cel_done done)
{
    celery_error err = {0};
    struct cel_sqs_topic *topic = cel_sqs_topic(s, def->exchange, &err);
    struct cel_sqs_queue *q =
        topic && !def->exchange_only ? own_queue(s, def, topic, &err) : NULL;
    struct joining *j = err.status == 0 ? cel_calloc(1, sizeof *j) : NULL;

    if (!j) {
        if (err.status == 0) {
            cel_error_nomem(&err);
        }
        cel_done(done, &err, 0);
        return;
    }
    *j = (struct joining){.q = q, .topic = topic, .done = done};
    cel_sqs_topic_find(topic, (struct cel_done){on_topic, j});
}

/* ---- the end of it ---- */

static void on_unsubscribed(void *ctx, const struct cel_aws_answer *a)
{
    struct cel_sqs *s = ctx;

    s->n_leaving -= s->n_leaving > 0;
    if (a->err && s->connected) {
        cel_log(CELERY_LOG_WARNING, "A subscription could not be ended: %s",
                a->err->message);
    }
}

void cel_sqs_unsubscribe(struct cel_sqs_queue *q)
{
    struct cel_sqs *s = q->s;

    if (!q->subscription || !s->connected) {
        return;
    }
    cel_buf_clear(&s->params);
    cel_buf_adds(&s->params, "{\"SubscriptionArn\": ");
    cel_json_write_string(&s->params, cel_slice_of(q->subscription));
    cel_buf_adds(&s->params, "}");
    cel_free(q->subscription);
    q->subscription = NULL;
    s->n_leaving++;
    cel_sqs_call(s, q->topic->aws, "Unsubscribe", -1, on_unsubscribed, s, NULL);
}

/* ---- what comes ---- */

/* Redis keeps a channel for each key; a topic has none, so that who hears chooses. */
static bool is_heard(const struct cel_sqs_queue *q, const struct cel_envelope *env)
{
    struct cel_slice key = cel_slice_of(q->routing_key);

    return key.len == 0 || cel_exchange_match(CEL_EXCHANGE_TOPIC, key, env->routing_key);
}

void cel_sqs_hear(struct cel_sqs_queue *q)
{
    struct cel_sqs *s = q->s;
    unsigned connects = s->connects;
    struct cel_list *first;

    if (q->listening_due && s->base.events->listening) {
        q->listening_due = false; /* it was subscribed before it could be consumed */
        s->base.events->listening(s->base.events_ctx, q->name);
    }
    while (s->connected && s->connects == connects && q->consuming &&
           (first = cel_list_first(&q->stash))) {
        struct cel_sqs_message *m = cel_container_of(first, struct cel_sqs_message, node);
        struct cel_envelope *env = m->envelope;
        bool heard = !m->malformed && is_heard(q, env);

        m->envelope = NULL;
        cel_sqs_delete(m, (struct cel_done){0});
        if (heard) {
            s->base.events->broadcast(s->base.events_ctx, q->topic->exchange,
                                      env->routing_key, env);
        } else {
            cel_envelope_free(env);
        }
    }
}
