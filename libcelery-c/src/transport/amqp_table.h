/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of rabbitmq-c to documents and back.  Its own connections, sockets and frames are not
 * used.
 */
#ifndef CEL_TRANSPORT_AMQP_TABLE_H
#define CEL_TRANSPORT_AMQP_TABLE_H

#include "codec/doc.h"
#include "transport/amqp_driver.h"
#include <stdalign.h>

/*
 * What is decoded into, with room for an ordinary message, so that nothing is allocated for
 * it: the library takes from alloc_block first and frees only blocks of its own lists.
 */
struct cel_amqp_pool {
    amqp_pool_t lib;
    const struct cel_amqp_driver *driver;
    alignas(max_align_t) char room[4096];
};

static inline amqp_pool_t *cel_amqp_pool_init(struct cel_amqp_pool *pool,
                                              const struct cel_amqp_driver *driver)
{
    pool->driver = driver;
    driver->init_pool(&pool->lib, sizeof pool->room);
    pool->lib.alloc_block = pool->room;
    return &pool->lib;
}

static inline void cel_amqp_pool_fini(struct cel_amqp_pool *pool)
{
    pool->driver->empty_pool(&pool->lib);
}

static inline struct cel_slice cel_amqp_slice(amqp_bytes_t bytes)
{
    return cel_slice(bytes.len > 0 ? bytes.bytes : "", bytes.len);
}

static inline amqp_bytes_t cel_amqp_bytes(struct cel_slice text)
{
    return (amqp_bytes_t){text.len, (void *)(uintptr_t)(text.len > 0 ? text.data : "")};
}

/*
 * The table as an object; its texts stay where they are.  NULL: no memory.  *ret_fault gets the
 * reason when an entry was left out, otherwise it is left alone.
 */
struct cel_node *cel_amqp_table_read(struct cel_arena *arena, const amqp_table_t *table,
                                     const char **ret_fault);

/*
 * An object (NULL: an empty one) as a table that is borrowed from it and from the arena, and the
 * bytes that it takes.  CELERY_EINVAL: something in it has no form in AMQP.
 */
celery_status cel_amqp_table_make(struct cel_arena *arena, const struct cel_node *object,
                                  amqp_table_t *ret_table, size_t *ret_size,
                                  celery_error *err);

#endif
