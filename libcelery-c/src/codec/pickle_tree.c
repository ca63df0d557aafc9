/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists, tuples, dicts, sets, and what is done with classes. */
#include "codec/pickle_in.h"

#include "base/utf8.h"
#include "codec/pickle_class.h"
#include "codec/pickle_opcodes.h"

/* ---- children ---- */

static bool deeper(struct cel_pickle_in *r, struct cel_pickle_item *parent,
                   const struct cel_pickle_item *child)
{
    if (child->height >= parent->height) {
        parent->height = child->height + 1;
    }
    return parent->height <= r->left.depth ||
           cel_pickle_refuse(r, "is nested too deeply");
}

static bool append(struct cel_pickle_in *r, struct cel_pickle_item *parent,
                   const struct cel_pickle_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!deeper(r, parent, items + i)) {
            return false;
        }
        if (cel_node_append(parent->node, items[i].node) < 0) {
            return cel_pickle_no_room(r);
        }
    }
    return true;
}

static bool put(struct cel_pickle_in *r, struct cel_pickle_item *parent,
                const struct cel_pickle_item *items, size_t n)
{
    if (n % 2 != 0) {
        return cel_pickle_fail(r, "key without a value");
    }
    for (size_t i = 0; i < n; i += 2) {
        const char *why;
        struct cel_node *key = cel_doc_as_key(r->arena, items[i].node, &why);
        if (!key) {
            return *why ? cel_pickle_fail(r, why) : cel_pickle_no_room(r);
        }
        if (!deeper(r, parent, items + i + 1)) {
            return false;
        }
        if (cel_doc_add_member(parent->node, key, items[i + 1].node) < 0) {
            return cel_pickle_no_room(r);
        }
    }
    return true;
}

/* ---- new containers ---- */

bool cel_pickle_op_new(struct cel_pickle_in *r, unsigned char op)
{
    switch (op) {
    case CEL_PK_NONE:
        return cel_pickle_push(r, cel_node_new(r->arena, CELERY_KIND_NULL), 0);
    case CEL_PK_NEWTRUE:
    case CEL_PK_NEWFALSE:
        return cel_pickle_push(r, cel_node_new_bool(r->arena, op == CEL_PK_NEWTRUE), 0);
    case CEL_PK_EMPTY_DICT:
        return cel_pickle_push(r, cel_node_new(r->arena, CELERY_KIND_OBJECT), 1);
    default: /* list, tuple, set */
        return cel_pickle_push(r, cel_node_new(r->arena, CELERY_KIND_ARRAY), 1);
    }
}

/* Of one to three items, or of all above a mark. */
bool cel_pickle_op_gather(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_pickle_item few[3];
    struct cel_pickle_item *items = few;
    size_t n = op >= CEL_PK_TUPLE1 && op <= CEL_PK_TUPLE3 ? op - CEL_PK_TUPLE1 + 1U : 0;
    for (size_t i = n; i > 0; i--) {
        if (!cel_pickle_pop(r, few + i - 1)) {
            return false;
        }
    }
    if (n == 0 && !cel_pickle_pop_mark(r, &items, &n)) {
        return false;
    }
    bool map = op == CEL_PK_DICT;
    celery_kind kind = map ? CELERY_KIND_OBJECT : CELERY_KIND_ARRAY;
    struct cel_pickle_item made = {cel_node_new(r->arena, kind), 1};
    if (!made.node) {
        return cel_pickle_no_room(r);
    }
    bool good = map ? put(r, &made, items, n) : append(r, &made, items, n);
    return good && cel_pickle_push(r, made.node, made.height);
}

/* What takes elements or members: the value itself, or the items of an instance. */
static bool target(struct cel_pickle_in *r, celery_kind kind,
                   struct cel_pickle_item **ret_top, struct cel_pickle_item *ret)
{
    if (!cel_pickle_top(r, ret_top)) {
        return false;
    }
    *ret = **ret_top;
    if (cel_pickle_is_instance(ret->node)) {
        ret->node = cel_pickle_items(r->arena, ret->node, kind);
        ret->height++;
        if (!ret->node) {
            return cel_pickle_no_room(r);
        }
    } else if (cel_pickle_is_class(ret->node)) {
        return cel_pickle_fail(r, "items of a class");
    }
    return ret->node->kind == kind || cel_pickle_fail(r, "items of another type");
}

static bool extend(struct cel_pickle_in *r, celery_kind kind,
                   const struct cel_pickle_item *items, size_t n)
{
    struct cel_pickle_item *top;
    struct cel_pickle_item to;
    if (!target(r, kind, &top, &to)) {
        return false;
    }
    bool good =
        kind == CELERY_KIND_OBJECT ? put(r, &to, items, n) : append(r, &to, items, n);
    top->height = to.height;
    return good;
}

