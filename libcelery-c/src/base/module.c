/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* The first readable file of that name; false: there is none. */
static bool find(const char *name, char path[PATH_MAX])
{
    const char *folders = secure_getenv("CELERY_MODULE_PATH");

    while (folders && *folders) {
        size_t len = strcspn(folders, ":");

        snprintf(path, PATH_MAX, "%.*s/%s.so", (int)len, folders, name);
        if (len > 0 && access(path, R_OK) == 0) {
            return true;
        }
        folders += len + (folders[len] == ':');
    }
    snprintf(path, PATH_MAX, "%s/%s.so", CELERY_MODULE_DIR, name);
    return access(path, R_OK) == 0;
}

bool cel_module_is_there(const char *name)
{
    char path[PATH_MAX];

    return find(name, path);
}

/* A module is named for what it wraps; the end of its package's name, where that differs. */
static const char *package_of(const char *name)
{
    static const char *const packages[][2] = {
        {"curl", "-sqs"},
        {"openssl", "0"},
        {"rabbitmq", "0"},
    };

    for (size_t i = 0; i < sizeof packages / sizeof packages[0]; i++) {
        if (strcmp(packages[i][0], name) == 0) {
            return packages[i][1];
        }
    }
    return NULL;
}

const void *cel_module_load(const char *name, const char *kind, celery_error *err)
{
    char path[PATH_MAX];
    const struct cel_module *module;
    const char *package = package_of(name);
    void *object;

    if (!find(name, path)) {
        cel_error_set(
            err, CELERY_ENOTSUP,
            "no %s.so in %s: install the package libcelery-c%s%s, or build with it", name,
            CELERY_MODULE_DIR, package ? package : "-", package ? "" : name);
        return NULL;
    }
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) {
        cel_error_set(err, CELERY_ENOTSUP, "cannot load %s: %s", path, dlerror());
        return NULL;
    }
    /* Never closed: libraries behind modules keep threads and exit handlers. */
    module = dlsym(object, "cel_module");
    if (!module || module->abi != CEL_MODULE_ABI || strcmp(module->kind, kind) != 0) {
        cel_error_set(err, CELERY_ENOTSUP, "%s is of another version of libcelery-c",
                      path);
        return NULL;
    }
    return module->ops;
}
