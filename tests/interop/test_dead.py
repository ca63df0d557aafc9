#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""celery-c dead: what a worker parked is listed, shown, replayed and purged."""

import json
import os
import subprocess
import time
import unittest

import lib
from brokers import encode
from test_poison import DEAD, good, other_type, with_body

EVIL = 'a\r\n[2026-01-01 00:00:00,000: CRITICAL/MainProcess] FORGED\x1b[31m'


def dead(broker, *args, env=None, stdin='', **kwargs):
    """Exit code, output, errors of celery-c dead."""
    environ = lib.env_of_workers()
    environ.update(env or {})
    argv = [lib.CELERY_C] + (['-b', broker] if broker else []) + ['dead', *args]
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ,
                       input=stdin.encode(), timeout=30 * lib.PATIENCE, **kwargs)
    return p.returncode, p.stdout, p.stderr


@unittest.skipUnless(lib.KIND == 'c', 'Python parks nothing')
class Dead(lib.Case):
    results = ('redis',)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if lib.BROKER == 'amqp':
            cls.queues.declare('celery')
            cls.queues.declare(DEAD, {'x-max-length': 10000})

    def setUp(self):
        self.queues.clear()
        self.db1.flushdb()

    def dead(self, *args, code=0, **kwargs):
        got, out, err = dead(self.broker, *args, **kwargs)
        self.assertEqual(got, code, (out + err).decode())
        text = (out if code == 0 else err).decode()
        for c in text:
            self.assertTrue(c == '\n' or ord(c) >= 32, repr(text))
        return text

    def entries(self, *args):
        return [json.loads(line) for line in self.dead('list', '--json', *args).splitlines()]

    def park(self, *messages):
        for m in messages:
            before = self.queues.parked()
            self.queues.send('celery', m)
            lib.wait_for('%.60r is parked' % m, lambda: self.queues.parked() == before + 1)

    def plant(self, message, reason='r', at=1.5):
        """As a worker parks it."""
        if lib.BROKER == 'redis':
            head = {'reason': reason, 'time': at, 'queue': 'celery'}
            self.db0.lpush(DEAD, encode(head) + b'\n' + encode(message))
            return
        if not isinstance(message, dict):
            message = dict(with_body(encode(message)), headers={})
        message['headers'].update({'x-celery-c-dead-reason': reason,
                                   'x-celery-c-dead-time': at,
                                   'x-celery-c-dead-queue': 'celery'})
        self.queues.send(DEAD, message)

    def test_all_kinds_are_listed_shown_and_purged(self):
        undecodable = with_body('[[], {}, {')  # acknowledged early, before it is decoded
        pickle = other_type('application/x-python-serialize')
        unknown = good('no.such.task')
        evil = good('no.such.task', id=EVIL, root_id=EVIL)
        kinds = [b'\xff\xfe\x00\x01', 'no JSON', '42', undecodable, pickle, unknown, evil]
        w = self.start(concurrency=1)
        self.park(*kinds)
        w.stop()
        entries = self.entries()
        self.assertEqual([e['index'] for e in entries], list(range(len(kinds)))[::-1])
        entries.reverse()
        for message, e in zip(kinds, entries):
            raw = self.queues.raw(message)
            self.assertEqual(e['queue'], 'celery')
            self.assertLess(abs(e['time'] - time.time()), 600)
            self.assertTrue(e['reason'])
            self.assertEqual(e['size'], len(raw))
            shown = json.loads(self.dead('show', str(e['index']), '--json'))
            self.assertEqual(shown['message'].encode('latin-1'), raw)
            code, out, _ = dead(self.broker, 'show', str(e['index']), '--raw')
            self.assertEqual((code, out), (0, raw))
            self.dead('show', str(e['index']))
            if isinstance(message, dict):
                self.assertEqual(e['task'], message['headers']['task'])
        for message, e in zip(kinds[3:6], entries[3:6]):
            self.assertEqual(e['id'], message['headers']['id'])
            doc = json.loads(lib.document(self.db1, e['id']))
            self.assertEqual(doc['status'], 'FAILURE')
            shown = json.loads(self.dead('show', e['id'], '--json'))
            self.assertEqual(shown['index'], e['index'])
        self.assertEqual(entries[6]['id'].count('\\x'), 3)
        table = self.dead('list').splitlines()
        self.assertEqual(len(table), 1 + len(kinds))
        self.assertEqual(len({line.find('2026' if i else 'TIME')
                              for i, line in enumerate(table)}), 1, table)
        self.assertEqual(self.dead('purge', '2', '-f'), '1 removed\n')
        self.assertEqual(self.dead('purge', unknown['headers']['id'], '--force'),
                         '1 removed\n')
        left = self.entries()
        self.assertEqual([e['size'] for e in left[::-1]],
                         [len(self.queues.raw(k)) for k in kinds if k not in ('42', unknown)])
        self.assertRegex(self.dead('queues'), 'celery +5')
        self.assertEqual(self.dead('purge', '--all', '-f'), '5 removed\n')
        self.assertEqual(self.entries(), [])
        self.assertEqual(self.dead('list'), 'no dead letters in queue celery\n')
        self.assertEqual(self.dead('queues'), 'no dead letters\n')

    def test_replay_runs_what_was_not_registered(self):
        late = [good('t.late', (n, 1)) for n in range(3)]
        w = self.start(concurrency=1)
        self.park(*late)
        w.stop()
        self.assertEqual(self.dead('replay', late[1]['headers']['id']), '1 replayed\n')
        raw = [self.queues.raw(m) for m in late]
        self.assertEqual(self.queues.peek('celery'), raw[1:2])
        other = good()
        self.queues.send('celery', other)
        self.assertEqual(self.dead('replay', '--all'), '2 replayed\n')
        other = self.queues.raw(other)
        # On Redis it comes before what waits; AMQP has only the other end.
        self.assertEqual(self.queues.peek('celery'), [raw[0], raw[2], raw[1], other]
                         if lib.BROKER == 'redis' else [raw[1], other, raw[0], raw[2]])
        self.assertEqual(self.queues.parked(), 0)
        self.start(concurrency=1, name='w2', env={'INTEROP_LATE': '1'})
        for n, m in enumerate(late):
            doc = lib.wait_for('the replayed task ran', lambda i=m['headers']['id']: [
                d for d in [json.loads(lib.document(self.db1, i) or '{}')]
                if d.get('status') == 'SUCCESS'])
            self.assertEqual(doc[0]['result'], n + 1)
        self.assertEqual(self.queues.parked(), 0)
        lib.wait_for('all is settled', lambda: self.queues.held() == 0)

    def test_replay_of_what_is_no_better_parks_it_again(self):
        self.start(concurrency=1)
        self.park('no JSON')
        first = self.entries()[0]
        self.assertEqual(self.dead('replay', '0'), '1 replayed\n')
        lib.wait_for('it is parked again', lambda: [
            e for e in self.entries() if e['time'] > first['time']])
        self.assertEqual(len(self.entries()), 1)

    @lib.redis_only
    def test_prefix_priority_and_queue(self):
        conf = {'broker_transport_options': {'global_keyprefix': '{p}*'},
                'task_default_queue': 'q'}
        path = lib.tmpname('.json')
        with open(path, 'w') as f:
            json.dump(conf, f)
        m = good('no.such.task')
        m['properties']['priority'] = 7
        w = self.start(concurrency=1, conf=conf)
        self.db0.lpush('{p}*q', encode(m))
        lib.wait_for('it is parked', lambda: self.db0.llen('{p}*q.celery-c.dead'))
        w.stop()
        self.db0.lpush('{p}xq2.celery-c.dead', 'not of this prefix')
        self.assertEqual(self.dead('queues', '--config', path).split()[2:], ['q', '1'])
        self.assertEqual(len(self.entries('--config', path)), 1)
        self.assertEqual(self.dead('replay', '0', '-Qq', '--config', path), '1 replayed\n')
        self.assertEqual(self.db0.lrange('{p}*q\x06\x166', 0, -1), [encode(m)])

    def test_many(self):
        for i in range(500):
            self.plant(good(args=[i], id='id-%d' % i), at=1.7e9 + i + .5)
        entries = self.entries()
        self.assertEqual([e['id'] for e in entries], ['id-%d' % i for i in range(499, -1, -1)])
        self.dead('show', 'id-123')
        self.assertEqual(self.dead('replay', '--all'), '500 replayed\n')
        ids = [m['headers']['id'] for m in iter(lambda: self.queues.take('celery'), None)]
        self.assertEqual(ids, ['id-%d' % i for i in range(500)])

    def test_what_is_too_large_to_show_is_still_replayed(self):
        raw = b'x' * (40 << 20)
        self.plant(raw, 'too large', 1.7e9)
        e = self.entries()[0]
        self.assertEqual((e['reason'], e['size']), ('too large', len(raw)))
        if lib.BROKER == 'redis':  # on RabbitMQ all of it is there anyhow
            self.assertIn('over 32 MiB', self.dead('show', '0', '--raw', code=1))
        self.assertEqual(self.dead('replay', '0'), '1 replayed\n')
        self.assertEqual(self.queues.parked(), 0)
        self.assertEqual(self.queues.peek('celery'), [raw])

    def test_broker_from_the_environment(self):
        self.plant('x')
        code, out, err = dead(None, 'list', '--json', env={'CELERY_BROKER_URL': self.broker})
        self.assertEqual((code, len(out.splitlines())), (0, 1), err)


