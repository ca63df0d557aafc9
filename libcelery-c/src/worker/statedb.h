/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --statedb: what is revoked, and the clock, in a file over restarts.  A format of our own (JSON);
 * Celery's is a shelve of pickles.  It is replaced as a whole and never half written.
 */
#ifndef CEL_WORKER_STATEDB_H
#define CEL_WORKER_STATEDB_H

#include "worker/worker.h"

struct cel_statedb;

/* Reads worker_state_db; *ret_db is NULL without one.  A file that cannot be read is put aside. */
celery_status cel_statedb_open(struct celery_worker *w, struct cel_statedb **ret_db,
                               celery_error *err);

/* Something may have changed: it is saved soon. */
void cel_statedb_touch(struct cel_statedb *db);

/* Saves what was not, and ends. */
struct cel_statedb *cel_statedb_close(struct cel_statedb *db);

#endif
