/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker with commands of its own: ./control_worker -b redis://localhost worker
 *
 *     app.control.broadcast('greet_with', {'word': 'Salut'}, reply=True)      in Python
 *     celery-c -A ... control greet_with Salut                                with its tasks
 */
#include <celery.h>
#include <stdio.h>

/* Commands run in the worker's own thread; with --pool solo its tasks do, too. */
static char word[40] = "Hello";
static int greeted;

static celery_outcome greet(celery_task *task)
{
    const char *name;
    char text[200];

    if (celery_task_args(task, "name:s", &name) < 0) {
        return CELERY_FAILED;
    }
    greeted++;
    snprintf(text, sizeof text, "%s, %s!", word, name);
    return celery_task_return(task, json_string(text));
}

static json_t *greet_with(void *ctx, const celery_value *arguments, celery_error *err)
{
    size_t len = 0;
    const char *text = celery_value_text(celery_value_get(arguments, "word"), &len);

    (void)ctx;
    if (!text || len == 0 || len >= sizeof word) {
        err->status = CELERY_EINVAL;
        snprintf(err->message, sizeof err->message, "a word has 1 to %zu bytes",
                 sizeof word - 1);
        return NULL; /* answers {"error": ...} */
    }
    snprintf(word, sizeof word, "%.*s", (int)len, text);
    return json_pack("{s:s}", "ok", "the word is new");
}

static json_t *greetings(void *ctx, const celery_value *arguments, celery_error *err)
{
    (void)ctx;
    (void)arguments;
    (void)err;
    return json_pack("{s:s, s:i}", "word", word, "greeted", greeted);
}

int main(int argc, char **argv)
{
    celery_app *app = celery_app_new("greeter");

    celery_app_set(app, "worker_pool", "solo", NULL);
    celery_app_task(app, "greeter.greet", greet);
    celery_app_control_command(app, "greet_with", "word", false, greet_with, NULL, NULL);
    celery_app_control_command(app, "greetings", NULL, true, greetings, NULL, NULL);
    return celery_worker_main(app, argc, argv);
}
