/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Binds arguments to parameters as CPython's Python/ceval.c initialize_locals() does, in the
 * same order of checks and with the same texts, then stores them in C variables.
 */
#include "codec/unpack.h"

#include "base/utf8.h"
#include "codec/unpack_format.h"

struct call {
    const char *function;
    struct cel_buf *why;
    struct cel_arena *arena;
    json_t **json_owner;
};

static celery_status type_error(const struct call *c, struct cel_slice before,
                                struct cel_slice name, const char *behind)
{
    cel_buf_adds(c->why, c->function);
    cel_buf_adds(c->why, "() ");
    cel_buf_add_slice(c->why, before);
    cel_buf_add_slice(c->why, name);
    cel_buf_adds(c->why, behind);
    return CELERY_ETASK;
}

/* ---- binding ---- */

/* too_many_positional(); keyword-only parameters come with "*", which takes any number. */
static celery_status too_many(const struct call *c, const struct cel_parameters *p,
                              size_t given)
{
    size_t most = p->n_positional;
    size_t least = p->n_required;
    cel_buf_addf(c->why, "%s() takes ", c->function);
    if (least < most) {
        cel_buf_addf(c->why, "from %zu to %zu", least, most);
    } else {
        cel_buf_addf(c->why, "%zu", most);
    }
    bool plural = least < most || most != 1;
    cel_buf_addf(c->why, " positional argument%s but %zu", plural ? "s" : "", given);
    cel_buf_adds(c->why, given == 1 ? " was given" : " were given");
    return CELERY_ETASK;
}

static bool is_missing(const struct cel_parameter *p, bool keyword_only)
{
    return !p->value && !p->optional && p->keyword_only == keyword_only;
}

/* missing_arguments() and format_missing(): 'a'; 'a' and 'b'; 'a', 'b', and 'c' */
static celery_status check_missing(const struct call *c, const struct cel_parameters *p,
                                   bool keyword_only)
{
    size_t missing = 0;
    for (size_t i = 0; i < p->n; i++) {
        missing += is_missing(&p->list[i], keyword_only);
    }
    if (missing == 0) {
        return CELERY_OK;
    }
    cel_buf_addf(c->why, "%s() missing %zu required %s argument%s: ", c->function,
                 missing, keyword_only ? "keyword-only" : "positional",
                 missing != 1 ? "s" : "");
    size_t left = missing;
    for (size_t i = 0; i < p->n; i++) {
        if (!is_missing(&p->list[i], keyword_only)) {
            continue;
        }
        cel_repr_string(c->why, p->list[i].name);
        left--;
        if (left > 0) {
            cel_buf_adds(c->why, missing > 2 ? ", " : " ");
            cel_buf_adds(c->why, left == 1 ? "and " : "");
        }
    }
    return CELERY_ETASK;
}

static struct cel_parameter *find(struct cel_parameters *p, struct cel_slice name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (cel_slice_eq(p->list[i].name, name)) {
            return &p->list[i];
        }
    }
    return NULL;
}

static celery_status bind_keywords(const struct call *c, struct cel_parameters *p,
                                   const struct cel_node *kwargs)
{
    const struct cel_node *k = cel_node_first(kwargs);
    for (; k; k = k->next->next) {
        struct cel_slice name = cel_node_text(k);
        struct cel_parameter *parameter = find(p, name);
        if (!parameter) {
            if (p->any_keyword) {
                continue;
            }
            return type_error(c, CEL_SLICE("got an unexpected keyword argument '"), name,
                              "'");
        }
        if (parameter->value) {
            return type_error(c, CEL_SLICE("got multiple values for argument '"), name,
                              "'");
        }
        parameter->value = k->next;
    }
    return CELERY_OK;
}

