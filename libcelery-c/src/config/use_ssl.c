/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/use_ssl.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

/* kombu's Redis transport has the names of redis-py; the others are those of py-amqp. */
static const struct {
    const char *key;
    const char *option;
} keys[] = {
    {"ssl_cert_reqs", "ssl_cert_reqs"},
    {"cert_reqs", "ssl_cert_reqs"},
    {"ssl_ca_certs", "ssl_ca_certs"},
    {"ca_certs", "ssl_ca_certs"},
    {"ssl_ca_path", "ssl_ca_path"},
    {"ssl_certfile", "ssl_certfile"},
    {"certfile", "ssl_certfile"},
    {"ssl_keyfile", "ssl_keyfile"},
    {"keyfile", "ssl_keyfile"},
    {"ssl_check_hostname", "ssl_check_hostname"},
    {"server_hostname", "ssl_server_hostname"},
    {"ssl_server_hostname", "ssl_server_hostname"},
    {"check_hostname", "ssl_check_hostname"},
    {"ssl_version", ""}, /* it is never less than TLS 1.2 */
};

static const char *option_of(struct cel_slice key)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (cel_slice_is(key, keys[i].key)) {
            return keys[i].option;
        }
    }
    return NULL;
}

/* ssl.CERT_NONE and its like are numbers in Python. */
static struct cel_slice text_of(const struct cel_node *value)
{
    static const char *const cert_reqs[] = {"none", "optional", "required"};
    int64_t number;
    if (value->kind == CELERY_KIND_TRUE || value->kind == CELERY_KIND_FALSE) {
        return value->kind == CELERY_KIND_TRUE ? CEL_SLICE("true") : CEL_SLICE("false");
    }
    if (celery_value_int(value, &number) && number >= 0 && number <= 2) {
        return cel_slice_of(cert_reqs[number]);
    }
    return cel_node_text(value);
}

static celery_status add_option(struct cel_url *url, const char *name,
                                struct cel_slice value, celery_error *err)
{
    if (cel_url_option(url, name)) {
        return CELERY_OK;
    }
    struct cel_url_option *options =
        cel_realloc(url->options, url->n_options + 1, sizeof *options);
    if (!options) {
        return cel_error_nomem(err);
    }
    url->options = options;
    struct cel_url_option *last = &options[url->n_options];
    *last = (struct cel_url_option){cel_strdup(name), cel_strndup(value.data, value.len)};
    if (!last->name || !last->value) {
        cel_free(last->name);
        cel_free(last->value);
        return cel_error_nomem(err);
    }
    url->n_options++;
    return CELERY_OK;
}

static celery_status add_options(struct cel_url *url, const struct cel_node *value,
                                 const char *setting, celery_error *err)
{
    celery_status status = CELERY_OK;
    if (value->kind != CELERY_KIND_OBJECT) {
        /* redis-py's own default. */
        return add_option(url, "ssl_cert_reqs", CEL_SLICE("required"), err);
    }
    for (const struct cel_node *k = cel_node_first(value), *v; k && status == CELERY_OK;
         k = v->next) {
        v = k->next;
        const char *option = option_of(cel_node_text(k));
        if (!option) {
            return cel_error_set(err, CELERY_ECONFIG,
                                 "%s: %s is not known; there are ssl_cert_reqs, "
                                 "ssl_ca_certs, ssl_certfile, ssl_keyfile, "
                                 "ssl_check_hostname and ssl_server_hostname",
                                 setting, cel_log_safe(cel_node_text(k)));
        }
        if (!cel_node_is_null(v) && option[0]) {
            status = add_option(url, option, text_of(v), err);
        }
    }
    return status;
}

static const struct {
    const char *scheme;
    const char
        *with_tls; /* NULL: it is with TLS, or says so by its options (sentinels) */
} schemes[] = {
    {"redis", "rediss"}, {"rediss", NULL},    {"sentinel", NULL},
    {"amqp", "amqps"},   {"pyamqp", "amqps"}, {"amqps", NULL},
};

static celery_status set_scheme(struct cel_url *url, const char *setting,
                                celery_error *err)
{
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strcmp(url->scheme, schemes[i].scheme) != 0) {
            continue;
        }
        if (schemes[i].with_tls) {
            char *scheme = cel_strdup(schemes[i].with_tls);
            if (!scheme) {
                return cel_error_nomem(err);
            }
            cel_free(url->scheme);
            url->scheme = scheme;
        }
        return CELERY_OK;
    }
    return cel_error_set(
        err, CELERY_ECONFIG,
        "%s: TLS goes with amqp://, amqps://, redis:// and rediss://, not "
        "with %s://",
        setting, url->scheme);
}

celery_status cel_use_ssl(struct cel_url *const *urls, size_t n,
                          const struct cel_node *value, const char *setting,
                          celery_error *err)
{
    celery_status status = CELERY_OK;
    if (!cel_node_truth(value)) {
        return CELERY_OK;
    }
    for (size_t i = 0; i < n && status == CELERY_OK; i++) {
        status = set_scheme(urls[i], setting, err);
        if (status == CELERY_OK) {
            status = add_options(urls[i], value, setting, err);
        }
    }
    return status;
}
