/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/load.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct search {
    char found[PATH_MAX];
    char tried[1024]; /* for the message; may be cut */
};

static bool try_file(struct search *s, const char *folder, size_t folder_len,
                     const char *name)
{
    size_t used = strlen(s->tried);

    snprintf(s->found, sizeof s->found, "%.*s/%s", (int)folder_len, folder, name);
    if (access(s->found, R_OK) == 0) {
        return true;
    }
    if (used < sizeof s->tried) {
        snprintf(s->tried + used, sizeof s->tried - used, "%s%.300s", used ? ", " : "",
                 s->found);
    }
    return false;
}

/* Tries the names of one application in one folder. */
static bool try_folder(struct search *s, const char *folder, size_t len, const char *name)
{
    char file[256];
    const char *dot = strrchr(name, '.');

    snprintf(file, sizeof file, "%s.so", name);
    if (try_file(s, folder, len, file)) {
        return true;
    }
    if (dot && dot[1]) {
        snprintf(file, sizeof file, "%s.so", dot + 1);
        return try_file(s, folder, len, file);
    }
    return false;
}

static bool find(struct search *s, const char *name)
{
    const char *path = getenv("CELERY_APP_PATH");

    while (path && *path) {
        size_t len = strcspn(path, ":");

        if (len > 0 && try_folder(s, path, len, name)) {
            return true;
        }
        path += len + (path[len] == ':');
    }
    return try_folder(s, CELERY_APP_DIR, strlen(CELERY_APP_DIR), name) ||
           try_folder(s, ".", 1, name);
}

/* "todo.tasks.ical:celery" is the module todo.tasks.ical, "./tasks.so" is tasks. */
static void module_name(const char *name, char *module, size_t size)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    size_t len = strcspn(base, ":");

    if (len > 3 && strncmp(base + len - 3, ".so", 3) == 0) {
        len -= 3;
    }
    snprintf(module, size, "%.*s", (int)len, base);
}

static celery_register_fn open_object(const char *path)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    celery_register_fn fn = NULL;

    if (!object) {
        fprintf(stderr, "Error: -A: %s\n", dlerror());
        return NULL;
    }
    /* The POSIX way from an object pointer to a function pointer. */
    *(void **)(void *)&fn = dlsym(object, "celery_register");
    if (!fn) {
        fprintf(stderr,
                "Error: -A %s: it has no function celery_register(celery_app *app); "
                "see celery/app.h\n",
                path);
    }
    return fn;
}

celery_app *load_app(const char *name)
{
    struct search s = {{0}, {0}};
    char module[256];

    module_name(name, module, sizeof module);
    if (strchr(name, '/')) {
        snprintf(s.found, sizeof s.found, "%s", name);
    } else if (!find(&s, module)) {
        fprintf(stderr,
                "Error: Unable to load celery application %s: tried %s. Set "
                "CELERY_APP_PATH to the folder of the shared object.\n",
                module, s.tried);
        return NULL;
    }
    celery_register_fn fn = open_object(s.found);
    celery_app *app = fn ? celery_app_new(module) : NULL;
    if (app && fn(app) < 0) {
        fprintf(stderr, "Error: -A %s: celery_register() failed\n", s.found);
        celery_app_free(app);
        return NULL;
    }
    return app;
}
