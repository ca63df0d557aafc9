/* SPDX-License-Identifier: BSD-3-Clause */
/* libyaml's events to a document, composed and constructed as PyYAML's SafeLoader does. */
#include "codec/yaml.h"

#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "codec/doc_build.h"
#include "codec/yaml_merge.h"
#include "codec/yaml_scalar.h"
#include <yaml.h>

/* Nodes that aliases may add, against documents that double with each line. */
enum { ALIAS_NODES_MAX = 1 << 20 };

struct reader {
    yaml_parser_t parser;
    struct cel_arena *arena;
    struct cel_map anchors; /* name to node; &unfinished while it is read */
    struct cel_json_limits left;
    size_t alias_nodes;
    celery_error *err;
    celery_status status;
};

static struct cel_node unfinished;

static struct cel_node *fail_at(struct reader *r, const char *reason, size_t line)
{
    r->status = cel_error_set(r->err, CELERY_EMESSAGE, "not YAML: %s in line %zu", reason,
                              line + 1);
    return NULL;
}

static struct cel_node *fail(struct reader *r, const char *reason)
{
    return fail_at(r, reason, r->parser.mark.line);
}

static struct cel_node *refuse(struct reader *r, const char *reason)
{
    r->status = cel_error_set(r->err, CELERY_ELIMIT, "YAML %s", reason);
    return NULL;
}

static struct cel_node *no_room(struct reader *r)
{
    r->status = cel_doc_refused(r->arena, 64, r->err);
    return NULL;
}

/* The next event; the caller deletes it. */
static bool next_event(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event)) {
        return true;
    }
    if (r->parser.error == YAML_MEMORY_ERROR) {
        r->status = cel_error_nomem(r->err);
    } else {
        const char *problem = r->parser.problem ? r->parser.problem : "malformed";
        fail_at(r, cel_log_safe(cel_slice_of(problem)), r->parser.problem_mark.line);
    }
    return false;
}

/* ---- tags and anchors ---- */

/* The tag without its prefix; what implicit gives when there is none; NULL: foreign. */
static const char *short_tag(const yaml_char_t *tag, const char *implicit)
{
    const char *text = (const char *)tag;
    if (!text || strcmp(text, "!") == 0) {
        return implicit;
    }
    size_t prefix = sizeof CEL_YAML_TAG - 1;
    return strncmp(text, CEL_YAML_TAG, prefix) == 0 ? text + prefix : NULL;
}

static bool set_anchor(struct reader *r, const yaml_char_t *name, struct cel_node *n)
{
    if (!name) {
        return true;
    }
    struct cel_slice key = cel_slice_of((const char *)name);
    if (n == &unfinished && cel_map_get(&r->anchors, key)) {
        fail(r, "anchor defined twice");
        return false;
    }
    if (cel_map_set(&r->anchors, key, n, NULL) < 0) {
        r->status = cel_error_nomem(r->err);
        return false;
    }
    return true;
}

static bool enter(struct reader *r)
{
    if (r->left.depth == 0) {
        refuse(r, "is nested too deeply");
        return false;
    }
    r->left.depth--;
    return true;
}

/* A copy that shares the texts. */
static struct cel_node *copy_node(struct reader *r, const struct cel_node *n)
{
    if (r->alias_nodes++ == ALIAS_NODES_MAX || r->left.elements-- == 0) {
        r->left.elements = 0;
        return refuse(r, "aliases add too many elements");
    }
    struct cel_node *copy = cel_arena_alloc(r->arena, sizeof *copy);
    if (!copy) {
        return no_room(r);
    }
    *copy = *n;
    copy->next = NULL;
    copy->flags &= (uint8_t)~CEL_NODE_TAIL;
    if (n->kind < CELERY_KIND_ARRAY) {
        return copy;
    }
    if (!enter(r)) {
        return NULL;
    }
    struct cel_node **link = &copy->first;
    for (const struct cel_node *child = n->first; child; child = child->next) {
        *link = copy_node(r, child);
        if (!*link) {
            return NULL;
        }
        link = &(*link)->next;
    }
    r->left.depth++;
    return copy;
}

