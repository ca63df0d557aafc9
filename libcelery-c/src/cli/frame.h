/* SPDX-License-Identifier: BSD-3-Clause */
/* One picture of the screen, line by line: nothing leaves its row or the right edge. */
#ifndef CEL_CLI_FRAME_H
#define CEL_CLI_FRAME_H

#include "cli/text.h"

struct frame {
    unsigned rows, columns;
    struct term term; /* colours; out is where the picture is put together */
    char *text;       /* frame_end(): free() it */
    size_t size;
    unsigned row;  /* the one that is written, from 1; 0: none yet */
    unsigned used; /* columns of it */
    bool reverse;
};

/* False: out of memory. */
bool frame_begin(struct frame *f, unsigned rows, unsigned columns, bool colour);

/* Ends the line; what is put next stands in the next, or in this row if it is below. */
void frame_line(struct frame *f);
void frame_go(struct frame *f, unsigned row);

/* The line that begins stands out: dark on light. */
void frame_reverse(struct frame *f);

/* Text as it is, escaped and cut at the edge. */
void frame_put(struct frame *f, enum style style, const char *text);
void frame_putf(struct frame *f, enum style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A cell: cut or filled up to width columns, with a blank behind it. */
void frame_cell(struct frame *f, enum style style, const char *text, unsigned width);

/* A line across. */
void frame_rule(struct frame *f);

/* Rows that are left below the one being written. */
unsigned frame_left(const struct frame *f);

/* Clears what is below, and gives text and size; false: out of memory, both are nothing. */
bool frame_end(struct frame *f);

#endif
