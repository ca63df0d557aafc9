/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of documents, which keep their text, as C numbers. */
#include "codec/doc.h"

#include <math.h>
#include <stdio.h>

int64_t cel_node_int(const struct cel_node *n, int64_t otherwise)
{
    int64_t value;
    if (!n || n->kind != CELERY_KIND_INT || !cel_slice_to_int(cel_node_text(n), &value)) {
        return otherwise;
    }
    return value;
}

/* No double needs more digits than this to be told from its neighbours. */
enum { DIGITS_MAX = 800, SHORT_TEXT = 1000, EXPONENT_MAX = 1000000000 };

/* 0.digits times ten to the point; digits behind DIGITS_MAX only leave a trace. */
struct long_number {
    char digits[DIGITS_MAX + 1];
    int n;
    int64_t point;
};

static void add_digit(struct long_number *number, char digit)
{
    if (number->n < DIGITS_MAX) {
        number->digits[number->n++] = digit;
    } else if (digit != '0') {
        number->digits[DIGITS_MAX] = '1';
    }
}

static int64_t read_exponent(struct cel_slice text)
{
    int64_t value;
    if (cel_slice_to_int(text, &value) && value < EXPONENT_MAX && value > -EXPONENT_MAX) {
        return value;
    }
    return text.data[0] == '-' ? -EXPONENT_MAX : EXPONENT_MAX;
}

/* Text of a thousand or more characters, which only a few digits of matter. */
static double read_long(struct cel_slice text)
{
    struct long_number number = {.digits[DIGITS_MAX] = '0'};
    bool negative = text.data[0] == '-';
    bool fraction = false;
    for (size_t i = negative; i < text.len; i++) {
        char c = text.data[i];
        if (c == '.') {
            fraction = true;
        } else if (c == 'e' || c == 'E') {
            number.point += read_exponent(cel_slice(text.data + i + 1, text.len - i - 1));
            break;
        } else {
            bool leading = c == '0' && number.n == 0;
            number.point += (fraction ? 0 : !leading) - (fraction && leading);
            if (!leading) {
                add_digit(&number, c);
            }
        }
    }
    if (number.n == 0) {
        return negative ? -0.0 : 0.0;
    }
    if (number.point < -400 || number.point > 400) {
        double far = number.point < 0 ? 0.0 : INFINITY;
        return negative ? -far : far;
    }
    char shorter[DIGITS_MAX + 32];
    int len = snprintf(shorter, sizeof shorter, "%s%.*s%ce%d", negative ? "-" : "",
                       number.n, number.digits, number.digits[DIGITS_MAX],
                       (int)number.point - number.n - 1);
    double value;
    if (cel_slice_to_double(cel_slice(shorter, (size_t)len), &value)) {
        return value;
    }
    return negative ? -INFINITY : INFINITY;
}

double cel_node_double(const struct cel_node *n, double otherwise)
{
    if (!n || (n->kind != CELERY_KIND_INT && n->kind != CELERY_KIND_FLOAT)) {
        return otherwise;
    }
    struct cel_slice text = cel_node_text(n);
    if (text.len >= SHORT_TEXT) {
        return read_long(text);
    }
    double value;
    if (cel_slice_to_double(text, &value)) {
        return value;
    }
    if (cel_slice_is(text, "NaN")) {
        return NAN;
    }
    /* Infinity, or too large for a double (1e400), which Python's float() makes inf. */
    return text.data[0] == '-' ? -INFINITY : INFINITY;
}
