/* SPDX-License-Identifier: BSD-3-Clause */
/* Topics of SNS, which are Celery's fanout exchanges; and what is sent to them. */
#include "base/alloc.h"
#include "base/error.h"
#include "transport/sqs_entry.h"
#include "transport/sqs_name.h"

/* ---- records ---- */

static void free_topic(struct cel_sqs_topic *t)
{
    cel_aws_free(t->own_aws);
    cel_free(t->exchange);
    cel_free(t->name);
    cel_free(t->arn);
    cel_free(t);
}

/* Lives as long as the options. */
static const char *text_of(struct cel_sqs *s, const struct cel_node *map, const char *key)
{
    const struct cel_node *n = cel_node_get(map, cel_slice_of(key));
    struct cel_slice text = cel_node_text(n);

    return cel_node_is_string(n) ? cel_arena_strndup(&s->set.arena, text.data, text.len)
                                 : NULL;
}

/* One of predefined_exchanges: nothing is created, and it may have keys of its own. */
static celery_status use_predefined(struct cel_sqs_topic *t, celery_error *err)
{
    const struct cel_sqs_options *set = &t->s->set;
    const struct cel_node *own = cel_node_get(set->exchanges, cel_slice_of(t->exchange));
    const char *key = text_of(t->s, own, "access_key_id");
    const char *secret = text_of(t->s, own, "secret_access_key");
    const char *region = text_of(t->s, own, "region");
    const char *arn = text_of(t->s, own, "arn");
    bool keys = key && secret;
    const struct cel_aws_options options = {
        .service = "sns",
        .region = region ? region : set->region,
        .endpoint = set->endpoint,
        .access_key = keys ? key : set->access_key,
        .secret_key = keys ? secret : set->secret_key,
        .role_arn = set->role_arn,
        .role_seconds = set->role_seconds,
    };

    if (!arn) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "exchange %.80s is not among predefined_exchanges, or has "
                             "no arn there",
                             t->exchange);
    }
    t->arn = cel_strdup(arn);
    if (!t->arn) {
        return cel_error_nomem(err);
    }
    if (!keys && !region && !set->role_arn) {
        return CELERY_OK;
    }
    celery_status st = cel_aws_new(t->s->base.loop, &options, &t->own_aws, err);
    t->aws = st == 0 ? t->own_aws : t->aws;
    return st;
}

struct cel_sqs_topic *cel_sqs_topic_known(const struct cel_sqs *s, const char *exchange)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->topics) {
        struct cel_sqs_topic *t = cel_container_of(it, struct cel_sqs_topic, node);

        if (strcmp(t->exchange, exchange) == 0) {
            return t;
        }
    }
    return NULL;
}

struct cel_sqs_topic *cel_sqs_topic(struct cel_sqs *s, const char *exchange,
                                    celery_error *err)
{
    struct cel_sqs_topic *t = cel_sqs_topic_known(s, exchange);

    if (t) {
        return t;
    }
    t = cel_calloc(1, sizeof *t);
    if (!t) {
        cel_error_nomem(err);
        return NULL;
    }
    t->s = s;
    t->aws = s->sns;
    t->exchange = cel_strdup(exchange);
    t->name = cel_sqs_name(s->set.prefix, exchange);
    cel_list_init(&t->waiting);
    celery_status st = t->exchange && t->name ? CELERY_OK : cel_error_nomem(err);
    if (st == 0 && cel_node_truth(s->set.exchanges)) {
        st = use_predefined(t, err);
    }
    if (st < 0) {
        free_topic(t);
        return NULL;
    }
    t->fifo = cel_sqs_name_is_fifo(t->arn ? t->arn : t->name);
    cel_list_append(&s->topics, &t->node);
    return t;
}

/* ---- the ARN ---- */

static void on_created(void *ctx, const struct cel_aws_answer *a)
{
    struct cel_sqs_topic *t = ctx;
    struct cel_slice arn = {0};
    celery_error err = {CELERY_EPROTO, 0, "CreateTopic: no TopicArn"};

    if (a->err) {
        err = *a->err;
    } else {
        arn = cel_node_text(cel_node_get(a->result, CEL_SLICE("TopicArn")));
    }
    if (arn.len) {
        cel_free(t->arn);
        t->arn = cel_strndup(arn.data, arn.len);
    }
    t->find = arn.len && t->arn ? CEL_SQS_FOUND : CEL_SQS_UNKNOWN;
    if (t->find == CEL_SQS_FOUND) {
        cel_sqs_answer_all(&t->waiting, NULL);
        return;
    }
    cel_error_prefix(&err, err.status, "SNS topic %.80s: ", t->name);
    cel_sqs_answer_all(&t->waiting, &err);
}

/*
 * kombu SNS._create_sns_topic, with its attributes and tags to the letter: SNS gives the ARN of a
 * topic that exists already only to who asks for the very same.
 */
