/* SPDX-License-Identifier: BSD-3-Clause */
/* Exception types by name: what autoretry_for and its like may catch. */
#ifndef CEL_POOL_EXCEPTION_KIND_H
#define CEL_POOL_EXCEPTION_KIND_H

#include "base/slice.h"

/*
 * Whether `except wanted` would catch module.type.  wanted is "Type" (of any module) or
 * "module.Type".  Builtin exceptions have Python's hierarchy ("OSError" catches
 * ConnectionResetError), others are known by nothing but their name; "Exception" catches all
 * but what Python derives from BaseException alone (SystemExit, KeyboardInterrupt).
 */
bool cel_exception_is(struct cel_slice module, struct cel_slice type, const char *wanted);

/* The same for any of a NULL-terminated list; NULL: none. */
bool cel_exception_is_any(struct cel_slice module, struct cel_slice type,
                          char *const *wanted);

#endif
