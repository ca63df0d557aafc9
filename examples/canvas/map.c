/* SPDX-License-Identifier: BSD-3-Clause */
/* Many small calls in few messages: map, starmap and chunks. */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>

/* Sends a signature, which is taken, and prints its value. */
static void run(celery_client *client, const char *what, celery_sig *give_sig,
                celery_error *err)
{
    celery_result *result = celery_send_sig(client, give_sig, err);
    json_t *value = celery_result_wait(result, 30.0, err);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

    if (text) {
        printf("%s: %s\n", what, text);
    }
    free(text);
    json_decref(value);
    celery_result_free(result);
    celery_sig_free(give_sig);
}

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, results, &err);
    json_t *pairs = json_pack("[[ii],[ii],[ii],[ii],[ii]]", 1, 1, 2, 2, 3, 3, 4, 4, 5, 5);

    /* sum([1, 1]), sum([2, 2]) ... in one message */
    run(client, "map",
        celery_map(&err, celery_sig_new("canvas.sum", &err, NULL), json_incref(pairs)),
        &err);
    /* add(1, 1), add(2, 2) ... in one message */
    run(client, "starmap",
        celery_starmap(&err, celery_sig_new("canvas.add", &err, NULL),
                       json_incref(pairs)),
        &err);
    /* the same in messages of two calls each */
    run(client, "chunks",
        celery_chunks(&err, celery_sig_new("canvas.add", &err, NULL), pairs, 2), &err);
    if (err.status < 0) {
        fprintf(stderr, "map: %s\n", err.message);
    }
    celery_client_close(client);
    return err.status < 0 ? 1 : 0;
}
