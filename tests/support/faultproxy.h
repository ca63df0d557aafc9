/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SUPPORT_FAULTPROXY_H
#define SUPPORT_FAULTPROXY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct faultproxy_options {
    struct sockaddr_storage listen;
    socklen_t listen_len;
    struct sockaddr_storage to;
    socklen_t to_len;
    uint64_t delay; /* ns, each way */
    uint64_t seed;
    uint64_t cut_after; /* bytes of a connection, both ways together; 0: never */
    uint64_t stall_after;
    uint64_t rst_after;
    uint64_t half_close_after;
    double corrupt_rate; /* chance of each byte */
    bool split;          /* byte by byte */
};

extern struct faultproxy_options options;

void parse_options(int argc, char **argv);
int start_listening(void);   /* the socket; says on stdout where */
void fail(const char *what); /* with errno; does not return */

#endif