@unittest.skipUnless(lib.KIND == 'c', 'celery-c only')
class WrongInput(lib.Case):
    results = ('redis',)

    def line(self, code, *args, broker=None, **kwargs):
        """One clear line behind the usage; the exit code."""
        got, out, err = dead(broker or self.broker, *args, **kwargs)
        self.assertEqual(got, code, (args, out, err))
        lines = [l for l in err.decode().splitlines() if l.startswith('Error: ')]
        self.assertEqual(len(lines), 1, err)
        self.assertEqual(out, b'')
        return lines[0]

    def test_wrong_words(self):
        for args in [['frob'], ['list', 'x'], ['show'], ['replay'], ['purge'],
                     ['replay', '1', '--all'], ['show', '--all'], ['list', '--frob'],
                     ['list', '-Q'], ['list', '--json=1'], ['show', '1', '2'],
                     ['purge', '--all'], ['purge', '0']]:
            with self.subTest(args):
                self.line(2, *args)
        self.assertIn('-f', self.line(2, 'purge', '--all'))
        code, out, _ = dead(None, '--help')
        self.assertEqual(code, 0)
        self.assertIn(b'replay', out)
        self.assertEqual(dead(None)[0], 2)

    def test_nothing_of_that_name(self):
        self.assertIn('no dead letter 5', self.line(1, 'show', '5'))
        self.assertIn('id', self.line(1, 'replay', 'no-such-id'))
        self.assertIn('id', self.line(1, 'purge', 'evil\x1b[31m\r\nid', '-f'))
        self.assertNotIn('\x1b', self.line(2, 'list', 'evil\x1b[31m\r\n'))

    @lib.redis_only
    def test_brokers(self):
        gone = 'amqp://u:secret-canary@127.0.0.1:%d//' % lib.free_port()
        self.assertNotIn('secret-canary', self.line(1, 'list', broker=gone))
        self.assertIn('memory', self.line(1, 'list', broker='memory://x'))
        self.line(2, 'list', '--config', '/no/such/file')
        port = lib.free_port()
        for url in ['redis://:secret-canary@127.0.0.1:%d/0' % port,
                    'redis://u:secret-canary@127.0.0.1:%d/0' % self.redis.port,
                    'redis://u:secret-canary@127.0.0.1:%d/zero' % port,
                    'redis://u:secret-canary@127.0.0.1:%dx/0' % port,
                    'nosuch://u:secret-canary@h/0',
                    'redis://u:secret-canary@h:%d/0;amqp://u:secret-canary@h' % port]:
            with self.subTest(url):
                code, out, err = dead(url, 'list')
                self.assertIn(code, (1, 2))
                self.assertNotIn(b'secret-canary', out + err)
                self.assertIn(b'Error: ', err)

    @lib.redis_only
    def test_a_broker_that_does_not_answer(self):
        self.redis.pause()
        try:
            start = time.monotonic()
            self.line(1, 'list')
            self.assertLess(time.monotonic() - start, 25)
        finally:
            self.redis.resume()


if __name__ == '__main__':
    lib.main()
