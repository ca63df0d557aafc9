/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workflows from C, as flow.py does them from Python: built, sent, and waited for.
 * flow --broker URL --backend URL --queue Q --what send|chain|group|chord --count N
 *      [--repeat R]
 * Prints the seconds that each took.  send: messages confirmed by the broker, no results.
 */
#include "tool.h"

#include <celery.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void give_up(const char *what, const celery_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(1);
}

static celery_sig *step(const char *queue, long i, celery_error *err)
{
    celery_sig *sig = celery_sig_new("t.ident", err, i < 0 ? NULL : "[i]", (int)i);

    celery_sig_set_queue(sig, queue);
    return sig;
}

static celery_sig **steps(const char *queue, long n, bool chained, celery_error *err)
{
    celery_sig **all = calloc((size_t)n, sizeof(*all));

    for (long i = 0; all && i < n; i++) {
        all[i] = step(queue, chained && i ? -1 : i, err);
    }
    return all;
}

static void send_all(celery_client *client, const char *queue, long n)
{
    celery_error err = {0};
    celery_sig **all = steps(queue, n, false, &err);

    for (long i = 0; i < n; i++) {
        celery_sig_set_ignore_result(all[i], true);
    }
    if (celery_send_many(client, all, (size_t)n, NULL, &err) < 0) {
        give_up("send", &err);
    }
    for (long i = 0; i < n; i++) {
        celery_sig_free(all[i]);
    }
    free(all);
}

static void flow(celery_client *client, const char *what, const char *queue, long n)
{
    bool chained = strcmp(what, "chain") == 0;
    celery_error err = {0};
    celery_sig **all = steps(queue, n, chained, &err), *sig;
    celery_result *result;
    json_t *value;

    if (chained) {
        sig = celery_chain_of(&err, all, (size_t)n);
    } else {
        sig = celery_group_of(&err, all, (size_t)n);
    }
    if (strcmp(what, "chord") == 0) {
        celery_sig *body = celery_sig_new("t.ident", &err, NULL);

        celery_sig_set_queue(body, queue);
        sig = celery_chord(&err, sig, body);
    }
    result = celery_send_sig(client, sig, &err);
    value = celery_result_wait(result, 120, &err);
    if (!value || (!chained && json_array_size(value) != (size_t)n)) {
        give_up(what, &err);
    }
    json_decref(value);
    celery_result_free(result);
    celery_sig_free(sig);
    free(all);
}

int main(int argc, char **argv)
{
    const char *what = tool_option(argc, argv, "--what", "send");
    const char *queue = tool_option(argc, argv, "--queue", "bench");
    long count = tool_number(argc, argv, "--count", 100);
    long repeat = tool_number(argc, argv, "--repeat", 1);
    celery_error err = {0};
    celery_client *client =
        celery_client_open(tool_option(argc, argv, "--broker", NULL),
                           tool_option(argc, argv, "--backend", NULL), &err);

    if (!client) {
        give_up("open", &err);
    }
    for (long i = 0; i < repeat; i++) {
        double start = tool_now();

        if (strcmp(what, "send") == 0) {
            send_all(client, queue, count);
        } else {
            flow(client, what, queue, count);
        }
        printf("%s%.6f", i ? " " : "", tool_now() - start);
    }
    printf("\n");
    celery_client_close(client);
    return 0;
}
