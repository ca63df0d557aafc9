/* SPDX-License-Identifier: BSD-3-Clause */
/* Exceptions, groups and UUIDs from what was read. */
#include "codec/pickle_value.h"

#include "base/error.h"
#include "codec/doc_build.h"
#include "codec/pickle_class.h"
#include "codec/pickle_number.h"
#include <stdio.h>

struct cel_node *cel_pickle_uuid(struct cel_arena *a, const struct cel_node *number)
{
    struct cel_buf bytes = {0};
    char hex[33];
    struct cel_slice text = cel_node_text(number);
    bool fits = number->kind == CELERY_KIND_INT && text.len <= 39 && text.data[0] != '-';
    if (!fits || cel_pickle_from_decimal(&bytes, text) < 0 || bytes.len > 17) {
        cel_buf_fini(&bytes);
        return NULL;
    }
    for (size_t i = 0; i < 16; i++) {
        size_t at = 15 - i;
        unsigned char byte = at < bytes.len ? (unsigned char)bytes.data[at] : 0;
        snprintf(hex + 2 * i, 3, "%02x", byte);
    }
    bool over = bytes.len == 17 && bytes.data[16] != 0;
    cel_buf_fini(&bytes);
    struct cel_node *value = over ? NULL : cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_node *digits = cel_node_new_string(a, cel_slice(hex, 32));
    if (!value || !digits || cel_node_put(a, value, CEL_SLICE("hex"), digits) < 0) {
        return NULL;
    }
    return cel_doc_typed(a, "uuid", value);
}

/* ---- exceptions ---- */

static struct cel_node *exception(struct cel_arena *a, const struct cel_node *type,
                                  const struct cel_node *args,
                                  const struct cel_node *module)
{
    struct cel_node *map = cel_node_new(a, CELERY_KIND_OBJECT);
    struct cel_node *own =
        args ? cel_node_copy(a, args) : cel_node_new(a, CELERY_KIND_ARRAY);
    if (!map || !own || !type || !module ||
        cel_node_put(a, map, CEL_SLICE("exc_type"), cel_node_copy(a, type)) < 0 ||
        cel_node_put(a, map, CEL_SLICE("exc_message"), own) < 0 ||
        cel_node_put(a, map, CEL_SLICE("exc_module"), cel_node_copy(a, module)) < 0) {
        return NULL;
    }
    return map;
}

struct cel_node *cel_pickle_exception(struct cel_arena *a, const struct cel_node *n)
{
    static const char wrapper[] = "UnpickleableExceptionWrapper";
    if (cel_pickle_is_of(n, "celery.utils.serialization", wrapper)) {
        return exception(a, cel_pickle_arg(n, 1), cel_pickle_arg(n, 2),
                         cel_pickle_arg(n, 0));
    }
    if (cel_pickle_is_instance(n)) {
        return exception(a, cel_node_get(n, CEL_SLICE("__class__")),
                         cel_node_get(n, CEL_SLICE("__args__")),
                         cel_node_get(n, CEL_SLICE("__module__")));
    }
    bool is_map = cel_node_is_string(cel_node_get(n, CEL_SLICE("exc_type")));
    return is_map ? cel_node_copy(a, n) : NULL;
}

/* ---- groups ---- */

static struct cel_node *pair(struct cel_arena *a, struct cel_node *one,
                             struct cel_node *two)
{
    struct cel_node *array = cel_node_new(a, CELERY_KIND_ARRAY);
    if (!one || !two || cel_node_append(array, one) < 0 ||
        cel_node_append(array, two) < 0) {
        return NULL;
    }
    return array;
}

/* celery/result.py as_tuple() */
static struct cel_node *result_tuple(struct cel_arena *a, const struct cel_node *n)
{
    const struct cel_node *id = cel_pickle_arg(n, 0);
    bool is_group = cel_pickle_is_of(n, "celery.result", "GroupResult");
    if (!cel_node_is_string(id) ||
        (!is_group && !cel_pickle_is_of(n, "celery.result", "AsyncResult"))) {
        return NULL;
    }
    struct cel_node *null = cel_node_new(a, CELERY_KIND_NULL);
    const struct cel_node *parent = is_group ? NULL : cel_pickle_arg(n, 4);
    struct cel_node *head =
        pair(a, cel_node_copy(a, id),
             cel_node_is_null(parent) ? null : result_tuple(a, parent));
    if (!is_group) {
        return pair(a, head, cel_node_new(a, CELERY_KIND_NULL));
    }
    struct cel_node *children = cel_node_new(a, CELERY_KIND_ARRAY);
    for (const struct cel_node *c = cel_node_first(cel_pickle_arg(n, 1)); c;
         c = c->next) {
        if (cel_node_append(children, result_tuple(a, c)) < 0) {
            return NULL;
        }
    }
    return pair(a, head, children);
}

struct cel_node *cel_pickle_group(struct cel_arena *a, const struct cel_node *n)
{
    bool is = cel_pickle_is_of(n, "celery.result", "GroupResult");
    return is ? result_tuple(a, n) : NULL;
}
