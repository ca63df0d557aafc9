/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Remote control by celery/control.h, for the tests: reads one JSON object for each line of
 * standard input and answers with one line of JSON.
 *
 *   {"ask": "ping", "arguments": {}, "destination": [], "pattern": "x", "matcher": "glob",
 *    "timeout": 1, "limit": 0, "enough": 0}
 *       -> {"replies": [[node, value] ...], "told": n, "dropped": n, "why": text}
 *   {"send": "revoke", ...}        -> {"sent": true}
 *   {"revoke": [id ...], "terminate": true, "signal": "KILL"}    -> {"sent": true}
 *   {"group": [task, arg], "n": 3, "after": 0.5, "terminate": true}
 *       sends a group and revokes it then -> {"ended": status, "states": [...]}
 */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static celery_client *client;

struct told {
    size_t n, enough;
};

static bool on_reply(void *ctx, const char *node, const celery_value *value)
{
    struct told *told = ctx;

    (void)node;
    (void)value;
    return ++told->n != told->enough;
}

static void print(json_t *give_value)
{
    char *text = json_dumps(give_value, JSON_ENSURE_ASCII);

    puts(text ? text : "null");
    fflush(stdout);
    free(text);
    json_decref(give_value);
}

static void print_error(const celery_error *err)
{
    print(json_pack("{s:s,s:s}", "status", celery_status_name(err->status), "error",
                    err->message));
}

static json_t *replies_of(const celery_replies *replies)
{
    json_t *list = json_array();

    for (size_t i = 0; i < celery_replies_count(replies); i++) {
        json_t *value = celery_value_to_json(celery_reply_value(replies, i), NULL);

        json_array_append_new(list, json_pack("[s,o]", celery_reply_node(replies, i),
                                              value ? value : json_null()));
    }
    return list;
}

static void read_options(const json_t *line, celery_control_options *o,
                         const char *names[64])
{
    json_t *destination = json_object_get(line, "destination");
    size_t n = json_array_size(destination);

    for (size_t i = 0; i < n && i < 63; i++) {
        names[i] = json_string_value(json_array_get(destination, i));
    }
    o->destination = names;
    o->pattern = json_string_value(json_object_get(line, "pattern"));
    o->matcher = json_string_value(json_object_get(line, "matcher"));
    o->timeout = json_number_value(json_object_get(line, "timeout"));
    o->limit = (size_t)json_integer_value(json_object_get(line, "limit"));
}

static void ask(json_t *line, const char *command)
{
    const char *names[64] = {NULL}, *why = NULL;
    json_t *arguments = json_object_get(line, "arguments");
    struct told told = {.enough =
                            (size_t)json_integer_value(json_object_get(line, "enough"))};
    celery_control_options options = {.reply = on_reply, .ctx = &told};
    celery_error err = {0};

    read_options(line, &options, names);
    celery_replies *replies = celery_control(client, command, &options, &err,
                                             arguments ? "O" : NULL, arguments);
    if (!replies) {
        print_error(&err);
        return;
    }
    size_t dropped = celery_replies_dropped(replies, &why);
    print(json_pack("{s:o,s:I,s:I,s:s?}", "replies", replies_of(replies), "told",
                    (json_int_t)told.n, "dropped", (json_int_t)dropped, "why", why));
    celery_replies_free(replies);
}

static void say(json_t *line, const char *command)
{
    const char *names[64] = {NULL};
    json_t *arguments = json_object_get(line, "arguments");
    celery_control_options options = {0};
    celery_error err = {0};

    read_options(line, &options, names);
    if (celery_control_send(client, command, &options, &err, arguments ? "O" : NULL,
                            arguments) < 0) {
        print_error(&err);
    } else {
        print(json_pack("{s:b}", "sent", 1));
    }
}

static void revoke(json_t *line, const json_t *list)
{
    const char *ids[64];
    size_t n = json_array_size(list);
    celery_error err = {0};

    for (size_t i = 0; i < n && i < 64; i++) {
        ids[i] = json_string_value(json_array_get(list, i));
    }
    if (celery_control_revoke(
            client, ids, n, json_is_true(json_object_get(line, "terminate")),
            json_string_value(json_object_get(line, "signal")), NULL, &err) < 0) {
        print_error(&err);
    } else {
        print(json_pack("{s:b}", "sent", 1));
    }
}

/* A group of the same task n times. */
static celery_sig *group_of(const char *task, json_t *arg, size_t n, celery_error *err)
{
    celery_sig *parts[17];

    n = n < 16 ? n : 16;
    for (size_t i = 0; i < n; i++) {
        parts[i] = celery_sig_new(task, err, "[O]", arg);
    }
    parts[n] = NULL;
    return celery_group_list(err, parts, n + 1);
}

static void group(json_t *line, json_t *call)
{
    celery_error err = {0};
    size_t n = (size_t)json_integer_value(json_object_get(line, "n"));
    celery_sig *sig = group_of(json_string_value(json_array_get(call, 0)),
                               json_array_get(call, 1), n, &err);
    celery_result *result = celery_send_sig(client, sig, &err);
    double after = json_number_value(json_object_get(line, "after"));
    struct timespec t = {(time_t)after, (long)((after - (double)(long)after) * 1e9)};
    json_t *states = json_array();

    nanosleep(&t, NULL);
    if (celery_result_revoke(result, json_is_true(json_object_get(line, "terminate")),
                             NULL, &err) == CELERY_OK) {
        celery_result_join(result, 20, &err);
    }
    for (size_t i = 0; i < celery_result_n_children(result); i++) {
        const char *state = celery_result_state(celery_result_child(result, i), NULL);

        json_array_append_new(states, json_string(state ? state : "?"));
    }
    print(json_pack("{s:s,s:o}", "ended", celery_status_name(err.status), "states",
                    states));
    celery_result_free(result);
    celery_sig_free(sig);
}

static void carry_out(json_t *line)
{
    const char *command = json_string_value(json_object_get(line, "ask"));
    json_t *ids = json_object_get(line, "revoke");

    if (command) {
        ask(line, command);
    } else if ((command = json_string_value(json_object_get(line, "send")))) {
        say(line, command);
    } else if (ids) {
        revoke(line, ids);
    } else {
        group(line, json_object_get(line, "group"));
    }
}

int main(int argc, char **argv)
{
    celery_error err = {0};
    char *text = NULL;
    size_t size = 0;

    client =
        argc > 1 ? celery_client_open(argv[1], argc > 2 ? argv[2] : NULL, &err) : NULL;
    if (!client) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    while (getline(&text, &size, stdin) > 0) {
        json_t *line = json_loads(text, 0, NULL);

        carry_out(line);
        json_decref(line);
    }
    free(text);
    celery_client_close(client);
    return 0;
}
