/* SPDX-License-Identifier: BSD-3-Clause */
/* A group that outlives the program that sent it: saved under its id, restored elsewhere. */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gives the id of the group, for another program. */
static char *send_and_save(const char *broker, const char *results, celery_error *err)
{
    celery_client *client = celery_client_open(broker, results, err);
    celery_sig *group =
        celery_group(err, celery_sig_new("canvas.add", err, "[ii]", 1, 2),
                     celery_sig_new("canvas.add", err, "[ii]", 3, 4), NULL);
    celery_result *result = celery_send_sig(client, group, err);
    char *id = NULL;

    if (celery_result_save(result, err) == CELERY_OK) {
        id = strdup(celery_result_id(result));
    }
    celery_result_free(result);
    celery_sig_free(group);
    celery_client_close(client);
    return id;
}

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0};
    char *id = send_and_save(broker, results, &err);
    celery_client *client = id ? celery_client_open(broker, results, &err) : NULL;
    celery_result *result = celery_result_restore(client, id, &err);
    json_t *values = celery_result_wait(result, 30.0, &err);
    char *list = values ? json_dumps(values, 0) : NULL;

    if (list) {
        printf("restored: %s\n", list);
        celery_result_forget(result, &err);
        celery_result_delete(result, &err);
    }
    if (err.status != CELERY_OK) {
        fprintf(stderr, "restore: %s\n", err.message);
    }
    free(list);
    free(id);
    json_decref(values);
    celery_result_free(result);
    celery_client_close(client);
    return err.status == CELERY_OK ? 0 : 1;
}
