/* SPDX-License-Identifier: BSD-3-Clause */
/* Redis commands and replies (RESP2) as bytes.  Only resp.c includes hiredis. */
#ifndef CEL_NET_RESP_H
#define CEL_NET_RESP_H

#include "base/buf.h"

/* A reply; owned by the reader's caller until cel_resp_free(). */
struct cel_resp;

enum cel_resp_kind {
    CEL_RESP_NIL,
    CEL_RESP_STATUS,
    CEL_RESP_ERROR,
    CEL_RESP_INT,
    CEL_RESP_STRING,
    CEL_RESP_ARRAY,
};

enum cel_resp_kind cel_resp_kind(const struct cel_resp *r); /* NULL: NIL */
struct cel_slice cel_resp_text(const struct cel_resp *r);   /* STRING, STATUS, ERROR */
int64_t cel_resp_int(const struct cel_resp *r);             /* INT; otherwise 0 */
size_t cel_resp_size(const struct cel_resp *r);             /* ARRAY; otherwise 0 */
const struct cel_resp *cel_resp_at(const struct cel_resp *r, size_t i);
void cel_resp_free(struct cel_resp *r);

/* Parser without I/O, with ceilings on bulk size (max_bulk), elements and depth. */
struct cel_resp_reader;
struct cel_resp_reader *cel_resp_reader_new(size_t max_bulk);
struct cel_resp_reader *cel_resp_reader_free(struct cel_resp_reader *reader);

/* Takes in bytes; then call next until CELERY_NONE.  CELERY_EPROTO: drop the connection. */
celery_status cel_resp_feed(struct cel_resp_reader *reader, struct cel_slice bytes,
                            celery_error *err);
celery_status cel_resp_next(struct cel_resp_reader *reader, struct cel_resp **ret_reply,
                            celery_error *err);

/* Appends a command, or nothing: a full buffer stays usable for shorter ones. */
celery_status cel_resp_command(struct cel_buf *out, size_t argc,
                               const struct cel_slice *argv);

/* The same in pieces: the number of words, then each of them. */
celery_status cel_resp_begin(struct cel_buf *out, size_t argc);
celery_status cel_resp_word(struct cel_buf *out, struct cel_slice word);

#endif
