#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The command line of celery-c: options, hints, exit codes, banner, settings, pidfile."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402


def run(*args, env=None, timeout=20):
    environ = lib.env_of_workers()
    environ.update(env or {})
    return subprocess.run([lib.CELERY_C, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environ,
                          stdin=subprocess.DEVNULL, timeout=timeout * lib.PATIENCE)


class Usage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not lib.CELERY_C:
            raise unittest.SkipTest('celery-c is not built in %s' % lib.BUILD)

    def test_version(self):
        r = run('--version')
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stdout, r'^\S*\s?\d+\.\d+\.\d+')

    def test_help(self):
        for args in (['--help'], ['worker', '--help']):
            r = run(*args)
            self.assertEqual(r.returncode, 0)
            self.assertIn('--broker' if len(args) == 1 else '--concurrency', r.stdout)

    def usage_error(self, *args, hint=None):
        r = run(*args)
        self.assertEqual(r.returncode, 2, r.stderr + r.stdout)
        self.assertNotIn('Traceback', r.stderr)
        self.assertLessEqual(len(r.stderr.strip().splitlines()), 6)
        if hint:
            self.assertRegex(r.stderr, hint)

    def test_unknown_option_gets_a_hint(self):
        self.usage_error('-A', lib.C_TASKS, 'worker', '--concurency', '2',
                         hint='--concurrency')

    def test_unknown_command(self):
        self.usage_error('-A', lib.C_TASKS, 'wroker', hint='wroker')

    def test_bad_values(self):
        worker = ['-A', lib.C_TASKS, 'worker']
        self.usage_error(*worker, '-l', 'LOUD', hint='--loglevel')
        self.usage_error(*worker, '-c', 'many', hint='many')
        self.usage_error(*worker, '-P', 'swimming', hint='swimming')
        self.usage_error(*worker, '--time-limit', 'soon', hint='soon')

    def one_line(self, r, pattern):
        self.assertNotEqual(r.returncode, 0)
        self.assertRegex(r.stderr + r.stdout, pattern)

    def test_missing_tasks(self):
        self.one_line(run('-A', './no-such-tasks.so', 'worker'), r'no-such-tasks')

    def test_wrong_url(self):
        for url in ('carrier-pigeon://x', 'redis://host:port/0', 'redis://host/notanumber'):
            self.one_line(run('-A', lib.C_TASKS, '-b', url, 'worker'),
                          re.escape(url.split(':')[0]))

    def test_unknown_setting_names_the_nearest(self):
        path = lib.tmpname('.json')
        with open(path, 'w') as f:
            f.write('{"task_ack_late": true}')
        self.one_line(run('-A', lib.C_TASKS, '--config', path, 'worker'), 'task_acks_late')

    def test_password_is_in_no_error(self):
        r = run('-A', lib.C_TASKS, '-b', 'redis://:s3cret-canary@host:port/0', 'worker')
        self.assertNotIn('s3cret-canary', r.stdout + r.stderr)


