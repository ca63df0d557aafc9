/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/sqs_options.h"
#include "base/error.h"
#include "config/config.h"
#include "transport/option.h"
#include "transport/sqs_name.h"
#include <stdio.h>

/* kombu/transport/SQS.py Channel.default_visibility_timeout, default_wait_time_seconds. */
enum { VISIBILITY = 1800, WAIT = 10, MAX_WAIT = 20, MIN_HOLD = 10 };

struct reading {
    struct cel_sqs_options *o;
    const char *option; /* the one being read */
    celery_error *err;
};

static celery_status wrong(struct reading *r, const char *wanted)
{
    return cel_error_set(r->err, CELERY_ECONFIG,
                         "broker_transport_options: %s must be %s", r->option, wanted);
}

static celery_status read_text(struct reading *r, const struct cel_node *v,
                               const char **field)
{
    struct cel_slice text = cel_node_text(v);

    if (cel_node_is_null(v)) {
        return CELERY_OK;
    }
    if (!cel_node_is_string(v) || memchr(text.data ? text.data : "", 0, text.len)) {
        return wrong(r, "a string");
    }
    *field = cel_arena_strndup(&r->o->arena, text.data ? text.data : "", text.len);
    return *field ? CELERY_OK : cel_error_nomem(r->err);
}

static celery_status read_object(struct reading *r, const struct cel_node *v,
                                 const struct cel_node **field)
{
    if (cel_node_is_null(v)) {
        return CELERY_OK;
    }
    if (v->kind != CELERY_KIND_OBJECT) {
        return wrong(r, "a map");
    }
    *field = cel_node_copy(&r->o->arena, v);
    return *field ? CELERY_OK : cel_error_nomem(r->err);
}

static celery_status read_region(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, &r->o->region);
}

static celery_status read_endpoint(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, &r->o->endpoint);
}

static celery_status read_prefix(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, &r->o->prefix);
}

static celery_status read_role(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, &r->o->role_arn);
}

static celery_status read_role_seconds(struct reading *r, const struct cel_node *v)
{
    r->o->role_seconds = cel_node_double(v, 0);
    return r->o->role_seconds >= 900 && r->o->role_seconds <= 43200
               ? CELERY_OK
               : wrong(r, "from 900 to 43200 seconds");
}

static celery_status read_visibility(struct reading *r, const struct cel_node *v)
{
    double seconds = cel_node_is_null(v) ? VISIBILITY : cel_node_double(v, -1);

    if (!(seconds >= 0 && seconds <= CEL_SQS_DAY_LIMIT)) {
        return wrong(r, "from 0 to 43200 seconds");
    }
    r->o->visibility = seconds > 0 ? (int64_t)seconds : VISIBILITY;
    return CELERY_OK;
}

static celery_status read_wait(struct reading *r, const struct cel_node *v)
{
    double seconds = cel_node_double(v, -1);

    if (!(seconds >= 0 && seconds <= MAX_WAIT)) {
        return wrong(r, "from 0 to 20 seconds");
    }
    r->o->wait = (int64_t)seconds;
    return CELERY_OK;
}

static celery_status read_hold_limit(struct reading *r, const struct cel_node *v)
{
    double seconds = cel_node_double(v, -1);

    if (!(seconds >= MIN_HOLD && seconds <= CEL_SQS_DAY_LIMIT)) {
        return wrong(r, "from 10 to 43200 seconds");
    }
    r->o->hold_limit = (int64_t)seconds;
    return CELERY_OK;
}

static celery_status read_secure(struct reading *r, const struct cel_node *v)
{
    r->o->secure = cel_node_truth(v);
    return CELERY_OK;
}

static celery_status read_base64(struct reading *r, const struct cel_node *v)
{
    r->o->plain = !cel_node_truth(v);
    return CELERY_OK;
}

static celery_status read_fanout(struct reading *r, const struct cel_node *v)
{
    r->o->fanout = cel_node_truth(v);
    return CELERY_OK;
}

static celery_status read_creation(struct reading *r, const struct cel_node *v)
{
    return read_object(r, v, &r->o->creation);
}

static celery_status read_tags(struct reading *r, const struct cel_node *v)
{
    return read_object(r, v, &r->o->tags);
}

static celery_status read_exchanges(struct reading *r, const struct cel_node *v)
{
    return read_object(r, v, &r->o->exchanges);
}

/* ---- predefined_queues ---- */

