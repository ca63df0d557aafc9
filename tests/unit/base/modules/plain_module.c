/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/module.h"

static const char *const offer = "what the module offers";

CEL_MODULE("test", &offer);
