/* SPDX-License-Identifier: BSD-3-Clause */
/* The implementations of this build. */
#ifndef CEL_BACKEND_BUILTIN_H
#define CEL_BACKEND_BUILTIN_H

#include "backend/backend.h"

extern const struct cel_backend_ops cel_backend_redis;
extern const struct cel_backend_ops cel_backend_memory;
extern const struct cel_backend_ops cel_backend_rpc;
extern const struct cel_backend_ops cel_backend_file;
extern const struct cel_backend_ops cel_backend_sql;

#endif
