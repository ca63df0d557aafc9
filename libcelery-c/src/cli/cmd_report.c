/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/opt.h"

#include <celery/worker.h>
#include <stdio.h>
#include <sys/utsname.h>

static int run(int argc, char **argv)
{
    char features[2048];
    struct utsname u;
    struct line line;
    int code = opt_parse(&cmd_report, argc, argv, NULL, &line);

    if (code != OPT_GO) {
        return code;
    }
    printf("software: libcelery-c %s\n", celery_version());
    if (uname(&u) == 0) {
        printf("platform: %s %s %s\n", u.sysname, u.release, u.machine);
    }
    if (celery_features(features, sizeof features) > 0) {
        fputs(features, stdout);
    }
    return 0;
}

const struct command cmd_report = {
    .name = "report",
    .group = "Other",
    .summary = "Say what this build can do.",
    .run = run,
};
