/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/sha1.h"

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static void add_block(uint32_t h[5], const unsigned char *block)
{
    static const uint32_t constants[] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
    uint32_t w[80];
    uint32_t a = h[0];
    uint32_t b = h[1];
    uint32_t c = h[2];
    uint32_t d = h[3];
    uint32_t e = h[4];

    for (int i = 0; i < 80; i++) {
        if (i < 16) {
            w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
        } else {
            w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        }
        uint32_t f = b ^ c ^ d;
        if (i < 20) {
            f = (b & c) | (~b & d);
        } else if (i >= 40 && i < 60) {
            f = (b & c) | (b & d) | (c & d);
        }
        uint32_t next = rotate(a, 5) + f + e + constants[i / 20] + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void cel_sha1_hex(struct cel_slice bytes, char ret_hex[41])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char last[128] = {0};
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t left = bytes.len;

    for (; left >= 64; left -= 64) {
        add_block(h, at);
        at += 64;
    }
    if (left > 0) {
        memcpy(last, at, left);
    }
    last[left] = 0x80;
    size_t size = left < 56 ? 64 : 128;
    for (int i = 0; i < 8; i++) {
        last[size - 1 - (size_t)i] = (unsigned char)((uint64_t)bytes.len * 8 >> (8 * i));
    }
    for (size_t i = 0; i < size; i += 64) {
        add_block(h, last + i);
    }
    for (int i = 0; i < 40; i++) {
        ret_hex[i] = digits[h[i / 8] >> (28 - 4 * (i % 8)) & 15];
    }
    ret_hex[40] = '\0';
}
