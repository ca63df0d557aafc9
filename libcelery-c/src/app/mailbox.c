/* SPDX-License-Identifier: BSD-3-Clause */
#include "app/mailbox.h"
#include "base/error.h"

celery_status cel_mailbox_read(struct cel_mailbox *ret, struct cel_arena *a,
                               const struct cel_config *config, celery_error *err)
{
    *ret = (struct cel_mailbox){
        .expires = cel_config_double(config, "control_queue_expires", 0),
        .ttl = cel_config_double(config, "control_queue_ttl", 0),
        .durable = cel_config_bool(config, "control_queue_durable"),
        .exclusive = cel_config_bool(config, "control_queue_exclusive"),
    };
    if (ret->durable && ret->exclusive) {
        return cel_error_set(err, CELERY_ECONFIG,
                             "control_queue_durable and control_queue_exclusive cannot "
                             "both be true: an exclusive queue ends with its connection");
    }
    return cel_mailbox_init(ret, a, cel_config_text(config, "control_exchange"), err);
}
