/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables.  On a terminal they are made to fit its width (the widest columns are cut, with
 * "..." at the cut) and the head is bold; in a pipe or a file every cell is whole.  Columns
 * are two spaces apart, nothing stands behind the last one.
 *
 *     static const char *const head[] = {"NODE", "TASK", "SECONDS"};
 *     struct table *t = table_new(head, 3);
 *     table_add(t, (const char *const[]){node, task, seconds});
 *     return table_end(t, &term);
 */
#ifndef CEL_CLI_TABLE_H
#define CEL_CLI_TABLE_H

#include "cli/text.h"

struct table;

enum { TABLE_COLUMNS = 16 };

/* head is borrowed until table_end(); at most TABLE_COLUMNS.  NULL when out of memory. */
struct table *table_new(const char *const *head, size_t n_columns);

/*
 * Adds a row of as many cells; they are copied, and escaped by text_escape(); NULL is "-".
 * Harmless on NULL; out of memory is said by table_end().
 */
void table_add(struct table *table, const char *const *cells);

/* The same with a colour for one cell (a state: green for OK). */
void table_add_styled(struct table *table, const char *const *cells, size_t column,
                      enum style style);

size_t table_rows(const struct table *table);

/* Numbers of this column stand at its right edge. */
void table_align_right(struct table *table, size_t column);

/*
 * Prints the table and frees it; without a row, empty (may be NULL) as a line instead.  The exit
 * code: 0, or 1 after "Error: out of memory".
 */
int table_end(struct table *give_table, const struct term *term, const char *empty);

/* Frees it unprinted; harmless on NULL. */
void table_free(struct table *table);

#endif