static void create(struct cel_sqs_topic *t)
{
    struct cel_buf *b = &t->s->params;

    cel_buf_clear(b);
    cel_buf_adds(b, "{\"Name\": ");
    cel_json_write_string(b, cel_slice_of(t->name));
    cel_buf_addf(
        b,
        ", \"Attributes\": {\"FifoTopic\": \"%s\"}, \"Tags\": [{\"Key\": "
        "\"ManagedBy\", \"Value\": \"Celery/Kombu\"}, {\"Key\": "
        "\"Description\", \"Value\": \"This SNS topic is used by Kombu to enable "
        "Fanout support for AWS SQS.\"}]}",
        t->fifo ? "true" : "false");
    cel_sqs_call(t->s, t->aws, "CreateTopic", -1, on_created, t, NULL);
}

void cel_sqs_topic_find(struct cel_sqs_topic *t, struct cel_done done)
{
    celery_error err = {0};

    if (t->find == CEL_SQS_UNKNOWN && cel_node_truth(t->s->set.exchanges)) {
        t->find = CEL_SQS_FOUND;
    }
    if (t->find == CEL_SQS_FOUND) {
        cel_done(done, NULL, 0);
        return;
    }
    if (!cel_sqs_await(&t->waiting, done)) {
        cel_error_nomem(&err);
        cel_done(done, &err, 0);
        return;
    }
    if (t->find == CEL_SQS_UNKNOWN) {
        t->find = CEL_SQS_ASKING;
        create(t);
    }
}

/* ---- sending ---- */

struct sending {
    struct cel_sqs_topic *topic;
    const struct cel_envelope *envelope;
    struct cel_done done;
    bool looked; /* the topic was missing once and was made again */
};

static void end(struct sending *give_sending, const celery_error *err)
{
    struct cel_done done = give_sending->done;

    cel_free(give_sending);
    cel_done(done, err, -1);
}

static void on_found(void *ctx, const celery_error *err, int64_t answer);

static void on_sent(void *ctx, const struct cel_aws_answer *a)
{
    struct sending *x = ctx;
    struct cel_sqs_topic *t = x->topic;

    if (!a->err) {
        end(x, NULL);
        return;
    }
    if (strncmp(a->code, "NotFound", strlen("NotFound")) == 0 && !x->looked) {
        x->looked = true;
        t->find = t->find == CEL_SQS_FOUND ? CEL_SQS_UNKNOWN : t->find;
        cel_sqs_topic_find(t, (struct cel_done){on_found, x});
        return;
    }
    celery_error err = *a->err;
    cel_error_prefix(&err, err.status, "sending to SNS topic %.80s: ", t->name);
    end(x, &err);
}

static void add_fifo(struct cel_buf *b, const struct cel_envelope *env)
{
    const struct cel_node *group =
        cel_node_get(env->properties, CEL_SLICE("MessageGroupId"));
    char dedup[CEL_SQS_DEDUP_SIZE];

    cel_sqs_dedup(env, dedup);
    cel_sqs_param_text(b, "MessageGroupId",
                       cel_node_is_string(group) ? cel_node_text(group)
                                                 : CEL_SLICE("default"));
    cel_sqs_param_text(b, "MessageDeduplicationId", cel_slice_of(dedup));
}

static void on_found(void *ctx, const celery_error *err, int64_t answer)
{
    struct sending *x = ctx;
    struct cel_sqs_topic *t = x->topic;
    struct cel_sqs *s = t->s;
    static const struct cel_sqs_extra none;

    if (err) {
        end(x, err);
        return;
    }
    if (cel_sqs_text_write(&s->text, x->envelope, &none) < 0) {
        celery_error why = {0};

        cel_error_nomem(&why);
        end(x, &why);
        return;
    }
    cel_buf_clear(&s->params);
    cel_buf_adds(&s->params, "{\"TopicArn\": ");
    cel_json_write_string(&s->params, cel_slice_of(t->arn));
    cel_sqs_param_text(&s->params, "Message", cel_buf_slice(&s->text));
    if (t->fifo) {
        add_fifo(&s->params, x->envelope);
    }
    cel_sqs_attributes_write(&s->params, x->envelope, &none);
    cel_buf_adds(&s->params, "}");
    cel_sqs_call(s, t->aws, "Publish", -1, on_sent, x, NULL);
}

void cel_sqs_topic_publish(struct cel_sqs_topic *t, const struct cel_envelope *envelope,
                           struct cel_done done)
{
    struct sending *x = cel_calloc(1, sizeof *x);
    celery_error err = {0};

    if (!x) {
        cel_error_nomem(&err);
        cel_done(done, &err, 0);
        return;
    }
    *x = (struct sending){.topic = t, .envelope = envelope, .done = done};
    cel_sqs_topic_find(t, (struct cel_done){on_found, x});
}

/* ---- the end ---- */

void cel_sqs_topics_reset(struct cel_sqs *s)
{
    celery_error err = {CELERY_ECLOSED, 0, "connection closed"};
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->topics) {
        struct cel_sqs_topic *t = cel_container_of(it, struct cel_sqs_topic, node);

        t->find = CEL_SQS_UNKNOWN;
        cel_sqs_answer_all(&t->waiting, &err);
    }
    s->n_leaving = 0;
}

void cel_sqs_topics_free(struct cel_sqs *s)
{
    struct cel_list *first;

    while ((first = cel_list_first(&s->topics))) {
        cel_list_remove(first);
        free_topic(cel_container_of(first, struct cel_sqs_topic, node));
    }
}
