/* SPDX-License-Identifier: BSD-3-Clause */
/* A group: its parts run at the same time; their results are pushed as they end. */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTS = 10 };

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, results, &err);
    celery_sig *parts[PARTS];
    celery_result_counts counts;
    long long total = 0;
    int ended = 0;

    for (int i = 0; i < PARTS; i++) {
        parts[i] = celery_sig_new("canvas.add", &err, "[ii]", i, i);
    }
    celery_sig *group = celery_group_of(&err, parts, PARTS);
    celery_result *result = celery_send_sig(client, group, &err);

    for (celery_result *r; (r = celery_result_next(result, 30.0, &err)) != NULL;) {
        int64_t number = 0;
        celery_value_int(celery_result_value(r), &number);
        total += number;
        ended++;
    }
    printf("%d parts ended, together %lld\n", ended, total);

    json_t *values = celery_result_wait(result, 30.0, &err);
    char *text = values ? json_dumps(values, 0) : NULL;
    printf("in their order: %s\n", text ? text : err.message);
    free(text);
    json_decref(values);
    if (celery_result_count(result, &counts, &err) == CELERY_OK) {
        printf("%zu of %zu succeeded\n", counts.succeeded, counts.total);
    }
    if (err.status < 0) {
        fprintf(stderr, "group: %s\n", err.message);
    }
    celery_result_free(result);
    celery_sig_free(group);
    celery_client_close(client);
    return err.status < 0 ? 1 : 0;
}
