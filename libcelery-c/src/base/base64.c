/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base64.h"
#include "base/base64_simd.h"
#include <pthread.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Two characters for each 12 bits, and four characters' places in a 24-bit group. */
static char pairs[4096][2];
static uint32_t places[4][256];
enum { BAD = 1 << 24 };

static void make_tables(void)
{
    for (int i = 0; i < 4096; i++) {
        pairs[i][0] = alphabet[i >> 6];
        pairs[i][1] = alphabet[i & 63];
    }
    for (int place = 0; place < 4; place++) {
        for (int c = 0; c < 256; c++) {
            places[place][c] = BAD;
        }
        for (uint32_t value = 0; value < 64; value++) {
            places[place][(unsigned char)alphabet[value]] = value << (18 - 6 * place);
        }
    }
}

static void need_tables(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_tables);
}

void cel_base64_encode(const void *bytes, size_t len, char *ret_text)
{
    need_tables();
    const unsigned char *in = bytes;
    char *out = ret_text;
    size_t done = cel_base64_encode_simd(in, len, out);
    in += done;
    len -= done;
    out += done / 3 * 4;
    for (; len >= 6; len -= 6, in += 6, out += 8) {
        uint64_t group = (uint64_t)in[0] << 40 | (uint64_t)in[1] << 32 |
                         (uint64_t)in[2] << 24 | (uint64_t)in[3] << 16 |
                         (uint64_t)in[4] << 8 | in[5];
        memcpy(out, pairs[group >> 36], 2);
        memcpy(out + 2, pairs[group >> 24 & 4095], 2);
        memcpy(out + 4, pairs[group >> 12 & 4095], 2);
        memcpy(out + 6, pairs[group & 4095], 2);
    }
    for (; len > 0; in += 3, out += 4) {
        uint32_t group = (uint32_t)in[0] << 16;
        group |= len > 1 ? (uint32_t)in[1] << 8 : 0;
        group |= len > 2 ? in[2] : 0;
        memcpy(out, pairs[group >> 12], 2);
        memcpy(out + 2, pairs[group & 4095], 2);
        if (len < 3) {
            out[3] = '=';
            out[2] = len < 2 ? '=' : out[2];
            return;
        }
        len -= 3;
    }
}

celery_status cel_base64_append(struct cel_buf *out, const void *bytes, size_t len)
{
    if (len > SIZE_MAX / 4) {
        out->failed = true;
        return CELERY_ENOMEM;
    }
    celery_status status = cel_buf_reserve(out, CEL_BASE64_LEN(len), NULL);
    if (status == CELERY_OK) {
        cel_base64_encode(bytes, len, out->data + out->len);
        out->len += CEL_BASE64_LEN(len);
    }
    return status;
}

/* binascii.a2b_base64() without strict_mode, character by character. */
static bool decode_loose(const unsigned char *in, size_t len, unsigned char *out,
                         size_t *ret_len)
{
    unsigned char *start = out;
    int quad = 0;
    int pads = 0;
    unsigned left = 0;
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '=') {
            if (quad >= 2 && quad + ++pads >= 4) {
                quad = 0;
                break;
            }
            continue;
        }
        uint32_t value = places[3][in[i]];
        if (value == BAD) {
            continue;
        }
        pads = 0;
        if (quad > 0) {
            *out++ = (unsigned char)(left << (quad * 2) | value >> (6 - quad * 2));
        }
        left = value;
        quad = (quad + 1) & 3;
    }
    *ret_len = (size_t)(out - start);
    return quad == 0;
}

bool cel_base64_decode(struct cel_slice text, char *ret_bytes, size_t *ret_len)
{
    need_tables();
    const unsigned char *in = (const unsigned char *)text.data;
    unsigned char *out = (unsigned char *)ret_bytes;
    size_t left = text.len;
    size_t done = cel_base64_decode_simd(in, left, out);
    in += done;
    left -= done;
    out += done / 4 * 3;
    /* Four characters at a time up to the first that needs thought. */
    for (; left >= 4; left -= 4, in += 4, out += 3) {
        uint32_t group =
            places[0][in[0]] | places[1][in[1]] | places[2][in[2]] | places[3][in[3]];
        if (group & BAD) {
            break;
        }
        out[0] = (unsigned char)(group >> 16);
        out[1] = (unsigned char)(group >> 8);
        out[2] = (unsigned char)group;
    }
    size_t rest = 0;
    bool valid = decode_loose(in, left, out, &rest);
    *ret_len = (size_t)(out - (unsigned char *)ret_bytes) + rest;
    return valid;
}
