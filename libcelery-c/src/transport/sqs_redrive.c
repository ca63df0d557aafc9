/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The target of a queue's redrive policy, read under a name of its own (NAME.celery-c.redrive) by
 * tools for dead letters.  It may be the target of other queues as well.
 */
#include "base/error.h"
#include "transport/dead_letter.h"
#include "transport/sqs_state.h"

static void none(struct cel_sqs_queue *q, const celery_error *why)
{
    q->find = CEL_SQS_UNKNOWN;
    cel_sqs_answer_all(&q->waiting, why);
}

/* There is nothing to be made: without a policy, or a queue, there are no letters. */
static void on_source(void *ctx, const celery_error *err, int64_t answer)
{
    struct cel_sqs_queue *q = ctx, *source = q->source;
    celery_error why = {0};

    if (q->looking) {
        q->looking = source->passive = false;
    }
    if (err) {
        q->missing = source->missing;
        none(q, err);
        return;
    }
    if (!source->redrive) {
        q->missing = true;
        cel_error_set(&why, CELERY_NONE, "queue %.80s has no redrive policy",
                      source->sqs_name);
        none(q, &why);
        return;
    }
    q->aws = source->aws;
    if (cel_sqs_rename(q, source->redrive) < 0) {
        cel_error_nomem(&why);
        none(q, &why);
        return;
    }
    cel_sqs_ask_url(q);
}

void cel_sqs_redrive_find(struct cel_sqs_queue *q)
{
    if (q->source->find == CEL_SQS_UNKNOWN && !q->source->passive) {
        q->looking = q->source->passive = true; /* it is not made for this */
    }
    cel_sqs_find(q->source, (struct cel_done){on_source, q});
}

/* "arn:aws:sqs:us-east-1:123456789012:name": whose it was, by Celery's name if it is ours. */
struct cel_slice cel_sqs_redrive_from(const struct cel_sqs_queue *q, struct cel_slice arn)
{
    const char *colon = arn.len ? memrchr(arn.data, ':', arn.len) : NULL;
    struct cel_slice name =
        colon ? cel_slice(colon + 1, arn.len - (size_t)(colon + 1 - arn.data)) : arn;

    return q->source && cel_slice_is(name, q->source->sqs_name)
               ? cel_slice_of(q->source->name)
               : name;
}
