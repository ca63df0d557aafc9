/* SPDX-License-Identifier: BSD-3-Clause */
/* Control.revoke(): a broadcast to all workers (kombu/pidbox.py Mailbox._publish). */
#include "base/clock.h"
#include "base/error.h"
#include "client/result.h"
#include "client/send.h"
#include "codec/codec.h"
#include "message/envelope_json.h"
#include "transport/transport.h"
#include <stdio.h>

/* Workers take no notice of a command that has been under way for longer. */
static const double TIMEOUT = 1;

static void add_id(celery_result *task, void *ctx)
{
    struct cel_buf *out = ctx;
    if (cel_buf_ok(out) && out->len > 0 && out->data[out->len - 1] != '[') {
        cel_buf_adds(out, ", ");
    }
    cel_json_write_string(out, cel_slice_of(task->id));
}

/* One id alone is a text, as upstream has it. */
static void write_ids(struct cel_buf *out, celery_result *r)
{
    struct cel_buf ids = {0};
    cel_buf_adds(&ids, "[");
    cel_result_each_task(r, add_id, &ids);
    cel_buf_adds(&ids, "]");
    if (r->group) {
        cel_buf_add_slice(out, cel_buf_slice(&ids));
    } else if (cel_buf_ok(&ids)) {
        cel_buf_add(out, ids.data + 1, ids.len - 2);
    }
    out->failed = out->failed || ids.failed;
    cel_buf_fini(&ids);
}

/* {"method": "revoke", "arguments": {...}, ...} in the order of keys that kombu has. */
static celery_status make_command(struct cel_envelope *env, celery_result *r,
                                  bool terminate, const char *signal,
                                  const struct cel_codec *codec, celery_error *err)
{
    struct cel_buf text = {0}, body = {0};
    struct cel_node *command = NULL;
    cel_buf_adds(&text, "{\"method\": \"revoke\", \"arguments\": {\"task_id\": ");
    write_ids(&text, r);
    cel_buf_addf(&text,
                 ", \"terminate\": %s, \"signal\": ", terminate ? "true" : "false");
    cel_json_write_string(&text, cel_slice_of(signal ? signal : "SIGTERM"));
    cel_buf_adds(&text,
                 "}, \"destination\": null, \"pattern\": null, \"matcher\": null}");
    celery_status status = cel_buf_ok(&text) ? CELERY_OK : cel_error_nomem(err);
    if (status == CELERY_OK) {
        status = cel_json_parse(&env->arena, cel_buf_slice(&text), NULL, &command, err);
    }
    if (status == CELERY_OK) {
        status = codec->encode(&body, command, err);
    }
    if (status == CELERY_OK) {
        env->body =
            cel_slice(cel_arena_strndup(&env->arena, body.data, body.len), body.len);
        status = env->body.data ? CELERY_OK : cel_error_nomem(err);
    }
    cel_buf_fini(&text);
    cel_buf_fini(&body);
    return status;
}

static celery_status put_headers(struct cel_envelope *env, celery_error *err)
{
    struct cel_arena *a = &env->arena;
    struct cel_node *headers = cel_node_new(a, CELERY_KIND_OBJECT);
    env->headers = headers;
    if (!headers ||
        cel_node_put(a, headers, CEL_SLICE("clock"), cel_node_new_int(a, 1)) < 0 ||
        cel_node_put(a, headers, CEL_SLICE("expires"),
                     cel_node_new_double(a, cel_clock_wall() + TIMEOUT)) < 0) {
        return cel_error_nomem(err);
    }
    return CELERY_OK;
}

/* As kombu/pidbox.py Mailbox._get_exchange; nothing is bound to it. */
static void declare_exchange(celery_client *client, const char *exchange)
{
    const struct cel_queue queue = {.name = exchange,
                                    .exchange = exchange,
                                    .exchange_type = "fanout",
                                    .routing_key = "",
                                    .exchange_transient = true,
                                    .exchange_only = true};
    client->transport->ops->declare(client->transport, &queue, (struct cel_done){0});
}

static celery_status broadcast(celery_client *client, struct cel_envelope *env,
                               const char *exchange, celery_error *err)
{
    struct cel_effects effects = {0};
    double timeout = cel_config_double(client->config, "broker_connection_timeout", 4);
    celery_status status = cel_client_wait_uplink(client, &client->broker,
                                                  cel_client_now(client) + timeout, err);
    if (status < 0) {
        return status;
    }
    declare_exchange(client, exchange);
    status = cel_effects_publish(&effects, CEL_SLICE("revoke"), env, CEL_SLICE_NULL,
                                 cel_slice_of(exchange), CEL_SLICE_NULL);
    if (status < 0) {
        cel_effects_fini(&effects);
        return cel_error_nomem(err);
    }
    return cel_send_effects(client, &effects, err);
}

celery_status celery_result_revoke(celery_result *result, bool terminate,
                                   const char *signal, celery_error *err)
{
    celery_client *client = result ? result->client : NULL;
    if (!client) {
        return result ? cel_error_set(err, CELERY_ECLOSED, "the client is closed")
                      : CELERY_EINVAL;
    }
    if (!(client->transport->ops->flags & CEL_TRANSPORT_FANOUT)) {
        return cel_error_set(err, CELERY_ENOTSUP, "%s has no broadcasts",
                             client->transport->ops->name);
    }
    const char *serializer = cel_config_text(client->config, "task_serializer");
    const struct cel_codec *codec = cel_codec_find(cel_slice_of(serializer));
    struct cel_envelope *env = cel_envelope_new();
    char exchange[256];
    celery_status status = env && codec ? CELERY_OK : cel_error_nomem(err);
    int n = snprintf(exchange, sizeof exchange, "%s.pidbox",
                     cel_config_text(client->config, "control_exchange"));
    if (n < 0 || (size_t)n >= sizeof exchange) {
        status = cel_error_set(err, CELERY_ECONFIG, "control_exchange is too long");
    }
    if (status == CELERY_OK) {
        status = make_command(env, result, terminate, signal, codec, err);
    }
    if (status == CELERY_OK) {
        status = put_headers(env, err);
    }
    if (status == CELERY_OK) {
        env->content_type = cel_slice_of(codec->content_type);
        env->content_encoding = cel_slice_of(codec->encoding);
        env->exchange = cel_slice_of(exchange);
        env->delivery_mode = 2;
        status = broadcast(client, env, exchange, err);
    }
    cel_envelope_free(env);
    return status;
}
