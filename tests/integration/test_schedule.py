#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""When a worker takes messages and when it runs them: prefetch, ETA, rates, limits, size."""

import os
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


if __name__ == '__main__':
    lib.main()
