/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/trace.h"

/* Bytes: of version 00, of any version that is passed on, and of a tracestate (3.3.1.5). */
enum { PARENT = 55, PARENT_MAX = 256, STATE_MAX = 512 };

static bool is_hex(struct cel_slice text, size_t from, size_t n, bool zero_allowed)
{
    bool zero = true;

    for (size_t i = from; i < from + n; i++) {
        char c = text.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
        zero = zero && c == '0';
    }
    return zero_allowed || !zero;
}

bool cel_traceparent_valid(struct cel_slice t)
{
    bool first = t.len >= PARENT && t.data[0] == '0' && t.data[1] == '0';

    if (t.len < PARENT || t.len > PARENT_MAX || (first && t.len != PARENT) ||
        (t.len > PARENT && t.data[PARENT] != '-')) {
        return false;
    }
    return is_hex(t, 0, 2, true) && !(t.data[0] == 'f' && t.data[1] == 'f') &&
           t.data[2] == '-' && is_hex(t, 3, 32, false) && t.data[35] == '-' &&
           is_hex(t, 36, 16, false) && t.data[52] == '-' && is_hex(t, 53, 2, true);
}

static bool is_printable(struct cel_slice t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (t.data[i] < 0x20 || t.data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

void cel_trace_check(struct cel_slice *parent, struct cel_slice *state)
{
    bool valid = cel_traceparent_valid(*parent) && is_printable(*parent);

    if (!valid) {
        *parent = CEL_SLICE_NULL;
    }
    if (!valid || state->len > STATE_MAX || !is_printable(*state)) {
        *state = CEL_SLICE_NULL;
    }
}
