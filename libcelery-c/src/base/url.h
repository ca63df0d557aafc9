/* SPDX-License-Identifier: BSD-3-Clause */
/* Broker and result-backend URLs, read as kombu.utils.url.parse_url does. */
#ifndef CEL_BASE_URL_H
#define CEL_BASE_URL_H

#include "base/slice.h"
#include <celery/error.h>

struct cel_url_option {
    char *name;
    char *value;
};

struct cel_url {
    char *scheme;   /* lower case: "redis", "rediss", "redis+socket", "sentinel" */
    char *user;     /* percent-decoded; NULL when absent */
    char *password; /* percent-decoded; NULL when absent; never printed */
    char *host;     /* IPv6 without brackets; NULL when absent */
    int port;       /* 0 when absent */
    char *path;     /* percent-decoded, with its leading slash; NULL when absent */
    struct cel_url_option *options; /* the query, decoded */
    size_t n_options;
};

/*
 * Parses one URL.  CELERY_ECONFIG with a line that says what is wrong (a blank or a
 * control character is named as such) and never shows the password.
 */
celery_status cel_url_parse(const char *text, struct cel_url **ret_url,
                            celery_error *err);
struct cel_url *cel_url_free(struct cel_url *url);

/* Splits "a;b;c" (failover list); parses each.  *ret_urls has *ret_n entries. */
celery_status cel_url_parse_list(const char *text, struct cel_url ***ret_urls,
                                 size_t *ret_n, celery_error *err);
struct cel_url **cel_url_free_list(struct cel_url **urls, size_t n);

/* An option's value, or NULL. */
const char *cel_url_option(const struct cel_url *url, const char *name);

/* An option that is true or false: true, yes, on, 1 and the others.  False: it is neither. */
bool cel_url_flag(const char *value, bool *ret_flag);

/*
 * For people: kombu's as_uri(), password as "**"; e.g. "redis://:**@host:6379/0".  Written to
 * text (size bytes, always terminated).
 */
void cel_url_text(const struct cel_url *url, char *text, size_t size);

/* The same for text that may not even parse: masks everything between ":" and "@". */
void cel_url_mask(const char *url, char *text, size_t size);

#endif
