/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/yaml_number.h"

#include "base/alloc.h"
#include <math.h>
#include <stdio.h>

/* ---- matching ---- */

static bool at_digit(struct cel_slice s)
{
    return s.len > 0 && s.data[0] >= '0' && s.data[0] <= '9';
}

static void skip(struct cel_slice *s, size_t n)
{
    *s = cel_slice(s->data + n, s->len - n);
}

/* Skips characters of the set; returns how many. */
static size_t skip_set(struct cel_slice *s, const char *set)
{
    size_t n = 0;
    while (n < s->len && s->data[n] != '\0' && strchr(set, s->data[n])) {
        n++;
    }
    skip(s, n);
    return n;
}

static bool skip_one(struct cel_slice *s, const char *set)
{
    if (s->len == 0 || s->data[0] == '\0' || !strchr(set, s->data[0])) {
        return false;
    }
    skip(s, 1);
    return true;
}

#define DIGITS "0123456789"

/* (?::[0-5]?[0-9])+ */
static bool skip_sixties(struct cel_slice *s)
{
    bool any = false;
    while (s->len >= 2 && s->data[0] == ':' && at_digit(cel_slice(s->data + 1, 1))) {
        bool two = s->data[1] <= '5' && s->len > 2 && at_digit(cel_slice(s->data + 2, 1));
        skip(s, two ? 3 : 2);
        any = true;
    }
    return any;
}

bool cel_yaml_is_int(struct cel_slice s)
{
    skip_one(&s, "+-");
    if (cel_slice_starts(s, CEL_SLICE("0b"))) {
        skip(&s, 2);
        return skip_set(&s, "01_") > 0 && s.len == 0;
    }
    if (cel_slice_starts(s, CEL_SLICE("0x"))) {
        skip(&s, 2);
        return skip_set(&s, DIGITS "abcdefABCDEF_") > 0 && s.len == 0;
    }
    if (skip_one(&s, "0")) {
        skip_set(&s, "01234567_");
        return s.len == 0;
    }
    if (!skip_one(&s, "123456789")) {
        return false;
    }
    skip_set(&s, DIGITS "_");
    skip_sixties(&s);
    return s.len == 0;
}

/* (?:[eE][-+][0-9]+)?$ */
static bool ends_with_exponent(struct cel_slice s)
{
    if (s.len == 0) {
        return true;
    }
    return skip_one(&s, "eE") && skip_one(&s, "+-") && skip_set(&s, DIGITS) > 0 &&
           s.len == 0;
}

bool cel_yaml_is_float(struct cel_slice s)
{
    if (cel_slice_is(s, ".nan") || cel_slice_is(s, ".NaN") || cel_slice_is(s, ".NAN")) {
        return true;
    }
    bool has_sign = skip_one(&s, "+-");
    if (cel_slice_is(s, ".inf") || cel_slice_is(s, ".Inf") || cel_slice_is(s, ".INF")) {
        return true;
    }
    if (at_digit(s)) {
        skip_set(&s, DIGITS "_");
        bool sixties = skip_sixties(&s);
        if (!skip_one(&s, ".")) {
            return false;
        }
        skip_set(&s, DIGITS "_");
        return sixties ? s.len == 0 : ends_with_exponent(s);
    }
    if (has_sign || !skip_one(&s, ".") || !at_digit(s)) {
        return false;
    }
    skip_set(&s, DIGITS "_");
    return ends_with_exponent(s);
}

/* ---- constructing ---- */

/* A copy without underscores and sign, in lower case. */
static bool clean(struct cel_arena *a, struct cel_slice text, struct cel_slice *ret,
                  bool *ret_negative)
{
    char *out = cel_arena_alloc(a, text.len + 1);
    if (!out) {
        return false;
    }
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c != '_') {
            out[len++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
    }
    size_t sign = len > 0 && (out[0] == '-' || out[0] == '+');
    *ret_negative = sign && out[0] == '-';
    *ret = cel_slice(out + sign, len - sign);
    out[len] = '\0';
    return true;
}

/* An integer of any size in groups of nine decimal digits, least first. */
struct big {
    uint32_t *groups;
    size_t n;
};

enum { GROUP = 1000000000, DIGITS_MAX = 20000 };

/* big = big * factor + add, in memory that is large enough. */
static void multiply_add(struct big *b, uint32_t factor, uint32_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < b->n; i++) {
        carry += (uint64_t)b->groups[i] * factor;
        b->groups[i] = (uint32_t)(carry % GROUP);
        carry /= GROUP;
    }
    if (carry > 0) {
        b->groups[b->n++] = (uint32_t)carry;
    }
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* Digits of a base up to 16. */
static bool read_digits(struct big *b, struct cel_slice digits, uint32_t base)
{
    for (size_t i = 0; i < digits.len; i++) {
        int value = digit_value(digits.data[i]);
        if (value >= (int)base) {
            return false;
        }
        multiply_add(b, base, (uint32_t)value);
    }
    return digits.len > 0;
}

