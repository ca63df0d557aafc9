#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Quorum queues and native delayed delivery on a private RabbitMQ: Celery 5.5 and newer as
producer and as worker, the C worker and client on the other side; ETAs on classic queues;
delivery limits.

    test_delayed.py               all of VERSIONS that PyPI has
    test_delayed.py [VERSION] ... these
"""

import json
import os
import subprocess
import sys
import time
import unittest

VERSIONS = ['5.5.1', '5.6.3', '5.7.0']
INSIDE = 'TEST_DELAYED_VERSION'

if INSIDE not in os.environ:
    import matrix
    wanted = [a for a in sys.argv[1:] if a[0].isdigit()] or VERSIONS
    rest = [a for a in sys.argv[1:] if not a[0].isdigit()]
    codes = []
    for version in wanted:
        python = matrix.prepare(version)
        if not python:
            codes.append(77)
            continue
        print('Celery %s' % version, flush=True)
        codes.append(subprocess.call([python, os.path.abspath(__file__), *rest],
                                     env=dict(os.environ, **{INSIDE: version})))
    sys.exit(next((c for c in codes if c not in (0, 77)), 77 if set(codes) == {77} else 0))

os.environ['CELERY_TEST_BROKER'] = 'amqp'

import lib  # noqa: E402
from kombu import Exchange, Queue  # noqa: E402

EARLY = 0.05  # clocks of two processes, and Celery's own rounding
LATE = 6 * lib.PATIENCE
QUORUM = {'x-queue-type': 'quorum'}
# For C, and for Python's workers through pytasks.
CONF = {'task_queues': [
    {'name': 'q', 'exchange': {'name': 'jobs', 'type': 'topic'}, 'routing_key': 'jobs.q',
     'queue_arguments': dict(QUORUM, **{'x-delivery-limit': 3})},
    {'name': 'all', 'exchange': {'name': 'everyone', 'type': 'fanout'}, 'routing_key': 'all',
     'queue_arguments': QUORUM},
    {'name': 'plain', 'exchange': {'name': 'plain', 'type': 'direct'},
     'routing_key': 'plain'}],
    'task_default_queue': 'plain', 'task_default_exchange': 'plain'}


def queues_of(conf):
    def queue(q):
        return Queue(q['name'], Exchange(**q['exchange']), q['routing_key'],
                     queue_arguments=dict(q.get('queue_arguments', {})))
    return [queue(q) for q in conf['task_queues']]


PYTHON = '''
import json, os, time
from celery import Celery
import test_delayed as td
app = Celery('delayed')
app.conf.update(dict(td.CONF, task_queues=td.queues_of(td.CONF)),
                broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)

@app.task(name='t.noop')
def noop(*args):
    return None

@app.task(name='t.retry', bind=True)
def retry(self, n, countdown=0):
    if self.request.retries >= n:
        return self.request.retries
    raise self.retry(exc=ValueError('again'), countdown=countdown, max_retries=n)
'''


def ready(case, queue):
    """How many messages wait; what the node notes of quorum queues is seconds old."""
    with case.app.connection_for_read() as connection:
        return connection.default_channel.queue_declare(queue, passive=True).message_count


class Delayed(lib.Case):
    """What a worker of that kind gets from Python, and from C."""

    kind = 'c'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.app.conf.update(dict(CONF, task_queues=queues_of(CONF)))
        options = {}
        if cls.kind == 'python':
            folder = lib.tmpdir()
            with open(os.path.join(folder, 'delayed_app.py'), 'w') as f:
                f.write(PYTHON)
            options = {'tasks': 'delayed_app', 'folder': folder,
                       'env': {'PYTHONPATH': folder + os.pathsep + lib.HERE,
                               INSIDE: os.environ[INSIDE]}}
        cls.worker = lib.Worker(cls.broker, cls.backend, kind=cls.kind, conf=CONF,
                                queues='q,all,plain', loglevel='DEBUG', **options)
        cls.addClassCleanup(cls.worker.kill9)

    def when_done(self, result):
        result.get(timeout=LATE + 5, interval=0.02)
        return time.time()

    def is_in_time(self, queue, **options):
        start = time.time()
        seconds = options.get('countdown')
        took = self.when_done(self.app.send_task('t.noop', queue=queue, **options)) - start
        self.assertGreater(took, seconds - EARLY)
        self.assertLess(took, seconds + LATE)

    def levels(self):
        return {name: q for name, q in self.rabbit.queues().items()
                if name.startswith('celery_delayed_')}

    def test_levels_and_bindings_are_there(self):
        levels = self.levels()
        self.assertEqual(len(levels), 28)
        for i in range(28):
            arguments = {k: v[1] for k, v in levels['celery_delayed_%d' % i]['arguments'].items()}
            self.assertEqual(arguments['x-message-ttl'], 2 ** i * 1000)
            self.assertEqual(arguments['x-queue-type'], 'quorum')
        bindings = self.rabbit.bindings()
        for source, destination, key in (
                ('celery_delayed_delivery', 'jobs', '#.jobs.q'), ('jobs', 'q', '#.jobs.q'),
                ('celery_delayed_delivery', 'everyone', '#.all')):
            self.assertIn((source, destination, key), [(b[0], b[2], b[3]) for b in bindings])

    def test_countdown_to_a_topic_queue(self):
        self.is_in_time('q', countdown=1)
        self.is_in_time('q', countdown=2.6)

    def test_countdown_to_a_fanout_queue(self):
        self.is_in_time('all', countdown=2)

    def test_countdown_to_a_classic_queue(self):
        self.is_in_time('plain', countdown=1.5)

    def test_it_waits_at_the_broker(self):
        r = self.app.send_task('t.noop', queue='q', countdown=3)
        time.sleep(0.5)
        self.assertEqual(ready(self, 'celery_delayed_0') + ready(self, 'celery_delayed_1'), 1)
        r.get(timeout=LATE + 5)

    def test_many_at_once_do_not_block_the_queue(self):
        """Prefetch is 2 times 4: with ETAs in hand nothing else would come through."""
        later = [self.app.send_task('t.noop', queue='q', countdown=4) for _ in range(40)]
        start = time.time()
        self.when_done(self.app.send_task('t.noop', queue='q'))
        self.assertLess(time.time() - start, 3.0)
        for r in later:
            r.get(timeout=LATE + 10)

    @unittest.skipIf(lib.KIND == 'python', 'a matter of the C worker')
    def test_what_is_handed_back_waits_in_the_levels(self):
        """Beyond worker_eta_task_limit, and in no queues of our own; to its queue alone."""
        if self.kind != 'c':
            self.skipTest('upstream holds them')
        queues = [dict(q) for q in CONF['task_queues']]
        queues.append({'name': 'also.plain', 'exchange': {'name': 'plain', 'type': 'direct'},
                       'routing_key': 'plain'})
        w = self.start(conf=dict(CONF, task_queues=queues, worker_eta_task_limit=4),
                       queues='also.plain')
        lib.wait_for('bound', lambda: 'also.plain' in self.rabbit.queues(), LATE)
        w.wait_output('ready', LATE)
        start = time.time()
        ids = [self.app.send_task('t.noop', exchange='plain', routing_key='plain',
                                  countdown=6).id for _ in range(20)]
        lib.wait_for('they wait in the levels', lambda: ready(self, 'celery_delayed_2') >= 8,
                     5 + LATE)
        self.assertFalse([n for n in self.rabbit.queues() if '.celery-c.delay.' in n])
        self.assertIn(('celery_delayed_delivery', 'also.plain', '#.celery-c.back.also.plain'),
                      [(b[0], b[2], b[3]) for b in self.rabbit.bindings()])
        for i in ids:
            self.app.AsyncResult(i).get(timeout=LATE + 10)
        self.assertGreater(time.time() - start, 6 - EARLY)
        lib.wait_for('each once in either queue', lambda: all(
            x.output().count('t.noop[%s] succeeded' % i) == 1 for x in (w, self.worker)
            for i in ids), LATE)
        time.sleep(1)
        for x in (w, self.worker):
            self.assertEqual([x.output().count('t.noop[%s] succeeded' % i) for i in ids],
                             [1] * len(ids))
        w.stop()

    def test_retries_wait(self):
        start = time.time()
        r = self.app.send_task('t.retry', (2, 2), queue='q')
        if self.kind == 'c':
            # Celery's is held by the worker: Task.retry() loses the type of the exchange.
            lib.wait_for('the retry waits in a level',
                         lambda: ready(self, 'celery_delayed_1') == 1, LATE)
        self.assertEqual(r.get(timeout=3 * LATE), 2)
        self.assertGreater(time.time() - start, 4 - 2 * EARLY)

    def test_sent_by_c(self):
        """The C client goes the same way."""
        path = lib.tmpname('.json')
        with open(path, 'w') as f:
            json.dump(dict(CONF, broker_url=self.broker, result_backend=self.backend), f)
        start = time.time()
        out = subprocess.run([lib.built('tests/interop/delayed_client'), path, 'q', '2', '5'],
                             stdout=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(out.returncode, 0, out.stdout)
        self.assertGreater(time.time() - start, 2 - EARLY)
        self.assertLess(time.time() - start, 2 + LATE)


class DelayedByPython(Delayed):
    kind = 'python'


@unittest.skipIf(lib.KIND == 'python', 'a matter of the C worker')
class Limits(lib.Case):
    """x-delivery-limit of a quorum queue: the broker drops what comes back too often."""

    def test_delivery_limit(self):
        self.app.conf.update(dict(CONF, task_queues=queues_of(CONF)))
        worker = self.start(conf=dict(CONF, worker_redelivery_budget=100), queues='q',
                            concurrency=1)
        r = self.app.send_task('t.again', queue='q')

        def runs():
            return worker.output().count(r.id + '] received')
        lib.wait_for('the first, and three more', lambda: runs() >= 4, 10 * lib.PATIENCE)
        time.sleep(1)
        self.assertEqual(runs(), 4)
        self.assertEqual(ready(self, 'q'), 0)
        worker.stop()


if __name__ == '__main__':
    lib.main()
