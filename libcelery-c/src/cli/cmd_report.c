/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/command.h"

#include <celery/worker.h>
#include <stdio.h>
#include <sys/utsname.h>

int cmd_report(int argc, char **argv)
{
    char features[2048];
    struct utsname u;

    printf("software: libcelery-c %s\n", celery_version());
    if (uname(&u) == 0) {
        printf("platform: %s %s %s\n", u.sysname, u.release, u.machine);
    }
    if (celery_features(features, sizeof features) > 0) {
        fputs(features, stdout);
    }
    return 0;
}
