/* SPDX-License-Identifier: BSD-3-Clause */
/* Parents and children (celery/result.py as_tuple, result_from_tuple). */
#include "base/alloc.h"
#include "base/error.h"
#include "client/result.h"
#include "message/task_fields.h"

/* ---- from tuples ---- */

static celery_status wrong(celery_error *err, const char *what)
{
    return cel_error_set(err, CELERY_EMESSAGE, "not a result: %s", what);
}

/* (id, parent), nodes; older backends have the id alone. */
static celery_status take_apart(const struct cel_node *tuple, struct cel_slice *ret_id,
                                const struct cel_node **ret_parent,
                                const struct cel_node **ret_nodes, celery_error *err)
{
    if (!tuple || tuple->kind != CELERY_KIND_ARRAY || tuple->size != 2) {
        return wrong(err, "no pair of an id and children");
    }
    const struct cel_node *id = tuple->first;
    const struct cel_node *nodes = id->next;
    *ret_parent = NULL;
    if (id->kind == CELERY_KIND_ARRAY) {
        if (id->size != 2) {
            return wrong(err, "no pair of an id and a parent");
        }
        *ret_parent = cel_node_truth(id->first->next) ? id->first->next : NULL;
        id = id->first;
    }
    *ret_id = cel_node_text(id);
    if (!cel_node_is_string(id) || ret_id->len == 0 || ret_id->len > CEL_ID_MAX ||
        memchr(ret_id->data, '\0', ret_id->len)) {
        return wrong(err, "an id is no text");
    }
    if (!cel_node_is_null(nodes) && nodes->kind != CELERY_KIND_ARRAY) {
        return wrong(err, "children are no list");
    }
    *ret_nodes = cel_node_is_null(nodes) ? NULL : nodes;
    return CELERY_OK;
}

static celery_status add_children(celery_result *group, const struct cel_node *nodes,
                                  celery_error *err)
{
    for (const struct cel_node *n = nodes->first; n; n = n->next) {
        celery_result *child = cel_result_from_tuple(group->client, n, err);
        if (!child) {
            return CELERY_EMESSAGE;
        }
        cel_result_adopt(group, child);
    }
    cel_result_complete(group);
    return CELERY_OK;
}

celery_result *cel_result_from_tuple(celery_client *client, const struct cel_node *tuple,
                                     celery_error *err)
{
    struct cel_slice id;
    const struct cel_node *parent, *nodes;
    if (take_apart(tuple, &id, &parent, &nodes, err) < 0) {
        return NULL;
    }
    celery_result *r = nodes ? cel_result_new_group(client, id, nodes->size, err)
                             : cel_result_new(client, id, false, err);
    if (r && nodes && add_children(r, nodes, err) < 0) {
        celery_result_free(r);
        return NULL;
    }
    if (r) {
        r->parent_tuple = parent;
    }
    return r;
}

celery_status cel_result_check_tuple(const struct cel_node *tuple, celery_error *err)
{
    celery_status status = CELERY_OK;
    while (tuple && status == CELERY_OK) {
        struct cel_slice id;
        const struct cel_node *parent, *nodes;
        status = take_apart(tuple, &id, &parent, &nodes, err);
        const struct cel_node *n = status == CELERY_OK ? cel_node_first(nodes) : NULL;
        for (; n && status == CELERY_OK; n = n->next) {
            status = cel_result_check_tuple(n, err);
        }
        tuple = parent;
    }
    return status;
}

/* ---- relatives ---- */

celery_result *celery_result_parent(celery_result *result)
{
    if (result && result->parent_tuple && !result->parent && result->client) {
        result->parent =
            cel_result_from_tuple(result->client, result->parent_tuple, NULL);
    }
    return result ? result->parent : NULL;
}

bool celery_result_is_group(const celery_result *result)
{
    return result && result->group;
}

/* A task: what it has sent, as its document says. */
static const struct cel_node *stored_children(const celery_result *r)
{
    const struct cel_node *children = cel_result_member(r, "children");
    return children && children->kind == CELERY_KIND_ARRAY ? children : NULL;
}

size_t celery_result_n_children(const celery_result *result)
{
    if (!result || result->group) {
        return result ? result->n_children : 0;
    }
    return stored_children(result) ? stored_children(result)->size : 0;
}

static void make_children(celery_result *r)
{
    const struct cel_node *list = stored_children(r);
    if (r->children || !list || !r->client) {
        return;
    }
    r->children = cel_calloc(list->size + 1, sizeof *r->children);
    const struct cel_node *n = r->children ? list->first : NULL;
    for (; n; n = n->next) {
        r->children[r->n_children++] = cel_result_from_tuple(r->client, n, NULL);
    }
}

celery_result *celery_result_child(celery_result *result, size_t i)
{
    if (!result) {
        return NULL;
    }
    if (!result->group) {
        make_children(result);
    }
    return i < result->n_children ? result->children[i] : NULL;
}

void cel_result_each_task(celery_result *r, void (*fn)(celery_result *task, void *ctx),
                          void *ctx)
{
    if (!r->group) {
        fn(r, ctx);
        return;
    }
    for (size_t i = 0; i < r->n_children; i++) {
        cel_result_each_task(r->children[i], fn, ctx);
    }
}

celery_result *celery_result_group(celery_client *client, const char *id,
                                   celery_result *const *give_children, size_t n,
                                   celery_error *err)
{
    char own_id[CEL_UUID_SIZE];
    celery_result *group = NULL;
    bool whole = client != NULL;
    for (size_t i = 0; i < n; i++) {
        whole = whole && give_children[i] && give_children[i]->client == client;
    }
    if (client && !whole && err && err->status == CELERY_OK) {
        cel_error_set(err, CELERY_EINVAL,
                      "a part of the group is NULL or of another client");
    }
    cel_uuid4(own_id);
    if (whole) {
        group = cel_result_new_group(client, cel_slice_of(id ? id : own_id), n, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (group) {
            cel_result_adopt(group, give_children[i]);
        } else {
            celery_result_free(give_children[i]);
        }
    }
    if (group) {
        cel_result_complete(group);
    }
    return group;
}

/* ---- to text ---- */

static void write_nodes(struct cel_buf *out, const celery_result *r)
{
    if (!r->group) {
        cel_buf_adds(out, "null");
        return;
    }
    cel_buf_adds(out, "[");
    for (size_t i = 0; i < r->n_children; i++) {
        cel_buf_adds(out, i ? ", " : "");
        cel_result_write_tuple(out, r->children[i]);
    }
    cel_buf_adds(out, "]");
}

/* [[id, [[id of the parent, ...], nodes]], nodes]: heads inwards, then nodes outwards. */
celery_status cel_result_write_tuple(struct cel_buf *out, const celery_result *r)
{
    const celery_result *last = r;
    size_t depth = 0;
    for (const celery_result *p = r; p; last = p, p = p->parent, depth++) {
        cel_buf_adds(out, "[[");
        cel_json_write_string(out, cel_slice_of(p->id));
        cel_buf_adds(out, ", ");
    }
    if (last->parent_tuple) {
        cel_json_write(out, last->parent_tuple);
    } else {
        cel_buf_adds(out, "null");
    }
    for (; depth > 0; depth--) {
        const celery_result *p = r;
        for (size_t i = 1; i < depth; i++) {
            p = p->parent;
        }
        cel_buf_adds(out, "], ");
        write_nodes(out, p);
        cel_buf_adds(out, "]");
    }
    return cel_buf_ok(out) ? CELERY_OK : CELERY_ENOMEM;
}
