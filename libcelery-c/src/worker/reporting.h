/* SPDX-License-Identifier: BSD-3-Clause */
/* Carries out worker/phase.h for one request. */
#ifndef CEL_WORKER_REPORTING_H
#define CEL_WORKER_REPORTING_H

#include "worker/request.h"

/* Begins; ends with CEL_REQ_REPORTED or CEL_REQ_UNREPORTED. */
void cel_reporting_start(struct cel_request *r);

/* Everything that the task sent while it ran has ended. */
void cel_reporting_sent(struct cel_request *r);

#endif
