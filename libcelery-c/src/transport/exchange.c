/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/exchange.h"

bool cel_exchange_type_parse(const char *name, enum cel_exchange_type *ret)
{
    static const char *const names[] = {"direct", "topic", "fanout"};

    if (!name || !name[0]) {
        *ret = CEL_EXCHANGE_DIRECT;
        return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum cel_exchange_type)i;
            return true;
        }
    }
    return false;
}

/* A binding key read as a row of tokens: text, "any run", "one character but a dot". */
enum token { TOKEN_END, TOKEN_CHAR, TOKEN_RUN, TOKEN_NOT_DOT };

struct cursor {
    size_t at;
    bool half; /* of "*" the run was given, the character is due */
};

static bool is_word(struct cel_slice key, size_t at, char c)
{
    return key.data[at] == c && (at == 0 || key.data[at - 1] == '.') &&
           (at + 1 == key.len || key.data[at + 1] == '.');
}

static enum token next_token(struct cel_slice key, struct cursor *c, char *ret_char)
{
    if (c->half) {
        c->half = false;
        c->at++;
        return TOKEN_NOT_DOT;
    }
    if (c->at == key.len) {
        return TOKEN_END;
    }
    if (is_word(key, c->at, '*')) {
        c->half = true;
        return TOKEN_RUN;
    }
    if (is_word(key, c->at, '#')) {
        c->at++;
        return TOKEN_RUN;
    }
    *ret_char = key.data[c->at++];
    return TOKEN_CHAR;
}

/* Glob matching: only the last run needs to be tried again, so time is at most n * m. */
static bool topic_match(struct cel_slice key, struct cel_slice text)
{
    struct cursor pattern = {0, false}, after_run = {0, false};
    size_t at = 0, run_end = 0;
    bool had_run = false;

    for (;;) {
        struct cursor next = pattern;
        char c = 0;
        enum token token = next_token(key, &next, &c);

        if (token == TOKEN_RUN) {
            had_run = true;
            pattern = after_run = next;
            run_end = at;
            continue;
        }
        if (token == TOKEN_END && at == text.len) {
            return true;
        }
        if (at < text.len && ((token == TOKEN_CHAR && text.data[at] == c) ||
                              (token == TOKEN_NOT_DOT && text.data[at] != '.'))) {
            pattern = next;
            at++;
            continue;
        }
        /* "." of a regular expression does not match a newline. */
        if (!had_run || run_end >= text.len || text.data[run_end] == '\n') {
            return false;
        }
        pattern = after_run;
        at = ++run_end;
    }
}

bool cel_exchange_match(enum cel_exchange_type type, struct cel_slice binding_key,
                        struct cel_slice routing_key)
{
    switch (type) {
    case CEL_EXCHANGE_FANOUT:
        return true;
    case CEL_EXCHANGE_TOPIC:
        return topic_match(binding_key, routing_key);
    case CEL_EXCHANGE_DIRECT:
        break;
    }
    return cel_slice_eq(binding_key, routing_key);
}

celery_status cel_exchange_topic_pattern(struct cel_buf *out,
                                         struct cel_slice binding_key)
{
    cel_buf_addc(out, '^');
    for (size_t i = 0; i < binding_key.len; i++) {
        if (is_word(binding_key, i, '*')) {
            cel_buf_adds(out, ".*?[^\\.]");
        } else if (is_word(binding_key, i, '#')) {
            cel_buf_adds(out, ".*?");
        } else if (binding_key.data[i] == '.') {
            cel_buf_adds(out, "\\.");
        } else {
            cel_buf_addc(out, binding_key.data[i]);
        }
    }
    return cel_buf_addc(out, '$');
}
