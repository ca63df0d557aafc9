/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/amqp_options.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include <strings.h>

/* RabbitMQ's default: half an hour. */
#define CONSUMER_TIMEOUT 1800.0

enum value_kind { IGNORED, SECONDS, MILLISECONDS, TEXT, HEARTBEAT, CERT_REQS, FLAG };

/*
 * Options of kombu's pyamqp transport and of py-amqp's Connection; consumer_timeout is ours.  In
 * a URL's query they mean the same.
 */
static const struct row {
    const char *name;
    enum value_kind kind;
    size_t offset;
} rows[] = {
#define FIELD(f) offsetof(struct cel_amqp_options, f)
    {"connect_timeout", SECONDS, FIELD(connect_timeout)},
    {"read_timeout", SECONDS, FIELD(read_timeout)},
    {"write_timeout", SECONDS, FIELD(write_timeout)},
    {"heartbeat", HEARTBEAT, FIELD(heartbeat)},
    {"consumer_timeout", MILLISECONDS, FIELD(consumer_timeout)},
    {"login_method", TEXT, FIELD(login_method)},
    {"connection_name", TEXT, FIELD(name)},
#undef FIELD
    {"ssl_cert_reqs", CERT_REQS, 0},
    {"ssl_check_hostname", FLAG, 0},
    {"ssl_ca_certs", IGNORED, 0},
    {"ssl_ca_path", IGNORED, 0},
    {"ssl_certfile", IGNORED, 0},
    {"ssl_keyfile", IGNORED, 0},
    {"ssl_server_hostname", IGNORED, 0},
};

