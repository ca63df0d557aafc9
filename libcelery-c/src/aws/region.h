/* SPDX-License-Identifier: BSD-3-Clause */
/* Which region, and under which address a service of it is reached. */
#ifndef CEL_AWS_REGION_H
#define CEL_AWS_REGION_H

#include "aws/env.h"

enum { CEL_AWS_REGION_SIZE = 64 };

/*
 * wanted if there is one; else AWS_DEFAULT_REGION, AWS_REGION, the profile's in the config file,
 * us-east-1.  (boto3 does not read AWS_REGION: it comes behind what boto3 reads first.)
 * CELERY_ECONFIG for a name that cannot be part of a host's.
 */
celery_status cel_aws_region(const struct cel_aws_env *env, const char *wanted,
                             char ret_region[CEL_AWS_REGION_SIZE], celery_error *err);

/*
 * Appends the address without a slash behind it: wanted if there is one; else
 * AWS_ENDPOINT_URL_SERVICE, AWS_ENDPOINT_URL, https://SERVICE.REGION.amazonaws.com.
 * CELERY_ECONFIG when it is not http or https with a host and nothing else.
 */
celery_status cel_aws_endpoint_url(const struct cel_aws_env *env, const char *wanted,
                                   const char *service, const char *region,
                                   struct cel_buf *out, celery_error *err);

#endif
