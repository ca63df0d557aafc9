#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Steps that an idle worker runs without the broker: which do, which do not, and that none is
lost or run twice when the worker ends in the middle of a chain."""

import unittest

import lib
from celery import chain

POOLS = ('prefork', 'threads', 'solo')
STEPS = 60


class Direct(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = lib.Redis()
        cls.urls = cls.redis.url(0), cls.redis.url(1)
        cls.app = lib.celery_app(*cls.urls)
        cls.broker, cls.results = cls.redis.client(0), cls.redis.client(1)

    @classmethod
    def tearDownClass(cls):
        cls.app.close()
        cls.redis.stop()

    def setUp(self):
        self.broker.flushall()

    def worker(self, pool, **kwargs):
        self.doCleanups()  # of a part that failed before
        w = lib.Worker(*self.urls, kind='c', pool=pool,
                       concurrency=1 if pool == 'solo' else 2, loglevel='WARNING',
                       wait=False, **kwargs)
        lib.wait_for('a worker answers', lambda: self.app.control.ping(timeout=0.3), 30)
        self.addCleanup(w.stop)
        return w

    def left(self):
        return self.broker.llen('celery') + self.broker.hlen('unacked')

    def ident(self, *args, **options):
        return self.app.signature('t.ident', args=args, options=options)

    def chain(self, n):
        return chain([self.ident(7)] + [self.ident() for _ in range(n - 1)])

    def held(self):
        """How many of the steps of a chain the broker has had."""
        self.broker.config_resetstat()
        self.assertEqual(self.chain(STEPS).apply_async().get(timeout=60), 7)
        return self.broker.info('commandstats').get('cmdstat_hset', {'calls': 0})['calls']

    def test_steps_without_the_broker(self):
        for pool in POOLS:
            with self.subTest(pool=pool):
                w = self.worker(pool)
                self.assertLess(self.held(), STEPS / 2)
                self.assertEqual(w.stop(), 0)

    def test_not_when_acknowledged_late(self):
        self.worker('threads', conf={'task_acks_late': True})
        self.assertGreaterEqual(self.held(), STEPS)

    def test_not_when_told_so(self):
        self.worker('threads', conf={'worker_publish_every_step': True})
        self.assertGreaterEqual(self.held(), STEPS)

    def test_what_waits_comes_first(self):
        first = self.chain(2).apply_async()
        others = [self.ident(i).apply_async() for i in range(6)]
        self.worker('solo')
        self.assertEqual(first.get(timeout=30), 7)
        for other in others:
            other.get(timeout=30)
            self.assertLess(other.date_done, first.date_done)

    def test_revoked_step(self):
        self.worker('prefork')
        last = chain(self.ident(7), self.ident().set(task_id='gone'), self.ident())
        self.app.control.revoke('gone', reply=True, timeout=10, limit=1)
        result = last.apply_async()
        lib.wait_for('the step is revoked', lambda: result.parent.state == 'REVOKED', 30)
        self.assertEqual(result.parent.id, 'gone')
        lib.wait_for('nothing is left', lambda: not self.left(), 10)

    def test_eta_is_kept(self):
        self.worker('threads')
        result = chain(self.ident(7), self.ident().set(countdown=1)).apply_async()
        self.assertEqual(result.get(timeout=30), 7)
        self.assertGreater((result.date_done - result.parent.date_done).total_seconds(), 0.9)

    def test_warm_shutdown_in_a_chain(self):
        for pool in POOLS:
            with self.subTest(pool=pool):
                self.broker.flushall()
                self.shut_down_again_and_again(pool, self.chain(400).apply_async(), 400)

    def shut_down_again_and_again(self, pool, result, n):
        before = -1
        for _ in range(3):
            w = self.worker(pool)
            lib.wait_for('more steps', lambda: self.results.dbsize() > min(
                before + 20, n - 1), 30, pause=0.001)
            self.assertEqual(w.stop(), 0)
            before = self.results.dbsize()
            self.assertEqual(self.left(), 0 if before == n else 1,
                             '%d of %d' % (before, n))
            if before == n:
                break
        w = self.worker(pool)
        self.assertEqual(result.get(timeout=60), 7)
        lib.wait_for('all steps have results', lambda: self.results.dbsize() == n, 10)
        lib.wait_for('nothing is left', lambda: not self.left(), 10)
        self.assertEqual(w.stop(), 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
