/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the keys that requests are signed with, in the order of botocore.credentials
 * (create_credential_resolver, without SSO, login and external processes), and finds them anew
 * before they expire.
 */
#ifndef CEL_AWS_CREDENTIALS_H
#define CEL_AWS_CREDENTIALS_H

#include "aws/env.h"
#include "aws/http_driver.h"
#include "loop/loop.h"

struct cel_credentials;

/* All owned by whoever holds it; cel_aws_keys_fini() wipes and frees. */
struct cel_aws_keys {
    char *access_key;
    char *secret_key;
    char *token;        /* of the session; NULL: none */
    double expires;     /* seconds since 1970; 0: never */
    bool outlive;       /* used beyond that while no others can be had (EC2) */
    const char *source; /* "the environment"; static */
};

void cel_aws_keys_fini(struct cel_aws_keys *keys);
/* On CELERY_ENOMEM nothing is held. */
celery_status cel_aws_keys_copy(struct cel_aws_keys *ret,
                                const struct cel_aws_keys *from);

struct cel_credentials_options {
    const struct cel_aws_env *env; /* outlives it; NULL: the system's */
    const struct cel_http_driver *driver;
    const char *access_key; /* with secret_key: these, and no search */
    const char *secret_key;
    const char *token;    /* of these; may be NULL */
    bool none;            /* keys are of no use */
    const char *role_arn; /* assumed with what was found */
    double role_seconds;
    const char *region; /* of STS */
    const char *ca_file;
    bool no_verify;
};

/* err NULL: cel_credentials_get() has keys now; otherwise what each source lacked. */
typedef void (*cel_credentials_fn)(void *ctx, const celery_error *err);

celery_status cel_credentials_new(struct cel_loop *loop,
                                  const struct cel_credentials_options *options,
                                  cel_credentials_fn fn, void *ctx,
                                  struct cel_credentials **ret_credentials,
                                  celery_error *err);
struct cel_credentials *cel_credentials_free(struct cel_credentials *c);

/*
 * Keys to sign with now, borrowed until the loop's next pass.  NULL: a search is under way, fn
 * is called from the loop when it has ended.  Keys within 15 minutes of their end are looked
 * for anew meanwhile, those within 10 minutes are not handed out before that has ended.
 */
const struct cel_aws_keys *cel_credentials_get(struct cel_credentials *c);

/* Counts the keys that get() has handed out, one after the other. */
uint64_t cel_credentials_generation(const struct cel_credentials *c);

/*
 * The service said that the keys of that generation are no more: the next get() searches, unless
 * others have come meanwhile.
 */
void cel_credentials_expire(struct cel_credentials *c, uint64_t generation);

#endif
