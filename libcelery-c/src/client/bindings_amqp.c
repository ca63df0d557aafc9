/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/bindings_amqp.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/error.h"
#include "net/http_post.h"

#define API_PORT   15672
#define TIMEOUT    10.0
#define ANSWER_MAX ((size_t)64 << 20)

/* Where it is asked; texts are borrowed from the client, url and arena. */
struct api {
    struct cel_arena arena;
    struct cel_url *url; /* broker_api, or NULL */
    struct cel_tls *tls; /* https, or NULL */
    const char *host, *user, *password;
    int port;
    const char *vhost;
};

struct asking {
    struct cel_waiting waiting;
    celery_binding_fn fn;
    void *ctx;
};

static const char *text_or(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

/* A text of broker_transport_options, or NULL. */
static const char *option(struct api *api, const struct cel_node *options,
                          const char *name)
{
    struct cel_slice text = cel_node_text(cel_node_get(options, cel_slice_of(name)));

    return text.len > 0 ? cel_arena_strndup(&api->arena, text.data, text.len) : NULL;
}

static celery_status read_url(struct api *api, const char *text, celery_error *err)
{
    struct cel_tls_options tls = {.verify = CEL_TLS_REQUIRED, .check_hostname = true};
    celery_status status = cel_url_parse(text, &api->url, err);

    if (status < 0) {
        return cel_error_prefix(err, status, "broker_api: ");
    }
    bool secure = strcmp(api->url->scheme, "https") == 0;
    if ((!secure && strcmp(api->url->scheme, "http") != 0) || !api->url->host) {
        return cel_error_set(
            err, CELERY_ECONFIG,
            "broker_api: use http://host:15672/api/ or https://host/api/");
    }
    api->host = api->url->host;
    api->port = api->url->port ? api->url->port : secure ? 443 : API_PORT;
    if (api->url->user) {
        api->user = api->url->user;
        api->password = text_or(api->url->password, "");
    }
    return secure ? cel_tls_new(&tls, &api->tls, err) : CELERY_OK;
}

static celery_status find(const celery_client *client, struct api *api, celery_error *err)
{
    const struct cel_url *broker = client->broker_urls[client->broker.urls.at];
    const char *text = cel_config_text(client->config, "broker_api");
    const char *vhost = broker->path ? broker->path : "";
    const struct cel_node *options =
        cel_config_doc(client->config, "broker_transport_options");

    vhost += *vhost == '/';
    *api = (struct api){0};
    api->host = text_or(option(api, options, "manager_hostname"),
                        text_or(broker->host, "localhost"));
    api->port =
        (int)cel_node_int(cel_node_get(options, CEL_SLICE("manager_port")), API_PORT);
    api->user =
        text_or(option(api, options, "manager_userid"), text_or(broker->user, "guest"));
    api->password = text_or(option(api, options, "manager_password"),
                            text_or(broker->password, "guest"));
    api->vhost = text_or(vhost, "/");
    return text && *text ? read_url(api, text, err) : CELERY_OK;
}

/* ---- the request ---- */

/* urllib.parse.quote(vhost, safe='') */
static void add_quoted(struct cel_buf *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_.-~";

    for (const char *p = text; *p; p++) {
        if (strchr(plain, *p)) {
            cel_buf_addc(out, *p);
        } else {
            cel_buf_addf(out, "%%%02X", (unsigned)(unsigned char)*p);
        }
    }
}

static void add_path(struct cel_buf *out, const struct api *api)
{
    const char *path = text_or(api->url ? api->url->path : NULL, "/");

    cel_buf_adds(out, strcmp(path, "/") == 0 ? "/api/" : path);
    if (out->len > 0 && out->data[out->len - 1] != '/') {
        cel_buf_addc(out, '/');
    }
    cel_buf_adds(out, "bindings/");
    add_quoted(out, api->vhost);
}

static void add_login(struct cel_buf *out, const struct api *api)
{
    struct cel_buf login = {0};

    cel_buf_addf(&login, "%s:%s", api->user, api->password);
    cel_buf_adds(out, "Authorization: Basic ");
    if (cel_buf_ok(&login)) {
        cel_base64_append(out, login.data, login.len);
    } else {
        out->failed = true;
    }
    cel_buf_adds(out, "\r\n");
    cel_buf_fini(&login);
}

/* ---- the answer ---- */

static void tell(struct asking *a, const struct cel_node *n)
{
    struct cel_slice names[] = {cel_node_text(cel_node_get(n, CEL_SLICE("destination"))),
                                cel_node_text(cel_node_get(n, CEL_SLICE("source"))),
                                cel_node_text(cel_node_get(n, CEL_SLICE("routing_key")))};
    char *copies[3] = {NULL};
    bool ok = true;

    for (size_t i = 0; i < 3; i++) {
        copies[i] = cel_strndup(names[i].data ? names[i].data : "", names[i].len);
        ok = ok && copies[i];
    }
    if (ok) {
        a->fn(a->ctx, &(celery_binding){copies[0], copies[1], copies[2]});
    } else {
        cel_error_nomem(&a->waiting.err);
    }
    for (size_t i = 0; i < 3; i++) {
        cel_free(copies[i]);
    }
}

static celery_status read_answer(struct asking *a, struct cel_slice body,
                                 celery_error *err)
{
    struct cel_arena arena = {0};
    struct cel_node *doc = NULL;
    celery_status status = cel_json_parse(&arena, body, NULL, &doc, err);

    if (status == CELERY_OK && doc->kind != CELERY_KIND_ARRAY) {
        status = cel_error_set(err, CELERY_EMESSAGE, "no list of bindings");
    }
    for (const struct cel_node *n = status == CELERY_OK ? cel_node_first(doc) : NULL; n;
         n = n->next) {
        if (n->kind == CELERY_KIND_OBJECT) {
            tell(a, n);
        }
    }
    cel_arena_fini(&arena);
    return status;
}

static void on_answer(void *ctx, int status, struct cel_slice body,
                      const celery_error *why)
{
    struct asking *a = ctx;
    celery_error *err = &a->waiting.err;

    if (why) {
        cel_error_set(err, why->status, "%s", why->message);
    } else if (status == 401 || status == 403) {
        cel_error_set(err, CELERY_EAUTH, "refuses the login (status %d)", status);
    } else if (status != 200) {
        cel_error_set(err, CELERY_EPROTO, "status %d", status);
    } else {
        read_answer(a, body, err);
    }
    a->waiting.done = true;
}

/* ---- both ---- */

static celery_status ask(celery_client *client, const struct api *api, struct asking *a,
                         celery_error *err)
{
    struct cel_buf path = {0};
    struct cel_buf headers = {0};
    struct cel_http_post *get = NULL;
    celery_status status = CELERY_OK;

    add_path(&path, api);
    add_login(&headers, api);
    struct cel_http_post_to to = {
        .endpoint = {.host = api->host, .port = api->port, .tls = api->tls},
        .path = cel_buf_cstr(&path),
        .headers = cel_buf_cstr(&headers),
        .timeout = TIMEOUT,
    };
    if (!cel_buf_ok(&path) || !cel_buf_ok(&headers)) {
        status = cel_error_nomem(err);
    } else {
        status =
            cel_http_get_start(client->loop, &to, ANSWER_MAX, on_answer, a, &get, err);
    }
    if (status == CELERY_OK) {
        status = cel_client_wait_answer(client, &a->waiting,
                                        cel_client_now(client) + TIMEOUT + 1, err);
    }
    cel_http_post_free(get);
    cel_buf_fini(&path);
    cel_buf_fini(&headers);
    return status;
}

celery_status cel_client_bindings_amqp(celery_client *client, celery_binding_fn fn,
                                       void *ctx, celery_error *err)
{
    struct asking a = {.fn = fn, .ctx = ctx};
    celery_error why = {0};
    struct api api;
    celery_status status = find(client, &api, err);

    if (status == CELERY_OK) {
        status = ask(client, &api, &a, &why);
        if (status == CELERY_EAUTH) {
            cel_error_set(err, status, "RabbitMQ's management API at %s:%d %s", api.host,
                          api.port, why.message);
        } else if (status < 0) {
            cel_error_set(err, status,
                          "RabbitMQ tells bindings by its management API only, and at "
                          "%s:%d: %s. Enable it (rabbitmq-plugins enable "
                          "rabbitmq_management), or say where it is (--broker-api).",
                          api.host, api.port, why.message);
        }
    }
    cel_tls_free(api.tls);
    cel_url_free(api.url);
    cel_arena_fini(&api.arena);
    return status;
}
