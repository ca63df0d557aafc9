/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/sink.h"

#include "base/error.h"

enum { STEP_MIN = 4096, STEP_MAX = 1 << 20 };

celery_status cel_sink_room(struct cel_sink *s, char **ret_at, size_t *ret_room,
                            celery_error *err)
{
    struct cel_buf *out = s->out;
    size_t step = out->len < STEP_MIN ? STEP_MIN : out->len;
    if (step > STEP_MAX) {
        step = STEP_MAX;
    }
    if (out->max != 0 && step > out->max - out->len) {
        step = out->max - out->len;
    }
    s->at_ceiling = step == 0;
    if (s->at_ceiling) {
        *ret_at = s->behind;
        *ret_room = s->room = sizeof s->behind;
        return CELERY_OK;
    }
    celery_status status = cel_buf_reserve(out, step, err);
    if (status < 0) {
        return status;
    }
    *ret_at = out->data + out->len;
    *ret_room = s->room = step;
    return CELERY_OK;
}

celery_status cel_sink_wrote(struct cel_sink *s, size_t n, celery_error *err)
{
    if (n > 0 && s->at_ceiling) {
        s->out->failed = true;
        return cel_error_set(err, CELERY_ELIMIT, "decompresses to more than %zu bytes",
                             s->out->max);
    }
    if (!s->at_ceiling) {
        s->out->len += n;
    }
    return CELERY_OK;
}

celery_status cel_sink_corrupt(const char *name, const char *what, celery_error *err)
{
    return cel_error_set(err, CELERY_EMESSAGE, "%s: %s", name, what);
}
