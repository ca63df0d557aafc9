#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Fanout over SNS: remote control, events and broadcast tasks on Amazon SQS.

kombu has it from 5.7 on, and Celery's own worker leaves remote control off there all the same
(Transport.implements of kombu/transport/SQS has direct exchanges alone): its client asks ours.
"""

import http.client
import http.server
import json
import socket
import subprocess
import threading
import unittest

import lib
import sqs
import test_sqs

HOST = socket.gethostname()
OPTIONS = {'supports_fanout': True, 'wait_time_seconds': 1, 'queue_name_prefix': 'f.'}
CONF = {'broker_transport_options': OPTIONS, 'worker_lease_seconds': 3}


class Minute:
    """A front of moto's, on which names of deleted queues are not free again."""

    def __init__(self, port):
        front = self
        self.deleted = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                status, kind, answer = front.refuse(self.headers, body) or front.ask(
                    port, self.path, self.headers, body)
                self.send_response(status)
                self.send_header('Content-Type', kind)
                self.send_header('Content-Length', str(len(answer)))
                self.end_headers()
                try:
                    self.wfile.write(answer)
                except OSError:
                    pass  # of a long poll that was given up

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuse(self, headers, body):
        target = headers.get('X-Amz-Target', '')
        if target == 'AmazonSQS.DeleteQueue':
            self.deleted.append(json.loads(body)['QueueUrl'].rsplit('/', 1)[1])
        if target != 'AmazonSQS.CreateQueue' or json.loads(body)['QueueName'] not in self.deleted:
            return None
        return 400, 'application/x-amz-json-1.0', json.dumps({
            '__type': 'com.amazonaws.sqs#QueueDeletedRecently',
            'message': 'You must wait 60 seconds after deleting a queue'}).encode()

    @staticmethod
    def ask(port, path, headers, body):
        conn = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
        conn.request('POST', path, body, dict(headers))
        got = conn.getresponse()
        answer = got.status, got.getheader('Content-Type', ''), got.read()
        conn.close()
        return answer

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Fanout(test_sqs.Sqs):
    """Moto has SNS; what its queues do is what test_sqs.py asks of both emulators."""

    emulator = sqs.Moto
    conf = {'broker_transport_options': OPTIONS}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.config = lib.tmpname('.json')
        with open(cls.config, 'w') as f:
            json.dump(CONF, f)

    def run_celery_c(self, *args):
        argv = [lib.CELERY_C, '-b', self.broker, '--config', self.config, *args]
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=lib.env_of_workers(), timeout=60 * lib.PATIENCE)

    def celery_c(self, *args, code=0):
        run = self.run_celery_c(*args)
        self.assertEqual(run.returncode, code, run.stdout)
        return run.stdout

    def wait_pong(self, node):
        """Asks until it answers: a poll of one that is gone may have taken a question."""
        lib.wait_for('%s answers' % node, lambda: node in self.run_celery_c(
            'inspect', 'ping', '--timeout', '4', '-d', node).stdout, 60 * lib.PATIENCE, 0.5)

    def start(self, *args, controlled=True, **kwargs):
        """A worker that hears what it is told."""
        w = super().start(*args, **kwargs)
        if controlled and kwargs.get('kind', 'c') == 'c':
            lib.wait_for('%s is subscribed' % w.name, lambda: self.pidbox(w.name) in
                         self.subscribed('f-celery-pidbox'), 20 * lib.PATIENCE, 0.1)
        return w

    @staticmethod
    def pidbox(name):
        return 'f-%s_%s-celery-pidbox' % (name, HOST.replace('.', '-'))

    def queues(self):
        return [u.rsplit('/', 1)[1] for u in self.sqs.call('ListQueues').get('QueueUrls', [])]

    def subscribed(self, topic):
        """The names of the queues that hear it."""
        text = self.sqs.sns('ListSubscriptions')
        return sorted(part.split('</Endpoint>')[0].rsplit(':', 1)[1]
                      for part in text.split('<Endpoint>')[1:]
                      if ':%s</TopicArn>' % topic in part.split('</member>')[0]
                      or ':%s:' % topic in part.split('</member>')[0])


