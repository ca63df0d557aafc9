#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""rpc:// results: Python's client with the worker under test, the C client with workers of
both kinds, and the messages themselves; on Redis, and on RabbitMQ where it is installed."""

import itertools
import json
import os
import re
import subprocess
import sys
import time
import unittest

import lib

sys.path.insert(0, os.path.join(os.path.dirname(lib.HERE), 'support'))
import rabbit  # noqa: E402
from kombu.transport.virtual import Channel  # noqa: E402

# Replies that nobody took: at the end of this process Redis is gone already.
Channel.do_restore = False

TOOL = lib.built('tests/interop/ccanvas')
RESULTS = 'rpc://'
BY_NAME = 'rpc'


def has_amqp():
    report = subprocess.run([lib.CELERY_C, 'report'], stdout=subprocess.PIPE, text=True)
    return bool(re.search(r'^brokers:.*\bamqp\b', report.stdout, re.M))


class OnRedis(lib.Case):
    conf = {'task_track_started': True, 'accept_content': ['json', 'msgpack']}
    kind = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.open_broker()
        cls.app.close()
        cls.app = lib.celery_app(cls.broker, RESULTS, accept_content=['json', 'msgpack'])
        cls.app.set_current()
        cls.worker = lib.Worker(cls.broker, RESULTS, kind=cls.kind, conf=cls.conf,
                                queues='celery,other')
        cls.addClassCleanup(cls.worker.kill9)

    @classmethod
    def open_broker(cls):
        pass

    def cut(self):
        """The broker closes everybody's connection."""
        self.db0.client_kill_filter(_type='normal', skipme=True)
        self.db0.client_kill_filter(_type='pubsub')

    def inbox(self, name, n):
        """The first n messages of a queue."""
        got = []

        def look():
            with self.app.connection() as connection:
                queue = self.queue(name)(connection.default_channel)
                while len(got) < n:
                    message = queue.get(no_ack=True, accept=['json', 'msgpack'])
                    if not message:
                        return False
                    got.append(message)
            return True
        lib.wait_for('%d messages in %s' % (n, name), look, 10 * lib.PATIENCE, 0.05)
        return got

    def queue(self, name):
        from kombu import Exchange, Queue
        return Queue(name, Exchange(''), name, durable=True, auto_delete=False)

    def declare(self, name):
        with self.app.connection() as connection:
            self.queue(name)(connection.default_channel).declare()

    def s(self, name, *args, **kwargs):
        return self.app.signature(name, args=args, **kwargs)


class OnRabbit(OnRedis):
    @classmethod
    def open_broker(cls):
        if not has_amqp():
            raise unittest.SkipTest('this build has no amqp transport')
        try:
            cls.rabbit = rabbit.Shared()
        except rabbit.Failed as why:
            raise unittest.SkipTest(str(why))
        cls.addClassCleanup(cls.rabbit.stop)
        cls.broker = cls.rabbit.url()

    def cut(self):
        self.rabbit.close_connections()


# ---- Python's client, the worker under test ----

