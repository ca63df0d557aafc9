/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues and what binds them: names become URLs, missing queues are created. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/uuid.h"
#include "transport/dead_letter.h"
#include "transport/sqs_name.h"
#include "transport/sqs_state.h"

/* Of the 80 that a name may have, so many before a dash and eight digits. */
enum { NAME_BYTES = 71 };

/* Somebody waits for a queue's URL, or for a topic's ARN. */
struct wait {
    struct cel_list node;
    struct cel_done done;
};

/* ---- records ---- */

static void free_queue(struct cel_sqs_queue *q)
{
    cel_aws_free(q->own_aws);
    cel_map_fini(&q->groups);
    cel_free(q->name);
    cel_free(q->sqs_name);
    cel_free(q->url);
    cel_free(q->redrive);
    cel_free(q->routing_key);
    cel_free(q->subscription);
    cel_free(q);
}

static struct cel_sqs_queue *new_queue(struct cel_sqs *s, const char *name,
                                       char *give_sqs_name)
{
    struct cel_sqs_queue *q = cel_calloc(1, sizeof *q);

    if (!q) {
        cel_free(give_sqs_name);
        return NULL;
    }
    q->s = s;
    q->name = cel_strdup(name);
    q->sqs_name = give_sqs_name;
    q->aws = s->aws;
    q->max_bytes = CEL_SQS_MAX_BYTES;
    cel_list_init(&q->node);
    cel_list_init(&q->waiting);
    cel_list_init(&q->polls);
    cel_list_init(&q->stash);
    cel_list_init(&q->unsent);
    cel_list_init(&q->deletes);
    cel_list_init(&q->changes);
    if (!q->name || !q->sqs_name) {
        free_queue(q);
        return NULL;
    }
    q->fifo = cel_sqs_name_is_fifo(q->sqs_name);
    q->dead = cel_dead_is(q->name);
    return q;
}

static struct cel_sqs_queue *find_queue(struct cel_sqs *s, const char *name)
{
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        if (strcmp(q->name, name) == 0) {
            return q;
        }
    }
    return NULL;
}

/* Its own credentials or region take a client of its own (Channel.sqs). */
static celery_status open_predefined(struct cel_sqs_queue *q, celery_error *err)
{
    const struct cel_sqs_predefined *p = q->predefined;
    const struct cel_sqs_options *set = &q->s->set;
    bool keys = p->access_key && p->secret_key;
    const struct cel_aws_options options = {
        .service = "sqs",
        .region = p->region ? p->region : set->region,
        .endpoint = set->endpoint,
        .access_key = keys ? p->access_key : set->access_key,
        .secret_key = keys ? p->secret_key : set->secret_key,
        .role_arn = set->role_arn,
        .role_seconds = set->role_seconds,
    };

    if (!keys && !p->region && !set->role_arn) {
        return CELERY_OK;
    }
    celery_status st = cel_aws_new(q->s->base.loop, &options, &q->own_aws, err);
    if (st == 0) {
        q->aws = q->own_aws;
    }
    return st;
}

celery_status cel_sqs_rename(struct cel_sqs_queue *q, const char *sqs_name)
{
    char *copy = cel_strdup(sqs_name);

    if (!copy) {
        return CELERY_ENOMEM;
    }
    cel_free(q->sqs_name);
    q->sqs_name = copy;
    q->fifo = cel_sqs_name_is_fifo(copy);
    return CELERY_OK;
}

/* Its name at the service is known when its source is found. */
static struct cel_sqs_queue *redrive_queue(struct cel_sqs *s, struct cel_slice name,
                                           celery_error *err)
{
    size_t len = name.len - strlen(CEL_REDRIVE_SUFFIX);
    char *own = cel_strndup(name.data, len);
    struct cel_sqs_queue *source = own ? cel_sqs_queue(s, own, err) : NULL;
    struct cel_sqs_queue *q =
        source ? new_queue(s, name.data, cel_strdup(name.data)) : NULL;

    if (q) {
        q->source = source;
        q->passive = q->dead = true;
        cel_list_append(&s->queues, &q->node);
    } else if (!own || source) {
        cel_error_nomem(err);
    }
    cel_free(own);
    return q;
}

