/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Python's pickles as data: what Celery's SQL backends keep in celery_taskmeta.result
 * (celery/backends/database/models.py, SQLAlchemy's PickleType).  Nothing here executes or imports
 * anything: classes are names.  Any thread; no state.
 */
#ifndef CEL_CODEC_PICKLE_H
#define CEL_CODEC_PICKLE_H

#include "codec/doc.h"

/*
 * ---- writing: protocol 5, the bytes of pickle.dumps(json.loads(text), 5) ----
 *
 * Documents become str, int, float, bool, None, bytes, list and dict.  kombu's typed values become
 * datetime, date, time, Decimal, UUID and bytes objects when they have the right form; no other
 * class is ever named, whatever the document says.  Appends to out; n NULL is None.
 * CELERY_ELIMIT: out->max, integers of over CEL_PICKLE_DIGITS digits; CELERY_ENOMEM.
 */
celery_status cel_pickle_write(struct cel_buf *out, const struct cel_node *n,
                               celery_error *err);

/*
 * The map of an exception, {"exc_type": str, "exc_message": [args], "exc_module": str}, with its
 * arguments as the tuple that Backend.prepare_exception() of celery/backends/base.py stores.  Any
 * other document is written as it is.
 */
celery_status cel_pickle_write_exception(struct cel_buf *out, const struct cel_node *n,
                                         celery_error *err);

/*
 * A celery.result.GroupResult from the result tuple [[id, parent], [child, ...]] of
 * cel_group_note (celery/result.py result_from_tuple()), as celery_tasksetmeta.result holds it; with
 * backend None, for which readers put their own.  CELERY_EMESSAGE: not such a tuple.
 */
celery_status cel_pickle_write_group(struct cel_buf *out, const struct cel_node *tuple,
                                     celery_error *err);

enum { CEL_PICKLE_DIGITS = 4300 }; /* as many as int(text) of Python takes */

/*
 * ---- reading: protocols 0 to 5 ----
 *
 * Tuples, sets and deques are arrays; keys that are no strings are as json.dumps() makes them;
 * datetime, date, time, Decimal and UUID are kombu's typed values, bytes and bytearray BYTES nodes.
 * What is of any other class is an object:
 *
 *   {"__class__": "MyErr", "__module__": "app1", "__args__": [...], "__state__": ...,
 *    "__items__": ...}
 *
 * with the last three only as far as the pickle has them.  Nodes may point into bytes, which must
 * outlive them.  CELERY_EMESSAGE with offset and reason: not a pickle, a value that contains
 * itself, extension registry, persistent ids, out-of-band buffers; CELERY_ELIMIT: limits, 1M nodes
 * added by what is referred to twice.
 */
celery_status cel_pickle_read(struct cel_arena *a, struct cel_slice bytes,
                              const struct cel_json_limits *limits,
                              struct cel_node **ret_node, celery_error *err);

/*
 * The map of an exception from what cel_pickle_read() gave for a row of FAILURE, RETRY or
 * REVOKED: such a map itself, an exception that was pickled as an object, or a
 * celery.utils.serialization.UnpickleableExceptionWrapper.  NULL: it is none of these, or out of
 * memory.
 */
struct cel_node *cel_pickle_exception(struct cel_arena *a, const struct cel_node *n);

/* The result tuple from a GroupResult that was read; NULL: it is none, or out of memory. */
struct cel_node *cel_pickle_group(struct cel_arena *a, const struct cel_node *n);

#endif
