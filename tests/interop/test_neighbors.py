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
        self.app.control.revoke(ids)
        lib.wait_for('%s has them revoked' % teller,
                     lambda: sorted(self.ask('w1', 'revoked')) == sorted(ids))
        for _ in range(60):
            self.ask('w1', 'ping')
        clock = self.ask('w1', 'clock')['clock']
        second = self.neighbor(learner, 'w2')
        lib.wait_for('%s says so' % learner, lambda: 'sync with 1 nodes' in second.output())
        self.assertIn('sync complete', second.output())
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


if __name__ == '__main__':
    lib.main()