class Control(Fanout):
    def test_commands_reach_every_worker_and_all_answer(self):
        workers = [self.start(conf=CONF, name=n, concurrency=1) for n in ('one', 'two')]
        nodes = ['%s@%s' % (n, HOST) for n in ('one', 'two')]
        out = self.celery_c('inspect', 'ping', '--timeout', '9', '--json', '-d',
                            ','.join(nodes))
        self.assertEqual(sorted(json.loads(out)), nodes)
        # A worker that has no room for tasks hears what it is told.
        path = lib.tmpname('.busy')
        sent = [self.app.send_task('t.count', (path, str(i), 3)) for i in range(4)]
        lib.wait_for('both run', lambda: len([w for w in workers if 'received' in w.output()]) == 2,
                     20 * lib.PATIENCE)
        revoked = sent[3].id
        self.celery_c('control', 'revoke', revoked, '--timeout', '9', '-d', ','.join(nodes))
        for w in workers:
            w.wait_output('Tasks flagged as revoked: %s' % revoked, 10 * lib.PATIENCE)
        out = self.celery_c('inspect', 'stats', '--timeout', '9', '--json', '-d', nodes[0])
        self.assertEqual(list(json.loads(out)), nodes[:1])
        self.assertEqual(len(self.wait_words(path, 3)), 3)
        # The one that is told ends, and is not subscribed any more; the other one stays.
        self.celery_c('control', 'shutdown', '-d', nodes[0], '--timeout', '1', code=69)
        self.assertEqual(workers[0].wait(), 0)
        self.assertEqual(self.subscribed('f-celery-pidbox'), [self.pidbox('two')])
        self.assertEqual(workers[1].stop(), 0)
        self.assertEqual(self.subscribed('f-celery-pidbox'), [])
        # A worker's queue and a reply queue are gone with who had them.
        self.assertEqual([q for q in self.queues() if 'pidbox' in q], [])

    def test_a_command_of_the_time_between_is_forgotten(self):
        """What is broadcast while a worker is away is not for it."""
        w = self.start(conf=CONF, name='away')
        self.assertEqual(w.stop(), 0)
        self.assertNotIn(self.pidbox('away'), self.queues())
        self.celery_c('control', 'shutdown', '--timeout', '1', code=69)
        w = self.start(conf=CONF, name='away')
        node = 'away@' + HOST
        self.assertIn(node, self.celery_c('inspect', 'ping', '--timeout', '9', '-d', node))
        self.assertIsNone(w.process.poll())
        self.assertEqual(w.stop(), 0)

    def test_what_a_killed_worker_leaves(self):
        """Its queue and its subscription, which the next one of its name takes over."""
        w = self.start(conf=CONF, name='killed')
        w.kill9()
        self.assertIn(self.pidbox('killed'), self.queues())
        self.assertIn(self.pidbox('killed'), self.subscribed('f-celery-pidbox'))
        w = self.start(conf=CONF, name='killed')
        node = 'killed@' + HOST
        self.wait_pong(node)
        self.assertEqual(w.stop(), 0)
        self.assertNotIn(self.pidbox('killed'), self.queues())
        self.assertEqual(self.subscribed('f-celery-pidbox'), [])

    def test_a_name_that_is_not_free_again_yet(self):
        """SQS gives a queue's name again after a minute: a restarted worker takes another."""
        front = Minute(self.sqs.port)
        self.addCleanup(front.stop)
        broker = self.broker.replace(':%d' % self.sqs.port, ':%d' % front.port)
        name = self.pidbox('again')
        node = 'again@' + HOST
        for deleted in ([name], [name, name + '-']):
            w = lib.Worker(broker, self.backend, conf=CONF, name='again')
            self.addCleanup(w.kill9)
            lib.wait_for('it is subscribed', lambda: any(
                q.startswith(name) for q in self.subscribed('f-celery-pidbox')),
                20 * lib.PATIENCE, 0.1)
            self.wait_pong(node)
            self.assertEqual(w.stop(), 0)
            self.assertEqual([d[:len(name) + 1] for d in front.deleted if d.startswith(name)],
                             deleted)
        self.assertEqual([q for q in self.queues() if q.startswith(name)], [])
        self.assertEqual(self.subscribed('f-celery-pidbox'), [])

    def test_without_the_option(self):
        options = dict(OPTIONS)
        del options['supports_fanout']
        path = lib.tmpname('.json')
        with open(path, 'w') as f:
            json.dump({'broker_transport_options': options}, f)
        run = subprocess.run([lib.CELERY_C, '-b', self.broker, '--config', path, 'inspect', 'ping'],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=lib.env_of_workers(), timeout=60)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn('sqs has no broadcasts', run.stdout)

    def test_a_topic_that_is_not_predefined(self):
        conf = {'broker_transport_options': dict(OPTIONS, predefined_exchanges={
            'other': {'arn': 'arn:aws:sns:us-east-1:123456789012:other'}})}
        w = self.start(conf=conf, name='closed', controlled=False)
        w.wait_output('exchange celery.pidbox is not among predefined_exchanges')
        self.assertEqual(self.call('t.add', 2, 3), 5)
        self.assertEqual(w.stop(), 0)


