/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables and JSON lines of dead letters. */
#include "cli/cmd_dead.h"
#include "cli/json_out.h"
#include "cli/session.h"
#include "cli/table.h"

/* Printable ASCII as it is, a backslash twice, everything else as \xNN. */
static void print_bytes(FILE *out, const void *bytes, size_t size)
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

static json_t *entry_json(const celery_dead_entry *e)
{
    return json_pack("{sI sf ss ss ss? ss? sI}", "index", (json_int_t)e->index, "time",
                     e->time, "queue", e->queue, "reason", e->reason, "task", e->task,
                     "id", e->task_id, "size", (json_int_t)e->size);
}

void dead_print_entry(const celery_dead_entry *entry, bool json)
{
    char when[32];

    if (json) {
        json_t *object = entry_json(entry);

        json_object_set_new(object, "message",
                            json_latin1(entry->message, entry->message_size));
        json_out(object);
        return;
    }
    text_time(entry->time, when);
    printf("index:   %zu\ntime:    %s\nqueue:   %s\nreason:  %s\ntask:    %s\nid:      "
           "%s\nsize:    %zu\nmessage:\n",
           entry->index, when, entry->queue, entry->reason,
           entry->task ? entry->task : "-", entry->task_id ? entry->task_id : "-",
           entry->size);
    print_bytes(stdout, entry->message, entry->message_size);
    printf("%s\n", entry->message_size < entry->size ? "... (cut)" : "");
}

/* ---- tables ---- */

enum { COLUMNS = 6 };

static bool add_entry(void *ctx, const celery_dead_entry *e)
{
    struct table *t = ctx;
    char index[24], when[32], size[24];

    if (!t) {
        return json_out(entry_json(e));
    }
    snprintf(index, sizeof index, "%zu", e->index);
    snprintf(size, sizeof size, "%zu", e->size);
    text_time(e->time, when);
    const char *cells[COLUMNS] = {
        index, when, e->task_id, e->task, size, *e->reason ? e->reason : NULL,
    };
    table_add(t, cells);
    return true;
}

/* NULL in *ret_table for JSON.  The exit code if out of memory. */
static int begin(const struct dead_run *r, const char *const *head, size_t n,
                 struct table **ret_table)
{
    *ret_table = r->args.json ? NULL : table_new(head, n);
    return r->args.json || *ret_table ? 0 : table_end(NULL, &r->out, NULL);
}

static int end(const struct dead_run *r, struct table *t, const char *empty,
               celery_status status, const celery_error *err)
{
    if (status < 0) {
        table_free(t);
        return session_failed(err, 1);
    }
    return t ? table_end(t, &r->out, empty) : 0;
}

int dead_print_list(const struct dead_run *r)
{
    static const char *const head[COLUMNS] = {"INDEX", "TIME", "ID",
                                              "TASK",  "SIZE", "REASON"};
    struct table *t;
    celery_error err = {0};
    char empty[320];

    if (begin(r, head, COLUMNS, &t)) {
        return 1;
    }
    celery_status status = celery_dead_each(r->dead, r->queue, add_entry, t, &err);
    snprintf(empty, sizeof empty, "no dead letters in queue %.255s", r->queue);
    return end(r, t, empty, status, &err);
}

static void add_queue(void *ctx, const char *queue, size_t count)
{
    char text[24];
    const char *cells[2] = {queue, text};

    snprintf(text, sizeof text, "%zu", count);
    if (ctx) {
        table_add(ctx, cells);
    } else {
        json_out(json_pack("{ss sI}", "queue", queue, "count", (json_int_t)count));
    }
}

int dead_print_queues(const struct dead_run *r)
{
    static const char *const head[2] = {"QUEUE", "LETTERS"};
    struct table *t;
    celery_error err = {0};

    if (begin(r, head, 2, &t)) {
        return 1;
    }
    celery_status status = celery_dead_queues(r->dead, add_queue, t, &err);
    return end(r, t, "no dead letters", status, &err);
}
