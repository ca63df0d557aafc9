/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The query protocol: parameters as a form, answers as XML (botocore.serialize QuerySerializer,
 * botocore.parsers QueryParser).  Callers have the names of the JSON protocol on both sides;
 * which lists and maps have other ones is a table.
 */
#ifndef CEL_AWS_QUERY_H
#define CEL_AWS_QUERY_H

#include "codec/doc.h"

enum cel_query_service { CEL_QUERY_SQS, CEL_QUERY_SNS, CEL_QUERY_STS };

/* "sqs", "sns"; others are as "sts". */
enum cel_query_service cel_query_service(const char *name);

/* Appends the form.  CELERY_EINVAL: the parameters are no object, or nested over 8 levels. */
celery_status cel_query_write(struct cel_buf *out, enum cel_query_service service,
                              const char *action, const struct cel_node *params);

/*
 * An answer as the JSON protocol would have it, but for numbers, which stay texts.  Nodes may
 * point into text.  CELERY_EMESSAGE, CELERY_ELIMIT, CELERY_ENOMEM.
 */
celery_status cel_query_read(struct cel_arena *a, struct cel_slice text,
                             enum cel_query_service service, const char *action,
                             struct cel_node **ret_node, celery_error *err);

/* Code and message of an error's answer; false: it is none. */
bool cel_query_error(struct cel_arena *a, struct cel_slice text,
                     struct cel_slice *ret_code, struct cel_slice *ret_message);

/* The name that the JSON protocol has for a code: "AWS.SimpleQueueService.NonExistentQueue" is
 * "QueueDoesNotExist".  Others are handed back as they are. */
struct cel_slice cel_query_code(struct cel_slice code);

/* Appends text, percent-encoded for a form. */
void cel_query_escape(struct cel_buf *out, struct cel_slice text);

#endif
