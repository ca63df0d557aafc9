#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Remote control: the real app.control and app.control.inspect() against the C worker."""

import base64
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
        for pattern in 'w1', r'\w\d@', '(a|w)[0-9]+@.*$':
            self.assertEqual(len(ping(pattern, 'pcre')), 1, pattern)
        for pattern in 'w1$', '1@', 'w{2}', '(':
            self.assertEqual(ping(pattern, 'pcre'), [], pattern)

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
        lib.wait_for('it is held', lambda: self.queues.held())
        self.app.control.revoke(r.id)
        self.revoked(r, 'revoked')
        lib.wait_for('it is settled', lambda: not self.queues.left())

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
        lib.wait_for('it is settled', lambda: not self.queues.left())

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


class Stamps(Control):
    """revoke_by_stamped_headers, sent as Celery 5.3 and later send it."""

    def stamped(self, name, *args, **options):
        # What a stamped signature becomes, also with a client that has no stamps.
        return self.app.send_task(name, args, headers={
            'stamped_headers': ['monitor', 'other'],
            'stamps': {'monitor': options.pop('stamp', 'm1'), 'other': ['x', 'y']},
        }, **options)

    def test_waiting(self):
        r = self.stamped('t.add', 1, 2, countdown=600)
        lib.wait_for('it is held', lambda: self.queues.held())
        self.assertEqual(self.ask('revoke_by_stamped_headers', headers={'monitor': ['m1']}), {
            'ok': "headers {'monitor': ['m1']} flagged as revoked, but not terminated"})
        self.revoked(r, 'revoked')
        self.revoked(self.stamped('t.add', 1, 2), 'revoked')
        self.assertEqual(self.stamped('t.add', 1, 2, stamp='m2').get(timeout=10), 3)

    def test_running(self):
        r = self.stamped('t.sleep', 60, stamp=['r1', 'r2'])
        time.sleep(0.5)
        self.assertEqual(
            self.ask('revoke_by_stamped_headers', headers=['monitor=nobody'], terminate=True),
            {'ok': "headers {'monitor': 'nobody'} were not terminated"})
        self.assertEqual(
            self.ask('revoke_by_stamped_headers', headers={'monitor': 'r2'}, terminate=True,
                     signal='SIGKILL'),
            {'ok': "headers defaultdict(<class 'set'>, {'monitor': {'r2'}}) revoked"})
        self.revoked(r, 'terminated')

    def test_wrong(self):
        self.assertEqual(self.ask('revoke_by_stamped_headers', headers=['x']),
                         {'error': "IndexError('list index out of range')"})
        self.assertIn('error', self.ask('revoke_by_stamped_headers', headers='x'))


class Limits(Control):
    worker_options = {'concurrency': 2}

    def test_rate_limit(self):
        self.assertEqual(self.ask('rate_limit', task_name='t.noop', rate_limit='2/s'),
                         {'ok': 'new rate limit set successfully'})
        self.assertIn('t.noop [rate_limit=2/s]', self.inspect().registered()[self.node])
        began = time.monotonic()
        results = [self.app.send_task('t.noop') for _ in range(5)]
        for r in results[:4]:
            r.get(timeout=20)
        self.assertGreater(time.monotonic() - began, 1.3)
        self.assertEqual(self.ask('rate_limit', task_name='t.noop', rate_limit='1/h'),
                         {'ok': 'new rate limit set successfully'})
        results += [self.app.send_task('t.noop') for _ in range(20)]
        time.sleep(1)
        # Those that wait go on when the limit goes.
        self.assertEqual(self.ask('rate_limit', task_name='t.noop', rate_limit=0),
                         {'ok': 'rate limit disabled successfully'})
        for r in results:
            r.get(timeout=20)

    def test_rate_limit_wrong(self):
        self.assertEqual(
            self.ask('rate_limit', task_name='t.noop', rate_limit='abc'),
            {'error': 'Invalid rate limit string: '
                      'ValueError("could not convert string to float: \'abc\'")'})

    def test_revoke_what_waits_for_a_token(self):
        self.ask('rate_limit', task_name='t.ident', rate_limit='1/h')
        results = [self.app.send_task('t.ident', (i,)) for i in range(3)]
        self.assertEqual(results[0].get(timeout=10), 0)
        lib.wait_for('they wait', lambda: len(self.inspect().reserved()[self.node]) == 2)
        self.app.control.revoke([r.id for r in results[1:]])
        for r in results[1:]:
            self.revoked(r, 'revoked')
        self.ask('rate_limit', task_name='t.ident', rate_limit='0')

    def test_time_limit(self):
        self.assertEqual(self.ask('time_limit', task_name='t.sleep', hard=0.5),
                         {'ok': 'time limits set successfully'})
        from celery.exceptions import TimeLimitExceeded
        with self.assertRaises(TimeLimitExceeded):
            self.call('t.sleep', 30)
        self.ask('time_limit', task_name='t.sleep')
        self.assertEqual(self.call('t.sleep', 0.8), 0.8)


