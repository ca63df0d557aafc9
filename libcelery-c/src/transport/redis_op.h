/* SPDX-License-Identifier: BSD-3-Clause */
/* Settlements that wait for the end of the pass; between redis_settle.c, redis_acks.c and redis_single.c. */
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
    CEL_REDIS_OP_LAY, /* of a large message, second half: its entry goes to the dead letters */
    CEL_REDIS_OP_LEAVE, /* of a large message, by the server alone */
    CEL_REDIS_OP_DEFER,
};

struct cel_redis_settle_op {
    uint64_t tag;
    enum cel_redis_op_kind kind;
    bool front;
    struct cel_done done;
    /*
     * FETCH: name of a header or NULL; MOVE: the message; PARK and LEAVE: the reason; LAY: the
     * reason, a NUL, the entry.
     */
    char *text;
    size_t len;
    int64_t value; /* of the header; DEFER: seconds from now */
};

/* Sends acknowledgements, at most CEL_REDIS_MAX_ACKS, and all finished scores. */
void cel_redis_send_acks(struct cel_redis_transport *r,
                         const struct cel_redis_settle_op *ops, size_t n);

/* Sends anything but an acknowledgement. */
void cel_redis_send_one(struct cel_redis_transport *r,
                        const struct cel_redis_settle_op *op);

/* A further operation at the end of the pass; NULL: out of memory. */
struct cel_redis_settle_op *cel_redis_new_op(struct cel_redis_transport *r);

/* The delivery takes no room of the prefetch any more. */
void cel_redis_release_room(struct cel_redis_transport *r, struct cel_redis_held *h);

void cel_redis_fail_op(struct cel_done done, celery_status status, const char *text);

/* A settlement failed: it is held as before, and may be settled again. */
void cel_redis_hold_again(struct cel_redis_transport *r, uint64_t tag);

#endif