bool cel_pickle_op_add(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_pickle_item item;
    struct cel_pickle_item *items = &item;
    size_t n = 1;
    bool good = op == CEL_PK_APPEND ? cel_pickle_pop(r, &item)
                                    : cel_pickle_pop_mark(r, &items, &n);
    return good && extend(r, CELERY_KIND_ARRAY, items, n);
}

bool cel_pickle_op_put(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_pickle_item two[2];
    struct cel_pickle_item *items = two;
    size_t n = 2;
    bool good = op == CEL_PK_SETITEM
                    ? cel_pickle_pop(r, two + 1) && cel_pickle_pop(r, two)
                    : cel_pickle_pop_mark(r, &items, &n);
    return good && extend(r, CELERY_KIND_OBJECT, items, n);
}

/* ---- classes ---- */

static bool push_class(struct cel_pickle_in *r, struct cel_slice module,
                       struct cel_slice name)
{
    if (module.len == 0 || name.len == 0 || !cel_utf8_valid(module) ||
        !cel_utf8_valid(name)) {
        return cel_pickle_fail(r, "class without a name");
    }
    return cel_pickle_push(r, cel_pickle_class(r->arena, module, name), 1);
}

bool cel_pickle_op_class(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_slice module;
    struct cel_slice name;
    struct cel_pickle_item two[2];
    if (op == CEL_PK_GLOBAL) {
        return cel_pickle_take_line(r, &module) && cel_pickle_take_line(r, &name) &&
               push_class(r, module, name);
    }
    if (!cel_pickle_pop(r, two + 1) || !cel_pickle_pop(r, two)) {
        return false;
    }
    if (!cel_node_is_string(two[0].node) || !cel_node_is_string(two[1].node)) {
        return cel_pickle_fail(r, "class without a name");
    }
    return push_class(r, cel_node_text(two[0].node), cel_node_text(two[1].node));
}

static bool call(struct cel_pickle_in *r, const struct cel_pickle_item *class,
                 const struct cel_pickle_item *args)
{
    if (!cel_pickle_is_class(class->node)) {
        return cel_pickle_fail(r, "call of what is no class");
    }
    if (args->node->kind != CELERY_KIND_ARRAY) {
        return cel_pickle_fail(r, "arguments that are no tuple");
    }
    /* A typed value has up to three levels more than its arguments. */
    return cel_pickle_push(r, cel_pickle_call(r->arena, class->node, args->node),
                           args->height + 3);
}

/* INST and OBJ: protocols 0 and 1, with the arguments above a mark. */
static bool call_marked(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_pickle_item *items;
    struct cel_pickle_item class;
    size_t n;
    struct cel_pickle_item args = {cel_node_new(r->arena, CELERY_KIND_ARRAY), 1};
    if (!args.node) {
        return cel_pickle_no_room(r);
    }
    if (op == CEL_PK_INST) {
        return cel_pickle_op_class(r, CEL_PK_GLOBAL) && cel_pickle_pop(r, &class) &&
               cel_pickle_pop_mark(r, &items, &n) && append(r, &args, items, n) &&
               call(r, &class, &args);
    }
    if (!cel_pickle_pop_mark(r, &items, &n)) {
        return false;
    }
    if (n == 0) {
        return cel_pickle_fail(r, "call of what is no class");
    }
    class = items[0];
    return append(r, &args, items + 1, n - 1) && call(r, &class, &args);
}

bool cel_pickle_op_call(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_pickle_item class;
    struct cel_pickle_item args;
    struct cel_pickle_item named = {0};
    if (op == CEL_PK_INST || op == CEL_PK_OBJ) {
        return call_marked(r, op);
    }
    if (op == CEL_PK_NEWOBJ_EX && !cel_pickle_pop(r, &named)) {
        return false;
    }
    if (!cel_pickle_pop(r, &args) || !cel_pickle_pop(r, &class)) {
        return false;
    }
    if (named.node && named.node->size > 0 && args.node->kind == CELERY_KIND_ARRAY &&
        !append(r, &args, &named, 1)) {
        return false;
    }
    return call(r, &class, &args);
}

bool cel_pickle_op_build(struct cel_pickle_in *r, unsigned char op)
{
    struct cel_pickle_item state;
    struct cel_pickle_item *top;
    if (!cel_pickle_pop(r, &state) || !cel_pickle_top(r, &top)) {
        return false;
    }
    if (!cel_pickle_is_instance(top->node)) {
        return cel_pickle_fail(r, "state of what is no object");
    }
    if (!deeper(r, top, &state)) {
        return false;
    }
    celery_status status = cel_pickle_set_state(r->arena, top->node, state.node);
    if (status == CELERY_EMESSAGE) {
        return cel_pickle_fail(r, "state twice");
    }
    return status == CELERY_OK || cel_pickle_no_room(r);
}
