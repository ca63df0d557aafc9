#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""network.py [N]: a 20 s black hole, and a peer that vanished without FIN or RST, N times
each; the worker consumes again within 30 s of the healing.

Three network namespaces, worker - router - Redis; the router drops every packet (a queue of
one byte), so that neither end's kernel learns anything. Needs root, ip and tc.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402
from test_poison import encode, good  # noqa: E402

TIMES = int(os.environ.get('TIMES', '1'))
HOLE = float(os.environ.get('HOLE', '20'))
LIMIT = 30.0
WORKER_IP, REDIS_IP = '10.213.1.2', '10.213.2.2'


def tool(name):
    return shutil.which(name) or shutil.which(name, path='/usr/sbin:/sbin')


def sh(*argv, check=True):
    run = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         timeout=30)
    if check and run.returncode:
        raise RuntimeError('%s: %s' % (' '.join(argv), run.stdout.strip()))
    return run.stdout


class Network(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        lib.need_worker()
        if os.geteuid() != 0:
            raise unittest.SkipTest('network namespaces need root')
        missing = [t for t in ('ip', 'tc', 'ss') if not tool(t)]
        if missing:
            raise unittest.SkipTest('not installed: ' + ' '.join(missing))
        base = 'cc%d' % os.getpid()
        cls.a, cls.r, cls.b = (base + x for x in 'arb')
        try:
            cls.make()
        except (RuntimeError, subprocess.TimeoutExpired) as exc:
            cls.unmake()
            raise unittest.SkipTest('no network namespaces here: %s' % exc)
        cls.addClassCleanup(cls.unmake)

    @classmethod
    def make(cls):
        ip = tool('ip')
        for ns in (cls.a, cls.r, cls.b):
            sh(ip, 'netns', 'add', ns)
            sh(ip, '-n', ns, 'link', 'set', 'lo', 'up')
        for ns, here, far, net in ((cls.a, 'va', 'ra', '10.213.1'),
                                   (cls.b, 'vb', 'rb', '10.213.2')):
            sh(ip, 'link', 'add', here, 'netns', ns, 'type', 'veth', 'peer', 'name', far,
               'netns', cls.r)
            sh(ip, '-n', ns, 'addr', 'add', net + '.2/24', 'dev', here)
            sh(ip, '-n', cls.r, 'addr', 'add', net + '.1/24', 'dev', far)
            sh(ip, '-n', ns, 'link', 'set', here, 'up')
            sh(ip, '-n', cls.r, 'link', 'set', far, 'up')
            sh(ip, '-n', ns, 'route', 'add', 'default', 'via', net + '.1')
        sh(ip, 'netns', 'exec', cls.r, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
        sh(tool('tc'), '-n', cls.r, 'qdisc', 'show')

    @classmethod
    def unmake(cls):
        for ns in (cls.a, cls.r, cls.b):
            sh(tool('ip'), 'netns', 'del', ns, check=False)

    def inside(self, ns):
        return [tool('ip'), 'netns', 'exec', ns]

    def setUp(self):
        self.start_redis()
        self.worker = lib.Worker(
            'redis://%s:%d/0' % (REDIS_IP, self.redis.port),
            'redis://%s:%d/1' % (REDIS_IP, self.redis.port),
            concurrency=2, prefix=self.inside(self.a), wait=False)
        self.addCleanup(self.worker.kill9)
        self.worker.wait_ready()

    def start_redis(self, port=None):
        self.redis = lib.Redis('--bind', '0.0.0.0', '--protected-mode', 'no', '--tcp-keepalive',
                               '0', port=port, env_prefix=self.inside(self.b))
        self.addCleanup(self.redis.stop)
        self.db0, self.db1 = self.redis.client(0), self.redis.client(1)

    def hole(self, on):
        for dev in ('ra', 'rb'):
            args = ['qdisc', 'add' if on else 'del', 'dev', dev, 'root']
            sh(tool('tc'), '-n', self.r, *args, *(['bfifo', 'limit', '1'] if on else []))

    def put(self):
        """A task through the unix socket of Redis, which is on no network."""
        message = good('t.add', (20, 22))
        self.db0.lpush('celery', encode(message))
        return 'celery-task-meta-' + message['headers']['id']

    def runs(self, timeout, what):
        key, start = self.put(), time.monotonic()
        lib.wait_for(what, lambda: self.db1.get(key), timeout, 0.05)
        return time.monotonic() - start

    def many(self, name, spoil):
        self.runs(20, 'the first task runs')
        took = []
        for turn in range(TIMES):
            self.hole(True)
            try:
                time.sleep(HOLE / 2)
                spoil()
                time.sleep(HOLE / 2)
            finally:
                self.hole(False)
            took.append(self.runs(LIMIT, '%s %d: consumes again' % (name, turn + 1)))
            self.assertIsNone(self.worker.process.poll(), 'the worker ended')
            print('  %s %d of %d: consumes again %.1f s after the healing' % (
                name, turn + 1, TIMES, took[-1]), flush=True)
        print('  %s: %d of %d healed within %.0f s, slowest %.1f s' % (
            name, len(took), TIMES, LIMIT, max(took)))
        self.worker.stop()

    def test_black_hole(self):
        self.many('black hole of %.0f s' % HOLE, lambda: None)

    def test_vanished_peer(self):
        """Redis forgets its connections while nobody can be told: the worker's stay open."""
        def vanish():
            pid = self.redis.process.pid
            os.kill(pid, signal.SIGSTOP)
            sh(*self.inside(self.b), tool('ss'), '-K', 'dst', WORKER_IP)
            os.kill(pid, signal.SIGCONT)
        self.many('vanished peer', vanish)


if __name__ == '__main__':
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        TIMES = int(sys.argv.pop(1))
    lib.main()
