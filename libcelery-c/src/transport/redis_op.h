/* SPDX-License-Identifier: BSD-3-Clause */
/* Settlements that wait for the end of the pass; between redis_settle.c and redis_acks.c. */
#ifndef CEL_TRANSPORT_REDIS_OP_H
#define CEL_TRANSPORT_REDIS_OP_H

#include "transport/redis_state.h"

/* Deliveries of one call of the settle script. */
enum { CEL_REDIS_MAX_ACKS = 500 };

enum cel_redis_op_kind {
    CEL_REDIS_OP_ACK,
    CEL_REDIS_OP_FETCH, /* put back, first half: get the text to be rewritten */
    CEL_REDIS_OP_MOVE,  /* second half: there it goes */
    CEL_REDIS_OP_PARK,
    CEL_REDIS_OP_DEFER,
};

struct cel_redis_settle_op {
    uint64_t tag;
    enum cel_redis_op_kind kind;
    bool front;
    struct cel_done done;
    char *text; /* FETCH: name of a header or NULL; MOVE: the message; PARK: the reason */
    size_t len;
    int64_t value; /* of the header; DEFER: seconds from now */
};

/* Sends acknowledgements, at most CEL_REDIS_MAX_ACKS, and all finished scores. */
void cel_redis_send_acks(struct cel_redis_transport *r,
                         const struct cel_redis_settle_op *ops, size_t n);

/* A settlement failed: it is held as before, and may be settled again. */
void cel_redis_hold_again(struct cel_redis_transport *r, uint64_t tag);

#endif