struct cel_sqs_queue *cel_sqs_queue(struct cel_sqs *s, const char *name,
                                    celery_error *err)
{
    struct cel_sqs_queue *q = find_queue(s, name);

    if (q) {
        return q;
    }
    if (cel_slice_ends(cel_slice_of(name), CEL_SLICE(CEL_REDRIVE_SUFFIX))) {
        return redrive_queue(s, cel_slice_of(name), err);
    }
    q = new_queue(s, name, cel_sqs_name(s->set.prefix, name));
    if (!q) {
        cel_error_nomem(err);
        return NULL;
    }
    q->predefined = cel_sqs_predefined_find(&s->set, q->name, q->sqs_name);
    if (s->set.closed_world && !q->predefined) {
        cel_error_set(err, CELERY_ECONFIG, "queue %.80s is not among predefined_queues",
                      name);
        free_queue(q);
        return NULL;
    }
    if (q->predefined) {
        q->fifo = cel_sqs_name_is_fifo(q->predefined->url);
        if (open_predefined(q, err) < 0) {
            free_queue(q);
            return NULL;
        }
    }
    cel_list_append(&s->queues, &q->node);
    return q;
}

struct cel_sqs_queue *cel_sqs_queue_named(struct cel_sqs *s, const char *sqs_name)
{
    struct cel_sqs_queue *q;
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->queues) {
        q = cel_container_of(it, struct cel_sqs_queue, node);
        if (q->passive && strcmp(q->sqs_name, sqs_name) == 0) {
            return q;
        }
    }
    q = new_queue(s, sqs_name, cel_strdup(sqs_name));
    if (q) {
        q->passive = true;
        cel_list_append(&s->queues, &q->node);
    }
    return q;
}

/* ---- the URL ---- */

bool cel_sqs_await(struct cel_list *list, struct cel_done done)
{
    struct wait *w = cel_calloc(1, sizeof *w);

    if (w) {
        w->done = done;
        cel_list_append(list, &w->node);
    }
    return w;
}

void cel_sqs_answer_all(struct cel_list *list, const celery_error *err)
{
    struct cel_list waiting;
    struct cel_list *first;

    cel_list_init(&waiting);
    while ((first = cel_list_first(list))) {
        cel_list_remove(first);
        cel_list_append(&waiting, first);
    }
    while ((first = cel_list_first(&waiting))) {
        struct wait *w = cel_container_of(first, struct wait, node);
        struct cel_done done = w->done;

        cel_list_remove(first);
        cel_free(w);
        cel_done(done, err, 0);
    }
}

static void not_found(struct cel_sqs_queue *q, const struct cel_aws_answer *a,
                      const char *what)
{
    celery_error err = *a->err;

    q->find = CEL_SQS_UNKNOWN;
    cel_error_prefix(&err, err.status, "queue %.80s: %s", q->sqs_name, what);
    cel_sqs_answer_all(&q->waiting, &err);
}

static void found(struct cel_sqs_queue *q)
{
    q->find = CEL_SQS_FOUND;
    cel_sqs_answer_all(&q->waiting, NULL);
    cel_sqs_wake(q->s);
}

static bool keep_url(struct cel_sqs_queue *q, const struct cel_node *result)
{
    struct cel_slice url = cel_node_text(cel_node_get(result, CEL_SLICE("QueueUrl")));
    char *copy = url.len ? cel_strndup(url.data, url.len) : NULL;

    if (copy) {
        cel_free(q->url);
        q->url = copy;
    }
    return copy;
}

/* "arn:aws:sqs:us-east-1:123456789012:name" in the policy, which is JSON in a text. */
static void keep_redrive(struct cel_sqs_queue *q, struct cel_slice policy)
{
    struct cel_arena arena = {0};
    struct cel_node *doc = NULL;
    struct cel_slice arn;

    if (policy.len && cel_json_parse(&arena, policy, NULL, &doc, NULL) == 0) {
        arn = cel_node_text(cel_node_get(doc, CEL_SLICE("deadLetterTargetArn")));
        const char *colon = arn.len ? memrchr(arn.data, ':', arn.len) : NULL;
        if (colon) {
            cel_free(q->redrive);
            q->redrive = cel_strndup(colon + 1, arn.len - (size_t)(colon + 1 - arn.data));
        }
    }
    cel_arena_fini(&arena);
}

