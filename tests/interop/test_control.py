#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Remote control: the real app.control and app.control.inspect() against the C worker."""

import json
import os
import re
import signal
import socket
import time
import unittest
import uuid

import lib

HOST = socket.gethostname()


def node(name):
    return '%s@%s' % (name, HOST)


class Control(lib.Case):
    """What one worker answers; each test waits until it is idle again."""

    worker_options = {'concurrency': 1}
    name = 'w1'

    def setUp(self):
        self.node = node(self.name)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        lib.wait_for('the worker answers a ping', lambda: cls.app.control.ping(timeout=0.3))

    def inspect(self, **kwargs):
        return self.app.control.inspect([self.node], timeout=5, **kwargs)

    def ask(self, command, **arguments):
        """The reply of this worker alone."""
        replies = self.app.control.broadcast(
            command, arguments, destination=[self.node], reply=True, timeout=5, limit=1)
        self.assertEqual(len(replies), 1, replies)
        return replies[0][self.node]

    def running(self, *args, name='t.sleep', **options):
        r = self.app.send_task(name, args, **options)
        lib.wait_for('%s runs' % r.id,
                     lambda: r.id in [t['id'] for t in self.inspect().active()[self.node]])
        return r

    def revoked(self, result, message, timeout=10):
        from celery.exceptions import TaskRevokedError
        with self.assertRaises(TaskRevokedError) as raised:
            result.get(timeout=timeout * lib.PATIENCE)
        self.assertEqual(str(raised.exception), message)
        self.assertEqual(result.state, 'REVOKED')


class Addressing(Control):
    def test_ping(self):
        self.assertEqual(self.app.control.ping(timeout=5, limit=1),
                         [{self.node: {'ok': 'pong'}}])
        self.assertEqual(self.inspect().ping(), {self.node: {'ok': 'pong'}})

    def test_destination(self):
        self.assertEqual(self.app.control.ping([node('other')], timeout=0.5), [])
        self.assertEqual(self.app.control.ping([node('other'), self.node], timeout=5, limit=1),
                         [{self.node: {'ok': 'pong'}}])

    def test_pattern(self):
        def ping(pattern, matcher):
            return self.app.control.broadcast(
                'ping', reply=True, timeout=0.6, limit=1, pattern=pattern, matcher=matcher)
        for pattern in '*', 'w1@*', 'w?@%s' % HOST, '[vwx]1@*', '[!a]1*':
            self.assertEqual(len(ping(pattern, 'glob')), 1, pattern)
        for pattern in 'w2@*', 'w1', '[!w]*', '?1@':
            self.assertEqual(ping(pattern, 'glob'), [], pattern)

    def test_no_reply_wanted(self):
        self.assertIsNone(self.app.control.broadcast('ping', destination=[self.node]))

    def test_unknown(self):
        self.assertEqual(self.ask('nosuch'), {'error': "KeyError('nosuch')"})

    def test_wrong_arguments(self):
        self.assertEqual(self.ask('revoke'), {
            'error': 'TypeError("revoke() missing 1 required positional argument: '
                     '\'task_id\'")'})
        self.assertEqual(self.ask('terminate'), {
            'error': 'TypeError("terminate() missing 2 required positional arguments: '
                     '\'signal\' and \'task_id\'")'})


