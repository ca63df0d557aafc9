/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions of the built-in tasks. */
#ifndef CEL_POOL_BUILTIN_H
#define CEL_POOL_BUILTIN_H

#include <celery/app.h>

/* ---- builtin_value.c: with the values and tasks at hand ---- */

celery_outcome cel_builtin_accumulate(celery_task *task);
celery_outcome cel_builtin_backend_cleanup(celery_task *task);
celery_outcome cel_builtin_chain(celery_task *task);
celery_outcome cel_builtin_map(celery_task *task);
celery_outcome cel_builtin_starmap(celery_task *task);

/* Never called: worker/unlock.c does what it is for, with the worker's own connections. */
celery_outcome cel_builtin_chord_unlock(celery_task *task);

/* ---- builtin_canvas.c: send others ---- */

celery_outcome cel_builtin_chord(celery_task *task);
celery_outcome cel_builtin_chunks(celery_task *task);
celery_outcome cel_builtin_group(celery_task *task);

#endif
