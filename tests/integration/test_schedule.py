#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""When a worker takes messages and when it runs them: prefetch, ETA, rates, limits, size."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402


class Prefetch(lib.Case):
    def waiting(self):
        return self.db0.llen('celery')

    def one_by_one(self, task, held, **kwargs):
        """Never more than two of eight are taken while two slots are busy."""
        w = self.start(concurrency=2, conf={'worker_disable_prefetch': True}, **kwargs)
        results = [self.app.send_task(task, (0.4,)) for _ in range(8)]
        lib.wait_for('two taken', lambda: self.waiting() == 6)
        time.sleep(0.2)
        self.assertEqual(self.waiting(), 6)
        self.assertEqual(self.db0.hlen('unacked'), held)
        for r in results:
            r.get(timeout=20)
        # What ends without running gives its place back.
        for _ in range(5):
            self.app.send_task('t.add', (1, 2), expires=-1)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        w.stop()

    def test_disabled_early(self):
        self.one_by_one('t.sleep', 0)

    def test_disabled_late(self):
        self.one_by_one('t.sleep_late', 2)

    def test_disabled_threads(self):
        self.one_by_one('t.sleep', 0, pool='threads')

    def test_disabled_by_option(self):
        w = self.start('--disable-prefetch', concurrency=1)
        results = [self.app.send_task('t.sleep', (0.4,)) for _ in range(3)]
        lib.wait_for('one taken', lambda: self.waiting() == 2)
        time.sleep(0.2)
        self.assertEqual(self.waiting(), 2)
        for r in results:
            r.get(timeout=20)
        w.stop()

    def test_the_usual_prefetch(self):
        w = self.start(concurrency=1, conf={'worker_prefetch_multiplier': 2})
        results = [self.app.send_task('t.sleep_late', (0.4,)) for _ in range(4)]
        lib.wait_for('two taken', lambda: self.waiting() == 2)
        time.sleep(0.2)
        self.assertEqual(self.waiting(), 2)
        for r in results:
            r.get(timeout=20)
        w.stop()


class Autoscale(lib.Case):
    def grow_and_shrink(self, pool):
        """From one to three slots while there is work, and back when it is done."""
        w = self.start('--autoscale=3,1', pool=pool, env={'AUTOSCALE_KEEPALIVE': '1'},
                       name='scale-' + pool)
        self.assertIn('concurrency: {min=1, max=3} (%s)' % pool, w.output())
        slots = self.slots_of(w, pool)
        self.assertEqual(slots(), 1)
        start = time.time()
        results = [self.app.send_task('t.sleep', (1,)) for _ in range(3)]
        lib.wait_for('three slots', lambda: slots() == 3)
        for r in results:
            r.get(timeout=20)
        self.assertLess(time.time() - start, 1.9)
        self.assertEqual(sum(int(n) for n in re.findall(r'Scaling up (\d) proc', w.output())),
                         2)
        lib.wait_for('one slot', lambda: slots() == 1, 10)
        w.wait_output('Scaling down 2 processes.')
        self.assertEqual(self.call('t.add', 1, 2), 3)
        # It grows again, and prefetch is as for three all the time.
        results = [self.app.send_task('t.sleep_late', (0.5,)) for _ in range(20)]
        lib.wait_for('prefetch', lambda: self.db0.hlen('unacked') == 12)
        lib.wait_for('three slots', lambda: slots() == 3)
        for r in results:
            r.get(timeout=20)
        self.assertEqual(w.stop(), 0)

    def slots_of(self, w, pool):
        if pool == 'threads':
            # The loop has one of its own.
            return lambda: len(os.listdir('/proc/%d/task' % w.pid)) - 1
        # The fork server is one, too.
        return lambda: len(w.children()) - 1

    def test_prefork(self):
        self.grow_and_shrink('prefork')

    def test_threads(self):
        self.grow_and_shrink('threads')

    def test_solo_says_that_it_cannot(self):
        w = self.start('--autoscale=3,1', pool='solo')
        self.assertIn('--autoscale is of no effect with the solo pool', w.output())
        self.assertIn('concurrency: 1 (solo)', w.output())
        self.assertEqual(self.call('t.add', 1, 2), 3)
        w.stop()

    def test_other_autoscalers_are_refused(self):
        w = self.start(conf={'worker_autoscaler': 'mine:Scaler'}, wait=False)
        self.assertEqual(w.wait(), 1)
        self.assertIn('worker_autoscaler: mine:Scaler is none of', w.output())


if __name__ == '__main__':
    lib.main()
