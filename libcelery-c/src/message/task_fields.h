/* SPDX-License-Identifier: BSD-3-Clause */
/* The fields of a task call in a map: headers of protocol 2, body of protocol 1. */
#ifndef CEL_MESSAGE_TASK_FIELDS_H
#define CEL_MESSAGE_TASK_FIELDS_H

#include "message/task.h"

/* As long as an id or a task name may be; Celery has no bound, stores and logs have. */
enum { CEL_ID_MAX = 1024 };

/*
 * Reads what the map says into call and leaves the rest.  On a wrong type: CELERY_EMESSAGE,
 * after all legible fields were read.
 */
celery_status cel_task_fields_read(const struct cel_node *map, struct cel_task_call *call,
                                   celery_error *err);

/* What cannot be missing: task and id. */
celery_status cel_task_fields_check(const struct cel_task_call *call, celery_error *err);

/* args, kwargs, embed of a protocol 1 (or hybrid) body. */
celery_status cel_task_v1_body(struct cel_arena *a, const struct cel_node *body,
                               struct cel_task_call *call, celery_error *err);

/* Decompresses (header compression) and decodes. */
enum cel_call_fault cel_task_decode(struct cel_arena *a, struct cel_slice body,
                                    struct cel_slice content_type,
                                    struct cel_slice compression,
                                    const struct cel_call_limits *limits,
                                    struct cel_node **ret_node, celery_error *err);

/*
 * The body of a message that is no task: a command, a reply, events.  Borrowed from the
 * envelope.  CELERY_EMESSAGE, CELERY_ECONTENT, CELERY_ELIMIT with the reason, CELERY_ENOMEM.
 */
celery_status cel_body_decode(struct cel_envelope *env,
                              const struct cel_call_limits *limits,
                              struct cel_node **ret_body, celery_error *err);

#endif
