/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands in a message's Body (kombu/transport/SQS.py Channel._message_to_python). */
#ifndef CEL_TRANSPORT_SQS_CODEC_H
#define CEL_TRANSPORT_SQS_CODEC_H

#include "message/envelope.h"

/*
 * The text in a Body: decoded if it is base64 in its canonical form and of valid UTF-8
 * (Channel._optional_b64_decode), otherwise as it is.  out keeps the bytes.
 */
bool cel_sqs_is_base64(struct cel_slice body, struct cel_buf *out);

/*
 * Reads a Body as cel_envelope_read() does its text.  The tag is the service's affair: an
 * envelope without delivery_tag is as good.
 */
celery_status cel_sqs_envelope_read(struct cel_slice body, struct cel_envelope **ret_env,
                                    bool *ret_base64, celery_error *err);

#endif
