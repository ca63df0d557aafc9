#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A worker died after it sent the body of a chord and before it ended the chord: the part
comes again, and its next worker must not call the body a second time."""

import base64
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402


class BodyBefore(lib.Case):
    def sent(self, body):
        """(result, group id, first step of the body) of a chord with parts that are marked
        as delivered again."""
        from celery import chord, group
        sig = self.app.signature
        result = chord(group([sig('t.ident', (n,)) for n in range(3)], app=self.app), body,
                       app=self.app).apply_async()
        raw = self.db0.lrange('celery', 0, -1)
        self.db0.delete('celery')
        for text in raw:
            message = json.loads(text)
            message['headers']['redelivered'] = True
            message['properties']['delivery_info']['redelivered'] = True
            self.db0.rpush('celery', json.dumps(message))
        message = json.loads(raw[0])
        first = json.loads(base64.b64decode(message['body']))[2]['chord']
        if first['subtask_type'] == 'chain':
            first = first['kwargs']['tasks'][0]
        return result, message['headers']['group'], first['options']['task_id']

    def run_parts(self, group):
        w = self.start(kind='c', pool='prefork')
        lib.wait_for('the chord is done', lambda: self.db1.get(
            'celery-taskset-meta-%s.c' % group) == b'done', 15)
        lib.wait_for('nothing is left to do', lambda: not self.db0.llen('celery')
                     and not self.db0.hlen('unacked'), 15)
        w.stop()

    def store(self, task_id, status, result):
        self.db1.set('celery-task-meta-' + task_id, json.dumps({
            'status': status, 'result': result, 'traceback': None, 'children': [],
            'date_done': '2026-11-22T12:00:00', 'task_id': task_id}))

    def stored(self, task_id):
        return json.loads(lib.document(self.db1, task_id))

    def test_called_when_it_was_not(self):
        result, group, _ = self.sent(self.app.signature('t.ident'))
        self.run_parts(group)
        self.assertEqual(self.stored(result.id)['result'], [0, 1, 2])

    def test_not_called_again(self):
        result, group, _ = self.sent(self.app.signature('t.ident'))
        self.store(result.id, 'SUCCESS', 'from before')
        self.run_parts(group)
        self.assertEqual(self.stored(result.id)['result'], 'from before')

    def test_not_called_again_when_it_failed(self):
        result, group, _ = self.sent(self.app.signature('t.ident'))
        error = {'exc_type': 'KeyError', 'exc_message': ['x'], 'exc_module': 'builtins'}
        self.store(result.id, 'FAILURE', error)
        self.run_parts(group)
        self.assertEqual(self.stored(result.id)['result'], error)

    def test_chain_as_body(self):
        from celery import chain
        step = self.app.signature('t.ident')
        result, group, first = self.sent(chain(step, step.clone()))
        self.store(first, 'SUCCESS', 'from before')
        self.run_parts(group)
        self.assertEqual(self.stored(first)['result'], 'from before')
        self.assertIsNone(lib.document(self.db1, result.id))


if __name__ == '__main__':
    lib.main()
