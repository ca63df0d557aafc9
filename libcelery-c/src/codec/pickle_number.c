/* SPDX-License-Identifier: BSD-3-Clause */
/* Schoolbook conversion of integers: nine decimal digits or 32 bits at a time. */
#include "codec/pickle_number.h"

#include "base/alloc.h"
#include <stdio.h>

enum { GROUP = 9 };

static const uint32_t BILLION = 1000000000;

/* value = value * by + more, of n limbs of 32 bits; answers n, which grows by one at most. */
static size_t multiply(uint32_t *limbs, size_t n, uint32_t by, uint32_t more)
{
    uint64_t carry = more;
    for (size_t i = 0; i < n; i++) {
        carry += (uint64_t)limbs[i] * by;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0) {
        limbs[n++] = (uint32_t)carry;
    }
    return n;
}

static size_t parse(struct cel_slice digits, uint32_t *limbs)
{
    size_t n = 0;
    while (digits.len > 0) {
        size_t take = digits.len % GROUP == 0 ? GROUP : digits.len % GROUP;
        uint32_t group = 0;
        uint32_t by = 1;
        for (size_t i = 0; i < take; i++) {
            group = group * 10 + (uint32_t)(digits.data[i] - '0');
            by *= 10;
        }
        n = multiply(limbs, n, by, group);
        digits = cel_slice(digits.data + take, digits.len - take);
    }
    return n;
}

static void negate(unsigned char *bytes, size_t len)
{
    unsigned carry = 1;
    for (size_t i = 0; i < len; i++) {
        carry += (unsigned char)~bytes[i];
        bytes[i] = (unsigned char)carry;
        carry >>= 8;
    }
}

/* Bytes of sign extension at the end say nothing. */
static size_t shorten(const unsigned char *bytes, size_t len)
{
    while (len > 1 && ((bytes[len - 1] == 0 && bytes[len - 2] < 0x80) ||
                       (bytes[len - 1] == 0xff && bytes[len - 2] >= 0x80))) {
        len--;
    }
    return len == 1 && bytes[0] == 0 ? 0 : len;
}

celery_status cel_pickle_from_decimal(struct cel_buf *out, struct cel_slice text)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    struct cel_slice digits = cel_slice(text.data + negative, text.len - negative);
    size_t max = digits.len / GROUP + 2;
    uint32_t *limbs = cel_alloc(max * sizeof *limbs);
    size_t len = max * 4 + 1;
    unsigned char *bytes = cel_alloc(len);
    if (!limbs || !bytes) {
        cel_free(limbs);
        cel_free(bytes);
        return CELERY_ENOMEM;
    }
    size_t n = parse(digits, limbs);
    memset(bytes, 0, len);
    for (size_t i = 0; i < n * 4; i++) {
        bytes[i] = (unsigned char)(limbs[i / 4] >> (i % 4 * 8));
    }
    if (negative) {
        negate(bytes, len);
    }
    celery_status status = cel_buf_add(out, bytes, shorten(bytes, len));
    cel_free(limbs);
    cel_free(bytes);
    return status;
}

/* Divides n limbs by a billion; answers the remainder. */
static uint32_t divide(uint32_t *limbs, size_t n)
{
    uint64_t rest = 0;
    for (size_t i = n; i > 0; i--) {
        rest = rest << 32 | limbs[i - 1];
        limbs[i - 1] = (uint32_t)(rest / BILLION);
        rest %= BILLION;
    }
    return (uint32_t)rest;
}

static size_t load(struct cel_slice bytes, bool negative, uint32_t *limbs, size_t n)
{
    uint64_t carry = negative;
    for (size_t i = 0; i < n; i++) {
        uint32_t limb = 0;
        for (size_t k = 0; k < 4; k++) {
            size_t at = i * 4 + k;
            unsigned char sign = negative ? 0xff : 0;
            unsigned char byte = at < bytes.len ? (unsigned char)bytes.data[at] : sign;
            limb |= (uint32_t)(negative ? (unsigned char)~byte : byte) << (k * 8);
        }
        carry += limb;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    while (n > 0 && limbs[n - 1] == 0) {
        n--;
    }
    return n;
}

char *cel_pickle_to_decimal(struct cel_arena *a, struct cel_slice bytes)
{
    bool negative = bytes.len > 0 && ((unsigned char)bytes.data[bytes.len - 1] & 0x80);
    size_t max = bytes.len / 4 + 1;
    uint32_t *limbs = cel_alloc(max * sizeof *limbs);
    size_t room = max * 10 + GROUP + 3;
    char *text = limbs ? cel_arena_alloc(a, room) : NULL;
    if (!text) {
        cel_free(limbs);
        return NULL;
    }
    size_t n = load(bytes, negative, limbs, max);
    size_t at = room - 1;
    text[at] = '\0';
    while (n > 0) {
        char group[GROUP + 1];
        snprintf(group, sizeof group, "%09u", (unsigned)divide(limbs, n));
        at -= GROUP;
        memcpy(text + at, group, GROUP);
        while (n > 0 && limbs[n - 1] == 0) {
            n--;
        }
    }
    cel_free(limbs);
    while (text[at] == '0') {
        at++;
    }
    if (text[at] == '\0') {
        text[--at] = '0';
    } else if (negative) {
        text[--at] = '-';
    }
    return text + at;
}
