/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tasks that every application has (celery/app/builtins.py).  They are registered when it is
 * frozen, behind its own, unless it has registered that name itself.  Their functions live with
 * the pools, which run them.
 */
#ifndef CEL_APP_BUILTIN_H
#define CEL_APP_BUILTIN_H

#include <celery/app.h>

struct cel_builtin {
    const char *name;
    celery_task_fn fn;
    const char *function;  /* its __qualname__ in Python, for TypeErrors */
    const char *option[2]; /* one option and its value; or NULL */
};

/* Ends with a name of NULL. */
extern const struct cel_builtin cel_builtins[];

/* "celery.map" ...: not shown to users among their tasks. */
bool cel_builtin_is(const char *name);

#endif
