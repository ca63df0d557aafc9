/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the chain and its sources. */
#ifndef CEL_AWS_CREDENTIALS_PRIV_H
#define CEL_AWS_CREDENTIALS_PRIV_H

#include "aws/credentials.h"

struct cel_credentials {
    struct cel_loop *loop;
    const struct cel_aws_env *env;
    const struct cel_http_driver *driver;
    struct cel_aws_keys fixed; /* of the URL; access_key NULL: none */
    char *role_arn;
    double role_seconds;
    char *region;
    char *ca_file;
    bool no_verify;
    cel_credentials_fn fn;
    void *ctx;

    struct cel_aws_keys keys; /* in use; access_key NULL: none */
    bool stale;               /* the service refused them */
    double not_before;        /* loop time of the next search after one that failed */

    bool searching;
    bool in_get; /* a search that ends at once is told by get() itself */
    size_t at;   /* source that is asked */
    struct cel_aws_keys found;
    struct cel_buf tried; /* "AWS_ACCESS_KEY_ID is not set; ..." */
    celery_error failure; /* of the last search */
    struct cel_source *hook;
};

enum cel_found {
    CEL_FOUND,   /* c->found is filled */
    CEL_LACKS,   /* not here: the next one is asked; err says what is missing */
    CEL_FAILED,  /* it is configured and does not work: no other is asked */
    CEL_PENDING, /* cel_credentials_found() will be called */
};

/* How a source that was pending ended. */
void cel_credentials_found(struct cel_credentials *c, enum cel_found how,
                           const celery_error *err);

enum cel_found cel_find_environment(struct cel_credentials *c, celery_error *err);

#endif
