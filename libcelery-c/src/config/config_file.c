/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings from a JSON file and from the environment. */
#include "base/error.h"
#include "base/log.h"
#include "config/config.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 1 << 20, NAME_MAX_LEN = 80 };

/* ---- file ---- */

static celery_status read_whole(struct cel_buf *text, const char *path, celery_error *err)
{
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "rbe");
    if (!f) {
        return cel_error_sys(err, CELERY_ECONFIG, errno, "%s", path);
    }
    while ((n = fread(piece, 1, sizeof piece, f)) > 0 && cel_buf_ok(text)) {
        (void)cel_buf_add(text, piece, n);
    }
    int failed = ferror(f) ? errno : 0;
    (void)fclose(f);
    if (failed) {
        return cel_error_sys(err, CELERY_ECONFIG, failed, "%s", path);
    }
    if (!cel_buf_ok(text)) {
        return cel_error_set(err, CELERY_ECONFIG, "%s: larger than 1 MiB", path);
    }
    return CELERY_OK;
}

/* The line of a byte, from 1; 0 when it is outside of the text. */
static unsigned line_at(struct cel_slice text, size_t offset)
{
    unsigned line = 1;
    if (offset > text.len) {
        return 0;
    }
    for (size_t i = 0; i < offset; i++) {
        line += text.data[i] == '\n';
    }
    return line;
}

/* Nodes of plain strings point into the text they were read from. */
static unsigned line_of(struct cel_slice text, const char *at)
{
    uintptr_t start = (uintptr_t)text.data, here = (uintptr_t)at;
    return here >= start && here < start + text.len ? line_at(text, here - start) : 0;
}

static celery_status with_line(celery_error *err, celery_status st, const char *path,
                               unsigned line)
{
    st = st == CELERY_ENOMEM ? st : CELERY_ECONFIG;
    return line ? cel_error_prefix(err, st, "%s:%u: ", path, line)
                : cel_error_prefix(err, st, "%s: ", path);
}

/* The reader says "... at byte N". */
static unsigned error_line(struct cel_slice text, const celery_error *err)
{
    const char *at = err ? strstr(err->message, "at byte ") : NULL;
    return at ? line_at(text, (size_t)strtoull(at + strlen("at byte "), NULL, 10)) : 0;
}

/* Celery takes a list of broker URLs as well as one text with semicolons. */
static bool join_texts(struct cel_buf *out, const struct cel_node *list)
{
    for (const struct cel_node *n = cel_node_first(list); n; n = n->next) {
        if (!cel_node_is_string(n)) {
            return false;
        }
        (void)cel_buf_add_slice(out, cel_node_text(n));
        (void)cel_buf_adds(out, n->next ? ";" : "");
    }
    return true;
}

static celery_status set_from_node(struct cel_config *c, const struct cel_setting *s,
                                   const struct cel_node *n, celery_error *err)
{
    struct cel_buf text = {0};
    if (cel_node_is_string(n)) {
        (void)cel_buf_add_slice(&text, cel_node_text(n));
    } else if (n->kind == CELERY_KIND_ARRAY && s->type == CEL_SETTING_TEXT) {
        if (!join_texts(&text, n)) {
            cel_buf_fini(&text);
            return cel_error_set(err, CELERY_ECONFIG, "%s: not a list of texts", s->name);
        }
    } else if (!cel_node_is_null(n)) {
        (void)cel_json_write(&text, n);
    }
    celery_status st;
    const char *value = cel_node_is_null(n) ? NULL : cel_buf_cstr(&text);
    if (!cel_buf_ok(&text)) {
        st = cel_error_nomem(err);
    } else if (value && strlen(value) != text.len) {
        st = cel_error_set(err, CELERY_ECONFIG, "%s: has a NUL in it", s->name);
    } else {
        st = cel_config_set(c, s->name, value, CEL_FROM_FILE, err);
    }
    cel_buf_fini(&text);
    return st;
}

static celery_status set_member(struct cel_config *c, struct cel_slice key,
                                const struct cel_node *value, celery_error *err)
{
    char name[NAME_MAX_LEN];
    if (key.len >= sizeof name || memchr(key.data, '\0', key.len)) {
        return cel_error_set(err, CELERY_ECONFIG, "unknown setting %s",
                             cel_log_safe(key));
    }
    memcpy(name, key.data, key.len);
    name[key.len] = '\0';
    const struct cel_setting *s = cel_config_find(name, err);
    return s ? set_from_node(c, s, value, err) : CELERY_ECONFIG;
}

static celery_status set_members(struct cel_config *c, const char *path,
                                 struct cel_slice text, const struct cel_node *doc,
                                 celery_error *err)
{
    if (doc->kind != CELERY_KIND_OBJECT) {
        return cel_error_set(err, CELERY_ECONFIG, "%s:1: not a JSON map of settings",
                             path);
    }
    for (const struct cel_node *k = cel_node_first(doc), *v; k; k = v->next) {
        struct cel_slice key = cel_node_text(k);
        v = k->next;
        celery_status st = set_member(c, key, v, err);
        if (st < 0) {
            return with_line(err, st, path, line_of(text, key.data));
        }
    }
    return CELERY_OK;
}

