/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/redis_target.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

#include <stdio.h>
#include <strings.h>

#define REDIS_PORT            6379
#define SENTINEL_PORT         26379
#define HIGHEST_DB            65535
#define CONNECT_TIMEOUT       4.0
#define COMMAND_TIMEOUT       20.0
#define HEALTH_CHECK_INTERVAL 10.0
#define MAX_REPLY             (64u * 1024 * 1024)

enum value_kind { ANY, SECONDS, FLAG, DATABASE, CERT_REQS };

/*
 * What kombu and celery/backends/redis.py take from the query.  Not in the table:
 * visibility_timeout and the like, which kombu refuses in a URL too.
 */
static const struct option_row {
    const char *name;
    enum value_kind kind;
} known_options[] = {
    {"virtual_host", DATABASE},
    {"db", DATABASE},
    {"username", ANY},
    {"password", ANY},
    {"client_name", ANY},
    {"connect_timeout", SECONDS},
    {"socket_connect_timeout", SECONDS},
    {"socket_timeout", SECONDS},
    {"health_check_interval", SECONDS},
    {"socket_keepalive", FLAG},
    {"ssl_cert_reqs", CERT_REQS},
    {"ssl_ca_certs", ANY},
    {"ssl_ca_path", ANY},
    {"ssl_certfile", ANY},
    {"ssl_keyfile", ANY},
    {"ssl_check_hostname", FLAG},
    {"ssl_server_hostname", ANY},
    /* Accepted for the sake of existing URLs; they say nothing to us. */
    {"heartbeat", ANY},
    {"login_method", ANY},
    {"insist", ANY},
    {"retry_on_timeout", ANY},
    {"max_connections", ANY},
    {"socket_read_size", ANY},
};

/* "3", "/3", "" and "/" (0), as RedisBackend and Channel._connparams read it. */
static bool parse_db(const char *text, int *ret)
{
    int64_t db = 0;

    if (text && *text == '/') {
        text++;
    }
    if (text && *text && !cel_slice_to_int(cel_slice_of(text), &db)) {
        return false;
    }
    if (db < 0 || db > HIGHEST_DB) {
        return false;
    }
    *ret = (int)db;
    return true;
}

static bool value_is_valid(enum value_kind kind, const char *value)
{
    double seconds;
    bool flag;
    int db;
    enum cel_tls_verify verify;

    switch (kind) {
    case SECONDS:
        return cel_slice_to_double(cel_slice_of(value), &seconds) && seconds >= 0;
    case FLAG:
        return cel_url_flag(value, &flag);
    case DATABASE:
        return parse_db(value, &db);
    case CERT_REQS:
        return cel_tls_parse_verify(value, &verify);
    default:
        return true;
    }
}

static bool is_socket(const struct cel_url *url)
{
    return strcmp(url->scheme, "redis+socket") == 0;
}

static bool is_sentinel(const struct cel_url *url)
{
    return strcmp(url->scheme, "sentinel") == 0;
}

static const char *setting_name(const struct cel_redis_options *options)
{
    return options->setting ? options->setting : "broker_url";
}

static celery_status check_option(const struct cel_url *url,
                                  const struct cel_url_option *o, const char *setting,
                                  celery_error *err)
{
    for (size_t i = 0; i < sizeof known_options / sizeof known_options[0]; i++) {
        if (strcmp(o->name, known_options[i].name) != 0) {
            continue;
        }
        if (!value_is_valid(known_options[i].kind, o->value)) {
            return cel_error_set(err, CELERY_ECONFIG, "%s: %s=%s is not a valid value%s",
                                 setting, o->name, cel_log_safe(cel_slice_of(o->value)),
                                 known_options[i].kind == CERT_REQS
                                     ? ": CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE"
                                     : "");
        }
        if (strncmp(o->name, "ssl_", 4) == 0 && strcmp(url->scheme, "rediss") != 0 &&
            !is_sentinel(url)) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "%s: %s needs TLS: begin the URL with rediss://",
                                 setting, o->name);
        }
        return CELERY_OK;
    }
    return cel_error_set(
        err, CELERY_ECONFIG,
        "%s: the option %s does not belong in a Redis URL: use the transport "
        "options",
        setting, cel_log_safe(cel_slice_of(o->name)));
}

