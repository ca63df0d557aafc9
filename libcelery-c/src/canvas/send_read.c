/* SPDX-License-Identifier: BSD-3-Clause */
#include "canvas/send.h"

#include "base/iso8601.h"

#include <math.h>

/* Centuries; what is much longer does not fit into a date. */
static const double SECONDS_MAX = 6e10;

void cel_sending_wrong(const struct cel_sending *s, const char *key, const char *why)
{
    cel_ctx_fail(s->x, CELERY_EMESSAGE, "%.*s: options.%s %s", (int)s->call->task.len,
                 s->call->task.data, key, why);
}

const struct cel_node *cel_sending_option(const struct cel_sending *s, const char *key)
{
    const struct cel_val *v = cel_opts_find(s->o, cel_slice_of(key));

    if (cel_val_none(v)) {
        return NULL;
    }
    if (v->kind != CEL_VAL_NODE) {
        cel_sending_wrong(s, key, "is no plain value");
        return NULL;
    }
    return v->node;
}

struct cel_slice cel_sending_text(const struct cel_sending *s, const char *key)
{
    const struct cel_node *n = cel_sending_option(s, key);

    if (n && !cel_node_is_string(n)) {
        cel_sending_wrong(s, key, "is no text");
    }
    return cel_node_text(cel_node_is_string(n) ? n : NULL);
}

const char *cel_sending_text_or(const struct cel_sending *s, const char *key,
                                const char *otherwise)
{
    struct cel_slice t = cel_sending_text(s, key);
    char *copy;

    if (!t.len) {
        return otherwise && *otherwise ? otherwise : NULL;
    }
    if (memchr(t.data, '\0', t.len)) {
        cel_sending_wrong(s, key, "has a NUL in it");
    }
    copy = cel_arena_strndup(s->x->a, t.data, t.len);
    if (!copy) {
        cel_ctx_fail(s->x, CELERY_ENOMEM, "out of memory");
    }
    return copy;
}

int64_t cel_sending_int(const struct cel_sending *s, const char *key, int64_t otherwise)
{
    const struct cel_node *n = cel_sending_option(s, key);
    int64_t value = otherwise;

    if (n &&
        (n->kind != CELERY_KIND_INT || !cel_slice_to_int(cel_node_text(n), &value))) {
        cel_sending_wrong(s, key, "is no integer");
    }
    return value;
}

bool cel_sending_is_number(const struct cel_node *n)
{
    return n && (n->kind == CELERY_KIND_INT || n->kind == CELERY_KIND_FLOAT);
}

double cel_sending_seconds(const struct cel_sending *s, const char *key, double otherwise)
{
    const struct cel_node *n = cel_sending_option(s, key);
    double value = cel_sending_is_number(n) ? cel_node_double(n, 0) : otherwise;

    if (n && !cel_sending_is_number(n)) {
        cel_sending_wrong(s, key, "is no number of seconds");
    } else if (n && !(fabs(value) < SECONDS_MAX)) {
        cel_sending_wrong(s, key, "is out of range");
        value = otherwise;
    }
    return value;
}

struct cel_slice cel_sending_instant(const struct cel_sending *s, const char *key,
                                     int64_t *ret_us)
{
    const struct cel_node *n = cel_sending_option(s, key), *value;
    struct cel_slice type;
    bool aware;

    *ret_us = INT64_MIN;
    if (n && cel_json_typed(n, &type, &value)) {
        n = value;
    }
    if (!n || !cel_node_truth(n)) {
        return CEL_SLICE_NULL;
    }
    struct cel_slice t = cel_node_text(cel_node_is_string(n) ? n : NULL);
    if (!t.len || !cel_iso8601_parse(t, ret_us, &aware)) {
        cel_sending_wrong(s, key, "is no ISO 8601 time");
        *ret_us = INT64_MIN;
        return CEL_SLICE_NULL;
    }
    return t;
}