class Revoke(Control):
    def test_waiting_for_its_eta(self):
        r = self.app.send_task('t.add', (1, 2), countdown=600)
        lib.wait_for('it is held', lambda: self.db0.hlen('unacked'))
        self.app.control.revoke(r.id)
        self.revoked(r, 'revoked')
        lib.wait_for('it is settled', lambda: not lib.leftover_messages(self.db0))

    def test_reserved(self):
        first = self.app.send_task('t.sleep', (1,))
        rest = [self.app.send_task('t.sleep', (0.1,)) for _ in range(3)]
        reply = self.ask('revoke', task_id=[r.id for r in rest])
        self.assertEqual(eval(reply['ok'].split(' ', 1)[1].rsplit(' flagged')[0]),
                         {r.id for r in rest})
        for r in rest:
            self.revoked(r, 'revoked')
        self.assertEqual(first.get(timeout=10), 1)

    def test_not_here_yet(self):
        task_id = str(uuid.uuid4())
        self.assertEqual(self.ask('revoke', task_id=task_id),
                         {'ok': "tasks {'%s'} flagged as revoked" % task_id})
        r = self.app.AsyncResult(task_id)
        lib.wait_for('it is stored', lambda: r.state == 'REVOKED')
        self.assertIn(task_id, self.inspect().revoked()[self.node])
        r.forget()
        self.app.send_task('t.add', (1, 2), task_id=task_id)
        self.revoked(r, 'revoked')

    def test_a_result_stays(self):
        r = self.app.send_task('t.add', (1, 2))
        self.assertEqual(r.get(timeout=10), 3)
        failed = self.app.send_task('t.fail')
        failed.get(timeout=10, propagate=False)
        self.ask('revoke', task_id=[r.id, failed.id])
        self.ask('ping')
        time.sleep(0.2)
        self.assertEqual(r.state, 'SUCCESS')
        self.assertEqual(failed.state, 'FAILURE')

    def test_running_goes_on(self):
        r = self.app.send_task('t.sleep', (1,))
        time.sleep(0.4)
        self.ask('revoke', task_id=r.id)
        self.assertEqual(r.get(timeout=10), 1)

    def terminate(self, *args, name='t.sleep', **options):
        r = self.app.send_task(name, (60,))
        time.sleep(0.5)
        began = time.monotonic()
        self.assertEqual(self.ask('revoke', task_id=r.id, terminate=True, **options),
                         {'ok': 'terminate: ' + r.id})
        self.revoked(r, 'terminated')
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        lib.wait_for('it is settled', lambda: not lib.leftover_messages(self.db0))

    def test_terminate(self):
        self.terminate()

    def test_terminate_late(self):
        self.terminate(name='t.sleep_late')

    def test_terminate_with_kill(self):
        self.terminate(signal='SIGKILL')
        self.terminate(signal='KILL')
        self.terminate(signal=9)

    def test_terminate_command(self):
        r = self.app.send_task('t.sleep', (60,))
        time.sleep(0.5)
        self.app.control.terminate(r.id, signal='SIGKILL')
        self.revoked(r, 'terminated')

    def test_terminate_unknown(self):
        self.assertEqual(self.ask('revoke', task_id='nobody', terminate=True),
                         {'ok': 'terminate: tasks unknown'})
        self.assertEqual(
            self.ask('revoke', task_id='nobody', terminate=True, signal='SIGNONE'),
            {'error': 'AttributeError("module \'signal\' has no attribute \'SIGNONE\'")'})

    def test_group_of_the_client(self):
        from celery import group
        g = group(self.app.signature('t.add', (i, i), countdown=600) for i in range(5))()
        g.revoke()
        for r in g.results:
            self.revoked(r, 'revoked')


class Ending(lib.Case):
    """Each test has a worker of its own."""

    def test_during_a_shutdown(self):
        w = self.start(concurrency=1)
        lib.wait_for('it answers', lambda: self.app.control.ping(timeout=0.3))
        r = self.app.send_task('t.sleep', (60,))
        time.sleep(0.5)
        w.send(signal.SIGTERM)
        w.wait_output('Warm shutdown')
        self.app.control.revoke(r.id, terminate=True)
        self.assertEqual(w.wait(10), 0)
        self.assertEqual(r.state, 'REVOKED')
        self.assertEqual(lib.leftover_messages(self.db0), [])

    def test_switched_off(self):
        w = self.start(conf={'worker_enable_remote_control': False})
        self.assertEqual(self.app.control.ping(timeout=0.5), [])
        self.assertEqual(w.stop(), 0)

    def test_read_only(self):
        w = self.start(conf={'worker_remote_control_read_only': True})
        lib.wait_for('it answers', lambda: self.app.control.ping(timeout=0.3))
        r = self.app.send_task('t.add', (1, 2), countdown=2)
        replies = self.app.control.revoke(r.id, reply=True, limit=1, timeout=5)
        self.assertEqual(list(replies[0].values()), [
            {'error': 'PermissionError("this worker\'s remote control only reads")'}])
        self.assertEqual(r.get(timeout=10), 3)
        self.assertEqual(w.stop(), 0)


