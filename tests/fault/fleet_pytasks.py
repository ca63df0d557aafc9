# SPDX-License-Identifier: BSD-3-Clause
"""The tasks of fleet_tasks.c in Python.  Each run is noted in Redis before it ends."""

import json
import os
import time

import redis
from celery import Celery

PRIME = 1000003

app = Celery('fleet_pytasks')
app.conf.update(json.loads(os.environ.get('PYTASKS_CONF') or '{}'))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True,
                broker_connection_retry_on_startup=True)
_link = None


def note(request, flow, no):
    global _link
    if _link is None or _link[0] != os.getpid():
        _link = os.getpid(), redis.Redis(unix_socket_path=os.environ['FLEET_REDIS'], db=2)
    again = bool((request.delivery_info or {}).get('redelivered'))
    _link[1].rpush('ran', '%d %d python %d %d %d' % (
        flow, no, request.retries, again, os.getpid()))


def fold(x):
    if not isinstance(x, list):
        return x
    value = 7
    for item in x:
        value = (value * 33 + fold(item) + 5 * isinstance(item, list)) % PRIME
    return value


def work(self, x, flow, no, ms, factor):
    time.sleep(ms / 1000)
    note(self.request, flow, no)
    return (fold(x) * 31 + factor) % PRIME


@app.task(name='f.step', bind=True)
def step(self, x, flow, no, ms, factor):
    return work(self, x, flow, no, ms, factor)


@app.task(name='f.flaky', bind=True, max_retries=4)
def flaky(self, x, flow, no, ms, factor, tries):
    value = work(self, x, flow, no, ms, factor)
    if self.request.retries < tries:
        raise self.retry(countdown=0.3, exc=ValueError('bad %d' % no))
    return value


@app.task(name='f.auto', bind=True, autoretry_for=(OSError,),
          retry_kwargs={'max_retries': 4, 'countdown': 0.3})
def auto(self, x, flow, no, ms, factor, tries):
    value = work(self, x, flow, no, ms, factor)
    if self.request.retries < tries:
        raise OSError('bad %d' % no)
    return value


@app.task(name='f.boom', bind=True)
def boom(self, x, flow, no, ms, factor):
    work(self, x, flow, no, ms, factor)
    raise ValueError('bad %d' % no)


@app.task(name='f.err', bind=True)
def err(self, failed_id, *, flow, no):
    note(self.request, flow, no)
    return no
