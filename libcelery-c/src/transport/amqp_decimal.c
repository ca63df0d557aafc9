/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_decimal.h"

#include <inttypes.h>
#include <stdio.h>

/* Decimal.__str__: no exponent down to six zeros behind the point. */
size_t cel_amqp_decimal_text(int32_t digits, uint8_t scale,
                             char text[CEL_AMQP_DECIMAL_SIZE])
{
    uint32_t n = digits < 0 ? 0u - (uint32_t)digits : (uint32_t)digits;
    const char *sign = digits < 0 ? "-" : "";
    int decimals = scale;

    while (decimals > 0 && n % 10 == 0) {
        n /= 10;
        decimals = n > 0 ? decimals - 1 : 0;
    }
    char raw[12];
    int len = snprintf(raw, sizeof raw, "%" PRIu32, n);
    int point = len - decimals; /* digits before it */
    if (decimals == 0) {
        len = snprintf(text, CEL_AMQP_DECIMAL_SIZE, "%s%s", sign, raw);
    } else if (point > 0) {
        len = snprintf(text, CEL_AMQP_DECIMAL_SIZE, "%s%.*s.%s", sign, point, raw,
                       raw + point);
    } else if (point > -6) {
        len = snprintf(text, CEL_AMQP_DECIMAL_SIZE, "%s0.%.*s%s", sign, -point, "000000",
                       raw);
    } else {
        len = snprintf(text, CEL_AMQP_DECIMAL_SIZE, "%s%c%s%sE%d", sign, raw[0],
                       raw[1] ? "." : "", raw + 1, point - 1);
    }
    return (size_t)len;
}

/* Takes digits into *n and counts them; false when there are too many for 32 bits. */
static bool take_digits(struct cel_slice *s, int64_t *n, int *count)
{
    while (s->len > 0 && s->data[0] >= '0' && s->data[0] <= '9') {
        *n = *n * 10 + (s->data[0] - '0');
        if (*n > (int64_t)INT32_MAX + 1 || ++*count > 1000) {
            return false;
        }
        *s = cel_slice(s->data + 1, s->len - 1);
    }
    return true;
}

static bool take(struct cel_slice *s, const char *set)
{
    if (s->len == 0 || !s->data[0] || !strchr(set, s->data[0])) {
        return false;
    }
    *s = cel_slice(s->data + 1, s->len - 1);
    return true;
}

bool cel_amqp_decimal_parse(struct cel_slice text, int32_t *ret_digits,
                            uint8_t *ret_scale)
{
    struct cel_slice s = text;
    bool negative = s.len > 0 && s.data[0] == '-';
    int before = 0, behind = 0;
    int64_t n = 0, exponent = 0;

    (void)take(&s, "+-");
    if (!take_digits(&s, &n, &before) ||
        (take(&s, ".") && !take_digits(&s, &n, &behind)) || before + behind == 0) {
        return false;
    }
    if (s.len > 0 && (!take(&s, "eE") || !cel_slice_to_int(s, &exponent) ||
                      exponent > 0 || exponent < -UINT8_MAX)) {
        return false;
    }
    int64_t scale = behind - exponent;
    n = negative ? -n : n;
    if (scale > UINT8_MAX || n > INT32_MAX) {
        return false;
    }
    *ret_digits = (int32_t)n;
    *ret_scale = (uint8_t)scale;
    return true;
}
