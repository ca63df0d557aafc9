/* SPDX-License-Identifier: BSD-3-Clause */
/* Output of a decompressor: grows in steps, and notices what would pass the ceiling. */
#ifndef CEL_CODEC_SINK_H
#define CEL_CODEC_SINK_H

#include "base/buf.h"

struct cel_sink {
    struct cel_buf *out;
    size_t room; /* bytes offered last */
    char
        behind[8]; /* offered when out is full: whoever writes here is over the ceiling */
    bool at_ceiling;
};

/* Room for more, never none.  CELERY_ENOMEM. */
celery_status cel_sink_room(struct cel_sink *s, char **ret_at, size_t *ret_room,
                            celery_error *err);

/* n bytes of the room were written.  CELERY_ELIMIT when the ceiling was passed. */
celery_status cel_sink_wrote(struct cel_sink *s, size_t n, celery_error *err);

/* "<name>: <what>" as CELERY_EMESSAGE. */
celery_status cel_sink_corrupt(const char *name, const char *what, celery_error *err);

#endif
