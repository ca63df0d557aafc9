/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/args.h"
#include "cli/command.h"
#include "cli/load.h"

#include <celery/worker.h>
#include <stdio.h>
#include <stdlib.h>

int cmd_worker(int argc, char **argv)
{
    const char *name = args_option(argc, argv, 'A', "app");
    bool help = args_option(argc, argv, 0, "help") != NULL;

    for (int i = 1; i < argc; i++) {
        help |= argv[i][0] == '-' && (argv[i][1] == 'h' && !argv[i][2]);
    }
    if (!name) {
        name = getenv("CELERY_APP");
    }
    if (!name) {
        name = getenv("APP");
    }
    if (help) {
        return celery_worker_main(celery_app_new("celery-c"), argc, argv);
    }
    if (!name || !*name) {
        fprintf(stderr,
                "Usage: %s -A NAME worker [OPTIONS]\n\nError: say which tasks to run: "
                "-A ./tasks.so (a shared object with celery_register())\n",
                argv[0]);
        return 2;
    }
    celery_app *app = load_app(name);
    return app ? celery_worker_main(app, argc, argv) : 2;
}
