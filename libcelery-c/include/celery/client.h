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

/* The future of a sent task, or of a group of them. */
typedef struct celery_result celery_result;

/*
 * Opens a client.  backend_url may be NULL: then results cannot be read.  Connects within
 * broker_connection_timeout; CELERY_ECONNECT, CELERY_EAUTH, CELERY_ECONFIG.
 *
 * "rpc://": results come as messages to a queue of this client, over the broker.  Only tasks
 * that it sent itself have results here, and only while it is open; a result is kept in
 * memory until it is forgotten or others need the room.  Chords and saved groups are
 * CELERY_ENOTSUP.
 */
CELERY_API celery_client *celery_client_open(const char *broker_url,
                                             const char *backend_url, celery_error *err);

/* The same with the settings of an app, which must outlive the client. */
CELERY_API celery_client *celery_client_open_app(celery_app *app, celery_error *err);

/*
 * The same for who only reads results: the broker need not be there, unless the backend is
 * "rpc://".  What is sent nevertheless waits for it as after a lost connection.
 */
CELERY_API celery_client *celery_client_open_results(celery_app *app, celery_error *err);

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
 * Gives the signature, and every part of it, the ids that they will have (Signature.freeze()),
 * and the future of what is not sent yet.
 */
CELERY_API celery_result *celery_sig_freeze(celery_client *client, celery_sig *sig,
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
 * waits; celery_client_close() with CELERY_ECLOSED); may send asynchronously, but not wait
 * for anything.
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

/* ---- results ---- */

/* The future of a task that was sent before, here or elsewhere (AsyncResult(id)). */
CELERY_API celery_result *celery_result_new(celery_client *client, const char *task_id,
                                            celery_error *err);

/* Harmless on NULL.  The stored result stays where it is.  Parents and children go too. */
CELERY_API void celery_result_free(celery_result *result);

CELERY_API const char *celery_result_id(const celery_result *result);

/*
 * Waits for the end of the task, at most timeout seconds (negative: no limit), pushed by
 * the backend.  The value (new reference) on success; NULL with err: CELERY_ETIMEOUT,
 * CELERY_ETASK (message: "ValueError: text"), CELERY_EREVOKED, or a connection's.
 *
 * A group: the array of the values of its parts in their order, at once an error when one of
 * them fails.  A step of a chain fails also when a step before it did.
 */
CELERY_API json_t *celery_result_wait(celery_result *result, double timeout,
                                      celery_error *err);

/* Waits until it has ended, however it did: a group with all its parts. */
CELERY_API celery_status celery_result_join(celery_result *result, double timeout,
                                            celery_error *err);

/*
 * The task that made wait() fail: the result itself, a part of the group, or a step before;
 * NULL when none is known to have failed.  Borrowed from result.
 */
CELERY_API celery_result *celery_result_failed(celery_result *result);

/*
 * Reads the state now: "PENDING", "STARTED", "SUCCESS" ...; borrowed until the next call
 * with this result.  NULL with err when the backend cannot be asked.  A group is "FAILURE" when
 * a part has failed, "SUCCESS" when all have succeeded, otherwise "PENDING".
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

/* Removes the stored result, those of its parts, and its parents' (forget()). */
CELERY_API celery_status celery_result_forget(celery_result *result, celery_error *err);

/*
 * Tells all workers to discard the task, or the tasks of a group (AsyncResult.revoke()); with
 * terminate also to end it where it runs, by that signal (NULL: "SIGTERM").  A broadcast:
 * whoever is not connected now does not hear it.  CELERY_ENOTSUP: the transport has none.
 */
CELERY_API celery_status celery_result_revoke(celery_result *result, bool terminate,
                                              const char *signal, celery_error *err);

/* ---- relatives; borrowed from the result that was asked ---- */

/*
 * The step before it: of a chain, or a chord's header for its body.  NULL: none, or unknown,
 * as for celery_result_new().
 */
CELERY_API celery_result *celery_result_parent(celery_result *result);

/*
 * The parts of a group in their order; of a task what it has sent itself, known after wait()
 * or state(), until the next call with this result that is none of these.
 */
CELERY_API size_t celery_result_n_children(const celery_result *result);
CELERY_API celery_result *celery_result_child(celery_result *result, size_t i);

/* ---- groups (GroupResult) ---- */

CELERY_API bool celery_result_is_group(const celery_result *result);

/* GroupResult(id, children); id NULL: a new one. */
CELERY_API celery_result *celery_result_group(celery_client *client, const char *id,
                                              celery_result *const *give_children,
                                              size_t n, celery_error *err);

/* Of the parts of a group; a part that is a group counts as one.  A task: of itself. */
typedef struct celery_result_counts {
    size_t total;
    size_t ready; /* ended */
    size_t succeeded;
    size_t failed; /* or revoked; a group as soon as one of its parts has */
    size_t waiting;
} celery_result_counts;

/* Asks the backend for all that are not known to have ended, in one go. */
CELERY_API celery_status celery_result_count(celery_result *result,
                                             celery_result_counts *ret,
                                             celery_error *err);

/*
 * Waits for the next part that ends and gives it, each once, in the order of their ends;
 * borrowed.  NULL: all were given (err is left alone), or with err, CELERY_ETIMEOUT.
 */
CELERY_API celery_result *celery_result_next(celery_result *group, double timeout,
                                             celery_error *err);

/* Keeps the ids of a group in the backend, under its own; restore() finds them anywhere. */
CELERY_API celery_status celery_result_save(celery_result *group, celery_error *err);
CELERY_API celery_status celery_result_delete(celery_result *group, celery_error *err);

/* NULL with err; CELERY_NONE: no such group is saved. */
CELERY_API celery_result *celery_result_restore(celery_client *client,
                                                const char *group_id, celery_error *err);

/*
 * as_tuple() as JSON text, [[id, parent], children], in new memory from malloc(), with its length
 * in *ret_len (may be NULL); and result_from_tuple(): CELERY_EMESSAGE when it is none.
 */
CELERY_API char *celery_result_dumps(const celery_result *result, size_t *ret_len);
CELERY_API celery_result *celery_result_loads(celery_client *client, const char *json,
                                              size_t len, celery_error *err);

CELERY_END_DECLS

#endif
