/* SPDX-License-Identifier: BSD-3-Clause */
/* A listening socket by its address: "127.0.0.1:9464", "[::1]:9464", "unix:/run/x.sock". */
#ifndef CEL_NET_LISTEN_H
#define CEL_NET_LISTEN_H

#include <celery/error.h>

struct cel_listener {
    int fd;          /* non-blocking, closed on exec; -1: none */
    char path[108];  /* of a Unix socket, otherwise empty */
    unsigned device; /* and which file there is ours */
    unsigned long inode;
};

/*
 * Addresses are numbers, or "localhost"; ":9464" is any address of this host.  The file of a
 * Unix socket that nobody listens on any more is replaced, one that somebody does is not.
 * CELERY_EINVAL: that is no address; CELERY_ESYSTEM: it cannot be had.
 */
celery_status cel_listen(const char *address, struct cel_listener *ret,
                         celery_error *err);

/* Closes it and removes the file of a Unix socket.  Idempotent. */
void cel_listener_close(struct cel_listener *listener);

#endif
