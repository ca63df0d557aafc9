# SPDX-License-Identifier: BSD-3-Clause
"""The yardstick: what celery_session_worker starts in a thread of the test, as a process of
its own.  Takes the worker's command line; CONFORMANCE_CONF holds the settings."""

import json
import os
import sys

from celery.contrib.testing.app import TestApp

app = TestApp(set_as_current=True, enable_logging=True,
              config=json.loads(os.environ['CONFORMANCE_CONF']))
app.set_default()
app.loader.import_task_module('t.integration.tasks')

from t.integration.tasks import ClassBasedAutoRetryTask  # noqa: E402

app.register_task(ClassBasedAutoRetryTask())
app.worker_main(sys.argv[1:])
