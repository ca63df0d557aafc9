/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/value.h"
#include "base/alloc.h"
#include "base/error.h"
#include <math.h>
#include <stdio.h>
#include <strings.h>

/* ---- words and numbers ---- */

bool cel_value_parse_bool(const char *text, bool *ret)
{
    static const char *const words[][2] = {{"false", "true"}, {"no", "yes"}, {"0", "1"},
                                           {"off", "on"},     {"f", "t"},    {"n", "y"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (int truth = 0; truth < 2; truth++) {
            if (strcasecmp(text, words[i][truth]) == 0) {
                *ret = truth;
                return true;
            }
        }
    }
    return false;
}

/* "0:10:00" or "0:00:01.5" behind the days. */
static bool parse_clock(struct cel_slice text, double *ret)
{
    struct cel_slice part;
    int64_t hours, minutes;
    double seconds;
    if (!cel_slice_split(&text, ':', &part) || !cel_slice_to_int(part, &hours) ||
        !cel_slice_split(&text, ':', &part) || !cel_slice_to_int(part, &minutes) ||
        !cel_slice_to_double(text, &seconds) || hours < 0 || hours > 1000000 ||
        minutes < 0 || minutes > 59 || !(seconds >= 0 && seconds < 60)) {
        return false;
    }
    *ret = (double)(hours * 3600 + minutes * 60) + seconds;
    return true;
}

bool cel_value_parse_seconds(const char *text, double *ret)
{
    struct cel_slice s = cel_slice_trim(cel_slice_of(text)), rest = s, days;
    int64_t n;
    double clock = 0;
    if (cel_slice_to_double(s, ret)) {
        return !isnan(*ret);
    }
    if (cel_slice_is(s, "inf") || cel_slice_is(s, "Infinity")) {
        *ret = INFINITY;
        return true;
    }
    if (parse_clock(s, ret)) {
        return true;
    }
    if (!cel_slice_split(&rest, ' ', &days) || !cel_slice_to_int(days, &n) || n < 0 ||
        n > 1000000000) {
        return false;
    }
    bool plural = cel_slice_starts(rest, CEL_SLICE("days"));
    if (!plural && !cel_slice_starts(rest, CEL_SLICE("day"))) {
        return false;
    }
    rest = cel_slice(rest.data + 3 + plural, rest.len - 3 - plural);
    if (rest.len > 0) {
        if (rest.data[0] != ',' ||
            !parse_clock(cel_slice_trim(cel_slice(rest.data + 1, rest.len - 1)),
                         &clock)) {
            return false;
        }
    }
    *ret = (double)n * 86400 + clock;
    return true;
}

/* "a|b=c": the word that text is, whatever its case, or what stands behind its "=". */
static bool find_word(const char *values, const char *text, struct cel_slice *ret)
{
    struct cel_slice rest = cel_slice_of(values), word, name;
    while (values && cel_slice_split(&rest, '|', &word)) {
        struct cel_slice value = word;
        if (cel_slice_split(&value, '=', &name) && name.len == strlen(text) &&
            strncasecmp(name.data, text, name.len) == 0) {
            *ret = name.len < word.len ? value : word;
            return true;
        }
    }
    return false;
}

static celery_status out_of_range(const struct cel_setting *s, const char *text,
                                  celery_error *err)
{
    if (isinf(s->max)) {
        return cel_error_set(err, CELERY_ECONFIG, "%s: %s is less than %g", s->name, text,
                             s->min);
    }
    return cel_error_set(err, CELERY_ECONFIG, "%s: %s is not between %.12g and %.12g",
                         s->name, text, s->min, s->max);
}

static bool in_range(const struct cel_setting *s, double number)
{
    return (s->min == 0 && s->max == 0) || (number >= s->min && number <= s->max);
}

/* ---- by type ---- */

static celery_status wrong(const struct cel_setting *s, const char *text,
                           const char *want, celery_error *err)
{
    return cel_error_set(err, CELERY_ECONFIG, "%s: %.60s is no %s", s->name, text, want);
}

static celery_status parse_int(const struct cel_setting *s, const char *text,
                               struct cel_value *v, celery_error *err)
{
    struct cel_slice trimmed = cel_slice_trim(cel_slice_of(text)), word;
    bool is_word = find_word(s->values, text, &word);
    v->is_number = cel_slice_to_int(is_word ? word : trimmed, &v->integer);
    v->number = (double)v->integer;
    if (!is_word && !v->is_number) {
        return s->values ? cel_error_set(err, CELERY_ECONFIG,
                                         "%s: %.60s is neither an integer nor one of %s",
                                         s->name, text, s->values)
                         : wrong(s, text, "integer", err);
    }
    if (v->is_number && !in_range(s, v->number)) {
        return out_of_range(s, text, err);
    }
    trimmed = is_word ? word : trimmed;
    v->text = cel_strndup(trimmed.data, trimmed.len);
    return CELERY_OK;
}

static celery_status parse_double(const struct cel_setting *s, const char *text,
                                  struct cel_value *v, celery_error *err)
{
    if (!cel_value_parse_seconds(text, &v->number)) {
        return wrong(s, text, "number", err);
    }
    v->is_number = true;
    if (!in_range(s, v->number)) {
        return out_of_range(s, text, err);
    }
    v->text = cel_strdup(text);
    return CELERY_OK;
}

static celery_status parse_text(const struct cel_setting *s, const char *text,
                                struct cel_value *v, celery_error *err)
{
    struct cel_slice word = cel_slice_of(text);
    if (s->values && !find_word(s->values, text, &word)) {
        return cel_error_set(err, CELERY_ECONFIG, "%s: %.60s is none of %s", s->name,
                             text, s->values);
    }
    v->text = cel_strndup(word.data, word.len);
    return CELERY_OK;
}

/* Nodes point into the text, which therefore is the arena's. */
static celery_status parse_json(const struct cel_setting *s, const char *text,
                                struct cel_value *v, celery_error *err)
{
    struct cel_json_limits limits = {.depth = 100};
    struct cel_node *doc = NULL;
    size_t len = strlen(text);
    const char *copy = cel_arena_strndup(&v->arena, text, len);
    if (!copy) {
        return cel_error_nomem(err);
    }
    celery_status st =
        cel_json_parse(&v->arena, cel_slice(copy, len), &limits, &doc, err);
    v->doc = doc;
    return st < 0 ? cel_error_prefix(err, st == CELERY_ENOMEM ? st : CELERY_ECONFIG,
                                     "%s: ", s->name)
                  : st;
}

static celery_status add_words(struct cel_value *v, const char *text)
{
    struct cel_slice rest = cel_slice_of(text), word;
    struct cel_node *list = cel_node_new(&v->arena, CELERY_KIND_ARRAY);
    while (list && cel_slice_split(&rest, ',', &word)) {
        word = cel_slice_trim(word);
        if (word.len > 0 &&
            cel_node_append(list, cel_node_new_string(&v->arena, word)) < 0) {
            list = NULL;
        }
    }
    v->doc = list;
    return list ? CELERY_OK : CELERY_ENOMEM;
}

static celery_status parse_list(const struct cel_setting *s, const char *text,
                                struct cel_value *v, celery_error *err)
{
    bool json = cel_slice_starts(cel_slice_trim(cel_slice_of(text)), CEL_SLICE("["));
    celery_status st = json ? parse_json(s, text, v, err) : add_words(v, text);
    if (st < 0) {
        return st;
    }
    v->list = cel_arena_alloc(&v->arena, (v->doc->size + 1) * sizeof *v->list);
    size_t i = 0;
    for (const struct cel_node *n = cel_node_first(v->doc); v->list && n; n = n->next) {
        struct cel_slice word = cel_node_text(n);
        if (!cel_node_is_string(n)) {
            return wrong(s, text, "list of texts", err);
        }
        v->list[i] = cel_arena_strndup(&v->arena, word.data, word.len);
        if (!v->list[i++]) {
            return cel_error_nomem(err);
        }
    }
    if (!v->list) {
        return cel_error_nomem(err);
    }
    v->list[i] = NULL;
    v->text = cel_strdup(text);
    return CELERY_OK;
}

static celery_status parse_map(const struct cel_setting *s, const char *text,
                               struct cel_value *v, celery_error *err)
{
    celery_status st = parse_json(s, text, v, err);
    if (st == CELERY_OK && v->doc->kind != CELERY_KIND_OBJECT) {
        st = wrong(s, text, "JSON map", err);
    }
    if (st == CELERY_OK) {
        v->text = cel_strdup(text);
    }
    return st;
}

/* What does not begin as JSON does is a text; Python's True and False are understood. */
static celery_status parse_any(const struct cel_setting *s, const char *text,
                               struct cel_value *v, celery_error *err)
{
    struct cel_slice trimmed = cel_slice_trim(cel_slice_of(text));
    bool truth;
    v->text = cel_strdup(text);
    if (strchr("[{\"", trimmed.data[0])) {
        return parse_json(s, text, v, err);
    }
    v->doc = cel_value_parse_bool(text, &truth) ? cel_node_new_bool(&v->arena, truth)
                                                : cel_node_new_string(&v->arena, trimmed);
    return v->doc ? CELERY_OK : cel_error_nomem(err);
}

static bool is_none(const struct cel_setting *s, const char *text)
{
    if (!text) {
        return true;
    }
    struct cel_slice trimmed = cel_slice_trim(cel_slice_of(text));
    bool none = trimmed.len == 0 || cel_slice_is(trimmed, "none") ||
                cel_slice_is(trimmed, "None") || cel_slice_is(trimmed, "null");
    /* An empty text can be meant where there is a default. */
    return none && !(s->type == CEL_SETTING_TEXT && s->def);
}

celery_status cel_value_parse(const struct cel_setting *s, const char *text,
                              struct cel_value *ret_v, celery_error *err)
{
    static celery_status (*const parsers[])(const struct cel_setting *, const char *,
                                            struct cel_value *, celery_error *) = {
        [CEL_SETTING_INT] = parse_int,   [CEL_SETTING_DOUBLE] = parse_double,
        [CEL_SETTING_TEXT] = parse_text, [CEL_SETTING_LIST] = parse_list,
        [CEL_SETTING_MAP] = parse_map,   [CEL_SETTING_JSON] = parse_any,
    };
    struct cel_value v = {0};
    celery_status st = CELERY_OK;
    if (!is_none(s, text)) {
        if (s->type != CEL_SETTING_BOOL) {
            st = parsers[s->type](s, text, &v, err);
        } else if (cel_value_parse_bool(text, &v.truth)) {
            v.text = cel_strdup(v.truth ? "true" : "false");
        } else {
            st = wrong(s, text, "truth value (true or false)", err);
        }
        if (st == CELERY_OK && !v.text) {
            st = cel_error_nomem(err);
        }
    }
    if (st < 0) {
        cel_value_fini(&v);
        return st;
    }
    *ret_v = v;
    return CELERY_OK;
}

void cel_value_fini(struct cel_value *v)
{
    cel_free(v->text);
    cel_arena_fini(&v->arena);
    *v = (struct cel_value){0};
}
