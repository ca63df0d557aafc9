/* SPDX-License-Identifier: BSD-3-Clause */
/* A chain: each step gets the result of the one before as its first argument. */
#include <celery.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, results, &err);
    celery_sig *steps =
        celery_chain(&err, celery_sig_new("canvas.add", &err, "[ii]", 2, 3),
                     celery_sig_new("canvas.add", &err, "[i]", 10),
                     celery_sig_new("canvas.add", &err, "[i]", 100), NULL);
    celery_result *last = celery_send_sig(client, steps, &err);
    json_t *value = celery_result_wait(last, 30.0, &err);

    if (value) {
        printf("2 + 3 + 10 + 100 = %lld\n", (long long)json_integer_value(value));
    }
    for (celery_result *r = celery_result_parent(last); value && r;
         r = celery_result_parent(r)) {
        json_t *before = celery_result_wait(r, 30.0, &err);
        printf("before that: %lld\n", (long long)json_integer_value(before));
        json_decref(before);
    }
    if (err.status < 0) {
        fprintf(stderr, "chain: %s\n", err.message);
    }
    json_decref(value);
    celery_result_free(last);
    celery_sig_free(steps);
    celery_client_close(client);
    return err.status < 0 ? 1 : 0;
}
