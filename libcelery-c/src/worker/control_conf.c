/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked about settings: never a secret (celery/app/utils.py filter_hidden_settings). */
#include "worker/control_inspect.h"

#include <celery/worker.h>
#include <stdio.h>
#include <strings.h>
#include <sys/utsname.h>

#define MASK "********"

/* ---- secrets ---- */

static bool contains(struct cel_slice text, const char *part)
{
    size_t n = strlen(part);

    for (size_t i = 0; i + n <= text.len; i++) {
        if (strncasecmp(text.data + i, part, n) == 0) {
            return true;
        }
    }
    return false;
}

/* HIDDEN_SETTINGS there. */
static bool is_hidden(struct cel_slice name)
{
    static const char *const words[] = {
        "API",       "TOKEN",    "KEY",        "SECRET", "PASS", "PROFANITIES_LIST",
        "SIGNATURE", "DATABASE", "BEAT_DBURI",
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (contains(name, words[i])) {
            return true;
        }
    }
    return false;
}

/* One URL with the mask that settings are shown with. */
static void add_masked(struct cel_control_call *c, struct cel_buf *out,
                       struct cel_slice text)
{
    char *copy = cel_arena_strndup(c->arena, text.data, text.len);
    struct cel_url *url = NULL;
    char shown[1024] = MASK;

    if (copy && cel_url_parse(copy, &url, NULL) == CELERY_OK) {
        cel_url_text(url, shown, sizeof shown);
    }
    char *stars = url && url->password ? strstr(shown, ":**@") : NULL;
    if (stars) {
        cel_buf_add(out, shown, (size_t)(stars - shown));
        cel_buf_adds(out, ":" MASK);
        cel_buf_adds(out, stars + 3);
    } else {
        cel_buf_adds(out, shown);
    }
    cel_url_free(url);
}

/* Any text that may be a URL: there only those whose names end in broker_url or have backend. */
static struct cel_node *censored_text(struct cel_control_call *c, struct cel_slice text)
{
    struct cel_buf out = {0};
    struct cel_slice rest = text, part;
    bool first = true;

    if (!contains(text, "://")) {
        return cel_node_new_string(c->arena, text);
    }
    while (cel_slice_split(&rest, ';', &part)) {
        cel_buf_adds(&out, first ? "" : ";");
        add_masked(c, &out, part);
        first = false;
    }
    struct cel_node *node = cel_control_text(c, &out);
    cel_buf_fini(&out);
    return node;
}

static struct cel_node *censored(struct cel_control_call *c, const struct cel_node *n,
                                 unsigned depth)
{
    struct cel_node *copy = NULL;

    if (!n || depth > 50) {
        return cel_control_null(c);
    }
    if (n->kind == CELERY_KIND_STRING) {
        return censored_text(c, cel_node_text(n));
    }
    if (n->kind != CELERY_KIND_ARRAY && n->kind != CELERY_KIND_OBJECT) {
        return cel_node_copy(c->arena, n);
    }
    copy = cel_node_new(c->arena, (celery_kind)n->kind);
    if (n->kind == CELERY_KIND_ARRAY) {
        for (const struct cel_node *e = cel_node_first(n); e && copy; e = e->next) {
            copy = cel_node_append(copy, censored(c, e, depth + 1)) < 0 ? NULL : copy;
        }
        return copy;
    }
    for (const struct cel_node *k = cel_node_first(n), *v; k && copy; k = v->next) {
        struct cel_slice key = cel_node_text(k);

        v = k->next;
        copy = cel_node_put(c->arena, copy, key,
                            is_hidden(key) ? cel_control_string(c, MASK)
                                           : censored(c, v, depth + 1)) < 0
                   ? NULL
                   : copy;
    }
    return copy;
}

/* ---- one setting ---- */

static struct cel_node *number(struct cel_control_call *c, const struct cel_setting *s)
{
    const struct cel_config *config = c->w->app->config;
    int64_t i = cel_config_int(config, s->name, INT64_MIN);

