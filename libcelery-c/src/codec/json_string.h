/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding and decoding the strings of JSON text. */
#ifndef CEL_CODEC_JSON_STRING_H
#define CEL_CODEC_JSON_STRING_H

#include "codec/doc.h"
#include <endian.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define CEL_JSON_ONES UINT64_C(0x0101010101010101)
#define CEL_JSON_HIGH UINT64_C(0x8080808080808080)

/*
 * Of eight bytes: the top bit of each that is not printable ASCII, or a quote or a
 * backslash.  Exact up to and including the lowest byte that is marked: what is carried
 * and borrowed between bytes goes up from there.
 */
static inline uint64_t cel_json_odd_bytes(uint64_t w)
{
    uint64_t quote = (w ^ CEL_JSON_ONES * '"') - CEL_JSON_ONES;
    uint64_t slash = (w ^ CEL_JSON_ONES * '\\') - CEL_JSON_ONES;
    uint64_t below = w - CEL_JSON_ONES * 0x20;
    uint64_t above = w + CEL_JSON_ONES;
    return (quote | slash | below | above) & CEL_JSON_HIGH;
}

#ifdef __SSE2__
/*
 * Of sixteen bytes: a bit for each that is not plain.  Compared as signed, those over 0x7f are
 * below a blank.
 */
static inline unsigned cel_json_odd_mask(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i odd = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
                               _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
    odd = _mm_or_si128(odd, _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
    odd = _mm_or_si128(odd, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(odd);
}
#endif

/* The first byte from p that is not plain. */
static inline const char *cel_json_skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        unsigned odd = cel_json_odd_mask(p);
        if (odd) {
            return p + __builtin_ctz(odd);
        }
        p += 16;
    }
#endif
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        uint64_t odd = cel_json_odd_bytes(le64toh(word));
        if (odd) {
            return p + (__builtin_ctzll(odd) >> 3);
        }
        p += 8;
    }
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') {
            break;
        }
    }
    return p;
}

/*
 * Reads a string that is not plain.  *at is behind the opening quote, odd at the first byte
 * that is special.  Moves *at behind the closing quote and fills n.  NULL, or what is
 * wrong; "" when a refused memory.
 */
const char *cel_json_read_odd_string(struct cel_arena *a, const char **at,
                                     const char *odd, const char *end,
                                     struct cel_node *n);

#endif