class Pool(Control):
    worker_options = {'concurrency': 2}

    def processes(self):
        return len(self.inspect().stats()[self.node]['pool']['processes'])

    def test_grow_and_shrink(self):
        self.assertEqual(self.ask('pool_grow', n=2), {'ok': 'pool will grow'})
        lib.wait_for('four processes', lambda: self.processes() == 4)
        began = time.monotonic()
        for r in [self.app.send_task('t.sleep', (3,)) for _ in range(4)]:
            r.get(timeout=10)
        self.assertLess(time.monotonic() - began, 6)
        self.assertEqual(self.ask('pool_shrink', n=3), {'ok': 'pool will shrink'})
        lib.wait_for('one process', lambda: self.processes() == 1)
        self.assertEqual(self.ask('pool_shrink'), {
            'error': 'ValueError("Can\'t shrink pool. All processes busy!")'})
        self.assertEqual(self.ask('pool_grow'), {'ok': 'pool will grow'})
        self.assertIn('error', self.ask('pool_grow', n='many'))
        self.assertIn('error', self.ask('pool_grow', n=10 ** 9))
        self.assertEqual(self.call('t.add', 1, 2), 3)

    def test_queues(self):
        r = self.app.send_task('t.add', (1, 2), queue='extra')
        self.assertEqual(self.ask('add_consumer', queue='extra'), {'ok': 'add consumer extra'})
        self.assertEqual(r.get(timeout=10), 3)
        self.assertEqual({q['name'] for q in self.inspect().active_queues()[self.node]},
                         {'celery', 'extra'})
        self.assertEqual(self.ask('add_consumer', queue='extra'), {'ok': 'add consumer extra'})
        self.assertEqual(self.ask('cancel_consumer', queue='extra'),
                         {'ok': 'no longer consuming from extra'})
        self.assertEqual([q['name'] for q in self.inspect().active_queues()[self.node]],
                         ['celery'])
        late = self.app.send_task('t.add', (2, 2), queue='extra')
        time.sleep(0.5)
        self.assertEqual(late.state, 'PENDING')
        self.ask('add_consumer', queue='extra')
        self.assertEqual(late.get(timeout=10), 4)
        self.ask('cancel_consumer', queue='extra')

    def test_events(self):
        self.assertEqual(self.ask('enable_events'), {'ok': 'task events enabled'})
        self.assertEqual(self.ask('disable_events'), {'ok': 'task events disabled'})
        self.assertIsNone(self.ask('heartbeat'))
        self.assertIsNone(self.ask('election', id='e', topic='t'))



