#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a platform (containers, systemd) sees of a worker: health, readiness, metrics."""

import http.client
import json
import os
import signal
import socket

import lib
import prometheus


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('localhost', timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Probe:
    """The address of a worker, and what it answers there."""

    def __init__(self):
        self.path = os.path.join(lib.tmpdir(), 'health-%d' % lib.free_port())
        self.address = 'unix:' + self.path

    def ask(self, path, method='GET'):
        """(status, headers, body)"""
        c = UnixConnection(self.path)
        try:
            c.request(method, path)
            r = c.getresponse()
            return r.status, dict(r.getheaders()), r.read().decode()
        finally:
            c.close()

    def status(self, path):
        try:
            return self.ask(path)[0]
        except OSError:
            return None

    def metrics(self):
        status, headers, text = self.ask('/metrics')
        assert status == 200 and headers['Content-Type'].startswith('text/plain; version=0.0.4')
        return prometheus.Page(text)


class PlatformCase(lib.Case):
    def setUp(self):
        self.queues.clear()

    def probed(self, *args, **kwargs):
        probe = Probe()
        return self.start('--health-address', probe.address, *args, **kwargs), probe


class Health(PlatformCase):
    def test_nothing_listens_by_default(self):
        w = self.start()
        for pid in [w.pid] + w.children():
            for fd in os.listdir('/proc/%d/fd' % pid):
                link = os.readlink('/proc/%d/fd/%s' % (pid, fd))
                if link.startswith('socket:['):
                    with open('/proc/net/tcp') as f:
                        rows = [line.split() for line in f][1:]
                    listening = {r[9] for r in rows if r[3] == '0A'}
                    self.assertNotIn(link[8:-1], listening)

    def test_tcp_address(self):
        port = lib.free_port()
        self.start('--health-address', '127.0.0.1:%d' % port)
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
        c.request('GET', '/healthz')
        self.assertEqual(c.getresponse().status, 200)
        c.close()

    def test_address_in_use_ends_the_start(self):
        _, probe = self.probed(name='first')
        w = self.start('--health-address', probe.address, name='second', wait=False)
        self.assertEqual(w.wait(), 1)
        self.assertIn('cannot listen on', w.output())
        self.assertEqual(probe.status('/healthz'), 200)

    def test_pages(self):
        _, probe = self.probed()
        status, headers, body = probe.ask('/healthz')
        self.assertEqual(status, 200)
        found = json.loads(body)
        self.assertEqual((found['status'], found['ready'], found['shutdown']),
                         ('ok', True, 'no'))
        self.assertTrue(found['broker']['connected'])
        self.assertLess(found['broker']['silent_seconds'], 60)
        self.assertEqual(probe.status('/readyz'), 200)
        self.assertEqual(probe.ask('/healthz', 'HEAD')[2], '')
        self.assertEqual(probe.status('/nothing'), 404)
        self.assertEqual(probe.ask('/healthz', 'POST')[0], 405)

    def test_not_ready_from_the_first_term(self):
        w, probe = self.probed(concurrency=1)
        self.app.send_task('t.sleep', (2.0,))
        lib.wait_for('it runs', lambda: probe.metrics().get(
            'celery_worker_pool_busy') == 1, 10)
        w.send(signal.SIGTERM)
        lib.wait_for('not ready', lambda: probe.status('/readyz') == 503, 1)
        self.assertEqual(probe.status('/healthz'), 200)
        self.assertEqual(json.loads(probe.ask('/readyz')[2])['shutdown'], 'warm')
        self.assertEqual(w.wait(), 0)
        self.assertFalse(os.path.exists(probe.path))

    @lib.redis_only
    def test_broker_away(self):
        own = lib.Redis()
        self.addCleanup(own.stop)
        w, probe = self.probed(broker=own.url(), conf={'worker_health_timeout': 1.5})
        self.assertEqual(probe.status('/readyz'), 200)
        own.stop()
        lib.wait_for('not ready', lambda: probe.status('/readyz') == 503, 5)
        self.assertEqual(probe.status('/healthz'), 200)
        lib.wait_for('not healthy', lambda: probe.status('/healthz') == 503, 10)
        own.start()
        lib.wait_for('ready again', lambda: probe.status('/readyz') == 200, 20)
        self.assertEqual(probe.status('/healthz'), 200)
        self.assertGreaterEqual(probe.metrics().get('celery_worker_broker_reconnects_total'), 1)

    def test_hostile_clients_do_not_disturb(self):
        w, probe = self.probed()
        idle = []
        for i in range(200):
            s = socket.socket(socket.AF_UNIX)
            s.connect(probe.path)
            if i % 3 == 0:
                s.send(os.urandom(300))
            elif i % 3 == 1:
                s.send(b'GET /metrics HTTP/1.0\r\n')
            idle.append(s)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        self.assertEqual(probe.status('/healthz'), 200)
        for s in idle:
            s.close()
        self.assertEqual(w.stop(), 0)


class Metrics(PlatformCase):
    def ended(self, page, task, outcome):
        return page.get('celery_worker_tasks_total', task=task, outcome=outcome)

    def test_tasks_by_name_and_outcome(self):
        w, probe = self.probed()
        results = [self.app.send_task('t.add', (1, i)) for i in range(20)]
        results.append(self.app.send_task('t.fail'))
        results.append(self.app.send_task('t.add', (1, 1), expires=-1))
        results.append(self.app.send_task('t.crash'))
        results.append(self.app.send_task('t.sleep', (30.0,), time_limit=0.5))
        for i in range(30):
            self.app.send_task('no.such.task.%d' % i)
        for r in results:
            r.get(timeout=30, propagate=False)
        lib.wait_for('all are counted', lambda: self.ended(
            probe.metrics(), 'unknown', 'malformed') == 30, 10)
        page = probe.metrics()
        self.assertEqual(self.ended(page, 't.add', 'succeeded'), 20)
        self.assertEqual(self.ended(page, 't.add', 'expired'), 1)
        self.assertEqual(self.ended(page, 't.fail', 'failed'), 1)
        self.assertEqual(self.ended(page, 't.crash', 'lost'), 1)
        self.assertEqual(self.ended(page, 't.sleep', 'timeout'), 1)
        self.assertFalse([n for n in page.names('task') if n.startswith('no.such')])
        self.assertEqual(page.get('celery_worker_messages_parked_total'), 30)
        self.assertEqual(page.get('celery_worker_messages_received_total'), 54)
        for name in ('celery_worker_task_runtime_seconds', 'celery_worker_task_wait_seconds'):
            self.assertEqual(page.get(name + '_count', task='t.add'), 20)
        self.assertEqual(page.get('celery_worker_pool_slots'), 2)
        self.assertEqual(page.get('celery_worker_pool_processes'), 2)
        self.assertEqual(page.get('celery_worker_ready'), 1)
        self.assertGreater(page.get('process_resident_memory_bytes'), 1e6)
        self.assertGreater(page.get('celery_worker_children_proportional_memory_bytes'), 1e4)
        self.official(probe)

    def official(self, probe):
        """Prometheus' own client reads it, where there is one."""
        try:
            from prometheus_client.parser import text_string_to_metric_families
        except ImportError:
            return
        names = {f.name for f in text_string_to_metric_families(probe.ask('/metrics')[2])}
        self.assertIn('celery_worker_tasks', names)

    def test_times(self):
        w, probe = self.probed(concurrency=1)
        first = self.app.send_task('t.sleep', (1.0,))
        second = self.app.send_task('t.noop')
        later = self.app.send_task('t.noop', countdown=1.5)
        for r in (first, second, later):
            r.get(timeout=20)
        page = probe.metrics()
        run = page.get('celery_worker_task_runtime_seconds_sum', task='t.sleep')
        self.assertTrue(0.9 < run < 2.5, run)
        # The second waited for the first; the one with an ETA did not wait.
        wait = page.get('celery_worker_task_wait_seconds_sum', task='t.noop')
        self.assertTrue(0.5 < wait < 2.0, wait)

    def test_held_and_prefetch(self):
        w, probe = self.probed(concurrency=1)
        for _ in range(3):
            self.app.send_task('t.add', (1, 2), countdown=60)
        lib.wait_for('three are held', lambda: probe.metrics().get(
            'celery_worker_held_messages') == 3, 10)
        page = probe.metrics()
        self.assertEqual(page.get('celery_worker_unacked_messages'), 3)
        self.assertEqual(page.get('celery_worker_messages', state='waiting'), 3)
        self.assertEqual(page.get('celery_worker_prefetch_limit'), 7)


if __name__ == '__main__':
    lib.main()
