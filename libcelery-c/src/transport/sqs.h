/* SPDX-License-Identifier: BSD-3-Clause */
/* Amazon SQS (kombu/transport/SQS.py): sqs://KEY:SECRET@, sqs:// and sqs://host:port. */
#ifndef CEL_TRANSPORT_SQS_H
#define CEL_TRANSPORT_SQS_H

#include "transport/transport.h"

extern const struct cel_transport_ops cel_transport_sqs;

#endif