class PythonClient:
    def test_value(self):
        self.assertEqual(self.call('t.add', 2, 3), 5)

    def test_error_with_traceback(self):
        r = self.app.send_task('t.fail')
        with self.assertRaises(KeyError) as caught:
            r.get(timeout=20)
        self.assertEqual(caught.exception.args, ('boom',))
        self.assertIn("KeyError: 'boom'", r.traceback)

    def test_expired(self):
        from celery.exceptions import TaskRevokedError
        with self.assertRaises(TaskRevokedError):
            self.call('t.noop', expires=-1)

    def test_states_on_the_way(self):
        for name, args, states in (
                ('t.progress', (0.5,), ['STARTED', 'PROGRESS', 'SUCCESS']),
                ('t.retry', (1, 0.5), ['STARTED', 'RETRY', 'STARTED', 'SUCCESS']),
                ('t.sleep', (0.5,), ['STARTED', 'SUCCESS'])):
            with self.subTest(name):
                seen = []
                r = self.app.send_task(name, args)
                r.get(timeout=20, on_message=lambda m: m['task_id'] == r.id and seen.append(
                    m['status']))
                self.assertEqual(seen, states)

    def test_states_that_are_polled(self):
        """By a client that consumes nothing: then its polls get the messages."""
        for name, args, state in (('t.progress', (1.0,), 'PROGRESS'),
                                  ('t.retry', (1, 1.5), 'RETRY'), ('t.sleep', (1.0,), 'STARTED')):
            app = lib.celery_app(self.broker, RESULTS)
            self.addCleanup(app.close)
            r = app.send_task(name, args)
            self.wait_state(r, state)
            r.get(timeout=20)

    def test_group_of_a_thousand(self):
        from celery import group
        r = group(self.s('t.add', i, i) for i in range(1000)).apply_async()
        self.assertEqual(r.get(timeout=30 * lib.PATIENCE), [2 * i for i in range(1000)])

    def test_chain(self):
        from celery import chain
        r = chain(self.s('t.add', 1, 1), self.s('t.add', 10), self.s('t.add', 100)).apply_async()
        self.assertEqual(r.get(timeout=20), 112)
        self.assertEqual(r.parent.get(timeout=20), 12)
        self.assertEqual(r.parent.parent.get(timeout=20), 2)

    def test_a_group_behind_a_task(self):
        """The worker sends the group; its results still come to the client."""
        from celery import chain, group
        r = chain(self.s('t.add', 1, 1),
                  group(self.s('t.add', 1), self.s('t.add', 2))).apply_async()
        self.assertEqual(r.get(timeout=20), [3, 4])

    def test_two_clients(self):
        other = lib.celery_app(self.broker, RESULTS)
        self.addCleanup(other.close)
        results = [(app.send_task('t.add', (i, 0)), i) for i in range(20)
                   for app in (self.app, other)]
        for r, i in results:
            self.assertEqual(r.get(timeout=20), i)

    def test_what_the_task_itself_sends_and_waits_for(self):
        self.assertEqual(self.call('t.wait_for', dict(self.s('t.add', 3, 4))), 7)

    def test_a_replaced_task(self):
        """A Python worker sends the replacement's result to itself."""
        if lib.KIND == 'python':
            self.skipTest('Celery loses the result')
        self.assertEqual(self.call('t.replace_with', dict(self.s('t.add', 3, 4))), 7)
        r = (self.s('t.replace_with', dict(self.s('t.add', 3, 4))) | self.s('t.add', 1)
             ).apply_async()
        self.assertEqual((r.get(timeout=20), r.parent.get(timeout=20)), (8, 7))

    def test_ignored(self):
        self.declare('box-ignored')
        self.app.send_task('t.add', (1, 1), ignore_result=True, reply_to='box-ignored')
        self.app.send_task('t.noop', reply_to='box-ignored')
        # Python of that age sends STARTED for an ignored one, too.
        n = 3 if lib.KIND == 'python' and lib.celery_version() < (5, 3) else 2
        got = [m.payload for m in self.inbox('box-ignored', n)]
        self.assertEqual([m['result'] for m in got if m['status'] == 'SUCCESS'], [None])


