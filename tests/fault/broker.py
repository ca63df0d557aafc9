#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The broker and the result store go away in every way and come back; the worker consumes
again within seconds, and no message is acknowledged before its result is stored."""

import json
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402
from test_poison import encode, good  # noqa: E402

C = lib.KIND == 'c'
LATE = {'task_acks_late': True}


class Broker(lib.Case):
    worker_options = {'conf': LATE}

    def consumes_again(self, within, what):
        # Not with Celery's client: what it needs to recover is not the question.
        message = good('t.add', (20, 22))
        key = 'celery-task-meta-' + message['headers']['id']
        db0, db1 = self.redis.client(0), self.redis.client(1)
        start = time.monotonic()
        db0.lpush('celery', encode(message))
        doc = lib.wait_for('%s: the next task runs' % what, lambda: db1.get(key),
                           within * lib.PATIENCE)
        print('  %s: consumes again after %.2f s' % (what, time.monotonic() - start))
        self.assertEqual(json.loads(doc)['result'], 42)
        self.assertIsNone(self.worker.process.poll())

    def kill_clients(self):
        for c in self.db0.client_list():
            if c.get('addr', '').startswith('127.0.0.1'):
                try:
                    self.db0.client_kill_filter(_id=c['id'])
                except Exception:
                    pass

    def test_killed_connections(self):
        for i in range(10):
            self.kill_clients()
            time.sleep(0.05 * i)
        self.consumes_again(10, '10 x CLIENT KILL')

    @unittest.skipUnless(C, 'Python loses messages, or consumes no more, after it')
    def test_killed_connections_under_load(self):
        sent = []
        for i in range(400):
            message = good('t.add', (i, 0))
            sent.append((i, 'celery-task-meta-' + message['headers']['id']))
            self.db0.lpush('celery', encode(message))
            if i % 50 == 25:
                self.kill_clients()
        for i, key in sent:
            doc = lib.wait_for('task %d of 400' % i, lambda: self.db1.get(key), 60)
            self.assertEqual(json.loads(doc)['result'], i)
        lib.wait_for('settled', lambda: not self.db0.hlen('unacked'), 50)

    def test_restarted_broker(self):
        self.redis.stop()
        time.sleep(2)
        self.redis.start()
        self.consumes_again(15, 'restart')

    def test_stopped_broker(self):
        seconds = 5 if lib.QUICK or not C else 30
        self.redis.pause()
        time.sleep(seconds)
        self.redis.resume()
        self.consumes_again(15, 'SIGSTOP for %d s' % seconds)

    def test_sleeping_broker(self):
        t = threading.Thread(target=self.db0.execute_command, args=('DEBUG', 'SLEEP', '6'))
        t.start()
        t.join()
        self.consumes_again(15, 'DEBUG SLEEP 6')

    def test_full_broker_gives_errors_not_exits(self):
        self.db0.config_set('maxmemory', '1')
        time.sleep(2)
        self.db0.config_set('maxmemory', '0')
        self.consumes_again(15, 'out of memory for 2 s')

    def test_read_only_broker(self):
        self.db0.execute_command('REPLICAOF', '127.0.0.1', str(lib.free_port()))
        time.sleep(2)
        self.db0.execute_command('REPLICAOF', 'NO', 'ONE')
        self.consumes_again(15, 'read-only for 2 s')


class Backend(lib.Case):
    """Results on a server of their own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.store = lib.Redis()
        cls.addClassCleanup(cls.store.stop)
        cls.backend = cls.store.url(0)
        cls.app = lib.celery_app(cls.broker, cls.backend)
        # The producer has to get on while the store is away.
        cls.sender = lib.celery_app(cls.broker, None)

    @unittest.skipUnless(C, 'Python acknowledges and loses the result')
    def test_no_acknowledgement_before_the_result_is_stored(self):
        for pool in ('prefork', 'threads', 'solo'):
            with self.subTest(pool):
                w = self.start(conf=LATE, pool=pool, concurrency=2, name=pool)
                path = lib.tmpname('.ran')
                sent = [self.app.send_task('t.count', (path, str(i))) for i in range(50)]
                db = self.store.client(0)
                lib.wait_for('the first 50 results', lambda: sum(
                    db.exists('celery-task-meta-' + r.id) for r in sent) == 50, 40)
                self.store.stop()
                sent = [self.sender.send_task('t.count', (path, 'x%d' % i), queue='celery')
                        for i in range(50)]
                time.sleep(3)
                waiting = self.db0.llen('celery') + self.db0.hlen('unacked')
                self.assertEqual(waiting, 50, 'acknowledged without a stored result')
                self.assertIsNone(w.process.poll())
                self.store.start()
                db = self.store.client(0)
                lib.wait_for('results are stored', lambda: sum(
                    db.exists('celery-task-meta-' + r.id) for r in sent) == 50, 40)
                lib.wait_for('settled', lambda: not self.db0.hlen('unacked'), 20)
                with open(path) as f:
                    ran = f.read().split()
                self.assertEqual(len(set(ran)), 100)
                self.assertEqual(w.stop(), 0)

    def answers(self):
        """A task's result arrives in the store; asked there, not through Celery's client."""
        message = good('t.add', (1, 2))
        key, db = 'celery-task-meta-' + message['headers']['id'], self.store.client(0)
        self.db0.lpush('celery', encode(message))
        doc = lib.wait_for('the result', lambda: db.get(key), 20 * lib.PATIENCE)
        self.assertEqual(json.loads(doc)['result'], 3)

    def test_store_that_returns(self):
        w = self.start()
        self.answers()
        self.store.stop()
        time.sleep(1)
        self.store.start()
        self.answers()
        w.stop()

    def test_stopped_store(self):
        w = self.start(conf=LATE)
        self.store.pause()
        r = self.sender.send_task('t.add', (1, 2), ignore_result=False)
        time.sleep(3)
        if C:
            self.assertEqual(self.db0.hlen('unacked') + self.db0.llen('celery'), 1)
        self.store.resume()
        db = self.store.client(0)
        text = lib.wait_for('result', lambda: db.get('celery-task-meta-' + r.id), 60)
        self.assertEqual(json.loads(text)['result'], 3)
        w.stop()

    @unittest.skipUnless(C, 'Python waits for the store with every task')
    def test_slow_store_holds_tasks_back_until_it_stores_again(self):
        for pool in ('prefork', 'solo'):
            with self.subTest(pool):
                w = self.start(pool=pool, concurrency=2, name=pool)
                self.answers()
                self.store.pause()
                sent = [good('t.add', (1, i)) for i in range(800)]
                self.db0.lpush('celery', *map(encode, sent))
                seen = []

                def waits():
                    seen.append(self.db0.llen('celery') + self.db0.hlen('unacked'))
                    time.sleep(0.3)
                    return seen[-1] < 800 and seen[-4:] == seen[-1:] * 4

                lib.wait_for('no more tasks are begun', waits, 40)
                self.assertGreater(seen[-1], 0)
                self.store.resume()
                keys = ['celery-task-meta-' + m['headers']['id'] for m in sent]
                db = self.store.client(0)
                lib.wait_for('all results', lambda: db.exists(*keys) == 800, 40)
                self.assertEqual(w.stop(), 0)


if __name__ == '__main__':
    lib.main()
