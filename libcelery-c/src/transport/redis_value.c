/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_value.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Cuts the JSON string or null at the end of s, and a comma in front of it. */
static bool cut_last(struct cel_slice *s, struct cel_slice *ret_last)
{
    size_t end = s->len, at;

    while (end > 0 && is_blank(s->data[end - 1])) {
        end--;
    }
    at = end;
    if (at > 1 && s->data[at - 1] == '"') {
        size_t slashes;

        at--;
        do { /* back to the first quote that is not escaped */
            slashes = 0;
            if (at == 0) {
                return false;
            }
            at--;
            while (slashes < at && s->data[at - 1 - slashes] == '\\') {
                slashes++;
            }
        } while (s->data[at] != '"' || slashes % 2 != 0);
    } else if (at > 4 && memcmp(s->data + at - 4, "null", 4) == 0) {
        at -= 4;
    } else {
        return false;
    }
    *ret_last = cel_slice(s->data + at, end - at);
    while (at > 0 && is_blank(s->data[at - 1])) {
        at--;
    }
    if (at == 0 || s->data[at - 1] != ',') {
        return false;
    }
    s->len = at - 1;
    return true;
}

bool cel_redis_value_split(struct cel_slice value, struct cel_slice *ret_raw,
                           struct cel_slice *ret_exchange,
                           struct cel_slice *ret_routing_key)
{
    value = cel_slice_trim(value);
    if (value.len < 2 || value.data[0] != '[' || value.data[value.len - 1] != ']') {
        return false;
    }
    value = cel_slice(value.data + 1, value.len - 2);
    if (!cut_last(&value, ret_routing_key) || !cut_last(&value, ret_exchange)) {
        return false;
    }
    *ret_raw = value;
    return true;
}
