/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * delayed_client SETTINGS QUEUE SECONDS N: sends N tasks with that countdown to the queue and
 * waits for them.  SETTINGS: a JSON file.
 */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX = 100 };

static celery_error err;

static bool send(celery_client *client, char **argv, celery_result **ret)
{
    celery_sig *sig = celery_sig_new("t.noop", &err, "");

    celery_sig_set_queue(sig, argv[2]);
    celery_sig_set_countdown(sig, strtod(argv[3], NULL));
    *ret = celery_send_sig(client, sig, &err);
    celery_sig_free(sig);
    return *ret != NULL;
}

static bool run(celery_client *client, char **argv)
{
    celery_result *results[MAX] = {0};
    size_t n = (size_t)strtoul(argv[4], NULL, 10);
    bool ok = client != NULL;

    for (size_t i = 0; i < n && i < MAX && ok; i++) {
        ok = send(client, argv, &results[i]);
    }
    for (size_t i = 0; i < n && i < MAX; i++) {
        json_t *value = ok ? celery_result_wait(results[i], 30, &err) : NULL;
        ok = ok && value;
        json_decref(value);
        celery_result_free(results[i]);
    }
    return ok;
}

int main(int argc, char **argv)
{
    celery_app *app = celery_app_new("delayed");
    bool ok = argc == 5 && celery_app_load(app, argv[1], &err) == CELERY_OK;
    celery_client *client = ok ? celery_client_open_app(app, &err) : NULL;

    ok = ok && run(client, argv);
    if (!ok) {
        printf("%s\n", err.message);
    }
    celery_client_close(client);
    celery_app_free(app);
    return ok ? 0 : 1;
}
