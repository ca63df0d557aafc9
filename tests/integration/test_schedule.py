#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""When a worker takes messages and when it runs them: prefetch, ETA, rates, limits, size."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402
from test_poison import encode, good  # noqa: E402


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


class Eta(lib.Case):
    def setUp(self):
        self.db0.flushdb()
        self.db1.flushdb()

    def test_the_rest_stays_with_the_broker(self):
        w = self.start('--prefetch-multiplier', '2', concurrency=1, name='eta',
                       conf={'worker_eta_task_limit': 5})
        later = [self.app.send_task('t.noop', countdown=600 + i) for i in range(40)]
        plain = [self.app.send_task('t.add', (i, 1)) for i in range(10)]
        # Plain tasks behind them run at once, though the window has room for two.
        for i, r in enumerate(plain):
            self.assertEqual(r.get(timeout=10), i + 1)
        self.assertEqual(self.db0.hlen('unacked'), 40)
        self.assertEqual(self.db0.llen('celery'), 0)
        # Of these, five are this worker's: those have a score that a worker is known by.
        lib.wait_for('five held', lambda: self.held() == 5)
        # A nearer one takes the place of the latest, and runs when it is due.
        start = time.time()
        soon = self.app.send_task('t.add', (20, 22), countdown=1)
        self.assertEqual(soon.get(timeout=10), 42)
        self.assertGreater(time.time() - start, 0.95)
        self.assertEqual(w.stop(), 0)
        # What it held is back in the queue; the others are nobody's until they are due.
        self.assertEqual(self.db0.llen('celery') + self.db0.hlen('unacked'), len(later))
        self.assertIn(self.db0.llen('celery'), (4, 5))

    def held(self):
        known = set(self.db0.hkeys('unacked.celery-c.held'))
        return sum(1 for _, score in self.db0.zrange('unacked_index', 0, -1, withscores=True)
                   if b'%d' % score in known and score == int(score))

    def test_all_run_when_they_are_due(self):
        """More than may be held, within the time in which they come back."""
        w = self.start(concurrency=1, name='due', conf={
            'worker_eta_task_limit': 3, 'worker_lease_seconds': 1})
        results = [self.app.send_task('t.noop', countdown=3) for _ in range(20)]
        start = time.time()
        for r in results:
            r.get(timeout=30)
        took = time.time() - start
        print('  20 tasks of three seconds, three held: all ran after %.1f s' % took)
        self.assertGreater(took, 2.5)
        lib.wait_for('settled', lambda: not self.db0.hlen('unacked'), 10)
        self.assertEqual(w.stop(), 0)
        self.assertEqual(lib.leftover_keys(self.db0), [])

    def test_held_ones_are_renewed(self):
        conf = {'broker_transport_options': {'visibility_timeout': 2}}
        ours = self.start(name='ours', conf=conf)
        path = lib.tmpname('.mark')
        r = self.app.send_task('t.mark', (path,), countdown=6)
        ours.wait_output('t.mark[%s] received' % r.id)
        other = self.start(name='other', conf=conf)
        r.get(timeout=20)
        lib.wait_for('settled', lambda: not self.db0.hlen('unacked'), 10)
        self.assertEqual(os.path.getsize(path), 1)
        self.assertNotIn('t.mark', other.output().split('ready.')[1])
        self.assertEqual(ours.output().count('t.mark[%s] received' % r.id), 1)

    def test_what_is_no_time_is_parked(self):
        w = self.start(name='parked')
        for eta in ('tomorrow', '10000-01-01T00:00:00+00:00', '2026-02-30T00:00:00', 17):
            message = good('t.add', (1, 2), eta=eta)
            self.db0.lpush('celery', encode(message))
            lib.wait_for('parked', lambda: self.db0.llen('celery.celery-c.dead') == 1)
            self.db0.delete('celery.celery-c.dead')
            task_id = message['headers']['id']
            lib.wait_for('told', lambda: lib.document(self.db1, task_id))
            self.assertIn('InvalidTaskError', lib.document(self.db1, task_id))
        w.stop()


