#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is RabbitMQ's alone: entities and arguments beside those that a Python worker
declares, types of exchanges, priorities, redelivery, dead letters, and a broker that takes
something away."""

import re
import signal
import socket
import time
import unittest
import uuid

import lib

lib.BROKER = 'amqp'
C = lib.KIND == 'c'
HOST = socket.gethostname()
QUEUES = {
    'plain': {'exchange': 'plain', 'routing_key': 'plain'},
    'topics': {'exchange': 'papers', 'exchange_type': 'topic', 'routing_key': 'news.#'},
    'sport': {'exchange': 'papers', 'exchange_type': 'topic', 'routing_key': '*.sport.*'},
    'copy1': {'exchange': 'everybody', 'exchange_type': 'fanout', 'routing_key': 'x'},
    'copy2': {'exchange': 'everybody', 'exchange_type': 'fanout', 'routing_key': 'x'},
    'old': {'exchange': 'plain', 'routing_key': 'old', 'queue_arguments': {
        'x-message-ttl': 60000, 'x-expires': 90000, 'x-max-length': 1000,
        'x-dead-letter-exchange': 'plain', 'x-dead-letter-routing-key': 'plain'}},
    'first': {'exchange': 'plain', 'routing_key': 'first',
              'queue_arguments': {'x-max-priority': 10}},
    'lost': {'exchange': 'plain', 'routing_key': 'lost', 'queue_durable': False,
             'queue_auto_delete': True},
}
LAZY = {'task_queues': QUEUES, 'task_default_queue': 'plain', 'task_default_exchange': 'plain'}


def masked(value):
    """Without what differs from worker to worker."""
    text = re.sub(r'[0-9a-f]{8}-[0-9a-f-]{27}', 'ID', repr(value))
    return text.replace(HOST, 'HOST')


class Entities(lib.Case):
    """Each worker in a virtual host of its own."""

    maxDiff = None

    def declared(self, kind, conf, **options):
        rabbit = self.new_rabbit()
        worker = lib.Worker(rabbit.url(), self.backend, kind=kind, conf=conf, name='same',
                            alone=False, **options)
        self.addCleanup(worker.kill9)
        lib.wait_for('it consumes', lambda: [
            q for n, q in rabbit.queues().items() if q['consumers'] and 'pidbox' not in n], 10)
        # Pidbox and the queue itself are declared one after the other.
        lib.wait_for('remote control', lambda: [
            n for n in rabbit.queues() if n.endswith('.pidbox')], 10)
        time.sleep(0.3)
        queues = {masked(n): {k: v for k, v in q.items() if k not in (
            'messages', 'ready', 'unacked')} for n, q in rabbit.queues().items()}
        exchanges = {masked(n): x for n, x in rabbit.exchanges().items()}
        bindings = [masked(b) for b in rabbit.bindings()]
        worker.kill9()
        return queues, exchanges, bindings

    def assert_same(self, conf, **options):
        if lib.celery_version() >= (5, 7):  # its defaults; ours are what all before it have
            conf = dict(conf, control_queue_exclusive=True, event_queue_exclusive=True)
        ours = self.declared(lib.KIND, conf, **options)
        theirs = self.declared('python', conf, **options)
        for what, mine, others in zip(('queues', 'exchanges', 'bindings'), ours, theirs):
            self.assertEqual(mine, others, what)
        return ours

    def test_default(self):
        queues, exchanges, bindings = self.assert_same({})
        self.assertIn("'celery'", queues)

    def test_every_type_and_argument(self):
        queues, exchanges, bindings = self.assert_same(LAZY)
        self.assertEqual(queues["'old'"]['arguments']['x-message-ttl'][1], 60000)
        self.assertEqual(exchanges["'everybody'"]['type'], 'fanout')

    def test_max_priority(self):
        queues, _, _ = self.assert_same({'task_queue_max_priority': 7, 'task_queues': {
            'a': {}, 'b': {'queue_arguments': {'x-max-priority': 3}}}})
        self.assertEqual([queues["'%s'" % n]['arguments']['x-max-priority'][1] for n in 'ab'],
                         [7, 3])

    def test_queues_of_the_command_line(self):
        self.assert_same({}, queues='one,two')

    def test_a_quorum_queue(self):
        if lib.celery_version() < (5, 5):
            self.skipTest('task_default_queue_type came with 5.5')
        queues, _, _ = self.assert_same({'task_default_queue_type': 'quorum'})
        self.assertEqual(queues["'celery'"]['type'], 'quorum')


class Exchanges(lib.Case):
    """A Python producer names exchanges and routing keys."""

    worker_options = {'conf': LAZY, 'concurrency': 1}

    def send(self, exchange, key, **options):
        r = self.app.send_task('t.request', exchange=exchange, routing_key=key, **options)
        return r.get(timeout=20)

    def test_direct(self):
        got = self.send('plain', 'first')
        self.assertEqual((got['exchange'], got['routing_key'], got['redelivered']),
                         ('plain', 'first', False))

    def test_default_exchange(self):
        r = self.app.send_task('t.request', queue='nobody')
        self.queues.put('plain', self.queues.take('nobody'))
        got = r.get(timeout=20)
        self.assertEqual((got['exchange'], got['routing_key']), ('', 'plain'))

    def test_topic(self):
        got = self.send('papers', 'news.today')
        self.assertEqual((got['exchange'], got['routing_key']), ('papers', 'news.today'))

    def test_fanout_reaches_both_queues(self):
        path = lib.tmpname('.count')
        r = self.app.send_task('t.count', (path, 'x'), exchange='everybody', routing_key='any')
        r.get(timeout=20)
        lib.wait_for('twice', lambda: open(path).read() == 'x\nx\n', 10)

    def test_topic_that_fits_two(self):
        path = lib.tmpname('.count')
        self.app.send_task('t.count', (path, 'x'), exchange='papers',
                           routing_key='news.sport.golf').get(timeout=20)
        lib.wait_for('twice', lambda: open(path).read() == 'x\nx\n', 10)

    def test_nothing_is_held(self):
        self.send('plain', 'plain')
        lib.wait_for('settled', lambda: not self.queues.held(), 10)


class Headers(lib.Case):
    def test_headers_exchange(self):
        self.start(conf={'task_queues': {
            'celery': {}, 'red': {'exchange': 'h', 'exchange_type': 'headers',
                                  'routing_key': 'red', 'binding_arguments': {
                                      'colour': 'red', 'x-match': 'all'}}}})
        bound = [b for b in self.rabbit.bindings() if b[0] == 'h']
        self.assertEqual([(b[2], b[4].get('colour')) for b in bound],
                         [('red', ['longstr', 'red'])])
        r = self.app.send_task('t.request', exchange='h', routing_key='any',
                               headers={'colour': 'red'})
        self.assertEqual(r.get(timeout=20)['exchange'], 'h')


class Priorities(lib.Case):
    def test_the_highest_first(self):
        conf = {'task_queue_max_priority': 10, 'worker_prefetch_multiplier': 1,
                'task_acks_late': True}
        self.app.conf.task_queue_max_priority = 10
        path = lib.tmpname('.count')
        sent = [self.app.send_task('t.count', (path, str(p)), priority=p)
                for p in (1, 5, 0, 9, 3, 9)]
        self.start(conf=conf, pool='solo', concurrency=1)
        for r in sent:
            r.get(timeout=20)
        self.assertEqual(open(path).read().split(), ['9', '9', '5', '3', '1', '0'])


class Delivery(lib.Case):
    def setUp(self):
        self.queues.clear()

    def test_what_a_dead_worker_held_is_redelivered_at_once(self):
        first = self.start(name='victim', concurrency=1)
        r = self.app.send_task('t.sleep_late', (1.5,))
        first.wait_output('t.sleep_late[%s] received' % r.id)
        lib.wait_for('held', lambda: self.queues.held() == 1, 5)
        first.kill9()
        lib.wait_for('back', lambda: self.queues.waiting() == 1, 5)
        message = self.queues.take('celery')
        self.assertTrue(message['properties']['delivery_info']['redelivered'])
        self.queues.put('celery', message)
        self.start(name='heir')
        self.assertEqual(r.get(timeout=20), 1.5)
        lib.wait_for('settled', lambda: not self.queues.left(), 10)

    def test_the_task_sees_that_it_is_redelivered(self):
        r = self.app.send_task('t.request')
        channel, message = self.queues.get('celery')
        self.assertIsNotNone(message)
        channel.close()  # given back
        self.start()
        self.assertTrue(r.get(timeout=20)['redelivered'])

    def test_prefetch_leaves_the_rest_for_others(self):
        slow = self.start(name='slow', concurrency=1, conf={'worker_prefetch_multiplier': 2})
        first = self.app.send_task('t.sleep', (3,))
        slow.wait_output('t.sleep[%s] received' % first.id)
        rest = [self.app.send_task('t.request') for _ in range(20)]
        lib.wait_for('two are held', lambda: 1 <= self.queues.held() <= 3, 5)
        self.assertGreaterEqual(self.queues.waiting(), 17)
        self.start(name='quick')
        names = {r.get(timeout=20)['hostname'].split('@')[0] for r in rest}
        self.assertIn('quick', names)

    def test_a_rejected_message_goes_to_the_dead_letter_exchange(self):
        arguments = {'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'grave'}
        conf = {'task_queues': {'work': {'queue_arguments': arguments}, 'grave': {}}}
        self.start(conf=conf, queues='work')
        queue = self.app.amqp.queues.add('grave')
        with self.app.connection_for_write() as c:
            queue(c.default_channel).declare()
        r = self.app.send_task('t.reject', exchange='celery', routing_key='work')
        message = lib.wait_for('the dead letter', lambda: self.queues.take('grave'), 10)
        self.assertEqual(message['headers']['id'], r.id)
        self.assertEqual(message['headers']['x-death'][0]['reason'], 'rejected')

    def test_expired_in_the_queue(self):
        """A message that the broker drops never reaches the worker."""
        self.app.send_task('t.noop', queue='celery', expiration=0.2)
        time.sleep(1)
        self.assertEqual(self.queues.left(), 0)
        self.start()
        self.assertEqual(self.call('t.add', 1, 2), 3)


class Taken(lib.Case):
    """The broker takes something away; work goes on within five seconds."""

    def setUp(self):
        self.queues.clear()
        self.w = self.start(concurrency=2, name=uuid.uuid4().hex[:6])
        self.assertEqual(self.call('t.add', 1, 2), 3)

    def consumed(self):
        return self.rabbit.queues().get('celery', {'consumers': 0})['consumers']

    def test_its_connection(self):
        late = self.app.send_task('t.sleep', (1,))
        self.w.wait_output('t.sleep[%s] received' % late.id)
        closed = time.monotonic()
        self.assertGreater(self.rabbit.close_connections('the broker has its reasons'), 0)
        lib.wait_for('a new consumer', self.consumed, 10)
        self.assertLess(time.monotonic() - closed, 5 * lib.PATIENCE / 2)
        app = lib.celery_app(self.broker, self.backend)
        self.addCleanup(app.close)
        self.assertEqual(app.send_task('t.add', (2, 3)).get(timeout=20), 5)
        self.assertEqual(late.get(timeout=20), 1)
        lib.wait_for('settled', lambda: not self.queues.left(), 10)

    @unittest.skipUnless(C, 'Python raises and starts its connection anew')
    def test_its_queue(self):
        self.rabbit.delete_queue('celery')
        lib.wait_for('it is declared and consumed again', self.consumed, 10)
        lib.wait_for('it works', lambda: self.app.send_task('t.add', (2, 3)).get(timeout=20) == 5)
        self.assertIsNone(self.w.process.poll())

    @unittest.skipUnless(C, 'Python gives up now and then')
    def test_many_connections(self):
        """Nothing is lost when it happens again and again under load."""
        count = 5 if lib.QUICK else 15
        path = lib.tmpname('.count')
        results = []
        for i in range(count):
            lib.wait_for('a consumer', self.consumed, 10)
            app = lib.celery_app(self.broker, self.backend)
            results += [(app, app.send_task('t.count', (path, '%d-%d' % (i, j))))
                        for j in range(20)]
            # Ours alone: what Python's client has sent is not confirmed.
            self.rabbit.close_connections('again')
        for app, r in results:
            fresh = lib.celery_app(self.broker, self.backend)
            fresh.AsyncResult(r.id).get(timeout=30)
            fresh.close()
        words = set(open(path).read().split())
        self.assertEqual(len(words), count * 20)


class Credentials(lib.Case):
    results = ('redis',)

    def refused(self, url, text):
        w = self.start(broker=url, wait=False, conf={'broker_connection_max_retries': 0})
        w.wait_output(text, 20)
        self.assertNotIn('s3cret', w.output())
        w.kill9()

    def test_one_line_each(self):
        port = self.rabbit.port
        self.refused('amqp://guest:s3cret@127.0.0.1:%d/%s' % (port, self.rabbit.vhost),
                     'ACCESS_REFUSED' if not C else 'refused')
        self.refused('amqp://guest:guest@127.0.0.1:%d/nowhere' % port, 'nowhere')


@unittest.skipUnless(C, 'ours')
class Restarted(lib.Case):
    """A node of its own that is killed: durable queues and persistent messages remain."""

    @classmethod
    def new_rabbit(cls):
        import rabbit
        found = rabbit.Rabbit()
        cls.addClassCleanup(found.stop)
        return found

    def test_kill9_of_the_node(self):
        # A broker need not have written what it did not confirm.
        self.app.conf.broker_transport_options = {'confirm_publish': True}
        w = self.start(concurrency=1)
        sent = [self.app.send_task('t.sleep_late', (0.5,)) for _ in range(6)]
        self.assertEqual(sent[0].get(timeout=20), 0.5)
        self.rabbit.kill9()
        time.sleep(0.5)
        w.send(signal.SIGSTOP)  # so that what the node has kept can be counted
        self.rabbit.start()
        kept = self.queues.left()
        w.send(signal.SIGCONT)
        self.assertGreaterEqual(kept, len(sent) - 3, 'the node lost what it had confirmed')
        lib.wait_for('a consumer', lambda: self.rabbit.queues()['celery']['consumers'], 10)
        for r in sent:
            self.assertEqual(r.get(timeout=30), 0.5)
        lib.wait_for('settled', lambda: not self.queues.left(), 10)
        self.assertEqual(w.stop(), 0)


if __name__ == '__main__':
    lib.main()
