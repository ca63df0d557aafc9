/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a running task may ask, and how it ends.  Stable.
 *
 * A celery_task is valid in the thread that runs the task function until that function
 * returns; what its getters return lives as long.
 */
#ifndef CELERY_TASK_H
#define CELERY_TASK_H

#include <celery/app.h>
#include <celery/canvas.h>
#include <celery/client.h>
#include <celery/log.h>
#include <celery/value.h>
#include <stdint.h>

CELERY_BEGIN_DECLS

/* ---- arguments ---- */

/*
 * Unpacks the arguments, given by position or by keyword, into C variables.
 *
 * fmt is a list of "name:type", in the order of the parameters; after "|" come optional
 * ones, whose variables keep their value when the caller leaves them out; "*" and "**" at
 * the end accept more positional and more keyword arguments.  Types:
 *
 *   I  int64_t *           an integer of 64 bits
 *   i  int *
 *   d  double *            an integer or a float
 *   b  bool *
 *   s  const char **       a string without NUL; NUL-terminated UTF-8
 *   z  const char **       as s; None gives NULL
 *   S  const char **, size_t *   a string with its length; may hold NUL
 *   y  const char **, size_t *   bytes
 *   v  const celery_value **     anything
 *   j  json_t **           anything json_t can hold; borrowed
 *
 * Returns CELERY_OK, or CELERY_ETASK after recording the TypeError that Python raises
 * ("f() missing 1 required positional argument: 'x'"): return CELERY_FAILED then.
 * fmt must stay valid until the task function returns.
 * Follows CPython's argument binding (Python/ceval.c, format_missing and friends).
 */
CELERY_API celery_status celery_task_args(celery_task *task, const char *fmt, ...);

/* The whole [args, kwargs] as json_t, borrowed; NULL with err when json_t cannot hold it. */
CELERY_API const json_t *celery_task_json(celery_task *task, celery_error *err);

/* The positional arguments (array) and keyword arguments (object) without loss. */
CELERY_API const celery_value *celery_task_positional(celery_task *task);
CELERY_API const celery_value *celery_task_keywords(celery_task *task);

/* ---- the request (celery.app.task.Context) ---- */

CELERY_API const char *celery_task_id(const celery_task *task);
CELERY_API const char *celery_task_name(const celery_task *task);
CELERY_API const char *celery_task_root_id(const celery_task *task);   /* or NULL */
CELERY_API const char *celery_task_parent_id(const celery_task *task); /* or NULL */
CELERY_API const char *celery_task_group_id(const celery_task *task);  /* or NULL */
CELERY_API const char *celery_task_hostname(const celery_task *task);  /* node name */
CELERY_API const char *celery_task_eta(const celery_task *task); /* ISO text or NULL */
CELERY_API const char *
celery_task_expires(const celery_task *task); /* ISO text or NULL */
CELERY_API const char *celery_task_correlation_id(const celery_task *task);
CELERY_API const char *celery_task_reply_to(const celery_task *task);
CELERY_API const char *celery_task_exchange(const celery_task *task);
CELERY_API const char *celery_task_routing_key(const celery_task *task);
CELERY_API int celery_task_priority(const celery_task *task);
CELERY_API bool celery_task_redelivered(const celery_task *task);
CELERY_API int celery_task_retries(const celery_task *task); /* 0 the first time */

/* Place in its group, from 0; -1: it is in none. */
CELERY_API int64_t celery_task_group_index(const celery_task *task);

/* The limits that hold for this execution, in seconds; 0: none. */
CELERY_API double celery_task_time_limit(const celery_task *task);
CELERY_API double celery_task_soft_time_limit(const celery_task *task);

/* True when another task calls this one in place (celery.map): it has no id, no message. */
CELERY_API bool celery_task_called_directly(const celery_task *task);

/* What its headers say; NULL, 0 or the task's own option when they say nothing. */
CELERY_API const char *celery_task_origin(celery_task *task); /* "gen123@host" */
CELERY_API const char *celery_task_shadow(celery_task *task); /* its name in logs */
CELERY_API const char *celery_task_argsrepr(celery_task *task);
CELERY_API const char *celery_task_kwargsrepr(celery_task *task);
CELERY_API int64_t celery_task_replaced_nesting(celery_task *task);
CELERY_API bool celery_task_ignores_result(celery_task *task);
CELERY_API const celery_value *celery_task_stamps(celery_task *task); /* map */

