/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/region.h"

#include <ctype.h>
#include <stdio.h>

#include "aws/profile.h"
#include "base/error.h"
#include "base/log.h"
#include "base/url.h"

/* The region of the profile that counts; "" when it has none. */
static celery_status read_profile(const struct cel_aws_env *env,
                                  char ret[CEL_AWS_REGION_SIZE + 1], celery_error *err)
{
    struct cel_aws_profiles p;
    celery_status status = cel_aws_profiles_load(&p, env, err);
    struct cel_slice region = cel_aws_profile_get(&p, p.name, "region");
    size_t len = region.len < CEL_AWS_REGION_SIZE ? region.len : CEL_AWS_REGION_SIZE;

    memcpy(ret, len ? region.data : "", len);
    ret[len] = '\0';
    cel_aws_profiles_fini(&p);
    return status;
}

celery_status cel_aws_region(const struct cel_aws_env *env, const char *wanted,
                             char ret_region[CEL_AWS_REGION_SIZE], celery_error *err)
{
    const char *region = wanted && *wanted ? wanted : NULL;
    char of_profile[CEL_AWS_REGION_SIZE + 1]; /* too long: told below */

    if (!region) {
        region = cel_aws_getenv(env, "AWS_DEFAULT_REGION");
    }
    if (!region) {
        region = cel_aws_getenv(env, "AWS_REGION");
    }
    if (!region) {
        celery_status status = read_profile(env, of_profile, err);

        if (status < 0) {
            return status;
        }
        region = of_profile[0] ? of_profile : "us-east-1";
    }
    size_t len = strlen(region);
    if (len >= CEL_AWS_REGION_SIZE ||
        strspn(region,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") !=
            len) {
        return cel_error_set(err, CELERY_ECONFIG, "not an AWS region: \"%s\"",
                             cel_log_safe(cel_slice_of(region)));
    }
    memcpy(ret_region, region, len + 1);
    return CELERY_OK;
}

static const char *from_environment(const struct cel_aws_env *env, const char *service)
{
    char name[40];
    const char *value;

    snprintf(name, sizeof name, "AWS_ENDPOINT_URL_%s", service);
    for (char *at = name; *at; at++) {
        *at = (char)toupper((unsigned char)*at);
    }
    value = cel_aws_getenv(env, name);
    return value ? value : cel_aws_getenv(env, "AWS_ENDPOINT_URL");
}

static celery_status check(struct cel_slice text, celery_error *err)
{
    struct cel_slice host = text;
    bool safe = cel_slice_starts(text, CEL_SLICE("http://")) ||
                cel_slice_starts(text, CEL_SLICE("https://"));

    if (safe) {
        size_t scheme = text.data[4] == 's' ? 8 : 7;

        host = cel_slice(text.data + scheme, text.len - scheme);
        for (size_t i = 0; i < host.len; i++) {
            safe = safe && (isalnum((unsigned char)host.data[i]) ||
                            memchr(".-_:[]", host.data[i], 6));
        }
    }
    if (!safe || host.len == 0) {
        char shown[128];

        cel_url_mask(text.data, shown, sizeof shown);
        return cel_error_set(err, CELERY_ECONFIG,
                             "not an endpoint (http or https, host and port): %s",
                             cel_log_safe(cel_slice_of(shown)));
    }
    return CELERY_OK;
}

celery_status cel_aws_endpoint_url(const struct cel_aws_env *env, const char *wanted,
                                   const char *service, const char *region,
                                   struct cel_buf *out, celery_error *err)
{
    const char *given = wanted && *wanted ? wanted : from_environment(env, service);
    bool china = strncmp(region, "cn-", 3) == 0;

    if (given) {
        struct cel_slice text = cel_slice_of(given);

        while (text.len > 0 && text.data[text.len - 1] == '/') {
            text.len--;
        }
        celery_status status = check(text, err);
        if (status < 0) {
            return status;
        }
        cel_buf_add_slice(out, text);
    } else {
        cel_buf_addf(out, "https://%s.%s.amazonaws.com%s", service, region,
                     china ? ".cn" : "");
    }
    return cel_buf_ok(out) ? CELERY_OK : cel_error_nomem(err);
}
