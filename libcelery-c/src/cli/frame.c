/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/frame.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool frame_begin(struct frame *f, unsigned rows, unsigned columns, bool colour)
{
    *f = (struct frame){.rows = rows, .columns = columns};
    f->term = (struct term){.tty = true, .colour = colour, .width = columns};
    f->term.out = open_memstream(&f->text, &f->size);
    if (!f->term.out) {
        return false;
    }
    fputs("\x1b[H", f->term.out);
    frame_line(f);
    return true;
}

static bool inside(const struct frame *f)
{
    return f->row >= 1 && f->row <= f->rows;
}

/* What stood in the line before goes. */
static void finish_line(struct frame *f)
{
    if (inside(f)) {
        if (f->reverse) {
            fprintf(f->term.out, "%*s\x1b[0m", (int)(f->columns - f->used), "");
        } else if (f->used < f->columns) { /* otherwise it would take the last letter */
            fputs("\x1b[K", f->term.out);
        }
    }
    f->reverse = false;
    f->used = 0;
}

void frame_line(struct frame *f)
{
    finish_line(f);
    f->row++;
    if (inside(f)) {
        fprintf(f->term.out, "\x1b[%u;1H", f->row);
    }
}

void frame_go(struct frame *f, unsigned row)
{
    while (f->row < row) {
        frame_line(f);
    }
}

void frame_reverse(struct frame *f)
{
    if (inside(f)) {
        fputs("\x1b[7m", f->term.out);
        f->reverse = true;
    }
}

/* Escaped text, width columns of it at most; how many they were. */
static unsigned put_cut(struct frame *f, enum style style, const char *text,
                        unsigned width)
{
    unsigned room = f->columns - f->used;
    char *safe = text_escape(text, strlen(text));
    unsigned columns = 0;

    if (!safe || !inside(f)) {
        free(safe);
        return 0;
    }
    width = width < room ? width : room;
    size_t fits = text_fit(safe, width);
    safe[fits] = 0;
    columns = (unsigned)text_width(safe);
    f->used += columns;
    if (style == STYLE_NONE || f->reverse) {
        fputs(safe, f->term.out);
    } else {
        fprintf(f->term.out, "%s%s%s", term_on(&f->term, style), safe,
                term_off(&f->term));
    }
    free(safe);
    return columns;
}

void frame_put(struct frame *f, enum style style, const char *text)
{
    put_cut(f, style, text, f->columns);
}

void frame_putf(struct frame *f, enum style style, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    frame_put(f, style, text);
}

void frame_cell(struct frame *f, enum style style, const char *text, unsigned width)
{
    unsigned put = put_cut(f, style, text ? text : "-", width);

    for (; put <= width && f->used < f->columns && inside(f); put++) {
        fputc(' ', f->term.out);
        f->used++;
    }
}

void frame_rule(struct frame *f)
{
    for (; f->used < f->columns && inside(f); f->used++) {
        fputc('-', f->term.out);
    }
}

unsigned frame_left(const struct frame *f)
{
    return f->row < f->rows ? f->rows - f->row : 0;
}

bool frame_end(struct frame *f)
{
    bool ok;

    finish_line(f);
    if (f->row < f->rows) {
        fprintf(f->term.out, "\x1b[%u;1H\x1b[J", f->row + 1);
    }
    ok = fclose(f->term.out) == 0;
    if (!ok) {
        free(f->text);
        f->text = NULL;
        f->size = 0;
    }
    return ok;
}
