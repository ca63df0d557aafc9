# SPDX-License-Identifier: BSD-3-Clause
"""The tasks of tasks.c, in Python: the reference that the C worker is compared with."""

import builtins
import json
import os
import signal
import time

from celery import Celery, signature
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.result import allow_join_result

app = Celery('pytasks')
app.conf.update(broker_connection_retry_on_startup=True)
app.conf.update(json.loads(os.environ.get('PYTASKS_CONF') or '{}'))


class OurError(Exception):
    pass


@app.task(name='t.add')
def add(x, y):
    return x + y


@app.task(name='t.noop')
def noop(*args, **kwargs):
    return None


@app.task(name='t.event', bind=True)
def event(self):
    self.send_event('shop-sold', count=2, what=['\u20ac', 7])
    return True


@app.task(name='t.silent', send_events=False)
def silent():
    return None


@app.task(name='t.ident')
def ident(x):
    return x


@app.task(name='t.kw')
def kw(a, b=2):
    return {'a': a, 'b': b}


@app.task(name='t.fail')
def fail():
    raise KeyError('boom')


@app.task(name='t.fail_custom')
def fail_custom():
    raise OurError('text', 7)


@app.task(name='t.sleep')
def sleep(seconds):
    time.sleep(seconds)
    return seconds


@app.task(name='t.sleep_late', acks_late=True)
def sleep_late(seconds):
    time.sleep(seconds)
    return seconds


@app.task(name='t.progress', bind=True)
def progress(self, seconds=0.3):
    self.update_state(state='PROGRESS', meta={'current': 1, 'total': 2})
    time.sleep(seconds)
    return 'done'


@app.task(name='t.retry', bind=True, max_retries=5)
def retry(self, n, countdown=0):
    if self.request.retries >= n:
        return self.request.retries
    raise self.retry(countdown=countdown, exc=ValueError('again'))


@app.task(name='t.retry_out', bind=True, max_retries=1)
def retry_out(self):
    # Not at once: Python writes RETRY late, over the FAILURE of the next run.
    raise self.retry(countdown=0.5, exc=ValueError('again'))


@app.task(name='t.ignore')
def ignore():
    raise Ignore()


@app.task(name='t.reject', acks_late=True)
def reject():
    raise Reject('no', requeue=False)


@app.task(name='t.rejectq', bind=True, acks_late=True)
def rejectq(self):
    if self.request.delivery_info.get('redelivered'):
        return 'second'
    raise Reject('no', requeue=True)


@app.task(name='t.crash')
def crash():
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(10)


@app.task(name='t.crash_late', acks_late=True, reject_on_worker_lost=True)
def crash_late():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(10)


@app.task(name='t.abort_late', acks_late=True)
def abort_late(path):
    with open(path, 'a') as f:
        f.write('x')
    os.abort()


@app.task(name='t.exit')
def exit_(code):
    os._exit(code)


@app.task(name='t.soft')
def soft(seconds):
    try:
        time.sleep(seconds)
        return 'finished'
    except SoftTimeLimitExceeded:
        return 'stopped'


@app.task(name='t.limited', soft_time_limit=0.5, time_limit=2)
def limited(seconds):
    return soft(seconds)


@app.task(name='t.rate_s', rate_limit=5)
def rate_s():
    return None


@app.task(name='t.rate_m', rate_limit='300/m')
def rate_m():
    return None


@app.task(name='t.rate_0', rate_limit='0')
def rate_0():
    return None


@app.task(name='t.request', bind=True)
def request(self, *args, **kwargs):
    r = self.request
    info = r.delivery_info or {}
    return {
        'id': r.id, 'task': self.name, 'root_id': r.root_id, 'parent_id': r.parent_id,
        'group': r.group, 'retries': r.retries, 'hostname': r.hostname, 'eta': r.eta,
        'expires': r.expires, 'correlation_id': r.correlation_id, 'reply_to': r.reply_to,
        'exchange': info.get('exchange'), 'routing_key': info.get('routing_key'),
        'priority': info.get('priority'), 'redelivered': bool(info.get('redelivered')),
        'x_custom': getattr(r, 'x_custom', None) or (r.headers or {}).get('x_custom'),
    }


@app.task(name='t.bytes')
def bytes_(n):
    return bytes(range(256))[:n]


@app.task(name='t.pid')
def pid():
    return os.getpid()


@app.task(name='t.count', acks_late=True)
def count(path, word, seconds=0):
    time.sleep(seconds)
    with open(path, 'a') as f:
        f.write(word + '\n')


@app.task(name='t.mark', acks_late=True)
def mark(key, seconds=0):
    """Says on a file that it ran: what counts executions in the fault tests."""
    with open(key, 'a') as f:
        f.write('x')
    time.sleep(seconds)
    return None


# ---- tasks_inside.c ----

@app.task(name='t.auto', bind=True, autoretry_for=(OSError, TypeError),
          dont_autoretry_for=(PermissionError,),
          retry_kwargs={'max_retries': 2, 'countdown': 0.5})
def auto(self, type, tries=100):
    if self.request.retries >= tries:
        return self.request.retries
    raise getattr(builtins, type)('again')


@app.task(name='t.retry_with', bind=True)
def retry_with(self, options, rest=None):
    if self.request.retries:
        return self.request.retries
    raise self.retry(exc=ValueError('again'), **options)


@app.task(name='t.replace_with', bind=True)
def replace_with(self, *args):
    return self.replace(signature(args[-1], app=app))


@app.task(name='t.spawn', bind=True)
def spawn(self, sigs):
    for sig in sigs:
        signature(sig, app=app).apply_async()
    return len(sigs)


@app.task(name='t.grow', bind=True)
def grow(self, sig, value):
    self.add_to_chord(signature(sig, app=app))
    return value


@app.task(name='t.wait_for', bind=True)
def wait_for(self, sig):
    result = signature(sig, app=app).apply_async()
    with allow_join_result():
        return result.get(timeout=20)


@app.task(name='t.request_more', bind=True)
def request_more(self, *args, **kwargs):
    r = self.request
    return {
        'group_index': r.group_index, 'callbacks': r.callbacks, 'errbacks': r.errbacks,
        'chain': r.chain, 'chord': r.chord, 'shadow': r.shadow, 'argsrepr': r.argsrepr,
        'kwargsrepr': r.kwargsrepr, 'nesting': r.replaced_task_nesting,
        'ignore_result': bool(r.ignore_result), 'stamps': r.stamps,
        'called_directly': r.called_directly,
    }


@app.task(name='t.sum_of')
def sum_of(values):
    return sum(values)


@app.task(name='t.crash_again', bind=True, retry_on_worker_lost=True, acks_late=True,
          max_retries=2, default_retry_delay=0.3)
def crash_again(self, times):
    if self.request.retries < times:
        os._exit(1)
    return self.request.retries
