/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes and the error structure.  Stable. */
#ifndef CELERY_ERROR_H
#define CELERY_ERROR_H

#include <stdbool.h>

#ifdef __cplusplus
#define CELERY_BEGIN_DECLS extern "C" {
#define CELERY_END_DECLS   }
#else
#define CELERY_BEGIN_DECLS
#define CELERY_END_DECLS
#endif

#if defined(__GNUC__)
#define CELERY_API               __attribute__((visibility("default")))
#define CELERY_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CELERY_API
#define CELERY_PRINTF(fmt, args)
#endif

CELERY_BEGIN_DECLS

/*
 * Every call that can fail returns a celery_status.  Zero is success, negative is
 * failure, positive is an answer that is neither ("no result yet").
 *
 * The table is the only list of them: X(name, value, retry, text).
 * "retry" says what a caller may usefully do: NOW, LATER or NEVER.
 */
/* clang-format off */
#define CELERY_STATUS_MAP(X)                                                   \
    X(CELERY_OK, 0, NEVER, "success")                                          \
    X(CELERY_NONE, 1, LATER, "nothing there yet")                              \
    X(CELERY_ENOMEM, -1, LATER, "out of memory")                               \
    X(CELERY_EINVAL, -2, NEVER, "invalid argument")                            \
    X(CELERY_ECONFIG, -3, NEVER, "invalid setting")                            \
    X(CELERY_ENOTSUP, -4, NEVER, "not supported by this transport or build")   \
    X(CELERY_ECONNECT, -5, LATER, "cannot connect")                            \
    X(CELERY_ECLOSED, -6, NOW, "connection lost")                              \
    X(CELERY_EAUTH, -7, NEVER, "refused by the server")                        \
    X(CELERY_ETIMEOUT, -8, LATER, "timed out")                                 \
    X(CELERY_EUNCERTAIN, -9, NEVER, "sent, but the server did not confirm it") \
    X(CELERY_EPROTO, -10, NEVER, "the server broke its protocol")              \
    X(CELERY_EMESSAGE, -11, NEVER, "not a valid Celery message")               \
    X(CELERY_ECONTENT, -12, NEVER, "content type not accepted")                \
    X(CELERY_ENOTREG, -13, NEVER, "task is not registered")                    \
    X(CELERY_ETASK, -14, NEVER, "the task raised an exception")                \
    X(CELERY_EREVOKED, -15, NEVER, "the task was revoked")                     \
    X(CELERY_ELIMIT, -16, NEVER, "larger than the configured limit")           \
    X(CELERY_ESYSTEM, -17, LATER, "system call failed")
/* clang-format on */

typedef enum celery_status {
#define X(name, value, retry, text) name = value,
    CELERY_STATUS_MAP(X)
#undef X
} celery_status;

/*
 * What went wrong, in the caller's memory.  Start it as {0}.  A call that fails sets
 * it; a call that succeeds leaves it alone.  Every parameter of this type may be NULL.
 */
typedef struct celery_error {
    celery_status status;
    int code;          /* errno, HTTP status or AMQP reply-code; 0 when there is none */
    char message[240]; /* "redis://host/0: BRPOP celery: Connection reset by peer" */
} celery_error;

/* "CELERY_ETIMEOUT".  Never NULL; static storage.  Any thread. */
CELERY_API const char *celery_status_name(celery_status status);

/* "timed out".  Never NULL; static storage.  Any thread. */
CELERY_API const char *celery_status_text(celery_status status);

/* True when the same call may succeed if made again later.  NULL: false. */
CELERY_API bool celery_error_retriable(const celery_error *err);

CELERY_END_DECLS

#endif
