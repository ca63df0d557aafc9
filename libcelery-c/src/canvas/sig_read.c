/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a document is a signature: the whole tree, with the path of what is wrong. */
#include "canvas/sig.h"

#include <stdarg.h>
#include <stdio.h>

/* Of a path: a member, or with NULL an element. */
struct place {
    const char *key;
    size_t index;
};

/* Members and elements that lie between a signature and one in it, at most. */
enum { PLACES = 4 };

struct check {
    const char *where;
    size_t n_places;
    size_t parts;
    unsigned depth;
    celery_error *err;
    struct place places[(CEL_CANVAS_DEPTH_MAX + 1) * PLACES];
};

static void write_path(const struct check *c, struct cel_buf *path)
{
    cel_buf_adds(path, c->where ? c->where : "");
    for (size_t i = 0; i < c->n_places; i++) {
        const struct place *at = &c->places[i];

        if (at->key) {
            cel_buf_addf(path, "%s%s", path->len ? "." : "", at->key);
        } else {
            cel_buf_addf(path, "[%zu]", at->index);
        }
    }
}

/* Of a long path both ends: the reason must fit behind it. */
static celery_status wrong(struct check *c, const char *why)
{
    enum { END = 60 };
    struct cel_buf buf = {0};
    celery_status st;

    write_path(c, &buf);
    const char *path = cel_buf_cstr(&buf);

    if (!cel_buf_ok(&buf)) {
        st = cel_error_nomem(c->err);
    } else if (buf.len <= 3 * END) {
        st = cel_error_set(c->err, CELERY_EMESSAGE, "%s: %s", path, why);
    } else {
        st = cel_error_set(c->err, CELERY_EMESSAGE, "%.*s ... %s: %s", END, path,
                           path + buf.len - END, why);
    }
    cel_buf_fini(&buf);
    return st;
}

/* The path is longer by this until path_end(). */
static size_t path_add(struct check *c, struct place at)
{
    size_t len = c->n_places;

    if (len < sizeof c->places / sizeof c->places[0]) {
        c->places[c->n_places++] = at;
    }
    return len;
}

static size_t path_key(struct check *c, const char *key)
{
    return path_add(c, (struct place){key, 0});
}

static size_t path_index(struct check *c, size_t i)
{
    return path_add(c, (struct place){NULL, i});
}

static celery_status path_end(struct check *c, size_t len, celery_status st)
{
    c->n_places = len;
    return st;
}

static celery_status check_sig(struct check *c, const struct cel_node *sig);

static celery_status check_list(struct check *c, const struct cel_node *list)
{
    celery_status st = CELERY_OK;
    size_t i = 0;

    for (const struct cel_node *n = cel_node_first(list); n && st == CELERY_OK;
         n = n->next) {
        size_t len = path_index(c, i++);
        st = path_end(c, len, check_sig(c, n));
    }
    return st;
}

/* ---- options ---- */

enum form { TEXT, INTEGER, NUMBER, INSTANT, MAP, SIGS, SIG, LIST, TEXTS };

#define FORM(key, form)                \
    {                                  \
        (key), sizeof(key) - 1, (form) \
    }

static const struct {
    const char *key;
    size_t len;
    enum form form;
} forms[] = {
    FORM("task_id", TEXT),
    FORM("group_id", TEXT),
    FORM("root_id", TEXT),
    FORM("parent_id", TEXT),
    FORM("reply_to", TEXT),
    FORM("queue", TEXT),
    FORM("exchange", TEXT),
    FORM("routing_key", TEXT),
    FORM("serializer", TEXT),
    FORM("compression", TEXT),
    FORM("shadow", TEXT),
    FORM("exchange_type", TEXT),
    FORM("group_index", INTEGER),
    FORM("priority", INTEGER),
    FORM("retries", INTEGER),
    FORM("countdown", NUMBER),
    FORM("time_limit", NUMBER),
    FORM("soft_time_limit", NUMBER),
    FORM("eta", INSTANT),
    FORM("expires", INSTANT),
    FORM("headers", MAP),
    FORM("link", SIGS),
    FORM("link_error", SIGS),
    FORM("chain", LIST),
    FORM("chord", SIG),
    FORM("stamped_headers", TEXTS),
    FORM("replaced_task_nesting", INTEGER),
};

bool cel_canvas_is_text_option(struct cel_slice key)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (key.len == forms[i].len && memcmp(key.data, forms[i].key, key.len) == 0) {
            return forms[i].form == TEXT;
        }
    }
    return false;
}