class Rates(lib.Case):
    def limited(self, task, n, **conf):
        """Starts of n tasks take a fifth of a second each; others pass by."""
        w = self.start('--prefetch-multiplier', '1', concurrency=1, name='rate', conf=conf)
        start = time.time()
        slow = [self.app.send_task(task) for _ in range(n)]
        fast = [self.app.send_task('t.add', (i, 1)) for i in range(10)]
        for r in fast:
            r.get(timeout=10)
        self.assertLess(time.time() - start, 0.2 * (n - 1))
        self.assertFalse(slow[-1].ready())
        for r in slow:
            r.get(timeout=40)
        took = time.time() - start
        lib.wait_for('settled', lambda: not self.db0.hlen('unacked'), 10)
        self.assertEqual(w.stop(), 0)
        return took

    def test_a_number_is_per_second(self):
        self.assertGreater(self.limited('t.rate_s', 8), 1.35)

    def test_per_minute(self):
        self.assertGreater(self.limited('t.rate_m', 8), 1.35)

    def test_more_than_may_be_held(self):
        took = self.limited('t.rate_s', 12, worker_eta_task_limit=3, worker_lease_seconds=1)
        self.assertGreater(took, 2.1)

    def test_the_default_of_all_tasks(self):
        w = self.start(name='default', conf={'task_default_rate_limit': '18000/h'})
        start = time.time()
        for r in [self.app.send_task('t.noop') for _ in range(6)]:
            r.get(timeout=10)
        self.assertGreater(time.time() - start, 0.95)
        # A task's own limit stands, also if it is none.
        start = time.time()
        for r in [self.app.send_task('t.rate_0') for _ in range(20)]:
            r.get(timeout=10)
        self.assertLess(time.time() - start, 2)
        w.stop()

    def test_disabled(self):
        w = self.start(name='off', conf={'worker_disable_rate_limits': True})
        start = time.time()
        for r in [self.app.send_task('t.rate_s') for _ in range(30)]:
            r.get(timeout=10)
        self.assertLess(time.time() - start, 3)
        w.stop()

    def test_a_wrong_default_is_refused(self):
        w = self.start(conf={'task_default_rate_limit': '10/d'}, wait=False)
        self.assertEqual(w.wait(), 1)
        self.assertIn('task_default_rate_limit: 10/d is no rate', w.output())


class Limits(lib.Case):
    worker_options = {'concurrency': 3}

    def run_for(self, **options):
        start = time.time()
        r = self.app.send_task('t.limited', (30,), **options)
        try:
            value = r.get(timeout=20)
        except Exception as exc:
            value = type(exc).__name__
        return value, time.time() - start

    def test_the_registration_counts(self):
        value, took = self.run_for()
        self.assertEqual(value, 'stopped')
        self.assertTrue(0.45 < took < 1.5, took)

    def test_the_header_beats_the_registration(self):
        value, took = self.run_for(soft_time_limit=1.6, time_limit=20)
        self.assertEqual(value, 'stopped')
        self.assertTrue(1.5 < took < 3, took)

    def test_each_limit_on_its_own(self):
        """A soft limit in the header leaves the hard one of the registration."""
        value, took = self.run_for(soft_time_limit=10)
        self.assertEqual(value, 'TimeLimitExceeded')
        self.assertTrue(1.9 < took < 4, took)

    def test_zero_is_no_limit_of_its_own(self):
        value, took = self.run_for(soft_time_limit=0, time_limit=0)
        self.assertEqual(value, 'stopped')
        self.assertTrue(0.45 < took < 1.5, took)


class Autoscale(lib.Case):
    def scaled(self, worker, way):
        said = re.findall(r'Scaling %s (\d) proc' % way, worker.output())
        return sum(int(n) for n in said)

    def grow_and_shrink(self, pool):
        """From one to three slots while there is work, and back when it is done."""
        w = self.start('--autoscale=3,1', pool=pool, env={'AUTOSCALE_KEEPALIVE': '1'},
                       name='scale-' + pool)
        self.assertIn('concurrency: {min=1, max=3} (%s)' % pool, w.output())
        slots = self.slots_of(w, pool)
        self.assertEqual(slots(), 1)
        start = time.time()
        results = [self.app.send_task('t.sleep', (3,)) for _ in range(3)]
        lib.wait_for('three slots', lambda: slots() == 3)
        for r in results:
            r.get(timeout=20)
        # One after another on fewer slots takes six at least; the rest is for the machine.
        self.assertLess(time.time() - start, 6)
        self.assertEqual(self.scaled(w, 'up'), 2)
        lib.wait_for('one slot', lambda: slots() == 1, 10)
        lib.wait_for('so it says', lambda: self.scaled(w, 'down') == 2)
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
