/* SPDX-License-Identifier: BSD-3-Clause */
/* Profiles of the shared files: where they are, which one counts, what it says. */
#ifndef CEL_AWS_PROFILE_H
#define CEL_AWS_PROFILE_H

#include "aws/env.h"
#include "aws/ini.h"

enum { CEL_AWS_PATH = 512 };

struct cel_aws_file {
    char path[CEL_AWS_PATH];
    const char *shown; /* as people write it: "~/.aws/config" */
    struct cel_buf text;
    struct cel_ini ini;
    celery_error err; /* why it could not be read; status CELERY_NONE: there is none */
};

struct cel_aws_profiles {
    struct cel_arena arena;
    struct cel_aws_file credentials;
    struct cel_aws_file config;
    struct cel_slice name; /* the profile that counts */
    bool named;            /* by the environment, so it has to exist */
};

/*
 * Reads both files as they are now; fini() in every case.  A file that is missing or cannot be
 * opened is empty (its err says so); one that cannot be understood or held is an error, because
 * what it may say must not be passed over.
 */
celery_status cel_aws_profiles_load(struct cel_aws_profiles *p,
                                    const struct cel_aws_env *env, celery_error *err);
void cel_aws_profiles_fini(struct cel_aws_profiles *p);

bool cel_aws_profile_exists(const struct cel_aws_profiles *p, struct cel_slice profile);

/* A value of the config file ("[default]", "[profile NAME]"), or of the credentials file. */
struct cel_slice cel_aws_profile_config(const struct cel_aws_profiles *p,
                                        struct cel_slice profile, const char *key);
struct cel_slice cel_aws_profile_credentials(const struct cel_aws_profiles *p,
                                             struct cel_slice profile, const char *key);
/* Of both: what the credentials file says wins, as in botocore's full_config. */
struct cel_slice cel_aws_profile_get(const struct cel_aws_profiles *p,
                                     struct cel_slice profile, const char *key);

#endif