static const struct row *row_of(struct cel_slice name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (cel_slice_is(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* ---- values ---- */

static celery_status set_number(const struct row *row, double value, const char *setting,
                                struct cel_amqp_options *set, celery_error *err)
{
    double *field = (double *)(void *)((char *)set + row->offset);

    if (!(value >= 0 && value < 1e12)) {
        return cel_error_set(err, CELERY_ECONFIG, "%s: %s must be a number of %s",
                             setting, row->name,
                             row->kind == MILLISECONDS ? "milliseconds" : "seconds");
    }
    *field = row->kind == MILLISECONDS ? value / 1000 : value;
    return CELERY_OK;
}

static celery_status set_text(const struct row *row, struct cel_slice value,
                              struct cel_amqp_options *set, celery_error *err)
{
    char **field = (char **)(void *)((char *)set + row->offset);
    char *copy = cel_strndup(value.data ? value.data : "", value.len);

    if (!copy) {
        return cel_error_nomem(err);
    }
    cel_free(*field);
    *field = copy;
    return CELERY_OK;
}

/* ---- broker_transport_options ---- */

static celery_status read_option(const struct row *row, const struct cel_node *value,
                                 struct cel_amqp_options *set, celery_error *err)
{
    const char *setting = "broker_transport_options";

    if (cel_node_is_null(value)) {
        return CELERY_OK;
    }
    if (row->kind == SECONDS || row->kind == MILLISECONDS || row->kind == HEARTBEAT) {
        return set_number(row, cel_node_double(value, -1), setting, set, err);
    }
    if (row->kind == TEXT && !cel_node_is_string(value)) {
        return cel_error_set(err, CELERY_ECONFIG, "%s: %s must be a string", setting,
                             row->name);
    }
    return row->kind == TEXT ? set_text(row, cel_node_text(value), set, err) : CELERY_OK;
}

celery_status cel_amqp_options_read(const struct cel_node *options,
                                    struct cel_amqp_options *ret, celery_error *err)
{
    const struct cel_node *properties =
        cel_node_get(options, CEL_SLICE("client_properties"));
    const struct cel_node *name = cel_node_get(properties, CEL_SLICE("connection_name"));
    celery_status status = CELERY_OK;

    *ret = (struct cel_amqp_options){
        .heartbeat = -1,
        .consumer_timeout = CONSUMER_TIMEOUT,
    };
    if (options && options->kind != CELERY_KIND_OBJECT && !cel_node_is_null(options)) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "broker_transport_options must be an object");
    }
    for (const struct cel_node *k = cel_node_first(options), *v; k && status == 0;
         k = v->next) {
        const struct row *row = row_of(cel_node_text(k));

        v = k->next;
        if (row) {
            status = read_option(row, v, ret, err);
        }
    }
    if (status == 0 && cel_node_is_string(name)) {
        status =
            set_text(row_of(CEL_SLICE("connection_name")), cel_node_text(name), ret, err);
    }
    return status;
}

void cel_amqp_options_fini(struct cel_amqp_options *set)
{
    cel_free(set->login_method);
    cel_free(set->name);
    set->login_method = set->name = NULL;
}

/* ---- URLs ---- */

static celery_status wrong(const struct cel_url_option *o, celery_error *err)
{
    return cel_error_set(err, CELERY_ECONFIG, "broker_url: %s=%s is not a valid value",
                         o->name, cel_log_safe(cel_slice_of(o->value)));
}

static celery_status url_option(const struct row *row, const struct cel_url_option *o,
                                struct cel_amqp_options *set, celery_error *err)
{
    enum cel_tls_verify verify;
    double number;
    bool flag;

    switch (row->kind) {
    case SECONDS:
    case MILLISECONDS:
    case HEARTBEAT:
        return cel_slice_to_double(cel_slice_of(o->value), &number)
                   ? set_number(row, number, "broker_url", set, err)
                   : wrong(o, err);
    case TEXT:
        return set_text(row, cel_slice_of(o->value), set, err);
    case CERT_REQS:
        return cel_tls_parse_verify(o->value, &verify) ? CELERY_OK : wrong(o, err);
    case FLAG:
        return cel_url_flag(o->value, &flag) ? CELERY_OK : wrong(o, err);
    default:
        return CELERY_OK;
    }
}

celery_status cel_amqp_options_url(const struct cel_url *url,
                                   struct cel_amqp_options *set, celery_error *err)
{
    celery_status status = CELERY_OK;

    for (size_t i = 0; i < url->n_options && status == 0; i++) {
        const struct cel_url_option *o = &url->options[i];
        const struct row *row = row_of(cel_slice_of(o->name));

        if (strncmp(o->name, "ssl_", 4) == 0 && strcmp(url->scheme, "amqps") != 0) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "broker_url: %s needs TLS: begin the URL with amqps://",
                                 cel_log_safe(cel_slice_of(o->name)));
        }
        if (row) {
            status = url_option(row, o, set, err);
        }
    }
    return status;
}

const char *cel_amqp_vhost(const struct cel_url *url)
{
    const char *path = url->path ? url->path : "";

    path += *path == '/';
    return *path ? path : "/";
}

celery_status cel_amqp_tls(const struct cel_url *url, struct cel_tls **ret_tls,
                           celery_error *err)
{
    const char *reqs = cel_url_option(url, "ssl_cert_reqs");
    const char *check = cel_url_option(url, "ssl_check_hostname");
    const char *ca = cel_url_option(url, "ssl_ca_certs");
    const char *path = cel_url_option(url, "ssl_ca_path");
    const char *cert = cel_url_option(url, "ssl_certfile");
    const char *key = cel_url_option(url, "ssl_keyfile");
    struct cel_tls_options options = {.verify = CEL_TLS_REQUIRED, .check_hostname = true};

    *ret_tls = NULL;
    if (strcmp(url->scheme, "amqps") != 0) {
        return CELERY_OK;
    }
    if (reqs) {
        cel_tls_parse_verify(reqs, &options.verify);
    }
    if (check) {
        cel_url_flag(check, &options.check_hostname);
    }
    /* Only read by the call. */
    options.ca_certs = (char *)(uintptr_t)(ca ? ca : path);
    options.certfile = (char *)(uintptr_t)cert;
    options.keyfile = (char *)(uintptr_t)key;
    options.server_hostname =
        (char *)(uintptr_t)cel_url_option(url, "ssl_server_hostname");
    return cel_tls_new(&options, ret_tls, err);
}
