/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables and JSON lines of dead letters. */
#include "cli/cmd_dead.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void dead_print_bytes(FILE *out, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < size; i++) {
        if (p[i] == '\\') {
            fputs("\\\\", out);
        } else if (p[i] >= 0x20 && p[i] < 0x7f) {
            fputc(p[i], out);
        } else {
            fprintf(out, "\\x%02x", p[i]);
        }
    }
}

void dead_print_text(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x20 && c != 0x7f) {
            fputc(c, out);
        } else {
            fprintf(out, "\\x%02x", c);
        }
    }
}

/* Local time, as in log lines; "-" when it is not known. */
static void time_text(double time, char text[32])
{
    time_t seconds = (time_t)time;
    struct tm tm;

    if (time <= 0 || time > 253402300799.0 || !localtime_r(&seconds, &tm) ||
        strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0) {
        memcpy(text, "-", 2);
    }
}

/* ---- JSON ---- */

static void print_json(json_t *give_object)
{
    char *text = json_dumps(give_object, JSON_ENSURE_ASCII);

    if (text) {
        puts(text);
    }
    free(text);
    json_decref(give_object);
}

static json_t *entry_json(const celery_dead_entry *e)
{
    return json_pack("{sI sf ss ss ss? ss? sI}", "index", (json_int_t)e->index, "time",
                     e->time, "queue", e->queue, "reason", e->reason, "task", e->task,
                     "id", e->task_id, "size", (json_int_t)e->size);
}

/* Bytes as a JSON string of the characters U+0000 to U+00FF (latin-1). */
static json_t *latin1(const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    char *text = size < (size_t)-1 / 2 ? malloc(2 * size + 1) : NULL;
    json_t *value = NULL;
    size_t n = 0;

    if (text) {
        for (size_t i = 0; i < size; i++) {
            if (p[i] < 0x80) {
                text[n++] = (char)p[i];
            } else {
                text[n++] = (char)(0xc0 | p[i] >> 6);
                text[n++] = (char)(0x80 | (p[i] & 0x3f));
            }
        }
        value = json_stringn(text, n);
    }
    free(text);
    return value;
}

void dead_print_entry(const celery_dead_entry *entry, bool json)
{
    char when[32];

    if (json) {
        json_t *object = entry_json(entry);

        json_object_set_new(object, "message",
                            latin1(entry->message, entry->message_size));
        print_json(object);
        return;
    }
    time_text(entry->time, when);
    printf("index:   %zu\ntime:    %s\nqueue:   %s\nreason:  %s\ntask:    %s\nid:      "
           "%s\nsize:    %zu\nmessage:\n",
           entry->index, when, entry->queue, entry->reason,
           entry->task ? entry->task : "-", entry->task_id ? entry->task_id : "-",
           entry->size);
    dead_print_bytes(stdout, entry->message, entry->message_size);
    printf("%s\n", entry->message_size < entry->size ? "... (cut)" : "");
}

/* ---- tables ---- */

enum { COLUMNS = 6 };

struct row {
    char *cells[COLUMNS];
};

struct table {
    struct row *rows;
    size_t n, cap;
    size_t width[COLUMNS];
    bool json;
    bool failed;
};

/* Columns a UTF-8 text takes, near enough. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++) {
        n += (*text & 0xc0) != 0x80;
    }
    return n;
}

static void add_row(struct table *t, const char *const *cells, size_t n)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct row *rows = realloc(t->rows, cap * sizeof *rows);

        if (!rows) {
            t->failed = true;
            return;
        }
        t->rows = rows;
        t->cap = cap;
    }
    struct row *row = &t->rows[t->n++];
    memset(row, 0, sizeof *row);
    for (size_t i = 0; i < n; i++) {
        size_t width = width_of(cells[i]);

        row->cells[i] = strdup(cells[i]);
        t->failed |= !row->cells[i];
        t->width[i] = width > t->width[i] ? width : t->width[i];
    }
}

static void print_table(struct table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; k < COLUMNS && t->rows[i].cells[k]; k++) {
            const char *text = t->rows[i].cells[k];
            bool last = k + 1 == COLUMNS || !t->rows[i].cells[k + 1];

            printf("%s%*s", text, last ? 0 : (int)(t->width[k] - width_of(text) + 2), "");
        }
        putchar('\n');
    }
}

static celery_status end_table(struct table *t, celery_status status, celery_error *err)
{
    if (status == CELERY_OK && t->failed) {
        *err = (celery_error){CELERY_ENOMEM, 0, "out of memory"};
        status = CELERY_ENOMEM;
    }
    if (status == CELERY_OK && t->n > 1) {
        print_table(t);
    }
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; k < COLUMNS; k++) {
            free(t->rows[i].cells[k]);
        }
    }
    free(t->rows);
    return status;
}

static bool add_entry(void *ctx, const celery_dead_entry *e)
{
    struct table *t = ctx;
    char index[24], when[32], size[24];

    if (t->json) {
        print_json(entry_json(e));
        return true;
    }
    snprintf(index, sizeof index, "%zu", e->index);
    snprintf(size, sizeof size, "%zu", e->size);
    time_text(e->time, when);
    const char *cells[COLUMNS] = {
        index,
        when,
        e->task_id ? e->task_id : "-",
        e->task ? e->task : "-",
        size,
        *e->reason ? e->reason : "-",
    };
    add_row(t, cells, COLUMNS);
    return !t->failed;
}

celery_status dead_print_list(struct dead_run *r, celery_error *err)
{
    static const char *const head[COLUMNS] = {"INDEX", "TIME", "ID",
                                              "TASK",  "SIZE", "REASON"};
    struct table t = {.json = r->args.json};

    add_row(&t, head, COLUMNS);
    celery_status status = celery_dead_each(r->dead, r->queue, add_entry, &t, err);
    if (status == CELERY_OK && t.n == 1 && !t.json) {
        printf("no dead letters in queue %s\n", r->queue);
    }
    return end_table(&t, status, err);
}

static void add_queue(void *ctx, const char *queue, size_t count)
{
    struct table *t = ctx;
    char text[24];
    const char *cells[2] = {queue, text};

    snprintf(text, sizeof text, "%zu", count);
    if (t->json) {
        print_json(json_pack("{ss sI}", "queue", queue, "count", (json_int_t)count));
    } else {
        add_row(t, cells, 2);
    }
}

celery_status dead_print_queues(struct dead_run *r, celery_error *err)
{
    static const char *const head[2] = {"QUEUE", "LETTERS"};
    struct table t = {.json = r->args.json};

    add_row(&t, head, 2);
    celery_status status = celery_dead_queues(r->dead, add_queue, &t, err);
    if (status == CELERY_OK && t.n == 1 && !t.json) {
        printf("no dead letters\n");
    }
    return end_table(&t, status, err);
}
