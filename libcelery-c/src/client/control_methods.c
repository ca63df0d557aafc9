/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of Celery's workers, and their arguments from words. */
#include "base/error.h"
#include "base/slice.h"
#include "client/control.h"
#include <math.h>
#include <strings.h>

/* celery/worker/control.py; election has no words there either. */
static const celery_control_method methods[] = {
    {"active", false, false, "", NULL, "", "List of tasks currently being executed."},
    {"active_queues", false, false, "", NULL, "",
     "List the task queues a worker is currently consuming from."},
    {"add_consumer", true, false,
     "queue:str exchange:str exchange_type:str routing_key:str", NULL,
     "<queue> [exchange [type [routing_key]]]",
     "Tell worker(s) to consume from task queue by name."},
    {"autoscale", true, false, "max:int min:int", NULL, "[max [min]]",
     "Modify autoscale settings."},
    {"cancel_consumer", true, false, "queue:str", NULL, "<queue>",
     "Tell worker(s) to stop consuming from task queue by name."},
    {"clock", false, false, "", NULL, "", "Get current logical clock value."},
    {"conf", false, false, "with_defaults:bool", NULL, "[include_defaults=False]",
     "List configuration."},
    {"disable_events", true, false, "", NULL, "",
     "Tell worker(s) to stop sending task-related events."},
    {"election", true, false, "", NULL, "", "Hold election."},
    {"enable_events", true, false, "", NULL, "",
     "Tell worker(s) to send task-related events."},
    {"heartbeat", true, false, "", NULL, "",
     "Tell worker(s) to send event heartbeat immediately."},
    {"hello", false, true, "from_node:str", NULL, "<from_node>",
     "Request mingle sync-data."},
    {"memdump", false, false, "samples:int", NULL, "[n_samples=10]",
     "Dump statistics of previous memsample requests."},
    {"memsample", false, false, "", NULL, "", "Sample current RSS memory usage."},
    {"objgraph", false, false, "type:str num:int max_depth:int", NULL,
     "[object_type=Request] [num=200 [max_depth=10]]",
     "Create graph of uncollected objects (Python workers only)."},
    {"ping", false, false, "", NULL, "", "Ping worker(s)."},
    {"pool_grow", true, false, "n:int", NULL, "[N=1]",
     "Grow pool by n processes/threads."},
    {"pool_restart", true, false, "", NULL, "", "Restart execution pool."},
    {"pool_shrink", true, false, "n:int", NULL, "[N=1]",
     "Shrink pool by n processes/threads."},
    {"query_task", false, false, "", "ids", "[id1 [id2 [... [idN]]]]",
     "Query for task information by id."},
    {"rate_limit", true, false, "task_name:str rate_limit:str", NULL,
     "<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
     "Tell worker(s) to modify the rate limit for a task by type."},
    {"registered", false, false, "", "taskinfoitems", "[attr1 [attr2 [... [attrN]]]]",
     "List of registered tasks."},
    {"report", false, false, "", NULL, "",
     "Information about Celery installation for bug reports."},
    {"reserved", false, false, "", NULL, "",
     "List of currently reserved tasks, not including scheduled/active."},
    {"revoke", true, false, "", "task_id", "[id1 [id2 [... [idN]]]]",
     "Revoke task by task id (or list of ids)."},
    {"revoke_by_stamped_headers", true, false, "", "headers",
     "[key1=value1 [key2=value2 [... [keyN=valueN]]]]",
     "Revoke task by header (or list of headers)."},
    {"revoked", false, false, "", NULL, "", "List of revoked task-ids."},
    {"scheduled", false, false, "", NULL, "",
     "List of currently scheduled ETA/countdown tasks."},
    {"shutdown", true, false, "", NULL, "", "Shutdown worker(s)."},
    {"stats", false, false, "", NULL, "", "Request worker statistics/information."},
    {"terminate", true, false, "signal:str", "task_id",
     "<signal> [id1 [id2 [... [idN]]]]", "Terminate task by task id (or list of ids)."},
    {"time_limit", true, false, "task_name:str soft:float hard:float", NULL,
     "<task_name> <soft_secs> [hard_secs]",
     "Tell worker(s) to modify the time limit for task by type."},
    {NULL, false, false, NULL, NULL, NULL, NULL},
};

const celery_control_method *celery_control_methods(void)
{
    return methods;
}

