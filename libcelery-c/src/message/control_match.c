/* SPDX-License-Identifier: BSD-3-Clause */
/* Python's fnmatch, in time that grows with the product of pattern and text. */
#include "base/utf8.h"
#include "message/control.h"

/* The end of a set that begins behind '[', or 0: there is no set, '[' is itself. */
static size_t set_end(struct cel_slice p, size_t at)
{
    if (at < p.len && p.data[at] == '!') {
        at++;
    }
    if (at < p.len && p.data[at] == ']') {
        at++;
    }
    while (at < p.len && p.data[at] != ']') {
        at++;
    }
    return at < p.len ? at : 0;
}

static bool in_set(struct cel_slice p, size_t at, size_t end, int32_t c)
{
    bool negated = p.data[at] == '!';
    bool found = false;

    at += negated;
    while (at < end) {
        int32_t low = cel_utf8_next(p, &at), high = low;

        if (at + 1 < end && p.data[at] == '-') {
            at++;
            high = cel_utf8_next(p, &at);
        }
        found = found || (c >= low && c <= high);
    }
    return found != negated;
}

/* One character against the element at *at of the pattern, which is passed if it matches. */
static bool match_one(struct cel_slice p, size_t *at, int32_t c)
{
    size_t end = p.data[*at] == '[' ? set_end(p, *at + 1) : 0;
    size_t next = *at;

    if (end) {
        bool found = in_set(p, *at + 1, end, c);

        *at = found ? end + 1 : *at;
        return found;
    }
    int32_t expected = cel_utf8_next(p, &next);
    if (expected != '?' && expected != c) {
        return false;
    }
    *at = next;
    return true;
}

bool cel_glob_match(struct cel_slice p, struct cel_slice text)
{
    size_t at = 0, pos = 0;
    size_t star = SIZE_MAX, star_pos = 0; /* behind the last star, and where it began */

    while (pos < text.len) {
        size_t next = pos;

        if (at < p.len && p.data[at] == '*') {
            star = ++at;
            star_pos = pos;
            continue;
        }
        int32_t c = cel_utf8_next(text, &next);
        if (at < p.len && match_one(p, &at, c)) {
            pos = next;
        } else if (star != SIZE_MAX) {
            cel_utf8_next(text, &star_pos); /* the star takes one more */
            at = star;
            pos = star_pos;
        } else {
            return false;
        }
    }
    while (at < p.len && p.data[at] == '*') {
        at++;
    }
    return at == p.len;
}
