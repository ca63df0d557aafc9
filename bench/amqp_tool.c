/* SPDX-License-Identifier: BSD-3-Clause */
#include "amqp_tool.h"

#if __has_include(<rabbitmq-c/tcp_socket.h>)
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp_tcp_socket.h>
#endif

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

static void die(const char *what, const char *why)
{
    fprintf(stderr, "amqp: %s: %s\n", what, why);
    exit(1);
}

static void check_reply(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        die(what, amqp_error_string2(reply.library_error));
    }
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        die(what, "refused by the broker");
    }
}

void amqp_tool_check(amqp_connection_state_t c, const char *what)
{
    check_reply(amqp_get_rpc_reply(c), what);
}

amqp_connection_state_t amqp_tool_connect(int argc, char **argv, int n)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *socket = c ? amqp_tcp_socket_new(c) : NULL;
    int port = (int)tool_number(argc, argv, "--amqp", 0);

    if (!socket || amqp_socket_open(socket, "127.0.0.1", port) != AMQP_STATUS_OK) {
        die("connect", "no broker there");
    }
    check_reply(
        amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"),
        "login");
    for (int i = 1; i <= n; i++) {
        amqp_channel_open(c, (amqp_channel_t)i);
        amqp_tool_check(c, "channel");
    }
    return c;
}

void amqp_tool_cork(amqp_connection_state_t c, bool on)
{
    int value = on;

    setsockopt(amqp_get_sockfd(c), IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
}

bool amqp_tool_frame(amqp_connection_state_t c, amqp_frame_t *ret_frame, int ms)
{
    struct timeval wait = {ms / 1000, ms % 1000 * 1000};
    int status = amqp_simple_wait_frame_noblock(c, ret_frame, &wait);

    if (status == AMQP_STATUS_TIMEOUT) {
        return false;
    }
    if (status != AMQP_STATUS_OK) {
        die("read", amqp_error_string2(status));
    }
    return true;
}

void amqp_tool_take(amqp_connection_state_t c, struct amqp_tool_message *t,
                    const char *queue, const char *reply_to)
{
    amqp_table_t *headers = &t->m.properties.headers;
    amqp_bytes_t *id = &t->m.properties.correlation_id;

    if (amqp_basic_get(c, 1, amqp_cstring_bytes(queue), 1).reply.id !=
        AMQP_BASIC_GET_OK_METHOD) {
        die(queue, "there is no message");
    }
    check_reply(amqp_read_message(c, 1, &t->m, 0), queue);
    t->n_ids = 0;
    for (int i = 0; i < headers->num_entries && t->n_ids < AMQP_TOOL_IDS - 1; i++) {
        amqp_field_value_t *v = &headers->entries[i].value;

        if (v->kind == AMQP_FIELD_KIND_UTF8 && v->value.bytes.len == id->len &&
            memcmp(v->value.bytes.bytes, id->bytes, id->len) == 0) {
            t->ids[t->n_ids++] = &v->value.bytes;
        }
    }
    t->ids[t->n_ids++] = id;
    for (int i = 0; i < t->n_ids; i++) {
        *t->ids[i] = (amqp_bytes_t){TOOL_ID_LEN, t->id};
    }
    if (reply_to) {
        t->m.properties._flags |= AMQP_BASIC_REPLY_TO_FLAG;
        t->m.properties.reply_to = amqp_cstring_bytes(reply_to);
    }
}

void amqp_tool_number(struct amqp_tool_message *t, unsigned seed, unsigned long n)
{
    snprintf(t->id, sizeof(t->id), "%08x-0000-4000-8000-%012lx", seed,
             n & 0xfffffffffffful);
}
