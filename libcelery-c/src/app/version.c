/* SPDX-License-Identifier: BSD-3-Clause */
#include <celery/app.h>

const char *celery_version(void)
{
    return CELERY_VERSION;
}

/* "1.2.3" is 0x010203. */
int celery_version_number(void)
{
    int number = 0;
    int part = 0;
    for (const char *at = CELERY_VERSION; *at; at++) {
        if (*at == '.') {
            number = number << 8 | part;
            part = 0;
        } else if (*at >= '0' && *at <= '9') {
            part = part * 10 + (*at - '0');
        } else {
            break;
        }
    }
    return number << 8 | part;
}
