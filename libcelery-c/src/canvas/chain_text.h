/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A long chain goes through as many workers as it has steps, and each needs its last step only:
 * the others are passed on as the text they came in (canvas/continue.c), where writing them
 * again would give the same bytes and they are plain signatures.
 */
#ifndef CEL_CANVAS_CHAIN_TEXT_H
#define CEL_CANVAS_CHAIN_TEXT_H

#include "message/task.h"

/*
 * The last chain that was looked through.  The next one is mostly its beginning, because a
 * worker gets step after step of the same, and need not be looked through again.
 */
struct cel_chain_seen {
    struct cel_buf text;
    uint32_t *starts; /* of its steps */
    size_t n;
};

void cel_chain_seen_fini(struct cel_chain_seen *seen);

/*
 * As cel_task_call_body(), but the chain in the embed may be a CEL_KIND_RAW, with call->chain_last
 * set.  Whoever looks at all of its steps calls cel_json_whole() first.
 */
enum cel_call_fault cel_chain_text_body(struct cel_chain_seen *seen, struct cel_arena *a,
                                        struct cel_slice body,
                                        struct cel_slice content_type,
                                        struct cel_slice compression,
                                        const struct cel_call_limits *limits,
                                        struct cel_task_call *call, celery_error *err);

#endif