celery_status cel_config_load_file(struct cel_config *c, const char *path,
                                   celery_error *err)
{
    struct cel_buf text;
    struct cel_arena a;
    struct cel_json_limits limits = {.depth = 100};
    struct cel_node *doc = NULL;
    celery_error own = {0};
    err = err ? err : &own;
    cel_buf_init(&text, FILE_MAX);
    cel_arena_init(&a, 0);
    celery_status st = read_whole(&text, path, err);
    if (st == CELERY_OK) {
        st = cel_json_parse(&a, cel_buf_slice(&text), &limits, &doc, err);
        if (st == CELERY_OK) {
            st = set_members(c, path, cel_buf_slice(&text), doc, err);
        } else {
            st = with_line(err, st, path, error_line(cel_buf_slice(&text), err));
        }
    }
    cel_arena_fini(&a);
    cel_buf_fini(&text);
    return st;
}

/* ---- environment ---- */

/*
 * Variables of Celery, its command line and its start scripts that look like settings and are
 * none.
 */
static bool is_other_variable(const char *name)
{
    static const char *const names[] = {
        "CELERY_APP",          "CELERY_BIN",           "CELERY_CHDIR",
        "CELERY_CONFIG",       "CELERY_CONFIG_MODULE", "CELERY_CUSTOM_WORKER_POOL",
        "CELERY_LOADER",       "CELERY_LOG_LEVEL",     "CELERY_LOG_FILE",
        "CELERY_LOG_REDIRECT", "CELERY_NO_COLOR",      "CELERY_QUIET",
        "CELERY_SKIP_CHECKS",  "CELERY_WORKDIR",       "CELERY_VERSION",
        "CELERY_USER",         "CELERY_GROUP",         "CELERY_WORKER_QUEUES",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const struct cel_setting *find_exact(const char *name)
{
    return cel_config_find(name, NULL);
}

static void lower(char to[NAME_MAX_LEN], const char *from)
{
    size_t i = 0;
    for (; from[i] && i < NAME_MAX_LEN - 1; i++) {
        to[i] = (char)tolower((unsigned char)from[i]);
    }
    to[i] = '\0';
}

/* A typing error is worth stopping for, a variable of something else is not. */
static celery_status check_near_miss(const char *name, const char *rest,
                                     celery_error *err)
{
    bool old = false;
    const struct cel_setting *near = cel_config_nearest(rest, &old);
    if (!near || old || is_other_variable(name) ||
        cel_config_distance(rest, near->name) > 2) {
        return CELERY_OK;
    }
    return cel_error_set(err, CELERY_ECONFIG,
                         "environment variable %s: unknown setting %s: did you mean %s?",
                         name, rest, near->name);
}

/* The name in CELERY_<SETTING>, or an old name: CELERY_ACKS_LATE, CELERYD_CONCURRENCY. */
static celery_status find_variable(const char *name, const struct cel_setting **ret,
                                   celery_error *err)
{
    char rest[NAME_MAX_LEN];
    *ret = NULL;
    if (strncmp(name, "CELERY", 6) != 0 || !strchr(name, '_')) {
        return CELERY_OK;
    }
    if (strncmp(name, "CELERY_", 7) == 0) {
        lower(rest, name + 7);
        *ret = find_exact(rest);
    }
    if (!*ret) {
        *ret = find_exact(name);
    }
    return *ret || strncmp(name, "CELERY_", 7) != 0 ? CELERY_OK
                                                    : check_near_miss(name, rest, err);
}

static celery_status set_variable(struct cel_config *c, const struct cel_setting *s,
                                  const char *variable, const char *value,
                                  celery_error *err)
{
    celery_status st = cel_config_set(c, s->name, value, CEL_FROM_ENV, err);
    return st < 0 ? cel_error_prefix(err, st, "environment variable %s: ", variable) : st;
}

static celery_status load_variable(struct cel_config *c, const char *entry,
                                   celery_error *err)
{
    char name[NAME_MAX_LEN];
    const char *equals = strchr(entry, '=');
    size_t len = equals ? (size_t)(equals - entry) : 0;
    const struct cel_setting *s;
    /* Celery takes an empty variable for none. */
    if (len == 0 || len >= sizeof name || equals[1] == '\0') {
        return CELERY_OK;
    }
    memcpy(name, entry, len);
    name[len] = '\0';
    celery_status st = find_variable(name, &s, err);
    return st == CELERY_OK && s ? set_variable(c, s, name, equals + 1, err) : st;
}

/* What `celery -b` and `--result-backend` read win over CELERY_BROKER_URL and the like. */
static celery_status load_app_variable(struct cel_config *c, const char *entry,
                                       celery_error *err)
{
    static const char *const names[][2] = {{"BROKER_URL=", "broker_url"},
                                           {"RESULT_BACKEND=", "result_backend"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = strlen(names[i][0]);
        if (strncmp(entry, names[i][0], len) == 0 && entry[len] != '\0') {
            return cel_config_set(c, names[i][1], entry + len, CEL_FROM_ENV, err);
        }
    }
    return CELERY_OK;
}

celery_status cel_config_load_env(struct cel_config *c, char *const *envp,
                                  celery_error *err)
{
    celery_status st = CELERY_OK;
    for (char *const *e = envp; e && *e && st == CELERY_OK; e++) {
        st = load_variable(c, *e, err);
    }
    for (char *const *e = envp; e && *e && st == CELERY_OK; e++) {
        st = load_app_variable(c, *e, err);
    }
    return st;
}
