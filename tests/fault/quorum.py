#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Quorum queues count what comes back themselves: a task that takes the worker along is parked
after the redelivery budget, its neighbours are not; a lower limit of the queue, or of a policy,
comes first.  RabbitMQ of the distribution, or 4 (CELERY_TEST_RABBIT_VERSION=4)."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402
from kombu import Exchange, Queue  # noqa: E402
from restarts import Restarts  # noqa: E402

lib.BROKER = 'amqp'
DEAD = '.celery-c.dead'


@unittest.skipUnless(lib.KIND == 'c', 'about our own worker')
class Quorum(Restarts, lib.Case):
    brokers = ('amqp',)
    results = ('redis',)
    count = 0
    queues_by_name = {}

    def queue(self, **arguments):
        """A queue of its own for each test."""
        Quorum.count += 1
        name = 'quorum%d' % self.count
        arguments = dict({'x-queue-type': 'quorum'}, **arguments)
        self.queues_by_name[name] = Queue(name, Exchange(''), name,
                                          queue_arguments=arguments)
        self.conf = {'task_queues': [{'name': name, 'exchange': '', 'routing_key': name,
                                      'queue_arguments': arguments}],
                     'task_default_queue': name}
        with self.app.connection_for_write() as connection:
            self.queues_by_name[name](connection.default_channel).declare()
        return name

    def messages(self, queue):
        """What the broker says now: its notes of quorum queues are seconds old."""
        with self.app.connection_for_read() as connection:
            return connection.default_channel.queue_declare(queue, passive=True).message_count

    def is_parked(self, queue):
        return queue + DEAD in self.rabbit.queues() and self.messages(queue + DEAD) == 1

    def send(self, queue, name, *args):
        return self.app.send_task(name, args, queue=self.queues_by_name[queue])

    def start_one(self, turn, pool, **conf):
        queue = self.conf['task_default_queue']
        return self.start(pool=pool, concurrency=1 if pool == 'solo' else 3, queues=queue,
                          name='%s%d' % (queue, turn), wait=False, conf=dict(self.conf, **conf))

    def parked_after(self, pool, budget, **conf):
        queue, path = self.queue(), lib.tmpname('.starts')
        self.send(queue, 't.abort_late', path)
        beside = [self.send(queue, 't.sleep_late', 0.01) for _ in range(5)]

        def over():
            return self.is_parked(queue) and all(r.ready() for r in beside)
        deaths, w = self.restart_until(over, pool, **conf)
        self.assertEqual((self.starts(path), deaths), (budget + 1, budget + 1))
        self.assertEqual(self.messages(queue + DEAD), 1)
        with self.app.connection_for_read() as connection:
            letter = connection.default_channel.basic_get(queue + DEAD, no_ack=True)
        self.assertIn('its task ended %d worker processes' % budget,
                      letter.headers['x-celery-c-dead-reason'])
        for r in beside:
            self.assertEqual(r.get(timeout=10), 0.01)
        lib.wait_for('nothing left', lambda: self.messages(queue) == 0, 10 * lib.PATIENCE)
        w.stop()

    def test_solo(self):
        self.parked_after('solo', 3)

    def test_threads(self):
        self.parked_after('threads', 3)

    def test_budget_of_one(self):
        self.parked_after('threads', 1, worker_redelivery_budget=1)

    def limit_comes_first(self, queue, runs):
        path = lib.tmpname('.starts')
        self.send(queue, 't.abort_late', path)
        self.restart_until(lambda: self.messages('letters') == 1, 'solo')
        self.assertEqual(self.starts(path), runs)
        self.assertNotIn(queue + DEAD, self.rabbit.queues())
        with self.app.connection_for_write() as connection:
            connection.default_channel.queue_purge('letters')

    def letters(self):
        with self.app.connection_for_write() as connection:
            connection.default_channel.queue_declare('letters', durable=True,
                                                     auto_delete=False)
        return {'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'letters'}

    def test_lower_limit_of_the_queue(self):
        for limit in (1, 2):
            queue = self.queue(**dict(self.letters(), **{'x-delivery-limit': limit}))
            self.limit_comes_first(queue, limit + 1)

    def test_lower_limit_of_a_policy(self):
        self.letters()
        queue = self.queue()
        self.rabbit.eval(
            'rabbit_policy:set(<<"%s">>, <<"p">>, <<"^%s$">>, [{<<"delivery-limit">>, 1}, '
            '{<<"dead-letter-exchange">>, <<"">>}, '
            '{<<"dead-letter-routing-key">>, <<"letters">>}], 1, <<"queues">>, <<"guest">>)'
            % (self.rabbit.vhost, queue, ))
        self.limit_comes_first(queue, 2)

    def test_what_only_lay_there_is_not_blamed(self):
        """Prefetched by workers that were killed, and never started: it still runs."""
        queue = self.queue()
        paths = [lib.tmpname('.mark') for _ in range(3)]
        first = self.send(queue, 't.mark', paths[0], 1.5)
        rest = [self.send(queue, 't.mark', p, 0.01) for p in paths[1:]]
        for turn in range(5):
            w = self.start(pool='solo', concurrency=1, queues=queue, wait=False,
                           name='%s-%d' % (queue, turn),
                           conf=dict(self.conf, worker_prefetch_multiplier=3,
                                     worker_redelivery_budget=9 if turn < 4 else 2))
            lib.wait_for('start %d' % turn, lambda: self.starts(paths[0]) > turn
                         or turn == 4, 30 * lib.PATIENCE)
            if turn < 4:
                w.kill9()
        for r in [first, *rest]:
            r.get(timeout=30 * lib.PATIENCE)
        self.assertEqual([self.starts(p) for p in paths], [5, 1, 1])
        w.stop()

    def test_a_task_that_puts_itself_back_meets_the_limit(self):
        """Copies that its starts are counted in do not begin it anew."""
        queue = self.queue(**dict(self.letters(), **{'x-delivery-limit': 6}))
        self.send(queue, 't.again')
        w = self.start(pool='solo', concurrency=1, queues=queue, conf=self.conf)
        lib.wait_for('parked, or dead-lettered', lambda: self.messages('letters')
                     or queue + DEAD in self.rabbit.queues(), 20 * lib.PATIENCE)
        self.assertIn(w.output().count('] received'), (7, 8))
        w.stop()


if __name__ == '__main__':
    lib.main()