class Threads(Control):
    worker_options = {'concurrency': 1, 'pool': 'threads'}

    def test_no_task_of_a_thread_is_killed(self):
        r = self.app.send_task('t.sleep', (1.5,))
        time.sleep(0.4)
        reply = self.ask('revoke', task_id=r.id, terminate=True)
        self.assertIn('NotImplementedError', reply['error'])
        self.assertEqual(r.get(timeout=10), 1.5)
        self.assertEqual(self.inspect().stats()[self.node]['pool'], {
            'implementation': 'celery.concurrency.thread:TaskPool', 'max-concurrency': 1,
            'threads': 1})


class Hostile(Control):
    """What must not end the worker, nor delay its tasks."""

    brokers = ('redis',)

    def broadcast(self, body, content_type='application/json', **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.db0.publish('/0.celery.pidbox', json.dumps({
            'body': base64.b64encode(body).decode(), 'content-encoding': 'utf-8',
            'content-type': content_type, 'headers': headers,
            'properties': {'delivery_mode': 2, 'body_encoding': 'base64', 'priority': 0,
                           'delivery_info': {'exchange': 'celery.pidbox', 'routing_key': ''},
                           'delivery_tag': str(uuid.uuid4())}}))

    def test_malformed(self):
        before = len(self.worker.output().splitlines())
        for body in (b'', b'{', b'[]', b'null', b'"x"', b'{"method": null}', b'\xff\xfe',
                     b'{"method": []}', b'{"method": "ping", "arguments": [1]}',
                     b'{"method": "ping", "destination": "all"}',
                     b'{"method": "ping", "pattern": 1, "matcher": 2}',
                     b'{"method": "ping", "pattern": "x", "matcher": "nosuch"}',
                     b'{"method": "ping", "reply_to": 1}',
                     b'{"method": "ping", "reply_to": {"exchange": null}}',
                     b'[' * 100000):
            self.broadcast(body)
        self.broadcast({'method': 'ping'}, 'application/x-python-serialize')
        self.broadcast({'method': 'ping'}, clock='x')
        self.broadcast({'method': 'ping'}, clock=2 ** 63)
        self.broadcast({'method': 'x\n\x1b[31m' + 'y' * 100})
        self.db0.publish('/0.celery.pidbox', b'no json')
        for task_id in (None, 1, {}, [1, None], ['x' * 100000], [[]], 'x\0y', '\ud800'):
            self.broadcast({'method': 'revoke', 'arguments': {'task_id': task_id}})
        self.assertEqual(self.ask('ping'), {'ok': 'pong'})
        self.assertEqual(self.call('t.add', 1, 2), 3)
        lines = self.worker.output().splitlines()[before:]
        self.assertLess(len(lines), 60)
        self.assertNotIn('\x1b[31m', '\n'.join(lines))

    def test_a_reply_goes_to_its_queue_only(self):
        self.broadcast({'method': 'ping', 'ticket': 't', 'reply_to': {
            'exchange': '', 'routing_key': 'celery'}})
        self.broadcast({'method': 'ping', 'ticket': 't', 'reply_to': {
            'exchange': 'celery', 'routing_key': 'celery'}})
        self.broadcast({'method': 'ping', 'ticket': 't', 'reply_to': {
            'exchange': 'reply.celery.pidbox', 'routing_key': 'gone'}})
        self.assertEqual(self.ask('ping'), {'ok': 'pong'})
        self.assertEqual(self.queues.left(), 0)
        self.assertFalse(self.db0.exists('celery.celery-c.dead', 'gone'))

    def test_flood(self):
        command = {'method': 'active', 'arguments': {}, 'ticket': 't', 'reply_to': {
            'exchange': 'reply.celery.pidbox', 'routing_key': 'gone'}}
        wrong = {'method': 'nosuch', 'arguments': {'x' * 100: 1}}
        results = []
        for i in range(5000):
            self.broadcast(command if i % 2 else wrong)
            if i % 500 == 0:
                results.append(self.app.send_task('t.add', (i, i)))
        for i, r in enumerate(results):
            self.assertEqual(r.get(timeout=20), i * 1000)
        lib.wait_for('it answers again', lambda: self.app.control.ping(timeout=1), 30)
        self.assertLess(os.path.getsize(self.worker.log), 1000000)

    def test_flood_of_broadcasts(self):
        """10,000 at once, answers wanted by somebody who is gone: each task runs in its time."""
        before = len(self.worker.output().splitlines())
        command = json.dumps({
            'body': base64.b64encode(json.dumps({
                'method': 'ping', 'arguments': {}, 'ticket': 't', 'reply_to': {
                    'exchange': 'reply.celery.pidbox', 'routing_key': 'gone'}}).encode()).decode(),
            'content-encoding': 'utf-8', 'content-type': 'application/json', 'headers': {},
            'properties': {'delivery_mode': 2, 'body_encoding': 'base64', 'priority': 0,
                           'delivery_info': {'exchange': 'celery.pidbox', 'routing_key': ''},
                           'delivery_tag': 'x'}})
        pipe = self.db0.pipeline(transaction=False)
        for _ in range(10000):
            pipe.publish('/0.celery.pidbox', command)
        pipe.execute()
        began = time.monotonic()
        for i in range(5):
            self.assertEqual(self.call('t.add', i, 1), i + 1)
        self.assertLess(time.monotonic() - began, 5 * lib.PATIENCE)
        lib.wait_for('it answers again', lambda: self.app.control.ping(timeout=1), 30)
        self.assertFalse([k for k in lib.keys(self.db0) if 'gone' in k or 'reply' in k])
        self.assertLess(len(self.worker.output().splitlines()) - before, 200)

    def test_many_ids(self):
        ids = [str(uuid.uuid4()) for _ in range(60000)]
        self.app.control.revoke(ids)
        # While they are marked as revoked one result after the other.
        sent = []
        for n in range(30):
            sent.append(self.app.send_task('t.add', (n, 2)))
            time.sleep(0.05)
        self.assertEqual(len(self.inspect().revoked()[self.node]), 50000)
        self.assertEqual([r.get(timeout=30) for r in sent], list(range(2, 32)))

    def test_a_pattern_that_takes_long(self):
        self.broadcast({'method': 'ping', 'pattern': '*a' * 120, 'matcher': 'glob'})
        self.broadcast({'method': 'ping', 'pattern': '(a*)*' * 50, 'matcher': 'pcre'})
        began = time.monotonic()
        self.assertEqual(self.ask('ping'), {'ok': 'pong'})
        self.assertLess(time.monotonic() - began, 2 * lib.PATIENCE)


class StateDb(lib.Case):
    def path(self):
        return os.path.join(lib.tmpdir(), 'state-%s' % uuid.uuid4())

    def with_db(self, path, **kwargs):
        w = self.start('--statedb', path, concurrency=1, **kwargs)
        lib.wait_for('it answers', lambda: self.app.control.ping(timeout=0.3))
        return w

    def revoked_now(self):
        [ids] = self.app.control.inspect(timeout=5).revoked().values()
        return ids

    def kept(self, end):
        path = self.path()
        w = self.with_db(path)
        ids = [str(uuid.uuid4()) for _ in range(3)]
        self.app.control.revoke(ids, reply=True, limit=1, timeout=5)
        end(w, path)
        r = self.app.send_task('t.add', (1, 2), task_id=ids[1])
        r.forget()
        w = self.with_db(path)
        self.assertEqual(set(self.revoked_now()), set(ids))
        lib.wait_for('it is discarded', lambda: r.state == 'REVOKED')
        self.assertEqual(w.stop(), 0)
        self.assertEqual(os.stat(path).st_mode & 0o077, 0)

    def test_over_a_restart(self):
        self.kept(lambda w, path: self.assertEqual(w.stop(), 0))

    def test_over_a_kill(self):
        def end(w, path):
            lib.wait_for('it is written', lambda: os.path.exists(path))
            w.kill9()
        self.kept(end)

    def test_corrupt(self):
        for text in (b'', b'\0' * 100, b'{', b'[]', b'{"celery-c state": 9}',
                     b'{"celery-c state": 1, "revoked": [1, [], [2], ["x"], ["y", "z"]]}'):
            path = self.path()
            with open(path, 'wb') as f:
                f.write(text)
            w = self.with_db(path)
            self.assertEqual(w.stop(), 0)
            said = [line for line in w.output().splitlines() if '--statedb' in line]
            readable = b'"revoked"' in text
            self.assertEqual(len(said), 0 if readable else 1, said)
            self.assertEqual(os.path.exists(path + '.unreadable'), not readable)
            with open(path) as f:
                self.assertEqual(json.load(f)['celery-c state'], 1)

    def test_node_name(self):
        path = self.path()
        w = self.with_db(path + '-%n')
        self.assertEqual(w.stop(), 0)
        self.assertTrue(os.path.exists(path + '-w1'))


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
        self.assertEqual(self.queues.left(), 0)

    def test_shutdown(self):
        w = self.start(concurrency=1)
        lib.wait_for('it answers', lambda: self.app.control.ping(timeout=0.3))
        running = self.app.send_task('t.sleep', (1,))
        time.sleep(0.4)
        self.app.control.shutdown()
        self.assertEqual(w.wait(10), 0)
        self.assertEqual(running.get(timeout=5), 1)
        self.assertIn('Got shutdown from remote', w.output())

    def test_autoscale(self):
        w = self.start('--autoscale=4,1')
        lib.wait_for('it answers', lambda: self.app.control.ping(timeout=0.3))
        [reply] = self.app.control.autoscale(6, 2, reply=True, limit=1, timeout=5)
        self.assertEqual(list(reply.values()), [{'ok': 'autoscale now max=6 min=2'}])
        [stats] = self.app.control.inspect(timeout=5).stats().values()
        self.assertEqual((stats['autoscaler']['max'], stats['autoscaler']['min']), (6, 2))
        [reply] = self.app.control.pool_grow(1, reply=True, limit=1, timeout=5)
        self.assertEqual(list(reply.values()), [{
            'error': 'pool_grow is not supported with autoscale. '
                     'Adjust autoscale range instead.'}])
        self.assertEqual(w.stop(), 0)

    @unittest.skipUnless(lib.BROKER == 'redis', 'Redis closes the connections')
    def test_after_a_reconnection(self):
        w = self.start(concurrency=1)
        lib.wait_for('it answers', lambda: self.app.control.ping(timeout=0.3))
        self.db0.client_kill_filter(_type='normal', skipme=True)
        self.db0.client_kill_filter(_type='pubsub', skipme=True)
        def answers():
            try:
                return self.app.control.ping(timeout=0.5)
            except (ConnectionError, redis.exceptions.ConnectionError):
                return None  # the client's own connections are gone as well
        import redis
        lib.wait_for('it answers again', answers, 20)
        self.assertEqual(w.stop(), 0)

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
                pool=cls.pool, alone=False)  # with its events, as a C worker
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
        if command in ('add_consumer', 'cancel_consumer'):
            self.settled(arguments['queue'], command == 'add_consumer')
        return replies['c']

    def settled(self, queue, consumed):
        """Python workers answer first and do it later, in any order (kombu's Hub.call_soon)."""
        lib.wait_for('both have done it', lambda: all(
            (queue in [q['name'] for q in queues]) == consumed
            for queues in self.both('active_queues').values()), 20)

    def test_situation(self):
        # Each runs first; the others are more urgent.
        tasks = {kind: [self.app.send_task('t.sleep', (6,), queue=kind, priority=3)]
                 for kind in self.workers}
        lib.wait_for('both run', lambda: all(self.both('active').values()))
        for kind, sent in tasks.items():
            sent += [
                self.app.send_task('t.add', ({'a': [1, None]}, 'x'), queue=kind),
                self.app.send_task('t.kw', (1,), {'b': 2.5}, queue=kind, countdown=600,
                                   shadow='other.name')]
        lib.wait_for('both hold the others',
                     lambda: all(self.both('reserved').values()) and
                     all(self.both('scheduled').values()))
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
        self.same('autoscale', max=3)
        self.same('pool_restart')
        self.same('rate_limit', task_name='t.nosuch', rate_limit='1/s')
        self.same('rate_limit', task_name='t.add', rate_limit='1/x')
        self.same('rate_limit', task_name='t.add', rate_limit='abc')
        self.same('time_limit', task_name='t.nosuch', soft=1)
        self.same('add_consumer', queue='q3')
        self.same('cancel_consumer', queue='q3')
        self.same('time_limit', task_name='t.add', soft=1, hard=2.5)
        self.same('time_limit', task_name='t.add')
        self.same('revoke', task_id=[])
        self.same('revoke', task_id='nobody', terminate=True)

    def test_conf(self):
        both = self.both('conf')
        self.assertEqual(both['c']['broker_url'],
                         self.broker.replace('guest:guest@', 'guest:********@'))
        self.assertEqual(both['c']['result_backend'], self.backend)
        defaults = self.both('conf', with_defaults=True)
        missing = {k for k in defaults['python'] if k.startswith(('task_', 'worker_', 'result_'))
                   } - set(defaults['c'])
        self.assertEqual(missing, set())

    # What each command is asked with; those that change something are put back below.
    ARGUMENTS = {
        'add_consumer': {'queue': 'q4', 'exchange': 'q4', 'exchange_type': 'direct',
                         'routing_key': 'q4'},
        'autoscale': {'max': 2, 'min': 1}, 'cancel_consumer': {'queue': 'q4'},
        'conf': {'with_defaults': True}, 'election': {'id': 'e', 'topic': 't'},
        'hello': {'from_node': 'somebody@else', 'revoked': {}}, 'memdump': {'samples': 3},
        'objgraph': {'num': 1}, 'query_task': {'ids': ['nobody']},
        'rate_limit': {'task_name': 't.rate_m', 'rate_limit': '300/m'},  # as it is
        'revoke': {'task_id': 'nobody', 'terminate': True},
        'revoke_by_stamped_headers': {'headers': {'stamp': ['nobody']}},
        'terminate': {'signal': 'KILL', 'task_id': 'nobody'},
        'time_limit': {'task_name': 't.add', 'soft': 50, 'hard': 60},
    }
    ELSEWHERE = {'shutdown', 'conf', 'registered'}  # tests of their own

    def test_every_command(self):
        """Whatever this Celery knows, asked of both."""
        from celery.worker.control import Panel
        for name in sorted(set(Panel.meta) - self.ELSEWHERE):
            with self.subTest(name):
                self.same(name, **self.ARGUMENTS.get(name, {}))
        self.both('time_limit', task_name='t.add')

    def test_patterns(self):
        nodes = sorted(node(kind) for kind in self.workers)
        for matcher, pattern, expected in (
                ('glob', '*', nodes), ('glob', 'c@*', nodes[:1]), ('glob', '[!c]*', nodes[1:]),
                ('glob', 'C@*', []), ('pcre', '(c|python)@', nodes), ('pcre', 'py', nodes[1:]),
                ('pcre', 'ython', [])):
            replies = self.app.control.broadcast('ping', reply=True, timeout=0.7,
                                                 pattern=pattern, matcher=matcher)
            self.assertEqual(sorted(n for reply in replies for n in reply), expected, pattern)

    def test_hello(self):
        self.app.control.revoke('sync1')
        for kind, reply in self.both('hello', from_node='other@host', revoked={
                'sync2': [time.monotonic(), 'sync2']}).items():
            self.assertIn('sync1', reply['revoked'], kind)
            self.assertIn('sync2', reply['revoked'], kind)
            self.assertIsInstance(reply['clock'], int)
        self.assertIn('sync2', self.both('revoked')['c'])


class Secrets(lib.Case):
    brokers = ('redis',)
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
