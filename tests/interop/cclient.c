/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cclient BROKER BACKEND TASK [ARGS [KWARGS [OPTIONS [TIMEOUT]]]]: sends one task and waits.
 *
 * ARGS and KWARGS are JSON text, OPTIONS an object of options of apply_async() and "many": N
 * to send it N times before waiting.  Prints one JSON line for each: id, state, error,
 * status, traceback, document.
 */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(json_t *options, const char *name)
{
    return json_string_value(json_object_get(options, name));
}

static void set_texts(celery_sig *sig, json_t *options)
{
    static const struct {
        const char *name;
        void (*set)(celery_sig *sig, const char *value);
    } setters[] = {
        {"task_id", celery_sig_set_task_id},
        {"queue", celery_sig_set_queue},
        {"exchange", celery_sig_set_exchange},
        {"routing_key", celery_sig_set_routing_key},
        {"eta", celery_sig_set_eta},
        {"expires_at", celery_sig_set_expires_at},
        {"serializer", celery_sig_set_serializer},
        {"compression", celery_sig_set_compression},
        {"shadow", celery_sig_set_shadow},
    };

    for (size_t i = 0; i < sizeof(setters) / sizeof(setters[0]); i++) {
        if (text_of(options, setters[i].name)) {
            setters[i].set(sig, text_of(options, setters[i].name));
        }
    }
}

static void set_numbers(celery_sig *sig, json_t *options)
{
    json_t *value;

    if ((value = json_object_get(options, "priority"))) {
        celery_sig_set_priority(sig, (int)json_integer_value(value));
    }
    if ((value = json_object_get(options, "countdown"))) {
        celery_sig_set_countdown(sig, json_number_value(value));
    }
    if ((value = json_object_get(options, "expires"))) {
        celery_sig_set_expires(sig, json_number_value(value));
    }
    if ((value = json_object_get(options, "ignore_result"))) {
        celery_sig_set_ignore_result(sig, json_is_true(value));
    }
    if ((value = json_object_get(options, "time_limit"))) {
        celery_sig_set_time_limit(sig, json_number_value(value), 0);
    }
}

static void set_headers(celery_sig *sig, json_t *options)
{
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(options, "headers"), name, value)
    {
        celery_sig_set_header(sig, name, json_incref(value));
    }
}

static celery_sig *make_sig(int argc, char **argv, json_t *options, celery_error *err)
{
    celery_sig *sig = celery_sig_new(argv[3], err, NULL);

    if (argc > 4) {
        celery_sig_set_args_text(sig, argv[4], err);
    }
    if (argc > 5) {
        celery_sig_set_kwargs_text(sig, argv[5], err);
    }
    set_texts(sig, options);
    set_numbers(sig, options);
    set_headers(sig, options);
    return sig;
}

static void print_string(const char *name, const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    char *dumped = json_dumps(value, JSON_ENCODE_ANY);

    printf("\"%s\": %s, ", name, dumped ? dumped : "null");
    free(dumped);
    json_decref(value);
}

static void report(celery_result *result, double timeout)
{
    celery_error err = {0};
    json_t *value = timeout != 0 ? celery_result_wait(result, timeout, &err) : NULL;
    char *document = NULL;

    printf("{");
    print_string("id", celery_result_id(result));
    print_string("state", celery_result_state(result, NULL));
    print_string("error", err.status ? err.message : NULL);
    print_string("traceback", celery_result_traceback(result));
    if (celery_result_document(result)) {
        document = celery_value_dumps(celery_result_document(result), NULL);
    }
    printf("\"status\": \"%s\", \"document\": %s}\n", celery_status_name(err.status),
           document ? document : "null");
    free(document);
    json_decref(value);
}

static int run(int argc, char **argv, json_t *options, double timeout)
{
    celery_error err = {0};
    celery_client *client =
        celery_client_open(argv[1], argv[2][0] ? argv[2] : NULL, &err);
    celery_sig *sig = make_sig(argc, argv, options, &err);
    size_t many = (size_t)json_integer_value(json_object_get(options, "many"));
    celery_result **results = calloc(many + 1, sizeof(*results));

    many = many ? many : 1;
    for (size_t i = 0; i < many && results && !err.status; i++) {
        results[i] = celery_send_sig(client, sig, &err);
    }
    for (size_t i = 0; i < many && results && results[i]; i++) {
        report(results[i], timeout);
        if (json_is_true(json_object_get(options, "forget"))) {
            celery_result_forget(results[i], &err);
        }
        celery_result_free(results[i]);
    }
    if (err.status) {
        fprintf(stderr, "%s: %s\n", celery_status_name(err.status), err.message);
    }
    free(results);
    celery_sig_free(sig);
    celery_client_close(client);
    return err.status ? 1 : 0;
}

int main(int argc, char **argv)
{
    json_t *options = argc > 6 ? json_loads(argv[6], 0, NULL) : json_object();
    double timeout = argc > 7 ? strtod(argv[7], NULL) : 10.0;
    int code;

    if (argc < 4 || !options) {
        fprintf(stderr,
                "usage: cclient BROKER BACKEND TASK [ARGS KWARGS OPTIONS TIMEOUT]\n");
        return 2;
    }
    code = run(argc, argv, options, timeout);
    json_decref(options);
    return code;
}
