/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/redis_options.h"
#include "base/alloc.h"
#include "base/error.h"
#include "transport/option.h"
#include <stdlib.h>

/* What the options are read into, before names are put together. */
struct reading {
    struct cel_redis_settings *s;
    struct cel_redis_keys *k;
    char *unacked;
    char *unacked_index;
    char *unacked_mutex;
    char *fanout;       /* with {db} in it */
    const char *option; /* the one being read */
    celery_error *err;
};

static celery_status wrong(struct reading *r, const char *wanted)
{
    return cel_error_set(r->err, CELERY_ECONFIG,
                         "broker_transport_options: %s must be %s", r->option, wanted);
}

static celery_status read_text(struct reading *r, const struct cel_node *v, char **field)
{
    struct cel_slice text = cel_node_text(v);
    char *copy;

    if (!cel_node_is_string(v) || memchr(text.data ? text.data : "", 0, text.len)) {
        return wrong(r, "a string");
    }
    copy = cel_strndup(text.data ? text.data : "", text.len);
    if (!copy) {
        return cel_error_nomem(r->err);
    }
    cel_free(*field);
    *field = copy;
    return CELERY_OK;
}

static celery_status read_seconds(struct reading *r, const struct cel_node *v,
                                  double *field)
{
    double seconds;

    if (cel_node_is_null(v)) {
        return CELERY_OK;
    }
    seconds = cel_node_double(v, -1);
    if (!(seconds > 0 && seconds < 1e9)) {
        return wrong(r, "a number of seconds above 0");
    }
    *field = seconds;
    return CELERY_OK;
}

static celery_status read_visibility(struct reading *r, const struct cel_node *v)
{
    return read_seconds(r, v, &r->s->visibility_timeout);
}

static celery_status read_socket_timeout(struct reading *r, const struct cel_node *v)
{
    return read_seconds(r, v, &r->s->net.command_timeout);
}

static celery_status read_connect_timeout(struct reading *r, const struct cel_node *v)
{
    return read_seconds(r, v, &r->s->net.connect_timeout);
}

/* 0 turns redis-py's check off; here a silent connection is always asked. */
static celery_status read_health(struct reading *r, const struct cel_node *v)
{
    double seconds = cel_node_double(v, -1);

    return cel_node_is_null(v) || seconds == 0
               ? CELERY_OK
               : read_seconds(r, v, &r->s->net.health_check_interval);
}

static celery_status read_keepalive(struct reading *r, const struct cel_node *v)
{
    r->s->net.keepalive = cel_node_bool(v, true);
    return CELERY_OK;
}

static celery_status read_restore_limit(struct reading *r, const struct cel_node *v)
{
    if (cel_node_is_null(v)) {
        return CELERY_OK;
    }
    r->s->restore_limit = cel_node_int(v, 0);
    return r->s->restore_limit > 0 ? CELERY_OK : wrong(r, "a number above 0");
}

static celery_status read_order(struct reading *r, const struct cel_node *v)
{
    static const char *const names[] = {"round_robin", "sorted", "priority"};
    struct cel_slice text = cel_node_text(v);

    for (size_t i = 0; i < 3; i++) {
        if (cel_slice_is(text, names[i])) {
            r->s->order = (enum cel_redis_order)i;
            return CELERY_OK;
        }
    }
    return wrong(r, "round_robin, sorted or priority");
}

static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static celery_status read_steps(struct reading *r, const struct cel_node *v)
{
    const char *wanted = "a list of up to 10 different integers from 0 to 9, with 0";
    struct cel_redis_keys *k = r->k;

    k->n_steps = 0;
    for (const struct cel_node *n = cel_node_first(v); n; n = n->next) {
        int64_t step = cel_node_int(n, -1);

        if (k->n_steps == CEL_REDIS_MAX_STEPS || step < 0 || step > 9) {
            return wrong(r, wanted);
        }
        k->steps[k->n_steps++] = (int)step;
    }
    qsort(k->steps, k->n_steps, sizeof *k->steps, compare_ints);
    for (size_t i = 1; i < k->n_steps; i++) {
        if (k->steps[i] == k->steps[i - 1]) {
            return wrong(r, wanted);
        }
    }
    return k->n_steps && k->steps[0] == 0 ? CELERY_OK : wrong(r, wanted);
}

