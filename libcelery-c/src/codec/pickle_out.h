/* SPDX-License-Identifier: BSD-3-Clause */
/* The stream of a pickle that is written: frames, memo, opcodes (Modules/_pickle.c). */
#ifndef CEL_CODEC_PICKLE_OUT_H
#define CEL_CODEC_PICKLE_OUT_H

#include "base/map.h"
#include "codec/pickle.h"

struct cel_pickle_out {
    struct cel_buf *buf;
    size_t frame; /* where the header of the open frame is; SIZE_MAX: none is open */
    bool framing; /* between PROTO and the last frame's end */
    struct cel_map seen; /* strings that Python shares, to their number in the memo + 1 */
    uint32_t memo;       /* objects in the memo */
    bool failed;         /* no memory for seen */
};

void cel_pickle_begin(struct cel_pickle_out *o, struct cel_buf *buf);

/* Writes STOP, ends the last frame and frees; the status of it all. */
celery_status cel_pickle_end(struct cel_pickle_out *o, celery_status status,
                             celery_error *err);

/* Between two objects: ends a frame that is full. */
void cel_pickle_boundary(struct cel_pickle_out *o);

void cel_pickle_op(struct cel_pickle_out *o, unsigned char opcode);
void cel_pickle_bytes(struct cel_pickle_out *o, struct cel_slice bytes);
void cel_pickle_memoize(struct cel_pickle_out *o);

/* A bytes object, memoized. */
void cel_pickle_put_bytes(struct cel_pickle_out *o, struct cel_slice bytes);

/* A str, memoized. */
void cel_pickle_put_string(struct cel_pickle_out *o, struct cel_slice text);

/*
 * A str that is the same object wherever it comes: kind 'k' for keys of maps and characters, 'm'
 * for names of modules.  Refers to the first one.
 */
void cel_pickle_put_shared(struct cel_pickle_out *o, char kind, struct cel_slice text);

/* A class by name, memoized or referred to. */
void cel_pickle_put_class(struct cel_pickle_out *o, const char *module, const char *name);

/* Ends a tuple of n elements; more than three began with MARK. */
void cel_pickle_end_tuple(struct cel_pickle_out *o, size_t n);

/* An int of decimal text. */
celery_status cel_pickle_put_int(struct cel_pickle_out *o, struct cel_slice text,
                                 celery_error *err);

/* An int of two's complement, little-endian; not for those of less than five bytes. */
void cel_pickle_put_long(struct cel_pickle_out *o, const unsigned char *bytes,
                         size_t len);

/* ---- typed values ---- */

/* Writes a typed value of kombu as the object it stands for; false: it is none. */
bool cel_pickle_put_typed(struct cel_pickle_out *o, const struct cel_node *n);

#endif
