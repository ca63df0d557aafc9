#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a worker says, and how it ends, when RabbitMQ or the settings refuse it: one line that
says what to change, and Celery's exit codes."""

import os
import re
import socket
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'interop'), os.path.join(HERE, '..', 'support')]
import lib  # noqa: E402
import rabbit  # noqa: E402

FATAL = 'Unrecoverable error: '


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        lib.need_worker()
        try:
            cls.rabbit = rabbit.Rabbit(tls=True)
        except rabbit.Failed as exc:
            raise unittest.SkipTest(str(exc))
        cls.addClassCleanup(cls.rabbit.stop)
        cls.rabbit.add_user('small', 's', rights=('^$', '^$', '^$'))
        cls.rabbit.add_vhost('other')

    def start(self, url, conf=None, queues=None):
        w = lib.Worker(url, 'disabled://', kind='c', conf=conf, queues=queues, wait=False)
        self.addCleanup(w.kill9)
        return w

    def ends(self, pattern, url=None, start=FATAL, **options):
        """The worker ends at once with exit code 1 and one line that says why."""
        w = self.start(url or self.rabbit.url(), **options)
        self.assertEqual(w.wait(10), 1, w.output())
        lines = [s for s in w.output().splitlines() if re.search(pattern, s)]
        self.assertEqual(len(lines), 1, w.output())
        self.assertIn(start, lines[0])
        self.assertNotIn('Trying again', w.output())
        self.assertNotIn('guest:wrong', w.output())

    def tries_again(self, pattern, url, conf=None):
        """It may pass: said with each attempt, and the worker goes on."""
        w = self.start(url, conf)
        lib.wait_for('a line like ' + pattern, lambda: re.search(
            'Cannot connect to .*' + pattern, w.output()), 10 * lib.PATIENCE)
        self.assertIsNone(w.process.poll())
        self.assertNotIn(FATAL, w.output())
        line = re.search('Cannot connect to .*', w.output()).group()
        self.assertEqual(line.count('://'), 1 + line.count('use amqps://'), line)

    def queue(self, name, **options):
        return {'task_queues': [dict({'name': name, 'exchange': name, 'routing_key': name},
                                     **options)]}


