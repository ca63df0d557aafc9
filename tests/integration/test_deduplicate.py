#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""worker_deduplicate_successful_tasks: a redelivered message whose SUCCESS is stored is
acknowledged without a run (celery/app/trace.py build_tracer)."""

import base64
import json
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402
from test_poison import encode, good  # noqa: E402

SAID = 'Task already completed successfully.'


class Deduplicate(lib.Case):
    worker_options = {'conf': {'worker_deduplicate_successful_tasks': True}}

    def setUp(self):
        self.path = lib.tmpname('.mark')

    def push(self, status=None, task='t.mark', redelivered=True, chord=None, task_id=None,
             **headers):
        """A message for a task that marks the file, and what is stored about it before."""
        message = good(task, (self.path,), **headers)
        task_id = task_id or message['headers']['id']
        message['headers']['id'] = message['properties']['correlation_id'] = task_id
        if chord:
            body = json.loads(base64.b64decode(message['body']))
            body[2]['chord'] = chord
            message['body'] = base64.b64encode(json.dumps(body).encode()).decode()
        if redelivered:
            message['headers']['redelivered'] = True
            message['properties']['delivery_info']['redelivered'] = True
        if status:
            self.db1.set('celery-task-meta-' + task_id, json.dumps({
                'status': status, 'result': 'before', 'traceback': None, 'children': [],
                'date_done': '2026-11-22T13:02:13.615386+00:00', 'task_id': task_id}))
        self.db0.lpush('celery', encode(message))
        return task_id

    def ran(self, worker=None):
        """How often the task ran, once everything before has been settled."""
        lib.wait_for('settled', lambda: not self.db0.llen('celery') and
                     not self.db0.hlen('unacked'), 20)
        return os.path.getsize(self.path)

    def result(self, task_id):
        return json.loads(lib.document(self.db1, task_id))['result']

    def test_a_stored_success_is_not_run_again(self):
        task_id = self.push('SUCCESS')
        self.worker.wait_output('Task t.mark[%s] %s' % (task_id, SAID))
        self.assertEqual(self.ran(), 0)
        self.assertEqual(self.result(task_id), 'before')

    def test_everything_else_runs(self):
        for status in (None, 'FAILURE', 'RETRY', 'STARTED'):
            with self.subTest(status=status):
                self.path = lib.tmpname('.mark')
                task_id = self.push(status)
                self.assertEqual(self.ran(), 1)
                self.assertIsNone(self.result(task_id))

    def test_a_first_delivery_runs(self):
        self.push('SUCCESS', redelivered=False)
        self.assertEqual(self.ran(), 1)

    def test_what_is_acknowledged_early_runs(self):
        task_id = self.push('SUCCESS', task='t.noop')
        self.worker.wait_output('Task t.noop[%s] succeeded' % task_id)

    def test_own_successes_are_remembered(self):
        task_id = self.push(redelivered=False)
        self.assertEqual(self.ran(), 1)
        self.db1.flushdb()
        self.push(task_id=task_id)
        self.worker.wait_output('Task t.mark[%s] %s' % (task_id, SAID))
        self.assertEqual(self.ran(), 1)

    def test_own_failures_are_not(self):
        # No t.mark without arguments: a failure, though it is acknowledged late.
        message = good('t.mark', ())
        self.db0.lpush('celery', encode(message))
        task_id = message['headers']['id']
        lib.wait_for('failure', lambda: lib.document(self.db1, task_id), 20)
        self.ran()
        self.push(task_id=task_id)
        self.assertEqual(self.ran(), 1)

    def test_a_part_of_a_chord_runs(self):
        """Its result is stored before it is counted: a success says too little."""
        body = {'task': 't.noop', 'args': [], 'kwargs': {}, 'options': {'task_id': 'chord-body'},
                'subtask_type': None, 'immutable': True, 'chord_size': 2}
        part = self.push('SUCCESS', group='g1', group_index=0, chord=body)
        self.ran()
        self.assertNotIn('t.mark[%s] %s' % (part, SAID), self.worker.output())
        ran = self.ran()
        task_id = self.push('SUCCESS', group='g2', group_index=0)
        self.worker.wait_output('Task t.mark[%s] %s' % (task_id, SAID))
        self.assertEqual(self.ran(), ran)

    def test_an_unreadable_result_runs(self):
        task_id = '2b3cf9f4-0000-4000-8000-000000000001'
        self.db1.set('celery-task-meta-' + task_id, 'no JSON')
        self.push(task_id=task_id)
        lib.wait_for('run', lambda: os.path.getsize(self.path) == 1, 20)


class Off(lib.Case):
    worker_options = {}

    push, setUp, ran = Deduplicate.push, Deduplicate.setUp, Deduplicate.ran

    def test_without_the_setting_it_runs(self):
        self.push('SUCCESS')
        self.assertEqual(self.ran(), 1)


class Away(lib.Case):
    push, setUp, ran = Deduplicate.push, Deduplicate.setUp, Deduplicate.ran

    def test_the_backend_is_waited_for(self):
        """The store is away when the message comes: it does not run on a guess."""
        store = lib.Redis()
        self.addCleanup(store.stop)
        self.db1 = store.client(0)
        task_id = self.push('SUCCESS')
        document = self.db1.get('celery-task-meta-' + task_id)
        self.push('SUCCESS', task='t.noop', redelivered=False)
        store.stop()
        w = self.start(backend=store.url(0),
                       conf={'worker_deduplicate_successful_tasks': True})
        w.wait_output('Task t.noop')
        time.sleep(0.5)
        self.assertEqual(os.path.getsize(self.path), 0)
        self.assertEqual(self.db0.hlen('unacked'), 1)
        store.start()
        store.client(0).set('celery-task-meta-' + task_id, document)
        w.wait_output(SAID, 30)
        self.assertEqual(self.ran(), 0)
        w.stop()


if __name__ == '__main__':
    lib.main()
