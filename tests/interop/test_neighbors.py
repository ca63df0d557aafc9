#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What workers learn from each other, C and Python ones alike: revoked ids and clocks at their
start (mingle), and who is elected (gossip)."""

import re
import time
import uuid

import lib


class Neighbors(lib.Case):
    def neighbor(self, kind, name, *args, **options):
        return self.start(*args, kind=kind, name=name, alone=False, concurrency=1, **options)

    def ask(self, name, command, **arguments):
        replies = self.app.control.broadcast(
            command, arguments, reply=True, timeout=3, limit=1,
            destination=[self.full(name)])
        self.assertEqual(len(replies), 1, replies)
        return replies[0][self.full(name)]

    @staticmethod
    def full(name):
        import socket
        return '%s@%s' % (name, socket.gethostname())

    def reply_queues(self):
        """Of remote control: names of queues and bindings that nobody took away."""
        if self.db0 is None:
            return [q for q in self.rabbit.queues() if 'reply.celery.pidbox' in q]
        return [k for k in self.db0.keys('*reply.celery.pidbox*')]


class Mingle(Neighbors):
    def test_alone(self):
        began = time.monotonic()
        w = self.neighbor('c', 'w1')
        self.assertIn('mingle: searching for neighbors', w.output())
        self.assertIn('mingle: all alone', w.output())
        self.assertLess(time.monotonic() - began, 0.9 * lib.PATIENCE)
        lib.wait_for('its reply queue is gone', lambda: not self.reply_queues())
        w.stop()

    def learns(self, teller, learner):
        first = self.neighbor(teller, 'w1')
        ids = [str(uuid.uuid4()) for _ in range(3)]
        lib.wait_for('it listens', lambda: self.app.control.ping([self.full('w1')], timeout=1))
        self.app.control.revoke(ids)
        lib.wait_for('%s has them revoked' % teller,
                     lambda: sorted(self.ask('w1', 'revoked')) == sorted(ids))
        for _ in range(60):
            self.ask('w1', 'ping')
        clock = self.ask('w1', 'clock')['clock']
        second = self.neighbor(learner, 'w2')
        lib.wait_for('%s says so' % learner, lambda: 'sync with 1 nodes' in second.output())
        self.assertIn('sync complete', second.output())
        # Both kinds hear of their neighbors before they listen to commands.
        lib.wait_for('it listens', lambda: self.app.control.ping([self.full('w2')], timeout=1))
        self.assertEqual(sorted(self.ask('w2', 'revoked')), sorted(ids))
        self.assertGreater(self.ask('w2', 'clock')['clock'], clock)
        self.assertIn('sync with %s' % self.full('w2'), first.output())
        if learner == 'c':
            lib.wait_for('its reply queue is gone', lambda: not self.reply_queues())
        first.stop()
        r = self.app.send_task('t.add', (1, 2), task_id=ids[1])
        with self.assertRaises(Exception) as raised:
            r.get(timeout=10 * lib.PATIENCE)
        self.assertEqual(type(raised.exception).__name__, 'TaskRevokedError')
        second.stop()

    def test_c_of_c(self):
        self.learns('c', 'c')

    def test_c_of_python(self):
        self.learns('python', 'c')

    def test_python_of_c(self):
        self.learns('c', 'python')

    def test_what_the_newcomer_knows_is_learnt_too(self):
        first = self.neighbor('c', 'w1')
        state = lib.tmpname('.state')
        second = self.neighbor('c', 'w2', '-S', state)
        known = str(uuid.uuid4())
        self.app.control.revoke(known, destination=[self.full('w2')])
        lib.wait_for('it is known', lambda: self.ask('w2', 'revoked') == [known])
        self.assertEqual(self.ask('w1', 'revoked'), [])
        second.stop()
        second = self.neighbor('c', 'w2', '-S', state)
        self.assertEqual(self.ask('w1', 'revoked'), [known])
        second.stop()
        first.stop()

    def test_without(self):
        first = self.neighbor('c', 'w1')
        second = self.neighbor('c', 'w2', '--without-mingle')
        self.assertNotIn('mingle', second.output())
        self.assertNotIn('sync with', first.output())
        first.stop()
        second.stop()

    def test_a_silent_neighbor_is_waited_for_a_second(self):
        if self.db0 is None:
            self.skipTest('RabbitMQ does not say how many there are')
        deaf = self.db0.pubsub()
        deaf.subscribe('/0.celery.pidbox')
        self.assertEqual(deaf.get_message(timeout=5)['type'], 'subscribe')
        w = self.neighbor('c', 'w1', wait=False)
        w.wait_output('searching for neighbors')
        time.sleep(0.3)
        self.assertNotIn('ready.', w.output())
        w.wait_ready()
        self.assertIn('mingle: all alone', w.output())
        deaf.close()
        w.stop()

    def test_replies_that_are_none(self):
        """Whoever answers whatever: the worker starts, and learns nothing wrong."""
        if self.db0 is None:
            self.skipTest('replies are written into Redis by hand')
        import base64
        import json
        deaf = self.db0.pubsub()
        deaf.subscribe('/0.celery.pidbox')
        deaf.get_message(timeout=5)
        w = self.neighbor('c', 'w1', wait=False)
        message = lib.wait_for('it asks', lambda: deaf.get_message(timeout=1))
        hello = json.loads(message['data'])
        body = json.loads(base64.b64decode(hello['body']))
        oid = body['reply_to']['routing_key']
        good = {self.full('w7'): {'revoked': ['good'], 'clock': 7000}}
        answers = [b'', b'[]', b'{"a": ', b'7', b'{"n": 7}', b'{"n": {"revoked": 5, "clock": "x"}}',
                   b'{"n": {"revoked": [1, null, {}], "clock": -1}}',
                   b'[' * 3000, json.dumps(good).encode()]
        for ticket in 'another', body['ticket']:
            for text in answers:
                self.db0.lpush(oid + '.reply.celery.pidbox', json.dumps({
                    'body': base64.b64encode(text).decode(), 'content-type': 'application/json',
                    'content-encoding': 'utf-8', 'headers': {'ticket': ticket, 'clock': 1},
                    'properties': {'body_encoding': 'base64', 'delivery_tag': str(uuid.uuid4()),
                                   'delivery_mode': 1, 'priority': 0,
                                   'delivery_info': {'exchange': 'reply.celery.pidbox',
                                                     'routing_key': oid}}}))
        w.wait_ready()
        deaf.close()
        known = self.ask('w1', 'revoked')
        self.assertIn(known, ([], ['good']))  # the first answers may be all it waited for
        self.assertEqual(self.call('t.add', 1, 2), 3)
        w.stop()
        self.db0.delete(oid + '.reply.celery.pidbox')  # what was written after it had ended
        self.assertEqual(self.reply_queues(), [])


class Gossip(Neighbors):
    """Elections, and who notices that somebody left."""

    def party(self, *kinds):
        """Workers that have heard of each other."""
        workers = [self.neighbor(kind, 'w%d' % i, '--heartbeat-interval', '1',
                                 loglevel='DEBUG')
                   for i, kind in enumerate(kinds, 1)]
        for w in workers:
            for other in workers:
                if other is not w:
                    w.wait_output('%s joined the party' % self.full(other.name),
                                  10 * lib.PATIENCE)
        return workers

    def elect(self, workers, topic='task', id=None):
        """Each worker's word about who won: a set of node names."""
        id = id or str(uuid.uuid4())
        done = str(uuid.uuid4())
        action = self.app.signature('t.add', (20, 22), task_id=done)
        self.app.control.election(id, topic, dict(action))
        pattern = re.compile(r"(?:(I) won the election|node (\S+) elected for) '?%s" % id)

        def said(w):
            found = pattern.findall(w.output())
            return found and (self.full(w.name) if found[0][0]
                              else found[0][1].rsplit('.', 1)[0])
        for w in workers:
            lib.wait_for('%s knows who won' % w.name, lambda w=w: said(w), 10 * lib.PATIENCE)
        return {said(w) for w in workers}, done

    def runs_once(self, workers, done):
        r = self.app.AsyncResult(done)
        self.assertEqual(r.get(timeout=10 * lib.PATIENCE), 42)
        time.sleep(0.5)
        self.assertEqual(sum(w.output().count('t.add[%s] received' % done) for w in workers), 1)

    def wins_once(self, *kinds):
        workers = self.party(*kinds)
        for _ in range(3):
            winners, done = self.elect(workers)
            self.assertEqual(len(winners), 1, winners)
            self.runs_once(workers, done)
        for w in workers:
            w.stop()

    def test_an_election_among_c(self):
        self.wins_once('c', 'c', 'c')

    def test_an_election_of_c_and_python(self):
        self.wins_once('c', 'c', 'python')

    def test_a_worker_alone_wins(self):
        w = self.neighbor('c', 'w1')
        winners, done = self.elect([w])
        self.assertEqual(winners, {self.full('w1')})
        self.runs_once([w], done)
        w.stop()

    def test_an_unknown_topic(self):
        w = self.neighbor('c', 'w1')
        self.elect([w], topic='nonsense')
        w.wait_output('Unknown election topic nonsense')
        w.stop()

    def test_what_is_no_signature(self):
        w = self.neighbor('c', 'w1')
        for action in None, 7, {'task': 7}, ['x'], {'task': 't.add', 'args': 3}:
            id = str(uuid.uuid4())
            self.app.control.election(id, 'task', action)
            w.wait_output('I won the election %s' % id)
        lib.wait_for('each is said', lambda: w.output().count('Could not call task') == 5)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        w.stop()

    def test_who_leaves_and_who_is_lost(self):
        first, second, third = self.party('c', 'c', 'c')
        second.stop()
        first.wait_output('%s left' % self.full('w2'))
        third.kill9()
        first.wait_output('missed heartbeat from %s' % self.full('w3'), 20)
        first.stop()

    def test_python_neighbors_notice_too(self):
        first, second = self.party('python', 'c')
        second.kill9()
        first.wait_output('missed heartbeat from %s' % self.full('w2'), 20)
        first.stop()

    def test_events_that_are_none(self):
        """Shapes that no worker sends: a line at the most, and tasks run."""
        from celery.events import EventDispatcher
        w = self.neighbor('c', 'w1')
        base = {'hostname': 'x@y', 'pid': 3, 'clock': 9, 'timestamp': 1.0, 'utcoffset': 0}
        wrong = [
            7, [], None, 'x', [[]], {}, {'type': 7}, {'type': ''},
            dict(base, type='worker-elect'), dict(base, type='worker-elect', id=3),
            dict(base, type='worker-elect', id='i', topic='task', action=None, clock='x'),
            dict(base, type='worker-elect', id='i' * 5000, topic='task', action={}),
            dict(base, type='worker-elect', id='big', topic='task', action='x' * 500000),
            dict(base, type='worker-elect-ack'), dict(base, type='worker-elect-ack', id='none'),
            dict(base, type='worker-heartbeat', freq='often'),
            dict(base, type='worker-heartbeat', hostname='h' * 10000),
            dict(base, type='worker-heartbeat', hostname=None, clock=-5),
            dict(base, type='worker-heartbeat', clock=2 ** 62),
        ]
        with self.app.connection_for_write() as conn:
            events = EventDispatcher(conn, app=self.app, hostname='x@y')
            exchange = events.exchange
            with conn.Producer(serializer='json') as producer:
                for body in wrong * 3:
                    producer.publish(body, exchange=exchange, routing_key='worker.heartbeat',
                                     declare=[exchange], serializer='json')
        self.assertEqual(self.call('t.add', 1, 2), 3)
        self.assertLess(self.ask('w1', 'clock')['clock'], 2 ** 62)
        self.assertLess(w.output().count('\n'), 200)
        w.stop()

    def test_without(self):
        first = self.neighbor('c', 'w1', '--without-gossip', loglevel='DEBUG')
        second = self.neighbor('c', 'w2', loglevel='DEBUG')
        second.wait_output('joined the party')
        time.sleep(2.5)
        self.assertNotIn('joined the party', first.output())
        first.stop()
        second.stop()


if __name__ == '__main__':
    lib.main()
