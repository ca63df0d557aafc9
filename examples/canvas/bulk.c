/* SPDX-License-Identifier: BSD-3-Clause */
/* Sending many tasks: thousands of confirmations are in flight at once. */
#include <celery.h>
#include <stdio.h>

enum { MESSAGES = 10000 };

/* Called for each task, in a pass of the client's loop. */
static void on_sent(void *ctx, const char *id, const celery_error *why)
{
    size_t *confirmed = ctx;

    if (why) {
        fprintf(stderr, "task %s: %s\n", id, why->message);
    } else {
        ++*confirmed;
    }
}

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : "redis://localhost/0";
    celery_error err = {0};
    celery_client *client = celery_client_open(broker, NULL, &err);
    size_t confirmed = 0;

    for (int i = 0; i < MESSAGES && err.status == CELERY_OK; i++) {
        celery_sig *sig = celery_sig_new("canvas.add", &err, "[ii]", i, 1);
        celery_sig_set_ignore_result(sig, true);
        celery_send_async(client, sig, on_sent, &confirmed, &err);
        celery_sig_free(sig); /* sending has copied it */
    }
    celery_client_flush(client, 30.0, &err);
    printf("%zu of %d confirmed by the broker\n", confirmed, MESSAGES);
    if (err.status < 0) {
        fprintf(stderr, "bulk: %s\n", err.message);
    }
    celery_client_close(client);
    return err.status < 0 || confirmed != MESSAGES ? 1 : 0;
}
