/* SPDX-License-Identifier: BSD-3-Clause */
/* What the URL and broker_transport_options say to SQS. */
#ifndef CEL_TRANSPORT_SQS_OPTIONS_H
#define CEL_TRANSPORT_SQS_OPTIONS_H

#include "base/url.h"
#include "codec/doc.h"

enum { CEL_SQS_DAY_LIMIT = 43200 }; /* seconds a message can be held in all: 12 hours */

/* From which receipt of a message on it stays away for how long after a reject. */
struct cel_sqs_step {
    int64_t receives;
    int64_t seconds;
};

/* One of predefined_queues. */
struct cel_sqs_predefined {
    const char *name;
    const char *url;
    const char *access_key; /* or NULL, like secret_key and region: the transport's */
    const char *secret_key;
    const char *region;
    const struct cel_sqs_step *backoff; /* backoff_policy */
    size_t n_backoff;
    const struct cel_node *backoff_tasks; /* an array of names; or NULL */
};

struct cel_sqs_options {
    struct cel_arena arena; /* everything below lies in it */
    const char *region;     /* or NULL */
    const char *endpoint;   /* of the URL's host or endpoint_url; NULL: Amazon's */
    const char *access_key; /* of the URL; or NULL */
    const char *secret_key;
    const char *prefix;               /* queue_name_prefix; "" */
    const char *role_arn;             /* sts_role_arn; or NULL */
    double role_seconds;              /* sts_token_timeout */
    int64_t visibility;               /* visibility_timeout of queues that are created */
    int64_t wait;                     /* wait_time_seconds */
    int64_t hold_limit;               /* seconds a message is ours at most */
    bool secure;                      /* is_secure */
    bool plain;                       /* sqs_base64_encoding is false */
    bool fanout;                      /* supports_fanout */
    const struct cel_node *creation;  /* sqs-creation-attributes; or NULL */
    const struct cel_node *tags;      /* queue_tags; or NULL */
    const struct cel_node *exchanges; /* predefined_exchanges; or NULL */
    const struct cel_sqs_predefined *predefined;
    size_t n_predefined;
    bool
        closed_world; /* predefined_queues is there, maybe empty: no other queue is used */
};

/*
 * Reads both; ret is to be freed even if this fails.  CELERY_ECONFIG with one line that names
 * the option, for an unknown one with the nearest.
 */
celery_status cel_sqs_options_read(const struct cel_url *url,
                                   const struct cel_node *options,
                                   struct cel_sqs_options *ret, celery_error *err);
void cel_sqs_options_fini(struct cel_sqs_options *o);

/* The queue of predefined_queues by Celery's name or by SQS's; NULL: there is none. */
const struct cel_sqs_predefined *cel_sqs_predefined_find(const struct cel_sqs_options *o,
                                                         const char *name,
                                                         const char *sqs_name);

/*
 * Seconds that a message of this task stays away after a reject at this receipt
 * (kombu/transport/SQS.py QoS.apply_backoff_policy); -1: its queue says nothing.
 */
int64_t cel_sqs_backoff(const struct cel_sqs_predefined *p, struct cel_slice task,
                        int64_t receives);

#endif