static celery_status read_backoff(struct reading *r, const struct cel_node *v,
                                  struct cel_sqs_predefined *p)
{
    const struct cel_node *key, *value;
    struct cel_sqs_step *steps;

    if (cel_node_is_null(v)) {
        return CELERY_OK;
    }
    if (v->kind != CELERY_KIND_OBJECT) {
        return wrong(r, "a map whose backoff_policy maps receipts to seconds");
    }
    p->backoff = steps = cel_arena_alloc(&r->o->arena, (v->size + 1) * sizeof *steps);
    if (!steps) {
        return cel_error_nomem(r->err);
    }
    for (key = cel_node_first(v); key; key = value->next) {
        struct cel_sqs_step *s = &steps[p->n_backoff++];

        value = key->next;
        s->seconds = cel_node_int(value, -1);
        if (!cel_slice_to_int(cel_node_text(key), &s->receives) || s->seconds < 0 ||
            s->seconds > CEL_SQS_DAY_LIMIT) {
            return wrong(r, "a map whose backoff_policy maps receipts to seconds");
        }
    }
    return CELERY_OK;
}

static celery_status check_fifo(struct reading *r, const struct cel_sqs_predefined *p)
{
    if (cel_sqs_name_is_fifo(p->name) == cel_sqs_name_is_fifo(p->url)) {
        return CELERY_OK;
    }
    return cel_error_set(r->err, CELERY_ECONFIG,
                         "predefined_queues: the name %.60s and the URL %.100s must both "
                         "end with .fifo, or neither",
                         p->name, p->url);
}

static celery_status read_one_predefined(struct reading *r, struct cel_slice name,
                                         const struct cel_node *v,
                                         struct cel_sqs_predefined *p)
{
    const struct cel_node *tasks = cel_node_get(v, CEL_SLICE("backoff_tasks"));
    celery_status st = CELERY_OK;
    const struct {
        const char *name;
        const char **field;
    } texts[] = {
        {"url", &p->url},
        {"access_key_id", &p->access_key},
        {"secret_access_key", &p->secret_key},
        {"region", &p->region},
    };

    p->name = cel_arena_strndup(&r->o->arena, name.data, name.len);
    if (!p->name) {
        return cel_error_nomem(r->err);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts && st == 0; i++) {
        st = read_text(r, cel_node_get(v, cel_slice_of(texts[i].name)), texts[i].field);
    }
    if (st < 0) {
        return st;
    }
    if (!p->url) {
        return wrong(r, "a map of maps that have a url");
    }
    if (!cel_node_is_null(tasks)) {
        p->backoff_tasks = cel_node_copy(&r->o->arena, tasks);
    }
    st = read_backoff(r, cel_node_get(v, CEL_SLICE("backoff_policy")), p);
    return st < 0 ? st : check_fifo(r, p);
}

static celery_status read_predefined(struct reading *r, const struct cel_node *v)
{
    const struct cel_node *key, *value;
    struct cel_sqs_predefined *all;

    if (!cel_node_truth(v)) {
        return CELERY_OK;
    }
    if (v->kind != CELERY_KIND_OBJECT) {
        return wrong(r, "a map of queues");
    }
    r->o->predefined = all = cel_arena_alloc(&r->o->arena, (v->size + 1) * sizeof *all);
    if (!all) {
        return cel_error_nomem(r->err);
    }
    r->o->closed_world = true;
    memset(all, 0, (v->size + 1) * sizeof *all);
    for (key = cel_node_first(v); key; key = value->next) {
        value = key->next;
        celery_status st =
            read_one_predefined(r, cel_node_text(key), value, &all[r->o->n_predefined]);
        if (st < 0) {
            return st;
        }
        r->o->n_predefined++;
    }
    return CELERY_OK;
}

/* ---- all of them ---- */

static const struct option {
    const char *name;
    /* NULL: it concerns how Python's libraries do it, which is done otherwise here */
    celery_status (*read)(struct reading *r, const struct cel_node *v);
} known[] = {
    {"region", read_region},
    {"endpoint_url", read_endpoint},
    {"visibility_timeout", read_visibility},
    {"wait_time_seconds", read_wait},
    {"hold_limit", read_hold_limit},
    {"polling_interval", NULL},
    {"queue_name_prefix", read_prefix},
    {"predefined_queues", read_predefined},
    {"predefined_exchanges", read_exchanges},
    {"supports_fanout", read_fanout},
    {"sqs-creation-attributes", read_creation},
    {"queue_tags", read_tags},
    {"is_secure", read_secure},
    {"sts_role_arn", read_role},
    {"sts_token_timeout", read_role_seconds},
    {"sts_token_buffer_time", NULL},
    {"sqs_base64_encoding", read_base64},
    {"client-config", NULL},
    {"fetch_message_attributes", NULL},
    {"regioninfo", NULL},
    {"port", NULL},
    {"max_retries", NULL},
    {"interval_start", NULL},
    {"interval_step", NULL},
    {"interval_max", NULL},
    {"errback", NULL},
};

