/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The terminal of a program that fills its screen: what was there comes back however the
 * program ends (but by SIGKILL), and while it is stopped.  One at a time.
 */
#ifndef CEL_CLI_TTY_H
#define CEL_CLI_TTY_H

#include <stdbool.h>
#include <stddef.h>

/* A screen of its own, keys one by one and unseen.  False: the terminal cannot. */
bool tty_begin(void);
void tty_end(void);

/* At least 1 of each. */
void tty_size(unsigned *ret_rows, unsigned *ret_columns);

/* Whether all must be drawn anew: the size changed, or the program was stopped meanwhile. */
bool tty_changed(void);

enum tty_key {
    TTY_NONE = 0, /* nothing more was typed */
    TTY_ESCAPE = 27,
    /* other characters are themselves */
    TTY_ENTER = 256,
    TTY_BACKSPACE,
    TTY_UP,
    TTY_DOWN,
    TTY_PAGE_UP,
    TTY_PAGE_DOWN,
    TTY_HOME,
    TTY_END,
    TTY_OTHER, /* a key without a meaning here */
    TTY_GONE,  /* the terminal is not there any more */
};

/* The next key that was typed; does not wait. */
int tty_read_key(void);

/* Writes all of it; false: the terminal is gone. */
bool tty_write(const char *text, size_t size);

#endif
