#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a platform (containers, systemd) sees of a worker: health, readiness, metrics."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time

import lib
import prometheus
from celery.exceptions import TimeoutError


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

    def test_solo_is_not_blamed_for_its_tasks(self):
        """No answer while a task runs; then the broker has not been silent: nobody listened."""
        w, probe = self.probed(pool='solo', conf={'worker_health_timeout': 1.5})
        w.wait_output('answers no probe while a task runs')
        for _ in range(3):
            r = self.app.send_task('t.sleep', (3,))
            lib.wait_for('it runs', lambda: self.queues.waiting() == 0)
            time.sleep(0.3)
            began = time.monotonic()
            self.assertEqual(probe.status('/healthz'), 200)
            self.assertGreater(time.monotonic() - began, 1)
            self.assertEqual(probe.status('/readyz'), 200)
            r.get(timeout=20)
        w.stop()

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

    def health(self, address, *args):
        """celery-c health: (exit code, output)."""
        r = subprocess.run([lib.CELERY_C, 'health', *args],
                           env=dict(os.environ, CELERY_WORKER_HEALTH_ADDRESS=address),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return r.returncode, r.stdout

    def test_the_health_command(self):
        """What HEALTHCHECK of the image calls: nothing else is in it."""
        w, probe = self.probed(concurrency=1)
        code, text = self.health(probe.address)
        self.assertEqual((code, json.loads(text)['status']), (0, 'ok'))
        self.assertEqual(self.health('unix:/nowhere', '--ready', '--health-address',
                                     probe.address)[0], 0)
        self.app.send_task('t.sleep', (4.0,))
        lib.wait_for('it runs', lambda: probe.metrics().get(
            'celery_worker_pool_busy') == 1, 10)
        w.send(signal.SIGTERM)
        lib.wait_for('not ready', lambda: probe.status('/readyz') == 503, 3)
        code, text = self.health(probe.address, '--ready')
        self.assertEqual((code, json.loads(text)['shutdown']), (1, 'warm'))
        self.assertEqual(self.health(probe.address)[0], 0)
        w.wait()
        code, text = self.health(probe.address)
        self.assertEqual(code, 1)
        self.assertIn('no worker answers at ' + probe.address, text)

    def test_the_health_command_over_tcp_and_its_time(self):
        port = lib.free_port()
        w = self.start('--health-address', '127.0.0.1:%d' % port)
        for address in ('127.0.0.1:%d' % port, ':%d' % port, 'localhost:%d' % port):
            self.assertEqual(self.health(address)[0], 0, address)
        w.send(signal.SIGSTOP)
        started = time.monotonic()
        code, text = self.health('127.0.0.1:%d' % port, '--timeout', '0.3')
        w.send(signal.SIGCONT)
        self.assertEqual(code, 1)
        self.assertIn('timed out', text)
        self.assertLess(time.monotonic() - started, 3)
        for address in ('nothing', 'unix:' + 'x' * 200, '[::1', ''):
            self.assertIn(self.health(address)[0], (1, 2), address)

    def test_not_ready_from_the_first_term(self):
        w, probe = self.probed(concurrency=1)
        self.app.send_task('t.sleep', (2.0,))
        lib.wait_for('it runs', lambda: probe.metrics().get(
            'celery_worker_pool_busy') == 1, 10)
        w.send(signal.SIGTERM)
        lib.wait_for('not ready', lambda: probe.status('/readyz') == 503, 3)
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


class Drain(PlatformCase):
    """What becomes of running tasks at the end of a worker, and its exit code."""

    pools = ('prefork', 'threads')

    def busy(self, task, pool, seconds=30.0, conf=None, **kwargs):
        w = self.start(concurrency=1, pool=pool, conf=conf, **kwargs)
        r = self.app.send_task(task, (seconds,))
        w.wait_output('%s[%s] received' % (task, r.id))
        time.sleep(0.5)
        return w, r

    def each(self):
        for pool in self.pools:
            for late in (True, False):
                with self.subTest(pool=pool, late=late):
                    self.queues.clear()
                    yield pool, late, 't.sleep_late' if late else 't.sleep'

    def ended(self, w, r, late, state):
        """Returned, or told what it was."""
        code = w.wait(20)
        w.check()
        if late:
            lib.wait_for('it is back', lambda: self.queues.waiting() == 1)
        else:
            self.wait_state(r, state)
            self.assertEqual(self.queues.waiting(), 0)
        lib.wait_for('nothing is held', lambda: self.queues.held() == 0)
        self.assertEqual(code, 0 if late else 1, w.output()[-2000:])

    def test_warm_waits(self):
        for pool, late, task in self.each():
            w, r = self.busy(task, pool, seconds=2.0)
            w.send(signal.SIGTERM)
            self.assertEqual(w.wait(20), 0)
            self.wait_state(r, 'SUCCESS')

    def test_deadline(self):
        for pool, late, task in self.each():
            w, r = self.busy(task, pool, conf={'worker_shutdown_timeout': 1})
            began = time.monotonic()
            w.send(signal.SIGTERM)
            self.ended(w, r, late, 'FAILURE')
            took = time.monotonic() - began
            self.assertTrue(1 <= took < 6 * lib.PATIENCE, took)
            if not late:
                self.assertIn('Worker exited prematurely', str(r.result))

    def test_option(self):
        w = self.start('--drain-timeout', '1', concurrency=1)
        r = self.app.send_task('t.sleep_late', (30.0,))
        w.wait_output('t.sleep_late[%s] received' % r.id)
        time.sleep(0.5)
        w.send(signal.SIGTERM)
        self.ended(w, r, True, None)

    def test_cold(self):
        for pool, late, task in self.each():
            w, r = self.busy(task, pool)
            w.send(signal.SIGQUIT)
            self.ended(w, r, late, 'RETRY')

    def test_soft(self):
        for pool, late, task in self.each():
            w, r = self.busy(task, pool, conf={'worker_soft_shutdown_timeout': 1})
            w.send(signal.SIGQUIT)
            w.wait_output('Initiating Soft Shutdown')
            self.ended(w, r, late, 'RETRY')

    def test_solo_ends_what_it_runs(self):
        w, r = self.busy('t.sleep', 'solo', 2.0, conf={'worker_shutdown_timeout': 0.5})
        w.send(signal.SIGTERM)
        self.assertEqual(w.wait(20), 0)
        self.wait_state(r, 'SUCCESS')

    def test_others_get_what_has_not_started(self):
        for pool in self.pools:
            with self.subTest(pool=pool):
                self.queues.clear()
                w, r = self.busy('t.sleep', pool, 6.0, name='leaving')
                waiting = [self.app.send_task('t.add', (1, i)) for i in range(3)]
                for other in waiting:
                    w.wait_output(other.id + '] received')
                other_worker = self.start(name='staying', concurrency=1)
                began = time.monotonic()
                w.send(signal.SIGTERM)
                for i, other in enumerate(waiting):
                    self.assertEqual(other.get(timeout=20), 1 + i)
                took = time.monotonic() - began
                self.assertLess(took, 5)
                self.assertIsNone(w.process.poll())
                self.assertEqual(w.wait(), 0)
                self.wait_state(r, 'SUCCESS')
                other_worker.stop()


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
            try:
                r.get(timeout=60, propagate=False)
            except TimeoutError:
                self.fail('%s has no result:\n%s' % (r.id, w.output()[-20000:]))
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
        self.assertTrue(0.9 < run < 5, run)
        # The second waited for the first; the one with an ETA did not wait.
        wait = page.get('celery_worker_task_wait_seconds_sum', task='t.noop')
        self.assertTrue(0.5 < wait < run + 1.2, wait)

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
        self.assertEqual(page.families['celery_worker_events_dropped_total'], 'counter')


class JsonLogs(PlatformCase):
    def lines(self, w):
        found = []
        for line in w.output().splitlines():
            entry = json.loads(line)
            self.assertTrue({'time', 'level', 'logger', 'process', 'pid', 'message'}
                            <= set(entry), line)
            self.assertRegex(entry['time'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$')
            self.assertIn(entry['logger'], ('celery.worker', 'celery.task'))
            found.append(entry)
        return found

    def each_line(self, pool, *args, **kwargs):
        w = self.start(*args, pool=pool, loglevel='DEBUG', concurrency=1, **kwargs)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        ids = {}
        for name in ('t.fail', 't.ignore', 't.mark', 't.retry'):
            r = self.app.send_task(name, () if name != 't.mark' else (lib.tmpname('.mark'),))
            ids[name] = r.id
        late = self.app.send_task('t.add', (1, 1), expires=-1)
        self.app.send_task('no "such"\ntask')
        w.wait_output(late.id)
        lib.wait_for('the unknown one', lambda: 'unregistered task' in w.output(), 10)
        lib.wait_for('failed', lambda: 'raised unexpected' in w.output(), 10)
        w.send(signal.SIGUSR1)
        self.assertEqual(w.stop(), 0)
        lines = self.lines(w)
        failed = [e for e in lines if 'raised unexpected' in e['message']]
        self.assertEqual((failed[0]['task_name'], failed[0]['task_id'], failed[0]['logger']),
                         ('t.fail', ids['t.fail'], 'celery.task'))
        received = [e for e in lines if e['message'].endswith('received')]
        self.assertTrue(all(e['task_id'] in e['message'] for e in received))
        self.assertTrue(any('Warm shutdown' in e['message'] for e in lines))
        self.assertFalse([e for e in lines if 'task_id' in e and e['task_id'] not in str(e)])
        return lines

    def test_every_line_is_an_object(self):
        for pool in ('prefork', 'threads', 'solo'):
            with self.subTest(pool=pool):
                self.each_line(pool, '--log-json', '--loader', 'x')

    def test_as_a_setting(self):
        self.each_line('prefork', conf={'worker_log_json': True})

    def test_what_a_task_logs(self):
        w = self.start('--log-json', concurrency=1, loglevel='INFO')
        r = self.app.send_task('t.say', ('a "b"\n\u00e9',))
        r.get(timeout=20)
        lib.wait_for('its line', lambda: 'celery_log' in w.output(), 10)
        w.stop()
        said = [e for e in self.lines(w) if 'celery_log' in e['message']]
        self.assertEqual([e['task_id'] for e in said], [r.id, r.id])
        self.assertEqual({e['process'][:14] for e in said}, {'ForkPoolWorker'})

    @lib.redis_only
    def test_the_end_without_a_broker(self):
        w = self.start('--log-json', broker='redis://127.0.0.1:%d/0' % lib.free_port(),
                       conf={'broker_connection_max_retries': 1}, wait=False)
        self.assertEqual(w.wait(30), 1)
        self.assertEqual(self.lines(w)[-1]['level'], 'CRITICAL')


class Manager:
    """A service manager's end of sd_notify: an abstract socket."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = 'celery-c-test-%d-%d' % (os.getpid(), lib.free_port())
        self.socket.bind('\0' + name)
        self.env = {'NOTIFY_SOCKET': '@' + name}
        self.heard = []

    def hear(self, seconds):
        """The lines that came within that time, all of them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                self.heard += self.socket.recv(4096).decode().splitlines()
            except socket.timeout:
                pass
        return self.heard

    def wait(self, line, seconds=10):
        def check():
            return [text for text in self.hear(0.05) if text.startswith(line)]
        return lib.wait_for(line, check, seconds * lib.PATIENCE)[0]


class Service(PlatformCase):
    def test_ready_status_stopping(self):
        m = Manager()
        self.addCleanup(m.socket.close)
        w = self.start(env=m.env)
        m.wait('READY=1')
        m.wait('STATUS=Consuming: 0 running')
        self.assertNotIn('WATCHDOG=1', m.hear(0.2))
        w.send(signal.SIGTERM)
        self.assertEqual(w.wait(), 0)
        m.wait('STOPPING=1')
        m.wait('STATUS=Draining')

    @lib.redis_only
    def test_not_ready_without_a_broker(self):
        m = Manager()
        self.addCleanup(m.socket.close)
        w = self.start(broker='redis://127.0.0.1:%d/0' % lib.free_port(), env=m.env,
                       wait=False)
        m.wait('STATUS=Starting')
        self.assertNotIn('READY=1', m.hear(1.0))
        w.stop()

    def test_watchdog_only_while_the_loop_runs(self):
        m = Manager()
        self.addCleanup(m.socket.close)
        w = self.start(env=dict(m.env, WATCHDOG_USEC='600000'))
        m.wait('WATCHDOG=1')
        m.heard.clear()
        self.assertGreaterEqual(m.hear(1.2).count('WATCHDOG=1'), 3)
        w.send(signal.SIGSTOP)
        time.sleep(0.3)
        m.hear(0.1)
        m.heard.clear()
        self.assertEqual(m.hear(0.8), [])
        w.send(signal.SIGCONT)
        m.wait('WATCHDOG=1')
        self.assertEqual(w.stop(), 0)

    def test_in_the_background_it_says_who_it_is(self):
        m = Manager()
        self.addCleanup(m.socket.close)
        pidfile = os.path.join(lib.tmpdir(), 'detached.pid')
        self.start('--detach', '--pidfile', pidfile, env=m.env, wait=False)
        pid = int(m.wait('MAINPID=').split('=')[1])
        m.wait('READY=1')
        with open(pidfile) as f:
            self.assertEqual(int(f.read()), pid)
        os.kill(pid, signal.SIGHUP)
        m.wait('RELOADING=1')
        lib.wait_for('ready again', lambda: m.hear(0.05).count('READY=1') == 2, 10)
        with open(pidfile) as f:
            self.assertEqual(int(f.read()), pid)
        os.kill(pid, signal.SIGTERM)
        lib.wait_for('its end', lambda: not os.path.exists('/proc/%d' % pid), 10)

    def test_watchdog_of_another_process(self):
        m = Manager()
        self.addCleanup(m.socket.close)
        self.start(env=dict(m.env, WATCHDOG_USEC='100000', WATCHDOG_PID='1'))
        m.wait('READY=1')
        self.assertNotIn('WATCHDOG=1', m.hear(0.5))

    def test_reload_is_the_same_process(self):
        m = Manager()
        self.addCleanup(m.socket.close)
        conf = lib.tmpname('.json')
        with open(conf, 'w') as f:
            f.write('{"worker_concurrency": 1}')
        w = self.start('--config', conf, env=m.env, argv=[lib.CELERY_C, '-A', lib.C_TASKS])
        m.wait('READY=1')
        running = self.app.send_task('t.sleep', (1.0,))
        w.wait_output('t.sleep[%s] received' % running.id)
        time.sleep(0.3)
        m.heard.clear()
        w.send(signal.SIGHUP)
        m.wait('RELOADING=1')
        usec = int(m.wait('MONOTONIC_USEC=').split('=')[1])
        self.assertLess(abs(usec / 1e6 - time.monotonic()), 30)
        m.wait('READY=1')
        self.assertNotIn('STOPPING=1', m.heard)
        self.assertEqual(running.get(timeout=10), running.result)
        self.assertIsNone(w.process.poll())
        self.assertEqual(self.call('t.add', 1, 2), 3)
        self.assertEqual(w.stop(), 0)

    def test_term_while_reloading_ends_it(self):
        w = self.start(concurrency=1)
        r = self.app.send_task('t.sleep', (2.0,))
        w.wait_output('t.sleep[%s] received' % r.id)
        time.sleep(0.3)
        w.send(signal.SIGHUP)
        w.wait_output('Restarting celery worker')
        w.send(signal.SIGTERM)
        self.assertEqual(w.wait(), 0)
        self.wait_state(r, 'SUCCESS')


def can_unshare():
    try:
        return subprocess.run(['unshare', '--pid', '--fork', '--mount-proc', 'true'],
                              stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


class ProcessOne(PlatformCase):
    """As the first process of a container."""

    def first(self, *args, **kwargs):
        if not can_unshare():
            self.skipTest('no PID namespaces here')
        w = self.start(*args, prefix=('unshare', '--pid', '--fork', '--mount-proc',
                                      '--kill-child'), **kwargs)
        return w, lib.descendants(w.pid)[0]

    def zombies(self, w):
        found = []
        for pid in w.children():
            try:
                with open('/proc/%d/stat' % pid) as f:
                    if f.read().rsplit(')', 1)[1].split()[0] == 'Z':
                        found.append(pid)
            except OSError:
                pass
        return found

    def test_term_is_forwarded_and_the_exit_code_is_the_workers(self):
        w, one = self.first()
        self.assertEqual(self.call('t.add', 1, 2), 3)
        os.kill(one, signal.SIGTERM)
        self.assertEqual(w.wait(), 0)
        self.assertIn('Warm shutdown', w.output())
        w, one = self.first()
        os.kill(one, signal.SIGINT)
        self.assertEqual(w.wait(), 1)

    def test_orphans_are_reaped(self):
        w, one = self.first()
        # A child of the pool starts a program that leaves its own child behind.
        for _ in range(5):
            self.app.send_task('t.orphan').get(timeout=20)
        lib.wait_for('they have been left', lambda: len(w.children()) >= 4, 5)
        lib.wait_for('and reaped', lambda: not self.zombies(w) and not any(
            'sleep' in self.name(p) for p in w.children()), 10)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        os.kill(one, signal.SIGTERM)
        self.assertEqual(w.wait(), 0)

    def name(self, pid):
        try:
            with open('/proc/%d/comm' % pid) as f:
                return f.read()
        except OSError:
            return ''

    def test_a_killed_worker_ends_the_container(self):
        w, one = self.first()
        worker = [p for p in w.children() if p != one][0]
        os.kill(worker, signal.SIGKILL)
        self.assertEqual(w.wait(), 128 + signal.SIGKILL)

    def test_signals_before_it_is_ready(self):
        """Process 1 has no default actions: what comes early must not be lost."""
        for _ in range(3):
            w = self.start(prefix=('unshare', '--pid', '--fork', '--mount-proc',
                                   '--kill-child'), wait=False)
            one = lib.wait_for('process 1', lambda: lib.descendants(w.pid), 5)[0]
            lib.wait_for('the worker', lambda: 'celery' in self.name(one), 5)
            lib.wait_for('its child', lambda: lib.descendants(one), 5)
            os.kill(one, signal.SIGTERM)
            self.assertIn(w.wait(), (0, 128 + signal.SIGTERM), w.output())

    def test_reload(self):
        w, one = self.first()
        os.kill(one, signal.SIGHUP)
        w.wait_output('Restarting celery worker')
        lib.wait_for('ready again', lambda: w.output().count(' ready.') == 2, 20)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        os.kill(one, signal.SIGTERM)
        self.assertEqual(w.wait(), 0)


if __name__ == '__main__':
    lib.main()
