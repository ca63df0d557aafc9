/* SPDX-License-Identifier: BSD-3-Clause */
/* UTF-8, and WTF-8 (UTF-8 with lone surrogates). */
#ifndef CEL_BASE_UTF8_H
#define CEL_BASE_UTF8_H

#include "base/buf.h"

/* True when strict UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). */
bool cel_utf8_valid(struct cel_slice text);

/* Decodes one code point of WTF-8 at *at and moves on; -1 (and one byte on) if invalid. */
int32_t cel_utf8_next(struct cel_slice text, size_t *at);

/* Writes 1 to 4 bytes (surrogates allowed); returns how many. */
size_t cel_utf8_put(uint32_t code, char ret_bytes[4]);

/*
 * For logs: appends text with control characters (C0, C1, DEL), newlines, escapes,
 * bidirectional controls and invalid bytes as \xNN or \uNNNN, cut at max bytes with "...".
 */
celery_status cel_utf8_escape(struct cel_buf *out, struct cel_slice text, size_t max);

/* True when Python's str.isprintable() is true for the code point (Unicode 14). */
bool cel_utf8_printable(uint32_t code);

#endif