const celery_control_method *celery_control_method_named(const char *name)
{
    for (const celery_control_method *m = methods; m->name && name; m++) {
        if (strcmp(m->name, name) == 0) {
            return m;
        }
    }
    return NULL;
}

/* ---- words ---- */

static struct cel_slice stripped(const char *word)
{
    struct cel_slice s = cel_slice_of(word);

    while (s.len > 0 && (*s.data == ' ' || *s.data == '\t' || *s.data == '\n')) {
        s = cel_slice(s.data + 1, s.len - 1);
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t' ||
                         s.data[s.len - 1] == '\n')) {
        s.len--;
    }
    return s;
}

/* celery/utils/serialization.py strtobool() */
static json_t *bool_of(const char *word)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"false", false}, {"no", false}, {"0", false}, {"off", false},
                 {"true", true},   {"yes", true}, {"1", true},  {"on", true}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(word, words[i].word) == 0) {
            return json_boolean(words[i].value);
        }
    }
    return NULL;
}

static json_t *int_of(const char *word)
{
    struct cel_slice s = stripped(word);
    int64_t value;

    if (s.len > 1 && *s.data == '+' && s.data[1] != '-') {
        s = cel_slice(s.data + 1, s.len - 1);
    }
    return cel_slice_to_int(s, &value) ? json_integer(value) : NULL;
}

static json_t *float_of(const char *word)
{
    double value;

    return cel_slice_to_double(stripped(word), &value) && isfinite(value)
               ? json_real(value)
               : NULL;
}

static json_t *value_of(const char *word, struct cel_slice type)
{
    if (cel_slice_is(type, "int")) {
        return int_of(word);
    }
    if (cel_slice_is(type, "float")) {
        return float_of(word);
    }
    return cel_slice_is(type, "bool") ? bool_of(word) : json_string(word);
}

/* The next "name:type" of the parameters. */
static bool next_parameter(struct cel_slice *rest, char name[256],
                           struct cel_slice *ret_type)
{
    struct cel_slice word;

    if (!cel_slice_split(rest, ' ', &word) || word.len == 0) {
        return false;
    }
    const char *colon = memchr(word.data, ':', word.len);
    size_t len = colon ? (size_t)(colon - word.data) : word.len;
    if (len > 255) {
        return false;
    }
    memcpy(name, word.data, len);
    name[len] = '\0';
    *ret_type = colon ? cel_slice(colon + 1, word.len - len - 1) : CEL_SLICE("str");
    return true;
}

static celery_status too_many(const celery_control_method *method, celery_error *err)
{
    return *method->signature
               ? cel_error_set(err, CELERY_EINVAL, "Command '%s' takes arguments: %s",
                               method->name, method->signature)
               : cel_error_set(err, CELERY_EINVAL, "Command '%s' takes no arguments",
                               method->name);
}

static celery_status fill(const celery_control_method *method, const char *const *words,
                          size_t n, json_t *arguments, celery_error *err)
{
    struct cel_slice rest = cel_slice_of(method->parameters), type;
    char name[256];
    size_t i = 0;

    for (; i < n && next_parameter(&rest, name, &type); i++) {
        json_t *value = value_of(words[i], type);

        if (!value) {
            return cel_error_set(err, CELERY_EINVAL,
                                 "Command '%s': %s is not a valid %.*s: %.60s",
                                 method->name, name, (int)type.len, type.data, words[i]);
        }
        json_object_set_new(arguments, name, value);
    }
    if (!method->variadic) {
        return i < n ? too_many(method, err) : CELERY_OK;
    }
    json_t *list = json_array();
    for (; i < n; i++) {
        if (json_array_append_new(list, json_string(words[i])) < 0) {
            json_decref(list);
            return cel_error_set(err, CELERY_EINVAL, "Command '%s': a word is not UTF-8",
                                 method->name);
        }
    }
    json_object_set_new(arguments, method->variadic, list);
    return CELERY_OK;
}

json_t *celery_control_arguments(const celery_control_method *method,
                                 const char *const *words, size_t n, celery_error *err)
{
    json_t *arguments = method ? json_object() : NULL;

    if (!arguments) {
        if (method) {
            cel_error_nomem(err);
        }
        return NULL;
    }
    if (fill(method, words, n, arguments, err) < 0) {
        json_decref(arguments);
        return NULL;
    }
    return arguments;
}