static void create(struct cel_sqs_queue *q);

/* Without the right to ask the usual is taken to be so. */
static void on_attributes(void *ctx, const struct cel_aws_answer *a)
{
    struct cel_sqs_queue *q = ctx;
    const struct cel_node *all;
    int64_t bytes;

    if (cel_sqs_is_missing(a) && !q->passive && !q->predefined && !q->missing) {
        q->missing = true; /* its name is known for a while after it was deleted */
        create(q);
        return;
    }
    if (a->err && !cel_sqs_is_denied(a)) {
        not_found(q, a, "asking for its attributes: ");
        return;
    }
    all = a->err ? NULL : cel_node_get(a->result, CEL_SLICE("Attributes"));
    keep_redrive(q, cel_node_text(cel_node_get(all, CEL_SLICE("RedrivePolicy"))));
    if (cel_slice_to_int(
            cel_node_text(cel_node_get(all, CEL_SLICE("MaximumMessageSize"))), &bytes) &&
        bytes > 0 && bytes <= CEL_SQS_MAX_BYTES) {
        q->max_bytes = (size_t)bytes;
    }
    found(q);
}

static void ask_attributes(struct cel_sqs_queue *q)
{
    cel_sqs_params(q);
    cel_buf_adds(&q->s->params,
                 ", \"AttributeNames\": [\"RedrivePolicy\", \"MaximumMessageSize\"]}");
    cel_sqs_call(q->s, q->aws, "GetQueueAttributes", -1, on_attributes, q, NULL);
}

/*
 * The service gives a name again a minute after its queue was deleted, and a worker is back sooner.
 * Nobody else has to know what a queue of broadcasts is called: it gets eight digits more.
 */
static bool take_other_name(struct cel_sqs_queue *q)
{
    struct cel_slice base = cel_slice_of(q->sqs_name);
    struct cel_buf name = {0};
    uint32_t random;

    if (!q->temporary || !q->broadcasts || q->renamed) {
        return false;
    }
    cel_random(&random, sizeof random);
    cel_buf_addf(&name, "%.*s-%08x", (int)(base.len < NAME_BYTES ? base.len : NAME_BYTES),
                 base.data, random);
    q->renamed = cel_buf_ok(&name) && cel_sqs_rename(q, cel_buf_cstr(&name)) == 0;
    cel_buf_fini(&name);
    return q->renamed;
}

static void on_created(void *ctx, const struct cel_aws_answer *a)
{
    struct cel_sqs_queue *q = ctx;

    if (a->err && strstr(a->code, "QueueDeletedRecently") && take_other_name(q)) {
        create(q);
    } else if (a->err) {
        not_found(q, a, "there is none, and it cannot be created: ");
    } else if (keep_url(q, a->result)) {
        ask_attributes(q);
    } else {
        const celery_error err = {CELERY_EPROTO, 0, "CreateQueue: no QueueUrl"};
        not_found(q, &(struct cel_aws_answer){.err = &err}, "");
    }
}

/* Texts as SQS wants them: "30" for 30, "true" for true. */
static void add_attribute(struct cel_buf *b, struct cel_slice name,
                          const struct cel_node *v)
{
    cel_buf_adds(b, ", ");
    cel_json_write_string(b, name);
    cel_buf_adds(b, ": ");
    if (cel_node_is_string(v)) {
        cel_json_write_string(b, cel_node_text(v));
    } else {
        struct cel_buf text = {0};

        cel_json_write(&text, v);
        cel_json_write_string(b, cel_buf_slice(&text));
        cel_buf_fini(&text);
    }
}

static void add_attributes(struct cel_buf *b, const struct cel_node *map)
{
    for (const struct cel_node *k = cel_node_first(map), *v; k; k = v->next) {
        v = k->next;
        add_attribute(b, cel_node_text(k), v);
    }
}

/*
 * What is heard only while somebody listens does not wait for long: a worker that was killed and
 * comes back would carry out commands of the time between.  The shortest that SQS has.
 */
static void add_retention(struct cel_buf *b, const struct cel_sqs_queue *q)
{
    const struct cel_node *own =
        cel_node_get(q->s->set.creation, CEL_SLICE("MessageRetentionPeriod"));

    if (q->temporary && cel_node_is_null(own)) {
        cel_buf_adds(b, ", \"MessageRetentionPeriod\": \"60\"");
    }
}

