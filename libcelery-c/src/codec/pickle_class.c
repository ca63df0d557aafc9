/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of what may become a value; everything else stays a name and its arguments. */
#include "codec/pickle_class.h"

#include "base/utf8.h"
#include "codec/doc_build.h"
#include "codec/pickle_time.h"
#include "codec/pickle_value.h"

/* A key at this very address tells what this file made from a map of the pickle. */
static const char class_key[] = "__class__";

static struct cel_node *key_of(struct cel_arena *a, const char *text)
{
    struct cel_node *n = cel_node_new(a, CELERY_KIND_STRING);
    if (n) {
        n->text = text;
        n->size = (uint32_t)strlen(text);
        n->flags |= CEL_NODE_PLAIN;
    }
    return n;
}

struct cel_node *cel_pickle_class(struct cel_arena *a, struct cel_slice module,
                                  struct cel_slice name)
{
    /* Lib/_compat_pickle.py: the names of Python 2, which protocols 0 to 2 use. */
    static const char *const modules[][2] = {
        {"__builtin__", "builtins"}, {"exceptions", "builtins"}, {"copy_reg", "copyreg"}};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        if (cel_slice_is(module, modules[i][0])) {
            module = cel_slice_of(modules[i][1]);
        }
    }
    struct cel_node *n = cel_node_new(a, CELERY_KIND_OBJECT);
    if (cel_doc_add_member(n, key_of(a, class_key), cel_node_new_string(a, name)) < 0 ||
        cel_doc_add_member(n, key_of(a, "__module__"), cel_node_new_string(a, module)) <
            0) {
        return NULL;
    }
    return n;
}

static bool is_made(const struct cel_node *n)
{
    return n && n->kind == CELERY_KIND_OBJECT && n->size >= 2 &&
           n->first->text == class_key;
}

bool cel_pickle_is_class(const struct cel_node *n)
{
    return is_made(n) && n->size == 2;
}

bool cel_pickle_is_instance(const struct cel_node *n)
{
    return is_made(n) && n->size > 2;
}

/* ---- calls that give a value; NULL when the arguments are not of their form ---- */

typedef struct cel_node *call_fn(struct cel_arena *a, struct cel_node *args);

static struct cel_node *call_list(struct cel_arena *a, struct cel_node *args)
{
    if (args->size == 0) {
        return cel_node_new(a, CELERY_KIND_ARRAY);
    }
    return args->first->kind == CELERY_KIND_ARRAY ? args->first : NULL;
}

static struct cel_node *call_dict(struct cel_arena *a, struct cel_node *args)
{
    if (args->size == 0) {
        return cel_node_new(a, CELERY_KIND_OBJECT);
    }
    bool is_map = args->first->kind == CELERY_KIND_OBJECT && !is_made(args->first);
    return args->size == 1 && is_map ? args->first : NULL;
}

/* The argument of a defaultdict is a class. */
static struct cel_node *call_defaultdict(struct cel_arena *a, struct cel_node *args)
{
    return cel_node_new(a, CELERY_KIND_OBJECT);
}

/* Protocols before 3 have bytes as text of Latin-1. */
static struct cel_node *call_encode(struct cel_arena *a, struct cel_node *args)
{
    if (args->size != 2 || !cel_node_is_string(args->first)) {
        return NULL;
    }
    struct cel_slice text = cel_node_text(args->first);
    struct cel_slice charset = cel_node_text(args->first->next);
    if (!cel_slice_is(charset, "latin1") && !cel_slice_is(charset, "latin-1")) {
        return NULL;
    }
    char *bytes = cel_arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t at = 0; bytes && at < text.len;) {
        int32_t code = cel_utf8_next(text, &at);
        if (code < 0 || code > 0xff) {
            return NULL;
        }
        bytes[len++] = (char)code;
    }
    return bytes ? cel_node_new_bytes(a, cel_slice(bytes, len)) : NULL;
}

static struct cel_node *call_bytes(struct cel_arena *a, struct cel_node *args)
{
    if (args->size == 0) {
        return cel_node_new_bytes(a, CEL_SLICE(""));
    }
    bool is = args->size == 1 && args->first->kind == CELERY_KIND_BYTES;
    return is ? args->first : call_encode(a, args);
}

static struct cel_node *call_decimal(struct cel_arena *a, struct cel_node *args)
{
    if (args->size != 1 || !cel_node_is_string(args->first)) {
        return NULL;
    }
    struct cel_node *typed = cel_doc_typed(a, "decimal", args->first);
    return cel_json_check_types(typed, NULL) < 0 ? NULL : typed;
}

