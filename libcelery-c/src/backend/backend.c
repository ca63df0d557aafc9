/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/backend.h"
#include "backend/builtin.h"
#include "base/alloc.h"
#include "base/error.h"
#include "config/use_ssl.h"
#include <stdio.h>

static const struct cel_backend_ops *const builtin[] = {
    &cel_backend_redis, &cel_backend_memory, &cel_backend_file,
    &cel_backend_rpc,   &cel_backend_sql,
};

enum { BUILTIN = sizeof builtin / sizeof builtin[0] };

/* One that ends in * stands for all that begin so. */
static bool has_scheme(const struct cel_backend_ops *ops, const char *scheme)
{
    for (const char *const *s = ops->schemes; *s; s++) {
        size_t len = strcspn(*s, "*");

        if ((*s)[len] ? strncmp(*s, scheme, len) == 0 : strcmp(*s, scheme) == 0) {
            return true;
        }
    }
    return false;
}

const struct cel_backend_ops *cel_backend_find(const char *scheme, celery_error *err)
{
    for (size_t i = 0; i < BUILTIN; i++) {
        if (has_scheme(builtin[i], scheme)) {
            return builtin[i];
        }
    }
    struct cel_buf known = {0};
    for (size_t i = 0; i < BUILTIN; i++) {
        for (const char *const *s = builtin[i]->schemes; *s; s++) {
            if (!strchr(*s, '*')) {
                cel_buf_addf(&known, " %s://", *s);
            }
        }
    }
    cel_error_set(err, CELERY_ECONFIG,
                  "result_backend: no backend for %s:// in this build; it has%s", scheme,
                  cel_buf_cstr(&known));
    cel_buf_fini(&known);
    return NULL;
}

const char *const *cel_backend_names(void)
{
    static const char *names[BUILTIN + 1];
    for (size_t i = 0; i < BUILTIN; i++) {
        names[i] = builtin[i]->name;
    }
    return names;
}

/* Celery knows backends by URL or, without one, by name (celery/app/backends.py by_url). */
static const char *url_text(const struct cel_config *config)
{
    const char *text = cel_config_text(config, "result_backend");

    if (!text || !*text || strncmp(text, "disabled", 8) == 0) {
        return NULL;
    }
    return strcmp(text, "rpc") == 0 ? "rpc://" : text;
}

/* SQLAlchemy knows no lists; without a URL it is that of database_url. */
static celery_status read_urls(const struct cel_config *config, const char *text,
                               struct cel_url ***ret_urls, size_t *ret_n,
                               celery_error *err)
{
    bool named = strcmp(text, "db") == 0 || strcmp(text, "database") == 0;
    const char *url = named ? cel_config_text(config, "database_url") : NULL;
    struct cel_buf whole = {0};

    if (named && !url) {
        return cel_error_set(err, CELERY_ECONFIG, "%s needs the setting database_url",
                             text);
    }
    if (!named && strncmp(text, "db+", 3) != 0 && strncmp(text, "database+", 9) != 0) {
        return cel_url_parse_list(text, ret_urls, ret_n, err);
    }
    cel_buf_addf(&whole, "%s%s", named ? "db+" : "", named ? url : text);
    *ret_urls = cel_calloc(1, sizeof(struct cel_url *));
    celery_status status = *ret_urls && cel_buf_ok(&whole)
                               ? cel_url_parse(cel_buf_cstr(&whole), *ret_urls, err)
                               : cel_error_nomem(err);
    *ret_n = status == CELERY_OK;
    cel_buf_fini(&whole);
    if (status < 0) {
        *ret_urls = cel_url_free_list(*ret_urls, 0);
    }
    return status;
}

celery_status cel_backend_urls(const struct cel_config *config,
                               struct cel_url ***ret_urls, size_t *ret_n,
                               celery_error *err)
{
    const char *text = url_text(config);

    *ret_urls = NULL;
    *ret_n = 0;
    if (!text) {
        return CELERY_OK;
    }
    celery_status status = read_urls(config, text, ret_urls, ret_n, err);
    if (status < 0) {
        return cel_error_prefix(err, status, "result_backend: ");
    }
    return cel_use_ssl(*ret_urls, *ret_n, cel_config_doc(config, "redis_backend_use_ssl"),
                       "redis_backend_use_ssl", err);
}

const struct cel_backend_ops *cel_backend_of(const struct cel_config *config)
{
    const char *text = url_text(config);
    const char *end = text ? strstr(text, "://") : NULL;
    char scheme[64];

    if (text && (strcmp(text, "db") == 0 || strcmp(text, "database") == 0)) {
        return &cel_backend_sql;
    }

    if (!end || (size_t)(end - text) >= sizeof scheme) {
        return NULL;
    }
    snprintf(scheme, sizeof scheme, "%.*s", (int)(end - text), text);
    return cel_backend_find(scheme, NULL);
}

/* The codec that documents are written and read with; they carry no content type. */
static const struct cel_codec *result_codec(const struct cel_config *config,
                                            celery_error *err)
{
    const char *name = config ? cel_config_text(config, "result_serializer") : NULL;
    const struct cel_codec *codec = cel_codec_find(cel_slice_of(name ? name : "json"));
    if (!codec) {
        cel_error_set(err, CELERY_ECONFIG,
                      "result_serializer: %s is not in this build; use json", name);
    }
    return codec;
}

celery_status cel_backend_new(struct cel_loop *loop, struct cel_url *const *urls,
                              size_t n, const struct cel_config *config,
                              const struct cel_backend_events *events, void *ctx,
                              struct cel_backend **ret_b, celery_error *err)
{
    const struct cel_backend_ops *ops = cel_backend_find(urls[0]->scheme, err);
    const struct cel_codec *codec = result_codec(config, err);
    if (!ops || !codec) {
        return CELERY_ECONFIG;
    }
    struct cel_backend *b = cel_calloc(1, ops->size);
    if (!b) {
        return cel_error_nomem(err);
    }
    b->ops = ops;
    b->events = events;
    b->events_ctx = ctx;
    b->loop = loop;
    b->codec = codec;
    celery_status status = ops->init(b, urls, n, config, err);
    if (status < 0) {
        cel_backend_free(b);
        return status;
    }
    *ret_b = b;
    return CELERY_OK;
}

struct cel_backend *cel_backend_free(struct cel_backend *b)
{
    if (b) {
        b->ops->close(b);
        b->ops->fini(b);
        cel_free(b);
    }
    return NULL;
}

celery_status cel_group_write(const struct cel_codec *codec, struct cel_buf *out,
                              struct cel_slice json, celery_error *err)
{
    struct cel_arena a = {0};
    struct cel_buf text = {0};
    struct cel_node *doc = NULL;
    cel_buf_adds(&text, "{\"result\": ");
    cel_buf_add_slice(&text, json);
    cel_buf_addc(&text, '}');
    celery_status status = cel_buf_ok(&text) ? CELERY_OK : cel_error_nomem(err);
    if (status == CELERY_OK) {
        status = cel_json_parse(&a, cel_buf_slice(&text), NULL, &doc, err);
    }
    if (status == CELERY_OK) {
        status = codec->encode(out, doc, err);
    }
    cel_arena_fini(&a);
    cel_buf_fini(&text);
    return status;
}
