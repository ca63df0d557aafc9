#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A task that takes the whole worker along, in pools that cannot keep it apart: its message is
parked after the redelivery budget, its neighbours are not, and everything else runs."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402
from restarts import Restarts  # noqa: E402

DEAD = 'celery.celery-c.dead'


@unittest.skipUnless(lib.KIND == 'c', 'Python runs it again and again')
class Budget(Restarts, lib.Case):
    def setUp(self):
        self.db0.flushdb()
        self.db1.flushdb()

    def start_one(self, turn, pool, **conf):
        return self.start(pool=pool, concurrency=1 if pool == 'solo' else 3, wait=False,
                          name='%s%d' % (pool, turn), conf=dict(worker_lease_seconds=1, **conf))

    def parked_after(self, pool, budget, **conf):
        path = lib.tmpname('.starts')
        bad = self.app.send_task('t.abort_late', (path,))
        good = self.app.send_task('t.sleep_late', (0.01,))
        beside = [self.app.send_task('t.mark', (lib.tmpname('.mark'), 0.5)) for _ in range(4)]
        deaths, w = self.restart_until(lambda: self.db0.llen(DEAD) and good.ready(), pool,
                                       **conf)
        # The first delivery costs nothing and is not counted.
        self.assertEqual(self.starts(path), budget + 1)
        self.assertEqual(deaths, budget + 1)
        self.assertEqual(good.get(timeout=10), 0.01)
        for r in beside:
            r.get(timeout=20)
        doc = json.loads(lib.document(self.db1, bad.id))
        self.assertEqual(doc['status'], 'FAILURE')
        self.assertEqual(doc['result']['exc_type'], 'WorkerLostError')
        self.assertEqual(doc['result']['exc_module'], 'billiard.exceptions')
        self.assertEqual(self.db0.llen(DEAD), 1)
        entry = self.db0.lindex(DEAD, 0)
        self.assertIn(bad.id.encode(), entry)
        self.assertIn(b'its task ended %d worker processes' % budget, entry)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        lib.wait_for('settled', lambda: not self.db0.hlen('unacked'), 10)
        w.stop()
        left = [k for k in lib.leftover_keys(self.db0) if k != DEAD]
        self.assertEqual(left, [])

    def test_solo(self):
        self.parked_after('solo', 3)

    def test_threads(self):
        self.parked_after('threads', 3)

    def test_another_budget(self):
        self.parked_after('solo', 1, worker_redelivery_budget=1)

    def test_no_budget(self):
        """0 is Celery's way: it runs as often as there is a worker."""
        path = lib.tmpname('.starts')
        self.app.send_task('t.abort_late', (path,))
        self.restart_until(lambda: self.starts(path) >= 6, 'solo', worker_redelivery_budget=0)
        self.assertEqual(self.db0.llen(DEAD), 0)

    def test_an_end_clears_the_count(self):
        """Killed from outside twice, then left alone: it ends as if nothing had been."""
        path = lib.tmpname('.mark')
        r = self.app.send_task('t.mark', (path, 1.5))
        for turn in range(3):
            w = self.start_one(turn, 'solo')
            lib.wait_for('start %d' % turn, lambda: self.starts(path) > turn, 30)
            w.kill9()
        w = self.start_one(9, 'solo')
        r.get(timeout=30)
        self.assertEqual(self.starts(path), 4)
        lib.wait_for('settled', lambda: not self.db0.hlen('unacked'), 10)
        w.stop()
        self.assertEqual(lib.leftover_keys(self.db0), [])


if __name__ == '__main__':
    lib.main()