/* copyreg._reconstructor(class, base, state): protocols 0 and 1 */
static struct cel_node *call_reconstructor(struct cel_arena *a, struct cel_node *args)
{
    if (args->size != 3 || !cel_pickle_is_class(args->first)) {
        return NULL;
    }
    struct cel_node *class = args->first;
    struct cel_node *state = class->next->next;
    struct cel_node *own = cel_node_new(a, CELERY_KIND_ARRAY);
    if (!cel_node_is_null(state) && cel_node_append(own, state) < 0) {
        return NULL;
    }
    return own ? cel_pickle_call(a, class, own) : NULL;
}

static const struct {
    const char *module;
    const char *name;
    call_fn *call;
} calls[] = {
    {"builtins", "set", call_list},
    {"builtins", "frozenset", call_list},
    {"builtins", "list", call_list},
    {"builtins", "tuple", call_list},
    {"collections", "deque", call_list},
    {"builtins", "dict", call_dict},
    {"collections", "OrderedDict", call_dict},
    {"collections", "Counter", call_dict},
    {"collections", "defaultdict", call_defaultdict},
    {"builtins", "bytes", call_bytes},
    {"builtins", "bytearray", call_bytes},
    {"_codecs", "encode", call_encode},
    {"datetime", "datetime", cel_pickle_datetime},
    {"datetime", "date", cel_pickle_date},
    {"datetime", "time", cel_pickle_time},
    {"decimal", "Decimal", call_decimal},
    {"copyreg", "_reconstructor", call_reconstructor},
};

static bool is_named(const struct cel_node *n, const char *module, const char *name)
{
    return cel_slice_is(cel_node_text(n->first->next), name) &&
           cel_slice_is(cel_node_text(n->first->next->next->next), module);
}

bool cel_pickle_is_of(const struct cel_node *n, const char *module, const char *name)
{
    return is_made(n) && is_named(n, module, name);
}

const struct cel_node *cel_pickle_arg(const struct cel_node *instance, size_t i)
{
    const struct cel_node *args = cel_node_get(instance, CEL_SLICE("__args__"));
    const struct cel_node *arg = cel_node_first(args);
    for (; arg && i > 0; i--) {
        arg = arg->next;
    }
    return arg;
}

/* Another node for the class, which the memo may still know. */
static struct cel_node *same_class(struct cel_arena *a, const struct cel_node *class)
{
    return cel_pickle_class(a, cel_node_text(class->first->next->next->next),
                            cel_node_text(class->first->next));
}

struct cel_node *cel_pickle_call(struct cel_arena *a, const struct cel_node *class,
                                 struct cel_node *args)
{
    struct cel_node *value = NULL;
    for (size_t i = 0; i < sizeof calls / sizeof *calls && !value; i++) {
        if (is_named(class, calls[i].module, calls[i].name)) {
            value = calls[i].call(a, args);
        }
    }
    if (value) {
        return value;
    }
    struct cel_node *instance = same_class(a, class);
    if (cel_doc_add_member(instance, key_of(a, "__args__"), args) < 0) {
        return NULL;
    }
    return instance;
}

/* ---- state ---- */

/* {"int": n} of a UUID, in place: what refers to the instance then has the value. */
static bool become_uuid(struct cel_arena *a, struct cel_node *instance,
                        const struct cel_node *state)
{
    const struct cel_node *number = cel_node_get(state, CEL_SLICE("int"));
    struct cel_node *typed = number ? cel_pickle_uuid(a, number) : NULL;
    if (!typed) {
        return false;
    }
    instance->first = typed->first;
    instance->size = typed->size;
    instance->flags &= (uint8_t)~CEL_NODE_TAIL;
    return true;
}

celery_status cel_pickle_set_state(struct cel_arena *a, struct cel_node *instance,
                                   struct cel_node *state)
{
    if (is_named(instance, "uuid", "UUID") && become_uuid(a, instance, state)) {
        return CELERY_OK;
    }
    if (cel_node_get(instance, CEL_SLICE("__state__"))) {
        return CELERY_EMESSAGE;
    }
    return cel_doc_add_member(instance, key_of(a, "__state__"), state);
}

struct cel_node *cel_pickle_items(struct cel_arena *a, struct cel_node *instance,
                                  celery_kind kind)
{
    for (struct cel_node *k = instance->first; k; k = k->next->next) {
        if (cel_slice_is(cel_node_text(k), "__items__")) {
            return k->next;
        }
    }
    struct cel_node *items = cel_node_new(a, kind);
    return cel_doc_add_member(instance, key_of(a, "__items__"), items) < 0 ? NULL : items;
}
