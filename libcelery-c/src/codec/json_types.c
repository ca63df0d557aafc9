/* SPDX-License-Identifier: BSD-3-Clause */
/* Typed values of kombu >= 5.3: {"__type__": t, "__value__": v} (kombu/utils/json.py). */
#include "codec/doc.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "base/utf8.h"

bool cel_json_typed(const struct cel_node *n, struct cel_slice *ret_type,
                    const struct cel_node **ret_value)
{
    if (!n || n->kind != CELERY_KIND_OBJECT || n->size != 2) {
        return false;
    }
    const struct cel_node *type = cel_node_get(n, CEL_SLICE("__type__"));
    const struct cel_node *value = cel_node_get(n, CEL_SLICE("__value__"));
    if (!type || !value) {
        return false;
    }
    *ret_type = cel_node_is_string(type) ? cel_node_text(type) : CEL_SLICE_NULL;
    *ret_value = value;
    return true;
}

/* ---- forms of the values ---- */

/* Encodable text: str.encode("utf-8") refuses lone surrogates. */
static bool is_text(const struct cel_node *v)
{
    return cel_node_is_string(v) &&
           ((v->flags & CEL_NODE_PLAIN) || cel_utf8_valid(cel_node_text(v)));
}

static bool is_date(const struct cel_node *v)
{
    int64_t us;
    bool aware;
    return is_text(v) && cel_iso8601_parse(cel_node_text(v), &us, &aware);
}

/* time.isoformat(): the part of a date and time behind the T. */
static bool is_time(const struct cel_node *v)
{
    char text[48] = "2000-01-01T";
    struct cel_slice part = cel_node_text(v);
    if (!is_text(v) || part.len < 2 || part.len > 32) {
        return false;
    }
    size_t skip = part.data[0] == 'T';
    memcpy(text + 11, part.data + skip, part.len - skip);
    int64_t us;
    bool aware;
    return cel_iso8601_parse(cel_slice(text, 11 + part.len - skip), &us, &aware);
}

static bool skip_digits(struct cel_slice *s)
{
    size_t before = s->len;
    while (s->len > 0 &&
           ((s->data[0] >= '0' && s->data[0] <= '9') || s->data[0] == '_')) {
        s->data++;
        s->len--;
    }
    return s->len < before;
}

static bool skip_char(struct cel_slice *s, const char *set)
{
    if (s->len == 0 || s->data[0] == '\0' || !strchr(set, s->data[0])) {
        return false;
    }
    s->data++;
    s->len--;
    return true;
}

static bool skip_word(struct cel_slice *s, const char *lower)
{
    size_t len = strlen(lower);
    if (s->len < len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if ((s->data[i] | 0x20) != lower[i]) {
            return false;
        }
    }
    s->data += len;
    s->len -= len;
    return true;
}

/* Decimal(): Lib/_pydecimal.py _parser. */
static bool is_decimal(const struct cel_node *v)
{
    if (v->kind >= CELERY_KIND_FALSE && v->kind <= CELERY_KIND_FLOAT) {
        return true;
    }
    if (!is_text(v)) {
        return false;
    }
    struct cel_slice s = cel_slice_trim(cel_node_text(v));
    skip_char(&s, "+-");
    if (skip_word(&s, "infinity") || skip_word(&s, "inf")) {
        return s.len == 0;
    }
    skip_char(&s, "sS");
    if (skip_word(&s, "nan")) {
        skip_digits(&s);
        return s.len == 0;
    }
    bool digits = skip_digits(&s);
    if (skip_char(&s, ".")) {
        digits |= skip_digits(&s);
    }
    if (digits && skip_char(&s, "eE")) {
        skip_char(&s, "+-");
        digits = skip_digits(&s);
    }
    return digits && s.len == 0;
}

/* UUID(hex): 32 hexadecimal digits after "urn:uuid:", braces and hyphens are taken out. */
static bool is_uuid_hex(struct cel_slice s)
{
    struct cel_slice urn = CEL_SLICE("urn:uuid:");
    if (cel_slice_starts(s, urn)) {
        s = cel_slice(s.data + urn.len, s.len - urn.len);
    }
    size_t digits = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        char lower = (char)(c | 0x20);
        if ((c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'f')) {
            digits++;
        } else if (c != '-' && c != '{' && c != '}') {
            return false;
        }
    }
    return digits == 32;
}

static bool is_uuid(const struct cel_node *v)
{
    const struct cel_node *hex = cel_node_get(v, CEL_SLICE("hex"));
    return cel_node_is_string(hex) && is_uuid_hex(cel_node_text(hex));
}

static bool is_base64(const struct cel_node *v)
{
    struct cel_slice text = cel_node_text(v);
    char *bytes = is_text(v) ? cel_alloc(text.len / 4 * 3 + 3) : NULL;
    size_t len;
    bool is = bytes && cel_base64_decode(text, bytes, &len);
    cel_free(bytes);
    return is;
}

static const struct {
    const char *type;
    bool (*has_form)(const struct cel_node *value);
} forms[] = {
    {"datetime", is_date},   {"date", is_date}, {"time", is_time},
    {"decimal", is_decimal}, {"uuid", is_uuid}, {"bytes", is_text},
    {"base64", is_base64},
};

static celery_status check_typed(struct cel_slice type, const struct cel_node *value,
                                 celery_error *err)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (!cel_slice_is(type, forms[i].type)) {
            continue;
        }
        if (forms[i].has_form(value)) {
            return CELERY_OK;
        }
        return cel_error_set(err, CELERY_EMESSAGE, "invalid __value__ for __type__ '%s'",
                             forms[i].type);
    }
    return cel_error_set(err, CELERY_EMESSAGE, "unsupported __type__ '%s'",
                         cel_log_safe(type));
}

celery_status cel_json_check_types(const struct cel_node *n, celery_error *err)
{
    if (!n || n->kind < CELERY_KIND_ARRAY) {
        return CELERY_OK;
    }
    for (const struct cel_node *child = n->first; child; child = child->next) {
        if (child->kind >= CELERY_KIND_ARRAY) {
            celery_status status = cel_json_check_types(child, err);
            if (status < 0) {
                return status;
            }
        }
    }
    struct cel_slice type;
    const struct cel_node *value;
    return cel_json_typed(n, &type, &value) ? check_typed(type, value, err) : CELERY_OK;
}

bool cel_json_bytes(struct cel_arena *a, const struct cel_node *n, struct cel_slice *ret)
{
    if (n && n->kind == CELERY_KIND_BYTES) {
        *ret = cel_node_text(n);
        return true;
    }
    struct cel_slice type;
    const struct cel_node *value;
    if (!cel_json_typed(n, &type, &value) || !is_text(value)) {
        return false;
    }
    struct cel_slice text = cel_node_text(value);
    if (cel_slice_is(type, "bytes")) {
        *ret = text;
        return true;
    }
    if (!cel_slice_is(type, "base64")) {
        return false;
    }
    char *bytes = cel_arena_alloc(a, text.len / 4 * 3 + 3);
    size_t len;
    if (!bytes || !cel_base64_decode(text, bytes, &len)) {
        return false;
    }
    *ret = cel_slice(bytes, len);
    return true;
}
