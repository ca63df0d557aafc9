/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the chain and its sources. */
#ifndef CEL_AWS_CREDENTIALS_PRIV_H
#define CEL_AWS_CREDENTIALS_PRIV_H

#include "aws/client.h"
#include "aws/credentials.h"
#include "aws/profile.h"
#include "aws/web.h"

enum { CEL_AWS_ROLES = 6 };

struct cel_aws_role {
    char *arn;
    char *session; /* NULL: one is made up */
    char *external_id;
    double seconds; /* 0: the service's default */
};

void cel_aws_role_fini(struct cel_aws_role *role);

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
    uint64_t generation;      /* of these */
    bool stale;               /* the service refused them */
    double not_before;        /* loop time of the next search after one that failed */

    bool searching;
    bool in_get; /* a search that ends at once is told by get() itself */
    size_t at;   /* source that is asked */
    struct cel_aws_keys found;
    struct cel_buf tried; /* "AWS_ACCESS_KEY_ID is not set; ..." */
    celery_error failure; /* of the last search */
    struct cel_source *hook;
    double soon;     /* seconds before their end from which keys are looked for anew */
    double too_late; /* and from which that is waited for */

    struct cel_aws_role roles[CEL_AWS_ROLES]; /* to be assumed, the last one first */
    size_t n_roles;
    struct cel_aws *sts;

    struct cel_web *meta; /* metadata endpoints: through no proxy */
    struct cel_web_call *fetch;
    struct cel_source *pause;
    unsigned tries; /* that are left */
    struct cel_buf url;
    struct cel_buf session; /* IMDSv2's token; empty: version 1 */
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

/* The sources.  All may be asked when nothing of a search is under way, and in no other state. */
enum cel_found cel_find_environment(struct cel_credentials *c, celery_error *err);
enum cel_found cel_find_role(struct cel_credentials *c, celery_error *err);
enum cel_found cel_find_web_identity(struct cel_credentials *c, celery_error *err);
enum cel_found cel_find_shared(struct cel_credentials *c, celery_error *err);
enum cel_found cel_find_config(struct cel_credentials *c, celery_error *err);
enum cel_found cel_find_container(struct cel_credentials *c, celery_error *err);
enum cel_found cel_find_ec2(struct cel_credentials *c, celery_error *err);

/* Web identity as a profile has it, whatever the environment says. */
enum cel_found cel_find_web_identity_of(struct cel_credentials *c,
                                        const struct cel_aws_profiles *p,
                                        struct cel_slice profile, bool environment,
                                        celery_error *err);
/* Assumes the last of c->roles with c->found, which it replaces; PENDING or FAILED. */
enum cel_found cel_assume_role(struct cel_credentials *c, celery_error *err);

/* ---- help for sources ---- */

/* Fills c->found; FOUND or FAILED. */
enum cel_found cel_found_keys(struct cel_credentials *c, struct cel_slice access,
                              struct cel_slice secret, struct cel_slice token,
                              struct cel_slice expires, const char *source,
                              celery_error *err);
/* Of a JSON object of a metadata endpoint. */
enum cel_found cel_found_json(struct cel_credentials *c, struct cel_slice text,
                              const char *source, celery_error *err);
/* A request to a metadata endpoint, c->url; FAILED or PENDING. */
enum cel_found cel_fetch(struct cel_credentials *c, const char *method,
                         const char *const *headers, size_t n_headers, double timeout,
                         cel_web_fn fn, celery_error *err);
/* Calls fn in a while; FAILED or PENDING. */
enum cel_found cel_fetch_later(struct cel_credentials *c, double seconds, cel_timer_fn fn,
                               celery_error *err);

#endif