static celery_status bind(const struct call *c, struct cel_parameters *p,
                          const struct cel_node *args, const struct cel_node *kwargs)
{
    size_t given = 0;
    for (const struct cel_node *v = cel_node_first(args); v; v = v->next, given++) {
        if (given < p->n_positional) {
            p->list[given].value = v;
        }
    }
    celery_status status = bind_keywords(c, p, kwargs);
    if (status == CELERY_OK && given > p->n_positional && !p->any_positional) {
        return too_many(c, p, given);
    }
    if (status == CELERY_OK) {
        status = check_missing(c, p, false);
    }
    return status < 0 ? status : check_missing(c, p, true);
}

/* ---- storing ---- */

/* Python's name for the type, also of kombu's typed values. */
static const char *type_name(const struct cel_node *n)
{
    static const char *const names[] = {
        [CELERY_KIND_NULL] = "NoneType", [CELERY_KIND_FALSE] = "bool",
        [CELERY_KIND_TRUE] = "bool",     [CELERY_KIND_INT] = "int",
        [CELERY_KIND_FLOAT] = "float",   [CELERY_KIND_STRING] = "str",
        [CELERY_KIND_BYTES] = "bytes",   [CELERY_KIND_ARRAY] = "list",
        [CELERY_KIND_OBJECT] = "dict",
    };
    static const char *const typed[][2] = {
        {"datetime", "datetime.datetime"},
        {"date", "datetime.date"},
        {"time", "datetime.time"},
        {"decimal", "decimal.Decimal"},
        {"uuid", "uuid.UUID"},
        {"bytes", "bytes"},
        {"base64", "bytes"},
    };
    struct cel_slice type;
    const struct cel_node *value;
    if (cel_json_typed(n, &type, &value)) {
        for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
            if (cel_slice_is(type, typed[i][0])) {
                return typed[i][1];
            }
        }
    }
    return names[n->kind];
}

/* "f() argument 'x' must be int, not str", as Python's own C functions say it. */
static celery_status wrong_type(const struct call *c, const struct cel_parameter *p,
                                const char *expected)
{
    type_error(c, CEL_SLICE("argument '"), p->name, "' must be ");
    cel_buf_addf(c->why, "%s, not %s", expected, type_name(p->value));
    return CELERY_ETASK;
}

static celery_status wrong_value(const struct call *c, const struct cel_parameter *p,
                                 const char *text)
{
    return type_error(c, CEL_SLICE("argument '"), p->name, text);
}

static celery_status store_int(const struct call *c, const struct cel_parameter *p,
                               int64_t least, int64_t most, int64_t *ret)
{
    const struct cel_node *n = p->value;
    if (n->kind == CELERY_KIND_TRUE || n->kind == CELERY_KIND_FALSE) {
        *ret = n->kind == CELERY_KIND_TRUE; /* bool is an int in Python */
        return CELERY_OK;
    }
    if (n->kind != CELERY_KIND_INT) {
        return wrong_type(c, p, "int");
    }
    if (!celery_value_int(n, ret) || *ret < least || *ret > most) {
        return wrong_value(c, p,
                           most == INT64_MAX ? "' must be an int of at most 64 bits"
                                             : "' must be an int of at most 32 bits");
    }
    return CELERY_OK;
}

static celery_status store_double(const struct call *c, const struct cel_parameter *p,
                                  double *ret)
{
    if (!celery_value_double(p->value, ret)) {
        return wrong_type(c, p, "float");
    }
    return CELERY_OK;
}

static celery_status store_bool(const struct call *c, const struct cel_parameter *p,
                                bool *ret)
{
    celery_kind kind = celery_value_kind(p->value);
    if (kind != CELERY_KIND_TRUE && kind != CELERY_KIND_FALSE) {
        return wrong_type(c, p, "bool");
    }
    *ret = kind == CELERY_KIND_TRUE;
    return CELERY_OK;
}

