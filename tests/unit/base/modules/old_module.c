/* SPDX-License-Identifier: BSD-3-Clause */
/* As a module of an earlier version would be. */
#include "base/module.h"

__attribute__((visibility("default"))) extern const struct cel_module cel_module;
const struct cel_module cel_module = {CEL_MODULE_ABI - 1, "test", "old"};
