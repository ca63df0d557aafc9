/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signatures: task calls that have not been made yet, alone or put together to chains, groups
 * and chords (celery/canvas.py).  Stable.
 *
 * A signature belongs to one thread at a time and needs no client.  `give_` parts are taken,
 * also when the call fails; a part that was given must not be used any more.  Functions that
 * make a signature return NULL with err on failure and take NULL parts: then they fail, leave
 * err as the failed call before set it, and free the other parts, so that calls can be nested:
 *
 *   celery_sig *flow = celery_chain(&err, celery_sig_new("fetch", &err, "[s]", url),
 *                                   celery_group(&err, celery_sig_new("parse", &err, NULL),
 *                                                celery_sig_new("count", &err, NULL), NULL),
 *                                   celery_sig_new("report", &err, NULL), NULL);
 *   celery_result *result = celery_send_sig(client, flow, &err);
 *
 * Setters return nothing: the first one that fails is remembered, and reported when the
 * signature, or one that it became part of, is sent, frozen, cloned or written.  Harmless on
 * NULL; what is given is freed.
 */
#ifndef CELERY_CANVAS_H
#define CELERY_CANVAS_H

#include <celery/value.h>
#include <stdint.h>

CELERY_BEGIN_DECLS

typedef struct celery_sig celery_sig;

/* ---- a task ---- */

/*
 * A call of a task by name.  fmt and its arguments give the positional arguments in the
 * format of jansson's json_pack(), always an array: "[ii]", 2, 3; NULL or "" for none.
 */
CELERY_API celery_sig *celery_sig_new(const char *task, celery_error *err,
                                      const char *fmt, ...);
CELERY_API void celery_sig_free(celery_sig *sig);

/* Positional (array) and keyword (object) arguments; taken.  Text: as JSON, without loss. */
CELERY_API void celery_sig_set_args(celery_sig *sig, json_t *give_args);
CELERY_API void celery_sig_set_kwargs(celery_sig *sig, json_t *give_kwargs);
CELERY_API celery_status celery_sig_set_args_text(celery_sig *sig, const char *json,
                                                  celery_error *err);
CELERY_API celery_status celery_sig_set_kwargs_text(celery_sig *sig, const char *json,
                                                    celery_error *err);

/* Options of apply_async().  A failed setter is reported when the signature is sent. */
CELERY_API void celery_sig_set_task_id(celery_sig *sig, const char *id);
CELERY_API void celery_sig_set_queue(celery_sig *sig, const char *queue);
CELERY_API void celery_sig_set_exchange(celery_sig *sig, const char *exchange);
CELERY_API void celery_sig_set_routing_key(celery_sig *sig, const char *key);
CELERY_API void celery_sig_set_priority(celery_sig *sig, int priority); /* 0 to 9 */
CELERY_API void celery_sig_set_countdown(celery_sig *sig, double seconds);
CELERY_API void celery_sig_set_eta(celery_sig *sig, const char *iso8601);
CELERY_API void celery_sig_set_expires(celery_sig *sig, double seconds);
CELERY_API void celery_sig_set_expires_at(celery_sig *sig, const char *iso8601);
CELERY_API void celery_sig_set_header(celery_sig *sig, const char *name,
                                      json_t *give_value);
CELERY_API void celery_sig_set_serializer(celery_sig *sig, const char *name);
CELERY_API void celery_sig_set_compression(celery_sig *sig, const char *name);
CELERY_API void celery_sig_set_ignore_result(celery_sig *sig, bool ignore);
CELERY_API void celery_sig_set_time_limit(celery_sig *sig, double hard, double soft);
CELERY_API void celery_sig_set_shadow(celery_sig *sig, const char *name);
CELERY_API void celery_sig_set_reply_to(celery_sig *sig, const char *queue);

/*
 * Any other option of apply_async() by upstream's name (Signature.set()): "delivery_mode",
 * "root_id", "max_retries" ...; the value is taken.  Options that have a setter above are
 * checked as there.  Text: as JSON, without loss.
 */
CELERY_API void celery_sig_set_option(celery_sig *sig, const char *name,
                                      json_t *give_value);
CELERY_API celery_status celery_sig_set_option_text(celery_sig *sig, const char *name,
                                                    const char *json, celery_error *err);

/*
 * Immutable (Signature.si()): takes nothing from the task before it.  On a chain, group or
 * chord as upstream's class does it.
 */
CELERY_API void celery_sig_set_immutable(celery_sig *sig, bool immutable);

/* A stamp on the whole tree (Signature.stamp(name=value)); the value is taken. */
CELERY_API void celery_sig_set_stamp(celery_sig *sig, const char *name,
                                     json_t *give_value);