/* kombu Channel._new_queue, _create_queue: what is created has what the options say. */
static void create(struct cel_sqs_queue *q)
{
    const struct cel_sqs_options *set = &q->s->set;
    struct cel_buf *b = &q->s->params;

    cel_buf_clear(b);
    cel_buf_adds(b, "{\"QueueName\": ");
    cel_json_write_string(b, cel_slice_of(q->sqs_name));
    cel_buf_addf(b, ", \"Attributes\": {\"VisibilityTimeout\": \"%lld\"",
                 (long long)set->visibility);
    cel_buf_adds(b, q->fifo ? ", \"FifoQueue\": \"true\"" : "");
    add_retention(b, q);
    add_attributes(b, set->creation);
    cel_buf_adds(b, "}");
    if (cel_node_truth(set->tags)) {
        cel_buf_adds(b, ", \"tags\": ");
        cel_json_write(b, set->tags);
    }
    cel_buf_adds(b, "}");
    cel_sqs_call(q->s, q->aws, "CreateQueue", -1, on_created, q, NULL);
}

static void on_url(void *ctx, const struct cel_aws_answer *a)
{
    struct cel_sqs_queue *q = ctx;

    if (a->err && cel_sqs_is_missing(a) && !q->passive) {
        create(q);
    } else if (a->err) {
        q->missing = cel_sqs_is_missing(a);
        not_found(q, a, "");
    } else if (keep_url(q, a->result)) {
        ask_attributes(q);
    } else {
        const celery_error err = {CELERY_EPROTO, 0, "GetQueueUrl: no QueueUrl"};
        not_found(q, &(struct cel_aws_answer){.err = &err}, "");
    }
}

void cel_sqs_ask_url(struct cel_sqs_queue *q)
{
    struct cel_buf *b = &q->s->params;

    cel_buf_clear(b);
    cel_buf_adds(b, "{\"QueueName\": ");
    cel_json_write_string(b, cel_slice_of(q->sqs_name));
    cel_buf_adds(b, "}");
    cel_sqs_call(q->s, q->aws, "GetQueueUrl", -1, on_url, q, NULL);
}

void cel_sqs_find(struct cel_sqs_queue *q, struct cel_done done)
{
    if (q->find == CEL_SQS_FOUND) {
        cel_done(done, NULL, 0);
        return;
    }
    if (!cel_sqs_await(&q->waiting, done)) {
        celery_error err = {0};

        cel_error_nomem(&err);
        cel_done(done, &err, 0);
        return;
    }
    if (q->find == CEL_SQS_ASKING) {
        return;
    }
    q->find = CEL_SQS_ASKING;
    q->missing = false;
    if (q->source) {
        cel_sqs_redrive_find(q);
        return;
    }
    if (!q->predefined) {
        cel_sqs_ask_url(q);
        return;
    }
    cel_free(q->url);
    q->url = cel_strdup(q->predefined->url);
    ask_attributes(q);
}

/* ---- the end ---- */

void cel_sqs_queues_reset(struct cel_sqs *s)
{
    celery_error err = {CELERY_ECLOSED, 0, "connection closed"};
    struct cel_list *it, *tmp;

    cel_list_foreach(it, tmp, &s->queues) {
        struct cel_sqs_queue *q = cel_container_of(it, struct cel_sqs_queue, node);

        q->consuming = q->hot = false;
        q->find = CEL_SQS_UNKNOWN;
        q->failures = 0;
        q->poll_after = q->send_after = 0;
        cel_sqs_answer_all(&q->waiting, &err);
    }
}

void cel_sqs_queues_free(struct cel_sqs *s)
{
    struct cel_list *first;

    while ((first = cel_list_first(&s->bindings))) {
        struct cel_sqs_binding *b = cel_container_of(first, struct cel_sqs_binding, node);

        cel_list_remove(first);
        cel_free(b->exchange);
        cel_free(b->routing_key);
        cel_free(b);
    }
    while ((first = cel_list_first(&s->queues))) {
        cel_list_remove(first);
        free_queue(cel_container_of(first, struct cel_sqs_queue, node));
    }
}
