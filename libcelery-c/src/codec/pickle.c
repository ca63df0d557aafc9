/* SPDX-License-Identifier: BSD-3-Clause */
/* A document to a pickle of protocol 5. */
#include "codec/pickle.h"

#include "base/error.h"
#include "codec/pickle_opcodes.h"
#include "codec/pickle_out.h"

/* Pickler.BATCHSIZE */
enum { BATCH = 1000 };

typedef celery_status put_fn(struct cel_pickle_out *o, const struct cel_node *n,
                             celery_error *err);

static put_fn put_node;

static void put_double(struct cel_pickle_out *o, double value)
{
    uint64_t bits;
    char bytes[9] = {CEL_PK_BINFLOAT};
    memcpy(&bits, &value, sizeof bits);
    for (int i = 8; i > 0; i--) {
        bytes[i] = (char)(bits & 255);
        bits >>= 8;
    }
    cel_pickle_bytes(o, cel_slice(bytes, sizeof bytes));
}

/* What json.loads() gives has one object for "" and for each character of Latin-1. */
static bool is_character(struct cel_slice text)
{
    unsigned char first = text.len > 0 ? (unsigned char)text.data[0] : 0;
    return text.len == 0 || (text.len == 1 && first < 0x80) ||
           (text.len == 2 && (first == 0xc2 || first == 0xc3));
}

static void put_string(struct cel_pickle_out *o, struct cel_slice text)
{
    if (is_character(text)) {
        cel_pickle_put_shared(o, 'k', text);
    } else {
        cel_pickle_put_string(o, text);
    }
}

/* batch_list_exact() */
static celery_status put_list(struct cel_pickle_out *o, const struct cel_node *n,
                              put_fn *put, celery_error *err)
{
    cel_pickle_op(o, CEL_PK_EMPTY_LIST);
    cel_pickle_memoize(o);
    celery_status status = CELERY_OK;
    uint32_t batch = 0;
    for (const struct cel_node *e = n->first; e && status == CELERY_OK; e = e->next) {
        if (n->size > 1 && batch == 0) {
            cel_pickle_op(o, CEL_PK_MARK);
        }
        status = put(o, e, err);
        if (n->size == 1) {
            cel_pickle_op(o, CEL_PK_APPEND);
        } else if (++batch == BATCH || !e->next) {
            cel_pickle_op(o, CEL_PK_APPENDS);
            batch = 0;
        }
    }
    return status;
}

/* batch_dict_exact(), which ends with a batch of fewer members, and be it of none. */
static celery_status put_object(struct cel_pickle_out *o, const struct cel_node *n,
                                celery_error *err)
{
    cel_pickle_op(o, CEL_PK_EMPTY_DICT);
    cel_pickle_memoize(o);
    celery_status status = CELERY_OK;
    uint32_t batch = 0;
    if (n->size > 1) {
        cel_pickle_op(o, CEL_PK_MARK);
    }
    for (const struct cel_node *k = n->first, *v; k && status == CELERY_OK; k = v->next) {
        v = k->next;
        cel_pickle_boundary(o);
        cel_pickle_put_shared(o, 'k', cel_node_text(k));
        status = put_node(o, v, err);
        if (n->size > 1 && ++batch == BATCH) {
            cel_pickle_op(o, CEL_PK_SETITEMS);
            cel_pickle_op(o, CEL_PK_MARK);
            batch = 0;
        }
    }
    if (n->size > 0) {
        cel_pickle_op(o, n->size > 1 ? CEL_PK_SETITEMS : CEL_PK_SETITEM);
    }
    return status;
}

static celery_status put_node(struct cel_pickle_out *o, const struct cel_node *n,
                              celery_error *err)
{
    cel_pickle_boundary(o);
    switch (n ? n->kind : CELERY_KIND_NULL) {
    case CELERY_KIND_NULL:
        cel_pickle_op(o, CEL_PK_NONE);
        return CELERY_OK;
    case CELERY_KIND_FALSE:
    case CELERY_KIND_TRUE:
        cel_pickle_op(o, n->kind == CELERY_KIND_TRUE ? CEL_PK_NEWTRUE : CEL_PK_NEWFALSE);
        return CELERY_OK;
    case CELERY_KIND_INT:
        return cel_pickle_put_int(o, cel_node_text(n), err);
    case CELERY_KIND_FLOAT:
        put_double(o, cel_node_double(n, 0));
        return CELERY_OK;
    case CELERY_KIND_STRING:
        put_string(o, cel_node_text(n));
        return CELERY_OK;
    case CELERY_KIND_BYTES:
        cel_pickle_put_bytes(o, cel_node_text(n));
        return CELERY_OK;
    case CELERY_KIND_ARRAY:
        return put_list(o, n, put_node, err);
    case CEL_KIND_RAW: /* no document that a codec made */
        return cel_error_set(err, CELERY_EMESSAGE, "pickle: unparsed text");
    default:
        return cel_pickle_put_typed(o, n) ? CELERY_OK : put_object(o, n, err);
    }
}

