/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "config/value.h"
#include <ctype.h>

enum { NAME_MAX_LEN = 80 };

struct cel_config {
    struct cel_value *values; /* in the order of cel_settings */
    struct cel_map by_name;   /* new name to its value */
};

struct cel_config *cel_config_new(void)
{
    struct cel_config *c = cel_calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->values = cel_calloc(cel_settings_count, sizeof *c->values);
    for (size_t i = 0; c->values && i < cel_settings_count; i++) {
        const struct cel_setting *s = &cel_settings[i];
        if (cel_value_parse(s, s->def, &c->values[i], NULL) < 0 ||
            cel_map_set(&c->by_name, cel_slice_of(s->name), &c->values[i], NULL) < 0) {
            return cel_config_free(c);
        }
    }
    return c->values ? c : cel_config_free(c);
}

struct cel_config *cel_config_free(struct cel_config *c)
{
    if (c) {
        for (size_t i = 0; c->values && i < cel_settings_count; i++) {
            cel_value_fini(&c->values[i]);
        }
        cel_free(c->values);
        cel_map_fini(&c->by_name);
        cel_free(c);
    }
    return NULL;
}

/* ---- names ---- */

/* A setting without an old name of its own had its new one in capitals: BROKER_URL. */
static const char *old_name(const struct cel_setting *s, char buf[NAME_MAX_LEN])
{
    if (s->old_name) {
        return s->old_name;
    }
    size_t i = 0;
    for (; s->name[i] && i < NAME_MAX_LEN - 1; i++) {
        buf[i] = (char)toupper((unsigned char)s->name[i]);
    }
    buf[i] = '\0';
    return buf;
}

static const struct cel_setting *find_row(const char *name)
{
    char buf[NAME_MAX_LEN];
    for (size_t i = 0; i < cel_settings_count; i++) {
        const struct cel_setting *s = &cel_settings[i];
        if (strcmp(name, s->name) == 0 || strcmp(name, old_name(s, buf)) == 0) {
            return s;
        }
    }
    return NULL;
}

/* Optimal string alignment: insert, delete, replace, swap neighbours. */
int cel_config_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    unsigned char rows[3][NAME_MAX_LEN + 1];
    if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN) {
        return 99;
    }
    unsigned char *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++) {
        last[j] = (unsigned char)j;
    }
    for (size_t i = 1; i <= la; i++) {
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= lb; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            row[j] = (unsigned char)best;
        }
        unsigned char *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[lb] < 99 ? last[lb] : 99;
}

const struct cel_setting *cel_config_nearest(const char *name, bool *ret_old)
{
    const struct cel_setting *nearest = NULL;
    char buf[NAME_MAX_LEN];
    int best = (int)strlen(name) / 4 + 2;
    for (size_t i = 0; i < cel_settings_count; i++) {
        int now = cel_config_distance(name, cel_settings[i].name);
        int old = cel_config_distance(name, old_name(&cel_settings[i], buf));
        if (now < best || old < best) {
            nearest = &cel_settings[i];
            *ret_old = old < now;
            best = now < old ? now : old;
        }
    }
    return nearest;
}

const struct cel_setting *cel_config_find(const char *name, celery_error *err)
{
    const struct cel_setting *s = find_row(name);
    if (s) {
        return s;
    }
    bool old = false;
    char buf[NAME_MAX_LEN];
    const struct cel_setting *nearest = cel_config_nearest(name, &old);
    const char *shown = cel_log_safe(cel_slice_of(name));
    if (nearest) {
        (void)cel_error_set(err, CELERY_ECONFIG, "unknown setting %s: did you mean %s?",
                            shown, old ? old_name(nearest, buf) : nearest->name);
    } else {
        (void)cel_error_set(err, CELERY_ECONFIG, "unknown setting %s", shown);
    }
    return NULL;
}

/* ---- set and get ---- */

celery_status cel_config_set(struct cel_config *c, const char *name, const char *value,
                             enum cel_config_origin origin, celery_error *err)
{
    const struct cel_setting *s = cel_config_find(name, err);
    if (!s) {
        return CELERY_ECONFIG;
    }
    struct cel_value v, *slot = &c->values[s - cel_settings];
    celery_status st = cel_value_parse(s, value, &v, err);
    if (st < 0) {
        return st;
    }
    if (origin < slot->origin) {
        cel_value_fini(&v);
        return CELERY_OK;
    }
    cel_value_fini(slot);
    *slot = v;
    slot->origin = origin;
    return CELERY_OK;
}

static const struct cel_value *get(const struct cel_config *c, const char *name)
{
    const struct cel_value *v = cel_map_get(&c->by_name, cel_slice_of(name));
    if (!v) {
        const struct cel_setting *s = find_row(name);
        v = s ? &c->values[s - cel_settings] : NULL;
    }
    return v;
}

const char *cel_config_text(const struct cel_config *c, const char *name)
{
    const struct cel_value *v = get(c, name);
    return v ? v->text : NULL;
}

int64_t cel_config_int(const struct cel_config *c, const char *name, int64_t otherwise)
{
    const struct cel_value *v = get(c, name);
    return v && v->text && v->is_number ? v->integer : otherwise;
}

double cel_config_double(const struct cel_config *c, const char *name, double otherwise)
{
    const struct cel_value *v = get(c, name);
    return v && v->text && v->is_number ? v->number : otherwise;
}

bool cel_config_bool(const struct cel_config *c, const char *name)
{
    const struct cel_value *v = get(c, name);
    return v && v->truth;
}

const char *const *cel_config_list(const struct cel_config *c, const char *name)
{
    static const char *const empty[] = {NULL};
    const struct cel_value *v = get(c, name);
    return v && v->list ? (const char *const *)v->list : empty;
}

const struct cel_node *cel_config_doc(const struct cel_config *c, const char *name)
{
    const struct cel_value *v = get(c, name);
    return v ? v->doc : NULL;
}

enum cel_config_origin cel_config_origin(const struct cel_config *c, const char *name)
{
    const struct cel_value *v = get(c, name);
    return v ? v->origin : CEL_FROM_DEFAULT;
}

bool cel_config_is_set(const struct cel_config *c, const char *name)
{
    return cel_config_text(c, name) != NULL;
}
