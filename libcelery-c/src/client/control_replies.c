/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers to commands: from the reply queue to the call that waits for them. */
#include "base/alloc.h"
#include "base/utf8.h"
#include "client/control.h"
#include <stdio.h>

/* What one call may collect. */
#define ANSWERS_MAX 10000
#define BYTES_MAX   ((size_t)256 << 20)

/* A node name: user@host. */
#define NODE_MAX 512

static void drop(struct celery_replies *replies, const char *why)
{
    if (replies->dropped++ == 0) {
        snprintf(replies->why, sizeof replies->why, "%s", why);
    }
}

/* NULL: no room. */
static struct cel_answer *next_answer(struct celery_replies *replies)
{
    if ((replies->n & (replies->n - 1)) == 0) {
        size_t cap = replies->n ? replies->n * 2 : 1;
        void *grown = cel_realloc(replies->answers, cap, sizeof *replies->answers);

        if (!grown) {
            return NULL;
        }
        replies->answers = grown;
    }
    return &replies->answers[replies->n];
}

static bool is_node_name(struct cel_slice name)
{
    return name.len > 0 && name.len <= NODE_MAX && cel_utf8_valid(name) &&
           !memchr(name.data, '\0', name.len);
}

static const char *check(const struct celery_replies *replies,
                         const struct cel_node *nodes, size_t size)
{
    const struct cel_node *value;

    if (!nodes || nodes->kind != CELERY_KIND_OBJECT || nodes->size == 0) {
        return "an answer that is no map of nodes";
    }
    if (replies->n + nodes->size > ANSWERS_MAX || replies->bytes + size > BYTES_MAX) {
        return "too many answers";
    }
    for (const struct cel_node *key = cel_node_first(nodes); key; key = value->next) {
        value = key->next;
        if (!is_node_name(cel_node_text(key))) {
            return "an answer without the name of a node";
        }
    }
    return NULL;
}

/* Takes the envelope when it returns true. */
static bool keep(struct celery_replies *replies, const struct cel_node *nodes,
                 struct cel_envelope *envelope)
{
    const struct cel_node *value;
    size_t first = replies->n;

    for (const struct cel_node *key = cel_node_first(nodes); key; key = value->next) {
        struct cel_slice name = cel_node_text(key);
        char *node = cel_arena_strndup(&envelope->arena, name.data, name.len);
        struct cel_answer *answer = node ? next_answer(replies) : NULL;

        if (!answer) {
            replies->n = first;
            return false;
        }
        value = key->next;
        *answer = (struct cel_answer){.node = node, .value = value};
        replies->n++;
    }
    replies->answers[first].envelope = envelope;
    return true;
}

static void take(struct cel_remote *remote, struct cel_envelope *give_envelope,
                 double now)
{
    struct cel_asking *asking = remote->asking;
    struct celery_replies *replies = asking->replies;
    struct cel_command_reply reply = {0};
    celery_error err = {0};
    size_t size = give_envelope->body.len + sizeof *give_envelope;

    /* Late answers to earlier commands come to the same queue. */
    if (!cel_slice_is(
            cel_node_text(cel_envelope_header(give_envelope, CEL_SLICE("ticket"))),
            asking->ticket)) {
        cel_envelope_free(give_envelope);
        return;
    }
    asking->heard = now;
    celery_status status =
        cel_command_reply_read(give_envelope, &remote->limits, &reply, &err);
    const char *why = status < 0
                          ? err.message
                          : check(replies, reply.nodes, size + give_envelope->arena.used);

    if (!why && !keep(replies, reply.nodes, give_envelope)) {
        why = "out of memory";
    }
    if (why) {
        drop(replies, why);
        cel_envelope_free(give_envelope);
        return;
    }
    replies->bytes += size + give_envelope->arena.used;
    if (reply.clock > remote->clock && reply.clock < INT64_MAX / 2) {
        remote->clock = reply.clock; /* kombu/clocks.py LamportClock.adjust() */
    }
    remote->clock++;
}

void cel_remote_delivered(celery_client *client, struct cel_delivery *give_delivery)
{
    struct cel_remote *remote = client->remote;
    struct cel_asking *asking = remote ? remote->asking : NULL;

    if (!asking || (asking->limit > 0 && asking->replies->n >= asking->limit)) {
        cel_envelope_free(give_delivery->envelope);
    } else if (give_delivery->malformed) {
        drop(asking->replies, give_delivery->why);
        cel_envelope_free(give_delivery->envelope);
    } else {
        take(remote, give_delivery->envelope, cel_client_now(client));
    }
}

void cel_remote_lost(celery_client *client, const celery_error *why)
{
    if (client->remote && client->remote->asking) {
        client->remote->asking->lost = *why;
    }
}

/* ---- for who asked ---- */

size_t celery_replies_count(const celery_replies *replies)
{
    return replies ? replies->n : 0;
}

const char *celery_reply_node(const celery_replies *replies, size_t i)
{
    return i < celery_replies_count(replies) ? replies->answers[i].node : NULL;
}

const celery_value *celery_reply_value(const celery_replies *replies, size_t i)
{
    return i < celery_replies_count(replies) ? replies->answers[i].value : NULL;
}

const celery_value *celery_replies_get(const celery_replies *replies, const char *node)
{
    for (size_t i = celery_replies_count(replies); node && i > 0; i--) {
        if (strcmp(replies->answers[i - 1].node, node) == 0) {
            return replies->answers[i - 1].value;
        }
    }
    return NULL;
}

size_t celery_replies_dropped(const celery_replies *replies, const char **ret_why)
{
    if (ret_why) {
        *ret_why = replies && replies->dropped > 0 ? replies->why : NULL;
    }
    return replies ? replies->dropped : 0;
}

void celery_replies_free(celery_replies *replies)
{
    if (!replies) {
        return;
    }
    for (size_t i = 0; i < replies->n; i++) {
        cel_envelope_free(replies->answers[i].envelope);
    }
    cel_free(replies->answers);
    cel_free(replies);
}
