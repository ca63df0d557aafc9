/* SPDX-License-Identifier: BSD-3-Clause */
/* W3C Trace Context in the headers of a message (https://www.w3.org/TR/trace-context/). */
#ifndef CEL_MESSAGE_TRACE_H
#define CEL_MESSAGE_TRACE_H

#include "codec/doc.h"

/* "00-<32 hex>-<16 hex>-<2 hex>"; later versions may say more behind it. */
bool cel_traceparent_valid(struct cel_slice text);

/* Empties what may not be passed on: both where the parent is wrong, or the state alone. */
void cel_trace_check(struct cel_slice *parent, struct cel_slice *state);

#endif
