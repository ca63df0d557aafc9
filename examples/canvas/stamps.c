/* SPDX-License-Identifier: BSD-3-Clause */
/* Stamps: marks that travel with every task of a canvas, and with what these send. */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, results, &err);
    celery_sig *group = celery_group(&err, celery_sig_new("canvas.stamps", &err, NULL),
                                     celery_sig_new("canvas.stamps", &err, NULL), NULL);

    celery_sig_set_stamp(group, "customer", json_string("c42"));
    celery_result *result = celery_send_sig(client, group, &err);
    json_t *value = celery_result_wait(result, 30.0, &err);
    char *text = value ? json_dumps(value, 0) : NULL;

    if (text) {
        printf("each task saw: %s\n", text);
    } else {
        fprintf(stderr, "stamps: %s\n", err.message);
    }
    free(text);
    json_decref(value);
    celery_result_free(result);
    celery_sig_free(group);
    celery_client_close(client);
    return err.status < 0 ? 1 : 0;
}
