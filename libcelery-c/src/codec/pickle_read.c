/* SPDX-License-Identifier: BSD-3-Clause */
/* The opcodes of protocols 0 to 5, less those that reach outside of the pickle. */
#include "codec/pickle_in.h"

#include "base/alloc.h"
#include "base/error.h"
#include "codec/pickle_opcodes.h"

static bool op_proto(struct cel_pickle_in *r, unsigned char op)
{
    uint64_t protocol;
    if (!cel_pickle_take_number(r, 1, &protocol)) {
        return false;
    }
    return protocol <= 5 || cel_pickle_fail(r, "unknown protocol");
}

/* A frame only says how much can be read at once. */
static bool op_frame(struct cel_pickle_in *r, unsigned char op)
{
    uint64_t len;
    if (!cel_pickle_take_number(r, 8, &len)) {
        return false;
    }
    return len <= r->rest.len || cel_pickle_fail(r, "incomplete frame");
}

static bool op_mark(struct cel_pickle_in *r, unsigned char op)
{
    return cel_pickle_mark(r);
}

static bool op_pop(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_pickle_item item;
    struct cel_pickle_item *items;
    size_t n;
    return op == CEL_PK_POP ? cel_pickle_pop(r, &item)
                            : cel_pickle_pop_mark(r, &items, &n);
}

static bool take_index(struct cel_pickle_in *r, unsigned char op, uint64_t *ret)
{
    struct cel_slice line;
    int64_t value;
    switch (op) {
    case CEL_PK_PUT:
    case CEL_PK_GET:
        if (!cel_pickle_take_line(r, &line)) {
            return false;
        }
        if (!cel_slice_to_int(line, &value) || value < 0) {
            return cel_pickle_fail(r, "invalid number in the memo");
        }
        *ret = (uint64_t)value;
        return true;
    case CEL_PK_BINPUT:
    case CEL_PK_BINGET:
        return cel_pickle_take_number(r, 1, ret);
    default:
        return cel_pickle_take_number(r, 4, ret);
    }
}

static bool op_store(struct cel_pickle_in *r, unsigned char op)
{
    uint64_t at = r->n_memo;
    return (op == CEL_PK_MEMOIZE || take_index(r, op, &at)) && cel_pickle_memo_put(r, at);
}

static bool op_fetch(struct cel_pickle_in *r, unsigned char op)
{
    uint64_t at;
    return take_index(r, op, &at) && cel_pickle_memo_get(r, at);
}

