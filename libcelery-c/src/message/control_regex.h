/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Python's re.match() as far as it is regular: a program for all states at once (Thompson), so
 * that no pattern takes longer than its length times that of the text.  Whether it matches is all
 * that is asked, so lazy and greedy are one.
 */
#ifndef CEL_MESSAGE_CONTROL_REGEX_H
#define CEL_MESSAGE_CONTROL_REGEX_H

#include "message/control.h"

#define CEL_REGEX_MAX 2000

enum cel_regex_op {
    CEL_RE_CHAR,
    CEL_RE_ANY,
    CEL_RE_CLASS,
    CEL_RE_SET,
    CEL_RE_BEGIN,
    CEL_RE_END,
    CEL_RE_LAST,
    CEL_RE_WORD_EDGE,
    CEL_RE_NO_EDGE,
    CEL_RE_SPLIT,
    CEL_RE_JUMP,
    CEL_RE_MATCH
};

/* Jumps are relative, so that what is repeated is copied as it is. */
struct cel_regex_step {
    enum cel_regex_op op;
    int32_t
        a; /* the character; the class's letter; where a set begins; how far to jump */
    int32_t b; /* where a set ends; how far the other way goes */
};

struct cel_regex {
    struct cel_slice p;
    size_t at;
    unsigned depth;
    const char *wrong; /* the first thing that is */
    size_t n;
    struct cel_regex_step steps[CEL_REGEX_MAX];
    struct cel_regex_step block[CEL_REGEX_MAX]; /* what is being repeated */
    unsigned seen[CEL_REGEX_MAX];               /* the round it was added in */
    uint16_t now[CEL_REGEX_MAX], then[CEL_REGEX_MAX], stack[CEL_REGEX_MAX];
};

/* Reads the whole pattern; r->wrong says what is wrong with it. */
void cel_regex_parse(struct cel_regex *r);

/* \w */
bool cel_regex_is_word(int32_t c);

/* Whether c is in the class of that letter: d, D, s, S, w, W. */
bool cel_regex_in_class(int32_t letter, int32_t c);

/* Whether c is in the set that stands there; what is wrong with it is noted. */
bool cel_regex_in_set(struct cel_regex *r, size_t at, size_t end, int32_t c);

#endif
