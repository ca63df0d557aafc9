/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/control_revoke.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/revoke.h"

#include <signal.h>
#include <string.h>

/* Ids of one command, each once, and what became of them. */
struct revoking {
    struct cel_control_call *c;
    struct cel_slice *ids;
    size_t n;
    struct cel_map by_id; /* struct cel_slice of ids; taken out when one is held here */
    int signal;           /* 0: what runs goes on */
    struct cel_buf terminated;
    bool refused; /* this pool cannot end a task */
};

/* ---- signals ---- */

/* celery/platforms.py Signals.signum(). */
int cel_control_signal(struct cel_control_call *c, struct cel_node **ret_error)
{
    const struct cel_node *n = cel_control_arg(c, "signal");
    struct cel_slice name = cel_node_text(n);

    *ret_error = NULL;
    if (!cel_node_truth(n)) {
        return SIGTERM;
    }
    if (n->kind == CELERY_KIND_INT) {
        int64_t number = cel_node_int(n, 0);

        if (number > 0 && number < NSIG) {
            return (int)number;
        }
        *ret_error = cel_control_raise(c, "ValueError", "signal number out of range");
        return 0;
    }
    if (cel_slice_starts(name, CEL_SLICE("SIG"))) {
        name = cel_slice(name.data + 3, name.len - 3);
    }
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);

        if (cel_node_is_string(n) && known && cel_slice_is(name, known)) {
            return i;
        }
    }
    if (!cel_node_is_string(n)) {
        *ret_error =
            cel_control_raise(c, "TypeError", "signal name must be uppercase string.");
    } else {
        *ret_error = cel_control_raise(c, "AttributeError",
                                       "module 'signal' has no attribute 'SIG%s'",
                                       cel_log_safe(name));
    }
    return 0;
}

/* ---- ids ---- */

static celery_status add_id(struct revoking *v, const struct cel_node *n)
{
    struct cel_slice id = cel_node_text(n);
    struct cel_slice *known = cel_map_get(&v->by_id, id);

    if (known) {
        return CELERY_OK;
    }
    v->ids[v->n] = id;
    return cel_map_set(&v->by_id, id, &v->ids[v->n++], NULL);
}

/* A text or a list of texts; NULL and an error in *ret_error otherwise. */
static bool read_ids(struct revoking *v, struct cel_node **ret_error)
{
    const struct cel_node *list = cel_control_arg(v->c, "task_id");
    bool one = cel_node_is_string(list);
    size_t n = one ? 1 : list && list->kind == CELERY_KIND_ARRAY ? list->size : 0;

    *ret_error = NULL;
    v->ids = cel_arena_alloc(v->c->arena, (n + 1) * sizeof *v->ids);
    if (!v->ids || (one && add_id(v, list) < 0)) {
        return false;
    }
    for (const struct cel_node *id = one ? NULL : cel_node_first(list); id && n > 0;
         id = id->next) {
        if (!cel_node_is_string(id)) {
            *ret_error = cel_control_raise(v->c, "TypeError", "a task id is no text");
            return false;
        }
        if (add_id(v, id) < 0) {
            return false;
        }
    }
    return true;
}

/* ---- what is held here ---- */

static void note_terminated(struct revoking *v, const struct cel_request *r)
{
    cel_log(CELERY_LOG_INFO, "Terminating %s (%d)", cel_log_safe(r->job.call.id),
            v->signal);
    cel_buf_adds(&v->terminated, v->terminated.len > 0 ? ", " : "");
    cel_buf_add_slice(&v->terminated, r->job.call.id);
}

static void revoke_held(struct revoking *v)
{
    struct celery_worker *w = v->c->w;
    struct cel_list *it;
    struct cel_list *next;

    cel_list_foreach(it, next, &w->requests) {
        struct cel_request *r = cel_container_of(it, struct cel_request, node);

        if (r->state >= CEL_REQ_REPORTING || !cel_map_del(&v->by_id, r->job.call.id)) {
            continue;
        }
        if (v->signal) {
            note_terminated(v, r);
            v->refused = !cel_revoke_terminate(r, v->signal) || v->refused;
        } else {
            cel_revoke_unstarted(r);
        }
    }
}

static void mark_others(struct revoking *v)
{
    size_t n = 0;

    for (size_t i = 0; i < v->n; i++) {
        if (cel_map_get(&v->by_id, v->ids[i])) {
            v->ids[n++] = v->ids[i];
        }
    }
    cel_control_mark_revoked(v->c->w, v->ids, n);
}

/* ---- what is answered ---- */

/* repr() of a Python set. */
static struct cel_node *flagged(struct revoking *v)
{
    struct cel_buf text = {0};

    cel_buf_adds(&text, v->n ? "tasks {" : "tasks set(");
    for (size_t i = 0; i < v->n; i++) {
        cel_buf_adds(&text, i ? ", " : "");
        cel_repr_string(&text, v->ids[i]);
    }
    cel_buf_adds(&text, v->n ? "} flagged as revoked" : ") flagged as revoked");
    struct cel_node *value = cel_control_map(v->c, "ok", cel_control_text(v->c, &text));
    cel_buf_fini(&text);
    return value;
}

static struct cel_node *terminated(struct revoking *v)
{
    struct cel_buf text = {0};

    if (v->refused) {
        return cel_control_raise(v->c, "NotImplementedError",
                                 "the pool %s does not implement kill_job",
                                 v->c->w->pool->ops->name);
    }
    if (v->terminated.len == 0) {
        return cel_control_ok(v->c, "terminate: tasks unknown");
    }
    cel_buf_adds(&text, "terminate: ");
    cel_buf_add_slice(&text, cel_buf_slice(&v->terminated));
    struct cel_node *value = cel_control_map(v->c, "ok", cel_control_text(v->c, &text));
    cel_buf_fini(&text);
    return value;
}

static void tell_flagged(const struct revoking *v)
{
    struct cel_buf text = {0};

    if (!cel_log_on(CELERY_LOG_INFO)) {
        return;
    }
    for (size_t i = 0; i < v->n && text.len < 1000; i++) {
        cel_buf_adds(&text, i ? ", " : "");
        cel_buf_adds(&text, cel_log_safe(v->ids[i]));
    }
    cel_log(CELERY_LOG_INFO, "Tasks flagged as revoked: %s", cel_buf_cstr(&text));
    cel_buf_fini(&text);
}

static struct cel_node *revoke_ids(struct cel_control_call *c, bool terminate)
{
    struct revoking v = {.c = c};
    struct cel_node *value = NULL;

    if (terminate) {
        v.signal = cel_control_signal(c, &value);
        if (!v.signal) {
            return value;
        }
    }
    if (read_ids(&v, &value)) {
        for (size_t i = 0; i < v.n; i++) {
            cel_revoked_add(&c->w->revoked, v.ids[i], cel_clock_mono());
        }
        if (!terminate) {
            tell_flagged(&v);
            value = flagged(&v);
        }
        revoke_held(&v);
        if (terminate) {
            value = terminated(&v);
        }
        mark_others(&v);
    }
    cel_buf_fini(&v.terminated);
    cel_map_fini(&v.by_id);
    return value;
}

struct cel_node *cel_control_revoke(struct cel_control_call *c)
{
    return revoke_ids(c, cel_node_truth(cel_control_arg(c, "terminate")));
}

struct cel_node *cel_control_terminate(struct cel_control_call *c)
{
    return revoke_ids(c, true);
}
