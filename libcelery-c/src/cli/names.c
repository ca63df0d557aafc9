/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/names.h"
#include "cli/opt.h"

#include <stdlib.h>
#include <string.h>

static bool is(const char *name, const char *text, size_t len)
{
    return strncmp(name, text, len) == 0 && !name[len];
}

void names_add(struct names *list, const char *name, size_t len)
{
    for (size_t i = 0; i < list->n; i++) {
        if (is(list->names[i], name, len)) {
            return;
        }
    }
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 8;
        char **names = realloc(list->names, cap * sizeof *names);

        if (!names) {
            list->failed = true;
            return;
        }
        list->names = names;
        list->cap = cap;
    }
    list->names[list->n] = strndup(name, len);
    if (list->names[list->n]) {
        list->n++;
    } else {
        list->failed = true;
    }
}

void names_split(struct names *list, const char *text)
{
    const char *word;
    size_t len;

    while (opt_next_word(&text, &word, &len)) {
        names_add(list, word, len);
    }
}

bool names_have(const struct names *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void names_without(struct names *list, const struct names *other)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        if (names_have(other, list->names[i])) {
            free(list->names[i]);
        } else {
            list->names[n++] = list->names[i];
        }
    }
    list->n = n;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *list)
{
    if (list->n > 1) {
        qsort(list->names, list->n, sizeof *list->names, compare);
    }
}

void names_fini(struct names *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->names[i]);
    }
    free(list->names);
    *list = (struct names){0};
}
