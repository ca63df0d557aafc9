#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Redis in all its dresses: prefixes, sockets, TLS, passwords, failover, sentinels, and
what is left on it after a run."""

import os
import subprocess
import time
import unittest

import lib

C = lib.KIND == 'c'
SECRET = 'canary-5ecret!'


class Keys(lib.Case):
    def test_a_run_leaves_only_results_and_bindings(self):
        w = self.start()
        self.call('t.add', 1, 2)
        with self.assertRaises(KeyError):
            self.call('t.fail')
        self.call('t.retry', 1)
        self.app.send_task('t.ignore')
        self.app.send_task('t.reject')
        self.call('t.add', 1, 2, countdown=0.2, priority=5)
        self.assertEqual(w.stop(), 0)
        self.assertEqual(lib.leftover_keys(self.db0), [])
        self.assertEqual(lib.leftover_keys(self.db1), [])
        self.assertIn('_kombu.binding.celery', lib.keys(self.db0))

    def test_binding_is_kombus(self):
        w = self.start(queues='one,two')
        w.stop()
        for q in ('one', 'two'):
            self.assertIn(('%s\x06\x16\x06\x16%s' % (q, q)).encode(),
                          self.db0.smembers('_kombu.binding.' + q))

    def test_commands_are_on_the_keys_of_celery(self):
        """MONITOR of one late task: every key is one that Celery knows, or our own."""
        w = self.start(concurrency=1)
        seen = []
        with self.redis.client(0).monitor() as monitor:
            self.call('t.sleep_late', 0.1)
            self.db0.set('end-of-watch', 1)
            for command in monitor.listen():
                if 'end-of-watch' in command['command']:
                    break
                seen.append(command['command'])
        self.db0.delete('end-of-watch')
        text = '\n'.join(seen)
        self.assertRegex(text, r'celery-task-meta-')
        self.assertRegex(text, r'(?i)publish.*celery-task-meta-')
        if C:
            for word in ('FLUSH', 'KEYS *', 'CONFIG'):
                self.assertNotIn(word, text.upper())
        w.stop()

    def test_held_message_is_in_kombus_form(self):
        import json
        w = self.start(concurrency=1)
        r = self.app.send_task('t.sleep_late', (1,))
        w.wait_output(r.id)
        (tag, value), = self.db0.hgetall('unacked').items()
        message, exchange, key = json.loads(value)
        self.assertEqual(message['headers']['id'], r.id)
        self.assertEqual((exchange, key), ('', 'celery'))
        self.assertEqual(message['properties']['delivery_tag'], tag.decode())
        score = self.db0.zscore('unacked_index', tag)
        self.assertLess(abs(score - time.time()), 5)
        r.get(timeout=20)
        w.stop()

    def test_prefixes(self):
        self.db0.flushdb()
        conf = {'broker_transport_options': {'global_keyprefix': 'pre:'},
                'result_backend_transport_options': {'global_keyprefix': 'res'}}
        if lib.celery_version() < (5, 3):
            del conf['result_backend_transport_options']  # came with 5.3
        app = lib.celery_app(self.broker, self.backend, **conf)
        self.addCleanup(app.close)
        r = app.send_task('t.add', (1, 2), priority=4)
        self.assertEqual([k for k in lib.leftover_keys(self.db0) if 'binding' not in k],
                         ['pre:celery\x06\x163'])
        w = self.start(conf=conf)
        self.assertEqual(r.get(timeout=20), 3)
        slow = app.send_task('t.sleep_late', (1,))
        w.wait_output(slow.id)
        self.assertEqual(self.db0.hlen('pre:unacked'), 1)
        self.assertEqual(slow.get(timeout=20), 1)
        w.stop()
        self.assertEqual([k for k in lib.keys(self.db0)
                          if not k.startswith(('pre:', '_kombu'))], [])
        if 'result_backend_transport_options' in conf:
            self.assertIsNotNone(lib.document(self.db1, r.id, 'res_'))


class Addresses(lib.Case):
    def works(self, broker, backend, py_broker=None, conf=None, **kwargs):
        w = self.start(broker=broker, backend=backend, conf=conf, **kwargs)
        app = lib.celery_app(py_broker or broker, backend, **(conf or {}))
        self.addCleanup(app.close)
        self.assertEqual(app.send_task('t.add', (1, 2)).get(timeout=20), 3)
        self.assertNotIn(SECRET, w.output())
        w.stop()
        self.assertNotIn(SECRET, w.output())
        return w

    def test_unix_socket(self):
        url = 'redis+socket://%s?virtual_host=%d'
        self.works(url % (self.redis.sock, 0), url % (self.redis.sock, 1))

    def test_password(self):
        server = lib.Redis('--requirepass', SECRET)
        self.addCleanup(server.stop)
        user = ':%s@' % SECRET.replace('!', '%21')
        self.works(server.url(0, user), server.url(1, user))

    def test_acl_user(self):
        server = lib.Redis('--user', 'default', 'off', '--user', 'app', 'on',
                           '>' + SECRET, '~*', '&*', '+@all')
        self.addCleanup(server.stop)
        user = 'app:%s@' % SECRET.replace('!', '%21')
        self.works(server.url(0, user), server.url(1, user))

    def test_failover_list(self):
        dead = 'redis://:%s@127.0.0.1:%d/0' % (SECRET.replace('!', '%21'), lib.free_port())
        self.works('%s;%s' % (dead, self.broker), self.backend, py_broker=self.broker)

    def test_another_database(self):
        self.works(self.redis.url(3), self.redis.url(4))

    def test_sentinel(self):
        port = lib.free_port()
        path = lib.tmpname('.conf')
        with open(path, 'w') as f:
            f.write('port %d\nbind 127.0.0.1\ndir %s\n'
                    'sentinel monitor master 127.0.0.1 %d 1\n'
                    % (port, os.path.dirname(path), self.redis.port))
        with open(os.devnull, 'w') as null:
            p = lib.spawn(['redis-server', path, '--sentinel'], stdout=null, stderr=null)
        self.addCleanup(lambda: (p.kill(), p.wait()))
        import redis
        s = redis.Redis(port=port)

        def knows():
            try:
                return s.execute_command('SENTINEL', 'get-master-addr-by-name', 'master')
            except redis.exceptions.RedisError:
                return False
        lib.wait_for('sentinel knows its master', knows, 15)
        conf = {'broker_transport_options': {'master_name': 'master'},
                'result_backend_transport_options': {'master_name': 'master'}}
        down = lib.free_port()
        url = 'sentinel://127.0.0.1:%d/%d;sentinel://127.0.0.1:%d/%d'
        self.works(url % (port, 0, down, 0), url % (port, 1, down, 1), conf=conf)

    def test_wrong_password_is_one_clear_line(self):
        server = lib.Redis('--requirepass', 'other')
        self.addCleanup(server.stop)
        user = ':%s@' % SECRET.replace('!', '%21')
        w = self.start(broker=server.url(0, user), backend=server.url(1, user), wait=False)
        w.wait_output('Cannot connect to', 20)
        time.sleep(0.5)
        self.assertNotIn(SECRET, w.output())
        if C:
            self.assertRegex(w.output(), r'(?i)WRONGPASS|invalid (username|password)|refused')

    def test_unreachable_broker_is_tried_again(self):
        port = lib.free_port()
        w = self.start(broker='redis://127.0.0.1:%d/0' % port, wait=False)
        w.wait_output('Trying again in', 20)
        server = lib.Redis(port=port)
        self.addCleanup(server.stop)
        w.wait_ready(40)
        app = lib.celery_app(server.url(0), self.backend)
        self.addCleanup(app.close)
        self.assertEqual(app.send_task('t.add', (1, 2)).get(timeout=20), 3)
        w.stop()


def openssl(*args):
    subprocess.run(['openssl', *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60)


class Tls(lib.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        d = cls.dir = os.path.join(lib.tmpdir(), 'tls')
        os.makedirs(d, exist_ok=True)
        cls.ca = cls.authority('ca')
        cls.wrong_ca = cls.authority('wrong')
        cert, key = cls.certificate('server', 'DNS:localhost,IP:127.0.0.1')
        cls.client_cert = cls.certificate('client', 'DNS:client')
        other = cls.certificate('other', 'DNS:elsewhere.example')
        cls.port, cls.other_port = lib.free_port(), lib.free_port()
        cls.server = cls.tls_server(cls.port, cert, key, 'no')
        cls.other = cls.tls_server(cls.other_port, *other, 'no')
        cls.addClassCleanup(cls.server.stop)
        cls.addClassCleanup(cls.other.stop)

    @classmethod
    def tls_server(cls, port, cert, key, auth):
        return lib.Redis('--tls-port', str(port), '--tls-cert-file', cert,
                         '--tls-key-file', key, '--tls-ca-cert-file', cls.ca,
                         '--tls-auth-clients', auth, plain=False)

    @classmethod
    def authority(cls, name):
        base = os.path.join(cls.dir, name)
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', base + '.key',
                '-out', base + '.pem', '-days', '2', '-subj', '/CN=' + name)
        return base + '.pem'

    @classmethod
    def certificate(cls, name, alt):
        base = os.path.join(cls.dir, name)
        openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', base + '.key', '-out',
                base + '.csr', '-subj', '/CN=' + name)
        with open(base + '.ext', 'w') as f:
            f.write('subjectAltName=' + alt)
        openssl('x509', '-req', '-in', base + '.csr', '-CA', cls.ca, '-CAkey',
                cls.ca.replace('.pem', '.key'), '-CAcreateserial', '-out', base + '.pem',
                '-days', '2', '-extfile', base + '.ext')
        return base + '.pem', base + '.key'

    def url(self, db, ca=None, port=None, host='127.0.0.1', reqs='required'):
        return 'rediss://%s:%d/%d?ssl_cert_reqs=%s&ssl_ca_certs=%s' % (
            host, port or self.port, db, reqs, ca or self.ca)

    def test_verified(self):
        broker, backend = self.url(0), self.url(1)
        w = self.start(broker=broker, backend=backend)
        app = lib.celery_app(broker, backend)
        self.addCleanup(app.close)
        self.assertEqual(app.send_task('t.add', (1, 2)).get(timeout=20), 3)
        self.assertEqual(app.send_task('t.ident', ('x' * 300000,)).get(timeout=30),
                         'x' * 300000)
        self.assertEqual(w.stop(), 0)

    def test_by_host_name(self):
        w = self.start(broker=self.url(0, host='localhost'),
                       backend=self.url(1, host='localhost'))
        self.assertEqual(w.stop(), 0)

    def refused(self, broker, pattern):
        w = self.start(broker=broker, backend=None, wait=False)
        w.wait_output('Cannot connect to', 20)
        self.assertRegex(w.output(), pattern)
        self.assertNotIn(' ready.', w.output())

    @unittest.skipUnless(C, 'ours')
    def test_wrong_authority_is_refused(self):
        self.refused(self.url(0, ca=self.wrong_ca), r'(?i)certificate')

    @unittest.skipUnless(C, 'ours')
    def test_wrong_host_name_is_refused(self):
        self.refused(self.url(0, port=self.other_port), r'(?i)certificate|host ?name')

    @unittest.skipUnless(C, 'ours')
    def test_no_authority_named_means_the_system_s(self):
        self.refused('rediss://127.0.0.1:%d/0' % self.port, r'(?i)certificate')

    def test_not_verified_when_asked(self):
        w = self.start(broker=self.url(0, ca=self.wrong_ca, reqs='none'),
                       backend=self.url(1, ca=self.wrong_ca, reqs='none'))
        w.stop()

    def test_client_certificate(self):
        cert, key = self.client_cert
        port = lib.free_port()
        server = self.tls_server(port, os.path.join(self.dir, 'server.pem'),
                                 os.path.join(self.dir, 'server.key'), 'yes')
        self.addCleanup(server.stop)
        more = '&ssl_certfile=%s&ssl_keyfile=%s' % (cert, key)
        broker, backend = self.url(0, port=port) + more, self.url(1, port=port) + more
        w = self.start(broker=broker, backend=backend)
        app = lib.celery_app(broker, backend)
        self.addCleanup(app.close)
        self.assertEqual(app.send_task('t.add', (1, 2)).get(timeout=20), 3)
        w.stop()


if __name__ == '__main__':
    lib.main()
