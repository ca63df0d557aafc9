/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of remote control that an application brings (Panel.register()). */
#include "app/app.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/utf8.h"

enum { NAME_MAX_BYTES = 255, PARAMETERS_MAX = 1000 };

/* ---- parameters: "queue | seconds:float *" ---- */

static bool is_identifier(struct cel_slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (!letter && !(i > 0 && c >= '0' && c <= '9')) {
            return false;
        }
    }
    return word.len > 0;
}

static bool is_type(struct cel_slice word)
{
    return cel_slice_is(word, "str") || cel_slice_is(word, "int") ||
           cel_slice_is(word, "float") || cel_slice_is(word, "bool");
}

/* Where the parameters are written to, each form with its own texts. */
struct parameters {
    struct cel_buf typed;     /* "queue:str seconds:float" */
    struct cel_buf checked;   /* "queue | seconds *" */
    struct cel_buf signature; /* "<queue> [seconds]" */
    bool optional;
};

static void add(struct cel_buf *out, const char *front, struct cel_slice word,
                const char *end)
{
    if (out->len > 0) {
        cel_buf_addc(out, ' ');
    }
    cel_buf_adds(out, front);
    cel_buf_add_slice(out, word);
    cel_buf_adds(out, end);
}

static bool add_parameter(struct parameters *p, struct cel_slice word)
{
    const char *colon = memchr(word.data, ':', word.len);
    size_t len = colon ? (size_t)(colon - word.data) : word.len;
    struct cel_slice name = cel_slice(word.data, len);
    struct cel_slice type =
        colon ? cel_slice(colon + 1, word.len - len - 1) : CEL_SLICE("str");

    if (!is_identifier(name) || !is_type(type)) {
        return false;
    }
    add(&p->typed, "", name, ":");
    cel_buf_add_slice(&p->typed, type);
    add(&p->checked, "", name, "");
    add(&p->signature, p->optional ? "[" : "<", name, p->optional ? "]" : ">");
    return true;
}

static bool read_parameters(struct parameters *p, const char *text)
{
    struct cel_slice rest = cel_slice_of(text ? text : ""), word;
    bool end = false;

    while (cel_slice_split(&rest, ' ', &word)) {
        if (word.len == 0) {
            continue;
        }
        if (end) {
            return false;
        }
        if (cel_slice_is(word, "|") && !p->optional) {
            p->optional = true;
            add(&p->checked, "", word, "");
        } else if (cel_slice_is(word, "*")) {
            end = true;
        } else if (!add_parameter(p, word)) {
            return false;
        }
    }
    if (!p->optional) {
        add(&p->checked, "", CEL_SLICE("|"), "");
    }
    if (end) {
        add(&p->checked, "", CEL_SLICE("*"), "");
    }
    return true;
}

/* ---- definitions ---- */

static void free_def(struct cel_control_def *def)
{
    if (def) {
        cel_free((char *)def->method.name);
        cel_free((char *)def->method.parameters);
        cel_free((char *)def->method.signature);
        cel_free(def->checked);
        cel_free(def);
    }
}

static char *text_of(const struct cel_buf *b)
{
    return cel_buf_ok(b) ? cel_strndup(b->len > 0 ? b->data : "", b->len) : NULL;
}

static struct cel_control_def *new_def(const char *name, const struct parameters *p)
{
    struct cel_control_def *def = cel_calloc(1, sizeof *def);

    if (!def) {
        return NULL;
    }
    def->method.name = cel_strdup(name);
    def->method.parameters = text_of(&p->typed);
    def->method.signature = text_of(&p->signature);
    def->method.help = "A command of this application.";
    def->checked = text_of(&p->checked);
    if (!def->method.name || !def->method.parameters || !def->method.signature ||
        !def->checked) {
        free_def(def);
        return NULL;
    }
    return def;
}

static celery_status append(celery_app *app, struct cel_control_def *give_def,
                            celery_error *err)
{
    if (give_def && (app->n_controls & (app->n_controls - 1)) == 0) {
        size_t cap = app->n_controls ? app->n_controls * 2 : 1;
        void *grown = cel_realloc(app->controls, cap, sizeof(void *));

        if (!grown) {
            free_def(give_def);
            give_def = NULL;
        } else {
            app->controls = grown;
        }
    }
    if (!give_def) {
        return cel_error_nomem(err);
    }
    app->controls[app->n_controls++] = give_def;
    return CELERY_OK;
}

static celery_status check(const celery_app *app, const char *name,
                           const char *parameters, celery_control_fn fn,
                           celery_error *err)
{
    celery_status st = cel_app_writable(app, err);

    if (st < 0) {
        return st;
    }
    if (!name || !*name || strlen(name) > NAME_MAX_BYTES ||
        !cel_utf8_valid(cel_slice_of(name)) || !fn) {
        return cel_error_set(err, CELERY_EINVAL,
                             "a control command without a name or a function");
    }
    if (cel_app_find_control(app, cel_slice_of(name))) {
        return cel_error_set(err, CELERY_EINVAL, "control command %s is registered twice",
                             name);
    }
    return parameters && strlen(parameters) > PARAMETERS_MAX
               ? cel_error_set(err, CELERY_EINVAL,
                               "control command %s: the parameters are too long", name)
               : CELERY_OK;
}

celery_status celery_app_control_command(celery_app *app, const char *name,
                                         const char *parameters, bool reads_only,
                                         celery_control_fn fn, void *ctx,
                                         celery_error *err)
{
    celery_error own = {0}, *why = err ? err : &own;
    struct parameters p = {0};
    celery_status st = check(app, name, parameters, fn, why);

    if (st == CELERY_OK && !read_parameters(&p, parameters)) {
        st = cel_error_set(why, CELERY_EINVAL,
                           "control command %s: parameters are names with or without "
                           ":str, :int, :float or :bool, then \"|\", more of them, \"*\"",
                           name);
    }
    if (st == CELERY_OK) {
        struct cel_control_def *def = new_def(name, &p);

        st = append(app, def, why);
        if (st == CELERY_OK) {
            def->method.changes = !reads_only;
            def->fn = fn;
            def->ctx = ctx;
        }
    }
    cel_buf_fini(&p.typed);
    cel_buf_fini(&p.checked);
    cel_buf_fini(&p.signature);
    return err ? st : cel_app_remember(app, st, &own);
}

const struct cel_control_def *cel_app_find_control(const celery_app *app,
                                                   struct cel_slice name)
{
    for (size_t i = 0; i < app->n_controls; i++) {
        if (cel_slice_is(name, app->controls[i]->method.name)) {
            return app->controls[i];
        }
    }
    return NULL;
}

const celery_control_method *celery_app_control_method(const celery_app *app, size_t i)
{
    return app && i < app->n_controls ? &app->controls[i]->method : NULL;
}

void cel_app_free_controls(celery_app *app)
{
    for (size_t i = 0; i < app->n_controls; i++) {
        free_def(app->controls[i]);
    }
    cel_free(app->controls);
}
