/* SPDX-License-Identifier: BSD-3-Clause */
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *tool_option(int argc, char **argv, const char *name, const char *fallback)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return fallback;
}

long tool_number(int argc, char **argv, const char *name, long fallback)
{
    const char *text = tool_option(argc, argv, name, NULL);

    return text ? strtol(text, NULL, 10) : fallback;
}

double tool_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

redisContext *tool_connect(int argc, char **argv)
{
    redisContext *c =
        redisConnect("127.0.0.1", (int)tool_number(argc, argv, "--port", 0));

    if (!c || c->err) {
        fprintf(stderr, "redis: %s\n", c ? c->errstr : "out of memory");
        exit(1);
    }
    return c;
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *f = path ? fopen(path, "rb") : NULL;
    char *text = NULL;
    long size;

    if (f && fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0) {
        rewind(f);
        text = calloc(1, (size_t)size + 1);
        *ret_len = text ? fread(text, 1, (size_t)size, f) : 0;
    }
    if (f) {
        fclose(f);
    }
    return text;
}

void tool_template_load(struct tool_template *t, int argc, char **argv)
{
    const char *id = tool_option(argc, argv, "--id", "");
    const char *tag = tool_option(argc, argv, "--tag", "");
    const char *p;

    memset(t, 0, sizeof(*t));
    t->text = read_file(tool_option(argc, argv, "--template", NULL), &t->len);
    if (!t->text || strlen(id) != TOOL_ID_LEN || strlen(tag) != TOOL_ID_LEN ||
        !strstr(t->text, tag)) {
        fprintf(stderr, "--template FILE --id ID --tag TAG are needed\n");
        exit(2);
    }
    t->tag = (size_t)(strstr(t->text, tag) - t->text);
    for (p = t->text; (p = strstr(p, id)) && t->n_at < 16; p += TOOL_ID_LEN) {
        t->at[t->n_at++] = (size_t)(p - t->text);
    }
}

static void id_of(char *out, const char *kind, unsigned seed, unsigned long n)
{
    char text[TOOL_ID_LEN + 1];

    snprintf(text, sizeof(text), "%08x-%.4s-4000-8000-%012lx", seed, kind,
             n & 0xfffffffffffful);
    memcpy(out, text, TOOL_ID_LEN);
}

void tool_template_number(struct tool_template *t, unsigned seed, unsigned long n,
                          char ret_id[TOOL_ID_LEN + 1])
{
    id_of(ret_id, "0000", seed, n);
    ret_id[TOOL_ID_LEN] = '\0';
    for (size_t i = 0; i < t->n_at; i++) {
        memcpy(t->text + t->at[i], ret_id, TOOL_ID_LEN);
    }
    id_of(t->text + t->tag, "ffff", seed, n);
}

void tool_wait_result(redisContext *c, const char *id)
{
    redisReply *reply;
    int found = 0;

    while (!found) {
        if (redisGetReply(c, (void **)&reply) != REDIS_OK) {
            fprintf(stderr, "redis: %s\n", c->errstr);
            exit(1);
        }
        found = reply->type == REDIS_REPLY_ARRAY && reply->elements == 4 &&
                strstr(reply->element[2]->str, id);
        freeReplyObject(reply);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void tool_print_times(double *took, long n)
{
    qsort(took, (size_t)n, sizeof(*took), compare);
    printf("{\"p50\": %.1f, \"p99\": %.1f, \"n\": %ld}\n", took[n / 2],
           took[n * 99 / 100], n);
}
