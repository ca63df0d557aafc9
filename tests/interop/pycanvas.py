# SPDX-License-Identifier: BSD-3-Clause
"""The tasks of examples/canvas/worker.c, in Python."""

import json
import os

from celery import Celery, chord

app = Celery('pycanvas')
app.conf.update(broker_connection_retry_on_startup=True)
app.conf.update(json.loads(os.environ.get('PYTASKS_CONF') or '{}'))


@app.task(name='canvas.add')
def add(x, y):
    return x + y


@app.task(name='canvas.sum')
def total(numbers):
    return sum(numbers)


@app.task(name='canvas.fail')
def fail(text):
    raise ValueError(text)


@app.task(name='canvas.note_error')
def note_error(failed_id):
    return failed_id


@app.task(name='canvas.flaky', bind=True)
def flaky(self):
    if self.request.retries < 2:
        # Not at once: Python writes RETRY late, over the SUCCESS of the next run.
        raise self.retry(countdown=0.5, exc=ConnectionError('again'))
    return self.request.retries


@app.task(name='canvas.stamps', bind=True)
def stamps(self):
    return self.request.stamps


@app.task(name='canvas.add_all', bind=True)
def add_all(self, pairs):
    raise self.replace(chord([add.s(x, y) for x, y in pairs], total.s()))


@app.task(name='canvas.sleep')
def sleep(seconds):
    import time
    time.sleep(seconds)
    return seconds
