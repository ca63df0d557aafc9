/* SPDX-License-Identifier: BSD-3-Clause */
#include <celery.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *redis = argc > 1 ? argv[1] : "redis://localhost/0";
    celery_error err = {0};
    celery_client *client = celery_client_open(redis, redis, &err);
    celery_result *result = celery_send(client, "hello.add", &err, "[ii]", 2, 3);
    json_t *sum = celery_result_wait(result, 10.0, &err);

    if (sum) {
        printf("2 + 3 = %lld\n", (long long)json_integer_value(sum));
    } else {
        fprintf(stderr, "hello.add: %s\n", err.message);
    }
    json_decref(sum);
    celery_result_free(result);
    celery_client_close(client);
    return err.status == CELERY_OK ? 0 : 1;
}
