#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Messages as Python producers send them: serializers, compression, protocol 1, typed
values, priorities, eta, queues."""

import datetime
import decimal
import json
import os
import time
import unittest
import uuid

import lib
from kombu import compression

ALL = ['json', 'yaml', 'msgpack']


class Messages(lib.Case):
    worker_options = {'conf': {'accept_content': ALL, 'worker_prefetch_multiplier': 4},
                      'queues': 'celery,other'}

    def test_serializers(self):
        value = {'n': None, 'b': [True, False], 'i': [-1, 0, 2 ** 40], 'f': 1.5,
                 's': 'ä€😀', 'l': [[], {}]}
        for serializer in ALL:
            with self.subTest(serializer):
                self.assertEqual(self.call('t.ident', value, serializer=serializer), value)
                self.assertEqual(self.call('t.add', 2, 3, serializer=serializer), 5)
                self.assertEqual(
                    self.call('t.kw', kwargs={'a': 1, 'b': 3}, serializer=serializer),
                    {'a': 1, 'b': 3})

    def test_compression(self):
        tried = 0
        for method in ('zlib', 'gzip', 'bzip2', 'lzma', 'xz', 'zstd', 'brotli'):
            try:
                compression.get_encoder(method)
                compression.compress(b'x', method)
            except (KeyError, ImportError):
                continue
            with self.subTest(method):
                tried += 1
                text = 'compress me ' * 2000
                self.assertEqual(self.call('t.ident', text, compression=method), text)
        self.assertGreaterEqual(tried, 2)

    def test_compression_of_other_serializers(self):
        self.assertEqual(
            self.call('t.add', 2, 3, serializer='msgpack', compression='zlib'), 5)

    def test_protocol_1(self):
        app = lib.celery_app(self.broker, self.backend, task_protocol=1)
        self.addCleanup(app.close)
        self.assertEqual(app.send_task('t.add', (2, 3)).get(timeout=20), 5)
        self.assertEqual(app.send_task('t.kw', (), {'a': 7}).get(timeout=20),
                         {'a': 7, 'b': 2})
        r = app.send_task('t.request', countdown=0.2)
        got = r.get(timeout=20)
        self.assertEqual((got['id'], got['retries']), (r.id, 0))
        self.assertIsNotNone(got['eta'])
        with self.assertRaises(KeyError):
            app.send_task('t.fail').get(timeout=20)
        self.assertEqual(app.send_task('t.retry', (2,)).get(timeout=20), 2)

    def test_body_without_base64(self):
        app = lib.celery_app(self.broker, self.backend,
                             broker_transport_options={'body_encoding': None})
        self.addCleanup(app.close)
        self.assertEqual(app.send_task('t.add', (2, 3)).get(timeout=20), 5)

    def test_only_task_and_id(self):
        """Every other header may be absent."""
        message = self.raw('t.add', (4, 5))
        message['headers'] = {k: message['headers'][k] for k in ('task', 'id')}
        self.queues.put('celery', message)
        got = self.app.AsyncResult(message['headers']['id']).get(timeout=20)
        self.assertEqual(got, 9)

    def raw(self, name, args=(), **options):
        r = self.app.send_task(name, args, queue='nobody', **options)
        raw = self.queues.take('nobody')
        self.assertIsNotNone(raw)
        text = json.dumps(raw).replace('"nobody"', '"celery"')
        return json.loads(text.replace(r.id, str(uuid.uuid4())))

    def test_typed_values(self):
        if lib.celery_version() < (5, 3):
            self.skipTest('typed JSON values came with 5.3')
        values = [datetime.datetime(2026, 11, 22, 13, 5, 6, 789),
                  datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc),
                  datetime.date(2026, 1, 2), datetime.time(3, 4, 5),
                  decimal.Decimal('3.1400'), uuid.uuid4(), b'text', b'\xff\x00\xfe', b'']
        for value in values:
            self.assertEqual(self.call('t.ident', value), value)
        self.assertEqual(self.call('t.ident', {'all': values}), {'all': values})
        self.assertEqual(self.call('t.bytes', 256), bytes(range(256)))

    def test_countdown(self):
        start = time.time()
        r = self.app.send_task('t.add', (1, 2), countdown=3)
        quick = self.app.send_task('t.add', (3, 4))
        self.assertEqual(quick.get(timeout=20), 7)
        self.assertFalse(r.ready())
        self.assertEqual(r.get(timeout=20), 3)
        self.assertGreaterEqual(time.time() - start, 2.95)

    def test_eta_with_zone(self):
        zone = datetime.timezone(datetime.timedelta(hours=2))
        start = time.time()
        eta = datetime.datetime.now(zone) + datetime.timedelta(seconds=1)
        self.assertEqual(self.app.send_task('t.add', (1, 2), eta=eta).get(timeout=20), 3)
        self.assertGreaterEqual(time.time() - start, 0.95)
        if lib.KIND == 'c':
            self.assertLess(time.time() - start, 1 + 0.5 * lib.PATIENCE)

    def test_expires_after_run_is_no_matter(self):
        self.assertEqual(self.call('t.add', 1, 2, expires=60), 3)

    def test_expires_while_waiting_for_eta(self):
        # RabbitMQ drops a message that was not taken until then.
        expires = 3 if lib.BROKER == 'amqp' else 1
        r = self.app.send_task('t.add', (1, 2), countdown=expires + 0.5, expires=expires)
        self.wait_state(r, 'REVOKED')

    def test_other_queue_and_routing_key(self):
        self.assertEqual(self.call('t.add', 1, 2, queue='other'), 3)
        self.assertEqual(self.call('t.request', queue='other')['routing_key'], 'other')

    def test_large_body(self):
        text = 'x' * (3 << 20)
        self.assertEqual(self.call('t.ident', text, timeout=60), text)

    def test_shadow_is_only_a_name_in_logs(self):
        r = self.app.send_task('t.add', (1, 2), shadow='dressed-up')
        self.assertEqual(r.get(timeout=20), 3)
        self.worker.wait_output('dressed-up[%s] received' % r.id)

    def test_concurrent_clients(self):
        results = [self.app.send_task('t.add', (i, 1)) for i in range(300)]
        self.assertEqual([r.get(timeout=60) for r in results], list(range(1, 301)))


class Refused(lib.Case):
    worker_options = {}

    def test_pickle(self):
        app = lib.celery_app(self.broker, self.backend, task_serializer='pickle',
                             accept_content=['json', 'pickle'])
        self.addCleanup(app.close)
        r = app.send_task('t.add', (1, 2))
        if lib.KIND == 'c':
            with self.assertRaises(Exception):
                r.get(timeout=20)
            self.assertEqual(r.state, 'FAILURE')
            self.assertIn('pickle', str(r.result))
            lib.wait_for('pickle is kept',
                         lambda: self.queues.has('celery.celery-c.dead', r.id), 10)
            self.assertRegex(self.worker.output(), r'(?i)pickle.*(serializer|json)')
        else:
            self.worker.wait_output('pickle', 20)
        self.assertEqual(self.call('t.add', 1, 2), 3)

    def test_not_accepted_serializer(self):
        self.app.send_task('t.add', (1, 2), serializer='msgpack')
        self.assertEqual(self.call('t.add', 1, 2), 3)


class OtherResults(lib.Case):
    """The result in the serializer of result_serializer."""

    def test_result_serializers(self):
        for serializer in ('msgpack', 'yaml'):
            conf = {'result_serializer': serializer, 'accept_content': ALL}
            w = self.start(conf=conf, name=serializer)
            app = lib.celery_app(self.broker, self.backend, **conf)
            with self.subTest(serializer):
                self.assertEqual(app.send_task('t.add', (1, 2)).get(timeout=20), 3)
                self.assertEqual(app.send_task('t.ident', ({'ä': [None, 1.5]},)).get(timeout=20),
                                 {'ä': [None, 1.5]})
                with self.assertRaises(KeyError):
                    app.send_task('t.fail').get(timeout=20)
            app.close()
            w.stop()


class Order(lib.Case):
    results = ('redis',)

    def order(self, results):
        done = [(r.get(timeout=30), json.loads(lib.document(self.db1, r.id))['date_done'])
                for r in results]
        return [name for name, date in sorted(done, key=lambda d: d[1])]

    @lib.redis_only
    def test_priorities_before_age(self):
        sent = [self.app.send_task('t.ident', (p,), priority=p) for p in (9, 6, 3, 0, 9, 0)]
        self.start(concurrency=1, pool='solo')
        self.assertEqual(self.order(sent), [0, 0, 3, 6, 9, 9])

    def test_first_in_first_out(self):
        sent = [self.app.send_task('t.ident', (i,)) for i in range(40)]
        self.start(concurrency=1)
        self.assertEqual(self.order(sent), list(range(40)))

    @lib.redis_only
    def test_priority_steps_option(self):
        options = {'priority_steps': [0, 5], 'sep': ':'}
        app = lib.celery_app(self.broker, self.backend, broker_transport_options=options)
        self.addCleanup(app.close)
        r = app.send_task('t.add', (1, 2), priority=7)
        self.assertEqual(self.db0.llen('celery:5'), 1)
        self.start(conf={'broker_transport_options': options})
        self.assertEqual(r.get(timeout=20), 3)


if __name__ == '__main__':
    lib.main()
