/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text for people: what came from strangers is escaped before it reaches a terminal; colours
 * only where they are wanted.
 */
#ifndef CEL_CLI_TEXT_H
#define CEL_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * A text as it may be shown: control characters (C0, DEL, C1), characters that turn the
 * direction of writing, and bytes that are no UTF-8 become \xNN of each byte.  Line ends
 * too.  In new memory, NUL-terminated; NULL when out of memory.
 */
char *text_escape(const char *text, size_t size);

/* The same, printed at once; and with line ends and tabs as they are. */
void text_print(FILE *out, const char *text, size_t size);
void text_print_lines(FILE *out, const char *text, size_t size);

/* Columns that an escaped text takes on a terminal. */
size_t text_width(const char *text);

/* Bytes of its longest beginning that takes at most so many columns. */
size_t text_fit(const char *text, size_t columns);

/* Seconds since 1970 as local time, "2026-11-22 13:03:33"; "-" when it is not known (<= 0). */
void text_time(double time, char text[32]);

enum style {
    STYLE_NONE,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_RED,
    STYLE_GREEN,
    STYLE_YELLOW,
    STYLE_BLUE,
    STYLE_MAGENTA,
    STYLE_CYAN,
};

/* Where something is printed. */
struct term {
    FILE *out;
    bool tty;
    bool colour;    /* tty, no -C, NO_COLOR empty or unset, TERM is not "dumb" */
    unsigned width; /* columns; 0 when it is no terminal */
};

/* Looks at the stream; again when the window has changed its size. */
struct term term_of(FILE *out, bool no_color);

/* What switches a style on, and all styles off; "" without colours.  Static. */
const char *term_on(const struct term *term, enum style style);
const char *term_off(const struct term *term);

#endif
