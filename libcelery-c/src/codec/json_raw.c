/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/json_raw.h"

#include "base/error.h"
#include "codec/doc_build.h"
#include "codec/json_string.h"

static const char *skip_value(const char *p, const char *end, unsigned depth);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* An escape that json.dumps() would choose: ensure_ascii, short ones, lower case digits. */
static const char *skip_escape(const char *p, const char *end)
{
    unsigned code = 0;

    if (end - p < 2) {
        return NULL;
    }
    if (strchr("\"\\nrtbf", p[1]) && p[1]) {
        return p + 2;
    }
    if (p[1] != 'u' || end - p < 6) {
        return NULL;
    }
    for (int i = 2; i < 6; i++) {
        bool letter = p[i] >= 'a' && p[i] <= 'f';

        if (!letter && !is_digit(p[i])) {
            return NULL;
        }
        code = code << 4 | (unsigned)(letter ? p[i] - 'a' + 10 : p[i] - '0');
    }
    bool shorter = code == 8 || code == 9 || code == 10 || code == 12 || code == 13;

    return (code < 0x20 && !shorter) || code > 0x7e ? p + 6 : NULL;
}

/* From the opening quote on. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++;;) {
        p = cel_json_skip_plain(p, end);
        if (p == end) {
            return NULL;
        }
        if (*p == '"') {
            return p + 1;
        }
        p = *p == '\\' ? skip_escape(p, end) : NULL;
        if (!p) {
            return NULL;
        }
    }
}

static const char *skip_int(const char *p, const char *end)
{
    const char *digits = p + (*p == '-');
    const char *at = digits;

    while (at < end && is_digit(*at)) {
        at++;
    }
    if (at == digits || (*digits == '0' && (at > digits + 1 || digits > p))) {
        return NULL;
    }
    return at < end && (*at == '.' || (*at | 0x20) == 'e') ? NULL : at;
}

static const char *skip_word(const char *p, const char *end, struct cel_slice word)
{
    return (size_t)(end - p) >= word.len && memcmp(p, word.data, word.len) == 0
               ? p + word.len
               : NULL;
}

static bool is_new(const struct cel_raw_keys *seen, struct cel_slice key)
{
    for (size_t i = 0; i < seen->n; i++) {
        if (seen->keys[i].len == key.len &&
            memcmp(seen->keys[i].data, key.data, key.len) == 0) {
            return false;
        }
    }
    return seen->n < CEL_RAW_KEYS && !cel_slice_is(key, "__type__");
}

const char *cel_json_skip_same_key(const char *p, const char *end,
                                   struct cel_raw_keys *seen)
{
    const char *at = p < end && *p == '"' ? skip_string(p, end) : NULL;

    if (!at || end - at < 3 || at[0] != ':' || at[1] != ' ') {
        return NULL;
    }
    struct cel_slice key = cel_slice(p + 1, (size_t)(at - p) - 2);

    if (!is_new(seen, key)) {
        return NULL;
    }
    seen->keys[seen->n++] = key;
    return at + 2;
}

const char *cel_json_skip_comma(const char *p, const char *end, char closing)
{
    if (p && p < end && *p == closing) {
        return p;
    }
    /* Something must follow: a comma in front of what closes is none. */
    return p && end - p > 2 && p[0] == ',' && p[1] == ' ' && p[2] != closing ? p + 2
                                                                             : NULL;
}

static const char *skip_array(const char *p, const char *end, unsigned depth)
{
    for (p++; p && p < end && *p != ']';) {
        p = cel_json_skip_comma(skip_value(p, end, depth), end, ']');
    }
    return p && p < end ? p + 1 : NULL;
}

static const char *skip_object(const char *p, const char *end, unsigned depth)
{
    struct cel_raw_keys seen;

    seen.n = 0;
    for (p++; p && p < end && *p != '}';) {
        p = cel_json_skip_same_key(p, end, &seen);
        p = p ? cel_json_skip_comma(skip_value(p, end, depth), end, '}') : NULL;
    }
    return p && p < end ? p + 1 : NULL;
}

static const char *skip_value(const char *p, const char *end, unsigned depth)
{
    if (p == end) {
        return NULL;
    }
    switch (*p) {
    case '"':
        return skip_string(p, end);
    case '{':
        return depth < CEL_RAW_DEPTH ? skip_object(p, end, depth + 1) : NULL;
    case '[':
        return depth < CEL_RAW_DEPTH ? skip_array(p, end, depth + 1) : NULL;
    case 'n':
        return skip_word(p, end, CEL_SLICE("null"));
    case 't':
        return skip_word(p, end, CEL_SLICE("true"));
    case 'f':
        return skip_word(p, end, CEL_SLICE("false"));
    default:
        return skip_int(p, end);
    }
}

const char *cel_json_skip_same(const char *p, const char *end)
{
    return skip_value(p, end, 0);
}

/* ---- nodes ---- */

struct cel_node *cel_json_raw(struct cel_arena *a, struct cel_slice text)
{
    struct cel_node *n = cel_node_new(a, CELERY_KIND_ARRAY);

    if (n && text.len > 0) {
        n->kind = CEL_KIND_RAW;
        n->flags = 0;
        n->text = text.data;
        n->size = (uint32_t)text.len;
    }
    return n;
}

static struct cel_node *parsed(struct cel_arena *a, const struct cel_node *raw)
{
    char *text = cel_arena_alloc(a, (size_t)raw->size + 2);
    struct cel_node *array = NULL;

    if (!text) {
        return NULL;
    }
    text[0] = '[';
    memcpy(text + 1, raw->text, raw->size);
    text[raw->size + 1] = ']';
    return cel_json_parse(a, cel_slice(text, (size_t)raw->size + 2), NULL, &array, NULL) <
                   0
               ? NULL
               : array;
}

static struct cel_node *shallow(struct cel_arena *a, const struct cel_node *n)
{
    struct cel_node *copy = cel_node_new(a, (celery_kind)n->kind);

    if (copy) {
        *copy = *n;
        copy->next = NULL;
    }
    return copy;
}

const struct cel_node *cel_json_whole(struct cel_arena *a, const struct cel_node *object,
                                      celery_error *err)
{
    struct cel_node *whole = NULL;
    bool any = false;

    for (const struct cel_node *k = cel_node_first(object); k; k = k->next->next) {
        any = any || k->next->kind == CEL_KIND_RAW;
    }
    if (!any) {
        return object;
    }
    whole = cel_node_new(a, CELERY_KIND_OBJECT);
    for (const struct cel_node *k = object->first; k; k = k->next->next) {
        struct cel_node *v =
            k->next->kind == CEL_KIND_RAW ? parsed(a, k->next) : shallow(a, k->next);

        if (!v || cel_doc_add_member(whole, shallow(a, k), v) < 0) {
            cel_error_nomem(err);
            return NULL;
        }
    }
    return whole;
}
