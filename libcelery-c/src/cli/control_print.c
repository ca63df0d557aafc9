/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers of workers as Celery's command line shows them (celery/bin/base.py CLIContext). */
#include "cli/cmd_control.h"

#include <stdlib.h>
#include <string.h>

/* Lines of strangers, each behind so many spaces; what is no text is escaped. */
static void print_text(FILE *out, const char *text, size_t size, size_t indent)
{
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t len = end ? (size_t)(end - text) : size;

        if (len > 0) {
            fprintf(out, "%*s", (int)indent, "");
            text_print(out, text, len);
        }
        fputc('\n', out);
        len += end != NULL;
        text += len;
        size -= len;
    }
}

static void print_plain(FILE *out, const celery_value *value)
{
    size_t len = 0;
    const char *text = celery_value_kind(value) == CELERY_KIND_STRING
                           ? celery_value_text(value, &len)
                           : NULL;
    char *repr = text ? NULL : celery_value_repr(value, 0);

    if (repr) {
        text = repr;
        len = strlen(repr);
    }
    text_print(out, text ? text : "", len);
    free(repr);
}

/* ---- a map: json.dumps(indent=4, sort_keys=True) ---- */

static int by_key(const void *a, const void *b)
{
    size_t n = 0, m = 0;
    const char *x = celery_value_text(*(const celery_value *const *)a, &n);
    const char *y = celery_value_text(*(const celery_value *const *)b, &m);
    int order = memcmp(x ? x : "", y ? y : "", n < m ? n : m);

    return order ? order : (n > m) - (n < m);
}

enum { DEPTH_MAX = 50 };

static void print_json(FILE *out, const celery_value *value, size_t indent,
                       unsigned depth);

static void print_members(FILE *out, const celery_value *map, size_t indent,
                          unsigned depth)
{
    size_t n = celery_value_size(map), i = 0;
    const celery_value **keys = calloc(n, sizeof *keys);

    for (const celery_value *key = celery_value_first(map); keys && key && i < n;
         key = celery_value_next(celery_value_next(key))) {
        keys[i++] = key;
    }
    qsort(keys, i, sizeof *keys, by_key);
    for (size_t j = 0; j < i; j++) {
        fprintf(out, "%s\n%*s", j ? "," : "", (int)indent + 4, "");
        print_json(out, keys[j], 0, DEPTH_MAX);
        fputs(": ", out);
        print_json(out, celery_value_next(keys[j]), indent + 4, depth + 1);
    }
    free(keys);
}

static void print_json(FILE *out, const celery_value *value, size_t indent,
                       unsigned depth)
{
    celery_kind kind = celery_value_kind(value);
    bool list = kind == CELERY_KIND_ARRAY;

    if ((!list && kind != CELERY_KIND_OBJECT) || celery_value_size(value) == 0 ||
        depth >= DEPTH_MAX) {
        size_t len = 0;
        char *text = celery_value_dumps(value, &len);

        text_print(out, text ? text : "", text ? len : 0);
        free(text);
        return;
    }
    fputc(list ? '[' : '{', out);
    if (list) {
        const celery_value *item = celery_value_first(value);

        for (bool first = true; item; item = celery_value_next(item), first = false) {
            fprintf(out, "%s\n%*s", first ? "" : ",", (int)indent + 4, "");
            print_json(out, item, indent + 4, depth + 1);
        }
    } else {
        print_members(out, value, indent, depth);
    }
    fprintf(out, "\n%*s%c", (int)indent, "", list ? ']' : '}');
}

/* ---- pretty() ---- */

static void print_value(const struct control_run *r, const celery_value *value,
                        size_t indent)
{
    FILE *out = r->out->out;
    size_t len = 0;

    switch (celery_value_kind(value)) {
    case CELERY_KIND_ARRAY:
        if (celery_value_size(value) == 0) {
            fprintf(out, "%*s- empty -\n", (int)indent, "");
        }
        for (const celery_value *item = celery_value_first(value); item;
             item = celery_value_next(item)) {
            fprintf(out, "%*s%s*%s ", (int)indent, "", term_on(r->out, STYLE_BOLD),
                    term_off(r->out));
            print_plain(out, item);
            fputc('\n', out);
        }
        break;
    case CELERY_KIND_STRING: {
        const char *text = celery_value_text(value, &len);

        print_text(out, text, len, indent);
        break;
    }
    case CELERY_KIND_OBJECT:
        fprintf(out, "%*s", (int)indent, "");
        print_json(out, value, indent, 0);
        fputc('\n', out);
        break;
    default:
        fprintf(out, "%*s", (int)indent, "");
        print_plain(out, value);
        fputc('\n', out);
    }
}

void control_print_reply(const struct control_run *r, const char *node,
                         const celery_value *value)
{
    FILE *out = r->out->out;
    const celery_value *ok = celery_value_get(value, "ok");
    const celery_value *error = ok ? NULL : celery_value_get(value, "error");

    if (!r->quiet) {
        fprintf(out, "%s->%s  ", term_on(r->out, STYLE_BOLD), term_off(r->out));
    } else {
        fputc(' ', out);
    }
    fputs(term_on(r->out, STYLE_CYAN), out);
    text_print(out, node, strlen(node));
    fprintf(out, ": %s%s%s%s\n", term_off(r->out),
            term_on(r->out, error ? STYLE_RED : STYLE_GREEN), error ? "ERROR" : "OK",
            term_off(r->out));
    if (r->values) {
        print_value(r, ok ? ok : error ? error : value, ok || error ? 8 : 4);
    }
    fflush(out);
}

/* ---- --json ---- */

static bool print_dumped(const celery_value *value)
{
    size_t len = 0;
    char *text = celery_value_dumps(value, &len);

    if (text) {
        fwrite(text, 1, len, stdout);
    }
    free(text);
    return text != NULL;
}

static bool print_name(const char *name)
{
    json_t *text = json_string(name);
    char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;

    json_decref(text);
    if (quoted) {
        fputs(quoted, stdout);
    }
    free(quoted);
    return quoted != NULL;
}

bool control_print_json(const celery_replies *replies, bool list)
{
    bool good = true, first = true;

    fputs(list ? "[" : "{", stdout);
    for (size_t i = 0; i < celery_replies_count(replies); i++) {
        const char *node = celery_reply_node(replies, i);
        const celery_value *value = celery_reply_value(replies, i);

        /* Of a node that answered twice upstream's map has the last word. */
        if (!list && celery_replies_get(replies, node) != value) {
            continue;
        }
        fputs(first ? "" : ", ", stdout);
        fputs(list ? "{" : "", stdout);
        first = false;
        good = print_name(node) && good;
        fputs(": ", stdout);
        good = print_dumped(value) && good;
        fputs(list ? "}" : "", stdout);
    }
    fputs(list ? "]\n" : "}\n", stdout);
    return good;
}