static celery_status check_scheme(const struct cel_url *url,
                                  const struct cel_redis_options *options,
                                  celery_error *err)
{
    const char *setting = setting_name(options);

    if (is_socket(url)) {
        if (!url->path || strcmp(url->path, "/") == 0 || !*url->path) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "%s: the path of the socket is missing, as in "
                                 "redis+socket:///run/redis/redis.sock",
                                 setting);
        }
        return CELERY_OK;
    }
    if (is_sentinel(url)) {
        if (!options->sentinel_master || !*options->sentinel_master) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "%s: sentinel:// needs the name of the master: set "
                                 "master_name in the transport options",
                                 setting);
        }
        return CELERY_OK;
    }
    if (strcmp(url->scheme, "redis") != 0 && strcmp(url->scheme, "rediss") != 0) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "%s: %s:// is not redis, rediss, redis+socket or sentinel",
                             setting, cel_log_safe(cel_slice_of(url->scheme)));
    }
    return CELERY_OK;
}

static bool read_db(const struct cel_url *url, int *ret)
{
    const char *option = cel_url_option(url, "virtual_host");
    const char *text = is_socket(url) ? NULL : url->path;

    if (!text || !*text || strcmp(text, "/") == 0) {
        text = option ? option : cel_url_option(url, "db");
    }
    *ret = 0;
    return parse_db(text, ret);
}

celery_status cel_redis_check_url(const struct cel_url *url,
                                  const struct cel_redis_options *options,
                                  celery_error *err)
{
    const char *setting = setting_name(options);
    int db;

    celery_status status = check_scheme(url, options, err);
    for (size_t i = 0; status == CELERY_OK && i < url->n_options; i++) {
        status = check_option(url, &url->options[i], setting, err);
    }
    if (status < 0) {
        return status;
    }
    if (!read_db(url, &db)) {
        return cel_error_set(
            err, CELERY_ECONFIG,
            "%s: \"%s\" is not a database number from 0 to %d, as in "
            "redis://host:6379/0",
            setting, cel_log_safe(cel_slice_of(url->path ? url->path : "")), HIGHEST_DB);
    }
    if (options->require_ssl_cert_reqs && strcmp(url->scheme, "rediss") == 0 &&
        !cel_url_option(url, "ssl_cert_reqs")) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "%s: a rediss:// URL must have the parameter ssl_cert_reqs: "
                             "CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE",
                             setting);
    }
    return CELERY_OK;
}

int cel_redis_url_db(const struct cel_url *url)
{
    int db;
    return read_db(url, &db) ? db : 0;
}

static double seconds(const struct cel_url *url, const char *name, double given,
                      double normal)
{
    const char *text = cel_url_option(url, name);
    double value = 0;

    if (text && cel_slice_to_double(cel_slice_of(text), &value) && value > 0) {
        return value;
    }
    return given != 0 ? given : normal;
}

static void set_times(struct cel_redis_target *t, const struct cel_url *url,
                      const struct cel_redis_options *options)
{
    double connect =
        seconds(url, "connect_timeout", options->connect_timeout, CONNECT_TIMEOUT);

    t->connect_timeout = seconds(url, "socket_connect_timeout", connect, connect);
    t->command_timeout =
        seconds(url, "socket_timeout", options->command_timeout, COMMAND_TIMEOUT);
    t->health_check_interval =
        seconds(url, "health_check_interval", options->health_check_interval,
                HEALTH_CHECK_INTERVAL);
    t->keepalive = options->keepalive;
    const char *keepalive = cel_url_option(url, "socket_keepalive");
    if (keepalive) {
        cel_url_flag(keepalive, &t->keepalive);
    }
    t->max_reply = options->max_reply ? options->max_reply : MAX_REPLY;
}

