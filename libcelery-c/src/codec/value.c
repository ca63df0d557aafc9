/* SPDX-License-Identifier: BSD-3-Clause */
/* The public view of documents. */
#include "codec/doc.h"

celery_kind celery_value_kind(const celery_value *v)
{
    return v ? (celery_kind)v->kind : CELERY_KIND_NULL;
}

bool celery_value_int(const celery_value *v, int64_t *ret)
{
    int64_t value;
    if (!v || v->kind != CELERY_KIND_INT || !cel_slice_to_int(cel_node_text(v), &value)) {
        return false;
    }
    if (ret) {
        *ret = value;
    }
    return true;
}

bool celery_value_double(const celery_value *v, double *ret)
{
    if (!v || (v->kind != CELERY_KIND_INT && v->kind != CELERY_KIND_FLOAT)) {
        return false;
    }
    if (ret) {
        *ret = cel_node_double(v, 0);
    }
    return true;
}

const char *celery_value_text(const celery_value *v, size_t *ret_len)
{
    struct cel_slice text = cel_node_text(v);
    if (ret_len) {
        *ret_len = text.len;
    }
    return text.data;
}

size_t celery_value_size(const celery_value *v)
{
    bool has_size = v && (v->kind == CELERY_KIND_ARRAY || v->kind == CELERY_KIND_OBJECT);
    return has_size ? v->size : 0;
}

const celery_value *celery_value_first(const celery_value *v)
{
    return cel_node_first(v);
}

const celery_value *celery_value_next(const celery_value *v)
{
    return v ? v->next : NULL;
}

const celery_value *celery_value_at(const celery_value *v, size_t i)
{
    if (!v || v->kind != CELERY_KIND_ARRAY || i >= v->size) {
        return NULL;
    }
    const celery_value *element = v->first;
    for (; i > 0; i--) {
        element = element->next;
    }
    return element;
}

const celery_value *celery_value_get(const celery_value *v, const char *key)
{
    return key ? cel_node_get(v, cel_slice_of(key)) : NULL;
}

json_t *celery_value_to_json(const celery_value *v, celery_error *err)
{
    return cel_doc_to_json(v, "value", err);
}

/* cel_alloc() takes from malloc(), so the caller can free(). */
static char *give(struct cel_buf *out, celery_status status, size_t *ret_len)
{
    if (ret_len) {
        *ret_len = out->len;
    }
    char *text = status < 0 ? NULL : cel_buf_steal(out);
    cel_buf_fini(out);
    return text;
}

char *celery_value_repr(const celery_value *v, size_t max)
{
    struct cel_buf out = {0};
    celery_status status = cel_repr(&out, v, max);
    return give(&out, status, NULL);
}

char *celery_value_dumps(const celery_value *v, size_t *ret_len)
{
    struct cel_buf out = {0};
    celery_status status = cel_json_write(&out, v);
    return give(&out, status, ret_len);
}
