/* SPDX-License-Identifier: BSD-3-Clause */
/* yaml/resolver.py and yaml/constructor.py of PyYAML 6: which scalar is what. */
#include "codec/yaml_scalar.h"

#include "base/base64.h"
#include "codec/yaml_number.h"
#include "codec/yaml_time.h"

static bool is_one_of(struct cel_slice text, const char *words)
{
    struct cel_slice rest = cel_slice_of(words);
    struct cel_slice word;
    while (cel_slice_split(&rest, ' ', &word)) {
        if (cel_slice_eq(word, text)) {
            return true;
        }
    }
    return false;
}

static bool is_bool(struct cel_slice text)
{
    return text.len <= 5 &&
           is_one_of(text, "yes Yes YES no No NO true True TRUE false False "
                           "FALSE on On ON off Off OFF");
}

static bool is_null(struct cel_slice text)
{
    return text.len == 0 || (text.len <= 4 && is_one_of(text, "~ null Null NULL"));
}

bool cel_yaml_is_timestamp(struct cel_slice text, bool *ret_has_time)
{
    struct cel_yaml_time t;
    return cel_yaml_time_match(text, true, &t, ret_has_time);
}

const char *cel_yaml_resolve(struct cel_slice text)
{
    bool has_time;
    if (is_null(text)) {
        return "null";
    }
    if (!strchr("yYnNtTfFoO-+0123456789.<=", text.data[0]) || text.data[0] == '\0') {
        return "str";
    }
    if (is_bool(text)) {
        return "bool";
    }
    if (cel_yaml_is_float(text)) {
        return "float";
    }
    if (cel_yaml_is_int(text)) {
        return "int";
    }
    if (cel_slice_is(text, "<<")) {
        return "merge";
    }
    if (cel_yaml_is_timestamp(text, &has_time)) {
        return "timestamp";
    }
    return cel_slice_is(text, "=") ? "value" : "str";
}

/* ---- constructing ---- */

static struct cel_node *make_bool(struct cel_arena *a, struct cel_slice text,
                                  const char **ret_why)
{
    char lower[8] = {0};
    if (text.len > 5) {
        return NULL;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    bool is_true = is_one_of(cel_slice(lower, text.len), "yes true on");
    if (!is_true && !is_one_of(cel_slice(lower, text.len), "no false off")) {
        return NULL;
    }
    *ret_why = "";
    return cel_node_new_bool(a, is_true);
}

static struct cel_node *make_null(struct cel_arena *a, struct cel_slice text,
                                  const char **ret_why)
{
    *ret_why = "";
    return cel_node_new(a, CELERY_KIND_NULL);
}

static struct cel_node *make_string(struct cel_arena *a, struct cel_slice text,
                                    const char **ret_why)
{
    *ret_why = "";
    return cel_node_new_string(a, text);
}

static struct cel_node *make_binary(struct cel_arena *a, struct cel_slice text,
                                    const char **ret_why)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] > 0x7f) {
            return NULL;
        }
    }
    char *bytes = cel_arena_alloc(a, text.len / 4 * 3 + 3);
    if (!bytes) {
        *ret_why = "";
        return NULL;
    }
    size_t len;
    if (!cel_base64_decode(text, bytes, &len)) {
        return NULL;
    }
    *ret_why = "";
    return cel_node_new_bytes(a, cel_slice(bytes, len));
}

static const struct {
    const char *tag;
    struct cel_node *(*make)(struct cel_arena *a, struct cel_slice text,
                             const char **ret_why);
    const char *why; /* what is wrong when make() does not say */
} makers[] = {
    {"str", make_string, ""},
    {"null", make_null, ""},
    {"bool", make_bool, "invalid boolean"},
    {"int", cel_yaml_make_int, "invalid integer"},
    {"float", cel_yaml_make_float, "invalid float"},
    {"timestamp", cel_yaml_make_time, "invalid timestamp"},
    {"binary", make_binary, "invalid base64"},
};

struct cel_node *cel_yaml_construct(struct cel_arena *a, const char *tag,
                                    struct cel_slice text, const char **ret_why)
{
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        if (strcmp(tag, makers[i].tag) == 0) {
            *ret_why = makers[i].why;
            return makers[i].make(a, text, ret_why);
        }
    }
    *ret_why = "unsupported tag";
    return NULL;
}
