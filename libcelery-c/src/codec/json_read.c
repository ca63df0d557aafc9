/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON text to a document, accepting exactly what Python's json.loads() accepts.  One loop
 * without a stack: while a container is open its next points to the container around it.
 */
#include "codec/doc_build.h"

#include "base/error.h"
#include "codec/json_string.h"

struct reader {
    const char *at;
    const char *end;
    const char *start;
    struct cel_arena *arena;
    struct cel_node *open;  /* innermost open array or object */
    struct cel_node **link; /* where the next node is hung in */
    struct cel_node *spare; /* nodes taken from the arena in one piece */
    size_t n_spare;
    unsigned depth;
    struct cel_json_limits left; /* of depth: the limit; of elements: how many are left */
    celery_error *err;
    celery_status status;
};

static bool fail(struct reader *r, const char *reason)
{
    r->status = cel_error_set(r->err, CELERY_EMESSAGE, "not JSON: %s at byte %zu", reason,
                              (size_t)(r->at - r->start));
    return false;
}

/* A little fewer nodes than such a text may hold; then pieces of the same size. */
static bool more_nodes(struct reader *r)
{
    size_t n = (size_t)(r->end - r->at) / 16 + 2;
    if (n > 256) {
        n = 256;
    }
    if (n > r->left.elements) {
        n = r->left.elements;
    }
    if (n == 0) {
        r->status = cel_error_set(r->err, CELERY_ELIMIT, "JSON has too many elements");
        return false;
    }
    r->spare = cel_arena_alloc(r->arena, n * sizeof *r->spare);
    if (!r->spare) {
        r->status = cel_doc_refused(r->arena, n * sizeof *r->spare, r->err);
        return false;
    }
    r->n_spare = n;
    r->left.elements -= n;
    return true;
}

/* A new node, hung in where the reader is. */
static inline struct cel_node *new_node(struct reader *r)
{
    if (r->n_spare == 0 && !more_nodes(r)) {
        return NULL;
    }
    struct cel_node *n = r->spare++;
    r->n_spare--;
    *n = (struct cel_node){0};
    *r->link = n;
    r->link = &n->next;
    return n;
}

static inline void skip_space(struct reader *r)
{
    while (r->at < r->end) {
        char c = *r->at;
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
            return;
        }
        r->at++;
    }
}

static bool read_odd_string(struct reader *r, const char *odd, struct cel_node *n)
{
    const char *why = cel_json_read_odd_string(r->arena, &r->at, odd, r->end, n);
    if (!why) {
        return true;
    }
    if (*why) {
        return fail(r, why);
    }
    r->status = cel_doc_refused(r->arena, (size_t)(r->end - r->at), r->err);
    return false;
}

static inline bool read_string(struct reader *r)
{
    struct cel_node *n = new_node(r);
    if (!n) {
        return false;
    }
    n->kind = CELERY_KIND_STRING;
    const char *start = ++r->at;
    const char *p = cel_json_skip_plain(start, r->end);
    if (p < r->end && *p == '"') {
        n->flags = CEL_NODE_PLAIN;
        n->text = start;
        n->size = (uint32_t)(p - start);
        r->at = p + 1;
        return true;
    }
    return read_odd_string(r, p, n);
}

static bool read_key(struct reader *r)
{
    skip_space(r);
    if (r->at == r->end || *r->at != '"') {
        return fail(r, "a key in double quotes is missing");
    }
    if (!read_string(r)) {
        return false;
    }
    skip_space(r);
    if (r->at == r->end || *r->at != ':') {
        return fail(r, "':' is missing");
    }
    r->at++;
    return true;
}

static bool read_word(struct reader *r, celery_kind kind, struct cel_slice word)
{
    if ((size_t)(r->end - r->at) < word.len || memcmp(r->at, word.data, word.len) != 0) {
        return fail(r, "a value is missing");
    }
    struct cel_node *n = new_node(r);
    if (!n) {
        return false;
    }
    n->kind = (uint8_t)kind;
    n->text = NULL;
    if (kind == CELERY_KIND_FLOAT) {
        n->text = word.data;
        n->size = (uint32_t)word.len;
    }
    r->at += word.len;
    return true;
}

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

/* The fraction and exponent behind p; p itself when what follows is neither. */
static const char *skip_float(const char *p, const char *end)
{
    if (end - p >= 2 && *p == '.' && p[1] >= '0' && p[1] <= '9') {
        p = skip_digits(p + 1, end);
    }
    if (p < end && (*p | 0x20) == 'e') {
        const char *digits = p + 1;
        if (digits < end && (*digits == '+' || *digits == '-')) {
            digits++;
        }
        const char *behind = skip_digits(digits, end);
        p = behind > digits ? behind : p;
    }
    return p;
}

