/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c call: sends a task by name (celery/bin/call.py). */
#include "cli/outcome.h"
#include "cli/session.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct call_args {
    const char *args;
    const char *kwargs;
    const char *eta;
    const char *expires;
    const char *serializer;
    const char *compression;
    const char *task_id;
    const char *queue;
    const char *exchange;
    const char *routing_key;
    const char *headers;
    struct opt_many header;
    double countdown; /* < 0: none */
    int64_t priority; /* < 0: none */
    double timeout;   /* < 0: none */
    bool wait;
    bool json;
};

#define FIELD(member) offsetof(struct call_args, member)
#define CALLING       "Calling Options"
#define ROUTING       "Routing Options"
#define WAITING       "Waiting Options"

/* clang-format off */
static const struct opt options[] = {
    {'a', "args", OPT_TEXT, FIELD(args), "JSON", "Positional arguments: an array.", CALLING},
    {'k', "kwargs", OPT_TEXT, FIELD(kwargs), "JSON", "Keyword arguments: an object.", CALLING},
    {0, "eta", OPT_TEXT, FIELD(eta), "TIME", "When to run it, ISO 8601.", CALLING},
    {0, "countdown", OPT_SECONDS, FIELD(countdown), "SECONDS", "The same, from now.", CALLING},
    {0, "expires", OPT_TEXT, FIELD(expires), "TIME", "When not to run it any more: ISO 8601, or seconds from now.", CALLING},
    {0, "serializer", OPT_TEXT, FIELD(serializer), "NAME", "How the arguments are written; default: json.", CALLING},
    {0, "compression", OPT_TEXT, FIELD(compression), "NAME", "How the message is compressed.", CALLING},
    {0, "task-id", OPT_TEXT, FIELD(task_id), "ID", "The id it shall have.", CALLING},
    {0, "headers", OPT_TEXT, FIELD(headers), "JSON", "Headers of the message: an object.", CALLING},
    {0, "header", OPT_MANY, FIELD(header), "NAME=VALUE", "One header; VALUE is JSON or a text.", CALLING},
    {0, "queue", OPT_TEXT, FIELD(queue), "NAME", "Queue.", ROUTING},
    {0, "exchange", OPT_TEXT, FIELD(exchange), "NAME", "Exchange.", ROUTING},
    {0, "routing-key", OPT_TEXT, FIELD(routing_key), "KEY", "Routing key.", ROUTING},
    {0, "priority", OPT_INT, FIELD(priority), "0-9", "Priority.", ROUTING},
    {0, "wait", OPT_SWITCH, FIELD(wait), NULL, "Wait for the result and print it, too.", WAITING},
    {0, "timeout", OPT_SECONDS, FIELD(timeout), "SECONDS", "Wait at most so long; implies --wait.", WAITING},
    {0, "json", OPT_SWITCH, FIELD(json), NULL, "Print one JSON object.", WAITING},
    {0, NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

/* ---- the signature ---- */

/* Setters remember what is wrong; a copy cannot be made then. */
static bool is_sound(const celery_sig *sig, celery_error *err)
{
    celery_sig *copy = celery_sig_clone(sig, err, NULL);

    celery_sig_free(copy);
    return copy != NULL;
}

static int invalid(const struct line *line, const char *option, const celery_error *err)
{
    return opt_invalid(line, option, "%s", err->message);
}

static int invalid_time(const struct line *line, const char *option, const char *text)
{
    return opt_invalid(line, option, "'%s' is no ISO 8601 time.", text);
}

static int set_times(celery_sig *sig, const struct call_args *a, const struct line *line)
{
    celery_error err = {0};
    char *end;
    double seconds;

    if (a->eta) {
        celery_sig_set_eta(sig, a->eta);
        if (!is_sound(sig, &err)) {
            return invalid_time(line, "eta", a->eta);
        }
    }
    if (a->countdown >= 0) {
        celery_sig_set_countdown(sig, a->countdown);
    }
    if (a->expires) {
        seconds = strtod(a->expires, &end);
        if (*end == 0 && end != a->expires && seconds >= 0) {
            celery_sig_set_expires(sig, seconds);
        } else {
            celery_sig_set_expires_at(sig, a->expires);
        }
        if (!is_sound(sig, &err)) {
            return invalid_time(line, "expires", a->expires);
        }
    }
    return OPT_GO;
}

static void set_header(celery_sig *sig, const char *name, const char *value)
{
    json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);

    celery_sig_set_header(sig, name, json ? json : json_string(value));
}

static int set_headers(celery_sig *sig, const struct call_args *a,
                       const struct line *line)
{
    celery_error err = {0};

    if (a->headers && celery_sig_set_option_text(sig, "headers", a->headers, &err) < 0) {
        return invalid(line, "headers", &err);
    }
    for (size_t i = 0; i < a->header.n; i++) {
        const char *text = a->header.values[i];
        const char *equals = strchr(text, '=');
        char *name = equals ? strndup(text, (size_t)(equals - text)) : NULL;

        if (!name || !*name) {
            free(name);
            return opt_invalid(line, "header", "%s is not NAME=VALUE.", text);
        }
        set_header(sig, name, equals + 1);
        free(name);
    }
    return OPT_GO;
}

static int set_route(celery_sig *sig, const struct call_args *a, const struct line *line)
{
    if (a->queue) {
        celery_sig_set_queue(sig, a->queue);
    }
    if (a->exchange) {
        celery_sig_set_exchange(sig, a->exchange);
    }
    if (a->routing_key) {
        celery_sig_set_routing_key(sig, a->routing_key);
    }
    if (a->priority > 9) {
        return opt_invalid(line, "priority", "it is not 0 to 9.");
    }
    if (a->priority >= 0) {
        celery_sig_set_priority(sig, (int)a->priority);
    }
    return OPT_GO;
}

/* Upstream ends with kombu's SerializerNotInstalled here, not with click's usage. */
static int set_codecs(celery_sig *sig, const struct call_args *a)
{
    celery_error err = {0};
    bool serializer;

    celery_sig_set_serializer(sig, a->serializer);
    serializer = is_sound(sig, &err);
    if (serializer && a->compression) {
        celery_sig_set_compression(sig, a->compression);
    }
    if (is_sound(sig, &err)) {
        return OPT_GO;
    }
    fprintf(stderr, "Error: no %s ", serializer ? "compression" : "serializer");
    const char *name = serializer ? a->compression : a->serializer;
    text_print(stderr, name, strlen(name));
    fprintf(stderr, " in this build; celery-c report lists those that there are\n");
    return 1;
}

/* Fills the signature; what is wrong with the options is said as click says it. */
static int fill(celery_sig *sig, const struct call_args *a, const struct line *line)
{
    celery_error err = {0};
    int code;

    if (a->args && celery_sig_set_args_text(sig, a->args, &err) < 0) {
        return invalid(line, "args", &err);
    }
    if (a->kwargs && celery_sig_set_kwargs_text(sig, a->kwargs, &err) < 0) {
        return invalid(line, "kwargs", &err);
    }
    code = set_times(sig, a, line);
    if (code == OPT_GO) {
        code = set_headers(sig, a, line);
    }
    if (code == OPT_GO) {
        code = set_route(sig, a, line);
    }
    if (a->task_id) {
        celery_sig_set_task_id(sig, a->task_id);
    }
    return code == OPT_GO ? set_codecs(sig, a) : code;
}

/* ---- sending ---- */

static int send(struct session *s, const struct call_args *a, const celery_sig *sig)
{
    celery_error err = {0};
    celery_result *result = celery_send_sig(s->client, sig, &err);
    int code = 0;

    if (!result) {
        return session_failed(&err, 1);
    }
    if (!a->json || !a->wait) {
        if (a->json) {
            code = outcome_id_json(result);
        } else {
            printf("%s\n", celery_result_id(result));
        }
        fflush(stdout); /* now, if it is waited for */
    }
    if (a->wait) {
        code = outcome_wait(result, a->timeout, a->json, false);
    }
    celery_result_free(result);
    return code;
}

static int run(int argc, char **argv)
{
    struct call_args a = {
        .serializer = "json", .countdown = -1, .priority = -1, .timeout = -1};
    struct line line;
    struct session s;
    celery_error err = {0};
    int code = opt_parse(&cmd_call, argc, argv, &a, &line);

    if (code != OPT_GO) {
        return code;
    }
    a.wait |= a.timeout >= 0;
    celery_sig *sig = celery_sig_new(line.words[0], &err, NULL);
    if (!sig) {
        return session_failed(&err, 1);
    }
    code = fill(sig, &a, &line);
    if (code == OPT_GO) {
        code = session_client(&s, &line, 1);
        code = code == OPT_GO ? send(&s, &a, sig) : code;
        session_end(&s);
    }
    celery_sig_free(sig);
    return code;
}

const struct command cmd_call = {
    .name = "call",
    .group = "Tasks",
    .summary = "Call a task by name and print its id.",
    .words = "NAME",
    .options = options,
    .run = run,
};
