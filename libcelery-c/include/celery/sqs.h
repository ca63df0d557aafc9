/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of Amazon SQS as they are, without Celery: what `celery-c queue` shows of order and
 * deduplication is done with this.  Not for tasks: those are sent with celery/client.h.
 *
 * One thread at a time uses a queue; calls wait.  Region, credentials and end point are found as
 * for an sqs:// broker: from broker_url and broker_transport_options, then as botocore finds them.
 */
#ifndef CELERY_SQS_H
#define CELERY_SQS_H

#include <celery/app.h>

CELERY_BEGIN_DECLS

typedef struct celery_sqs celery_sqs;

/* SQS takes and gives so many messages at once. */
enum { CELERY_SQS_BATCH = 10 };

/*
 * Finds a queue by its name at SQS (queue_name_prefix is not put in front); a broker_url that was
 * not set is taken for "sqs://".  app is borrowed until the close.  NULL with err:
 * CELERY_ECONFIG (broker_url is of another broker), CELERY_ENOTSUP (the module curl.so is
 * missing), CELERY_EINVAL (there is no such queue, or it may not be used), CELERY_ECONNECT (no
 * credentials, no answer).
 */
CELERY_API celery_sqs *celery_sqs_open(celery_app *app, const char *queue,
                                       celery_error *err);

/* Harmless with NULL.  An app of one queue can be freed then. */
CELERY_API void celery_sqs_close(celery_sqs *queue);

/* Whether its name says that it is a FIFO queue, and where it is; borrowed. */
CELERY_API bool celery_sqs_is_fifo(const celery_sqs *queue);
CELERY_API const char *celery_sqs_region(const celery_sqs *queue);
CELERY_API const char *celery_sqs_endpoint(const celery_sqs *queue);

/* What is sent; texts are borrowed for the call. */
typedef struct celery_sqs_text {
    const char *text;  /* UTF-8, 1 byte to 1 MiB */
    const char *group; /* message group of a FIFO queue; NULL: "default", as kombu's */
    const char *dedup; /* deduplication id; NULL: the queue deduplicates by content */
} celery_sqs_text;

/*
 * Sends 1 to CELERY_SQS_BATCH messages in one call, in this order.  ret_sent (may be NULL) is how
 * many of them the service took; CELERY_ESYSTEM with the first reason when it did not take all.
 * That a FIFO queue has seen a message before and will not deliver it again is no error, and
 * is not told.  CELERY_EUNCERTAIN: they may have been sent.
 */
CELERY_API celery_status celery_sqs_send(celery_sqs *queue, const celery_sqs_text *texts,
                                         size_t n, size_t *ret_sent, celery_error *err);

/* A message that came; texts are borrowed for the call, and come from strangers. */
typedef struct celery_sqs_message {
    const char *text;
    size_t text_len;
    const char *id;    /* the service's, the same each time it is delivered */
    const char *group; /* NULL: of a standard queue */
    unsigned receives; /* how often it was delivered, with this time; 0: not told */
    double sent;       /* seconds since 1970; 0: not told */
} celery_sqs_message;

typedef void (*celery_sqs_fn)(void *ctx, const celery_sqs_message *message);

/*
 * Waits up to so many seconds (0 to 20) for messages, calls fn for up to CELERY_SQS_BATCH of them
 * in the order in which they came, and deletes them.  ret_n (may be NULL): how many; 0 is no
 * error.  A message whose deletion failed comes again after its visibility timeout.
 */
CELERY_API celery_status celery_sqs_receive(celery_sqs *queue, int seconds,
                                            celery_sqs_fn fn, void *ctx, size_t *ret_n,
                                            celery_error *err);

/*
 * Makes the call that waits now, or the next one, end soon with CELERY_ECLOSED.  From any
 * thread and from signal handlers.
 */
CELERY_API void celery_sqs_stop(celery_sqs *queue);

CELERY_END_DECLS

#endif
