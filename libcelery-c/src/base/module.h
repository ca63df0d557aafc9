/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parts of the library that need a large library of somebody else's (libcurl, libpq, ...) are
 * shared objects of their own, LIBDIR/celery-c/NAME.so, loaded when a URL asks for them: whoever
 * uses Redis pays nothing for PostgreSQL, and packages can be apart.
 *
 * A module uses no function of this library (they are hidden): all it needs comes in through
 * the table of functions that it exports, whose header says what is expected of it.
 */
#ifndef CEL_BASE_MODULE_H
#define CEL_BASE_MODULE_H

#include <celery/error.h>
#include <stdbool.h>
#include <stdint.h>

/* Raised with every change of a table that some module exports. */
#define CEL_MODULE_ABI 1

/* What a module exports, under the name cel_module. */
struct cel_module {
    uint32_t abi;
    const char *kind; /* which table ops is: "http", "sql" */
    const void *ops;
};

#define CEL_MODULE(of_kind, table)                                                    \
    __attribute__((visibility("default"))) extern const struct cel_module cel_module; \
    const struct cel_module cel_module = {CEL_MODULE_ABI, (of_kind), (table)}

/*
 * The table of the module of this name, which stays loaded until the process ends; NULL with err:
 * which file was missing and what to install.  Looks into the folders of the environment variable
 * CELERY_MODULE_PATH (separated by colons; ignored in a set-user-id program), then in
 * LIBDIR/celery-c.  From any thread.
 */
const void *cel_module_load(const char *name, const char *kind, celery_error *err);

/* Whether cel_module_load() would find a file of that name. */
bool cel_module_is_there(const char *name);

#endif
