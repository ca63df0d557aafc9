/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/slice.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

bool cel_slice_starts(struct cel_slice s, struct cel_slice prefix)
{
    return s.len >= prefix.len && cel_slice_eq(cel_slice(s.data, prefix.len), prefix);
}

bool cel_slice_ends(struct cel_slice s, struct cel_slice suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 ||
            memcmp(s.data + (s.len - suffix.len), suffix.data, suffix.len) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct cel_slice cel_slice_trim(struct cel_slice s)
{
    while (s.len > 0 && is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* The end is rest->data == NULL, so that "a," gives "a" and "". */
bool cel_slice_split(struct cel_slice *rest, char separator, struct cel_slice *ret_part)
{
    if (!rest->data) {
        return false;
    }
    const char *at = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    if (!at) {
        *ret_part = *rest;
        *rest = CEL_SLICE_NULL;
        return true;
    }
    size_t before = (size_t)(at - rest->data);
    *ret_part = cel_slice(rest->data, before);
    *rest = cel_slice(at + 1, rest->len - before - 1);
    return true;
}

bool cel_slice_to_int(struct cel_slice s, int64_t *ret)
{
    size_t at = 0;
    bool negative = s.len > 0 && s.data[0] == '-';
    if (negative || (s.len > 0 && s.data[0] == '+')) {
        at = 1;
    }
    if (at >= s.len) {
        return false;
    }
    /* Gathered as a negative number, whose range is the larger one. */
    int64_t value = 0;
    for (; at < s.len; at++) {
        int digit = s.data[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value)) {
            return false;
        }
    }
    if (!negative && value == INT64_MIN) {
        return false;
    }
    *ret = negative ? value : -value;
    return true;
}

static locale_t c_locale;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static double to_double(const char *text, char **end)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return c_locale ? strtod_l(text, end, c_locale) : strtod(text, end);
}

/* Numbers longer than this carry digits that no double can hold; Python has no limit. */
enum { DOUBLE_TEXT_MAX = 1100 };

bool cel_slice_to_double(struct cel_slice s, double *ret)
{
    char text[DOUBLE_TEXT_MAX];
    if (s.len == 0 || s.len >= sizeof text) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!memchr("0123456789+-.eE", s.data[i], 15)) {
            return false;
        }
    }
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    char *end;
    double value = to_double(text, &end);
    if (end != text + s.len || !isfinite(value)) {
        return false;
    }
    *ret = value;
    return true;
}
