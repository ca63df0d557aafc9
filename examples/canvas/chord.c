/* SPDX-License-Identifier: BSD-3-Clause */
/* A chord: when all parts of its header have ended, the body gets the list of their results. */
#include <celery.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, results, &err);
    celery_sig *header =
        celery_group(&err, celery_sig_new("canvas.add", &err, "[ii]", 1, 1),
                     celery_sig_new("canvas.add", &err, "[ii]", 2, 2),
                     celery_sig_new("canvas.add", &err, "[ii]", 3, 3), NULL);
    celery_sig *chord =
        celery_chord(&err, header, celery_sig_new("canvas.sum", &err, NULL));
    celery_result *result = celery_send_sig(client, chord, &err);
    json_t *value = celery_result_wait(result, 30.0, &err);

    if (value) {
        printf("the body got %zu results and gives %lld\n",
               celery_result_n_children(celery_result_parent(result)),
               (long long)json_integer_value(value));
    } else {
        fprintf(stderr, "chord: %s\n", err.message);
    }
    json_decref(value);
    celery_result_free(result);
    celery_sig_free(chord);
    celery_client_close(client);
    return err.status < 0 ? 1 : 0;
}
