/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of SQS without Celery: one call at a time, on a loop of its own. */
#include "app/app.h"
#include "aws/client.h"
#include "base/alloc.h"
#include "base/error.h"
#include "client/client.h"
#include "transport/sqs_name.h"
#include "transport/sqs_options.h"
#include "transport/transport.h"

#include <celery/sqs.h>
#include <stdatomic.h>
#include <string.h>

/* Seconds: one try of a call, besides what it waits for; and all of them. */
static const double TRY_TIMEOUT = 20;
static const double CALL_TIMEOUT = 60;

/* A stop is seen after so many seconds, when the signal came just before the waiting. */
static const double LOOK = 0.25;

struct celery_sqs {
    struct cel_loop *loop;
    struct cel_url **urls;
    size_t n_urls;
    struct cel_sqs_options set;
    struct cel_aws *aws;
    char *name;
    char *url;
    atomic_bool stop;
};

/* A call that is waited for; what came is copied into the arena. */
struct asked {
    bool done;
    celery_error err;
    char code[64];
    struct cel_arena arena;
    const struct cel_node *result;
};

static void on_answer(void *ctx, const struct cel_aws_answer *answer)
{
    struct asked *a = ctx;

    a->done = true;
    if (answer->err) {
        a->err = *answer->err;
        snprintf(a->code, sizeof a->code, "%s", answer->code ? answer->code : "");
        return;
    }
    a->result = cel_node_copy(&a->arena, answer->result);
    if (!a->result) {
        cel_error_nomem(&a->err);
    }
}

/* Waits for one call; params is dropped. */
static celery_status ask(celery_sqs *q, const char *action, struct cel_buf *params,
                         int poll, struct asked *a, celery_error *err)
{
    const struct cel_aws_request request = {
        .action = action,
        .params = cel_buf_slice(params),
        .timeout = TRY_TIMEOUT + poll,
        .tries = poll ? 1 : 0,
        .long_poll = poll > 0,
    };
    double deadline = cel_loop_now(q->loop) + CALL_TIMEOUT + poll;
    struct cel_aws_call *call =
        cel_buf_ok(params) ? cel_aws_call(q->aws, &request, on_answer, a) : NULL;

    if (!call) {
        cel_error_nomem(&a->err);
    }
    while (call && !a->done) {
        if (atomic_load(&q->stop)) {
            cel_error_set(&a->err, CELERY_ECLOSED, "stopped");
        } else if (cel_loop_now(q->loop) > deadline) {
            cel_error_set(&a->err, CELERY_ETIMEOUT, "%s: no answer", action);
        }
        if (a->err.status < 0) {
            call = cel_aws_cancel(call);
        } else if (cel_loop_pass(q->loop, LOOK) < 0) {
            cel_error_set(&a->err, CELERY_ESYSTEM, "cannot wait");
        }
    }
    cel_buf_fini(params);
    if (a->err.status < 0 && err) {
        *err = a->err;
    }
    return a->err.status;
}

static void begin(struct asked *a, struct cel_buf *params)
{
    *a = (struct asked){0};
    cel_arena_init(&a->arena, 0);
    *params = (struct cel_buf){0};
}

static void add_member(struct cel_buf *params, const char *name, const char *value)
{
    cel_buf_addf(params, "\"%s\": ", name);
    cel_json_write_string(params, cel_slice_of(value));
}

static char *text_of(const struct cel_node *object, const char *name)
{
    struct cel_slice text = cel_node_text(cel_node_get(object, cel_slice_of(name)));

    return text.data ? cel_strndup(text.data, text.len) : NULL;
}

/* ---- opening ---- */

static celery_status find_queue(celery_sqs *q, celery_error *err)
{
    struct asked a;
    struct cel_buf params;

    begin(&a, &params);
    cel_buf_addc(&params, '{');
    add_member(&params, "QueueName", q->name);
    cel_buf_addc(&params, '}');
    celery_status status = ask(q, "GetQueueUrl", &params, 0, &a, err);
    if (status < 0 && strstr(a.code, "QueueDoesNotExist")) {
        status =
            cel_error_set(err, CELERY_EINVAL, "there is no queue %s in %s (%s)", q->name,
                          cel_aws_region_of(q->aws), cel_aws_endpoint(q->aws));
    } else if (status == CELERY_OK) {
        q->url = text_of(a.result, "QueueUrl");
        if (!q->url) {
            status =
                cel_error_set(err, CELERY_EPROTO, "GetQueueUrl: no URL in the answer");
        }
    }
    cel_arena_fini(&a.arena);
    return status;
}