/*
 * What runs after success, with the result as its first argument, or after failure, with
 * the id of the failed task (Signature.link(), link_error()).  On a group: after each of its
 * tasks; on a chord: after its body; on a chain: after its last step, errors of any step.
 */
CELERY_API void celery_sig_link(celery_sig *sig, celery_sig *give_callback);
CELERY_API void celery_sig_link_error(celery_sig *sig, celery_sig *give_errback);

/* ---- put together ---- */

/*
 * One after the other, each with the result of the one before as its first argument: chain(),
 * with upstream's upgrades (a group followed by a task becomes a chord).
 */
CELERY_API celery_sig *celery_chain_of(celery_error *err, celery_sig *const *give_parts,
                                       size_t n);

/* All at once: group().  An empty one is allowed. */
CELERY_API celery_sig *celery_group_of(celery_error *err, celery_sig *const *give_parts,
                                       size_t n);

/*
 * The same with the parts written out, and NULL behind the last one: without that NULL the
 * call fails with CELERY_EINVAL.  Each part is evaluated once.
 */
#define celery_chain(err, ...) \
    celery_chain_list((err), CELERY_PARTS(__VA_ARGS__), CELERY_COUNT(__VA_ARGS__))
#define celery_group(err, ...) \
    celery_group_list((err), CELERY_PARTS(__VA_ARGS__), CELERY_COUNT(__VA_ARGS__))
#define CELERY_PARTS(...) ((celery_sig *[]){__VA_ARGS__})
#define CELERY_COUNT(...) (sizeof CELERY_PARTS(__VA_ARGS__) / sizeof(celery_sig *))

/* What these macros call: n counts the NULL. */
CELERY_API celery_sig *celery_chain_list(celery_error *err, celery_sig *const *give_parts,
                                         size_t n);
CELERY_API celery_sig *celery_group_list(celery_error *err, celery_sig *const *give_parts,
                                         size_t n);

/* body gets the list of the header's results: chord().  header: usually a group. */
CELERY_API celery_sig *celery_chord(celery_error *err, celery_sig *give_header,
                                    celery_sig *give_body);

/*
 * One message that runs a task for each item: task(item) or, star, task(*item)
 * (Task.map(), Task.starmap()).  items: a JSON array.
 */
CELERY_API celery_sig *celery_map(celery_error *err, celery_sig *give_task,
                                  json_t *give_items);
CELERY_API celery_sig *celery_starmap(celery_error *err, celery_sig *give_task,
                                      json_t *give_items);

/* A group of starmaps with n items each (Task.chunks()). */
CELERY_API celery_sig *celery_chunks(celery_error *err, celery_sig *give_task,
                                     json_t *give_items, int64_t n);

/*
 * A copy that shares nothing (Signature.clone()), with positional arguments put before its own
 * as in celery_sig_new(), unless it is immutable.  NULL with err when sig cannot be sent.
 */
CELERY_API celery_sig *celery_sig_clone(const celery_sig *sig, celery_error *err,
                                        const char *fmt, ...);

/* The same with arguments as JSON (each may be NULL); both are taken. */
CELERY_API celery_sig *celery_sig_partial(const celery_sig *sig, json_t *give_args,
                                          json_t *give_kwargs, celery_error *err);

/* ---- what it is ---- */

/* "add", "celery.chain" ...; borrowed until the next call with this signature. */
CELERY_API const char *celery_sig_task(const celery_sig *sig);

/* "chain", "group", "chord", "xmap", "xstarmap", "chunks"; "" for a task. */
CELERY_API const char *celery_sig_type(const celery_sig *sig);

/* An option by upstream's name ("task_id", "countdown" ...); NULL: not set, or callbacks.  Borrowed. */
CELERY_API const celery_value *celery_sig_option(const celery_sig *sig, const char *name);

/* ---- dict form ---- */

/*
 * {"task": ..., "args": ..., "kwargs": ..., "options": ..., "subtask_type": ..., "immutable":
 * ...} in the bytes of json.dumps(signature), in new memory from malloc(), with its length in
 * *ret_len (may be NULL).
 */
CELERY_API char *celery_sig_dumps(const celery_sig *sig, size_t *ret_len,
                                  celery_error *err);

/*
 * signature(json.loads(text)).  CELERY_EMESSAGE with the path of what is wrong:
 * "kwargs.tasks[2].task: no text".
 */
CELERY_API celery_sig *celery_sig_loads(const char *json, size_t len, celery_error *err);

CELERY_END_DECLS

#endif
