/* SPDX-License-Identifier: BSD-3-Clause */
#include "create.h"

#include <stdlib.h>
#include <string.h>

/* What the task reads of one todo; NULL: the key is not there. */
struct todo {
    const celery_value *id, *title, *description, *deadline;
};

static const char *type_name(const celery_value *v)
{
    switch (celery_value_kind(v)) {
    case CELERY_KIND_NULL:
        return "NoneType";
    case CELERY_KIND_FALSE:
    case CELERY_KIND_TRUE:
        return "bool";
    case CELERY_KIND_INT:
        return "int";
    case CELERY_KIND_FLOAT:
        return "float";
    case CELERY_KIND_STRING:
        return "str";
    case CELERY_KIND_BYTES:
        return "bytes";
    case CELERY_KIND_ARRAY:
        return "list";
    case CELERY_KIND_OBJECT:
        return "dict";
    }
    return "object";
}

/* Python's `not v`; a missing key counts as None. */
static bool is_false(const celery_value *v)
{
    double number = 1;
    size_t len = 0;

    switch (celery_value_kind(v)) {
    case CELERY_KIND_NULL:
    case CELERY_KIND_FALSE:
        return true;
    case CELERY_KIND_INT:
    case CELERY_KIND_FLOAT:
        return celery_value_double(v, &number) && number == 0;
    case CELERY_KIND_STRING:
    case CELERY_KIND_BYTES:
        celery_value_text(v, &len);
        return len == 0;
    case CELERY_KIND_ARRAY:
    case CELERY_KIND_OBJECT:
        return celery_value_size(v) == 0;
    case CELERY_KIND_TRUE:
        break;
    }
    return false;
}

static bool raise_type(struct exception *e, const char *type, const char *before,
                       const celery_value *v, const char *after)
{
    exception_raise(e, type, before);
    text_adds(&e->message, type_name(v));
    text_adds(&e->message, after);
    return false;
}

static bool raise_key(struct exception *e, const char *key)
{
    exception_raise(e, "KeyError", key);
    text_addf(&e->shown, "'%s'", key);
    return false;
}

/* What task["id"], or task.get("deadline_at"), raises when a task is no dict. */
static bool raise_no_dict(const struct ical_options *o, const celery_value *element,
                          bool is_text, struct exception *e)
{
    celery_kind kind = is_text ? CELERY_KIND_STRING : celery_value_kind(element);

    if (o->missing == ICAL_MISSING_SKIP && is_text) {
        exception_raise(e, "AttributeError", "'str' object has no attribute 'get'");
    } else if (o->missing == ICAL_MISSING_SKIP) {
        raise_type(e, "AttributeError", "'", element, "' object has no attribute 'get'");
    } else if (kind == CELERY_KIND_STRING) {
        exception_raise(e, "TypeError", "string indices must be integers");
        text_adds(&e->message, o->old_indices ? "" : ", not 'str'");
    } else if (kind == CELERY_KIND_BYTES) {
        exception_raise(e, "TypeError",
                        "byte indices must be integers or slices, not str");
    } else if (kind == CELERY_KIND_ARRAY) {
        exception_raise(e, "TypeError",
                        "list indices must be integers or slices, not str");
    } else {
        raise_type(e, "TypeError", "'", element, "' object is not subscriptable");
    }
    return false;
}

static void read_todo(const celery_value *task, struct todo *ret)
{
    *ret = (struct todo){0};
    for (const celery_value *key = celery_value_first(task); key;) {
        const celery_value *value = celery_value_next(key);
        size_t len = 0;
        const char *name = celery_value_text(key, &len);

        if (len == 2 && memcmp(name, "id", 2) == 0) {
            ret->id = value;
        } else if (len == 5 && memcmp(name, "title", 5) == 0) {
            ret->title = value;
        } else if (len == 11 && memcmp(name, "description", 11) == 0) {
            ret->description = value;
        } else if (len == 11 && memcmp(name, "deadline_at", 11) == 0) {
            ret->deadline = value;
        }
        key = celery_value_next(value);
    }
}

