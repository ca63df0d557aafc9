/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands on the keys of one group; between redis_chord.c and redis_group.c. */
#ifndef CEL_BACKEND_REDIS_ERRAND_H
#define CEL_BACKEND_REDIS_ERRAND_H

#include "backend/redis.h"

/* A command without a reply yet. */
struct cel_redis_errand {
    struct cel_redis_backend *b;
    struct cel_done done;
    struct cel_chord_done chord; /* of add_chord_part() */
    size_t id_len;
    char id[]; /* of the group, for load_group() */
};

struct cel_redis_errand *cel_redis_errand_new(struct cel_redis_backend *b,
                                              struct cel_slice id, struct cel_done done);

/* err is filled when there is no answer to look at. */
bool cel_redis_answered(const struct cel_redis_errand *e, const struct cel_resp *reply,
                        const celery_error *why, celery_error *err);

/* Takes e; a server that is no master (any more) is left. */
void cel_redis_errand_failed(struct cel_redis_errand *e, const celery_error *err,
                             bool connected);

/* Why nothing can be asked. */
celery_status cel_redis_refusal(const struct cel_redis_backend *b);

/* give_e may be NULL: there was no memory for it. */
void cel_redis_refuse(struct cel_redis_errand *give_e,
                      const struct cel_redis_errand *unmade, celery_status status);

/*
 * The keys of a group with these endings into words; they lie in b->keys until the next
 * command is made.
 */
bool cel_redis_put_keys(struct cel_redis_backend *b, struct cel_slice group_id,
                        const char *const *endings, size_t n, struct cel_slice *words);

/* The reply of an errand whose answer is a number. */
void cel_redis_on_number(void *ctx, const struct cel_resp *reply,
                         const celery_error *why);

/* A script on keys of one group, whose answer is a number. */
void cel_redis_ask(struct cel_redis_backend *b, struct cel_slice group_id,
                   struct cel_redis_script *script, const char *const *keys,
                   size_t n_keys, const struct cel_slice *args, size_t n_args,
                   struct cel_done done);

/* redis_group.c: the tuple of a saved group. */
const struct cel_node *cel_redis_saved_tuple(struct cel_redis_backend *b,
                                             struct cel_arena *a, struct cel_slice text,
                                             celery_error *err);

#endif
