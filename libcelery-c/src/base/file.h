/* SPDX-License-Identifier: BSD-3-Clause */
/* Small files of our own, read and written whole.  These calls block. */
#ifndef CEL_BASE_FILE_H
#define CEL_BASE_FILE_H

#include "base/buf.h"

/*
 * Appends what is in a regular file; the ceiling is the buffer's.  CELERY_NONE: there is none;
 * CELERY_ECONFIG: it is something else, such as a folder or a pipe; CELERY_ELIMIT, CELERY_ESYSTEM.
 */
celery_status cel_file_read(const char *path, struct cel_buf *out, celery_error *err);

enum cel_file_sync {
    CEL_FILE_WHOLE,   /* other processes see the old file or the new one, never a part */
    CEL_FILE_ON_DISK, /* and so will a machine that lost its power */
};

/*
 * Puts text in the place of a file: written beside it as new_path (same folder, nobody else's
 * name, removed if it fails), mode 0600, then renamed.
 */
celery_status cel_file_replace(const char *path, const char *new_path,
                               struct cel_slice text, enum cel_file_sync sync,
                               celery_error *err);

/*
 * The same with a descriptor: everything from where it stands, and all of text.  False with errno;
 * ENOMEM also where the buffer has its ceiling.
 */
bool cel_file_read_all(int fd, struct cel_buf *out);
bool cel_file_write_all(int fd, struct cel_slice text);

#endif
