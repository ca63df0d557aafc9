/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state_tool MAX_WORKERS MAX_TASKS: reads events, one JSON object a line as handlers of Celery
 * get them, and prints what celery/state.h makes of them as one JSON object.
 */
#include "base/slice.h"
#include "codec/doc.h"
#include <celery/state.h>
#include <stdio.h>
#include <stdlib.h>

static const char *text_of(struct cel_arena *a, const struct cel_node *n, const char *key)
{
    struct cel_slice s = cel_node_text(cel_node_get(n, cel_slice_of(key)));

    return s.data ? cel_arena_strndup(a, s.data, s.len) : NULL;
}

static double number_of(const struct cel_node *n, const char *key)
{
    return cel_node_double(cel_node_get(n, cel_slice_of(key)), 0);
}

static bool put(celery_state *s, const char *line)
{
    struct cel_arena a = {0};
    struct cel_node *n = NULL;
    bool ok = cel_json_parse(&a, cel_slice_of(line), NULL, &n, NULL) == CELERY_OK;

    if (ok) {
        const celery_event e = {
            .type = text_of(&a, n, "type"),
            .hostname = text_of(&a, n, "hostname"),
            .uuid = text_of(&a, n, "uuid"),
            .timestamp = number_of(n, "timestamp"),
            .received = number_of(n, "local_received"),
            .clock = (int64_t)number_of(n, "clock"),
            .pid = (int64_t)number_of(n, "pid"),
            .fields = n,
        };
        ok = celery_state_event(s, &e, NULL) >= 0;
    }
    cel_arena_fini(&a);
    return ok;
}

/* None where upstream has None. */
static json_t *real_or_null(double d, double none)
{
    return d == none ? json_null() : json_real(d);
}

static json_t *int_or_null(int64_t i)
{
    return i < 0 ? json_null() : json_integer(i);
}

static bool add_worker(void *ctx, const celery_state_worker *w)
{
    json_t *load = w->loadavg[0] < 0 ? json_null()
                                     : json_pack("[f, f, f]", w->loadavg[0],
                                                 w->loadavg[1], w->loadavg[2]);

    json_array_append_new(
        ctx,
        json_pack("{s:s, s:o, s:f, s:o, s:o, s:o, s:o, s:I, s:s?, s:s?, s:s?}",
                  "hostname", w->hostname, "heartbeat", real_or_null(w->heartbeat, 0),
                  "freq", w->freq, "pid", int_or_null(w->pid ? w->pid : -1), "active",
                  int_or_null(w->active), "processed", int_or_null(w->processed),
                  "loadavg", load, "clock", (json_int_t)w->clock, "sw_ident", w->ident,
                  "sw_ver", w->version, "sw_sys", w->system));
    return true;
}

static bool add_task(void *ctx, const celery_state_task *t)
{
    json_t *one = json_pack(
        "{s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, "
        "s:s?, s:s?}",
        "uuid", t->uuid, "state", t->state, "name", t->name, "worker", t->worker,
        "client", t->client, "args", t->args, "kwargs", t->kwargs, "result", t->result,
        "exception", t->exception, "traceback", t->traceback, "eta", t->eta, "expires",
        t->expires, "exchange", t->exchange, "routing_key", t->routing_key, "root_id",
        t->root_id, "parent_id", t->parent_id);
    const struct {
        const char *name;
        double value;
    } times[] = {
        {"sent", t->sent},           {"received", t->received},
        {"started", t->started},     {"failed", t->failed},
        {"retried", t->retried},     {"revoked", t->revoked},
        {"rejected", t->rejected},   {"succeeded", t->succeeded},
        {"timestamp", t->timestamp},
    };

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        json_object_set_new(one, times[i].name, real_or_null(times[i].value, 0));
    }
    json_object_set_new(one, "runtime", real_or_null(t->runtime, -1));
    json_object_set_new(one, "retries", int_or_null(t->retries));
    json_object_set_new(one, "clock", json_integer(t->clock));
    json_array_append_new(ctx, one);
    return true;
}

static bool add_type(void *ctx, const celery_state_type *t)
{
    json_object_set_new(ctx, t->name, json_integer((json_int_t)t->total));
    return true;
}

int main(int argc, char **argv)
{
    celery_state *s = argc == 3 ? celery_state_new(strtoul(argv[1], NULL, 10),
                                                   strtoul(argv[2], NULL, 10), NULL)
                                : NULL;
    json_t *workers = json_array(), *tasks = json_array(), *types = json_object();
    celery_state_counts counts;
    char *line = NULL;
    size_t size = 0;
    bool ok = s != NULL;

    while (ok && getline(&line, &size, stdin) > 0) {
        ok = put(s, line);
    }
    celery_state_count(s, 0, &counts);
    celery_state_each_worker(s, 0, add_worker, workers);
    celery_state_each_task(s, NULL, add_task, tasks, NULL);
    celery_state_each_type(s, add_type, types, NULL);
    json_t *all =
        json_pack("{s:I, s:I, s:o, s:o, s:o}", "event_count", (json_int_t)counts.events,
                  "task_count", (json_int_t)counts.received, "workers", workers, "tasks",
                  tasks, "types", types);
    if (ok && all) {
        json_dumpf(all, stdout, JSON_COMPACT);
    }
    json_decref(all);
    celery_state_free(s);
    free(line);
    return ok ? 0 : 1;
}