class Messages:
    """What a worker sends, against what a Python worker sends."""

    numbers = itertools.count()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.theirs = lib.Worker(cls.broker, RESULTS, kind='python', conf=cls.conf, name='w2',
                                queues='theirs')
        cls.addClassCleanup(cls.theirs.kill9)

    def both(self, n, name, *args, **options):
        found, task_id = [], 'id-%d' % next(self.numbers)
        for queue in ('other', 'theirs'):
            box = 'box-%s-%s' % (queue, task_id)
            self.declare(box)
            self.app.send_task(name, args, queue=queue, task_id=task_id, reply_to=box,
                               **options)
            found.append(self.inbox(box, n))
        return found

    def assert_same(self, ours, theirs):
        self.assertEqual((ours.content_type, ours.content_encoding),
                         (theirs.content_type, theirs.content_encoding))
        self.assertEqual(ours.headers, theirs.headers)
        a, b = dict(ours.properties), dict(theirs.properties)
        for p in (a, b):
            p.pop('delivery_tag', None)
            p['delivery_info'] = {k: v for k, v in (p.get('delivery_info') or {}).items()
                                  if k == 'exchange'}
        self.assertEqual(a, b)
        mine, other = ours.payload, theirs.payload
        # All of the document came with 5.7.
        if lib.celery_version() >= (5, 7):
            self.assertEqual(list(mine), list(other))
        else:
            self.assertEqual(set(other), {'task_id', 'status', 'result', 'traceback',
                                          'children'})
        for key in set(other) - {'date_done'}:
            if key == 'traceback' and other[key]:
                self.assertEqual(mine[key].splitlines()[-1], other[key].splitlines()[-1])
            elif mine['status'] != 'STARTED' or key != 'result':
                self.assertEqual(mine[key], other[key], key)
        self.assertEqual(mine['task_id'], a['correlation_id'])

    def test_states(self):
        for n, name, args in ((2, 't.add', (1, 2)), (2, 't.fail', ()),
                              (4, 't.retry', (1, 0.5)), (3, 't.progress', ())):
            with self.subTest(name):
                for ours, theirs in zip(*self.both(n, name, *args)):
                    self.assert_same(ours, theirs)

    def test_never_run(self):
        for options in ({'expires': -5},):
            for ours, theirs in zip(*self.both(1, 't.noop', **options)):
                self.assert_same(ours, theirs)
        for ours, theirs in zip(*self.both(1, 't.not_there')):
            self.assert_same(ours, theirs)

    def test_no_reply_to(self):
        """Nothing is sent, and the worker goes on."""
        self.app.send_task('t.add', (1, 1), queue='other', reply_to='nowhere-to-be-found')
        with self.app.connection() as connection:
            producer = connection.Producer()
            body = ((1, 1), {}, {'callbacks': None, 'errbacks': None, 'chain': None,
                                 'chord': None})
            producer.publish(body, exchange='', routing_key='other', serializer='json',
                             headers={'id': 'quiet', 'task': 't.add', 'lang': 'py'})
        self.assertEqual(self.call('t.add', 1, 2, queue='other'), 3)
        self.worker.wait_output('Task t.add[quiet] succeeded')

    def test_persistent_and_msgpack(self):
        w = self.start(backend=RESULTS, queues='durable', name='w3', conf={
            'result_persistent': True, 'result_serializer': 'msgpack'})
        self.declare('box-durable')
        self.app.send_task('t.ident', ([1, None, 'ä'],), queue='durable', reply_to='box-durable')
        message, = self.inbox('box-durable', 1)
        self.assertEqual((message.content_type, message.content_encoding),
                         ('application/x-msgpack', 'binary'))
        self.assertEqual(message.properties['delivery_mode'], 2)
        self.assertEqual(message.payload['result'], [1, None, 'ä'])
        self.assertEqual(self.app.send_task('t.add', (1, 1), queue='durable').get(timeout=20), 2)
        w.stop()

    def test_extended(self):
        if lib.KIND == 'python' and lib.celery_version() < (5, 7):
            self.skipTest('not in messages before 5.7')
        w = self.start(backend=BY_NAME, queues='extended', name='w4', conf={
            'result_extended': True})
        self.declare('box-extended')
        self.app.send_task('t.kw', (1,), {'b': 3}, queue='extended', reply_to='box-extended')
        message, = self.inbox('box-extended', 1)
        doc = message.payload
        self.assertEqual((doc['name'], doc['args'], doc['kwargs'], doc['queue'],
                          doc['retries']), ('t.kw', [1], {'b': 3}, 'extended', 0))
        w.stop()


# ---- the C client ----

