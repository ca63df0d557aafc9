/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands behind a celery_sig: a tree of the canvas layer and the memory it lives in. */
#ifndef CEL_CLIENT_SIG_H
#define CEL_CLIENT_SIG_H

#include "base/list.h"
#include "canvas/canvas.h"
#include <celery/canvas.h>
#include <stdarg.h>

struct celery_sig {
    struct cel_arena arena;
    celery_error failed; /* first failed setter, here or in a part */
    const char *task;
    struct cel_sig *tree;
    struct cel_list parts; /* all signatures below: their memory is used by tree */
    struct cel_list node;  /* in parts of what it became a part of */
};

/*
 * The tree of a signature, borrowed; NULL with err when there is none or a setter failed.  What
 * applying it adds may live in another arena.
 */
const struct cel_sig *cel_sig_tree(const celery_sig *sig, celery_error *err);

/* The same tree as a new signature's own, copied. */
celery_sig *cel_sig_wrap(const struct cel_sig *tree, celery_error *err);

/* ---- between the files of signatures ---- */

/* args_list: the arguments of json_pack(); consumed also when it fails. */
celery_sig *cel_sig_newv(const char *task, celery_error *err, const char *fmt,
                         va_list args_list);
/* One without a tree. */
celery_sig *cel_sig_empty(celery_error *err);
/* Gives it its tree, or frees it with out of memory. */
celery_sig *cel_sig_finish(celery_sig *give_sig, struct cel_sig *tree, celery_error *err);
/* The memory of part goes with whole from now on; a failure becomes its own. */
void cel_sig_own_part(celery_sig *whole, celery_sig *give_part);
/* Remembers the first failure. */
void cel_sig_fail(celery_sig *sig, celery_status status, const char *text);
/* JSON text as nodes of the signature. */
celery_status cel_sig_parse(celery_sig *sig, const char *json, struct cel_node **ret_node,
                            celery_error *err);
/* NULL with err. */
json_t *cel_sig_pack(const char *fmt, va_list args_list, celery_error *err);

#endif
