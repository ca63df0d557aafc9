/* SPDX-License-Identifier: BSD-3-Clause */
/* AMQP's decimals (a scale and 32 bits) as the text of Python's Decimal and back. */
#ifndef CEL_TRANSPORT_AMQP_DECIMAL_H
#define CEL_TRANSPORT_AMQP_DECIMAL_H

#include "base/slice.h"

#define CEL_AMQP_DECIMAL_SIZE 32

/* str(Decimal(digits) / Decimal(10 ** scale)); returns the length. */
size_t cel_amqp_decimal_text(int32_t digits, uint8_t scale,
                             char text[CEL_AMQP_DECIMAL_SIZE]);

/* False: not a number, or not one of 32 bits and at most 255 decimals. */
bool cel_amqp_decimal_parse(struct cel_slice text, int32_t *ret_digits,
                            uint8_t *ret_scale);

#endif