static bool read_number(struct reader *r)
{
    const char *digits = r->at + (*r->at == '-');
    if (digits == r->end) {
        return fail(r, "a value is missing");
    }
    if (*digits == 'I' && digits > r->at) {
        return read_word(r, CELERY_KIND_FLOAT, CEL_SLICE("-Infinity"));
    }
    /* A leading zero stands alone: what follows in "01" is extra data. */
    const char *p = *digits == '0' ? digits + 1 : skip_digits(digits, r->end);
    if (p == digits) {
        return fail(r, "a value is missing");
    }
    const char *behind = skip_float(p, r->end);
    struct cel_node *n = new_node(r);
    if (!n) {
        return false;
    }
    n->kind = behind == p ? CELERY_KIND_INT : CELERY_KIND_FLOAT;
    n->text = r->at;
    if (behind == p && *digits == '0') {
        n->text = digits; /* Python has no int -0 */
    }
    n->size = (uint32_t)(behind - n->text);
    r->at = behind;
    return true;
}

/* Closes the innermost container. */
static bool close_container(struct reader *r)
{
    struct cel_node *n = r->open;
    r->at++;
    r->open = n->next;
    n->next = NULL;
    r->link = &n->next;
    r->depth--;
    if (n->kind == CELERY_KIND_OBJECT && cel_doc_unique_keys(n) < 0) {
        r->status = cel_error_nomem(r->err);
        return false;
    }
    return true;
}

/* Opens a container; *ret_empty: it was closed again at once. */
static bool open_container(struct reader *r, celery_kind kind, char closing,
                           bool *ret_empty)
{
    if (r->depth >= r->left.depth) {
        r->status = cel_error_set(r->err, CELERY_ELIMIT,
                                  "JSON is nested deeper than %u levels", r->left.depth);
        return false;
    }
    struct cel_node *n = new_node(r);
    if (!n) {
        return false;
    }
    n->kind = (uint8_t)kind;
    n->first = NULL;
    n->next = r->open;
    r->open = n;
    r->link = &n->first;
    r->depth++;
    r->at++;
    skip_space(r);
    if (r->at < r->end && *r->at == closing) {
        *ret_empty = true;
        return close_container(r);
    }
    n->size = 1;
    return kind == CELERY_KIND_ARRAY || read_key(r);
}

/* Reads a value, or the beginning of one: *ret_whole says which. */
static bool read_value(struct reader *r, bool *ret_whole)
{
    skip_space(r);
    if (r->at == r->end) {
        return fail(r, "a value is missing");
    }
    *ret_whole = true;
    switch (*r->at) {
    case '"':
        return read_string(r);
    case '{':
        *ret_whole = false;
        return open_container(r, CELERY_KIND_OBJECT, '}', ret_whole);
    case '[':
        *ret_whole = false;
        return open_container(r, CELERY_KIND_ARRAY, ']', ret_whole);
    case 'n':
        return read_word(r, CELERY_KIND_NULL, CEL_SLICE("null"));
    case 't':
        return read_word(r, CELERY_KIND_TRUE, CEL_SLICE("true"));
    case 'f':
        return read_word(r, CELERY_KIND_FALSE, CEL_SLICE("false"));
    case 'N':
        return read_word(r, CELERY_KIND_FLOAT, CEL_SLICE("NaN"));
    case 'I':
        return read_word(r, CELERY_KIND_FLOAT, CEL_SLICE("Infinity"));
    default:
        return read_number(r);
    }
}

/* Behind a value: closes what ends there and passes a comma. */
static bool read_behind(struct reader *r)
{
    while (r->open) {
        bool is_object = r->open->kind == CELERY_KIND_OBJECT;
        skip_space(r);
        if (r->at == r->end) {
            return fail(r, "',' or the end of the container is missing");
        }
        if (*r->at == ',') {
            r->at++;
            r->open->size++;
            return !is_object || read_key(r);
        }
        if (*r->at != (is_object ? '}' : ']')) {
            return fail(r, "',' or the end of the container is missing");
        }
        if (!close_container(r)) {
            return false;
        }
    }
    return true;
}

static bool read_document(struct reader *r)
{
    do {
        bool whole;
        if (!read_value(r, &whole)) {
            return false;
        }
        if (whole && !read_behind(r)) {
            return false;
        }
    } while (r->open);
    skip_space(r);
    return r->at == r->end || fail(r, "extra data");
}

celery_status cel_json_parse(struct cel_arena *a, struct cel_slice text,
                             const struct cel_json_limits *limits,
                             struct cel_node **ret_node, celery_error *err)
{
    if (text.len > UINT32_MAX) {
        return cel_error_set(err, CELERY_ELIMIT, "JSON is larger than 4 GiB");
    }
    struct cel_node *root = NULL;
    const char *start = text.data ? text.data : "";
    struct reader r = {
        .at = start,
        .end = start + text.len,
        .start = start,
        .arena = a,
        .link = &root,
        .left = cel_doc_limits(limits),
        .err = err,
    };
    if (!read_document(&r)) {
        return r.status;
    }
    *ret_node = root;
    return CELERY_OK;
}
