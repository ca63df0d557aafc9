/* SPDX-License-Identifier: BSD-3-Clause */
/* --pidfile (celery/platforms.py Pidfile). */
#ifndef CEL_CLI_PIDFILE_H
#define CEL_CLI_PIDFILE_H

/* Celery's exit code when the process of the file lives: os.EX_CANTCREAT. */
enum { EXIT_CANTCREAT = 73 };

/*
 * Writes our process id, in place of that of a process which is gone.  OPT_GO, or
 * EXIT_CANTCREAT after a message.
 */
int pidfile_make(const char *path);

/* Removes it if it is ours.  NULL: nothing. */
void pidfile_remove(const char *path);

#endif
