/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands to workers (celery/app/control.py broadcast(), kombu/pidbox.py Mailbox). */
#include "client/control.h"
#include "app/mailbox.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/utf8.h"
#include "client/sig.h"
#include <math.h>

/* Control.broadcast(timeout=1.0); all answers together may take so many times as long. */
static const double TIMEOUT = 1;
static const double TIMEOUTS = 10;

/* Seconds for the broker to confirm what it was told. */
static const double CONFIRM = 10;

enum { NAME_MAX_BYTES = 255, DESTINATIONS_MAX = 10000 };

/* ---- the mailbox ---- */

static celery_status set_up(struct cel_remote *remote, const celery_client *client,
                            celery_error *err)
{
    const struct cel_config *c = client->config;
    celery_status status = cel_mailbox_read(&remote->mailbox, &remote->arena, c, err);

    if (status < 0) {
        return status;
    }
    cel_uuid4(remote->oid);
    remote->commands = (struct cel_queue){
        .name = remote->mailbox.exchange,
        .exchange = remote->mailbox.exchange,
        .exchange_type = "fanout",
        .routing_key = "",
        .exchange_transient = true,
        .exchange_only = true,
    };
    remote->codec = cel_codec_find(cel_slice_of(cel_config_text(c, "task_serializer")));
    remote->codec = remote->codec ? remote->codec : &cel_codec_json;
    remote->limits.accept = cel_config_list(c, "accept_content");
    remote->limits.max_body = client->transport->max_message;
    return cel_mailbox_reply_queue(&remote->mailbox, &remote->arena, remote->oid,
                                   &remote->replies, err);
}

struct cel_remote *cel_remote_of(celery_client *client, celery_error *err)
{
    if (!(client->transport->flags & CEL_TRANSPORT_FANOUT)) {
        cel_error_set(err, CELERY_ENOTSUP, "%s has no broadcasts",
                      client->transport->ops->name);
        return NULL;
    }
    if (!client->remote) {
        struct cel_remote *remote = cel_calloc(1, sizeof *remote);

        if (!remote) {
            cel_error_nomem(err);
            return NULL;
        }
        if (set_up(remote, client, err) < 0) {
            cel_remote_free(remote);
            return NULL;
        }
        client->remote = remote;
    }
    return client->remote;
}

struct cel_remote *cel_remote_free(struct cel_remote *remote)
{
    if (remote) {
        cel_arena_fini(&remote->arena);
        cel_free(remote);
    }
    return NULL;
}

/* ---- steps that are waited for ---- */

static celery_status wait_for(celery_client *client, struct cel_waiting *w,
                              celery_error *err)
{
    return cel_client_wait_answer(client, w, cel_client_now(client) + CONFIRM, err);
}

static celery_status declare(celery_client *client, const struct cel_queue *queue,
                             celery_error *err)
{
    struct cel_waiting w = {0};

    client->transport->ops->declare(client->transport, queue,
                                    (struct cel_done){cel_waiting_done, &w});
    return wait_for(client, &w, err);
}

static celery_status wait_up(celery_client *client, celery_error *err)
{
    double timeout = cel_config_double(client->config, "broker_connection_timeout", 4);

    return cel_client_wait_uplink(client, &client->broker,
                                  cel_client_now(client) + timeout, err);
}

static celery_status publish(celery_client *client, const struct cel_envelope *env,
                             celery_error *err)
{
    struct cel_remote *remote = client->remote;
    struct cel_waiting w = {0};
    celery_status status = declare(client, &remote->commands, err);

    if (status < 0) {
        return status;
    }
    client->transport->ops->publish(client->transport, remote->mailbox.exchange, "", env,
                                    (struct cel_done){cel_waiting_done, &w});
    return wait_for(client, &w, err);
}

celery_status cel_remote_send(celery_client *client,
                              const struct cel_command_draft *draft, celery_error *err)
{
    struct cel_remote *remote = client->remote;
    struct cel_command_draft dated = *draft;
    struct cel_envelope *env = NULL;

    dated.clock = ++remote->clock;
    celery_status status =
        cel_command_write(&remote->mailbox, &dated, remote->codec, &env, err);
    if (status == CELERY_OK) {
        status = wait_up(client, err);
    }
    if (status == CELERY_OK) {
        status = publish(client, env, err);
    }
    cel_envelope_free(env);
    return status;
}

