#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The C client calls tasks of a Python worker, and of the worker under test."""

import json
import subprocess
import time
import unittest

import lib


class Client(lib.Case):
    kind = 'python'

    @classmethod
    def setUpClass(cls):
        if not lib.C_CLIENT:
            raise unittest.SkipTest('cclient is not built in %s' % lib.BUILD)
        super().setUpClass()
        conf = {'accept_content': ['json', 'yaml', 'msgpack'], 'task_track_started': True}
        cls.worker = lib.Worker(cls.broker, cls.backend, kind=cls.kind, conf=conf,
                                queues='celery,other')
        cls.addClassCleanup(cls.worker.kill9)

    def run_client(self, task, args='[]', kwargs='{}', options=None, timeout=20,
                   backend=None):
        run = subprocess.run(
            [lib.C_CLIENT, self.broker, self.backend if backend is None else backend, task,
             args, kwargs, json.dumps(options or {}), str(timeout)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90)
        self.assertIsNone(lib.SANITIZER.search(run.stderr.decode()), run.stderr.decode())
        return [json.loads(line) for line in run.stdout.splitlines()], run

    def one(self, *args, **kwargs):
        lines, run = self.run_client(*args, **kwargs)
        self.assertEqual(len(lines), 1, run.stderr)
        return lines[0]

    def result(self, *args, **kwargs):
        got = self.one(*args, **kwargs)
        self.assertIsNone(got['error'])
        self.assertEqual(got['state'], 'SUCCESS')
        return got['document']['result']

    def test_value(self):
        self.assertEqual(self.result('t.add', '[2, 3]'), 5)
        self.assertEqual(self.result('t.kw', '[1]', '{"b": 7}'), {'a': 1, 'b': 7})

    def test_json_without_loss(self):
        text = ('[[null, true, 1.0, -0.0, 1e+300, 123456789012345678901234567890, '
                '"\\ud800", "\\u00e4\\u20ac\\ud83d\\ude00", {"b": [], "a": {}}, NaN, '
                'Infinity, -Infinity]]')
        lines, run = self.run_client('t.ident', text)
        self.assertIn('123456789012345678901234567890, "\\ud800"', run.stdout.decode())
        self.assertEqual(repr(lines[0]['document']['result']), repr(json.loads(text)[0]))

    def test_failure(self):
        got = self.one('t.fail')
        self.assertEqual((got['status'], got['state']), ('CELERY_ETASK', 'FAILURE'))
        self.assertIn('KeyError', got['error'])
        self.assertIn('boom', got['error'])
        self.assertIn('Traceback', got['traceback'])

    def test_argument_error(self):
        got = self.one('t.add', '[1]')
        self.assertIn('TypeError', got['error'])

    def test_timeout(self):
        start = time.monotonic()
        got = self.one('t.sleep', '[3]', timeout=1)
        self.assertEqual(got['status'], 'CELERY_ETIMEOUT')
        self.assertLess(time.monotonic() - start, 2.5)
        self.assertIn(got['state'], ('STARTED', 'PENDING'))

    def test_options(self):
        got = self.result('t.request', '[]', '{}', {
            'queue': 'other', 'priority': 3, 'countdown': 0.2, 'expires': 60,
            'headers': {'x_custom': 'mine'}, 'task_id': 'my-own-id'})
        self.assertEqual(
            (got['id'], got['root_id'], got['routing_key'], got['priority'], got['x_custom']),
            ('my-own-id', 'my-own-id', 'other', 3, 'mine'))
        self.assertIsNotNone(got['eta'])
        self.assertIsNotNone(got['expires'])

    def test_countdown(self):
        start = time.time()
        self.result('t.add', '[1, 2]', '{}', {'countdown': 1.2})
        self.assertGreaterEqual(time.time() - start, 1.1)

    def test_expired(self):
        # RabbitMQ drops a message that was not taken until then.
        expires = 3 if lib.BROKER == 'amqp' else 0.2
        got = self.one('t.add', '[1, 2]', '{}', {
            'expires': expires, 'countdown': expires + 0.3})
        self.assertEqual((got['status'], got['state']), ('CELERY_EREVOKED', 'REVOKED'))

    def test_serializers(self):
        for name in ('json', 'msgpack', 'yaml'):
            with self.subTest(name):
                self.assertEqual(self.result('t.ident', '[{"a": [1, null, "ä"]}]', '{}',
                                             {'serializer': name}), {'a': [1, None, 'ä']})

    def test_compression(self):
        methods = ['zlib', 'bzip2', 'lzma']
        from kombu import compression
        methods += [m for m in ('zstd', 'brotli') if m in str(compression.encoders())]
        for name in methods:
            with self.subTest(name):
                self.assertEqual(self.result('t.ident', '["%s"]' % ('y' * 5000), '{}',
                                             {'compression': name}), 'y' * 5000)

    def test_many(self):
        lines, run = self.run_client('t.add', '[1, 1]', '{}', {'many': 200}, 60)
        self.assertEqual([d['document']['result'] for d in lines], [2] * 200)
        self.assertEqual(len({d['id'] for d in lines}), 200)

    @lib.stored_only
    def test_forget(self):
        got = self.one('t.add', '[1, 2]', '{}', {'forget': True})
        self.assertIsNone(lib.document(self.db1, got['id']))

    @lib.stored_only
    def test_ignored(self):
        got = self.one('t.add', '[1, 2]', '{}', {'ignore_result': True}, timeout=1)
        document = lib.document(self.db1, got['id'])
        # Python of that age stores STARTED for the task's own setting
        self.assertTrue(document is None or '"STARTED"' in document, document)

    def test_time_limit(self):
        got = self.one('t.sleep', '[20]', '{}', {'time_limit': 1})
        self.assertIn('TimeLimitExceeded', got['error'])

    def test_no_backend(self):
        lines, run = self.run_client('t.add', '[1, 2]', timeout=0, backend='')
        self.assertEqual(run.returncode, 0)
        self.assertEqual(len(lines), 1)

    def test_priorities_come_first(self):
        for priority in (3, 9, 0):
            self.run_client('t.noop', options={'queue': 'ranked', 'priority': priority}, timeout=0)
        sent = [self.queues.take('ranked')['properties']['priority'] for _ in range(3)]
        # RabbitMQ: a queue without x-max-priority; Redis: a list for each step, 0 first.
        self.assertEqual(sent, [3, 9, 0] if lib.BROKER == 'amqp' else [0, 3, 9])

    def test_the_message_is_what_python_sends(self):
        """Key for key, but for ids, times and names of processes."""
        args, kwargs = '[1, "x"]', '{"k": null}'
        options = {'queue': 'nobody', 'priority': 2}
        self.run_client('t.add', args, kwargs, options, timeout=0)
        c = self.queues.take('nobody')
        self.app.send_task('t.add', tuple(json.loads(args)), json.loads(kwargs), queue='nobody',
                           priority=2)
        p = self.queues.take('nobody')
        self.assertEqual(list(c), list(p))
        for part in ('headers', 'properties'):
            missing = [k for k in p[part] if k not in c[part]]
            self.assertEqual(missing, [], part)
            for key, value in p[part].items():
                if key not in ('id', 'root_id', 'origin', 'correlation_id', 'reply_to',
                               'delivery_tag', 'lang'):
                    if key == 'ignore_result':  # null since 5.7, then the task's own counts
                        self.assertIn((c[part][key], value), ((None, None), (None, False)))
                        continue
                    self.assertEqual(c[part][key], value, key)
        self.assertEqual((c['body'], c['content-type'], c['content-encoding']),
                         (p['body'], p['content-type'], p['content-encoding']))


class OfOurOwn(Client):
    """The same against the worker under test."""
    kind = lib.KIND


class Unreachable(unittest.TestCase):
    def test_one_clear_line(self):
        if not lib.C_CLIENT:
            self.skipTest('cclient is not built in %s' % lib.BUILD)
        run = subprocess.run([lib.C_CLIENT, 'redis://:s3cret@127.0.0.1:%d/0' % lib.free_port(),
                              '', 't.add'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=60, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertIn('CELERY_ECONNECT', run.stderr)
        self.assertNotIn('s3cret', run.stderr)


if __name__ == '__main__':
    lib.main()
