/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests of HTTP/1.0 and 1.1 and the heads of their answers; bytes without I/O.  Only what a
 * probe or a scraper sends is understood: GET and HEAD without a body, one for each connection.
 */
#ifndef CEL_NET_HTTP_H
#define CEL_NET_HTTP_H

#include "base/buf.h"

/* Bytes of a request line and all header lines together; more is 431. */
#define CEL_HTTP_HEAD_MAX 8192

struct cel_http_request {
    bool head;               /* HEAD: the answer has no body */
    struct cel_slice method; /* borrowed from the input, as what follows */
    struct cel_slice path;   /* begins with '/', as it was sent: nothing is decoded */
    struct cel_slice query;  /* behind '?'; or empty */
};

/*
 * Reads one request from what has arrived.  0: it is not complete yet; 200 with *ret filled;
 * otherwise the status it is to be refused with: 400, 405, 413, 414, 431, 505.  Once it has
 * refused, more bytes do not change that.
 */
int cel_http_parse(struct cel_slice input, struct cel_http_request *ret);

/* "Not Found".  Never NULL. */
const char *cel_http_reason(int status);

/* The head of an answer, up to and with the empty line.  The connection closes behind it. */
void cel_http_write_head(struct cel_buf *out, int status, const char *content_type,
                         size_t length);

#endif