/* What follows it: signatures in dict form, the chain in reverse; NULL or null: nothing. */
CELERY_API const celery_value *celery_task_callbacks(const celery_task *task);
CELERY_API const celery_value *celery_task_errbacks(const celery_task *task);
CELERY_API const celery_value *celery_task_chain(const celery_task *task);
CELERY_API const celery_value *celery_task_chord(const celery_task *task);

/* Any header of the message by name; NULL when absent. */
CELERY_API const celery_value *celery_task_header(celery_task *task, const char *name);

/*
 * The properties of the message as an object (Context.properties): what kombu's broker
 * envelope has beside headers and body, "app_id" and other options of apply_async() that
 * nobody knows among them.  NULL when there are none.
 */
CELERY_API const celery_value *celery_task_properties(celery_task *task);

/* What celery_app_task_context() set; NULL otherwise. */
CELERY_API void *celery_task_context(const celery_task *task);

/* ---- while it runs ---- */

/*
 * True when the task should end soon: its soft time limit passed, it was revoked with
 * termination, or the worker is shutting down cold.  Cheap; call it in loops.
 */
CELERY_API bool celery_task_should_stop(const celery_task *task);

/*
 * Called once, in the thread of the task, from the next celery_task_should_stop() after
 * the soft time limit passed; with the prefork pool also at once, from a signal handler
 * (async-signal-safe code only), when at_once is true.
 */
CELERY_API void celery_task_on_soft_limit(celery_task *task, void (*fn)(void *ctx),
                                          void *ctx, bool at_once);

/*
 * Stores a custom state ("PROGRESS") with its meta, as Task.update_state() does; takes
 * meta (NULL: null).  Sent at once, stored by the worker without waiting for the answer.
 */
CELERY_API celery_status celery_task_update_state(celery_task *task, const char *state,
                                                  json_t *give_meta);

/*
 * Sends an event of the program's own to monitors, as Task.send_event() does: type is a group, a
 * dash and a name ("shop-sold", at most 127 bytes), give_fields (NULL: none; taken, also on an error) a
 * JSON object.  The event gets the task's id as uuid, and hostname, utcoffset, pid, clock,
 * timestamp and type from the worker, with or without -E.  It goes out at once, is tried once,
 * and what becomes of it changes nothing for the task (with the solo pool it goes out when the
 * task returns).  From the thread of the task.  CELERY_EINVAL: the type is empty or too long, the
 * fields are no object or name one of those above; CELERY_ENOMEM, CELERY_ELIMIT.
 */
CELERY_API celery_status celery_task_send_event(celery_task *task, const char *type,
                                                json_t *give_fields);

/* A log line with the task's name and id in front, as Celery's get_task_logger(). */
CELERY_API void celery_task_log(celery_task *task, celery_log_level level,
                                const char *fmt, ...) CELERY_PRINTF(3, 4);

/*
 * Sends a signature, any canvas, as a child of this task: its parent and root are this task and
 * its root, and its result is among the children of this one's.  It goes out at once; this task
 * ends only when the broker has confirmed it (with the solo pool it goes out when the task
 * returns).  The signature stays the caller's.
 * The id of its result (of a group: the group's), for celery_result_new(); NULL with err.
 */
CELERY_API const char *celery_task_send(celery_task *task, const celery_sig *sig,
                                        celery_error *err);

/*
 * One more part for the chord that this task is a part of, sent at once (Task.add_to_chord()).
 * NULL with CELERY_EINVAL when it is a part of none.
 */
CELERY_API const char *celery_task_add_to_chord(celery_task *task, const celery_sig *sig,
                                                celery_error *err);

/* What the last of these two sent, as a result tuple [[id, parent], children]; or NULL. */
CELERY_API const celery_value *celery_task_sent(const celery_task *task);

/*
 * A client on the settings of the app, to read, wait for and forget results.  It belongs to the
 * thread or process that runs the task, is opened by the first call and kept for the tasks that
 * follow: do not close it, and free its results before the task ends.  NULL with err.  With
 * rpc:// results, ask for it before sending what is to be waited for: there must be a queue.
 *
 * Waiting for the result of another task keeps a slot of the pool from running it: Celery
 * refuses that (celery.result.assert_will_not_block), C code has to know.
 */
CELERY_API celery_client *celery_task_client(celery_task *task, celery_error *err);

/* ---- how it ends: `return celery_task_...(task, ...);` ---- */

/* SUCCESS with a value.  Takes it; NULL is None. */
CELERY_API celery_outcome celery_task_return(celery_task *task, json_t *give_value);
CELERY_API celery_outcome celery_task_return_int(celery_task *task, int64_t value);
CELERY_API celery_outcome celery_task_return_double(celery_task *task, double value);
CELERY_API celery_outcome celery_task_return_bool(celery_task *task, bool value);
CELERY_API celery_outcome celery_task_return_none(celery_task *task);

