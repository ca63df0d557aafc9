/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine that reads a pickle: stack, marks, memo (Lib/pickle.py _Unpickler). */
#ifndef CEL_CODEC_PICKLE_IN_H
#define CEL_CODEC_PICKLE_IN_H

#include "codec/doc_build.h"
#include "codec/pickle.h"

struct cel_pickle_item {
    struct cel_node *node;
    uint32_t height; /* levels of containers in it, at most */
};

struct cel_pickle_in {
    struct cel_arena *arena;
    struct cel_slice rest;
    size_t len; /* of the whole */
    struct cel_json_limits left;
    size_t copies; /* nodes that references added */

    struct cel_pickle_item *stack;
    size_t depth;
    size_t stack_cap;
    size_t *marks; /* where the stack stood */
    size_t n_marks;
    size_t marks_cap;
    struct cel_node **memo;
    size_t n_memo; /* for MEMOIZE */
    size_t memo_cap;

    celery_error *err;
    celery_status status; /* why the last call said false */
};

/* ---- the machine; all of these say false with status set ---- */

bool cel_pickle_fail(struct cel_pickle_in *r, const char *reason);
bool cel_pickle_refuse(struct cel_pickle_in *r, const char *reason); /* CELERY_ELIMIT */
bool cel_pickle_no_room(struct cel_pickle_in *r);

/* Bytes that come next; up to (and without, but past) the end of the line. */
bool cel_pickle_take(struct cel_pickle_in *r, uint64_t n, struct cel_slice *ret);
bool cel_pickle_take_line(struct cel_pickle_in *r, struct cel_slice *ret);
bool cel_pickle_take_number(struct cel_pickle_in *r, size_t n, uint64_t *ret);

/* node NULL: there was no memory for it. */
bool cel_pickle_push(struct cel_pickle_in *r, struct cel_node *node, size_t height);
bool cel_pickle_pop(struct cel_pickle_in *r, struct cel_pickle_item *ret);
bool cel_pickle_mark(struct cel_pickle_in *r);
/* Takes the last mark; the items above it, which stay valid until the next push. */
bool cel_pickle_pop_mark(struct cel_pickle_in *r, struct cel_pickle_item **ret_items,
                         size_t *ret_n);
bool cel_pickle_memo_put(struct cel_pickle_in *r, uint64_t at);
bool cel_pickle_memo_get(struct cel_pickle_in *r, uint64_t at);

/* The top of the stack to be changed: nothing refers to it yet. */
bool cel_pickle_top(struct cel_pickle_in *r, struct cel_pickle_item **ret);

/* ---- opcodes ---- */

typedef bool cel_pickle_fn(struct cel_pickle_in *r, unsigned char op);

/* pickle_atom.c: numbers, text, bytes */
cel_pickle_fn cel_pickle_op_number;
cel_pickle_fn cel_pickle_op_line;
cel_pickle_fn cel_pickle_op_text;

/* pickle_tree.c: lists, tuples, dicts, sets, classes */
cel_pickle_fn cel_pickle_op_new;
cel_pickle_fn cel_pickle_op_gather;
cel_pickle_fn cel_pickle_op_add;
cel_pickle_fn cel_pickle_op_put;
cel_pickle_fn cel_pickle_op_class;
cel_pickle_fn cel_pickle_op_call;
cel_pickle_fn cel_pickle_op_build;

#endif
