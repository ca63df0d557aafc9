/* SPDX-License-Identifier: BSD-3-Clause */
/* The calendar worker of TaskOverflow: `celery --app todo.tasks.ical worker` in C. */
#include "register.h"

#include <stdio.h>
#include <string.h>

static struct ical_options options;

int main(int argc, char **argv)
{
    celery_error err = {0};
    char why[240];

    ical_options_init(&options);
    if (!ical_options_environ(&options, why, sizeof why) ||
        !ical_options_argv(&options, &argc, argv, why, sizeof why)) {
        fprintf(stderr, "ical-worker: %s\n", why);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            printf("%s\n", ical_options_help);
        }
    }
    celery_app *app = celery_app_new("todo.tasks.ical");

    if (ical_register(app, &options, &err) < 0) {
        fprintf(stderr, "ical-worker: %s\n", err.message);
        celery_app_free(app);
        return 1;
    }
    return celery_worker_main(app, argc, argv);
}