class CClient:
    def cclient(self, task, args='[]', kwargs='{}', options=None, timeout=20):
        run = subprocess.run(
            [lib.C_CLIENT, self.broker, RESULTS, task, args, kwargs,
             json.dumps(options or {}), str(timeout)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90)
        self.assertIsNone(lib.SANITIZER.search(run.stderr.decode()), run.stderr.decode())
        return [json.loads(line) for line in run.stdout.splitlines()]

    def start_tool(self, command, text, seconds=20):
        return subprocess.Popen([TOOL, self.broker, command, text, RESULTS, str(seconds)],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def tool(self, command, sig, code=0):
        p = self.start_tool(command, json.dumps(sig))
        out, _ = p.communicate(timeout=90)
        self.assertEqual(p.returncode, code, out)
        return out.splitlines()

    def test_value(self):
        got, = self.cclient('t.add', '[2, 3]')
        self.assertEqual((got['error'], got['state'], got['document']['result']),
                         (None, 'SUCCESS', 5))
        self.assertEqual(got['document']['task_id'], got['id'])

    def test_error_with_traceback(self):
        got, = self.cclient('t.fail')
        self.assertEqual((got['status'], got['state']), ('CELERY_ETASK', 'FAILURE'))
        self.assertEqual(got['error'], "KeyError: 'boom'")
        self.assertIn("KeyError: 'boom'", got['traceback'])

    def test_state_on_the_way(self):
        got, = self.cclient('t.sleep', '[3]', timeout=1)
        self.assertEqual((got['status'], got['state']), ('CELERY_ETIMEOUT', 'STARTED'))

    def test_retries(self):
        got, = self.cclient('t.retry', '[2, 0.3]')
        self.assertEqual((got['error'], got['document']['result']), (None, 2))

    def test_many(self):
        got = self.cclient('t.add', '[1, 1]', '{}', {'many': 1000}, 60)
        self.assertEqual([g['document']['result'] for g in got], [2] * 1000)

    def test_parts_of_a_group_as_they_end(self):
        from celery import group
        lines = self.tool('parts', group(self.s('t.add', i, 0) for i in range(1000)))
        self.assertEqual(sorted(int(line.split()[1]) for line in lines), list(range(1000)))

    def test_chain(self):
        from celery import chain
        out = self.tool('send', chain(self.s('t.add', 1, 1), self.s('t.add', 10),
                                      self.s('t.add', 100)))
        self.assertEqual(out[1], '112')

    def test_a_group_behind_a_task(self):
        from celery import chain, group
        out = self.tool('send', chain(self.s('t.add', 1, 1), group(
            self.s('t.add', 1), self.s('t.add', 2))))
        self.assertEqual(out[1], '[3, 4]')

    def test_chords_are_refused(self):
        from celery import chain, chord, group
        parts = [self.s('t.add', 1, 1), self.s('t.add', 2, 2)]
        for sig in (chord(parts, self.s('t.sum_of'), app=self.app),
                    chain(group(*parts), self.s('t.sum_of'))):
            out = self.tool('send', sig, code=1)
            self.assertIn('CELERY_ENOTSUP', out[-1])
            self.assertIn('"rpc" result backend does not support chords', out[-1])

    def test_groups_are_not_saved(self):
        from celery import group
        out = self.tool('save', group(self.s('t.add', 1, 1)), code=1)
        self.assertIn('save_group is not supported', out[-1])

    def test_a_task_of_another_client(self):
        r = self.app.send_task('t.add', (1, 1))
        self.assertEqual(r.get(timeout=20), 2)
        p = self.start_tool('wait', json.dumps([[r.id, None], None]), 2)
        out, _ = p.communicate(timeout=60)
        self.assertIn('CELERY_ETIMEOUT', out)
        self.assertIn('only to the client that sent the task', out)

    def test_a_connection_that_is_cut_while_it_waits(self):
        p = self.start_tool('send', json.dumps(self.s('t.sleep', 3)))
        time.sleep(1.2)
        self.cut()
        out, _ = p.communicate(timeout=60)
        self.assertEqual(out.splitlines()[1:], ['3'], out)


class RedisPython(PythonClient, OnRedis):
    pass


class RedisMessages(Messages, OnRedis):
    def test_bytes_on_redis(self):
        """Member for member what kombu writes, but for the tag."""
        texts = []
        for queue in ('other', 'theirs'):
            self.app.send_task('t.add', (1, 2), queue=queue, reply_to='raw-' + queue,
                               task_id='the-same')
            key = 'raw-' + queue
            lib.wait_for('two messages', lambda: self.db0.llen(key) == 2, 20)
            text = json.loads(self.db0.lindex(key, 0))
            text['properties']['delivery_tag'] = 'TAG'
            text['body'] = 'BODY'
            texts.append(json.dumps(text).replace(key, 'QUEUE'))
        self.assertEqual(texts[0], texts[1])
        # Python's list stays for ever; ours goes when nobody reads it for result_expires.
        if lib.KIND == 'c':
            self.assertTrue(86300000 < self.db0.pttl('raw-other') <= 86400000)
        self.assertEqual(self.db0.pttl('raw-theirs'), -1)


class RedisC(CClient, OnRedis):
    pass


class RedisCOnPython(CClient, OnRedis):
    kind = 'python'


class RabbitPython(PythonClient, OnRabbit):
    pass


class RabbitMessages(Messages, OnRabbit):
    pass


class RabbitC(CClient, OnRabbit):
    def test_the_queue(self):
        """celery/backends/rpc.py RPCBackend.binding of 5.7, and it goes with its client."""
        before = set(self.rabbit.queues())
        p = self.start_tool('send', json.dumps(self.s('t.sleep', 2)))
        name, queue = self.reply_queue(before)
        self.assertEqual(queue['arguments'], {'x-expires': ['signedint', 86400000]})
        self.assertEqual([queue[k] for k in ('durable', 'auto_delete', 'exclusive')],
                         [True, True, False])
        p.communicate(timeout=60)
        lib.wait_for('the queue goes', lambda: name not in self.rabbit.queues(), 20)

    def reply_queue(self, before):
        return lib.wait_for('a reply queue', lambda: [
            q for q in self.rabbit.queues().items()
            if q[0] not in before and 'x-expires' in str(q[1])], 20)[0]

    def test_a_queue_that_is_deleted_while_it_waits(self):
        before = set(self.rabbit.queues())
        p = self.start_tool('send', json.dumps(self.s('t.sleep', 3)))
        name, _ = self.reply_queue(before)
        time.sleep(0.5)
        self.rabbit.delete_queue(name)
        out, _ = p.communicate(timeout=60)
        self.assertEqual(out.splitlines()[-1], '3', out)


class RabbitCOnPython(CClient, OnRabbit):
    kind = 'python'


if __name__ == '__main__':
    lib.main()
