/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/sqs_name.h"
#include "base/alloc.h"
#include "base/buf.h"
#include <ctype.h>

#define FIFO ".fifo"

bool cel_sqs_name_is_fifo(const char *name)
{
    return cel_slice_ends(cel_slice_of(name), CEL_SLICE(FIFO));
}

/* Those of Python's string.punctuation; what is no ASCII stays and is refused by SQS. */
static char safe(char c)
{
    if (c == '.') {
        return '-';
    }
    return c > ' ' && c < 127 && !isalnum((unsigned char)c) && c != '-' ? '_' : c;
}

char *cel_sqs_name(const char *prefix, const char *name)
{
    struct cel_buf b = {0};

    cel_buf_adds(&b, prefix);
    cel_buf_adds(&b, name);
    char *text = cel_buf_steal(&b);
    if (!text) {
        return NULL;
    }
    size_t n = strlen(text) - (cel_sqs_name_is_fifo(text) ? strlen(FIFO) : 0);
    for (size_t i = 0; i < n; i++) {
        text[i] = safe(text[i]);
    }
    return text;
}

const char *cel_sqs_name_of_url(const char *url)
{
    const char *slash = strrchr(url, '/');

    return slash ? slash + 1 : url;
}

char *cel_sqs_name_of_dead(const char *name)
{
    bool fifo = cel_sqs_name_is_fifo(name);
    struct cel_buf b = {0};

    cel_buf_add(&b, name, strlen(name) - (fifo ? strlen(FIFO) : 0));
    cel_buf_adds(&b, ".celery-c.dead");
    cel_buf_adds(&b, fifo ? FIFO : "");
    return cel_buf_steal(&b);
}
