/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls the tasks of inside_worker.c: ./ask redis://localhost */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>

static bool ask(celery_client *client, const char *task, const char *fmt, int arg)
{
    celery_error err = {0};
    celery_result *result = celery_send(client, task, &err, fmt, arg);
    json_t *value = celery_result_wait(result, 20.0, &err);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

    if (text) {
        printf("%s: %s, with %zu children\n", task, text,
               celery_value_size(celery_result_children(result)));
    } else {
        fprintf(stderr, "%s: %s\n", task, err.message);
    }
    free(text);
    json_decref(value);
    celery_result_free(result);
    return value;
}

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, results, &err);

    if (!client) {
        fprintf(stderr, "ask: %s\n", err.message);
        return 1;
    }
    bool all = ask(client, "inside.squares", "[i]", 4) &&
               ask(client, "inside.scatter", "[]", 0) &&
               ask(client, "inside.stubborn", "[]", 0) &&
               ask(client, "inside.unlucky", "[]", 0);
    celery_client_close(client);
    return all ? 0 : 1;
}
