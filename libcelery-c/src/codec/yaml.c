/* SPDX-License-Identifier: BSD-3-Clause */
/* A document to YAML: flow style with quoted strings, which leaves nothing to resolve. */
#include "codec/yaml.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/utf8.h"
#include "codec/codec_list.h"
#include "codec/yaml_scalar.h"
#include <math.h>

/* PyYAML takes "key: value" only when the key is shorter than 1024 characters. */
enum { KEY_MAX = 100 };

static void put_string(struct cel_buf *out, struct cel_slice text)
{
    cel_buf_addc(out, '"');
    size_t at = 0;
    while (at < text.len) {
        int32_t code = cel_utf8_next(text, &at);
        if (code == '"' || code == '\\') {
            cel_buf_addc(out, '\\');
            cel_buf_addc(out, (char)code);
        } else if (code >= 0x20 && code < 0x7f) {
            cel_buf_addc(out, (char)code);
        } else if (code >= 0x10000) {
            cel_buf_addf(out, "\\U%08x", (unsigned)code);
        } else {
            cel_buf_addf(out, "\\u%04x", code < 0 ? 0xfffdU : (unsigned)code);
        }
    }
    cel_buf_addc(out, '"');
}

/* represent_float(): "1e+16" would be a string, YAML 1.1 wants "1.0e+16". */
static void put_double(struct cel_buf *out, double value)
{
    if (isnan(value) || isinf(value)) {
        cel_buf_adds(out, isnan(value) ? ".nan" : value < 0 ? "-.inf" : ".inf");
        return;
    }
    char text[32];
    size_t len = cel_repr_double(value, text);
    const char *e = memchr(text, 'e', len);
    if (!e || memchr(text, '.', len)) {
        cel_buf_add(out, text, len);
        return;
    }
    cel_buf_add(out, text, (size_t)(e - text));
    cel_buf_adds(out, ".0");
    cel_buf_add(out, e, len - (size_t)(e - text));
}

static void put_bytes(struct cel_buf *out, struct cel_slice bytes)
{
    cel_buf_adds(out, "!!binary \"");
    cel_base64_append(out, bytes.data, bytes.len);
    cel_buf_addc(out, '"');
}

/* What was a timestamp when it was read becomes one again. */
static bool put_timestamp(struct cel_buf *out, const struct cel_node *n)
{
    struct cel_slice type;
    const struct cel_node *value;
    if (!cel_json_typed(n, &type, &value) || !cel_node_is_string(value)) {
        return false;
    }
    bool has_time;
    if (!cel_yaml_is_timestamp(cel_node_text(value), &has_time) ||
        !cel_slice_is(type, has_time ? "datetime" : "date")) {
        return false;
    }
    cel_buf_adds(out, "!!timestamp ");
    put_string(out, cel_node_text(value));
    return true;
}

static void put_node(struct cel_buf *out, const struct cel_node *n);

static void put_array(struct cel_buf *out, const struct cel_node *n)
{
    cel_buf_addc(out, '[');
    for (const struct cel_node *child = n->first; child; child = child->next) {
        put_node(out, child);
        cel_buf_adds(out, child->next ? ", " : "");
    }
    cel_buf_addc(out, ']');
}

static void put_object(struct cel_buf *out, const struct cel_node *n)
{
    cel_buf_addc(out, '{');
    for (const struct cel_node *k = n->first; k; k = k->next->next) {
        cel_buf_adds(out, k->size > KEY_MAX ? "? " : "");
        put_string(out, cel_node_text(k));
        cel_buf_adds(out, k->size > KEY_MAX ? " : " : ": ");
        put_node(out, k->next);
        cel_buf_adds(out, k->next->next ? ", " : "");
    }
    cel_buf_addc(out, '}');
}

static void put_node(struct cel_buf *out, const struct cel_node *n)
{
    switch ((celery_kind)n->kind) {
    case CELERY_KIND_NULL:
        cel_buf_adds(out, "null");
        break;
    case CELERY_KIND_FALSE:
        cel_buf_adds(out, "false");
        break;
    case CELERY_KIND_TRUE:
        cel_buf_adds(out, "true");
        break;
    case CELERY_KIND_INT:
        cel_buf_add_slice(out, cel_node_text(n));
        break;
    case CELERY_KIND_FLOAT:
        put_double(out, cel_node_double(n, 0));
        break;
    case CELERY_KIND_STRING:
        put_string(out, cel_node_text(n));
        break;
    case CELERY_KIND_BYTES:
        put_bytes(out, cel_node_text(n));
        break;
    case CELERY_KIND_ARRAY:
        put_array(out, n);
        break;
    case CELERY_KIND_OBJECT:
        if (!put_timestamp(out, n)) {
            put_object(out, n);
        }
        break;
    }
}

celery_status cel_yaml_write(struct cel_buf *out, const struct cel_node *n,
                             celery_error *err)
{
    static const struct cel_node none = {.kind = CELERY_KIND_NULL};
    put_node(out, n ? n : &none);
    cel_buf_addc(out, '\n');
    if (cel_buf_ok(out)) {
        return CELERY_OK;
    }
    if (out->max != 0) {
        return cel_error_set(err, CELERY_ELIMIT, "YAML of more than %zu bytes", out->max);
    }
    return cel_error_nomem(err);
}

const struct cel_codec cel_codec_yaml = {
    .name = "yaml",
    .content_type = "application/x-yaml",
    .encoding = "utf-8",
    .decode = cel_yaml_read,
    .encode = cel_yaml_write,
};