static struct cel_node *read_alias(struct reader *r, const yaml_event_t *event)
{
    struct cel_slice name = cel_slice_of((const char *)event->data.alias.anchor);
    const struct cel_node *n = cel_map_get(&r->anchors, name);
    if (!n) {
        return fail_at(r, "undefined alias", event->start_mark.line);
    }
    if (n == &unfinished) {
        return fail_at(r, "alias inside of what it stands for", event->start_mark.line);
    }
    return copy_node(r, n);
}

/* ---- nodes ---- */

static struct cel_node *read_node(struct reader *r, const yaml_event_t *event,
                                  bool *ret_merge);

static struct cel_node *read_scalar(struct reader *r, const yaml_event_t *event,
                                    bool *ret_merge)
{
    struct cel_slice text =
        cel_slice((const char *)event->data.scalar.value, event->data.scalar.length);
    /* PyYAML resolves the nothing behind a lone "!" as if the tag were not there. */
    bool nothing = text.len == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool plain = event->data.scalar.plain_implicit || nothing;
    const char *tag =
        short_tag(event->data.scalar.tag, plain ? cel_yaml_resolve(text) : "str");
    if (!tag) {
        return fail_at(r, "unsupported tag", event->start_mark.line);
    }
    if (ret_merge) { /* a key */
        *ret_merge = strcmp(tag, "merge") == 0;
        if (*ret_merge || strcmp(tag, "value") == 0) {
            tag = "str";
        }
    }
    const char *why;
    struct cel_node *n = cel_yaml_construct(r->arena, tag, text, &why);
    if (n) {
        return n;
    }
    return *why ? fail_at(r, why, event->start_mark.line) : no_room(r);
}

static struct cel_node *read_sequence(struct reader *r)
{
    struct cel_node *array = cel_node_new(r->arena, CELERY_KIND_ARRAY);
    if (!array) {
        return no_room(r);
    }
    for (;;) {
        yaml_event_t event;
        if (!next_event(r, &event)) {
            return NULL;
        }
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return array;
        }
        struct cel_node *child = read_node(r, &event, NULL);
        yaml_event_delete(&event);
        if (!child || cel_node_append(array, child) < 0) {
            return NULL;
        }
    }
}

static bool merge(struct reader *r, struct cel_node *merged, struct cel_node *value)
{
    celery_status status = cel_yaml_merge(r->arena, merged, value);
    if (status == CELERY_EMESSAGE) {
        fail(r, "merge of what is no mapping");
    } else if (status < 0) {
        no_room(r);
    }
    return status == CELERY_OK;
}

static struct cel_node *read_member_key(struct reader *r, const yaml_event_t *event,
                                        bool *ret_merge)
{
    *ret_merge = false;
    struct cel_node *n = read_node(r, event, ret_merge);
    if (!n) {
        return NULL;
    }
    const char *why;
    struct cel_node *key = cel_doc_as_key(r->arena, n, &why);
    if (key) {
        return key;
    }
    return *why ? fail(r, why) : no_room(r);
}

/* One member: of merged when its key is "<<", otherwise of map. */
static bool read_member(struct reader *r, const yaml_event_t *key_event,
                        struct cel_node *map, struct cel_node *merged)
{
    bool is_merge;
    struct cel_node *key = read_member_key(r, key_event, &is_merge);
    yaml_event_t event;
    if (!key || !next_event(r, &event)) {
        return false;
    }
    struct cel_node *value = read_node(r, &event, NULL);
    yaml_event_delete(&event);
    if (!value) {
        return false;
    }
    if (is_merge) {
        /* A copy, because the members move and an anchor may still lead to them. */
        value = copy_node(r, value);
        return value && merge(r, merged, value);
    }
    if (cel_doc_add_member(map, key, value) < 0) {
        no_room(r);
        return false;
    }
    return true;
}

static struct cel_node *read_mapping(struct reader *r)
{
    struct cel_node *map = cel_node_new(r->arena, CELERY_KIND_OBJECT);
    struct cel_node *merged = cel_node_new(r->arena, CELERY_KIND_OBJECT);
    if (!map || !merged) {
        return no_room(r);
    }
    for (;;) {
        yaml_event_t event;
        if (!next_event(r, &event)) {
            return NULL;
        }
        bool at_end = event.type == YAML_MAPPING_END_EVENT;
        bool good = at_end || read_member(r, &event, map, merged);
        yaml_event_delete(&event);
        if (!good) {
            return NULL;
        }
        if (at_end) {
            break;
        }
    }
    if (merged->size > 0) {
        if (!merge(r, merged, map)) {
            return NULL;
        }
        map = merged;
    }
    return cel_doc_unique_keys(map) < 0 ? no_room(r) : map;
}

