/* SPDX-License-Identifier: BSD-3-Clause */
/* celery-c worker: the library parses the line, this loads the application. */
#include "cli/load.h"
#include "cli/opt.h"

#include <celery/worker.h>
#include <stdio.h>
#include <stdlib.h>

static int run(int argc, char **argv)
{
    const char *name = opt_global(argc, argv, "app");

    if (!name) {
        name = getenv("CELERY_APP");
    }
    if (!name) {
        name = getenv("APP");
    }
    if (opt_global(argc, argv, "help")) {
        return celery_worker_main(celery_app_new("celery-c"), argc, argv);
    }
    if (!name || !*name) {
        fprintf(stderr,
                "Usage: %s -A NAME worker [OPTIONS]\n\nError: say which tasks to run: "
                "-A ./tasks.so (a shared object with celery_register())\n",
                argv[0]);
        return EXIT_USAGE;
    }
    celery_app *app = load_app(name);
    return app ? celery_worker_main(app, argc, argv) : EXIT_USAGE;
}

const struct command cmd_worker = {
    .name = "worker",
    .group = "Workers",
    .summary = "Run a worker.",
    .run = run,
};