static celery_status read_sep(struct reading *r, const struct cel_node *v)
{
    celery_status status = read_text(r, v, &r->k->sep);

    return status == 0 && !r->k->sep[0] ? wrong(r, "at least one character") : status;
}

static celery_status read_prefix(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, &r->k->prefix);
}

static celery_status read_unacked(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, &r->unacked);
}

static celery_status read_index(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, &r->unacked_index);
}

static celery_status read_mutex(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, &r->unacked_mutex);
}

/* True: "/{db}."; False: nothing; text: as given, {db} replaced (kombu Channel.__init__). */
static celery_status read_fanout_prefix(struct reading *r, const struct cel_node *v)
{
    celery_status status;

    if (!cel_node_is_string(v)) {
        if (!cel_node_bool(v, true)) {
            r->fanout[0] = 0;
        }
        return CELERY_OK;
    }
    status = read_text(r, v, &r->fanout);
    if (status == 0 && (r->fanout[0] != '/' || !strchr(r->fanout, '.'))) {
        return wrong(r, "true, false or a text that starts with / and has a dot");
    }
    return status;
}

static celery_status read_fanout_patterns(struct reading *r, const struct cel_node *v)
{
    r->k->fanout_patterns = cel_node_bool(v, true);
    return CELERY_OK;
}

static celery_status read_ack_emulation(struct reading *r, const struct cel_node *v)
{
    if (cel_node_bool(v, true)) {
        return CELERY_OK;
    }
    return cel_error_set(r->err, CELERY_ENOTSUP,
                         "broker_transport_options: ack_emulation=false would lose the "
                         "messages of a worker that dies; take the option out");
}

static celery_status read_body_encoding(struct reading *r, const struct cel_node *v)
{
    if (cel_node_is_null(v) || cel_slice_is(cel_node_text(v), "utf-8")) {
        r->s->body_plain = true;
        return CELERY_OK;
    }
    return cel_slice_is(cel_node_text(v), "base64") ? CELERY_OK
                                                    : wrong(r, "base64, utf-8 or null");
}

static celery_status read_deadletter(struct reading *r, const struct cel_node *v)
{
    return cel_node_is_null(v) ? CELERY_OK : read_text(r, v, &r->s->deadletter_queue);
}

static celery_status read_client_name(struct reading *r, const struct cel_node *v)
{
    return cel_node_is_null(v) ? CELERY_OK
                               : read_text(r, v, (char **)(void *)&r->s->net.client_name);
}

static celery_status read_master_name(struct reading *r, const struct cel_node *v)
{
    return read_text(r, v, (char **)(void *)&r->s->net.sentinel_master);
}

static celery_status read_sentinel(struct reading *r, const struct cel_node *v)
{
    const struct cel_node *password = cel_node_get(v, CEL_SLICE("password"));

    if (cel_node_is_null(password)) {
        return CELERY_OK;
    }
    return read_text(r, password, (char **)(void *)&r->s->net.sentinel_password);
}

static celery_status read_credentials(struct reading *r, const struct cel_node *v)
{
    if (cel_node_is_null(v)) {
        return CELERY_OK;
    }
    return cel_error_set(
        r->err, CELERY_ENOTSUP,
        "broker_transport_options: credential_provider is Python code; put "
        "user and password into the broker URL");
}

static const struct option {
    const char *name;
    /* NULL: it concerns how Python's libraries do it, which is done otherwise here */
    celery_status (*read)(struct reading *r, const struct cel_node *v);
} known[] = {
    {"visibility_timeout", read_visibility},
    {"queue_order_strategy", read_order},
    {"priority_steps", read_steps},
    {"sep", read_sep},
    {"global_keyprefix", read_prefix},
    {"unacked_key", read_unacked},
    {"unacked_index_key", read_index},
    {"unacked_mutex_key", read_mutex},
    {"unacked_mutex_expire", NULL},
    {"unacked_restore_limit", read_restore_limit},
    {"unacked_restore_interval", NULL},
    {"unacked_restore_throttle", NULL},
    {"ack_emulation", read_ack_emulation},
    {"fanout_prefix", read_fanout_prefix},
    {"fanout_patterns", read_fanout_patterns},
    {"body_encoding", read_body_encoding},
    {"deadletter_queue", read_deadletter},
    {"socket_timeout", read_socket_timeout},
    {"socket_connect_timeout", read_connect_timeout},
    {"socket_keepalive", read_keepalive},
    {"socket_keepalive_options", NULL},
    {"retry_on_timeout", NULL},
    {"max_connections", NULL},
    {"health_check_interval", read_health},
    {"reauth_check_interval", NULL},
    {"polling_interval", NULL},
    {"client_name", read_client_name},
    {"credential_provider", read_credentials},
    {"master_name", read_master_name},
    {"min_other_sentinels", NULL},
    {"sentinel_kwargs", read_sentinel},
};

