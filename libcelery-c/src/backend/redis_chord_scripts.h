/* SPDX-License-Identifier: BSD-3-Clause */
/* The scripts on the keys of chords. */
#ifndef CEL_BACKEND_REDIS_CHORD_SCRIPTS_H
#define CEL_BACKEND_REDIS_CHORD_SCRIPTS_H

#include "net/redis_conn.h"

extern struct cel_redis_script cel_redis_part_script;
extern struct cel_redis_script cel_redis_keep_script;
extern struct cel_redis_script cel_redis_end_script;
extern struct cel_redis_script cel_redis_push_script;
extern struct cel_redis_script cel_redis_size_script;
extern struct cel_redis_script cel_redis_grow_script;

#endif