/* The URL of the settings; one that is only the default is AMQP's, and not meant. */
static celery_status read_settings(celery_sqs *q, const struct cel_config *c,
                                   celery_error *err)
{
    celery_status status;

    if (cel_config_origin(c, "broker_url") == CEL_FROM_DEFAULT &&
        cel_config_origin(c, "broker_write_url") == CEL_FROM_DEFAULT) {
        status = cel_url_parse_list("sqs://", &q->urls, &q->n_urls, err);
    } else {
        status = cel_transport_urls(c, "broker_write_url", &q->urls, &q->n_urls, err);
    }
    if (status == CELERY_OK && strcmp(q->urls[0]->scheme, "sqs") != 0) {
        status = cel_error_set(err, CELERY_ECONFIG,
                               "broker_url is %s://; queues of SQS need sqs://",
                               q->urls[0]->scheme);
    }
    return status < 0
               ? status
               : cel_sqs_options_read(q->urls[0],
                                      cel_config_doc(c, "broker_transport_options"),
                                      &q->set, err);
}

static celery_status open_queue(celery_sqs *q, celery_app *app, const char *name,
                                celery_error *err)
{
    celery_status status = read_settings(q, app->config, err);
    const struct cel_aws_options options = {
        .service = "sqs",
        .region = q->set.region,
        .endpoint = q->set.endpoint,
        .access_key = q->set.access_key,
        .secret_key = q->set.secret_key,
        .role_arn = q->set.role_arn,
        .role_seconds = q->set.role_seconds,
    };

    if (status == CELERY_OK) {
        status = cel_loop_new(&q->loop, err);
    }
    if (status == CELERY_OK) {
        status = cel_aws_new(q->loop, &options, &q->aws, err);
    }
    if (status == CELERY_OK) {
        q->name = cel_strdup(name);
        status = q->name ? find_queue(q, err) : cel_error_nomem(err);
    }
    return status;
}

celery_sqs *celery_sqs_open(celery_app *app, const char *queue, celery_error *err)
{
    if (!app || !queue || !*queue) {
        cel_error_set(err, CELERY_EINVAL, "no name of a queue");
        return NULL;
    }
    if (cel_client_ready(app, err) < 0) {
        return NULL;
    }
    celery_sqs *q = cel_calloc(1, sizeof *q);
    if (!q) {
        cel_error_nomem(err);
        return NULL;
    }
    if (open_queue(q, app, queue, err) < 0) {
        celery_sqs_close(q);
        return NULL;
    }
    return q;
}

void celery_sqs_close(celery_sqs *q)
{
    if (q) {
        cel_aws_free(q->aws);
        cel_sqs_options_fini(&q->set);
        cel_url_free_list(q->urls, q->n_urls);
        cel_loop_free(q->loop);
        cel_free(q->name);
        cel_free(q->url);
        cel_free(q);
    }
}

bool celery_sqs_is_fifo(const celery_sqs *q)
{
    return q && cel_sqs_name_is_fifo(q->name);
}

const char *celery_sqs_region(const celery_sqs *q)
{
    return q ? cel_aws_region_of(q->aws) : "";
}

const char *celery_sqs_endpoint(const celery_sqs *q)
{
    return q ? cel_aws_endpoint(q->aws) : "";
}

void celery_sqs_stop(celery_sqs *q)
{
    if (q) {
        atomic_store(&q->stop, true);
    }
}

/* ---- sending ---- */

static void add_text(struct cel_buf *params, size_t i, const celery_sqs_text *t,
                     bool fifo)
{
    cel_buf_addf(params, "%s{\"Id\": \"%zu\", ", i ? ", " : "", i);
    add_member(params, "MessageBody", t->text);
    if (fifo || t->group) {
        cel_buf_adds(params, ", ");
        add_member(params, "MessageGroupId", t->group ? t->group : "default");
    }
    if (t->dedup) {
        cel_buf_adds(params, ", ");
        add_member(params, "MessageDeduplicationId", t->dedup);
    }
    cel_buf_addc(params, '}');
}

static size_t length(const struct cel_node *array)
{
    return array && array->kind == CELERY_KIND_ARRAY ? array->size : 0;
}

/* Of the entries that the service did not take, the first with its reason. */
static celery_status say_refused(const struct cel_node *refused, celery_error *err)
{
    const struct cel_node *entry = cel_node_first(refused);
    struct cel_slice code = cel_node_text(cel_node_get(entry, CEL_SLICE("Code")));
    struct cel_slice why = cel_node_text(cel_node_get(entry, CEL_SLICE("Message")));

    return cel_error_set(err, CELERY_ESYSTEM,
                         "SQS did not take %zu of the messages: %.*s: %.*s",
                         length(refused), (int)code.len, code.data ? code.data : "",
                         (int)why.len, why.data ? why.data : "");
}

