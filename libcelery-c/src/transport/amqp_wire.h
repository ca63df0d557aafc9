/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers as AMQP writes them, and what frames have around their payload. */
#ifndef CEL_TRANSPORT_AMQP_WIRE_H
#define CEL_TRANSPORT_AMQP_WIRE_H

#include <stdint.h>

enum {
    CEL_AMQP_FRAME_HEAD = 7,  /* type, channel, length */
    CEL_AMQP_FRAME_EXTRA = 8, /* the head and the end octet */
    CEL_AMQP_FRAME_END = 0xce,
};

static inline uint16_t cel_amqp_get16(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t cel_amqp_get32(const char *at)
{
    return (uint32_t)cel_amqp_get16(at) << 16 | cel_amqp_get16(at + 2);
}

static inline uint64_t cel_amqp_get64(const char *at)
{
    return (uint64_t)cel_amqp_get32(at) << 32 | cel_amqp_get32(at + 4);
}

static inline void cel_amqp_set16(char *at, uint16_t n)
{
    at[0] = (char)(n >> 8);
    at[1] = (char)n;
}

static inline void cel_amqp_set32(char *at, uint32_t n)
{
    cel_amqp_set16(at, (uint16_t)(n >> 16));
    cel_amqp_set16(at + 2, (uint16_t)n);
}

static inline void cel_amqp_set64(char *at, uint64_t n)
{
    cel_amqp_set32(at, (uint32_t)(n >> 32));
    cel_amqp_set32(at + 4, (uint32_t)n);
}

static inline void cel_amqp_set_head(char *at, uint8_t type, uint16_t channel,
                                     uint32_t len)
{
    at[0] = (char)type;
    cel_amqp_set16(at + 1, channel);
    cel_amqp_set32(at + 3, len);
}

#endif