static celery_status read_all(struct reading *r, const struct cel_node *options)
{
    static const struct cel_option_table table = {
        "redis", known, sizeof known / sizeof *known, sizeof *known};
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

static char *prefixed(const char *prefix, const char *name, const char *end)
{
    struct cel_buf b = {0};

    cel_buf_adds(&b, prefix);
    cel_buf_adds(&b, name);
    cel_buf_adds(&b, end);
    return cel_buf_steal(&b);
}

static char *with_db(const char *text, int db)
{
    struct cel_buf b = {0};
    const char *at = strstr(text, "{db}");

    if (!at) {
        return cel_strdup(text);
    }
    cel_buf_add(&b, text, (size_t)(at - text));
    cel_buf_add_int(&b, db);
    cel_buf_adds(&b, at + 4);
    return cel_buf_steal(&b);
}

static celery_status name_keys(struct reading *r, int db)
{
    struct cel_redis_keys *k = r->k;

    k->unacked = prefixed(k->prefix, r->unacked, "");
    k->unacked_index = prefixed(k->prefix, r->unacked_index, "");
    k->unacked_mutex = prefixed(k->prefix, r->unacked_mutex, "");
    k->held = prefixed(k->prefix, r->unacked, ".celery-c.held");
    k->leases = prefixed(k->prefix, r->unacked, ".celery-c.lease.");
    k->starts = prefixed(k->prefix, r->unacked, ".celery-c.starts.");
    k->fanout = with_db(r->fanout, db);
    if (!k->unacked || !k->unacked_index || !k->unacked_mutex || !k->held || !k->leases ||
        !k->starts || !k->fanout) {
        return cel_error_nomem(r->err);
    }
    return CELERY_OK;
}

static celery_status set_defaults(struct reading *r)
{
    static const int steps[] = {0, 3, 6, 9};

    r->s->visibility_timeout = 3600;
    r->s->net.keepalive = true;
    r->k->prefix = cel_strdup("");
    r->k->sep = cel_strdup("\x06\x16");
    r->k->fanout_patterns = true;
    memcpy(r->k->steps, steps, sizeof steps);
    r->k->n_steps = sizeof steps / sizeof *steps;
    r->unacked = cel_strdup("unacked");
    r->unacked_index = cel_strdup("unacked_index");
    r->unacked_mutex = cel_strdup("unacked_mutex");
    r->fanout = cel_strdup("/{db}.");
    if (!r->k->prefix || !r->k->sep || !r->unacked || !r->unacked_index ||
        !r->unacked_mutex || !r->fanout) {
        return cel_error_nomem(r->err);
    }
    return CELERY_OK;
}

celery_status cel_redis_options_read(const struct cel_node *options, int db,
                                     struct cel_redis_settings *s,
                                     struct cel_redis_keys *k, celery_error *err)
{
    struct reading r = {.s = s, .k = k, .err = err};
    celery_status status = set_defaults(&r);

    if (status == 0 && options && options->kind != CELERY_KIND_OBJECT &&
        !cel_node_is_null(options)) {
        status = cel_error_set(err, CELERY_ECONFIG,
                               "broker_transport_options must be a map of options");
    }
    if (status == 0) {
        status = read_all(&r, options);
    }
    if (status == 0) {
        status = name_keys(&r, db);
    }
    cel_free(r.unacked);
    cel_free(r.unacked_index);
    cel_free(r.unacked_mutex);
    cel_free(r.fanout);
    return status;
}

void cel_redis_settings_fini(struct cel_redis_settings *s)
{
    cel_free(s->deadletter_queue);
    cel_free((void *)(uintptr_t)s->net.client_name);
    cel_free((void *)(uintptr_t)s->net.sentinel_master);
    cel_free((void *)(uintptr_t)s->net.sentinel_password);
    *s = (struct cel_redis_settings){0};
}