/* ---- answers ---- */

/* Gives the new answers to the function; false: it has enough. */
static bool tell(const struct cel_asking *asking, const celery_control_options *options,
                 size_t *told)
{
    bool more = true;

    for (; more && *told < asking->replies->n; (*told)++) {
        const struct cel_answer *answer = &asking->replies->answers[*told];

        more =
            !options->reply || options->reply(options->ctx, answer->node, answer->value);
    }
    return more;
}

static celery_status collect(celery_client *client, struct cel_asking *asking,
                             const celery_control_options *options, celery_error *err)
{
    double end = cel_client_now(client) + TIMEOUTS * options->timeout;
    size_t told = 0;

    asking->heard = cel_client_now(client);
    while (tell(asking, options, &told) && (asking->limit == 0 || told < asking->limit)) {
        double silent = asking->heard + options->timeout;

        if (asking->lost.status < 0) {
            return cel_error_set(err, CELERY_ECLOSED, "%s", asking->lost.message);
        }
        if (!cel_client_pass(client, silent < end ? silent : end)) {
            break;
        }
    }
    return CELERY_OK;
}

/* The queue is there before the command is. */
static celery_status open_mailbox(celery_client *client, celery_error *err)
{
    struct cel_transport *t = client->transport;
    struct cel_remote *remote = client->remote;
    celery_status status = wait_up(client, err);

    if (status == CELERY_OK) {
        status = declare(client, &remote->replies, err);
    }
    return status < 0 ? status : t->ops->consume(t, remote->replies.name, err);
}

/* Channel.after_reply_message_received(): nothing is left with the broker. */
static void close_mailbox(celery_client *client)
{
    struct cel_transport *t = client->transport;
    struct cel_waiting w = {0};

    if (client->broker.state != CEL_UPLINK_UP) {
        return;
    }
    t->ops->delete_queue(t, client->remote->replies.name,
                         (struct cel_done){cel_waiting_done, &w});
    wait_for(client, &w, NULL);
}

static celery_status ask(celery_client *client, struct cel_command_draft *draft,
                         const celery_control_options *options,
                         struct celery_replies *replies, celery_error *err)
{
    struct cel_remote *remote = client->remote;
    struct cel_asking asking = {.replies = replies, .limit = options->limit};

    if (remote->asking) {
        return cel_error_set(err, CELERY_EINVAL,
                             "the client waits for answers to another command");
    }
    cel_uuid4(asking.ticket);
    draft->ticket = asking.ticket;
    draft->oid = remote->oid;
    if (asking.limit == 0) {
        asking.limit = celery_value_size(draft->destination);
    }
    celery_status status = open_mailbox(client, err);
    remote->asking = &asking;
    if (status == CELERY_OK) {
        status = cel_remote_send(client, draft, err);
    }
    if (status == CELERY_OK) {
        status = collect(client, &asking, options, err);
    }
    remote->asking = NULL;
    close_mailbox(client);
    return status;
}

/* ---- what the caller gave ---- */

static bool is_name(const char *text)
{
    size_t len = text ? strlen(text) : 0;

    return len > 0 && len <= NAME_MAX_BYTES && cel_utf8_valid(cel_slice_of(text));
}

static celery_status read_destination(struct cel_arena *a, const char *const *names,
                                      const struct cel_node **ret, celery_error *err)
{
    struct cel_node *list = cel_node_new(a, CELERY_KIND_ARRAY);

    for (size_t i = 0; list && names[i]; i++) {
        if (!is_name(names[i]) || i >= DESTINATIONS_MAX) {
            return cel_error_set(err, CELERY_EINVAL,
                                 "destination: names of nodes have 1 to %d bytes, and "
                                 "there are at most %d",
                                 NAME_MAX_BYTES, DESTINATIONS_MAX);
        }
        if (cel_node_append(list, cel_node_new_string(a, cel_slice_of(names[i]))) < 0) {
            return cel_error_nomem(err);
        }
    }
    *ret = list;
    return list ? CELERY_OK : cel_error_nomem(err);
}

