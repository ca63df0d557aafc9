/* SPDX-License-Identifier: BSD-3-Clause */
/* From a pattern to its program. */
#include "base/utf8.h"
#include "message/control_regex.h"

#define DEPTH_MAX  50
#define REPEAT_MAX 1000

static void fail(struct cel_regex *r, const char *why)
{
    if (!r->wrong) {
        r->wrong = why;
    }
}

static void emit(struct cel_regex *r, enum cel_regex_op op, int32_t a, int32_t b)
{
    if (r->n >= CEL_REGEX_MAX - 1) {
        fail(r, "the pattern is too large");
        return;
    }
    r->steps[r->n++] = (struct cel_regex_step){op, a, b};
}

static bool more(const struct cel_regex *r)
{
    return !r->wrong && r->at < r->p.len;
}

static bool looking_at(const struct cel_regex *r, const char *text)
{
    return cel_slice_starts(cel_slice(r->p.data + r->at, r->p.len - r->at),
                            cel_slice_of(text));
}

/* ---- escapes and sets ---- */

static int32_t hex(struct cel_regex *r, size_t *at, size_t digits)
{
    int32_t value = 0;

    for (size_t i = 0; i < digits; i++) {
        char c = *at < r->p.len ? r->p.data[(*at)++] : 'x';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            fail(r, "incomplete escape");
            return 0;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* Behind a backslash: a character, or a class with *ret_class its letter. */
static int32_t escape(struct cel_regex *r, size_t *at, int32_t *ret_class)
{
    static const char letters[] = "ntrfva", values[] = "\n\t\r\f\v\a";
    int32_t c = *at < r->p.len ? cel_utf8_next(r->p, at) : 0;
    const char *known = c > 0 && c < 128 ? strchr(letters, c) : NULL;

    *ret_class = 0;
    if (c > 0 && c < 128 && strchr("dDwWsS", c)) {
        *ret_class = c;
        return c;
    }
    if (c == 'x' || c == 'u') {
        return hex(r, at, c == 'x' ? 2 : 4);
    }
    if (known) {
        return values[known - letters];
    }
    if (c == 0 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
        (c >= 'A' && c <= 'Z')) {
        fail(r, "an escape that is not known, or not regular");
    }
    return c;
}

bool cel_regex_is_word(int32_t c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || c >= 128;
}

bool cel_regex_in_class(int32_t letter, int32_t c)
{
    switch (letter) {
    case 'd':
    case 'D':
        return (c >= '0' && c <= '9') == (letter == 'd');
    case 's':
    case 'S':
        return (c == ' ' || (c >= '\t' && c <= '\r')) == (letter == 's');
    default:
        return cel_regex_is_word(c) == (letter == 'w');
    }
}

static int32_t set_char(struct cel_regex *r, size_t *at, int32_t *ret_class)
{
    int32_t c = cel_utf8_next(r->p, at);

    *ret_class = 0;
    return c == '\\' ? escape(r, at, ret_class) : c;
}

/* Whether c is in the set between the brackets; reads it, so that it is checked as well. */
bool cel_regex_in_set(struct cel_regex *r, size_t at, size_t end, int32_t c)
{
    bool negated = at < end && r->p.data[at] == '^';
    bool found = false;

    at += negated;
    while (at < end && !r->wrong) {
        int32_t class, low = set_char(r, &at, &class), high = low;

        if (class) {
            found = found || cel_regex_in_class(class, c);
            continue;
        }
        if (at + 1 < end && r->p.data[at] == '-') {
            at++;
            high = set_char(r, &at, &class);
            if (class || high < low) {
                fail(r, "bad character range");
            }
        }
        found = found || (c >= low && c <= high);
    }
    return found != negated;
}

static void parse_set(struct cel_regex *r)
{
    size_t begin = r->at, at = begin;

    at += at < r->p.len && r->p.data[at] == '^';
    at += at < r->p.len && r->p.data[at] == ']';
    while (at < r->p.len && r->p.data[at] != ']') {
        at += r->p.data[at] == '\\' ? 2 : 1;
    }
    if (at >= r->p.len) {
        fail(r, "a set without an end");
        return;
    }
    cel_regex_in_set(r, begin, at, 0);
    emit(r, CEL_RE_SET, (int32_t)begin, (int32_t)at);
    r->at = at + 1;
}

/* ---- the program ---- */

static void parse_choice(struct cel_regex *r);

static void parse_group(struct cel_regex *r)
{
    if (looking_at(r, "?P<")) {
        const char *end = memchr(r->p.data + r->at, '>', r->p.len - r->at);

        r->at = end ? (size_t)(end - r->p.data) + 1 : r->p.len;
    } else if (looking_at(r, "?:")) {
        r->at += 2;
    } else if (looking_at(r, "?")) {
        fail(r, "a group that is not regular");
    }
    if (++r->depth > DEPTH_MAX) {
        fail(r, "the pattern is too deep");
    }
    parse_choice(r);
    r->depth--;
    if (!more(r) || r->p.data[r->at] != ')') {
        fail(r, "a group without an end");
    }
    r->at++;
}

static void parse_escape(struct cel_regex *r)
{
    static const char edges[] = "AZbB";
    static const enum cel_regex_op ops[] = {CEL_RE_BEGIN, CEL_RE_LAST, CEL_RE_WORD_EDGE,
                                            CEL_RE_NO_EDGE};
    char c = r->at < r->p.len ? r->p.data[r->at] : 0;
    const char *edge = c ? strchr(edges, c) : NULL;

    if (edge) {
        r->at++;
        emit(r, ops[edge - edges], 0, 0);
        return;
    }
    int32_t class, value = escape(r, &r->at, &class);
    emit(r, class ? CEL_RE_CLASS : CEL_RE_CHAR, value, 0);
}

static void parse_atom(struct cel_regex *r)
{
    int32_t c = cel_utf8_next(r->p, &r->at);

    switch (c) {
    case '(':
        parse_group(r);
        break;
    case '[':
        parse_set(r);
        break;
    case '\\':
        parse_escape(r);
        break;
    case '.':
        emit(r, CEL_RE_ANY, 0, 0);
        break;
    case '^':
        emit(r, CEL_RE_BEGIN, 0, 0);
        break;
    case '$':
        emit(r, CEL_RE_END, 0, 0);
        break;
    case '*':
    case '+':
    case '?':
        fail(r, "nothing to repeat");
        break;
    default:
        emit(r, CEL_RE_CHAR, c, 0);
    }
}

/* "{m}", "{m,}", "{,n}", "{m,n}"; anything else is no quantifier. */
static bool read_braces(struct cel_regex *r, int *min, int *max)
{
    const char *end = memchr(r->p.data + r->at, '}', r->p.len - r->at);
    struct cel_slice low, high = {NULL, 0}, rest;
    int64_t m = 0, n = -1;

    if (!end) {
        return false;
    }
    rest = cel_slice(r->p.data + r->at + 1, (size_t)(end - r->p.data) - r->at - 1);
    const char *comma = rest.len ? memchr(rest.data, ',', rest.len) : NULL;
    low = comma ? cel_slice(rest.data, (size_t)(comma - rest.data)) : rest;
    if (comma) {
        high = cel_slice(comma + 1, rest.len - low.len - 1);
    }
    if ((low.len == 0 && !comma) || (low.len && !cel_slice_to_int(low, &m)) ||
        (high.len && !cel_slice_to_int(high, &n))) {
        return false;
    }
    n = comma ? n : m;
    if (m < 0 || m > REPEAT_MAX || n > REPEAT_MAX || (n >= 0 && n < m)) {
        fail(r, "a repetition that is wrong or too long");
    }
    *min = (int)m;
    *max = (int)n;
    r->at = (size_t)(end - r->p.data) + 1;
    return true;
}

static bool read_quantifier(struct cel_regex *r, int *min, int *max)
{
    char c = r->at < r->p.len ? r->p.data[r->at] : 0;

    *min = c == '+';
    *max = c == '?' ? 1 : -1;
    if (c == '*' || c == '+' || c == '?') {
        r->at++;
        return true;
    }
    return c == '{' && read_braces(r, min, max);
}

static void emit_block(struct cel_regex *r, size_t n)
{
    for (size_t i = 0; i < n && !r->wrong; i++) {
        emit(r, r->block[i].op, r->block[i].a, r->block[i].b);
    }
}

static void repeat(struct cel_regex *r, size_t from, int min, int max)
{
    size_t n = r->n - from;
    int32_t length = (int32_t)n;

    memcpy(r->block, r->steps + from, n * sizeof r->block[0]);
    r->n = from;
    for (int i = 0; n > 0 && i < min && !r->wrong; i++) {
        emit_block(r, n);
    }
    if (max < 0) {
        emit(r, CEL_RE_SPLIT, 1, length + 2);
        emit_block(r, n);
        emit(r, CEL_RE_JUMP, -(length + 1), 0);
    }
    for (int i = min; n > 0 && i < max && !r->wrong; i++) {
        emit(r, CEL_RE_SPLIT, 1, length + 1);
        emit_block(r, n);
    }
}

static void parse_sequence(struct cel_regex *r)
{
    while (more(r) && r->p.data[r->at] != '|' && r->p.data[r->at] != ')') {
        size_t from = r->n;
        int min, max;

        parse_atom(r);
        if (!r->wrong && read_quantifier(r, &min, &max)) {
            repeat(r, from, min, max);
            if (looking_at(r, "?")) {
                r->at++; /* lazy */
            } else if (looking_at(r, "*") || looking_at(r, "+")) {
                fail(r, "multiple repeat");
            }
        }
    }
}

/* a|b|c: a CEL_RE_SPLIT before each but the last, a CEL_RE_JUMP to the end behind it. */
static void parse_choice(struct cel_regex *r)
{
    size_t from = r->n;

    parse_sequence(r);
    if (!more(r) || r->p.data[r->at] != '|') {
        return;
    }
    size_t n = r->n - from;
    if (r->n + 2 >= CEL_REGEX_MAX) {
        fail(r, "the pattern is too large");
        return;
    }
    memmove(r->steps + from + 1, r->steps + from, n * sizeof r->steps[0]);
    r->steps[from] = (struct cel_regex_step){CEL_RE_SPLIT, 1, (int32_t)n + 2};
    r->n++;
    size_t jump = r->n;
    emit(r, CEL_RE_JUMP, 0, 0);
    r->at++;
    parse_choice(r);
    r->steps[jump].a = (int32_t)(r->n - jump);
}

void cel_regex_parse(struct cel_regex *r)
{
    parse_choice(r);
    if (more(r)) {
        fail(r, "unbalanced parenthesis");
    }
}
