/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signed calls to one AWS service: finds credentials and keeps them fresh, signs (SigV4), sends,
 * reads the answer.  Callers know actions and their JSON parameters; that an endpoint speaks
 * only the query protocol (forms and XML) is translated in here.
 */
#ifndef CEL_AWS_CLIENT_H
#define CEL_AWS_CLIENT_H

#include "codec/doc.h"
#include "loop/loop.h"

struct cel_aws;
struct cel_aws_call;

/* What service, as whom; all texts are copied. */
struct cel_aws_options {
    const char *service;    /* "sqs", "sns", "sts": in signature, host and action names */
    const char *region;     /* NULL: as cel_aws_region() finds it */
    const char *endpoint;   /* "http://127.0.0.1:4566"; NULL: AWS_ENDPOINT_URL_SQS,
                             AWS_ENDPOINT_URL, or https://SERVICE.REGION.amazonaws.com */
    const char *access_key; /* with secret_key: these, and no search.  NULL: the chain */
    const char *secret_key;
    const char *role_arn; /* sts_role_arn: assumed with what was found; may be NULL */
    double role_seconds;  /* sts_token_timeout; 0: 900 */
    const char *ca_file;  /* NULL: the system's, or AWS_CA_BUNDLE */
    bool no_verify;       /* the URL or the options said so in as many words */
};

/*
 * How a call ended.  err NULL: the service did it; result is its answer, an object, borrowed
 * for the call (an empty one for an empty body).  Otherwise code tells more than err's status.
 */
struct cel_aws_answer {
    const celery_error *err; /* one line for the log: no secret, no unescaped text */
    const struct cel_node *result;
    const char *code; /* of the service, the part after '#': "QueueDoesNotExist"; or "" */
    int http_status;  /* 0: no answer */
    bool
        again; /* worth another try later: 5xx, throttling, network.  CELERY_EUNCERTAIN in
                   err: the service may have done it */
};

typedef void (*cel_aws_fn)(void *ctx, const struct cel_aws_answer *answer);

struct cel_aws_request {
    const char *action;      /* "SendMessageBatch" */
    struct cel_slice params; /* JSON object, written by the caller; copied */
    double timeout; /* seconds for each try, without waiting for credentials; > 0 */
    unsigned tries; /* with back-off between them; 0: 3.  1: for long polls */
    bool long_poll; /* on connections of its own: never behind others, nor before */
};

/* Opens nothing yet.  CELERY_ENOTSUP: the module curl.so is missing. */
celery_status cel_aws_new(struct cel_loop *loop, const struct cel_aws_options *options,
                          struct cel_aws **ret_aws, celery_error *err);

/*
 * Drops what is under way: their fn is not called.  Legal from the fn of a call, whose answer
 * is gone then.  Returns NULL.
 */
struct cel_aws *cel_aws_free(struct cel_aws *aws);

/*
 * Finds credentials without a call to the service: err NULL, or which sources were tried and
 * what each of them lacked.  Calls wait for it by themselves.  fn is called once, from the loop,
 * never from in here.  NULL only when out of memory.
 */
struct cel_aws_call *cel_aws_ready(struct cel_aws *aws, cel_aws_fn fn, void *ctx);

/*
 * Starts a call.  fn is called once, from the loop, never from in here.  ExpiredToken and its
 * like: credentials are read anew and it is tried once more; a skewed clock is measured by the
 * service's Date and corrected.  NULL only when out of memory.
 */
struct cel_aws_call *cel_aws_call(struct cel_aws *aws, const struct cel_aws_request *r,
                                  cel_aws_fn fn, void *ctx);

/* Gives a call up; fn is not called.  The connection of a long poll is closed, so that the service
 * hands out no message to it.  Returns NULL. */
struct cel_aws_call *cel_aws_cancel(struct cel_aws_call *call);

/* "https://sqs.eu-west-1.amazonaws.com" and the region, for messages; borrowed. */
const char *cel_aws_endpoint(const struct cel_aws *aws);
const char *cel_aws_region_of(const struct cel_aws *aws);

/* How many requests went out, for benchmarks and metrics. */
uint64_t cel_aws_requests(const struct cel_aws *aws);

#endif
