/* SPDX-License-Identifier: BSD-3-Clause */
/* kombu's JSON wrapping of a message, for virtual transports (virtual/base.py). */
#ifndef CEL_MESSAGE_ENVELOPE_JSON_H
#define CEL_MESSAGE_ENVELOPE_JSON_H

#include "message/envelope.h"

/*
 * Copies raw into the envelope's arena and reads it.  Total: CELERY_EMESSAGE with the reason for
 * anything that is not an envelope (not JSON, no map, no properties, no delivery_tag, body
 * not base64 ...); *ret_env is then still given with raw and what could be read, so that it
 * can be parked and an id be found.  CELERY_ENOMEM: *ret_env untouched.
 */
celery_status cel_envelope_read(struct cel_slice raw, struct cel_envelope **ret_env,
                                celery_error *err);

/*
 * Writes kombu's bytes: keys in its order, ", " and ": ", body base64 unless body_plain,
 * delivery_tag as given (a new uuid4 when empty).  headers: NULL writes {}.  Properties that
 * have no field of their own are taken from env->properties.  An envelope that is `written`
 * is its raw text.
 */
celery_status cel_envelope_write(struct cel_buf *out, const struct cel_envelope *env);

/*
 * The raw text rewritten for redelivery: headers.redelivered and
 * properties.delivery_info.redelivered true, same tag (kombu redis.py _do_restore_message);
 * header (may be NULL) = value is added to the headers too.
 */
celery_status cel_envelope_write_redelivered(struct cel_buf *out,
                                             const struct cel_envelope *env,
                                             const char *header, int64_t value);

#endif
