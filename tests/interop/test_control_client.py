#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Remote control from C: celery/control.h and celery-c inspect, control and status, to
workers of C and of Python, beside what Celery's own client gets from them."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
import unittest
import uuid

import lib

HOST = socket.gethostname()
TOOL = lib.built('tests/interop/control_client')


def node(name):
    return '%s@%s' % (name, HOST)


class Client:
    """The tool, one question after the other."""

    def __init__(self, broker, backend=None):
        self.process = lib.spawn([TOOL, broker] + ([backend] if backend else []), text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, **line):
        self.process.stdin.write(json.dumps(line) + '\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ask(self, command, arguments=None, **options):
        answer = self(ask=command, arguments=arguments or {}, **options)
        assert 'error' not in answer, answer
        return answer

    def close(self):
        self.process.stdin.close()
        return self.process.wait(20)


class Case(lib.Case):
    kinds = ('c', 'python')

    @classmethod
    def setUpClass(cls):
        if not TOOL:
            raise unittest.SkipTest('control_client is not built in %s' % lib.BUILD)
        super().setUpClass()
        cls.workers = {}
        for kind in cls.kinds:
            cls.workers[kind] = lib.Worker(cls.broker, cls.backend, kind=kind, name=kind,
                                           queues=kind, concurrency=2)
            cls.addClassCleanup(cls.workers[kind].kill9)
        lib.wait_for('all answer',
                     lambda: len(cls.app.control.ping(timeout=0.5)) == len(cls.kinds), 30)
        cls.nodes = [node(kind) for kind in cls.kinds]

    @classmethod
    def tearDownClass(cls):
        for w in cls.workers.values():
            w.stop()

    def client(self):
        c = Client(self.broker, self.backend)
        self.addCleanup(c.close)
        return c

    def setUp(self):
        self.everything_is_answered()

    def everything_is_answered(self):
        """A client that had enough answers may have gone before the others answered; what
        such an answer leaves behind is not this test's (kombu/transport/redis.py _put_all:
        it looks the mailbox up, then fills it). Workers answer in the order asked."""
        replies = self.client().ask('ping', destination=self.nodes,
                                    timeout=10 * lib.PATIENCE)['replies']
        self.assertEqual(len(replies), len(self.nodes))
        if lib.BROKER == 'redis':
            late = [k for k in lib.keys(self.db0) if 'reply' in k]
            if late:
                self.db0.delete(*late)

    def nothing_is_left(self):
        """No mailbox of a client is with the broker any more."""
        if lib.BROKER == 'redis':
            left = [k for k in lib.keys(self.db0) if 'reply' in k or '.dead' in k]
        else:
            left = [q for q in self.rabbit.queues() if 'reply' in str(q)]
        self.assertEqual(left, [])

    def celery_c(self, *args):
        run = subprocess.run([lib.CELERY_C, '-b', self.broker, *args], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, env=lib.env_of_workers(),
                             stdin=subprocess.DEVNULL, timeout=60 * lib.PATIENCE)
        return run.returncode, run.stdout, run.stderr

    def celery(self, *args):
        """What Celery's own program prints."""
        run = subprocess.run([sys.executable, '-m', 'celery', '-b', self.broker, '-C', *args],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             cwd='/', timeout=60 * lib.PATIENCE)
        return run.returncode, run.stdout, run.stderr


# What changes from one question to the next.
MOVING = re.compile(r'"(clock|uptime|pid|utime|stime|maxrss|minflt|majflt|inblock|oublock|nvcsw|'
                    r'nivcsw|ixrss|idrss|isrss|nswap|msgsnd|msgrcv|nsignals)": ("?[\d.]+"?)')


def still(value):
    return json.loads(MOVING.sub(r'"\1": 0', json.dumps(value)))


class Beside(Case):
    """The same questions by both clients."""

    INSPECT = [('ping',), ('active',), ('reserved',), ('scheduled',), ('revoked',),
               ('registered',), ('registered', 'rate_limit', 'name'), ('stats',), ('conf',),
               ('conf', 'true'), ('query_task', 'nobody'), ('active_queues',), ('clock',),
               ('objgraph',)]
    CONTROL = [('rate_limit', 't.add', '100/m'), ('rate_limit', 't.nosuch', '1/s'),
               ('rate_limit', 't.add'), ('time_limit', 't.add', '1.5', '2'),
               ('time_limit', 't.add', '60'), ('pool_grow',), ('pool_shrink', '1'),
               ('autoscale', '3', '1'), ('pool_restart',), ('add_consumer', 'more'),
               ('cancel_consumer', 'more'), ('heartbeat',), ('enable_events',),
               ('disable_events',), ('election',), ('revoke', 'a', 'b'), ('revoke',),
               ('terminate', 'SIGKILL', 'nobody'), ('terminate', 'NONE', 'nobody')]

    def same(self, kind, *command):
        args = [kind, '-j', '-t', '2', '-d', ','.join(self.nodes), *command]
        code, ours, text = self.celery_c(*args)
        self.assertEqual(code, 0, text)
        # What celery/bin/control.py does, without starting a program each time.
        from celery.bin.control import _compile_arguments
        ours = json.loads(ours)
        theirs = self.app.control.broadcast(
            command[0], _compile_arguments(command[0], list(command[1:])),
            destination=self.nodes, reply=True, timeout=5)
        theirs = {k: v for reply in theirs for k, v in reply.items()}
        if kind == 'control':
            self.assertEqual([len(reply) for reply in ours], [1, 1])
            ours = {k: v for reply in ours for k, v in reply.items()}
        self.assertEqual(set(ours), set(self.nodes))
        for side in ours, theirs:
            for reply in side.values():
                if isinstance(reply, dict) and 'ok' in reply and 'flagged' in str(reply['ok']):
                    reply['ok'] = sorted(re.findall(r"\w+", reply['ok']))  # a set's order
                if command[0] == 'revoked':
                    reply.sort()
        self.assertEqual(still(ours), still(theirs))

    def test_inspect(self):
        for command in self.INSPECT:
            with self.subTest(command):
                self.same('inspect', *command)

    def test_control(self):
        for command in self.CONTROL:
            with self.subTest(command):
                if command[0].endswith('_events'):
                    self.celery_c('control', *command)  # a second time says "already"
                self.same('control', *command)

    def test_measured(self):
        for command in 'report', 'memsample', 'memdump':
            code, out, err = self.celery_c('inspect', '-j', command, '-d', ','.join(self.nodes))
            self.assertEqual((code, set(json.loads(out))), (0, set(self.nodes)), err)

    def test_text(self):
        # Celery 5.6 and later print the same; pygments may colour 5.2's maps.
        for command in ('ping',), ('active_queues',), ('registered',), ('query_task', 'x'):
            shown = []
            for run in self.celery_c, self.celery:
                code, out, err = run('-q', 'inspect', '-d', node('c'), *command)
                self.assertEqual(code, 0, err)
                shown.append([line.rstrip() for line in out.splitlines() if line.strip()
                              and not line.endswith('online.')])
            self.assertEqual(*shown)
        code, out, _ = self.celery_c('status')
        self.assertEqual(code, 0)
        lines = out.splitlines()
        self.assertEqual(sorted(lines[:-2]), ['->  %s: OK' % n for n in sorted(self.nodes)])
        self.assertEqual(lines[-2:], ['', '2 nodes online.'])
        code, out, _ = self.celery_c('control', 'rate_limit', 't.add', '-d', node('c'))
        self.assertEqual(code, 0)
        self.assertIn('->  %s: ERROR\n        TypeError(' % node('c'), out)

    def test_methods_of_both(self):
        for kind in 'inspect', 'control':
            code, out, _ = self.celery_c(kind, '--list')
            self.assertEqual(code, 0)
            from celery.worker.control import Panel
            names = {name: info for name, info in Panel.meta.items()
                     if info.type == kind and info.visible}
            listed = {line.split()[0]: ' '.join(line.split()[1:]) for line in out.splitlines()
                      if re.match(r'  \S', line)}
            self.assertLessEqual(set(names), set(listed))
            for name, info in names.items():
                self.assertEqual(listed[name], ' '.join((info.signature or '').split()), name)
                for told in self.celery_c(kind, '--help'), self.celery_c('completion', 'bash'):
                    self.assertRegex(told[1], r'\b%s\b' % name)

    def test_wrong(self):
        for args, text in (
                (['inspect', 'pnig'], 'Did you mean ping?'),
                (['inspect', 'revoke', 'x'], 'Did you mean control revoke?'),
                (['control', 'stats'], 'Did you mean inspect stats?'),
                (['control'], "Missing argument 'METHOD'"),
                (['control', 'pool_grow', 'many'], 'n is not a valid int: many'),
                (['control', 'pool_grow', '1', '2'], "'pool_grow' takes arguments: [N=1]"),
                (['inspect', 'ping', 'x'], "'ping' takes no arguments"),
                (['inspect', 'conf', 'maybe'], 'with_defaults is not a valid bool'),
                (['inspect', 'ping', '--matcher', 'glob'], '--matcher needs a --pattern'),
                (['status', '-t', 'x'], "'--timeout'")):
            code, out, err = self.celery_c(*args)
            self.assertEqual((code, out), (2, ''), args)
            self.assertIn(text, err)

    def test_nobody(self):
        for args in (['status', '-t', '0.3', '-d', 'nobody@here'],
                     ['inspect', '-t', '0.3', '--pattern', 'x*', 'ping'],
                     ['control', '-t', '0.3', '-d', 'nobody@here', 'heartbeat']):
            code, out, err = self.celery_c(*args)
            self.assertEqual((code, out), (69, ''))
            self.assertEqual(err, 'Error: No nodes replied within time constraint\n')
        run = subprocess.run([lib.CELERY_C, '-b', 'redis://127.0.0.1:1/0', 'status'],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=lib.env_of_workers(), timeout=60)
        self.assertEqual(run.returncode, 69)
        self.assertEqual(len(run.stderr.splitlines()), 1)
        self.nothing_is_left()

    def test_without_a_place_for_results(self):
        code, out, err = self.celery_c('--result-backend', 'redis://127.0.0.1:1/0', 'status')
        self.assertEqual((code, err), (0, ''))


class Library(Case):
    def nodes_of(self, answer):
        return sorted(name for name, _ in answer['replies'])

    def test_whom(self):
        c, wait = self.client(), {'timeout': lib.PATIENCE}
        self.assertEqual(self.nodes_of(c.ask('ping', **wait)), self.nodes)
        self.assertEqual(self.nodes_of(c.ask('ping', destination=[node('c')])), [node('c')])
        self.assertEqual(self.nodes_of(c.ask('ping', pattern='p*', **wait)), [node('python')])
        self.assertEqual(self.nodes_of(c.ask('ping', pattern='^(c|x)@', matcher='pcre', **wait)),
                         [node('c')])
        self.assertEqual(self.nodes_of(c.ask('ping', destination=['nobody'], timeout=0.3)), [])
        self.nothing_is_left()

    def test_how_long(self):
        c = self.client()
        for options, least, most in (({'destination': self.nodes}, 0, 0.9),
                                     ({'limit': 2}, 0, 0.9), ({'enough': 1}, 0, 0.9),
                                     ({'timeout': 0.4}, 0.4, 1.2), ({}, 1, 1.9)):
            self.how_long(c, options, least, most)

    def how_long(self, c, options, least, most, attempts=5):
        """A worker that gets no processor may answer too late: then it is asked again."""
        began = time.monotonic()
        answer = c.ask('ping', **options)
        took = time.monotonic() - began
        told = 1 if 'enough' in options else 2
        if attempts > 1 and (answer['told'] != told or took >= most * lib.PATIENCE):
            self.everything_is_answered()
            self.how_long(c, options, least, most, attempts - 1)
            return
        self.assertGreaterEqual(len(answer['replies']), 1)
        self.assertEqual(answer['told'], told)
        self.assertGreaterEqual(took, least, options)
        self.assertLess(took, most * lib.PATIENCE, options)

    def test_limit(self):
        self.assertEqual(len(self.client().ask('ping', limit=1)['replies']), 1)

    def test_wrong_options(self):
        c = self.client()
        for options in ({'timeout': -1}, {'pattern': 'x', 'matcher': 'sql'},
                        {'pattern': 'x' * 300}, {'destination': ['']}):
            self.assertEqual(c(ask='ping', **options)['status'], 'CELERY_EINVAL', options)
        self.assertEqual(c(ask='ping', arguments=[1])['status'], 'CELERY_EINVAL')
        self.assertEqual(c(ask='')['status'], 'CELERY_EINVAL')
        self.assertEqual(self.nodes_of(c.ask('ping', timeout=lib.PATIENCE)), self.nodes)

    def test_send(self):
        self.assertEqual(self.client()(send='rate_limit', arguments={
            'task_name': 't.noop', 'rate_limit': '7/s'}), {'sent': True})
        lib.wait_for('both have it', lambda: all(
            't.noop [rate_limit=7/s]' in tasks
            for tasks in self.app.control.inspect(timeout=1).registered().values()))

    def test_revoke(self):
        c = self.client()
        one, *more = [str(uuid.uuid4()) for _ in range(4)]
        self.assertEqual(c(revoke=[one]), {'sent': True})
        self.assertEqual(c(revoke=more), {'sent': True})
        for kind in self.kinds:
            lib.wait_for('they are revoked', lambda: {one, *more} <= set(
                self.app.control.inspect([node(kind)], timeout=1).revoked()[node(kind)]))

    def test_large(self):
        c = self.client()
        answer = c.ask('t_large', {'n': 100000}, destination=[node('c')], timeout=10)
        self.assertEqual(len(answer['replies'][0][1]), 100000)
        # Larger than worker_max_message_bytes of the client, then than the worker's bound.
        for n in 500000, 2000000:
            answer = c.ask('t_large', {'n': n}, destination=[node('c')], timeout=4)
            if answer['replies']:
                self.assertEqual(answer['replies'][0][1],
                                 {'error': "MemoryError('the reply is too large')"})
            else:
                self.assertEqual(answer['dropped'], 1)
                self.assertTrue(answer['why'])
            self.nothing_is_left()
        self.assertEqual(self.nodes_of(c.ask('ping', timeout=lib.PATIENCE)), self.nodes)

    def test_own_commands(self):
        [reply] = self.app.control.broadcast(
            't_echo', {'n': 1, 'x': [None, 'y']}, destination=[node('c')], reply=True,
            timeout=5, limit=1)
        self.assertEqual(reply, {node('c'): {'echo': {'n': 1, 'x': [None, 'y']}, 'ctx': 'word'}})
        self.assertEqual(self.app.control.inspect([node('c')], timeout=5)._request('t_fail'),
                         {node('c'): None})
        for arguments, error in (({'why': 1}, 'no word today'),
                                 ({'other': 1}, "TypeError(\"t_fail() got an unexpected "
                                                "keyword argument 'other'\")")):
            [reply] = self.app.control.broadcast('t_fail', arguments, destination=[node('c')],
                                                 reply=True, timeout=5, limit=1)
            self.assertEqual(reply[node('c')], {'error': error})
        [reply] = self.app.control.broadcast('t_echo', destination=[node('c')], reply=True,
                                             timeout=5, limit=1)
        self.assertIn("missing 1 required positional argument: 'n'", reply[node('c')]['error'])

    def test_own_commands_by_the_program(self):
        to = ['-j', '-d', node('c')]
        code, out, err = self.celery_c('-A', lib.C_TASKS, 'inspect', *to, 't_echo', '3', '1.5',
                                       'yes')
        self.assertEqual((code, json.loads(out or 'null')), (0, {node('c'): {
            'echo': {'n': 3, 'seconds': 1.5, 'flag': True}, 'ctx': 'word'}}), err)
        code, out, _ = self.celery_c('-A', lib.C_TASKS, 'control', '--list')
        self.assertIn('  t_fail [why]\n', out)
        code, _, err = self.celery_c('-A', lib.C_TASKS, 'control', 't_echo', '3')
        self.assertEqual(code, 2)
        code, _, err = self.celery_c('inspect', 't_echo', '3')
        self.assertEqual(code, 2, 'known without the application')


class Groups(lib.Case):
    """A group of a C client on a C worker, revoked by it."""

    worker_options = {'concurrency': 4}
    results = ('redis',)

    def setUp(self):
        if not TOOL:
            self.skipTest('control_client is not built')
        lib.wait_for('it answers', lambda: self.app.control.ping(timeout=0.3))
        self.client = Client(self.broker, self.backend)
        self.addCleanup(self.client.close)

    def test_terminate(self):
        answer = self.client(group=['t.sleep', 60], n=4, after=1.5, terminate=True)
        self.assertEqual(answer['states'], ['REVOKED'] * 4)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        lib.wait_for('all is settled', lambda: not self.queues.left())

    def test_what_waits(self):
        self.assertIn('ok', str(self.app.control.rate_limit('t.ident', '1/h', reply=True,
                                                            timeout=1)))
        answer = self.client(group=['t.ident', 1], n=4, after=1, terminate=False)
        self.assertEqual(sorted(answer['states']), ['REVOKED'] * 3 + ['SUCCESS'])
        self.app.control.rate_limit('t.ident', '0', reply=True, timeout=1)
        lib.wait_for('all is settled', lambda: not self.queues.left())


class Strangers(lib.Case):
    """Replies that are no replies."""

    def setUp(self):
        if not TOOL:
            self.skipTest('control_client is not built')
        self.client = Client(self.broker)
        self.addCleanup(self.client.close)
        self.stop = threading.Event()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        self.addCleanup(self.end)
        self.assertTrue(self.ready.wait(20))

    def end(self):
        self.stop.set()
        self.thread.join(20)

    def serve(self):
        """A node that answers as the test wants it."""
        from kombu import Exchange, Queue
        boxes = Exchange('celery.pidbox', 'fanout', durable=False, delivery_mode='transient')
        queue = Queue('liar.celery.pidbox', boxes, durable=False, auto_delete=True)
        with self.app.connection_for_read() as connection:
            with connection.Consumer([queue], callbacks=[self.on_command], no_ack=True):
                self.connection = connection
                # A subscription of Redis is there when a message has come through it.
                while not self.stop.is_set():
                    try:
                        connection.drain_events(timeout=0.2)
                    except socket.timeout:
                        self.ready.set()

    def on_command(self, body, message):
        to = body.get('reply_to')
        if to:
            self.answer(body['ticket'], to)

    def publish(self, to, body, content_type='application/json', **headers):
        with self.app.connection_for_write() as connection:
            producer = connection.Producer(auto_declare=False)
            for one in body if isinstance(body, list) else [body]:
                text = one if isinstance(one, bytes) else json.dumps(one).encode()
                producer.publish(text, exchange=to['exchange'], routing_key=to['routing_key'],
                                 headers=headers, content_type=content_type,
                                 content_encoding='utf-8', serializer=None)

    def ask(self, answer, **options):
        self.answer = answer
        began = time.monotonic()
        reply = self.client.ask('ping', timeout=0.7, **options)
        self.assertLess(time.monotonic() - began, 12 * lib.PATIENCE)
        return reply

    def test_malformed(self):
        bad = [b'', b'{', b'[]', b'null', b'"x"', b'{}', b'{"": 1}', b'{"a\\u0000b": 1}',
               b'\xff\xfe', b'[' * 50000, b'{"' + b'x' * 600 + b'": 1}',
               b'{"\\ud800": 1}']
        reply = self.ask(lambda ticket, to: self.publish(
            to, bad + [{'liar@x': {'ok': 'pong'}}], ticket=ticket, clock=5))
        self.assertEqual(reply['replies'], [['liar@x', {'ok': 'pong'}]])
        self.assertEqual(reply['dropped'], len(bad))
        self.assertTrue(reply['why'])
        reply = self.ask(lambda ticket, to: self.publish(
            to, {'liar@x': 1}, content_type='application/x-python-serialize', ticket=ticket))
        self.assertEqual((reply['replies'], reply['dropped']), ([], 1))

    def test_headers(self):
        for clock in ('x', None, -1, 2 ** 63 - 1, [], {}):
            reply = self.ask(lambda ticket, to: self.publish(
                to, {'liar@x': 1}, ticket=ticket, clock=clock), limit=1)
            self.assertEqual(reply['replies'], [['liar@x', 1]])

    def test_foreign_ticket(self):
        for headers in ({'ticket': 'other'}, {'ticket': None}, {'ticket': 7}, {}):
            reply = self.ask(lambda ticket, to: self.publish(to, {'liar@x': 1}, **headers))
            self.assertEqual((reply['replies'], reply['dropped']), ([], 0), headers)

    def test_late(self):
        """The answer to the first question comes during the second one."""
        kept = []
        self.ask(lambda ticket, to: kept.append(ticket))
        reply = self.ask(lambda ticket, to: (
            self.publish(to, {'liar@x': 'old'}, ticket=kept[0]),
            self.publish(to, {'liar@x': 'new'}, ticket=ticket)))
        self.assertEqual(reply['replies'], [['liar@x', 'new']])

    def test_several_nodes_in_one(self):
        reply = self.ask(lambda ticket, to: self.publish(
            to, {'a@x': 1, 'b@x': [2]}, ticket=ticket))
        self.assertEqual(reply['replies'], [['a@x', 1], ['b@x', [2]]])
        reply = self.ask(lambda ticket, to: self.publish(
            to, [{'a@x': 1}, {'a@x': 2}], ticket=ticket))
        self.assertEqual(reply['replies'], [['a@x', 1], ['a@x', 2]])

    def test_flood(self):
        """Without end: the call ends all the same, and keeps a bounded number."""
        over = threading.Event()

        def flood(ticket, to):
            with self.app.connection_for_write() as connection:
                producer = connection.Producer(auto_declare=False)
                body = json.dumps({'liar@x': {'ok': 'x' * 50}}).encode()
                for _ in range(40000):
                    if over.is_set():
                        break
                    try:
                        producer.publish(body, exchange=to['exchange'],
                                         routing_key=to['routing_key'],
                                         headers={'ticket': ticket},
                                         content_type='application/json',
                                         content_encoding='utf-8', serializer=None)
                    except Exception:
                        break  # its queue is gone
        thread = []

        def begin(ticket, to):
            thread.append(threading.Thread(target=flood, args=(ticket, to)))
            thread[0].start()
        reply = self.ask(begin)
        over.set()
        thread[0].join(30)
        self.assertGreater(len(reply['replies']), 100)
        self.assertLessEqual(len(reply['replies']), 10000)
        self.assertEqual(self.ask(lambda ticket, to: self.publish(
            to, {'liar@x': 1}, ticket=ticket), limit=1)['replies'], [['liar@x', 1]])


class Lost(lib.Case):
    """The connection goes while answers are waited for."""

    def test_lost(self):
        if not TOOL:
            self.skipTest('control_client is not built')
        c = Client(self.broker)
        self.addCleanup(c.close)
        self.assertEqual(c.ask('ping', timeout=0.2)['replies'], [])
        timer = threading.Timer(1, self.cut)
        timer.start()
        began = time.monotonic()
        answer = c(ask='ping', timeout=10)
        timer.join()
        self.assertEqual(answer.get('status'), 'CELERY_ECLOSED', answer)
        self.assertLess(time.monotonic() - began, 4 * lib.PATIENCE)
        self.assertEqual(c.ask('ping', timeout=0.5)['replies'], [])
        if lib.BROKER == 'redis':
            self.assertEqual([k for k in lib.keys(self.db0) if 'reply' in k], [])
        else:
            self.assertEqual([q for q in self.rabbit.queues() if 'reply' in q], [])

    def cut(self):
        if lib.BROKER == 'redis':
            self.db0.client_kill_filter(_type='normal', skipme=True)
            self.db0.client_kill_filter(_type='pubsub', skipme=True)
        else:
            self.rabbit.close_connections()


class Example(lib.Case):
    """examples/control/."""

    def test_fleet(self):
        worker, fleet = (lib.built('examples/control/' + name)
                         for name in ('control_worker', 'fleet'))
        if not worker:
            self.skipTest('the examples are not built in %s' % lib.BUILD)

        def run_fleet():
            return subprocess.run([fleet, self.broker], stdout=subprocess.PIPE, text=True,
                                  stderr=subprocess.STDOUT, timeout=60 * lib.PATIENCE)
        run = run_fleet()
        self.assertEqual((run.returncode, run.stdout), (69, 'fleet: no workers\n'))
        self.start(argv=[worker], name='g')
        lib.wait_for('it answers', lambda: self.app.control.ping(timeout=0.3))
        run = run_fleet()
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertIn("%s: {'ok': 'new rate limit set successfully'}\n" % node('g'), run.stdout)
        self.assertIn('%s has ' % node('g'), run.stdout)
        said = [self.app.control.broadcast('greet_with', {'word': word}, reply=True, limit=1,
                                           timeout=5)[0][node('g')]
                for word in ('Salut', '', 'x' * 100)]
        self.assertEqual(said, [{'ok': 'the word is new'}] +
                         [{'error': 'a word has 1 to 39 bytes'}] * 2)
        self.assertEqual(self.call('greeter.greet', 'you'), 'Salut, you!')
        self.assertEqual(self.app.control.inspect(timeout=1)._request('greetings'),
                         {node('g'): {'word': 'Salut', 'greeted': 1}})


if __name__ == '__main__':
    lib.main()
