/* SPDX-License-Identifier: BSD-3-Clause */
/* The mailboxes of remote control, as the settings have them. */
#ifndef CEL_APP_MAILBOX_H
#define CEL_APP_MAILBOX_H

#include "config/config.h"
#include "message/mailbox.h"

/* CELERY_ECONFIG: control_queue_durable and control_queue_exclusive at once. */
celery_status cel_mailbox_read(struct cel_mailbox *ret, struct cel_arena *a,
                               const struct cel_config *config, celery_error *err);

#endif