/* 190:20:30 */
static bool read_sixties(struct big *b, struct cel_slice text)
{
    struct cel_slice part;
    if (!cel_slice_split(&text, ':', &part) || !read_digits(b, part, 10)) {
        return false;
    }
    while (cel_slice_split(&text, ':', &part)) {
        int64_t digit;
        if (!at_digit(part) || !cel_slice_to_int(part, &digit) || digit > 1000000) {
            return false;
        }
        multiply_add(b, 60, (uint32_t)digit);
    }
    return true;
}

static bool read_big(struct big *b, struct cel_slice text)
{
    if (cel_slice_starts(text, CEL_SLICE("0b"))) {
        return read_digits(b, cel_slice(text.data + 2, text.len - 2), 2);
    }
    if (cel_slice_starts(text, CEL_SLICE("0x"))) {
        return read_digits(b, cel_slice(text.data + 2, text.len - 2), 16);
    }
    if (text.len > 1 && text.data[0] == '0') {
        return read_digits(b, text, 8);
    }
    if (memchr(text.data, ':', text.len)) {
        return read_sixties(b, text);
    }
    return read_digits(b, text, 10);
}

static struct cel_node *big_node(struct cel_arena *a, const struct big *b, bool negative)
{
    struct cel_node *n = cel_node_new(a, CELERY_KIND_INT);
    char *text = cel_arena_alloc(a, b->n * 9 + 2);
    if (!n || !text) {
        return NULL;
    }
    size_t len = 0;
    if (b->n == 0) {
        text[len++] = '0';
    } else if (negative) {
        text[len++] = '-';
    }
    for (size_t i = b->n; i > 0; i--) {
        char group[16];
        int width = snprintf(group, sizeof group, i == b->n ? "%u" : "%09u",
                             (unsigned)b->groups[i - 1]);
        memcpy(text + len, group, (size_t)width);
        len += (size_t)width;
    }
    n->text = text;
    n->size = (uint32_t)len;
    return n;
}

struct cel_node *cel_yaml_make_int(struct cel_arena *a, struct cel_slice text,
                                   const char **ret_why)
{
    struct cel_slice digits;
    bool negative;
    if (text.len > DIGITS_MAX) {
        *ret_why = "integer of too many digits";
        return NULL;
    }
    struct big b = {cel_arena_alloc(a, (text.len + 8) * sizeof(uint32_t)), 0};
    if (!b.groups || !clean(a, text, &digits, &negative)) {
        *ret_why = "";
        return NULL;
    }
    if (digits.len == 0 || !read_big(&b, digits)) {
        return NULL;
    }
    *ret_why = "";
    return big_node(a, &b, negative);
}

/* float(): of the forms that Python takes, those that can stand here. */
static bool read_float(struct cel_slice text, double *ret)
{
    struct cel_slice s = text;
    bool digits = skip_set(&s, DIGITS) > 0;
    if (skip_one(&s, ".")) {
        digits |= skip_set(&s, DIGITS) > 0;
    }
    if (digits && skip_one(&s, "e")) {
        skip_one(&s, "+-");
        digits = skip_set(&s, DIGITS) > 0;
    }
    if (!digits || s.len > 0) {
        return false;
    }
    struct cel_node n = {.kind = CELERY_KIND_FLOAT, .size = (uint32_t)text.len};
    n.text = text.data;
    *ret = cel_node_double(&n, 0);
    return true;
}

static bool read_float_sixties(struct cel_slice text, double *ret)
{
    /* From the last part on, as upstream adds them, so that rounding is the same. */
    double base = 1;
    double sum = 0;
    for (size_t end = text.len, at = text.len; end > 0; at--) {
        if (at > 0 && text.data[at - 1] != ':') {
            continue;
        }
        double part;
        if (!read_float(cel_slice(text.data + at, end - at), &part)) {
            return false;
        }
        sum += part * base;
        base *= 60;
        if (at == 0) {
            break;
        }
        end = at - 1;
    }
    *ret = sum;
    return true;
}

struct cel_node *cel_yaml_make_float(struct cel_arena *a, struct cel_slice text,
                                     const char **ret_why)
{
    struct cel_slice s;
    bool negative;
    if (!clean(a, text, &s, &negative)) {
        *ret_why = "";
        return NULL;
    }
    double value;
    if (cel_slice_is(s, ".nan") || cel_slice_is(s, "nan")) {
        value = NAN;
    } else if (cel_slice_is(s, ".inf") || cel_slice_is(s, "inf") ||
               cel_slice_is(s, "infinity")) {
        value = INFINITY;
    } else if (s.len > 0 && memchr(s.data, ':', s.len)) {
        if (!read_float_sixties(s, &value)) {
            return NULL;
        }
    } else if (!read_float(s, &value)) {
        return NULL;
    }
    *ret_why = "";
    return cel_node_new_double(a, negative ? -value : value);
}
