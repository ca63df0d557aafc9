/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to remote control.  kombu's bindings on SQS are known to the process that made them
 * (kombu/transport/virtual), so a worker cannot look up where the asker listens; but its queue has
 * a name by rule (kombu/pidbox.py Mailbox.get_reply_queue).  Nothing of it is kept: each asker
 * has a queue of its own.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "transport/sqs_entry.h"
#include "transport/sqs_name.h"

struct reply {
    struct cel_sqs *s;
    const struct cel_envelope *envelope;
    struct cel_done done;
};

bool cel_sqs_is_reply(const char *exchange)
{
    struct cel_slice name = cel_slice_of(exchange);

    return cel_slice_starts(name, CEL_SLICE("reply.")) &&
           cel_slice_ends(name, CEL_SLICE(".pidbox"));
}

static void end(struct reply *give_reply, const celery_error *err)
{
    struct cel_done done = give_reply->done;

    cel_free(give_reply);
    cel_done(done, err, 0);
}

static void on_sent(void *ctx, const struct cel_aws_answer *a)
{
    end(ctx, cel_sqs_is_missing(a) ? NULL : a->err);
}

static void on_url(void *ctx, const struct cel_aws_answer *a)
{
    struct reply *r = ctx;
    struct cel_sqs *s = r->s;
    struct cel_slice url;
    celery_error err = {0};

    if (a->err) {
        on_sent(r, a); /* the asker has gone, perhaps */
        return;
    }
    url = cel_node_text(cel_node_get(a->result, CEL_SLICE("QueueUrl")));
    cel_buf_clear(&s->params);
    cel_buf_adds(&s->params, "{\"QueueUrl\": ");
    cel_json_write_string(&s->params, url);
    cel_buf_adds(&s->params, ", \"MessageBody\": ");
    if (cel_sqs_body_write(&s->params, &s->text, s->set.plain, r->envelope, &err) < 0) {
        end(r, &err);
        return;
    }
    cel_buf_adds(&s->params, "}");
    cel_sqs_call(s, s->aws, "SendMessage", -1, on_sent, r, NULL);
}

void cel_sqs_reply(struct cel_sqs *s, const char *exchange, const char *routing_key,
                   const struct cel_envelope *envelope, struct cel_done done)
{
    struct reply *r = cel_alloc(sizeof *r);
    char queue[300];
    char *name;
    celery_error err = {0};

    snprintf(queue, sizeof queue, "%.140s.%.140s", routing_key, exchange);
    name = cel_sqs_name(s->set.prefix, queue);
    if (!r || !name) {
        cel_free(r);
        cel_free(name);
        cel_error_nomem(&err);
        cel_done(done, &err, 0);
        return;
    }
    *r = (struct reply){s, envelope, done};
    cel_buf_clear(&s->params);
    cel_buf_adds(&s->params, "{\"QueueName\": ");
    cel_json_write_string(&s->params, cel_slice_of(name));
    cel_buf_adds(&s->params, "}");
    cel_free(name);
    cel_sqs_call(s, s->aws, "GetQueueUrl", -1, on_url, r, NULL);
}