static celery_status store_cstring(const struct call *c, const struct cel_parameter *p,
                                   const char **ret)
{
    if (p->type == 'z' && cel_node_is_null(p->value)) {
        *ret = NULL;
        return CELERY_OK;
    }
    if (!cel_node_is_string(p->value)) {
        return wrong_type(c, p, p->type == 'z' ? "str or None" : "str");
    }
    struct cel_slice text = cel_node_text(p->value);
    if (text.len > 0 && memchr(text.data, '\0', text.len)) {
        return wrong_value(c, p, "' must be str without null characters");
    }
    if (!(p->value->flags & CEL_NODE_PLAIN) && !cel_utf8_valid(text)) {
        return wrong_value(c, p, "' must be str without lone surrogates");
    }
    *ret = cel_arena_strndup(c->arena, text.data, text.len);
    return *ret ? CELERY_OK : CELERY_ENOMEM;
}

static celery_status store_text(const struct call *c, const struct cel_parameter *p,
                                const char **ret, size_t *ret_len)
{
    struct cel_slice text;
    if (p->type == 'S') {
        if (!cel_node_is_string(p->value)) {
            return wrong_type(c, p, "str");
        }
        text = cel_node_text(p->value);
    } else if (!cel_json_bytes(c->arena, p->value, &text)) {
        return wrong_type(c, p, "bytes");
    }
    *ret = text.len > 0 ? text.data : "";
    *ret_len = text.len;
    return CELERY_OK;
}

static celery_status store_json(const struct call *c, const struct cel_parameter *p,
                                json_t **ret)
{
    celery_error err = {0};
    if (!*c->json_owner) {
        *c->json_owner = json_array();
    }
    json_t *json = *c->json_owner ? cel_doc_to_json(p->value, "", &err) : NULL;
    if (!json && err.status == CELERY_EMESSAGE) {
        type_error(c, CEL_SLICE("argument '"), p->name, "'");
        cel_buf_adds(c->why, err.message);
        return CELERY_ETASK;
    }
    if (!json || json_array_append_new(*c->json_owner, json) < 0) {
        return CELERY_ENOMEM;
    }
    *ret = json;
    return CELERY_OK;
}

/* A va_list cannot be handed on by value and still advance; this can. */
struct variables {
    va_list list;
};

/* Takes the variables of one parameter, and stores the value if there is one. */
static celery_status store(const struct call *c, const struct cel_parameter *p,
                           struct variables *to)
{
    void *variable = va_arg(to->list, void *);
    size_t *len = strchr("Sy", p->type) ? va_arg(to->list, size_t *) : NULL;
    if (!p->value) {
        return CELERY_OK; /* optional: keeps what it has */
    }
    int64_t number = 0;
    celery_status status;
    switch (p->type) {
    case 'I':
        return store_int(c, p, INT64_MIN, INT64_MAX, variable);
    case 'i':
        status = store_int(c, p, INT32_MIN, INT32_MAX, &number);
        if (status == CELERY_OK) {
            *(int *)variable = (int)number;
        }
        return status;
    case 'd':
        return store_double(c, p, variable);
    case 'b':
        return store_bool(c, p, variable);
    case 's':
    case 'z':
        return store_cstring(c, p, variable);
    case 'S':
    case 'y':
        return store_text(c, p, variable, len);
    case 'v':
        *(const celery_value **)variable = p->value;
        return CELERY_OK;
    default:
        return store_json(c, p, variable);
    }
}

celery_status cel_unpack(struct cel_arena *a, const char *function,
                         const struct cel_node *args, const struct cel_node *kwargs,
                         struct cel_buf *why, json_t **json_owner, const char *fmt,
                         va_list variables)
{
    struct cel_parameters p;
    if (!cel_parameters_parse(fmt, &p)) {
        cel_buf_addf(why, "%s(): malformed parameter format \"%s\"", function, fmt);
        return CELERY_EINVAL;
    }
    struct call c = {
        .function = function, .why = why, .arena = a, .json_owner = json_owner};
    celery_status status = bind(&c, &p, args, kwargs);
    struct variables to;
    va_copy(to.list, variables);
    for (size_t i = 0; i < p.n && status == CELERY_OK; i++) {
        status = store(&c, &p.list[i], &to);
    }
    va_end(to.list);
    return status;
}
