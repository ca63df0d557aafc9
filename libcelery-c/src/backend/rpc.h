/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the rpc backend share.  Nobody else includes it. */
#ifndef CEL_BACKEND_RPC_H
#define CEL_BACKEND_RPC_H

#include "backend/backend.h"
#include "base/list.h"
#include "base/map.h"
#include "message/task.h"
#include "net/failover.h"
#include "transport/transport.h"

enum cel_rpc_state { CEL_RPC_OFF, CEL_RPC_CONNECTING, CEL_RPC_DECLARING, CEL_RPC_OPEN };

/* Replies that came, and who waits for some; see rpc_replies.c. */
struct cel_rpc_replies {
    struct cel_map tasks;  /* task id: struct cel_rpc_task */
    struct cel_list fresh; /* with a reply that nobody has got, oldest first */
    struct cel_list taken; /* with a final one that somebody has got, oldest first */
    struct cel_list watches;
    struct cel_list due; /* to be reported at the end of the pass */
    struct cel_source *due_hook;
    size_t fresh_bytes;
    size_t taken_bytes;
    size_t fresh_max; /* ceilings; beyond them the oldest go */
    size_t taken_max;
};

struct cel_rpc {
    struct cel_backend base;
    const struct cel_config *config;
    struct cel_url **urls; /* of the broker */
    size_t n_urls;
    struct cel_failover failover;
    struct cel_transport *transport; /* NULL: not connected since the last loss */
    enum cel_rpc_state state;
    struct cel_done on_connected;

    int delivery_mode;
    int64_t expires_ms; /* result_expires; 0: never */
    struct cel_buf doc; /* the document that is written */
    struct cel_arena arena;
    struct cel_node *arguments; /* of the reply queue; in arena */
    struct cel_call_limits limits;
    struct cel_rpc_replies replies;
};

static inline struct cel_rpc *cel_rpc(struct cel_backend *base)
{
    return (struct cel_rpc *)base;
}

/* ---- rpc_store.c ---- */

void cel_rpc_store(struct cel_backend *base, const struct cel_task_meta *meta,
                   struct cel_done done);

/* ---- rpc_replies.c ---- */

celery_status cel_rpc_replies_init(struct cel_rpc *b);
void cel_rpc_replies_fini(struct cel_rpc *b);

/* Nobody waits any more; what came stays. */
void cel_rpc_unwatch_all(struct cel_rpc *b);

/* A message of the reply queue. */
void cel_rpc_replied(struct cel_rpc *b, struct cel_envelope *give_envelope);

void cel_rpc_load(struct cel_backend *base, const struct cel_slice *task_ids, size_t n,
                  struct cel_done done);
celery_status cel_rpc_watch(struct cel_backend *base, struct cel_slice task_id);
void cel_rpc_unwatch(struct cel_backend *base, struct cel_slice task_id);
void cel_rpc_forget(struct cel_backend *base, struct cel_slice task_id,
                    struct cel_done done);

/* The answer of an operation that is refused. */
void cel_rpc_refuse(struct cel_done done, celery_status status, const char *text);

#endif
