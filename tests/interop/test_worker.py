#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a worker does with its tasks and messages: limits, retries, rejections, lost
children, shutdown, recycling, a fleet of both kinds."""

import json
import os
import re
import signal
import time
import unittest

import lib

C = lib.KIND == 'c'


class Running(lib.Case):
    worker_options = {'concurrency': 2}

    def test_soft_limit_reaches_the_task(self):
        r = self.app.send_task('t.soft', (20,), soft_time_limit=1)
        self.assertEqual(r.get(timeout=20), 'stopped')
        self.worker.wait_output('Soft time limit (1')

    def test_hard_limit_ends_the_task(self):
        start = time.time()
        r = self.app.send_task('t.sleep', (20,), time_limit=1)
        self.wait_state(r, 'FAILURE')
        self.assertLess(time.time() - start, 8 * lib.PATIENCE)
        self.worker.wait_output('Hard time limit (1')
        self.assertEqual(self.call('t.add', 1, 2), 3)

    def test_retry_keeps_id_and_counts(self):
        r = self.app.send_task('t.retry', (3,))
        self.assertEqual(r.get(timeout=30), 3)
        self.worker.wait_output('t.retry[%s] retry' % r.id)

    def test_reject_is_dropped(self):
        r = self.app.send_task('t.reject')
        if C:
            self.worker.wait_output('t.reject[%s] reject requeue=False' % r.id)
        else:  # Debian's Celery with a newer billiard logs it as unexpected
            self.worker.wait_output('t.reject[%s] r' % r.id)
        if C or lib.celery_version() >= (5, 7):
            self.wait_state(r, 'FAILURE')
            self.assertEqual((type(r.result).__name__, r.result.args), ('Reject', ('no', False)))
        elif self.db1:
            self.assertIsNone(lib.document(self.db1, r.id))

    def test_reject_with_requeue_comes_back(self):
        self.assertEqual(self.call('t.rejectq'), 'second')

    def test_crash_of_a_child(self):
        for name, args in (('t.crash', ()), ('t.exit', (0,)), ('t.exit', (7,))):
            r = self.app.send_task(name, args)
            self.wait_state(r, 'FAILURE')
            self.assertEqual(type(r.result).__name__, 'WorkerLostError')
        self.assertEqual(self.call('t.add', 1, 2), 3)

    def test_other_tasks_survive_a_crash(self):
        slow = self.app.send_task('t.sleep', (1.5,))
        time.sleep(0.3)
        self.app.send_task('t.crash')
        self.assertEqual(slow.get(timeout=20), 1.5)

    def test_killed_child_with_late_ack_fails_the_task(self):
        r = self.app.send_task('t.sleep_late', (30,))
        self.worker.wait_output('t.sleep_late[%s] received' % r.id)
        time.sleep(0.5)
        pids = [p for p in self.worker.children()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.wait_state(r, 'FAILURE', timeout=30)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        lib.wait_for('settled', lambda: not self.queues.held(), 10)

    @unittest.skipUnless(C, 'a promise of celery-c: Python runs it for ever')
    def test_a_message_that_kills_its_process_is_parked(self):
        r = self.app.send_task('t.crash_late')
        self.wait_state(r, 'FAILURE', timeout=30)
        lib.wait_for('parked', lambda: self.queues.waiting('celery.celery-c.dead'), 10)
        self.assertTrue(self.queues.has('celery.celery-c.dead', r.id))
        self.assertEqual(self.call('t.add', 1, 2), 3)
        self.queues.drop('celery.celery-c.dead')

    def test_two_at_once(self):
        start = time.time()
        results = [self.app.send_task('t.sleep', (3,)) for _ in range(2)]
        for r in results:
            r.get(timeout=20)
        self.assertLess(time.time() - start, 6)

    @lib.redis_only
    def test_nothing_is_left_but_results(self):
        self.call('t.add', 1, 2)
        lib.wait_for('clean keys', lambda: not lib.leftover_keys(self.db0), 10)


class Pools(lib.Case):
    def in_pool(self, pool, concurrency=2):
        w = self.start(pool=pool, concurrency=concurrency)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        with self.assertRaises(KeyError):
            self.call('t.fail')
        self.assertEqual(self.call('t.retry', 1), 1)
        self.assertEqual(self.call('t.progress', 0.1), 'done')
        results = [self.app.send_task('t.ident', (i,)) for i in range(100)]
        self.assertEqual([r.get(timeout=30) for r in results], list(range(100)))
        if concurrency > 1:
            start = time.time()
            for r in [self.app.send_task('t.sleep', (3,)) for _ in range(2)]:
                r.get(timeout=20)
            self.assertLess(time.time() - start, 6)
        self.assertEqual(w.stop(), 0)

    def test_prefork(self):
        self.in_pool('prefork')

    def test_threads(self):
        self.in_pool('threads')

    def test_solo(self):
        self.in_pool('solo', 1)

    def test_recycled_children(self):
        w = self.start('--max-tasks-per-child', '1', concurrency=1)
        pids = {self.call('t.pid', timeout=40) for _ in range(4)}
        self.assertEqual(len(pids), 4)
        self.assertEqual(w.stop(), 0)


@unittest.skipUnless(C, 'Python finds out when it acknowledges')
@unittest.skipUnless(C, 'Python workers without a name are all called celery')
class Nameless(lib.Case):
    """Workers of one host and broker that were given no name."""

    def nameless(self):
        w = lib.Worker(self.broker, self.backend, '-n', '', pool='solo', wait=False)
        self.addCleanup(w.kill9)
        w.wait_output(' ready.')
        return w, re.search(r'(celery[0-9]*)@\S+ ready', w.output()).group(1)

    def test_each_has_its_own(self):
        (first, a), (second, b) = self.nameless(), self.nameless()
        self.assertEqual((a, b), ('celery', 'celery2'))
        self.assertNotIn('Another worker', first.output())
        second.wait_output('Another worker on this host and broker is celery@')
        lib.wait_for('both answer', lambda: len(self.app.control.ping(timeout=0.5)) == 2)
        first.kill9()
        again, c = self.nameless()
        self.assertEqual(c, 'celery')


class TakenOver(lib.Case):
    """Another worker has the message of a running task."""

    brokers = ('redis',)

    def taken(self, **conf):
        self.db0.flushdb()
        w = self.start(concurrency=1, name='taken%d' % len(conf),
                       conf=dict(worker_lease_seconds=1, **conf))
        r = self.app.send_task('t.sleep_late', (3,))
        w.wait_output('t.sleep_late[%s] received' % r.id)
        tag = lib.wait_for('held', lambda: self.db0.zrange('unacked_index', 0, -1))[0]
        time.sleep(0.3)
        self.db0.zadd('unacked_index', {tag: time.time() + 60})
        w.wait_output('its message was taken over by another worker')
        return w, r

    def test_it_goes_on(self):
        w, r = self.taken()
        self.assertEqual(r.get(timeout=20), 3)
        w.stop()
        self.assertEqual(self.db0.hlen('unacked'), 1)

    def test_it_is_cancelled_on_request(self):
        w, r = self.taken(worker_cancel_long_running_tasks_on_connection_loss=True)
        w.wait_output('t.sleep_late[%s] cannot be acknowledged after a connection loss' % r.id)
        self.wait_state(r, 'RETRY', timeout=2)
        self.assertEqual(json.loads(lib.document(self.db1, r.id))['result'], {
            'exc_type': 'Retry', 'exc_module': 'celery.exceptions',
            'exc_message': ['Retry(Retry(...), None, None)', None, None]})
        self.db0.delete('unacked', 'unacked_index')
        self.assertEqual(self.call('t.add', 1, 2), 3)
        w.stop()


class Shutdown(lib.Case):
    def busy(self, name='t.sleep', seconds=2.0, **options):
        """A worker with one task running and more claimed behind it."""
        w = self.start(concurrency=1, name='s%d' % time.monotonic_ns(), **options)
        sent = [self.app.send_task(name, (seconds,)) for _ in range(4)]
        w.wait_output('%s[%s] received' % (name, sent[0].id))
        time.sleep(0.5)
        return w, sent

    def setUp(self):
        self.queues.clear()

    def test_term_finishes_what_runs_and_gives_back_the_rest(self):
        w, sent = self.busy()
        w.send(signal.SIGTERM)
        w.wait_output('Warm shutdown')
        self.assertEqual(w.wait(), 0)
        w.check()
        self.wait_state(sent[0], 'SUCCESS')
        done = sent[:1] if lib.RESULTS == 'rpc' else [
            r for r in sent if r.state == 'SUCCESS']
        self.assertEqual(self.queues.waiting() + len(done), 4)
        self.assertEqual(self.queues.held(), 0)
        if self.db0 is not None:
            self.assertEqual(self.db0.zcard('unacked_index'), 0)
            self.assertEqual(lib.leftover_keys(self.db0), ['celery'])

    @unittest.skipUnless(C, 'Python restores them at the end only')
    def test_unstarted_messages_come_back_at_once(self):
        w, sent = self.busy(seconds=4.0)
        w.send(signal.SIGTERM)
        lib.wait_for('three messages are back', lambda: self.queues.waiting() == 3, 2)
        self.assertEqual(w.wait(), 0)
        self.wait_state(sent[0], 'SUCCESS')

    def test_eta_messages_come_back(self):
        w = self.start(concurrency=1)
        r = self.app.send_task('t.add', (1, 2), countdown=60)
        w.wait_output('t.add[%s] received' % r.id)
        self.assertEqual(w.stop(), 0)
        self.assertEqual(self.queues.waiting(), 1)
        raw = self.queues.take('celery')
        self.assertTrue(raw['properties']['delivery_info']['redelivered'])
        if lib.BROKER == 'redis':
            self.assertTrue(raw['headers']['redelivered'])

    def test_int_twice_is_cold(self):
        w, sent = self.busy('t.sleep_late', 30.0)
        w.send(signal.SIGINT)
        w.wait_output('Hitting Ctrl+C again')
        time.sleep(0.3)
        w.send(signal.SIGINT)
        self.assertEqual(w.wait(20), 1)
        lib.wait_for('all four are back', lambda: self.queues.waiting() == 4, 10)

    def test_quit_gives_running_late_tasks_back(self):
        w, sent = self.busy('t.sleep_late', 30.0)
        w.send(signal.SIGQUIT)
        self.assertEqual(w.wait(20), 0)
        lib.wait_for('all four are back', lambda: self.queues.waiting() == 4, 2)
        self.assertEqual(self.queues.held(), 0)

    def test_remapped_term(self):
        w, sent = self.busy('t.sleep_late', 30.0, env={'REMAP_SIGTERM': 'SIGQUIT'})
        w.send(signal.SIGTERM)
        self.assertEqual(w.wait(20), 0)
        lib.wait_for('all four are back', lambda: self.queues.waiting() == 4, 2)


class Fleet(lib.Case):
    def setUp(self):
        self.queues.clear()

    def test_both_kinds_on_one_queue(self):
        self.start(name='ours')
        self.start(name='theirs', kind='python')
        results = [self.app.send_task('t.request', countdown=0.2 * (i % 2))
                   for i in range(200)]
        names = [r.get(timeout=60)['hostname'].split('@')[0] for r in results]
        self.assertEqual(set(names), {'ours', 'theirs'})
        lib.wait_for('settled', lambda: not self.queues.held(), 10)

    def dead_worker(self, kind, options):
        """A message that a killed worker held."""
        w = self.start(kind=kind, name='victim', concurrency=1,
                       conf={'broker_transport_options': options})
        r = self.app.send_task('t.sleep_late', (0.5,))
        w.wait_output('t.sleep_late[%s] received' % r.id)
        w.kill9()
        self.assertEqual(self.db0.hlen('unacked'), 1)
        return r

    @lib.redis_only
    def test_we_restore_what_a_dead_python_worker_held(self):
        options = {'visibility_timeout': 2}
        r = self.dead_worker('python', options)
        time.sleep(2.2)
        self.start(name='heir', conf={'broker_transport_options': options})
        self.assertEqual(r.get(timeout=30), 0.5)
        lib.wait_for('settled', lambda: not self.queues.held(), 10)

    @lib.redis_only
    def test_python_restores_what_our_dead_worker_held(self):
        options = {'visibility_timeout': 2}
        r = self.dead_worker(lib.KIND, options)
        # Python looks once at its start, then after 100 s; our scores are whole seconds, and
        # may have been renewed just before the end.
        time.sleep(4)
        self.start(kind='python', name='heir', conf={'broker_transport_options': options})
        self.assertEqual(r.get(timeout=30), 0.5)
        lib.wait_for('settled', lambda: not self.queues.held(), 10)

    @unittest.skipUnless(C, 'Python holds them all')
    @lib.redis_only
    def test_python_runs_what_we_left_with_the_broker(self):
        """More ETA messages than may be held, and then no worker of ours any more."""
        options = {'visibility_timeout': 2}
        ours = self.start(name='ours', conf={'worker_eta_task_limit': 1,
                                             'broker_transport_options': options})
        results = [self.app.send_task('t.add', (i, 1), countdown=4) for i in range(4)]
        for r in results:
            ours.wait_output('t.add[%s] received' % r.id)
        self.assertEqual(ours.stop(), 0)
        lib.wait_for('three deferred', lambda: self.db0.hlen('unacked') == 3, 5)
        time.sleep(5)
        self.start(kind='python', name='heir', conf={'broker_transport_options': options})
        self.assertEqual([r.get(timeout=30) for r in results], [1, 2, 3, 4])
        lib.wait_for('settled', lambda: not self.queues.held(), 10)

    @unittest.skipUnless(C, 'Python waits for the visibility timeout of an hour')
    @lib.redis_only
    def test_our_dead_worker_is_missed_by_its_lease(self):
        r = self.dead_worker('c', {})
        self.start(name='heir')
        self.assertEqual(r.get(timeout=60), 0.5)

    @unittest.skipUnless(C, 'Python starts it again after each visibility timeout')
    @lib.redis_only
    def test_a_live_task_is_not_restored(self):
        """A Python worker of the same queue leaves what we renew alone."""
        options = {'visibility_timeout': 2}
        conf = {'broker_transport_options': options}
        ours = self.start(name='ours', conf=conf, concurrency=1)
        path = lib.tmpname('.mark')
        r = self.app.send_task('t.mark', (path, 7))
        ours.wait_output('t.mark[%s] received' % r.id)
        time.sleep(3)
        self.start(kind='python', name='theirs', conf=conf)
        self.start(name='others', conf=conf)
        r.get(timeout=30)
        self.assertEqual(os.path.getsize(path), 1)


if __name__ == '__main__':
    lib.main()