/* !!set: what json has instead is the list of its members. */
static struct cel_node *keys_of(struct reader *r, struct cel_node *map)
{
    struct cel_node *array = cel_node_new(r->arena, CELERY_KIND_ARRAY);
    for (struct cel_node *k = map->first, *next; k; k = next) {
        next = k->next->next;
        if (cel_node_append(array, k) < 0) {
            return no_room(r);
        }
    }
    return array ? array : no_room(r);
}

static struct cel_node *read_container(struct reader *r, const yaml_event_t *event)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    const char *tag = is_map ? short_tag(event->data.mapping_start.tag, "map")
                             : short_tag(event->data.sequence_start.tag, "seq");
    bool is_set = is_map && tag && strcmp(tag, "set") == 0;
    if (!tag || (!is_set && strcmp(tag, is_map ? "map" : "seq") != 0)) {
        return fail_at(r, "unsupported tag", event->start_mark.line);
    }
    if (!enter(r)) {
        return NULL;
    }
    struct cel_node *n = is_map ? read_mapping(r) : read_sequence(r);
    r->left.depth++;
    return n && is_set ? keys_of(r, n) : n;
}

static const yaml_char_t *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    default:
        return event->data.mapping_start.anchor;
    }
}

static struct cel_node *read_node(struct reader *r, const yaml_event_t *event,
                                  bool *ret_merge)
{
    if (event->type == YAML_ALIAS_EVENT) {
        return read_alias(r, event);
    }
    if (r->left.elements-- == 0) {
        r->left.elements = 0;
        return refuse(r, "has too many elements");
    }
    const yaml_char_t *anchor = anchor_of(event);
    if (!set_anchor(r, anchor, &unfinished)) {
        return NULL;
    }
    struct cel_node *n = event->type == YAML_SCALAR_EVENT
                             ? read_scalar(r, event, ret_merge)
                             : read_container(r, event);
    return n && set_anchor(r, anchor, n) ? n : NULL;
}

/* Takes an event that the grammar puts here. */
static bool expect(struct reader *r, yaml_event_type_t *ret_type)
{
    yaml_event_t event;
    if (!next_event(r, &event)) {
        return false;
    }
    *ret_type = event.type;
    yaml_event_delete(&event);
    return true;
}

/* get_single_data(): an empty stream is None, more than one document an error. */
static struct cel_node *read_stream(struct reader *r)
{
    yaml_event_type_t type;
    if (!expect(r, &type) || !expect(r, &type)) {
        return NULL;
    }
    if (type == YAML_STREAM_END_EVENT) {
        struct cel_node *none = cel_node_new(r->arena, CELERY_KIND_NULL);
        return none ? none : no_room(r);
    }
    yaml_event_t event;
    if (!next_event(r, &event)) {
        return NULL;
    }
    struct cel_node *n = read_node(r, &event, NULL);
    yaml_event_delete(&event);
    if (!n || !expect(r, &type) || !expect(r, &type)) {
        return NULL;
    }
    return type == YAML_STREAM_END_EVENT ? n : fail(r, "more than one document");
}

celery_status cel_yaml_read(struct cel_arena *a, struct cel_slice bytes,
                            const struct cel_json_limits *limits,
                            struct cel_node **ret_node, celery_error *err)
{
    if (bytes.len > UINT32_MAX) {
        return cel_error_set(err, CELERY_ELIMIT, "YAML is larger than 4 GiB");
    }
    struct reader r = {.arena = a, .left = cel_doc_limits(limits), .err = err};
    if (!yaml_parser_initialize(&r.parser)) {
        return cel_error_nomem(err);
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)bytes.data, bytes.len);
    struct cel_node *n = read_stream(&r);
    yaml_parser_delete(&r.parser);
    cel_map_fini(&r.anchors);
    if (!n) {
        return r.status < 0 ? r.status : cel_error_nomem(err);
    }
    *ret_node = n;
    return CELERY_OK;
}