static celery_status check_texts(struct check *c, const struct cel_node *v)
{
    if (v->kind != CELERY_KIND_ARRAY) {
        return wrong(c, "no list");
    }
    for (const struct cel_node *n = cel_node_first(v); n; n = n->next) {
        if (!cel_node_is_string(n)) {
            return wrong(c, "no list of texts");
        }
    }
    return CELERY_OK;
}

static celery_status check_form(struct check *c, enum form form, const struct cel_node *v)
{
    bool number = v->kind == CELERY_KIND_INT || v->kind == CELERY_KIND_FLOAT;

    switch (form) {
    case TEXT:
        return cel_node_is_string(v) ? CELERY_OK : wrong(c, "no text");
    case INTEGER:
        return v->kind == CELERY_KIND_INT ? CELERY_OK : wrong(c, "no integer");
    case NUMBER:
        return number ? CELERY_OK : wrong(c, "no number");
    case INSTANT:
        return number || cel_node_is_string(v) || v->kind == CELERY_KIND_OBJECT
                   ? CELERY_OK
                   : wrong(c, "no time");
    case MAP:
        return v->kind == CELERY_KIND_OBJECT ? CELERY_OK : wrong(c, "no map");
    case SIGS:
        return v->kind == CELERY_KIND_ARRAY ? check_list(c, v) : check_sig(c, v);
    case SIG:
        return check_sig(c, v);
    case LIST:
        if (v->kind == CEL_KIND_RAW) {
            return CELERY_OK; /* checked when it was cut out: canvas/chain_text.c */
        }
        return v->kind == CELERY_KIND_ARRAY ? check_list(c, v) : wrong(c, "no list");
    case TEXTS:
        break;
    }
    return check_texts(c, v);
}

static celery_status check_options(struct check *c, const struct cel_node *options)
{
    celery_status st = CELERY_OK;

    for (const struct cel_node *k = cel_node_first(options); k && st == CELERY_OK;
         k = k->next->next) {
        struct cel_slice key = cel_node_text(k);

        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            if (key.len == forms[i].len && memcmp(key.data, forms[i].key, key.len) == 0 &&
                !cel_node_is_null(k->next)) {
                size_t len = path_key(c, forms[i].key);
                st = path_end(c, len, check_form(c, forms[i].form, k->next));
            }
        }
    }
    return st;
}

/* ---- parts ---- */

static celery_status check_member(struct check *c, const struct cel_node *kwargs,
                                  const char *key, bool list, bool sig)
{
    const struct cel_node *v = cel_node_get(kwargs, cel_slice_of(key));
    size_t len = path_key(c, key);
    celery_status st;

    if (list && v && v->kind == CELERY_KIND_ARRAY) {
        st = sig ? check_list(c, v) : CELERY_OK;
    } else if (!sig || !v || v->kind == CELERY_KIND_NULL) {
        st = list ? wrong(c, "no list") : wrong(c, "no signature");
    } else if (v->kind == CELERY_KIND_OBJECT || !list) {
        st = check_sig(c, v);
    } else {
        st = wrong(c, "no list");
    }
    return path_end(c, len, st);
}

static celery_status check_tasks(struct check *c, const struct cel_node *kwargs)
{
    const struct cel_node *tasks = cel_node_get(kwargs, CEL_KEY("tasks"));

    if (tasks && tasks->kind == CELERY_KIND_OBJECT) {
        size_t len = path_key(c, "tasks");
        return path_end(c, len, wrong(c, "no list"));
    }
    return check_member(c, kwargs, "tasks", true, true);
}

static celery_status check_chord(struct check *c, const struct cel_node *kwargs)
{
    celery_status st = check_member(c, kwargs, "header", true, true);

    if (st == CELERY_OK && !cel_node_is_null(cel_node_get(kwargs, CEL_KEY("body")))) {
        st = check_member(c, kwargs, "body", false, true);
    }
    return st;
}

static celery_status check_map(struct check *c, const struct cel_node *kwargs,
                               bool chunks)
{
    celery_status st = check_member(c, kwargs, "task", false, true);

    if (st == CELERY_OK) {
        st = check_member(c, kwargs, "it", true, false);
    }
    if (st == CELERY_OK && chunks &&
        cel_node_int(cel_node_get(kwargs, CEL_KEY("n")), 0) <= 0) {
        size_t len = path_key(c, "n");
        st = path_end(c, len, wrong(c, "no size"));
    }
    return st;
}

static celery_status check_kwargs(struct check *c, struct cel_slice type,
                                  const struct cel_node *kwargs)
{
    if (!type.len) {
        return CELERY_OK;
    }
    if (cel_slice_is(type, "chain") || cel_slice_is(type, "group")) {
        return check_tasks(c, kwargs);
    }
    if (cel_slice_is(type, "chord")) {
        return check_chord(c, kwargs);
    }
    return check_map(c, kwargs, cel_slice_is(type, "chunks"));
}