class Running(lib.Case):
    def started(self, *args, **kwargs):
        return self.start(*args, **kwargs)

    def test_banner(self):
        w = self.start(queues='one,two', name='banner', concurrency=3)
        text = w.output()
        host = socket.gethostname()
        for line in (' -------------- banner@%s v' % host, '[config]', '.> app: ',
                     '.> transport:   redis://127.0.0.1:%d/0' % self.redis.port,
                     '.> results:     redis://127.0.0.1:%d/1' % self.redis.port,
                     '.> concurrency: 3 (prefork)', '.> task events: OFF', '[queues]',
                     '.> one              exchange=one(direct) key=one',
                     '.> two              exchange=two(direct) key=two',
                     '[tasks]', '  . t.add'):
            self.assertIn(line, text)
        self.assertRegex(text, r'\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: INFO/MainProcess\] '
                               r'banner@%s ready\.' % re.escape(host))
        self.assertEqual(w.stop(), 0)
        self.assertIn('worker: Warm shutdown (MainProcess)', w.output())

    def test_log_lines(self):
        self.log_lines(r'ForkPoolWorker-\d+')

    def test_log_lines_of_threads(self):
        self.log_lines('MainProcess', pool='threads')

    def log_lines(self, process, **kwargs):
        w = self.start(**kwargs)
        ok = self.app.send_task('t.add', (1, 2))
        ok.get(timeout=20)
        bad = self.app.send_task('t.fail')
        with self.assertRaises(KeyError):
            bad.get(timeout=20)
        head = r'\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: '
        lib.wait_for('lines', lambda: 'raised unexpected' in w.output())
        for pattern in (r'INFO/MainProcess\] Task t\.add\[%s\] received' % ok.id,
                        r'INFO/%s\] Task t\.add\[%s\] succeeded in [0-9.e-]+s: 3'
                        % (process, ok.id),
                        r"ERROR/%s\] Task t\.fail\[%s\] raised unexpected: KeyError\('boom'"
                        % (process, bad.id)):
            self.assertRegex(w.output(), head + pattern)
        w.stop()

    def test_environment(self):
        env = {'CELERY_BROKER_URL': self.broker, 'CELERY_RESULT_BACKEND': self.backend,
               'CELERY_DEFAULT_QUEUE': 'from-env', 'CELERY_TASK_TRACK_STARTED': 'true'}
        environ = dict(lib.env_of_workers(), **env)
        log = lib.tmpname('.log')
        with open(log, 'wb') as out:
            p = lib.spawn([lib.CELERY_C, '-A', lib.C_TASKS, 'worker', '-l', 'INFO'],
                          stdout=out, stderr=out, env=environ, start_new_session=True)
        lib.wait_for('ready', lambda: ' ready.' in open(log).read(), 20)
        r = self.app.send_task('t.sleep', (1,), queue='from-env')
        self.wait_state(r, 'STARTED')
        r.get(timeout=20)
        p.terminate()
        self.assertEqual(p.wait(20), 0)

    def test_command_line_wins(self):
        w = self.start(env={'CELERY_BROKER_URL': 'redis://127.0.0.1:1/0',
                            'CELERY_WORKER_CONCURRENCY': '7'}, concurrency=2)
        self.assertIn('concurrency: 2 (prefork)', w.output())
        w.stop()

    def test_pidfile(self):
        path = os.path.join(lib.tmpdir(), 'worker.pid')
        w = self.start('--pidfile', path)
        self.assertEqual(int(open(path).read()), w.pid)
        second = self.start('--pidfile', path, wait=False)
        self.assertNotEqual(second.wait(10), 0)
        self.assertEqual(w.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_purge(self):
        self.db1.flushdb()
        for i in range(5):
            self.app.send_task('t.add', (i, i))
        w = self.start('--purge', wait=True)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        self.assertEqual(self.db1.dbsize(), 1)
        w.stop()
        self.db1.flushdb()

    def test_options_of_python_containers(self):
        w = self.start('--without-gossip', '--without-mingle', '--without-heartbeat', '-O',
                       'fair', '--loglevel=info')
        self.assertEqual(self.call('t.add', 1, 2), 3)
        w.stop()

    def test_hello(self):
        worker = lib.built('examples/hello/hello_worker')
        client = lib.built('examples/hello/send_and_wait')
        if not worker or not client:
            self.skipTest('the hello example is not built')
        url = self.redis.url(5)
        log = lib.tmpname('.log')
        with open(log, 'wb') as out:
            p = lib.spawn([worker, '-b', url, '--result-backend', url, '-l', 'INFO'],
                          stdout=out, stderr=out, env=lib.env_of_workers(),
                          start_new_session=True)
        try:
            lib.wait_for('ready', lambda: ' ready.' in open(log).read(), 20)
            got = subprocess.run([client, url], stdout=subprocess.PIPE, text=True, timeout=30)
            self.assertEqual(got.stdout, '2 + 3 = 5\n')
        finally:
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(20), 0)

    def test_it_is_silent_and_still_when_idle(self):
        w = self.start(concurrency=2)
        time.sleep(1)
        before = w.output()

        def switches():
            total = 0
            for pid in [w.pid] + w.children():
                with open('/proc/%d/status' % pid) as f:
                    total += int(re.search(r'^voluntary_ctxt_switches:\s+(\d+)', f.read(),
                                           re.M).group(1))
            return total
        first = switches()
        time.sleep(3)
        rate = (switches() - first) / 3
        print('  %.1f wake-ups a second when idle' % rate)
        self.assertLess(rate, 20)  # the benchmark has the goal; this finds a busy loop
        self.assertEqual(w.output(), before)
        w.stop()


if __name__ == '__main__':
    lib.main()
