/* SPDX-License-Identifier: BSD-3-Clause */
#include "message/control_regex.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/utf8.h"

struct place {
    struct cel_slice text;
    size_t at;
    int32_t before; /* characters around; -1: none */
    int32_t after;
};

static bool holds(enum cel_regex_op op, const struct place *w)
{
    bool edge = cel_regex_is_word(w->before) != cel_regex_is_word(w->after);

    switch (op) {
    case CEL_RE_BEGIN:
        return w->at == 0;
    case CEL_RE_LAST:
        return w->at == w->text.len;
    case CEL_RE_END:
        return w->at == w->text.len || (w->at + 1 == w->text.len && w->after == '\n');
    default:
        return edge == (op == CEL_RE_WORD_EDGE);
    }
}

/* Adds a state with all that can be reached without a character; true: the end can. */
static bool add(struct cel_regex *r, uint16_t *list, size_t *n, size_t start,
                unsigned round, const struct place *where)
{
    size_t top = 0;
    bool matched = false;

    if (r->seen[start] != round) {
        r->seen[start] = round;
        r->stack[top++] = (uint16_t)start;
    }
    while (top > 0) {
        size_t at = r->stack[--top];
        const struct cel_regex_step *s = &r->steps[at];
        size_t next[2] = {at + 1, at + 1};

        switch (s->op) {
        case CEL_RE_CHAR:
        case CEL_RE_ANY:
        case CEL_RE_CLASS:
        case CEL_RE_SET:
            list[(*n)++] = (uint16_t)at;
            continue;
        case CEL_RE_MATCH:
            matched = true;
            continue;
        case CEL_RE_SPLIT:
            next[0] = at + (size_t)s->a;
            next[1] = at + (size_t)s->b;
            break;
        case CEL_RE_JUMP:
            next[0] = next[1] = (size_t)((int32_t)at + s->a);
            break;
        default:
            if (!holds(s->op, where)) {
                continue;
            }
        }
        for (int i = 0; i < 2; i++) {
            if (r->seen[next[i]] != round) {
                r->seen[next[i]] = round;
                r->stack[top++] = (uint16_t)next[i];
            }
        }
    }
    return matched;
}

static bool takes(struct cel_regex *r, const struct cel_regex_step *s, int32_t c)
{
    switch (s->op) {
    case CEL_RE_CHAR:
        return c == s->a;
    case CEL_RE_ANY:
        return c != '\n';
    case CEL_RE_CLASS:
        return cel_regex_in_class(s->a, c);
    default:
        return cel_regex_in_set(r, (size_t)s->a, (size_t)s->b, c);
    }
}

static int32_t peek(struct cel_slice text, size_t at)
{
    return at < text.len ? cel_utf8_next(text, &at) : -1;
}

static bool run(struct cel_regex *r, struct cel_slice text)
{
    struct place where = {text, 0, -1, peek(text, 0)};
    uint16_t *now = r->now, *then = r->then;
    size_t n = 0;
    unsigned round = 1;
    bool matched = add(r, now, &n, 0, round, &where);

    while (!matched && n > 0 && where.at < text.len) {
        int32_t c = cel_utf8_next(text, &where.at);
        uint16_t *old = now;
        size_t n_then = 0;

        where.before = c;
        where.after = peek(text, where.at);
        round++;
        for (size_t i = 0; i < n && !matched; i++) {
            if (takes(r, &r->steps[now[i]], c)) {
                matched = add(r, then, &n_then, now[i] + 1u, round, &where);
            }
        }
        now = then;
        then = old;
        n = n_then;
    }
    return matched;
}

celery_status cel_regex_match(struct cel_slice pattern, struct cel_slice text, bool *ret,
                              celery_error *err)
{
    struct cel_regex *r = cel_calloc(1, sizeof *r);
    celery_status status = CELERY_OK;

    if (!r) {
        return cel_error_nomem(err);
    }
    r->p = pattern;
    cel_regex_parse(r);
    if (r->wrong) {
        status = cel_error_set(err, CELERY_EMESSAGE, "pattern: %s", r->wrong);
    } else {
        r->steps[r->n++] = (struct cel_regex_step){CEL_RE_MATCH, 0, 0};
        *ret = run(r, text);
    }
    cel_free(r);
    return status;
}
