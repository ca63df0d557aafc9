/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands behind a celery_sig: a tree of the canvas layer and the memory it lives in. */
#ifndef CEL_CLIENT_SIG_H
#define CEL_CLIENT_SIG_H

#include "canvas/canvas.h"
#include <celery/canvas.h>

/*
 * The tree of a signature, borrowed; NULL with err when there is none or a setter failed.  What
 * applying it adds may live in another arena.
 */
const struct cel_sig *cel_sig_tree(const celery_sig *sig, celery_error *err);

/* The same tree as a new signature's own, copied. */
celery_sig *cel_sig_wrap(const struct cel_sig *tree, celery_error *err);

#endif
