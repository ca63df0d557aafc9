/* SPDX-License-Identifier: BSD-3-Clause */
/* Integers of any size between decimal text and the little-endian bytes of a pickle. */
#ifndef CEL_CODEC_PICKLE_NUMBER_H
#define CEL_CODEC_PICKLE_NUMBER_H

#include "base/arena.h"
#include "base/buf.h"

/*
 * Two's complement, as short as it can be (Lib/pickle.py encode_long()): appended to out.  text is
 * "-?[0-9]+" of at most CEL_PICKLE_DIGITS digits.
 */
celery_status cel_pickle_from_decimal(struct cel_buf *out, struct cel_slice text);

/* The decimal text of such bytes; NULL when out of memory. */
char *cel_pickle_to_decimal(struct cel_arena *a, struct cel_slice bytes);

#endif