/* Bytes, which only other serializers than JSON have, as text.decode("utf-8", "replace"). */
static void add_bytes(struct ical_writer *w, const char *name, const char *bytes,
                      size_t len)
{
    struct text t = {0};

    for (size_t at = 0; at < len;) {
        size_t from = at;

        if (text_next(bytes, len, &at) == 0xfffd) {
            text_adds(&t, "\xef\xbf\xbd");
        } else {
            text_add(&t, bytes + from, at - from);
        }
    }
    w->out.failed |= t.failed;
    ical_text(w, name, t.data ? t.data : "", t.len);
    text_free(&t);
}

/* One property whose value is str(v). */
static void add_value(struct ical_writer *w, const char *name, const celery_value *v)
{
    size_t len = 0;
    const char *text = celery_value_text(v, &len);

    switch (celery_value_kind(v)) {
    case CELERY_KIND_NULL:
        ical_text(w, name, "None", 4);
        return;
    case CELERY_KIND_TRUE:
        ical_text(w, name, "True", 4);
        return;
    case CELERY_KIND_FALSE:
        ical_text(w, name, "False", 5);
        return;
    case CELERY_KIND_STRING:
        ical_text(w, name, text, len);
        return;
    case CELERY_KIND_BYTES:
        add_bytes(w, name, text, len);
        return;
    case CELERY_KIND_INT:
    case CELERY_KIND_FLOAT:
    case CELERY_KIND_ARRAY:
    case CELERY_KIND_OBJECT:
        break;
    }
    char *repr = celery_value_repr(v, 0);

    if (repr) {
        ical_text(w, name, repr, strlen(repr));
    } else {
        w->out.failed = true;
    }
    free(repr);
}

/* icalendar's Component.add() makes one property of each element of a list. */
static void add_property(struct ical_writer *w, const char *name, const celery_value *v)
{
    if (celery_value_kind(v) != CELERY_KIND_ARRAY) {
        add_value(w, name, v);
        return;
    }
    for (v = celery_value_first(v); v; v = celery_value_next(v)) {
        add_value(w, name, v);
    }
}

/* The ValueError that quotes the text.  repr() never has a Z of its own to lose. */
static bool raise_no_match(const struct ical_options *o, const celery_value *v,
                           struct exception *e)
{
    char *repr = celery_value_repr(v, 0);
    bool strict = o->dates == ICAL_DATES_STRICT;

    exception_raise(e, "ValueError",
                    strict ? "time data " : "Invalid isoformat string: ");
    for (const char *p = repr; p && *p; p++) {
        if (o->dates != ICAL_DATES_OPTIONAL || *p != 'Z') {
            text_add(&e->message, p, 1);
        }
    }
    text_adds(&e->message, strict ? " does not match format '%Y-%m-%dT%H:%M:%S'" : "");
    e->message.failed |= !repr;
    free(repr);
    return false;
}

/* strptime(deadline.replace("Z", "")), and if that raises a ValueError, fromisoformat(). */
static enum date_status read_optional(const char *text, size_t len, struct datetime *ret,
                                      struct exception *e)
{
    struct text t = {0};

    for (size_t i = 0; i < len; i++) {
        if (text[i] != 'Z') {
            text_add(&t, text + i, 1);
        }
    }
    text_add(&t, "", 0);
    enum date_status status = DATE_RAISED;

    if (t.failed) {
        exception_raise(e, "MemoryError", "");
    } else {
        status = date_strptime(t.data, t.len, ret, e);
    }
    if (!t.failed && status != DATE_OK) {
        exception_clear(e);
        status = date_fromisoformat(t.data, t.len, ret, e);
    }
    text_free(&t);
    return status;
}

static bool raise_no_text(const struct ical_options *o, const celery_value *v,
                          struct exception *e)
{
    if (o->dates == ICAL_DATES_ISO) {
        exception_raise(e, "TypeError", "fromisoformat: argument must be str");
        return false;
    }
    if (o->dates == ICAL_DATES_OPTIONAL) {
        return raise_type(e, "AttributeError", "'", v,
                          "' object has no attribute 'replace'");
    }
    if (celery_value_kind(v) == CELERY_KIND_NULL) { /* CPython says None, not NoneType */
        exception_raise(e, "TypeError", "strptime() argument 1 must be str, not None");
        return false;
    }
    return raise_type(e, "TypeError", "strptime() argument 1 must be str, not ", v, "");
}

