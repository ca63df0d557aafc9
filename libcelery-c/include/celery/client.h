/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending tasks and reading their results.  Stable.
 *
 * A client and its results belong to the thread that made them; two threads, two
 * clients.  A call on a NULL handle does nothing, fails, and leaves err alone, so the
 * first error survives to the one place where it is read.  Every call has a deadline.
 */
#ifndef CELERY_CLIENT_H
#define CELERY_CLIENT_H

#include <celery/app.h>
#include <celery/canvas.h>

CELERY_BEGIN_DECLS

/* One connection to the broker and one to the result backend. */
typedef struct celery_client celery_client;

/* The future of one sent task. */
typedef struct celery_result celery_result;

/*
 * Opens a client.  backend_url may be NULL: then results cannot be read.  Connects within
 * broker_connection_timeout; CELERY_ECONNECT, CELERY_EAUTH, CELERY_ECONFIG.
 */
CELERY_API celery_client *celery_client_open(const char *broker_url,
                                             const char *backend_url, celery_error *err);

/* The same with the settings of an app, which must outlive the client. */
CELERY_API celery_client *celery_client_open_app(celery_app *app, celery_error *err);

CELERY_API void celery_client_close(celery_client *client);

/* For a host's own event loop: poll this descriptor for reading, then step(client, 0). */
CELERY_API int celery_client_fd(const celery_client *client);

/* Makes one pass, waiting at most timeout seconds for something to do. */
CELERY_API celery_status celery_client_step(celery_client *client, double timeout,
                                            celery_error *err);

/* ---- sending ---- */

/*
 * Sends a task and gives its future.  The arguments are as in celery_sig_new().
 * CELERY_EUNCERTAIN: the broker may have it or not; the same task id may be sent again.
 */
CELERY_API celery_result *celery_send(celery_client *client, const char *task,
                                      celery_error *err, const char *fmt, ...);

/* Sends a signature, which stays the caller's and may be sent again (under a new id). */
CELERY_API celery_result *celery_send_sig(celery_client *client, const celery_sig *sig,
                                          celery_error *err);

/*
 * Sends many signatures, with many messages in flight, and waits for them.  ret_results (may be
 * NULL) gets n futures; NULL where a signature was not sent.  The status and err of the
 * first failure; those behind it are not begun.
 */
CELERY_API celery_status celery_send_many(celery_client *client, celery_sig *const *sigs,
                                          size_t n, celery_result **ret_results,
                                          celery_error *err);

/*
 * How a celery_send_async() ended; err is NULL when the broker has all its messages.  Runs
 * in a pass of the client's loop (celery_client_step(), celery_client_flush(), any call that
 * waits); may send asynchronously, but not wait for anything.
 */
typedef void (*celery_sent_fn)(void *ctx, const char *id, const celery_error *err);

/*
 * Sends without waiting for the broker, except while more than 8 MiB are on their way.  fn
 * (may be NULL) is called once, later, unless this call fails.
 */
CELERY_API celery_status celery_send_async(celery_client *client, const celery_sig *sig,
                                           celery_sent_fn fn, void *ctx,
                                           celery_error *err);

/*
 * Waits until everything that was sent asynchronously has ended, at most timeout seconds
 * (negative: no limit).  CELERY_ETIMEOUT, or the first failure of a send without an fn
 * since the last flush.
 */
CELERY_API celery_status celery_client_flush(celery_client *client, double timeout,
                                             celery_error *err);

/* The future of a task that was sent before, here or elsewhere (AsyncResult(id)). */
CELERY_API celery_result *celery_result_new(celery_client *client, const char *task_id,
                                            celery_error *err);

/* Harmless on NULL.  The stored result stays where it is. */
CELERY_API void celery_result_free(celery_result *result);

CELERY_API const char *celery_result_id(const celery_result *result);

/*
 * Waits for the end of the task, at most timeout seconds (negative: no limit), pushed by
 * the backend.  The value (new reference) on success; NULL with err: CELERY_ETIMEOUT,
 * CELERY_ETASK (message: "ValueError: text"), CELERY_EREVOKED, or a connection's.
 */
CELERY_API json_t *celery_result_wait(celery_result *result, double timeout,
                                      celery_error *err);

/*
 * Reads the state now: "PENDING", "STARTED", "SUCCESS" ...; borrowed until the next call
 * with this result.  NULL with err when the backend cannot be asked.
 */
CELERY_API const char *celery_result_state(celery_result *result, celery_error *err);

/* What is known after wait() or state(); borrowed; NULL when there is none. */
CELERY_API const celery_value *celery_result_value(const celery_result *result);
CELERY_API const char *celery_result_traceback(const celery_result *result);
CELERY_API const char *celery_result_exc_type(const celery_result *result);
CELERY_API const char *celery_result_exc_module(const celery_result *result);
CELERY_API const celery_value *celery_result_exc_args(const celery_result *result);
CELERY_API const char *celery_result_date_done(const celery_result *result);
CELERY_API const celery_value *celery_result_children(const celery_result *result);
CELERY_API const celery_value *celery_result_document(const celery_result *result);

/* Removes the stored result (AsyncResult.forget()). */
CELERY_API celery_status celery_result_forget(celery_result *result, celery_error *err);

CELERY_END_DECLS

#endif