celery_status cel_pickle_write(struct cel_buf *out, const struct cel_node *n,
                               celery_error *err)
{
    struct cel_pickle_out o;
    cel_pickle_begin(&o, out);
    return cel_pickle_end(&o, put_node(&o, n, err), err);
}

/* ---- exceptions ---- */

static celery_status put_tuple(struct cel_pickle_out *o, const struct cel_node *array,
                               celery_error *err)
{
    celery_status status = CELERY_OK;
    if (array->size > 3) {
        cel_pickle_op(o, CEL_PK_MARK);
    }
    for (const struct cel_node *e = array->first; e && status == CELERY_OK; e = e->next) {
        status = put_node(o, e, err);
    }
    cel_pickle_end_tuple(o, array->size);
    return status;
}

/* Three members, so no batches. */
static celery_status put_exception(struct cel_pickle_out *o, const struct cel_node *n,
                                   celery_error *err)
{
    celery_status status = CELERY_OK;
    cel_pickle_op(o, CEL_PK_EMPTY_DICT);
    cel_pickle_memoize(o);
    cel_pickle_op(o, CEL_PK_MARK);
    for (const struct cel_node *k = n->first, *v; k && status == CELERY_OK; k = v->next) {
        v = k->next;
        cel_pickle_put_shared(o, 'k', cel_node_text(k));
        bool args = cel_slice_is(cel_node_text(k), "exc_message");
        cel_pickle_boundary(o);
        status = args ? put_tuple(o, v, err) : put_node(o, v, err);
    }
    cel_pickle_op(o, CEL_PK_SETITEMS);
    return status;
}

celery_status cel_pickle_write_exception(struct cel_buf *out, const struct cel_node *n,
                                         celery_error *err)
{
    const struct cel_node *args = cel_node_get(n, CEL_SLICE("exc_message"));
    bool is_map = n && n->kind == CELERY_KIND_OBJECT && n->size > 1 && n->size < BATCH;
    if (!is_map || !args || args->kind != CELERY_KIND_ARRAY) {
        return cel_pickle_write(out, n, err);
    }
    struct cel_pickle_out o;
    cel_pickle_begin(&o, out);
    return cel_pickle_end(&o, put_exception(&o, n, err), err);
}

/* ---- groups ---- */

/* [[id, parent], children or null] */
static bool take_result(const struct cel_node *n, const struct cel_node **ret_id,
                        const struct cel_node **ret_children)
{
    const struct cel_node *head = cel_node_first(n);
    if (!n || n->kind != CELERY_KIND_ARRAY || n->size != 2 ||
        head->kind != CELERY_KIND_ARRAY || head->size != 2) {
        return false;
    }
    *ret_id = head->first;
    *ret_children = head->next;
    bool leaf = cel_node_is_null(head->next);
    return cel_node_is_string(head->first) &&
           (leaf || head->next->kind == CELERY_KIND_ARRAY);
}

static celery_status put_result(struct cel_pickle_out *o, const struct cel_node *n,
                                celery_error *err);

/* AsyncResult.__reduce_args__(): id, backend, task name, app, parent */
static celery_status put_leaf(struct cel_pickle_out *o, const struct cel_node *id,
                              const struct cel_node *parent, celery_error *err)
{
    cel_pickle_put_class(o, "celery.result", "AsyncResult");
    cel_pickle_op(o, CEL_PK_MARK);
    cel_pickle_put_string(o, cel_node_text(id));
    for (int i = 0; i < 3; i++) {
        cel_pickle_op(o, CEL_PK_NONE);
    }
    celery_status status = CELERY_OK;
    if (cel_node_is_null(parent)) {
        cel_pickle_op(o, CEL_PK_NONE);
    } else {
        status = put_result(o, parent, err);
    }
    cel_pickle_end_tuple(o, 5);
    return status;
}

static celery_status put_result(struct cel_pickle_out *o, const struct cel_node *n,
                                celery_error *err)
{
    const struct cel_node *id;
    const struct cel_node *children;
    if (!take_result(n, &id, &children)) {
        return cel_error_set(err, CELERY_EMESSAGE, "not a result of a group");
    }
    cel_pickle_boundary(o);
    celery_status status;
    if (cel_node_is_null(children)) {
        status = put_leaf(o, id, id->next, err);
    } else {
        cel_pickle_put_class(o, "celery.result", "GroupResult");
        cel_pickle_put_string(o, cel_node_text(id));
        status = put_list(o, children, put_result, err);
        cel_pickle_end_tuple(o, 2);
    }
    cel_pickle_op(o, CEL_PK_REDUCE);
    cel_pickle_memoize(o);
    return status;
}

celery_status cel_pickle_write_group(struct cel_buf *out, const struct cel_node *tuple,
                                     celery_error *err)
{
    struct cel_pickle_out o;
    cel_pickle_begin(&o, out);
    return cel_pickle_end(&o, put_result(&o, tuple, err), err);
}