class Refused(Case):
    # ---- who and where ----

    def test_wrong_password(self):
        self.ends('login was refused for user guest .*check user and password',
                  self.rabbit.url(user='guest:wrong'))

    def test_unknown_user(self):
        self.ends('login was refused for user nobody', self.rabbit.url(user='nobody:x'))

    def test_unknown_vhost(self):
        self.ends('vhost nowhere was refused: it does not exist',
                  self.rabbit.url(vhost='nowhere'))

    def test_vhost_of_others(self):
        self.ends('vhost other was refused', self.rabbit.url(vhost='other', user='small:s'))

    def test_no_permission(self):
        self.ends('error: queue celery: the user may not configure it',
                  self.rabbit.url(user='small:s'))

    def test_unknown_login_method(self):
        self.ends('broker_login_method is WHAT: PLAIN, AMQPLAIN and EXTERNAL are known',
                  conf={'broker_login_method': 'WHAT'})

    def test_another_url_of_the_list(self):
        w = self.start(self.rabbit.url(user='guest:wrong') + ';' + self.rabbit.url())
        w.wait_ready()
        self.assertIn('login was refused', w.output())
        self.assertEqual(w.stop(), 0)

    def test_all_urls_of_the_list(self):
        w = self.start(self.rabbit.url(user='guest:wrong') + ';' +
                       self.rabbit.url(vhost='nowhere'))
        self.assertEqual(w.wait(10), 1)
        self.assertIn(FATAL, w.output())

    # ---- ports and TLS ----

    def test_redis_on_the_port(self):
        redis = lib.Redis()
        self.addCleanup(redis.stop)
        self.tries_again('no AMQP greeting within 1 s: is it the right port', 'amqp://guest:guest@127.0.0.1:%d//' % redis.port,
                         {'broker_connection_timeout': 1})

    def test_http_on_the_port(self):
        server = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(server.close)

        def serve():
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(100)
                    peer.sendall(b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
        threading.Thread(target=serve, daemon=True).start()
        self.tries_again('this is no AMQP server: is it the right port',
                         'amqp://guest:guest@127.0.0.1:%d//' % server.getsockname()[1])

    def test_nobody_on_the_port(self):
        self.tries_again('refused', 'amqp://guest:guest@127.0.0.1:%d//' % lib.free_port())

    def test_tls_on_the_port(self):
        self.tries_again('speaks TLS on this port: use amqps://',
                         'amqp://guest:guest@127.0.0.1:%d//' % self.rabbit.tls_port)

    def test_no_tls_on_the_port(self):
        self.tries_again('the server does not speak it on this port',
                         self.rabbit.url(scheme='amqps'))

    def test_unknown_authority(self):
        self.tries_again('certificate is refused: .*name its issuer with ssl_ca_certs',
                         self.rabbit.tls_url())

    def test_name_of_another(self):
        ca = os.path.join(self.rabbit.dir, 'ca.pem')
        self.tries_again('certificate is refused: .*use the name the certificate was made for',
                         self.rabbit.tls_url(host='127.0.0.2') + '?ssl_ca_certs=' + ca)

    def test_settings_for_tls(self):
        """py-amqp's dictionary; the name that the certificate is for."""
        ca = os.path.join(self.rabbit.dir, 'ca.pem')
        url = 'amqp://guest:guest@127.0.0.2:%d//' % self.rabbit.tls_port
        w = self.start(url, {'broker_use_ssl': {'ca_certs': ca, 'cert_reqs': 2,
                                                'server_hostname': 'localhost'}})
        w.wait_ready()
        self.assertEqual(w.stop(), 0)

    # ---- queues ----

    def declared(self, name, conf=None):
        w = self.start(self.rabbit.url(), conf, queues=name)
        w.wait_ready()
        w.stop()

    def test_queue_with_other_arguments(self):
        self.declared('a')
        self.ends('queue a is there already with another x-max-priority: set '
                  'task_queue_max_priority, or max_priority', conf=self.queue('a', max_priority=3))
        self.ends('queue a is there already with another x-queue-type: set '
                  'task_default_queue_type',
                  conf=self.queue('a', queue_arguments={'x-queue-type': 'quorum'}))
        self.ends('queue a is there already with another type: set exchange_type',
                  conf=self.queue('a', exchange_type='topic'))

    def test_unless_it_is_to_be_tried_again(self):
        self.declared('e')
        self.tries_again('queue e is there already', self.rabbit.url(),
                         dict(self.queue('e', max_priority=3), broker_channel_error_retry=True))

    def test_exclusive_queue_of_another(self):
        conf = self.queue('x', exclusive=True)
        first = self.start(self.rabbit.url(), conf)
        first.wait_ready()
        self.ends('queue x belongs to another connection alone', conf=conf)
        first.stop()

    def test_unknown_exchange_type(self):
        self.ends('queue b: the broker does not know its exchange type',
                  conf=self.queue('b', exchange_type='x-what'))

    def test_arguments_of_a_wrong_type(self):
        self.ends("queue c cannot be declared so: .*x-max-length",
                  conf=self.queue('c', queue_arguments={'x-max-length': 'many'}))

    def test_unknown_queue_type(self):
        self.ends('queue d cannot be declared so: .*x-queue-type',
                  conf=self.queue('d', queue_arguments={'x-queue-type': 'none'}))

    def test_settings_that_cannot_be(self):
        for options, pattern in (({'durable': 'maybe'}, 'durable is neither true nor false'),
                                 ({'max_priority': 256}, 'max_priority is out of range'),
                                 ({'queue_arguments': []}, 'queue_arguments is no map')):
            self.ends('task_queues: queue f: ' + pattern, start='Error: ',
                      conf=self.queue('f', **options))


class Between:
    """Stands before the broker and changes what it greets with: words of the same length."""

    def __init__(self, port, *changes):
        self.port, self.changes = port, changes
        self.server = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self.serve, daemon=True).start()

    def url(self):
        return 'amqp://guest:guest@127.0.0.1:%d//' % self.server.getsockname()[1]

    def serve(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            broker = socket.create_connection(('127.0.0.1', self.port))
            threading.Thread(target=self.copy, args=(peer, broker), daemon=True).start()
            threading.Thread(target=self.copy, args=(broker, peer, self.changes),
                             daemon=True).start()

    @staticmethod
    def copy(source, to, changes=()):
        try:
            # The broker's first frame is its greeting.
            head = source.recv(7, socket.MSG_WAITALL) if changes else b''
            if head:
                rest = source.recv(int.from_bytes(head[3:], 'big') + 1, socket.MSG_WAITALL)
                for old, new in changes:
                    assert len(old) == len(new) and rest.count(old) == 1, (old, rest)
                    rest = rest.replace(old, new)
                to.sendall(head + rest)
            while True:
                data = source.recv(65536)
                if not data:
                    break
                to.sendall(data)
        except OSError:
            pass
        for s in (source, to):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Lacking(Case):
    """A broker without what there is to be."""

    def before(self, *changes):
        between = Between(self.rabbit.port, *changes)
        self.addCleanup(between.server.close)
        return between.url()

    def test_no_publisher_confirms(self):
        self.ends('RabbitMQ [0-9.]+. has no publisher_confirms: .* Use RabbitMQ 3.10 or newer',
                  self.before((b'publisher_confirmst\x01', b'publisher_confirmst\x00')))

    def test_no_nack(self):
        self.ends('has no basic.nack: .* Use RabbitMQ 3.10 or newer',
                  self.before((b'basic.nackt\x01', b'basic.nackt\x00')))

    def test_no_quorum_queues(self):
        version = self.rabbit.release.version.encode()
        url = self.before((version, b'3.7.28'.ljust(len(version), b'0')[:len(version)]))
        self.ends('queue g: RabbitMQ 3.7[.0-9]+ has no quorum queues: use RabbitMQ 3.10', url,
                  conf=self.queue('g', queue_arguments={'x-queue-type': 'quorum'}))

    def test_no_cancel_notify(self):
        w = self.start(self.before((b'consumer_cancel_notifyt\x01',
                                    b'consumer_cancel_notifyt\x00')))
        w.wait_ready()
        self.assertEqual(w.output().count('has no consumer_cancel_notify'), 1)
        self.assertEqual(w.stop(), 0)


if __name__ == '__main__':
    lib.main()