static celery_status read_options(struct cel_arena *a, celery_control_options *o,
                                  struct cel_command_draft *draft, celery_error *err)
{
    o->timeout = o->timeout == 0 ? TIMEOUT : o->timeout; /* NOLINT: 0 means unset */
    if (!isfinite(o->timeout) || o->timeout < 0) {
        return cel_error_set(err, CELERY_EINVAL, "the time-out is no number over 0");
    }
    if (o->pattern) {
        o->matcher = o->matcher ? o->matcher : "glob";
        if (!is_name(o->pattern) ||
            (strcmp(o->matcher, "glob") != 0 && strcmp(o->matcher, "pcre") != 0)) {
            return cel_error_set(
                err, CELERY_EINVAL,
                "a pattern has 1 to %d bytes, and a matcher: glob or pcre",
                NAME_MAX_BYTES);
        }
        draft->pattern = o->pattern;
        draft->matcher = o->matcher;
    }
    draft->timeout = o->timeout;
    return o->destination && o->destination[0]
               ? read_destination(a, o->destination, &draft->destination, err)
               : CELERY_OK;
}

static celery_status read_arguments(struct cel_arena *a, const char *fmt, va_list list,
                                    struct cel_command_draft *draft, celery_error *err)
{
    if (!fmt || !*fmt) {
        return CELERY_OK;
    }
    json_t *packed = cel_sig_pack(fmt, list, err);
    if (!packed) {
        return CELERY_EINVAL;
    }
    struct cel_node *arguments = cel_doc_from_json(a, packed);
    json_decref(packed);
    if (!arguments) {
        return cel_error_nomem(err);
    }
    if (arguments->kind != CELERY_KIND_OBJECT) {
        return cel_error_set(err, CELERY_EINVAL,
                             "a command's arguments are an object: \"{s:s}\"");
    }
    draft->arguments = arguments;
    return CELERY_OK;
}

/* A command of the public calls, and what it borrows from. */
struct command {
    struct cel_arena arena;
    celery_control_options options;
    struct cel_command_draft draft;
};

static celery_status command_init(struct command *c, celery_client *client,
                                  const char *method,
                                  const celery_control_options *options, const char *fmt,
                                  va_list list, celery_error *err)
{
    *c = (struct command){.draft.method = method};
    if (options) {
        c->options = *options;
    }
    if (!is_name(method)) {
        return cel_error_set(err, CELERY_EINVAL, "a command has a name of 1 to %d bytes",
                             NAME_MAX_BYTES);
    }
    celery_status status = read_options(&c->arena, &c->options, &c->draft, err);
    if (status == CELERY_OK) {
        status = read_arguments(&c->arena, fmt, list, &c->draft, err);
    }
    if (status == CELERY_OK && !cel_remote_of(client, err)) {
        status = CELERY_ENOTSUP;
    }
    return status;
}

/* ---- the calls ---- */

celery_replies *celery_control(celery_client *client, const char *command,
                               const celery_control_options *options, celery_error *err,
                               const char *fmt, ...)
{
    struct command c;
    va_list list;

    if (!client) {
        return NULL;
    }
    struct celery_replies *replies = cel_calloc(1, sizeof *replies);
    if (!replies) {
        cel_error_nomem(err);
        return NULL;
    }
    va_start(list, fmt);
    celery_status status = command_init(&c, client, command, options, fmt, list, err);
    va_end(list);
    if (status == CELERY_OK) {
        status = ask(client, &c.draft, &c.options, replies, err);
    }
    cel_arena_fini(&c.arena);
    if (status < 0) {
        celery_replies_free(replies);
        return NULL;
    }
    return replies;
}

celery_status celery_control_send(celery_client *client, const char *command,
                                  const celery_control_options *options,
                                  celery_error *err, const char *fmt, ...)
{
    struct command c;
    va_list list;

    if (!client) {
        return CELERY_EINVAL;
    }
    va_start(list, fmt);
    celery_status status = command_init(&c, client, command, options, fmt, list, err);
    va_end(list);
    if (status == CELERY_OK) {
        status = cel_remote_send(client, &c.draft, err);
    }
    cel_arena_fini(&c.arena);
    return status;
}
