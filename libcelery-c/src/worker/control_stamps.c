/* SPDX-License-Identifier: BSD-3-Clause */
/* revoke_by_stamped_headers (celery/worker/control.py). */
#include "base/clock.h"
#include "worker/control_revoke.h"
#include "worker/revoke.h"

static bool is_list(const struct cel_node *n)
{
    return n && n->kind == CELERY_KIND_ARRAY;
}

/* The values of one or many: for (v = first_of(n); v; v = next_of(n, v)). */
static const struct cel_node *first_of(const struct cel_node *n)
{
    return is_list(n) ? cel_node_first(n) : n;
}

static const struct cel_node *next_of(const struct cel_node *n, const struct cel_node *v)
{
    return is_list(n) ? v->next : NULL;
}

/* ---- headers ---- */

/* "key=value", as the command line sends them. */
static bool put_pair(struct cel_control_call *c, struct cel_node *map,
                     const struct cel_node *pair)
{
    struct cel_slice rest = cel_node_text(pair), key, value;

    return cel_slice_split(&rest, '=', &key) && cel_slice_split(&rest, '=', &value) &&
           cel_node_put(c->arena, map, key, cel_node_new_string(c->arena, value)) ==
               CELERY_OK;
}

/* A map of headers, or NULL with what is wrong. */
static const struct cel_node *read_headers(struct cel_control_call *c,
                                           struct cel_node **ret_error)
{
    const struct cel_node *headers = cel_control_arg(c, "headers");
    struct cel_node *map = cel_node_new(c->arena, CELERY_KIND_OBJECT);

    *ret_error = NULL;
    if (headers && headers->kind == CELERY_KIND_OBJECT) {
        return headers;
    }
    if (!is_list(headers)) {
        *ret_error = cel_control_raise(c, "TypeError", "headers is no map and no list");
        return NULL;
    }
    for (const struct cel_node *n = cel_node_first(headers); n && map; n = n->next) {
        if (!put_pair(c, map, n)) {
            *ret_error = cel_control_raise(c, "IndexError", "list index out of range");
            return NULL;
        }
    }
    return map;
}

static void add_stamps(struct celery_worker *w, const struct cel_node *headers)
{
    const struct cel_node *v;

    for (const struct cel_node *k = cel_node_first(headers); k; k = v->next) {
        v = k->next;
        for (const struct cel_node *s = first_of(v); s; s = next_of(v, s)) {
            cel_revoked_add_stamp(&w->revoked, cel_node_text(k), s, cel_clock_mono());
        }
    }
}

/* ---- requests ---- */

static bool has_equal(const struct cel_node *list, const struct cel_node *value)
{
    for (const struct cel_node *n = first_of(list); n; n = next_of(list, n)) {
        if (cel_node_equal(n, value)) {
            return true;
        }
    }
    return false;
}

/* Adds to the array of a header in matched; false: no memory. */
static bool note_match(struct cel_control_call *c, struct cel_node *matched,
                       struct cel_slice header, const struct cel_node *value)
{
    struct cel_node *list = (struct cel_node *)cel_node_get(matched, header);

    if (!list) {
        list = cel_node_new(c->arena, CELERY_KIND_ARRAY);
        if (cel_node_put(c->arena, matched, header, list) < 0) {
            return false;
        }
    }
    return has_equal(list, value) ||
           cel_node_append(list, cel_node_copy(c->arena, value)) == CELERY_OK;
}

/* What of the headers a request is stamped with; notes each. */
static bool matches(struct cel_control_call *c, const struct cel_request *r,
                    const struct cel_node *headers, struct cel_node *matched)
{
    const struct cel_node *v;
    bool any = false;

    for (const struct cel_node *k = cel_node_first(headers); k; k = v->next) {
        struct cel_slice header = cel_node_text(k);
        const struct cel_node *stamps = cel_node_get(r->job.call.stamps, header);

        v = k->next;
        for (const struct cel_node *s = first_of(stamps); s; s = next_of(stamps, s)) {
            if (has_equal(v, s)) {
                any = true;
                note_match(c, matched, header, s);
            }
        }
    }
    return any;
}

static bool end_requests(struct cel_control_call *c, const struct cel_node *headers,
                         struct cel_node *matched, int signal)
{
    struct celery_worker *w = c->w;
    bool able = true;
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (r->state >= CEL_REQ_REPORTING ||
            !cel_revoked_has(&w->revoked, &r->job.call, cel_clock_mono())) {
            continue;
        }
        if (cel_revoke_unstarted(r)) {
            continue;
        }
        if (signal && matches(c, r, headers, matched)) {
            able = cel_revoke_terminate(r, signal) && able;
        }
    }
    return able;
}

/* ---- the answer ---- */

/* repr() of defaultdict(set). */
static void write_matched(struct cel_buf *out, const struct cel_node *matched)
{
    const struct cel_node *v;
    bool first = true;

    cel_buf_adds(out, "headers defaultdict(<class 'set'>, {");
    for (const struct cel_node *k = cel_node_first(matched); k; k = v->next) {
        v = k->next;
        cel_buf_adds(out, first ? "" : ", ");
        first = false;
        cel_repr_string(out, cel_node_text(k));
        cel_buf_adds(out, ": {");
        for (const struct cel_node *s = cel_node_first(v); s; s = s->next) {
            cel_repr(out, s, 0);
            cel_buf_adds(out, s->next ? ", " : "}");
        }
    }
    cel_buf_adds(out, "}) revoked");
}

struct cel_node *cel_control_revoke_stamped(struct cel_control_call *c)
{
    struct cel_node *error = NULL;
    bool terminate = cel_node_truth(cel_control_arg(c, "terminate"));
    int signal = cel_control_signal(c, &error);
    const struct cel_node *headers = signal ? read_headers(c, &error) : NULL;
    struct cel_node *matched = cel_node_new(c->arena, CELERY_KIND_OBJECT);
    struct cel_buf text = {0};

    if (!headers || !matched) {
        return error;
    }
    add_stamps(c->w, headers);
    if (!end_requests(c, headers, matched, terminate ? signal : 0)) {
        return cel_control_raise(c, "NotImplementedError",
                                 "the pool %s does not implement kill_job",
                                 c->w->pool->ops->name);
    }
    if (terminate && matched->size > 0) {
        write_matched(&text, matched);
    } else {
        cel_buf_adds(&text, "headers ");
        cel_repr(&text, headers, 0);
        cel_buf_adds(&text, terminate ? " were not terminated"
                                      : " flagged as revoked, but not terminated");
    }
    struct cel_node *value = cel_control_map(c, "ok", cel_control_text(c, &text));
    cel_buf_fini(&text);
    return value;
}
