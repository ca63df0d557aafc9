/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the queue of calls, their requests and their answers. */
#ifndef CEL_AWS_CLIENT_PRIV_H
#define CEL_AWS_CLIENT_PRIV_H

#include "aws/client.h"
#include "aws/credentials.h"
#include "aws/query.h"
#include "aws/sigv4.h"
#include "aws/web.h"
#include "base/list.h"
#include "net/backoff.h"

struct cel_aws {
    struct cel_loop *loop;
    const struct cel_http_driver *driver;
    struct cel_web *web;   /* calls */
    struct cel_web *polls; /* long polls, on connections of their own */
    struct cel_credentials *credentials;
    char *service;
    char *region;
    char *endpoint;
    char *url;  /* endpoint and "/" */
    char *host; /* as it is signed */
    struct cel_sigv4_key key;
    double skew; /* seconds that the service's clock is ahead of ours */
    enum cel_query_service kind;
    bool query;       /* forms and XML */
    bool json_spoken; /* an answer was JSON: it is not asked in another way any more */
    bool unsigned_calls;
    struct cel_list calls;
    struct cel_source *hook; /* starts what waits */
    uint64_t requests;
    bool *gone; /* set while a function of somebody else's runs */
};

enum cel_call_state {
    CEL_CALL_WAITING, /* for credentials */
    CEL_CALL_FLYING,
    CEL_CALL_PAUSED, /* for its next try */
};

struct cel_aws_call {
    struct cel_list link;
    struct cel_aws *aws;
    char *action; /* NULL: cel_aws_ready() */
    struct cel_buf params;
    struct cel_buf body; /* what is sent */
    double timeout;
    unsigned tries; /* that are left */
    bool long_poll;
    bool reloaded;       /* credentials were read anew for it */
    bool corrected;      /* the clock was */
    uint64_t generation; /* of the keys that signed it */
    bool unsure;         /* some try may have been done by the service */
    enum cel_call_state state;
    struct cel_backoff backoff;
    struct cel_source *timer;
    struct cel_web_call *web;
    cel_aws_fn fn;
    void *ctx;
};

/* What a client is made of that callers outside of here do not say. */
struct cel_aws_inner {
    const struct cel_aws_env *env;
    const struct cel_http_driver *driver;
    const char *token;   /* behind options' keys; may be NULL */
    bool unsigned_calls; /* STS, before there are keys */
};

celery_status cel_aws_new_inner(struct cel_loop *loop,
                                const struct cel_aws_options *options,
                                const struct cel_aws_inner *inner,
                                struct cel_aws **ret_aws, celery_error *err);

/* ---- client.c ---- */

void cel_aws_on_hook(void *ctx); /* starts what waits */
void cel_aws_on_credentials(void *ctx, const celery_error *err);

/* ---- request.c ---- */

/* Writes, signs and starts; CELERY_EINVAL: parameters that are none, CELERY_ENOMEM. */
celery_status cel_aws_send(struct cel_aws_call *call, const struct cel_aws_keys *keys,
                           cel_web_fn fn);

/* ---- answer.c ---- */

enum cel_aws_verdict {
    CEL_AWS_DONE,
    CEL_AWS_FINAL,    /* an error that stays */
    CEL_AWS_LATER,    /* another try may do */
    CEL_AWS_RELOAD,   /* the credentials are refused */
    CEL_AWS_CLOCK,    /* or the time is: skew is the service's clock minus ours */
    CEL_AWS_PROTOCOL, /* it does not speak JSON */
};

struct cel_aws_reading {
    enum cel_aws_verdict verdict;
    bool unsure; /* the service may have done it */
    bool throttled;
    double skew;
    char code[80];
    const struct cel_node *result; /* in the arena, pointing into the reply */
    celery_error err;
};

void cel_aws_read(struct cel_aws_call *call, const struct cel_web_reply *reply,
                  struct cel_arena *arena, struct cel_aws_reading *ret);

#endif
