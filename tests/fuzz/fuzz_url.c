/* SPDX-License-Identifier: BSD-3-Clause */
/* Any text as a list of URLs; a password never gets into what people see. */
#include "base/alloc.h"
#include "base/url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Long enough not to stand in a URL by chance. */
static const char secret[] = "s3cr3t-w0rd";

static void show(const char *text)
{
    struct cel_url *url = NULL;
    celery_error err = {0};
    char shown[512];
    celery_status st = cel_url_parse(text, &url, &err);
    if (st == CELERY_OK) {
        cel_url_text(url, shown, sizeof shown);
    } else {
        cel_url_mask(text, shown, sizeof shown);
    }
    /* Where a well-placed password stands, it is hidden. */
    if (strncmp(text, "redis://:s3cr3t-w0rd@", 21) == 0 && !strstr(text + 21, secret) &&
        (strstr(shown, secret) || strstr(err.message, secret))) {
        abort();
    }
    cel_url_free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = cel_strndup((const char *)data, size);
    struct cel_url **urls = NULL;
    size_t n = 0;

    if (!text) {
        return 0;
    }
    show(text);
    if (cel_url_parse_list(text, &urls, &n, NULL) == CELERY_OK) {
        for (size_t i = 0; i < n; i++) {
            (void)cel_url_option(urls[i], "ssl_cert_reqs");
            cel_url_free(urls[i]);
        }
        cel_free(urls);
    }
    cel_free(text);
    return 0;
}
