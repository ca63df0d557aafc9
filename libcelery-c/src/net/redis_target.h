/* SPDX-License-Identifier: BSD-3-Clause */
/* What a URL and the options say about one Redis connection, checked and copied. */
#ifndef CEL_NET_REDIS_TARGET_H
#define CEL_NET_REDIS_TARGET_H

#include "net/redis_conn.h"

struct cel_redis_target {
    char *host; /* NULL: unix_path */
    char *unix_path;
    char *user;     /* NULL: none */
    char *password; /* NULL: none */
    char *client_name;
    int port;
    int db;
    double connect_timeout;
    double command_timeout;
    double health_check_interval; /* <= 0: none */
    bool keepalive;
    size_t max_reply;
    struct cel_tls *tls; /* NULL: plain */
    const char *setting; /* static */
    char text[128];      /* for messages, without the password */
};

/* Fills *target, which cel_redis_target_fini() empties even after a failure. */
celery_status cel_redis_target_init(struct cel_redis_target *target,
                                    const struct cel_url *url,
                                    const struct cel_redis_options *options,
                                    celery_error *err);
void cel_redis_target_fini(struct cel_redis_target *target);

#endif