static bool read_deadline(const struct ical_options *o, const celery_value *v,
                          struct datetime *ret, struct exception *e)
{
    enum date_status status;
    size_t len = 0;

    if (celery_value_kind(v) != CELERY_KIND_STRING) {
        return raise_no_text(o, v, e);
    }
    const char *text = celery_value_text(v, &len);

    switch (o->dates) {
    case ICAL_DATES_ISO:
        status = date_fromisoformat(text, len, ret, e);
        break;
    case ICAL_DATES_OPTIONAL:
        status = read_optional(text, len, ret, e);
        break;
    case ICAL_DATES_STRICT:
    default:
        status = date_strptime(text, len, ret, e);
        break;
    }
    if (status == DATE_OK && ret->aware && o->offsets == ICAL_OFFSETS_UTC) {
        status = date_to_utc(ret, e);
    }
    return status == DATE_OK || (status == DATE_NO_MATCH && raise_no_match(o, v, e));
}

/*
 * One pass of the task's loop.  The lines are written at once, in icalendar's order; a text
 * that cannot be encoded waits in w->exception, because Python meets it only after all dates.
 */
static bool add_todo(const struct ical_options *o, const struct todo *t,
                     struct ical_writer *w, struct exception *e)
{
    bool empty = o->null_description == ICAL_NULL_EMPTY;
    bool undated = o->missing != ICAL_MISSING_ERROR && is_false(t->deadline);
    struct datetime start;

    if (undated && o->missing == ICAL_MISSING_SKIP) {
        return true;
    }
    if (!t->id || !t->title) {
        return raise_key(e, !t->id ? "id" : "title");
    }
    if (!t->description && !empty) {
        return raise_key(e, "description");
    }
    if (!t->deadline && !undated) {
        return raise_key(e, "deadline_at");
    }
    if (!undated && !read_deadline(o, t->deadline, &start, e)) {
        return false;
    }
    ical_begin_event(w);
    add_property(w, "SUMMARY", t->title);
    if (!undated) {
        ical_start(w, &start);
    }
    add_property(w, "UID", t->id);
    if (empty && is_false(t->description)) {
        ical_text(w, "DESCRIPTION", "", 0);
    } else {
        add_property(w, "DESCRIPTION", t->description);
    }
    ical_end_event(w);
    return true;
}

/* `for task in tasks`, with what Python does when it is no list. */
static bool add_todos(const struct ical_options *o, const celery_value *tasks,
                      struct ical_writer *w, struct exception *e)
{
    celery_kind kind = celery_value_kind(tasks);

    if (kind == CELERY_KIND_STRING || kind == CELERY_KIND_OBJECT) {
        return is_false(tasks) ||
               raise_no_dict(o, NULL, true, e); /* characters, or keys */
    }
    if (kind == CELERY_KIND_BYTES && !is_false(tasks)) {
        exception_raise(e, "TypeError", "'int' object is not subscriptable");
        return false;
    }
    if (kind != CELERY_KIND_ARRAY && kind != CELERY_KIND_BYTES) {
        return raise_type(e, "TypeError", "'", tasks, "' object is not iterable");
    }
    for (const celery_value *v = celery_value_first(tasks); v; v = celery_value_next(v)) {
        struct todo todo;

        if (celery_value_kind(v) != CELERY_KIND_OBJECT) {
            return raise_no_dict(o, v, false, e);
        }
        read_todo(v, &todo);
        if (!add_todo(o, &todo, w, e)) {
            return false;
        }
    }
    return true;
}

bool ical_create(const struct ical_options *o, const celery_value *tasks,
                 struct ical_writer *w)
{
    struct exception raised = {0};

    ical_begin(w, o->output, o->prodid);
    if (!add_todos(o, tasks, w, &raised)) {
        exception_clear(&w->exception);
        w->exception = raised;
        return false;
    }
    ical_end(w);
    if (w->out.failed) {
        exception_raise(&w->exception, "MemoryError", "");
    }
    return !w->exception.type;
}