/* A string of len bytes of UTF-8 (lone surrogates as WTF-8 pass); copied. */
CELERY_API celery_outcome celery_task_return_string(celery_task *task, const char *text,
                                                    size_t len);

/* Bytes: {"__type__": "bytes" or "base64"} in JSON, as kombu >= 5.3 writes them. */
CELERY_API celery_outcome celery_task_return_bytes(celery_task *task, const void *bytes,
                                                   size_t len);

/* A value of this task's arguments, without loss. */
CELERY_API celery_outcome celery_task_return_value(celery_task *task,
                                                   const celery_value *value);

/* JSON text (checked), without loss; for values that json_t cannot hold. */
CELERY_API celery_outcome celery_task_return_text(celery_task *task, const char *json,
                                                  size_t len);

/*
 * FAILURE with a Python exception of one argument, the formatted text.  type is "ValueError"
 * or "package.module.Error"; without a module it is one of builtins.
 */
CELERY_API celery_outcome celery_task_fail(celery_task *task, const char *type,
                                           const char *fmt, ...) CELERY_PRINTF(3, 4);

/*
 * FAILURE with any arguments: args is a JSON array (taken; NULL: no arguments).
 * traceback is Python-style text or NULL, then one is made that ends in "type: text".
 */
CELERY_API celery_outcome celery_task_fail_args(celery_task *task, const char *type,
                                                json_t *give_args, const char *traceback);

/* As celery_task_fail_args() with the arguments as JSON text, for what json_t cannot hold. */
CELERY_API celery_outcome celery_task_fail_text(celery_task *task, const char *type,
                                                const char *args_json, size_t len,
                                                const char *traceback);

/*
 * Try again after countdown seconds (negative: the task's default_retry_delay) as
 * Task.retry(): same id, retries + 1.  After max_retries the task fails with the exception
 * recorded by celery_task_retry_exc(), or MaxRetriesExceededError.
 */
CELERY_API celery_outcome celery_task_retry(celery_task *task, double countdown);

/* As celery_task_retry(), naming the exception that is the reason. */
CELERY_API celery_outcome celery_task_retry_exc(celery_task *task, double countdown,
                                                const char *type, const char *fmt, ...)
    CELERY_PRINTF(4, 5);

/*
 * Changes the retry that follows: one keyword argument of Task.retry().  Before
 * celery_task_retry(); takes the value.
 *
 *   args             a list: replaces the positional arguments
 *   kwargs           a map: replaces the keyword arguments; when only one of both is given,
 *                    parameters named to celery_task_args() are not given twice
 *   eta              an ISO 8601 time; then pass a negative countdown
 *   max_retries      a count for this execution alone; null: no limit
 *   headers          a map: replaces the custom headers, which are kept otherwise
 *   priority, queue, exchange, routing_key, serializer, compression, shadow, reply_to
 *   expires          seconds or an ISO 8601 time
 *   time_limit, soft_time_limit   seconds; null: the task's
 *   ignore_result    true or false
 *
 * All else stays as it came: ids, group, chord, chain, callbacks, errbacks, stamps.
 * CELERY_EINVAL for an unknown option or a wrong value; the retry then fails the task with
 * a TypeError that says so.
 */
CELERY_API celery_status celery_task_retry_set(celery_task *task, const char *option,
                                               json_t *give_value);

/* The same with a value of this task's arguments, without loss. */
CELERY_API celery_status celery_task_retry_set_value(celery_task *task,
                                                     const char *option,
                                                     const celery_value *value);

/*
 * Another signature, any canvas, takes the place of this task (Task.replace()): it gets the id,
 * callbacks, errbacks, chain and chord of this task, which ends without a state of its own.
 * Takes the signature; NULL, a part of a chord or an empty chain fail the task with
 * ImproperlyConfigured.
 */
CELERY_API celery_outcome celery_task_replace(celery_task *task, celery_sig *give_sig);

/* No state is stored; the message is acknowledged (celery.exceptions.Ignore). */
CELERY_API celery_outcome celery_task_ignore(celery_task *task);

/*
 * The message is rejected (celery.exceptions.Reject).  requeue: it goes back to the end of its
 * queue and nothing is stored.  Otherwise it will never run: FAILURE with the Reject is stored
 * and errbacks run, as since Celery 5.7.
 */
CELERY_API celery_outcome celery_task_reject(celery_task *task, bool requeue,
                                             const char *reason);

CELERY_END_DECLS

#endif
