#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Servers set up as AWS runs them: what works there, and the one line where it cannot."""

import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'interop'), os.path.join(HERE, '..', 'support')]
import lib  # noqa: E402

# What ElastiCache does not let its users run.
REFUSED = ['CONFIG', 'DEBUG', 'SAVE', 'BGSAVE', 'BGREWRITEAOF', 'SHUTDOWN', 'REPLICAOF',
           'SLAVEOF', 'MIGRATE', 'SYNC', 'PSYNC']
CLUSTER = "this is a Redis Cluster, which Celery's Redis transport cannot use"
FATAL = 'Unrecoverable error: '
TOKEN = 'A-token-of-sixteen!or&more'


def openssl(*args):
    subprocess.run(['openssl', *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60)


class ElastiCache(unittest.TestCase):
    """Cluster mode disabled: TLS, an AUTH token or a user, commands that are not there."""

    @classmethod
    def setUpClass(cls):
        lib.need_worker()
        cls.pem = os.path.join(lib.tmpdir(), 'server.pem')
        cls.key = os.path.join(lib.tmpdir(), 'server.key')
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', cls.key, '-out',
                cls.pem, '-days', '2', '-subj', '/CN=cache',
                '-addext', 'subjectAltName=DNS:localhost')
        cls.port = lib.free_port()
        renamed = [w for name in REFUSED for w in ('--rename-command', name, '')]
        cls.server = lib.Redis(
            '--tls-port', str(cls.port), '--tls-cert-file', cls.pem, '--tls-key-file', cls.key,
            '--tls-ca-cert-file', cls.pem, '--tls-auth-clients', 'no', '--requirepass', TOKEN,
            *renamed, plain=False)
        cls.addClassCleanup(cls.server.stop)
        client = cls.server.client(password=TOKEN)
        client.execute_command('ACL', 'SETUSER', 'taskoverflow', 'on', '>' + TOKEN, '~*', '&*',
                               '+@all', '-@dangerous', '+info', '+keys', '+client|tracking')

    def url(self, user, db=0):
        return 'rediss://%s:%s@localhost:%d/%d?ssl_cert_reqs=required&ssl_ca_certs=%s' % (
            user, TOKEN.replace('!', '%21').replace('&', '%26'), self.port, db, self.pem)

    def works(self, url):
        w = lib.Worker(url, url, kind='c')
        self.addCleanup(w.kill9)
        app = lib.celery_app(url, url)
        self.addCleanup(app.close)
        self.assertEqual(app.send_task('t.add', (40, 2)).get(timeout=20), 42)
        self.assertEqual(w.stop(), 0)
        self.assertNotIn(TOKEN, w.output())
        self.assertNotRegex(w.output(), r'(ERROR|CRITICAL)/')

    def test_with_a_token(self):
        self.works(self.url(''))

    def test_with_a_user(self):
        self.works(self.url('taskoverflow'))

    def test_plain_redis_url_says_that_there_is_tls(self):
        w = lib.Worker(self.url('').replace('rediss:', 'redis:').split('?')[0], None, kind='c',
                       wait=False)
        self.addCleanup(w.kill9)
        w.wait_output('Cannot connect to', 20)
        self.assertNotIn(' ready.', w.output())


class ClusterMode(unittest.TestCase):
    """ElastiCache with cluster mode, its Serverless kind, MemoryDB."""

    @classmethod
    def setUpClass(cls):
        lib.need_worker()
        cls.server = lib.Redis('--cluster-enabled', 'yes', '--cluster-port', str(lib.free_port()))
        cls.addClassCleanup(cls.server.stop)
        client = cls.server.client()
        client.execute_command('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
        lib.wait_for('the cluster is up',
                     lambda: b'cluster_state:ok' in client.execute_command(
                         'CLUSTER', 'INFO', **{'NEVER_DECODE': True}), 20)
        client.execute_command('ACL', 'SETUSER', 'blind', 'on', '>x', '~*', '&*', '+@all',
                               '-info')

    def ends(self, url, pattern):
        w = lib.Worker(url, 'disabled://', kind='c', wait=False)
        self.addCleanup(w.kill9)
        self.assertEqual(w.wait(20), 1, w.output())
        lines = [s for s in w.output().splitlines() if FATAL in s]
        self.assertEqual(len(lines), 1, w.output())
        self.assertRegex(lines[0], pattern)
        self.assertNotIn('Trying again', w.output())

    def test_as_broker(self):
        self.ends(self.server.url(), re.escape(CLUSTER + ': change broker_url'))

    def test_another_database(self):
        """There is none in a cluster, which is not what is wrong."""
        self.ends(self.server.url(3), re.escape(CLUSTER + ': change broker_url'))

    def test_who_may_not_ask_for_the_mode(self):
        """It is told by the first command that names two keys; that user may change."""
        w = lib.Worker(self.server.url(user='blind:x@'), 'disabled://', kind='c', wait=False)
        self.addCleanup(w.kill9)
        w.wait_output('CROSSSLOT', 20)
        lines = [s for s in w.output().splitlines() if 'CROSSSLOT' in s]
        self.assertIn(CLUSTER, lines[0])

    def test_as_result_backend(self):
        plain = lib.Redis()
        self.addCleanup(plain.stop)
        w = lib.Worker(plain.url(), self.server.url(), kind='c', wait=False)
        self.addCleanup(w.kill9)
        w.wait_output(CLUSTER + ': change result_backend', 20)

    def test_a_client_is_told(self):
        r = subprocess.run([lib.CELERY_C, '-b', self.server.url(), 'call', 't.add'],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=20)
        self.assertNotEqual(r.returncode, 0)
        self.assertEqual(len(r.stdout.splitlines()), 1, r.stdout)
        self.assertIn(CLUSTER + ': change broker_url', r.stdout)


if __name__ == '__main__':
    lib.main()
