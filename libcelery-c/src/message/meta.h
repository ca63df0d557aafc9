/* SPDX-License-Identifier: BSD-3-Clause */
/* The result document (celery/backends/base.py Backend._get_result_meta). */
#ifndef CEL_MESSAGE_META_H
#define CEL_MESSAGE_META_H

#include "codec/codec.h"

/* States of celery/states.py. */
bool cel_state_is_ready(struct cel_slice state);     /* SUCCESS, FAILURE, REVOKED */
bool cel_state_is_exception(struct cel_slice state); /* RETRY, FAILURE, REVOKED */

/* To be stored.  Parts that are JSON text are put into a JSON document as they are. */
struct cel_task_meta {
    struct cel_slice task_id;
    struct cel_slice status;
    struct cel_slice result_json;   /* JSON text; empty: null */
    struct cel_slice traceback;     /* WTF-8; {NULL, 0}: null */
    struct cel_slice children_json; /* JSON text; {NULL, 0}: null */
    int64_t date_done_us;           /* INT64_MIN: null */
    struct cel_slice group_id;      /* left out when empty */
    struct cel_slice parent_id;

    /* Not in the document: where it goes, for backends that send it.  Empty: nowhere. */
    struct cel_slice reply_to;
    struct cel_slice correlation_id; /* empty: task_id */

    /* result_extended */
    bool extended;
    struct cel_slice name;
    struct cel_slice args_json; /* JSON text */
    struct cel_slice kwargs_json;
    struct cel_slice worker;
    int64_t retries; /* INT64_MIN: null */
    struct cel_slice queue;
    const struct cel_node *stamped_headers; /* or NULL; with stamps */
    const struct cel_node *stamps;
};

/* Key order and spelling of every key/value backend; codec NULL: json. */
celery_status cel_meta_write(struct cel_buf *out, const struct cel_task_meta *meta,
                             const struct cel_codec *codec, celery_error *err);

/* The status of a stored document; {NULL, 0} when it is none. */
struct cel_slice cel_meta_status(const struct cel_node *doc);

/* ---- exceptions ---- */

/* {"exc_type": ..., "exc_message": [...], "exc_module": ...}; args_json: a JSON array. */
celery_status cel_exception_write(struct cel_buf *out, struct cel_slice type,
                                  struct cel_slice args_json, struct cel_slice module);

/* "ValueError('x')" from type and JSON arguments, as repr(exc) gives it. */
celery_status cel_exception_repr(struct cel_buf *out, struct cel_slice type,
                                 struct cel_slice args_json);

/* "ValueError: x": the last line of a traceback (str(exc); KeyError: repr of its key). */
celery_status cel_exception_line(struct cel_buf *out, struct cel_slice type,
                                 struct cel_slice args_json);

#endif
