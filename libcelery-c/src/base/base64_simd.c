/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sixteen characters at a time: W. Mula, D. Lemire, "Faster Base64 Encoding and Decoding Using
 * AVX2 Instructions" (2018), with SSSE3, which every x86-64 of the last fifteen years has.
 */
#include "base/base64_simd.h"

#if defined(__x86_64__)

#include <tmmintrin.h>

#define SSSE3 __attribute__((target("ssse3")))

/* The six-bit numbers of twelve bytes, in the order of their characters. */
SSSE3 static __m128i split(__m128i in)
{
    __m128i groups = _mm_shuffle_epi8(
        in, _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
    __m128i odd = _mm_mulhi_epu16(_mm_and_si128(groups, _mm_set1_epi32(0x0fc0fc00)),
                                  _mm_set1_epi32(0x04000040));
    __m128i even = _mm_mullo_epi16(_mm_and_si128(groups, _mm_set1_epi32(0x003f03f0)),
                                   _mm_set1_epi32(0x01000010));

    return _mm_or_si128(odd, even);
}

/* What is to be added to a number is looked up by the range it is in. */
SSSE3 static __m128i to_text(__m128i numbers)
{
    const __m128i shifts = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                         '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                         '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    __m128i range = _mm_subs_epu8(numbers, _mm_set1_epi8(51));
    __m128i upper = _mm_cmpgt_epi8(_mm_set1_epi8(26), numbers);

    range = _mm_or_si128(range, _mm_and_si128(upper, _mm_set1_epi8(13)));
    return _mm_add_epi8(_mm_shuffle_epi8(shifts, range), numbers);
}

SSSE3 static size_t encode(const unsigned char *in, size_t len, char *out)
{
    size_t done = 0;

    for (; len - done >= 16; done += 12, out += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(in + done));

        _mm_storeu_si128((__m128i *)(void *)out, to_text(split(bytes)));
    }
    return done;
}

/* False: not all are of the alphabet.  A bit that both halves of a character have is a fault. */
SSSE3 static int to_numbers(__m128i text, __m128i *ret)
{
    const __m128i low = _mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                      0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);
    const __m128i high = _mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08,
                                       0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10);
    const __m128i shifts =
        _mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i slash = _mm_set1_epi8(0x2f);
    __m128i upper = _mm_and_si128(_mm_srli_epi32(text, 4), slash);
    __m128i faults = _mm_and_si128(_mm_shuffle_epi8(low, _mm_and_si128(text, slash)),
                                   _mm_shuffle_epi8(high, upper));
    __m128i range = _mm_add_epi8(_mm_cmpeq_epi8(text, slash), upper);

    *ret = _mm_add_epi8(text, _mm_shuffle_epi8(shifts, range));
    return _mm_movemask_epi8(_mm_cmpgt_epi8(faults, _mm_setzero_si128())) == 0;
}

/* Four numbers of six bits are three bytes. */
SSSE3 static __m128i join(__m128i numbers)
{
    __m128i pairs = _mm_maddubs_epi16(numbers, _mm_set1_epi32(0x01400140));
    __m128i groups = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));

    return _mm_shuffle_epi8(
        groups, _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
}

SSSE3 static size_t decode(const unsigned char *in, size_t len, unsigned char *out)
{
    size_t done = 0;
    __m128i numbers;

    /* Eight characters more leave room for the four bytes too many. */
    for (; len - done >= 24; done += 16, out += 12) {
        if (!to_numbers(_mm_loadu_si128((const __m128i *)(const void *)(in + done)),
                        &numbers)) {
            break;
        }
        _mm_storeu_si128((__m128i *)(void *)out, join(numbers));
    }
    return done;
}

size_t cel_base64_encode_simd(const unsigned char *in, size_t len, char *out)
{
    return __builtin_cpu_supports("ssse3") ? encode(in, len, out) : 0;
}

size_t cel_base64_decode_simd(const unsigned char *in, size_t len, unsigned char *out)
{
    return __builtin_cpu_supports("ssse3") ? decode(in, len, out) : 0;
}

#else

size_t cel_base64_encode_simd(const unsigned char *in, size_t len, char *out)
{
    return 0;
}

size_t cel_base64_decode_simd(const unsigned char *in, size_t len, unsigned char *out)
{
    return 0;
}

#endif