def flat(value, path=''):
    """A reply as one map from dotted paths to plain values; empty containers stay."""
    items = (value.items() if isinstance(value, dict) else
             enumerate(value) if isinstance(value, list) else ())
    found = {}
    for key, inner in items:
        found.update(flat(inner, '%s.%s' % (path, key) if path else str(key)))
    return found or {path: value}


def listed_differences():
    with open(os.path.join(lib.HERE, 'control_differs.txt')) as f:
        for line in f:
            if line.strip() and not line.startswith('#'):
                command, field, why = (part.strip() for part in line.split('|'))
                yield command, re.compile(
                    re.escape(field).replace(r'\*', '[^.]+') + r'\Z'), why


class Beside(lib.Case):
    """A C worker and a Python worker in the same situation: their replies field by field."""

    pool = 'prefork'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.differs = list(listed_differences())
        cls.workers = {}
        for kind in 'c', 'python':
            cls.workers[kind] = lib.Worker(
                cls.broker, cls.backend, kind=kind, name=kind, queues=kind, concurrency=1,
                pool=cls.pool)
            cls.addClassCleanup(cls.workers[kind].kill9)
        lib.wait_for('both answer', lambda: len(cls.app.control.ping(timeout=0.5)) == 2)

    @classmethod
    def tearDownClass(cls):
        for w in cls.workers.values():
            w.stop()

    def both(self, command, **arguments):
        kinds = {node(kind): kind for kind in self.workers}
        replies = self.app.control.broadcast(
            command, arguments, destination=list(kinds), reply=True, timeout=10, limit=2)
        self.assertEqual(len(replies), 2, (command, replies))
        return {kinds[k]: v for reply in replies for k, v in reply.items()}

    def may_differ(self, command, path):
        return any(c in ('*', command) and field.match(path) for c, field, _ in self.differs)

    def same(self, command, **arguments):
        replies = self.both(command, **arguments)
        left, right = (flat(replies[kind]) for kind in ('c', 'python'))
        wrong = []
        for path in sorted(set(left) | set(right)):
            a, b = left.get(path, 'absent'), right.get(path, 'absent')
            if (a != b or type(a) is not type(b)) and not self.may_differ(command, path):
                wrong.append('%s %s: C %r, Python %r' % (command, path, a, b))
        self.assertEqual(wrong, [])
        return replies['c']

    def test_situation(self):
        tasks = {}
        for kind in self.workers:
            tasks[kind] = [
                self.app.send_task('t.sleep', (2,), queue=kind, priority=3),
                self.app.send_task('t.add', ({'a': [1, None]}, 'x'), queue=kind),
                self.app.send_task('t.kw', (1,), {'b': 2.5}, queue=kind, countdown=600,
                                   shadow='other.name')]
        time.sleep(1)
        self.assertEqual(len(self.same('active')), 1)
        self.assertEqual(len(self.same('active', safe=True)), 1)
        self.assertEqual(len(self.same('reserved')), 1)
        self.assertEqual(len(self.same('scheduled')), 1)
        ids = {kind: tasks[kind][0].id for kind in tasks}
        replies = self.both('query_task', ids=list(ids.values()) + ['nobody'])
        for kind in ids:
            self.assertEqual(list(replies[kind]), [ids[kind]])
            self.assertEqual(replies[kind][ids[kind]][0], 'active')
        self.assertEqual(flat(replies['c'][ids['c']]).keys(),
                         flat(replies['python'][ids['python']]).keys())
        for kind in tasks:
            tasks[kind][0].get(timeout=20)
            tasks[kind][1].get(timeout=20, propagate=False)
        self.same('stats')
        self.app.control.revoke([t[2].id for t in tasks.values()])
        ids = {kind: set(reply) for kind, reply in self.both('revoked').items()}
        self.assertEqual(ids['c'], ids['python'])
        self.assertLessEqual({t[2].id for t in tasks.values()}, ids['c'])

    def test_same(self):
        for command in ('ping', 'clock', 'active_queues', 'memsample', 'stats'):
            self.same(command)
        self.assertEqual(self.same('dump_active'), [])

    def test_registered(self):
        both = self.both('registered')
        shared = set(both['c']) & set(both['python'])
        self.assertIn('t.add', shared)
        self.assertEqual([n for n in both['c'] if n.startswith('celery.')], [])
        items = ['name', 'max_retries', 'acks_late', 'ignore_result', 'serializer',
                 'rate_limit', 'default_retry_delay', 'track_started', 'nosuch',
                 'reject_on_worker_lost', 'time_limit', 'soft_time_limit', 'priority',
                 'store_errors_even_if_ignored', 'expires']
        lines = {kind: {line.split(' ')[0]: line for line in reply} for kind, reply in
                 self.both('registered', taskinfoitems=items, builtins=True).items()}
        self.assertIn('celery.chain', lines['c'])
        for name in {line.split(' ')[0] for line in shared}:
            self.assertEqual(lines['c'][name], lines['python'][name])

    def test_wrong(self):
        self.same('nosuch')
        self.same('ping', other=1)
        self.same('report', other=1)
        self.same('query_task', ids=[])
        self.same('query_task', ids='nobody')
        self.same('revoke', task_id=[])
        self.same('revoke', task_id='nobody', terminate=True)

    def test_conf(self):
        both = self.both('conf')
        self.assertEqual(both['c']['broker_url'], self.broker)
        self.assertEqual(both['c']['result_backend'], self.backend)
        defaults = self.both('conf', with_defaults=True)
        missing = {k for k in defaults['python'] if k.startswith(('task_', 'worker_', 'result_'))
                   } - set(defaults['c'])
        self.assertEqual(missing, set())

    def test_hello(self):
        self.app.control.revoke('sync1')
        for kind, reply in self.both('hello', from_node='other@host', revoked={
                'sync2': [time.monotonic(), 'sync2']}).items():
            self.assertIn('sync1', reply['revoked'], kind)
            self.assertIn('sync2', reply['revoked'], kind)
            self.assertIsInstance(reply['clock'], int)
        self.assertIn('sync2', self.both('revoked')['c'])


class Secrets(lib.Case):
    redis_args = ('--requirepass', 'Xsecret0')

    def test_none_is_told(self):
        url = 'redis://:Xsecret0@127.0.0.1:%d/' % self.redis.port
        app = lib.celery_app(url + '0', url + '1')
        self.addCleanup(app.close)
        self.start(broker=url + '0', backend=url + '1', conf={
            'broker_read_url': url + '0;redis://u:Xsecret1@127.0.0.1:1/0',
            'broker_transport_options': {'sentinel_kwargs': {'password': 'Xsecret2'}},
            'redis_password': 'Xsecret3', 'security_key': 'Xsecret4'})
        lib.wait_for('it answers', lambda: app.control.ping(timeout=0.3))
        for command in 'conf', 'report', 'stats':
            for arguments in ({}, {'with_defaults': True})[:2 if command == 'conf' else 1]:
                [reply] = app.control.broadcast(command, arguments, reply=True, timeout=5,
                                                limit=1)
                text = json.dumps(reply)
                self.assertNotIn('Xsecret', text)
                self.assertNotIn('"error"', text[:60])


if __name__ == '__main__':
    lib.main()