/* Copies text, if there is some; false when out of memory. */
static bool copy(char **to, const char *text)
{
    if (!text || !*text) {
        return true;
    }
    *to = cel_strdup(text);
    return *to != NULL;
}

static const char *first(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

/* A blank would end the name in CLIENT LIST; the server refuses what is not printable. */
static void make_client_name(char *name)
{
    for (; name && *name; name++) {
        if (*name <= ' ' || *name > '~') {
            *name = '-';
        }
    }
}

static bool set_texts(struct cel_redis_target *t, const struct cel_url *url,
                      const struct cel_redis_options *options)
{
    bool ok = copy(&t->user, first(url->user, cel_url_option(url, "username"))) &&
              copy(&t->password, first(url->password, cel_url_option(url, "password"))) &&
              copy(&t->client_name,
                   first(cel_url_option(url, "client_name"), options->client_name));

    make_client_name(t->client_name);
    if (is_socket(url)) {
        return ok && copy(&t->unix_path, url->path);
    }
    t->port = url->port;
    if (t->port == 0) {
        t->port = is_sentinel(url) ? SENTINEL_PORT : REDIS_PORT;
    }
    return ok && copy(&t->host, first(url->host, "localhost"));
}

static bool wants_tls(const struct cel_url *url)
{
    if (strcmp(url->scheme, "rediss") == 0) {
        return true;
    }
    for (size_t i = 0; i < url->n_options; i++) {
        if (strncmp(url->options[i].name, "ssl_", 4) == 0) {
            return true;
        }
    }
    return false;
}

/* Verified unless told otherwise, although kombu takes CERT_NONE for a bare rediss://. */
static celery_status set_tls(struct cel_redis_target *t, const struct cel_url *url,
                             celery_error *err)
{
    const char *verify = cel_url_option(url, "ssl_cert_reqs");
    const char *check = cel_url_option(url, "ssl_check_hostname");
    const char *folder = cel_url_option(url, "ssl_ca_path");
    const char *file = cel_url_option(url, "ssl_ca_certs");
    struct cel_tls_options o = {
        .verify = CEL_TLS_REQUIRED,
        .check_hostname = true,
        .ca_certs = (char *)(uintptr_t)(file ? file : folder),
        .certfile = (char *)(uintptr_t)cel_url_option(url, "ssl_certfile"),
        .keyfile = (char *)(uintptr_t)cel_url_option(url, "ssl_keyfile"),
        .server_hostname = (char *)(uintptr_t)cel_url_option(url, "ssl_server_hostname"),
    };

    if (verify) {
        cel_tls_parse_verify(verify, &o.verify);
    }
    if (check) {
        cel_url_flag(check, &o.check_hostname);
    }
    celery_status status = cel_tls_new(&o, &t->tls, err);
    return status < 0 ? cel_error_prefix(err, status, "%s: ", t->setting) : status;
}

celery_status cel_redis_target_init(struct cel_redis_target *t, const struct cel_url *url,
                                    const struct cel_redis_options *options,
                                    celery_error *err)
{
    *t = (struct cel_redis_target){.setting = setting_name(options)};
    celery_status status = cel_redis_check_url(url, options, err);
    if (status < 0) {
        return status;
    }
    cel_url_text(url, t->text, sizeof t->text);
    t->db = cel_redis_url_db(url);
    set_times(t, url, options);
    if (!set_texts(t, url, options)) {
        return cel_error_nomem(err);
    }
    return wants_tls(url) ? set_tls(t, url, err) : CELERY_OK;
}

void cel_redis_target_fini(struct cel_redis_target *t)
{
    cel_free(t->host);
    cel_free(t->unix_path);
    cel_free(t->user);
    cel_free(t->password);
    cel_free(t->client_name);
    t->tls = cel_tls_free(t->tls);
    *t = (struct cel_redis_target){0};
}
