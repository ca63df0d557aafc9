/* SPDX-License-Identifier: BSD-3-Clause */
/* A task that becomes a chord: canvas.add_all in worker.c, called like any other. */
#include <celery.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, results, &err);
    celery_result *result = celery_send(client, "canvas.add_all", &err,
                                        "[[[ii],[ii],[ii]]]", 1, 2, 3, 4, 5, 6);
    json_t *value = celery_result_wait(result, 30.0, &err);

    if (value) {
        printf("1 + 2 + 3 + 4 + 5 + 6 = %lld\n", (long long)json_integer_value(value));
    } else {
        fprintf(stderr, "replace: %s\n", err.message);
    }
    json_decref(value);
    celery_result_free(result);
    celery_client_close(client);
    return err.status < 0 ? 1 : 0;
}