class Events(Fanout):
    def test_events_are_heard(self):
        log = lib.tmpname('.events')
        with open(log, 'wb') as out:
            watch = lib.spawn([lib.CELERY_C, '-b', self.broker, '--config', self.config, 'events',
                               '--json'], stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, env=lib.env_of_workers())
        self.addCleanup(watch.kill)

        def seen():
            with open(log) as f:
                return [json.loads(line)['type'] for line in f if line.startswith('{')]
        lib.wait_for('it listens', lambda: self.subscribed('f-celeryev'), 20 * lib.PATIENCE, 0.1)
        w = self.start('-E', conf=CONF, name='told')
        self.assertEqual(self.call('t.add', 2, 3), 5)
        lib.wait_for('all of a task', lambda: {'worker-online', 'task-received', 'task-started',
                                               'task-succeeded'} <= set(seen()),
                     20 * lib.PATIENCE, 0.1)
        self.assertEqual(w.stop(), 0)
        lib.wait_for('the end', lambda: 'worker-offline' in seen(), 20 * lib.PATIENCE, 0.1)
        watch.terminate()
        watch.wait(20 * lib.PATIENCE)
        self.assertEqual(self.subscribed('f-celeryev'), [])
        self.assertEqual([q for q in self.queues() if 'celeryev' in q], [])


@unittest.skipIf(lib.celery_version() < (5, 7), 'kombu has fanout on SQS from 5.7 on')
class Beside(Fanout):
    """Celery's client and worker on the other side."""

    def queue(self, name):
        return dict(CONF, task_queues={name: {
            'exchange': 'everybody', 'exchange_type': 'fanout', 'routing_key': ''}})

    def test_a_broadcast_task_runs_on_every_worker(self):
        for w in (self.start(kind='c', name='ours', queues='copy.c', conf=self.queue('copy.c')),
                  self.start(kind='python', name='theirs', queues='copy.py',
                             conf=self.queue('copy.py'))):
            self.addCleanup(w.stop)
        lib.wait_for('both are subscribed', lambda: self.subscribed('f-everybody') ==
                     ['f-copy-c', 'f-copy-py'], 20 * lib.PATIENCE, 0.1)
        path = lib.tmpname('.all')
        from kombu import Exchange, Queue
        self.app.amqp.queues.add(Queue('copy.c', Exchange('everybody', 'fanout'), ''))
        self.app.send_task('t.count', (path, 'python'), queue='copy.c')
        self.assertEqual(self.wait_words(path, 2), ['python'] * 2)
        config = lib.tmpname('.json')
        with open(config, 'w') as f:
            json.dump(self.queue('copy.py'), f)
        argv = [lib.CELERY_C, '-b', self.broker, '--config', config, 'call', 't.count', '-a',
                json.dumps([path, 'c']), '--queue', 'copy.py']
        subprocess.run(argv, check=True, env=lib.env_of_workers(), timeout=60 * lib.PATIENCE)
        self.assertEqual(sorted(self.wait_words(path, 4)), ['c'] * 2 + ['python'] * 2)
        for queue in ('f-copy-c', 'f-copy-py'):
            self.wait_empty(queue)

    def test_their_client_controls_our_worker(self):
        from kombu.asynchronous import Hub, set_event_loop
        set_event_loop(Hub())  # without one kombu's SQS client cannot delete replies
        self.addCleanup(set_event_loop, None)
        w = self.start(conf=CONF, name='asked')
        node = 'asked@' + HOST
        ask = self.app.control.inspect([node], timeout=9, limit=1)
        self.assertEqual(ask.ping(), {node: {'ok': 'pong'}})
        self.assertIn('t.add', ask.registered()[node])
        self.app.control.revoke('some-id')
        w.wait_output('Tasks flagged as revoked: some-id', 20 * lib.PATIENCE)
        self.app.control.shutdown()
        self.assertEqual(w.wait(), 0)


if __name__ == '__main__':
    lib.main()
