/* SPDX-License-Identifier: BSD-3-Clause */
#include "case.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static void die(const char *what, const char *name)
{
    fprintf(stderr, "%s: %s\n", name, what);
    exit(1);
}

static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void collect(const char *folder, const char *file, char ***names, size_t *n)
{
    char path[1024];
    DIR *dir = opendir(folder);
    struct dirent *e;
    if (!dir) {
        return;
    }
    while ((e = readdir(dir))) {
        if (strcmp(e->d_name, file) == 0) {
            *names = realloc(*names, (*n + 1) * sizeof **names);
            (*names)[(*n)++] = strdup(folder);
        } else if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            collect(path, file, names, n);
        }
    }
    (void)closedir(dir);
}

char **case_find(const char *root, const char *file, size_t *ret_n)
{
    char **names = NULL;
    *ret_n = 0;
    collect(root, file, &names, ret_n);
    if (*ret_n == 0) {
        die("no cases", root);
    }
    qsort(names, *ret_n, sizeof *names, by_name);
    return names;
}

struct cel_slice case_read(struct cel_arena *a, const char *folder, const char *file)
{
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) < 0) {
        die("cannot be read", path);
    }
    long size = ftell(f);
    rewind(f);
    char *text = cel_arena_alloc(a, (size_t)size + 1);
    if (!text || fread(text, 1, (size_t)size, f) != (size_t)size) {
        die("cannot be read", path);
    }
    (void)fclose(f);
    text[size] = '\0';
    return cel_slice(text, (size_t)size);
}

const struct cel_node *case_json(struct cel_arena *a, const char *folder,
                                 const char *file)
{
    struct cel_json_limits limits = {.depth = 100000};
    struct cel_node *doc = NULL;
    celery_error err = {0};
    if (cel_json_parse(a, case_read(a, folder, file), &limits, &doc, &err) < 0) {
        die(err.message, folder);
    }
    return doc;
}

const struct cel_node *case_get(const struct cel_node *object, const char *name)
{
    return cel_node_get(object, cel_slice_of(name));
}