static cel_pickle_fn *const ops[256] = {
    [CEL_PK_PROTO] = op_proto,
    [CEL_PK_FRAME] = op_frame,
    [CEL_PK_MARK] = op_mark,
    [CEL_PK_POP] = op_pop,
    [CEL_PK_POP_MARK] = op_pop,
    [CEL_PK_PUT] = op_store,
    [CEL_PK_BINPUT] = op_store,
    [CEL_PK_LONG_BINPUT] = op_store,
    [CEL_PK_MEMOIZE] = op_store,
    [CEL_PK_GET] = op_fetch,
    [CEL_PK_BINGET] = op_fetch,
    [CEL_PK_LONG_BINGET] = op_fetch,

    [CEL_PK_BININT] = cel_pickle_op_number,
    [CEL_PK_BININT1] = cel_pickle_op_number,
    [CEL_PK_BININT2] = cel_pickle_op_number,
    [CEL_PK_LONG1] = cel_pickle_op_number,
    [CEL_PK_LONG4] = cel_pickle_op_number,
    [CEL_PK_BINFLOAT] = cel_pickle_op_number,
    [CEL_PK_INT] = cel_pickle_op_line,
    [CEL_PK_LONG] = cel_pickle_op_line,
    [CEL_PK_FLOAT] = cel_pickle_op_line,
    [CEL_PK_STRING] = cel_pickle_op_line,
    [CEL_PK_UNICODE] = cel_pickle_op_line,
    [CEL_PK_BINSTRING] = cel_pickle_op_text,
    [CEL_PK_SHORT_BINSTRING] = cel_pickle_op_text,
    [CEL_PK_BINUNICODE] = cel_pickle_op_text,
    [CEL_PK_SHORT_BINUNICODE] = cel_pickle_op_text,
    [CEL_PK_BINUNICODE8] = cel_pickle_op_text,
    [CEL_PK_BINBYTES] = cel_pickle_op_text,
    [CEL_PK_SHORT_BINBYTES] = cel_pickle_op_text,
    [CEL_PK_BINBYTES8] = cel_pickle_op_text,
    [CEL_PK_BYTEARRAY8] = cel_pickle_op_text,

    [CEL_PK_NONE] = cel_pickle_op_new,
    [CEL_PK_NEWTRUE] = cel_pickle_op_new,
    [CEL_PK_NEWFALSE] = cel_pickle_op_new,
    [CEL_PK_EMPTY_DICT] = cel_pickle_op_new,
    [CEL_PK_EMPTY_LIST] = cel_pickle_op_new,
    [CEL_PK_EMPTY_TUPLE] = cel_pickle_op_new,
    [CEL_PK_EMPTY_SET] = cel_pickle_op_new,
    [CEL_PK_TUPLE] = cel_pickle_op_gather,
    [CEL_PK_TUPLE1] = cel_pickle_op_gather,
    [CEL_PK_TUPLE2] = cel_pickle_op_gather,
    [CEL_PK_TUPLE3] = cel_pickle_op_gather,
    [CEL_PK_LIST] = cel_pickle_op_gather,
    [CEL_PK_DICT] = cel_pickle_op_gather,
    [CEL_PK_FROZENSET] = cel_pickle_op_gather,
    [CEL_PK_APPEND] = cel_pickle_op_add,
    [CEL_PK_APPENDS] = cel_pickle_op_add,
    [CEL_PK_ADDITEMS] = cel_pickle_op_add,
    [CEL_PK_SETITEM] = cel_pickle_op_put,
    [CEL_PK_SETITEMS] = cel_pickle_op_put,

    [CEL_PK_GLOBAL] = cel_pickle_op_class,
    [CEL_PK_STACK_GLOBAL] = cel_pickle_op_class,
    [CEL_PK_REDUCE] = cel_pickle_op_call,
    [CEL_PK_NEWOBJ] = cel_pickle_op_call,
    [CEL_PK_NEWOBJ_EX] = cel_pickle_op_call,
    [CEL_PK_INST] = cel_pickle_op_call,
    [CEL_PK_OBJ] = cel_pickle_op_call,
    [CEL_PK_BUILD] = cel_pickle_op_build,
};

static bool run(struct cel_pickle_in *r, struct cel_node **ret_node)
{
    for (;;) {
        struct cel_slice head;
        if (!cel_pickle_take(r, 1, &head)) {
            return false;
        }
        unsigned char op = (unsigned char)head.data[0];
        if (op == CEL_PK_STOP) {
            break;
        }
        if (!ops[op]) {
            return cel_pickle_fail(r, "opcode that is not allowed");
        }
        if (!ops[op](r, op)) {
            return false;
        }
    }
    struct cel_pickle_item item;
    if (!cel_pickle_pop(r, &item)) {
        return false;
    }
    *ret_node = item.node;
    return r->rest.len == 0 || cel_pickle_fail(r, "extra data");
}

celery_status cel_pickle_read(struct cel_arena *a, struct cel_slice bytes,
                              const struct cel_json_limits *limits,
                              struct cel_node **ret_node, celery_error *err)
{
    if (bytes.len > UINT32_MAX) {
        return cel_error_set(err, CELERY_ELIMIT, "pickle is larger than 4 GiB");
    }
    struct cel_pickle_in r = {
        .arena = a,
        .rest = bytes,
        .len = bytes.len,
        .left = cel_doc_limits(limits),
        .err = err,
    };
    bool good = run(&r, ret_node);
    cel_free(r.stack);
    cel_free(r.marks);
    cel_free(r.memo);
    if (!good) {
        return r.status < 0 ? r.status : cel_error_nomem(err);
    }
    return CELERY_OK;
}