static bool is_known(struct cel_slice type)
{
    static const char *const names[] = {"chain", "group",    "chord",
                                        "xmap",  "xstarmap", "chunks"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (cel_slice_is(type, names[i])) {
            return true;
        }
    }
    return false;
}

/* A member of the given kind, null, or none. */
static celery_status check_kind(struct check *c, const struct cel_node *sig,
                                const char *key, celery_kind kind, const char *why)
{
    const struct cel_node *v = cel_node_get(sig, cel_slice_of(key));
    size_t len = path_key(c, key);

    return path_end(c, len,
                    cel_node_is_null(v) || v->kind == kind ? CELERY_OK : wrong(c, why));
}

static celery_status check_fields(struct check *c, const struct cel_node *sig,
                                  struct cel_slice *ret_type)
{
    const struct cel_node *type = cel_node_get(sig, CEL_KEY("subtask_type"));
    const struct cel_node *task = cel_node_get(sig, CEL_KEY("task"));
    size_t len = path_key(c, "task");
    celery_status st = CELERY_OK;

    if (!cel_node_is_string(task) || task->size == 0) {
        st = wrong(c, "no text");
    }
    st = path_end(c, len, st);
    if (st == CELERY_OK) {
        st = check_kind(c, sig, "args", CELERY_KIND_ARRAY, "no list");
    }
    if (st == CELERY_OK) {
        st = check_kind(c, sig, "kwargs", CELERY_KIND_OBJECT, "no map");
    }
    if (st == CELERY_OK) {
        st = check_kind(c, sig, "options", CELERY_KIND_OBJECT, "no map");
    }
    if (st == CELERY_OK && cel_node_truth(type) && !is_known(cel_node_text(type))) {
        len = path_key(c, "subtask_type");
        st = path_end(c, len, wrong(c, "an unknown canvas type"));
    }
    *ret_type = cel_node_text(type);
    return st;
}

static celery_status check_members(struct check *c, const struct cel_node *sig)
{
    struct cel_slice type;
    celery_status st = check_fields(c, sig, &type);
    size_t len = path_key(c, "kwargs");

    if (st == CELERY_OK) {
        st = check_kwargs(c, type, cel_node_get(sig, CEL_KEY("kwargs")));
    }
    (void)path_end(c, len, st);
    if (st == CELERY_OK) {
        len = path_key(c, "options");
        st = path_end(c, len, check_options(c, cel_node_get(sig, CEL_KEY("options"))));
    }
    return st;
}

static celery_status check_sig(struct check *c, const struct cel_node *sig)
{
    celery_status st;

    if (!sig || sig->kind != CELERY_KIND_OBJECT) {
        return wrong(c, "no signature");
    }
    if (++c->parts > CEL_CANVAS_PARTS_MAX) {
        return wrong(c, "too many signatures");
    }
    if (c->depth >= CEL_CANVAS_DEPTH_MAX) {
        return wrong(c, "signatures are nested too deep");
    }
    c->depth++;
    st = check_members(c, sig);
    c->depth--;
    return st;
}

/* Not all of it: most of the places are never looked at. */
static void check_init(struct check *c, const char *where, celery_error *err)
{
    c->where = where;
    c->n_places = 0;
    c->parts = 0;
    c->depth = 0;
    c->err = err;
}

celery_status cel_canvas_check(const struct cel_node *doc, const char *where,
                               celery_error *err)
{
    struct check c;

    check_init(&c, where, err);
    return check_sig(&c, doc);
}

celery_status cel_canvas_check_options(const struct cel_node *options, const char *where,
                                       celery_error *err)
{
    struct check c;

    if (cel_node_is_null(options)) {
        return CELERY_OK;
    }
    check_init(&c, where, err);
    return options->kind == CELERY_KIND_OBJECT ? check_options(&c, options)
                                               : wrong(&c, "no map");
}

celery_status cel_canvas_read(struct cel_arena *a, const struct cel_node *doc,
                              const char *where, struct cel_sig **ret_sig,
                              celery_error *err)
{
    struct cel_ctx x;
    celery_status st = cel_canvas_check(doc, where, err);

    if (st < 0) {
        return st;
    }
    cel_ctx_init(&x, NULL, a, NULL, err);
    struct cel_sig *sig = cel_sig_from_node(&x, doc);
    st = cel_ctx_fini(&x);
    if (st == CELERY_OK) {
        *ret_sig = sig;
    }
    return st;
}