celery_status celery_sqs_send(celery_sqs *q, const celery_sqs_text *texts, size_t n,
                              size_t *ret_sent, celery_error *err)
{
    struct asked a;
    struct cel_buf params;

    if (ret_sent) {
        *ret_sent = 0;
    }
    if (!q || !texts || n == 0 || n > CELERY_SQS_BATCH) {
        return cel_error_set(err, CELERY_EINVAL, "1 to %d messages at once",
                             CELERY_SQS_BATCH);
    }
    begin(&a, &params);
    cel_buf_addc(&params, '{');
    add_member(&params, "QueueUrl", q->url);
    cel_buf_adds(&params, ", \"Entries\": [");
    for (size_t i = 0; i < n; i++) {
        add_text(&params, i, &texts[i], celery_sqs_is_fifo(q));
    }
    cel_buf_adds(&params, "]}");
    celery_status status = ask(q, "SendMessageBatch", &params, 0, &a, err);
    if (status == CELERY_OK) {
        const struct cel_node *refused = cel_node_get(a.result, CEL_SLICE("Failed"));

        if (ret_sent) {
            *ret_sent = length(cel_node_get(a.result, CEL_SLICE("Successful")));
        }
        status = length(refused) ? say_refused(refused, err) : CELERY_OK;
    }
    cel_arena_fini(&a.arena);
    return status;
}

/* ---- receiving ---- */

static void give(const struct cel_node *m, celery_sqs_fn fn, void *ctx,
                 struct cel_arena *arena)
{
    const struct cel_node *attributes = cel_node_get(m, CEL_SLICE("Attributes"));
    struct cel_slice body = cel_node_text(cel_node_get(m, CEL_SLICE("Body")));
    struct cel_slice id = cel_node_text(cel_node_get(m, CEL_SLICE("MessageId")));
    struct cel_slice group =
        cel_node_text(cel_node_get(attributes, CEL_SLICE("MessageGroupId")));
    struct cel_slice sent =
        cel_node_text(cel_node_get(attributes, CEL_SLICE("SentTimestamp")));
    struct cel_slice receives =
        cel_node_text(cel_node_get(attributes, CEL_SLICE("ApproximateReceiveCount")));
    int64_t n = 0;
    const celery_sqs_message message = {
        .text = body.data ? body.data : "",
        .text_len = body.len,
        .id = cel_arena_strndup(arena, id.data ? id.data : "", id.len),
        .group = group.data ? cel_arena_strndup(arena, group.data, group.len) : NULL,
        .receives =
            cel_slice_to_int(receives, &n) && n > 0 && n < 1000000 ? (unsigned)n : 0,
        .sent = cel_slice_to_int(sent, &n) ? (double)n / 1000 : 0,
    };

    if (message.id) {
        fn(ctx, &message);
    }
}

/* What was given is done.  An error only says that it may come again. */
static celery_status delete_all(celery_sqs *q, const struct cel_node *messages,
                                celery_error *err)
{
    struct asked a;
    struct cel_buf params;
    size_t i = 0;

    begin(&a, &params);
    cel_buf_addc(&params, '{');
    add_member(&params, "QueueUrl", q->url);
    cel_buf_adds(&params, ", \"Entries\": [");
    for (const struct cel_node *m = cel_node_first(messages); m; m = m->next, i++) {
        cel_buf_addf(&params, "%s{\"Id\": \"%zu\", \"ReceiptHandle\": ", i ? ", " : "",
                     i);
        cel_json_write_string(&params,
                              cel_node_text(cel_node_get(m, CEL_SLICE("ReceiptHandle"))));
        cel_buf_addc(&params, '}');
    }
    cel_buf_adds(&params, "]}");
    celery_status status = ask(q, "DeleteMessageBatch", &params, 0, &a, err);
    cel_arena_fini(&a.arena);
    return status;
}

celery_status celery_sqs_receive(celery_sqs *q, int seconds, celery_sqs_fn fn, void *ctx,
                                 size_t *ret_n, celery_error *err)
{
    struct asked a;
    struct cel_buf params;

    if (ret_n) {
        *ret_n = 0;
    }
    if (!q || !fn || seconds < 0 || seconds > 20) {
        return cel_error_set(err, CELERY_EINVAL, "SQS waits 0 to 20 seconds");
    }
    begin(&a, &params);
    cel_buf_addc(&params, '{');
    add_member(&params, "QueueUrl", q->url);
    cel_buf_addf(&params,
                 ", \"MaxNumberOfMessages\": %d, \"WaitTimeSeconds\": %d, "
                 "\"AttributeNames\": [\"All\"]}",
                 CELERY_SQS_BATCH, seconds);
    celery_status status = ask(q, "ReceiveMessage", &params, seconds, &a, err);
    const struct cel_node *messages = cel_node_get(a.result, CEL_SLICE("Messages"));
    if (status == CELERY_OK && length(messages) > 0) {
        for (const struct cel_node *m = cel_node_first(messages); m; m = m->next) {
            give(m, fn, ctx, &a.arena);
        }
        if (ret_n) {
            *ret_n = length(messages);
        }
        status = delete_all(q, messages, err);
    }
    cel_arena_fini(&a.arena);
    return status;
}
