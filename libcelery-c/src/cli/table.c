/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

enum { NARROW = 8, GAP = 2 }; /* no column is cut below */

struct row {
    char *cells[TABLE_COLUMNS];
    size_t styled;
    enum style style;
};

struct table {
    const char *const *head;
    size_t n_columns;
    struct row *rows;
    size_t n, cap;
    size_t width[TABLE_COLUMNS];
    bool right[TABLE_COLUMNS];
    bool failed;
};

struct table *table_new(const char *const *head, size_t n_columns)
{
    struct table *t = calloc(1, sizeof *t);

    if (!t) {
        return NULL;
    }
    t->head = head;
    t->n_columns = n_columns < TABLE_COLUMNS ? n_columns : TABLE_COLUMNS;
    for (size_t i = 0; i < t->n_columns; i++) {
        t->width[i] = text_width(head[i]);
    }
    return t;
}

size_t table_rows(const struct table *table)
{
    return table ? table->n : 0;
}

void table_align_right(struct table *table, size_t column)
{
    if (table && column < table->n_columns) {
        table->right[column] = true;
    }
}

void table_add(struct table *table, const char *const *cells)
{
    table_add_styled(table, cells, 0, STYLE_NONE);
}

void table_add_styled(struct table *table, const char *const *cells, size_t column,
                      enum style style)
{
    if (!table) {
        return;
    }
    if (table->n == table->cap) {
        size_t cap = table->cap ? 2 * table->cap : 64;
        struct row *rows = realloc(table->rows, cap * sizeof *rows);

        if (!rows) {
            table->failed = true;
            return;
        }
        table->rows = rows;
        table->cap = cap;
    }
    struct row *row = &table->rows[table->n++];
    *row = (struct row){.styled = column, .style = style};
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *cell = cells[i] ? cells[i] : "-";
        size_t width;

        row->cells[i] = text_escape(cell, strlen(cell));
        table->failed |= !row->cells[i];
        width = row->cells[i] ? text_width(row->cells[i]) : 0;
        table->width[i] = width > table->width[i] ? width : table->width[i];
    }
}

/* Cuts the widest column again and again until a line fits. */
static void fit(struct table *t, unsigned width)
{
    for (;;) {
        size_t sum = 0, widest = 0, second = 0;

        for (size_t i = 0; i < t->n_columns; i++) {
            sum += t->width[i] + (i ? GAP : 0);
            widest = t->width[i] > t->width[widest] ? i : widest;
        }
        if (sum <= width || t->width[widest] <= NARROW) {
            return;
        }
        for (size_t i = 0; i < t->n_columns; i++) {
            if (i != widest && t->width[i] > second) {
                second = t->width[i];
            }
        }
        /* down to what fits, or to the next widest, or by one if both are as wide */
        size_t target =
            sum - width < t->width[widest] ? t->width[widest] - (sum - width) : NARROW;
        target = target > second ? target : second;
        target = target < t->width[widest] ? target : t->width[widest] - 1;
        t->width[widest] = target > NARROW ? target : NARROW;
    }
}

static void print_cell(const struct table *t, size_t column, const char *text,
                       const char *on, const char *off, FILE *out)
{
    size_t room = t->width[column], width = text_width(text);
    bool cut = width > room;
    size_t bytes = cut ? text_fit(text, room - 3) : strlen(text);
    size_t used = cut ? room : width;
    int space = (int)(room > used ? room - used : 0);
    bool last = column + 1 == t->n_columns;

    fprintf(out, "%*s%s%.*s%s%s%*s", t->right[column] ? space : 0, "", on, (int)bytes,
            text, cut ? "..." : "", off, last ? 0 : GAP + (t->right[column] ? 0 : space),
            "");
}

static void print_all(const struct table *t, const struct term *term)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        print_cell(t, i, t->head[i], term_on(term, STYLE_BOLD), term_off(term),
                   term->out);
    }
    fputc('\n', term->out);
    for (size_t k = 0; k < t->n; k++) {
        const struct row *row = &t->rows[k];

        for (size_t i = 0; i < t->n_columns; i++) {
            bool styled = row->style != STYLE_NONE && i == row->styled;

            print_cell(t, i, row->cells[i], styled ? term_on(term, row->style) : "",
                       styled ? term_off(term) : "", term->out);
        }
        fputc('\n', term->out);
    }
}

void table_free(struct table *table)
{
    if (!table) {
        return;
    }
    for (size_t k = 0; k < table->n; k++) {
        for (size_t i = 0; i < table->n_columns; i++) {
            free(table->rows[k].cells[i]);
        }
    }
    free(table->rows);
    free(table);
}

int table_end(struct table *give_table, const struct term *term, const char *empty)
{
    int code = 0;

    if (!give_table || give_table->failed) {
        fprintf(stderr, "Error: out of memory\n");
        code = 1;
    } else if (give_table->n == 0 && empty) {
        fprintf(term->out, "%s\n", empty);
    } else {
        if (term->width) {
            fit(give_table, term->width);
        }
        print_all(give_table, term);
    }
    table_free(give_table);
    return code;
}
