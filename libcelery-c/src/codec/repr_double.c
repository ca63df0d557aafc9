/* SPDX-License-Identifier: BSD-3-Clause */
/* Python's repr(float): the shortest digits that read back as the same number. */
#include "codec/doc.h"

#include <math.h>
#include <stdio.h>

/* A decimal number: 0.d1d2d3... times ten to the point. */
struct decimal {
    char digits[24];
    int n;
    int point;
};

static void trim_zeros(struct decimal *d)
{
    while (d->n > 1 && d->digits[d->n - 1] == '0') {
        d->n--;
    }
}

/* The digits of value > 0, correctly rounded to n; whatever the locale's point is. */
static void round_to(double value, int n, struct decimal *ret)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", n - 1, value);
    const char *p = text;
    ret->n = 0;
    for (; *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9') {
            ret->digits[ret->n++] = *p;
        }
    }
    int exponent = 0;
    for (const char *e = p + 2; *e; e++) {
        exponent = exponent * 10 + (*e - '0');
    }
    ret->point = (p[1] == '-' ? -exponent : exponent) + 1;
}

static bool reads_back(const struct decimal *d, double value)
{
    char text[48];
    int len = snprintf(text, sizeof text, "%.*se%d", d->n, d->digits, d->point - d->n);
    double back;
    return cel_slice_to_double(cel_slice(text, (size_t)len), &back) &&
           !(back < value || back > value);
}

/* The next decimal number with as many digits. */
static void next_up(struct decimal *d)
{
    int i = d->n - 1;
    while (i >= 0 && d->digits[i] == '9') {
        d->digits[i--] = '0';
    }
    if (i >= 0) {
        d->digits[i]++;
        return;
    }
    d->digits[0] = '1';
    d->point++;
}

/*
 * Decimals with at most six places: the usual case, without printing and reading.  Below 2**32,
 * where wall clocks are, doubles are less than 1e-6 apart, so no other such number, and no shorter
 * one, reads back as the same.
 */
static bool few_places(double value, struct decimal *ret)
{
    if (value >= 4294967296.0 || value < 1e-6) {
        return false;
    }
    uint64_t scaled = (uint64_t)(value * 1e6 + 0.5);
    double back = (double)scaled / 1e6;
    if (back < value || back > value) {
        return false;
    }
    char text[24];
    char *p = text + sizeof text;
    for (; scaled > 0; scaled /= 10) {
        *--p = (char)('0' + scaled % 10);
    }
    ret->n = (int)(text + sizeof text - p);
    memcpy(ret->digits, p, (size_t)ret->n);
    ret->point = ret->n - 6;
    return true;
}

static void shortest(double value, struct decimal *d)
{
    if (few_places(value, d)) {
        return;
    }
    /* Subnormal numbers have fewer digits than the 15 that others can hold. */
    for (int n = value < 2.3e-308 ? 1 : 15; n <= 16; n++) {
        round_to(value, n, d);
        if (reads_back(d, value)) {
            return;
        }
        /*
         * Above a power of two the gap between doubles is twice that below it, so the
         * number of n digits that reads back need not be the nearest one.
         */
        next_up(d);
        if (reads_back(d, value)) {
            return;
        }
    }
    round_to(value, 17, d);
}

static size_t add_digits(char *out, const char *digits, int n)
{
    memcpy(out, digits, (size_t)n);
    return (size_t)n;
}

static size_t add_zeros(char *out, int n)
{
    memset(out, '0', (size_t)n);
    return (size_t)n;
}

static size_t write_fixed(const struct decimal *d, char *out)
{
    size_t len = 0;
    if (d->point <= 0) {
        len += add_digits(out, "0.", 2);
        len += add_zeros(out + len, -d->point);
        return len + add_digits(out + len, d->digits, d->n);
    }
    if (d->n <= d->point) {
        len += add_digits(out, d->digits, d->n);
        len += add_zeros(out + len, d->point - d->n);
        return len + add_digits(out + len, ".0", 2);
    }
    len += add_digits(out, d->digits, d->point);
    out[len++] = '.';
    return len + add_digits(out + len, d->digits + d->point, d->n - d->point);
}

static size_t write_exponent(const struct decimal *d, char *out)
{
    size_t len = add_digits(out, d->digits, 1);
    if (d->n > 1) {
        out[len++] = '.';
        len += add_digits(out + len, d->digits + 1, d->n - 1);
    }
    return len + (size_t)snprintf(out + len, 8, "e%+03d", d->point - 1);
}

/* Python/pystrtod.c format_float_short: exponents from -4 to 15 are written out. */
size_t cel_repr_double(double value, char text[32])
{
    if (isnan(value)) {
        return add_digits(text, "nan", 3);
    }
    size_t len = 0;
    if (signbit(value)) {
        text[len++] = '-';
        value = -value;
    }
    if (isinf(value)) {
        return len + add_digits(text + len, "inf", 3);
    }
    if (!(value > 0)) {
        return len + add_digits(text + len, "0.0", 3);
    }
    struct decimal d;
    shortest(value, &d);
    trim_zeros(&d);
    if (d.point > -4 && d.point <= 16) {
        return len + write_fixed(&d, text + len);
    }
    return len + write_exponent(&d, text + len);
}
