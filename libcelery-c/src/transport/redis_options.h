/* SPDX-License-Identifier: BSD-3-Clause */
/* broker_transport_options of the Redis transport, checked and read. */
#ifndef CEL_TRANSPORT_REDIS_OPTIONS_H
#define CEL_TRANSPORT_REDIS_OPTIONS_H

#include "codec/doc.h"
#include "net/redis_conn.h"
#include "transport/redis_keys.h"

enum cel_redis_order { CEL_REDIS_ROUND_ROBIN, CEL_REDIS_SORTED, CEL_REDIS_PRIORITY };

struct cel_redis_settings {
    double visibility_timeout; /* seconds */
    int64_t restore_limit;     /* entries of one visibility sweep; 0: all */
    enum cel_redis_order order;
    bool body_plain;              /* body_encoding null or "utf-8" */
    char *deadletter_queue;       /* for messages no binding matches; or NULL */
    struct cel_redis_options net; /* its texts are owned here */
};

/*
 * Reads options (may be NULL) into both.  CELERY_ECONFIG with a line naming the option and,
 * for an unknown one, the nearest; CELERY_ENOTSUP for what cannot be done safely.
 */
celery_status cel_redis_options_read(const struct cel_node *options, int db,
                                     struct cel_redis_settings *s,
                                     struct cel_redis_keys *k, celery_error *err);
void cel_redis_settings_fini(struct cel_redis_settings *s);

#endif
