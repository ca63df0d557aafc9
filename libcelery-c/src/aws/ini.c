/* SPDX-License-Identifier: BSD-3-Clause */
#include "aws/ini.h"

#include <strings.h>

#include "base/error.h"

/* A section by itself has an entry without a key. */
struct cel_ini_entry {
    struct cel_ini_entry *older;
    struct cel_slice section;
    struct cel_slice key;
    struct cel_slice value;
};

static celery_status add(struct cel_arena *a, struct cel_ini *ini,
                         struct cel_ini_entry entry, celery_error *err)
{
    struct cel_ini_entry *e = cel_arena_alloc(a, sizeof *e);

    if (!e) {
        return cel_error_nomem(err);
    }
    *e = entry;
    e->older = ini->last;
    ini->last = e;
    return CELERY_OK;
}

static celery_status bad(celery_error *err, size_t number, const char *what)
{
    return cel_error_set(err, CELERY_ECONFIG, "line %zu: %s", number, what);
}

static celery_status read_line(struct cel_arena *a, struct cel_ini *ini,
                               struct cel_ini_entry *at, struct cel_slice line,
                               size_t number, celery_error *err)
{
    struct cel_slice text = cel_slice_trim(line);
    bool indented = line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
    size_t cut = 0;

    if (text.len == 0 || text.data[0] == '#' || text.data[0] == ';' ||
        (indented && at->key.data)) {
        return CELERY_OK;
    }
    if (text.data[0] == '[') {
        const char *end = memchr(text.data, ']', text.len);

        if (!end) {
            return bad(err, number, "a section without \"]\"");
        }
        *at = (struct cel_ini_entry){
            .section = cel_slice(text.data + 1, (size_t)(end - text.data - 1))};
        return add(a, ini, *at, err);
    }
    while (cut < text.len && text.data[cut] != '=' && text.data[cut] != ':') {
        cut++;
    }
    if (cut == 0 || cut == text.len) {
        return bad(err, number, "neither a section nor KEY = VALUE");
    }
    if (!at->section.data) {
        return bad(err, number, "no section before it");
    }
    at->key = cel_slice_trim(cel_slice(text.data, cut));
    at->value = cel_slice_trim(cel_slice(text.data + cut + 1, text.len - cut - 1));
    return add(a, ini, *at, err);
}

celery_status cel_ini_parse(struct cel_arena *a, struct cel_slice text,
                            struct cel_ini *ret, celery_error *err)
{
    struct cel_ini_entry at = {0};
    struct cel_slice line;
    size_t number = 0;

    ret->last = NULL;
    if (cel_slice_starts(text, CEL_SLICE("\xef\xbb\xbf"))) {
        text = cel_slice(text.data + 3, text.len - 3);
    }
    while (cel_slice_split(&text, '\n', &line)) {
        celery_status status = read_line(a, ret, &at, line, ++number, err);

        if (status < 0) {
            return status;
        }
    }
    return CELERY_OK;
}

static bool same_key(struct cel_slice key, const char *wanted)
{
    return key.len == strlen(wanted) && strncasecmp(key.data, wanted, key.len) == 0;
}

struct cel_slice cel_ini_get(const struct cel_ini *ini, struct cel_slice section,
                             const char *key)
{
    for (const struct cel_ini_entry *e = ini->last; e; e = e->older) {
        if (e->key.data && cel_slice_eq(e->section, section) && same_key(e->key, key)) {
            return e->value;
        }
    }
    return CEL_SLICE_NULL;
}

bool cel_ini_has(const struct cel_ini *ini, struct cel_slice section)
{
    for (const struct cel_ini_entry *e = ini->last; e; e = e->older) {
        if (cel_slice_eq(e->section, section)) {
            return true;
        }
    }
    return false;
}
