/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AWS Signature Version 4 for everything but S3, whose paths are canonical in another way.  Pure:
 * the instant comes in as text.  What is signed is what botocore's SigV4Auth signs: all headers
 * that are given.
 */
#ifndef CEL_AWS_SIGV4_H
#define CEL_AWS_SIGV4_H

#include "base/buf.h"

enum { CEL_SIGV4_HEADERS = 16, CEL_SIGV4_DATE = 16 };

struct cel_sigv4_header {
    struct cel_slice name; /* lower case */
    struct cel_slice value;
};

struct cel_sigv4 {
    struct cel_slice access_key;
    struct cel_slice secret_key;
    struct cel_slice region;
    struct cel_slice service;
    struct cel_slice date; /* "20260414T030405Z" */
    struct cel_slice method;
    struct cel_slice path;  /* as it is sent, percent-encoded; empty: "/" */
    struct cel_slice query; /* as it is sent, without "?" */
    /* host, x-amz-date, x-amz-security-token and whatever else shall be signed, in any order */
    const struct cel_sigv4_header *headers;
    size_t n_headers; /* at most CEL_SIGV4_HEADERS */
    struct cel_slice body;
};

/* The key of a day, region and service, kept between signatures.  {0}: none yet. */
struct cel_sigv4_key {
    unsigned char seed[32]; /* hash of all that it depends on */
    unsigned char key[32];
    bool set;
};

/* The value of the header Authorization.  kept may be NULL.  CELERY_EINVAL, CELERY_ENOMEM. */
celery_status cel_sigv4_authorization(const struct cel_sigv4 *s,
                                      struct cel_sigv4_key *kept, struct cel_buf *out);

/* What that is made of. */
celery_status cel_sigv4_canonical(const struct cel_sigv4 *s, struct cel_buf *out);
celery_status cel_sigv4_string(const struct cel_sigv4 *s, struct cel_buf *out);

/* An instant, microseconds since 1970, as x-amz-date has it. */
void cel_sigv4_date(int64_t us, char ret_date[CEL_SIGV4_DATE + 1]);

#endif
