/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/unpack_format.h"

static bool is_name(struct cel_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool digit = c >= '0' && c <= '9' && i > 0;
        if (!letter && !digit && c != '_' && c < 0x80) {
            return false;
        }
    }
    return name.len > 0;
}

static bool has_parameter(const struct cel_parameters *p, struct cel_slice name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (cel_slice_eq(p->list[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* "name:T" */
static bool add_parameter(struct cel_parameters *p, struct cel_slice word, bool optional)
{
    if (word.len < 3 || word.data[word.len - 2] != ':' || p->n == CEL_PARAMETERS_MAX) {
        return false;
    }
    struct cel_slice name = cel_slice(word.data, word.len - 2);
    char type = word.data[word.len - 1];
    if (!strchr("IidbszSyvj", type) || !is_name(name) || has_parameter(p, name)) {
        return false;
    }
    p->list[p->n++] = (struct cel_parameter){
        .name = name,
        .type = type,
        .optional = optional,
        .keyword_only = p->any_positional,
    };
    if (!p->any_positional) {
        p->n_positional++;
        p->n_required += !optional;
    }
    return true;
}

bool cel_parameters_parse(const char *fmt, struct cel_parameters *ret)
{
    struct cel_slice rest = cel_slice_of(fmt);
    struct cel_slice word;
    ret->n = ret->n_positional = ret->n_required = 0;
    ret->any_positional = ret->any_keyword = false;
    bool optional = false;
    while (cel_slice_split(&rest, ' ', &word)) {
        if (word.len == 0) {
            continue;
        }
        if (ret->any_keyword) {
            return false; /* nothing may follow "**" */
        }
        if (cel_slice_is(word, "|") && !optional) {
            optional = true;
        } else if (cel_slice_is(word, "*") && !ret->any_positional) {
            ret->any_positional = true;
            optional = false; /* keyword-only parameters may be required again */
        } else if (cel_slice_is(word, "**")) {
            ret->any_keyword = true;
        } else if (!add_parameter(ret, word, optional)) {
            return false;
        }
    }
    return true;
}
