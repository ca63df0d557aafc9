/* SPDX-License-Identifier: BSD-3-Clause */
/* A task that fails: what its caller sees, and the errback that runs after it. */
#include <celery.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    const char *results = argc > 2 ? argv[2] : broker;
    celery_error err = {0}, why = {0};
    celery_client *client = celery_client_open(broker, results, &err);
    celery_sig *errback = celery_sig_new("canvas.note_error", &err, NULL);
    celery_result *noted = celery_sig_freeze(client, errback, &err);
    celery_sig *sig =
        celery_chain(&err, celery_sig_new("canvas.fail", &err, "[s]", "no good"),
                     celery_sig_new("canvas.add", &err, "[i]", 1), NULL);

    celery_sig_link_error(sig, errback);
    celery_result *result = celery_send_sig(client, sig, &err);
    if (result && !celery_result_wait(result, 30.0, &why)) {
        printf("%s: %s\n", celery_status_name(why.status), why.message);
        printf("a %s of module %s\n", celery_result_exc_type(result),
               celery_result_exc_module(result));
    }
    json_t *id = celery_result_wait(noted, 30.0, &err);
    celery_result *first = celery_result_parent(result);
    if (id) {
        printf("the errback was told of %s\n",
               strcmp(json_string_value(id), celery_result_id(first)) == 0
                   ? "the first step"
                   : json_string_value(id));
    } else {
        fprintf(stderr, "errors: %s\n", err.message);
    }
    json_decref(id);
    celery_result_free(result);
    celery_result_free(noted);
    celery_sig_free(sig);
    celery_client_close(client);
    return err.status < 0 ? 1 : 0;
}
