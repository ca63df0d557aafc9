/* SPDX-License-Identifier: BSD-3-Clause */
/* libcelery-c: all of the public API. */
#ifndef CELERY_H
#define CELERY_H

#include <celery/app.h>
#include <celery/beat.h>
#include <celery/canvas.h>
#include <celery/client.h>
#include <celery/control.h>
#include <celery/dead.h>
#include <celery/error.h>
#include <celery/events.h>
#include <celery/log.h>
#include <celery/queue.h>
#include <celery/sqs.h>
#include <celery/state.h>
#include <celery/task.h>
#include <celery/value.h>
#include <celery/worker.h>

#endif
