/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is there, what each is doing, and a change for all of them: ./fleet redis://localhost */
#include <celery.h>
#include <stdio.h>
#include <stdlib.h>

/* Called for each worker of C or of Python as its answer comes. */
static bool on_stats(void *ctx, const char *node, const celery_value *stats)
{
    const celery_value *pool = celery_value_get(stats, "pool");
    int64_t slots = 0;

    (void)ctx;
    celery_value_int(celery_value_get(pool, "max-concurrency"), &slots);
    printf("%s has %lld slots\n", node, (long long)slots);
    return true;
}

static int fleet(celery_client *client, celery_error *err)
{
    celery_control_options options = {.timeout = 1, .reply = on_stats};
    celery_replies *stats = celery_control(client, "stats", &options, err, NULL);
    size_t n = celery_replies_count(stats);

    celery_replies_free(stats);
    if (!stats || n == 0) {
        return stats ? 69 : 1;
    }
    /* As many answers are enough now. */
    const celery_control_options all = {.timeout = 1, .limit = n};
    celery_replies *replies =
        celery_control(client, "rate_limit", &all, err, "{s:s,s:s}", "task_name",
                       "greeter.greet", "rate_limit", "10/s");
    for (size_t i = 0; i < celery_replies_count(replies); i++) {
        char *text = celery_value_repr(celery_reply_value(replies, i), 200);

        printf("%s: %s\n", celery_reply_node(replies, i), text ? text : "?");
        free(text);
    }
    celery_replies_free(replies);
    return replies ? 0 : 1;
}

int main(int argc, char **argv)
{
    celery_error err = {0};
    celery_client *client =
        celery_client_open(argc > 1 ? argv[1] : "redis://localhost/0", NULL, &err);
    int code = client ? fleet(client, &err) : 1;

    if (code) {
        fprintf(stderr, "fleet: %s\n", code == 69 ? "no workers" : err.message);
    }
    celery_client_close(client);
    return code;
}