static celery_status read_all(struct reading *r, const struct cel_node *options)
{
    static const struct cel_option_table table = {
        "sqs", known, sizeof known / sizeof *known, sizeof *known};
    const struct cel_node *key, *value;
    celery_status status = CELERY_OK;
    size_t i = 0;

    for (key = cel_node_first(options); key && status == 0; key = value->next) {
        value = key->next;
        status = cel_option_find(&table, cel_node_text(key), &i, r->err);
        if (status == 0 && known[i].read) {
            r->option = known[i].name;
            status = known[i].read(r, value);
        }
    }
    return status;
}

/* A host is the endpoint, over http unless is_secure says otherwise (Channel.endpoint_url). */
static celery_status read_url(struct reading *r, const struct cel_url *url)
{
    const char *scheme = r->o->secure ? "https" : "http";
    char text[300];
    int n = 0;

    if (url->user && url->user[0] && url->password && url->password[0]) {
        r->o->access_key = cel_arena_strndup(&r->o->arena, url->user, strlen(url->user));
        r->o->secret_key =
            cel_arena_strndup(&r->o->arena, url->password, strlen(url->password));
        if (!r->o->access_key || !r->o->secret_key) {
            return cel_error_nomem(r->err);
        }
    }
    if (!url->host || !url->host[0] || r->o->endpoint) {
        return CELERY_OK;
    }
    bool v6 = strchr(url->host, ':');
    n = snprintf(text, sizeof text, "%s://%s%.255s%s", scheme, v6 ? "[" : "", url->host,
                 v6 ? "]" : "");
    if (url->port) {
        n += snprintf(text + n, sizeof text - (size_t)n, ":%d", url->port);
    }
    r->o->endpoint = cel_arena_strndup(&r->o->arena, text, (size_t)n);
    return r->o->endpoint ? CELERY_OK : cel_error_nomem(r->err);
}

celery_status cel_sqs_options_read(const struct cel_url *url,
                                   const struct cel_node *options,
                                   struct cel_sqs_options *ret, celery_error *err)
{
    struct reading r = {.o = ret, .err = err};

    *ret = (struct cel_sqs_options){.prefix = "",
                                    .visibility = VISIBILITY,
                                    .wait = WAIT,
                                    .hold_limit = CEL_SQS_DAY_LIMIT};
    if (!cel_node_is_null(options) && options->kind != CELERY_KIND_OBJECT) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "broker_transport_options must be a map of options");
    }
    if (url->n_options > 0) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "%s:// takes no options behind \"?\"; put %.60s into "
                             "broker_transport_options",
                             url->scheme, url->options[0].name);
    }
    celery_status st = read_all(&r, options);
    return st < 0 ? st : read_url(&r, url);
}

void cel_sqs_options_fini(struct cel_sqs_options *o)
{
    cel_arena_fini(&o->arena);
    *o = (struct cel_sqs_options){0};
}

const struct cel_sqs_predefined *cel_sqs_predefined_find(const struct cel_sqs_options *o,
                                                         const char *name,
                                                         const char *sqs_name)
{
    for (size_t i = 0; i < o->n_predefined; i++) {
        const char *own = o->predefined[i].name;

        if (strcmp(own, name) == 0 || strcmp(own, sqs_name) == 0) {
            return &o->predefined[i];
        }
    }
    return NULL;
}

int64_t cel_sqs_backoff(const struct cel_sqs_predefined *p, struct cel_slice task,
                        int64_t receives)
{
    bool listed = false;

    if (!p || !p->n_backoff || !task.len) {
        return -1;
    }
    for (const struct cel_node *n = cel_node_first(p->backoff_tasks); n && !listed;
         n = n->next) {
        listed = cel_slice_eq(cel_node_text(n), task);
    }
    for (size_t i = 0; i < p->n_backoff && listed; i++) {
        if (p->backoff[i].receives == receives) {
            return p->backoff[i].seconds;
        }
    }
    return -1;
}