    if (s->type == CEL_SETTING_DOUBLE) {
        return cel_node_new_double(c->arena, cel_config_double(config, s->name, 0));
    }
    return i == INT64_MIN ? cel_control_string(c, cel_config_text(config, s->name))
                          : cel_node_new_int(c->arena, i);
}

static struct cel_node *setting_value(struct cel_control_call *c,
                                      const struct cel_setting *s)
{
    const struct cel_config *config = c->w->app->config;
    const char *text = cel_config_text(config, s->name);

    if (is_hidden(cel_slice_of(s->name))) {
        return cel_control_string(c, MASK);
    }
    if (!cel_config_is_set(config, s->name)) {
        return cel_control_null(c);
    }
    switch (s->type) {
    case CEL_SETTING_BOOL:
        return cel_node_new_bool(c->arena, cel_config_bool(config, s->name));
    case CEL_SETTING_INT:
    case CEL_SETTING_DOUBLE:
        return number(c, s);
    case CEL_SETTING_TEXT:
        return censored_text(c, cel_slice_of(text));
    default:
        return censored(c, cel_config_doc(config, s->name), 0);
    }
}

struct cel_node *cel_control_setting(struct cel_control_call *c, const char *name)
{
    const struct cel_setting *s = cel_config_find(name, NULL);

    return s ? setting_value(c, s) : cel_control_null(c);
}

/* ---- conf ---- */

static struct cel_node *settings(struct cel_control_call *c, bool with_defaults)
{
    const struct cel_config *config = c->w->app->config;
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);

    for (size_t i = 0; map && i < cel_settings_count; i++) {
        const struct cel_setting *s = &cel_settings[i];

        if ((with_defaults || cel_config_origin(config, s->name) != CEL_FROM_DEFAULT) &&
            !cel_control_put(c, map, s->name, setting_value(c, s))) {
            return NULL;
        }
    }
    return map;
}

/* Two that Celery's worker always tells: no old names are in use here, no modules included. */
struct cel_node *cel_control_conf(struct cel_control_call *c)
{
    struct cel_node *map =
        settings(c, cel_node_truth(cel_control_arg(c, "with_defaults")));

    return map && cel_control_put(c, map, "deprecated_settings", cel_control_null(c)) &&
                   cel_control_put(c, map, "include",
                                   cel_node_new(c->arena, CELERY_KIND_ARRAY))
               ? map
               : NULL;
}

/* ---- report: celery/app/utils.py bugreport() ---- */

static void add_settings(struct cel_control_call *c, struct cel_buf *out)
{
    const struct cel_node *map = settings(c, false);

    for (const struct cel_node *k = cel_node_first(map), *v; k; k = v->next) {
        v = k->next;
        cel_buf_add_slice(out, cel_node_text(k));
        cel_buf_adds(out, ": ");
        cel_repr(out, v, 0);
        cel_buf_addc(out, '\n');
    }
}

struct cel_node *cel_control_report(struct cel_control_call *c)
{
    struct cel_buf out = {0};
    struct utsname u = {0};
    const struct cel_node *results = cel_control_setting(c, "result_backend");
    struct cel_slice shown = cel_node_text(results);

    uname(&u);
    cel_buf_addf(&out,
                 "\nsoftware -> celery:%s (libcelery-c)\n"
                 "platform -> system:%s arch:%s\n"
                 "            kernel version:%s imp:C\n"
                 "loader   -> libcelery-c\n"
                 "settings -> transport:%s results:%.*s\n\n",
                 celery_version(), u.sysname, u.machine, u.release,
                 cel_link_transport(c->w->link)->ops->name,
                 shown.len ? (int)shown.len : 8, shown.len ? shown.data : "disabled");
    add_settings(c, &out);
    struct cel_node *value = cel_control_map(c, "ok", cel_control_text(c, &out));
    cel_buf_fini(&out);
    return value;
}
