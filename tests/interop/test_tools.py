#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""celery-c call, result, purge, list and migrate beside Celery's own, on Redis and, where it is
installed, on RabbitMQ: the same messages, the same words, the same exit codes."""

import base64
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import yaml

import lib

sys.path.insert(0, os.path.join(os.path.dirname(lib.HERE), 'support'))
import rabbit  # noqa: E402
from brokers import AmqpQueues, RedisQueues  # noqa: E402

ID = re.compile(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')
SECRET = 'secret-canary'


def c(*args, env=None, timeout=30):
    return run([lib.CELERY_C, *args], env, timeout)


def python(*args, env=None, timeout=60):
    return run([sys.executable, '-m', 'celery', '-A', 'pytasks', *args], env, timeout)


def run(argv, env, timeout):
    environ = lib.env_of_workers()
    environ.update(env or {})
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environ, stdin=subprocess.DEVNULL, cwd=lib.HERE,
                          timeout=timeout * lib.PATIENCE)


def on_terminal(argv, answer=None, question='[y/N]', env=None, timeout=30, columns=None):
    """(exit code, all output) of a program on a terminal, which is given the answer when it
    asks the question."""
    pid, fd = pty.fork()
    if pid == 0:
        environ = dict(lib.env_of_workers(), TERM='xterm', **(env or {}))
        os.chdir(lib.HERE)
        os.execve(argv[0], argv, environ)
    if columns:
        import fcntl
        import struct
        import termios
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    text, end = b'', time.monotonic() + timeout * lib.PATIENCE
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                got = os.read(fd, 65536)
            except OSError:
                break
            if not got:
                break
            text += got
        if answer is not None and question.encode() in text:
            os.write(fd, answer.encode())
            answer = None
    else:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return code, text.decode()


class Broker(lib.Case):
    """What both brokers have; a place for results in Redis beside each."""
    brokers = ('redis',)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.open_broker()
        cls.other = lib.Redis()
        cls.addClassCleanup(cls.other.stop)

    @classmethod
    def open_broker(cls):
        pass

    def setUp(self):
        self.queues.clear()
        self.other.client().flushall()

    def c(self, *args, **kwargs):
        return c('-b', self.broker, '--result-backend', self.backend, *args, **kwargs)

    def python(self, *args, **kwargs):
        return python('-b', self.broker, '--result-backend', self.backend, *args, **kwargs)

    def ok(self, r):
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def one_line(self, r, code, text):
        """The exit code, and one line that says why."""
        self.assertEqual(r.returncode, code, r.stderr)
        lines = [x for x in r.stderr.splitlines() if x.startswith('Error: ')]
        self.assertEqual(len(lines), 1, r.stderr)
        self.assertEqual(r.stderr.splitlines()[-1], lines[0])
        self.assertIn(text, lines[0])
        self.assertNotIn('Traceback', r.stderr)

    def fill(self, n, queue='celery', task='t.add', **options):
        return [self.app.send_task(task, (i, 1), queue=queue, **options).id
                for i in range(n)]

    def ids(self, queues, name='celery'):
        got = []
        m = queues.take(name)
        while m is not None:
            got.append(m['headers']['id'])
            m = queues.take(name)
        return got


class OnRedis(Broker):
    # ---- call ----

    def calls(self, args, queue='celery'):
        """The messages that both send, without what differs by nature."""
        got = []
        for send in (self.python, self.c):
            out = self.ok(send('call', 't.add', *args))
            sent = ID.fullmatch(out.strip())
            self.assertTrue(sent, out)
            m = self.queues.take(queue)
            self.assertIsNotNone(m, args)
            self.assertEqual(m['headers']['id'], sent.group())
            self.assertEqual(m['properties']['correlation_id'], sent.group())
            self.assertTrue(m['properties'].pop('reply_to'))
            m['properties'].pop('delivery_tag')
            m['headers'].pop('origin')
            for key in ('id', 'root_id'):
                m['headers'].pop(key)
            # Celery's tool passes a list, and so its text for people is not that of a call
            # with the same arguments from Python, which is ours.
            m['headers']['argsrepr'] = m['headers']['argsrepr'].strip('[](),')
            m['headers']['ignore_result'] = bool(m['headers'].get('ignore_result'))
            m['properties'].pop('correlation_id')
            got.append(m)
        return got

    def same(self, args, queue='celery', but=()):
        theirs, ours = self.calls(args, queue)
        for key in but:
            self.assertEqual(bool(theirs['headers'].pop(key)), bool(ours['headers'].pop(key)))
            if key == 'expires':
                for m in (theirs, ours):
                    m['properties'].pop('expiration', None)
        # Celery 5.3 and later write more headers than 5.2.
        for key in set(ours['headers']) - set(theirs['headers']):
            self.assertIn(key, ('stamps', 'stamped_headers', 'replaced_task_nesting',
                                'ignore_result', 'shadow'))
            del ours['headers'][key]
        self.assertEqual(ours, theirs)
        return ours

    def test_call_sends_what_celery_sends(self):
        self.same([])
        m = self.same(['-a', '[1, "\u00fc", [2.5, null]]', '-k', '{"y": {"z": true}}'])
        self.assertEqual(json.loads(base64.b64decode(m['body']))[0], [1, '\u00fc', [2.5, None]])
        self.same(['--args=[1]', '--kwargs', '{}', '--queue', 'elsewhere'], 'elsewhere')
        theirs, ours = self.calls(['--serializer', 'yaml', '-a', '[1, 2]'])
        for m in (theirs, ours):
            m['body'] = yaml.safe_load(base64.b64decode(m['body']))
        self.assertEqual((ours['body'], ours['content-type']),
                         (theirs['body'], theirs['content-type']))

    def test_call_later(self):
        self.same(['--eta', '2031-05-06T07:08:09', '-a', '[1]'])
        self.same(['--eta', '2031-05-06T07:08:09+02:00'])
        self.same(['--countdown', '5.5'], but=('eta',))
        self.same(['--expires', '120'], but=('expires',))
        self.same(['--expires', '2031-05-06T07:08:09'], but=('expires',))

    def test_options_of_our_own(self):
        out = self.ok(self.c('call', 't.add', '--priority', '6', '--header', 'a=[1]',
                             '--header', 'b=text', '--headers', '{"c": null}',
                             '--compression', 'gzip', '--task-id', 'an-id', '--json'))
        self.assertEqual(json.loads(out), {'task_id': 'an-id'})
        m = self.queues.take('celery')
        self.assertEqual((m['headers']['a'], m['headers']['b'], m['headers']['c']),
                         ([1], 'text', None))
        self.assertEqual(m['headers']['compression'], 'application/x-gzip')
        self.assertEqual(m['properties']['priority'], 6)

    def test_call_and_wait(self):
        for kind in ('c', 'python'):
            w = lib.Worker(self.broker, self.backend, kind=kind, name='tools-' + kind)
            try:
                out = self.ok(self.c('call', 't.add', '-a', '[3, 4]', '--wait'))
                self.assertRegex(out, r'^%s\n7\n$' % ID.pattern)
                r = self.c('call', 't.fail', '--timeout', '20')
                self.one_line(r, 1, 'KeyError')
                doc = json.loads(self.ok(self.c('call', 't.add', '-a', '[3, 4]', '--wait',
                                                '--json')))
                self.assertEqual((doc['status'], doc['result']), ('SUCCESS', 7))
            finally:
                w.stop()

    def test_nobody_answers_the_call(self):
        r = self.c('call', 't.add', '--timeout', '0.3')
        self.one_line(r, 1, 'PENDING')
        self.assertRegex(r.stdout, r'^%s\n$' % ID.pattern)

    def test_wrong_calls(self):
        for args, text in [([], "Missing argument 'NAME'"),
                           (['t.add', 'x'], 'unexpected extra argument'),
                           (['t.add', '-a', '[1'], "'-a' / '--args'"),
                           (['t.add', '-a', '{}'], "'-a' / '--args'"),
                           (['t.add', '-k', '[]'], "'-k' / '--kwargs'"),
                           (['t.add', '--eta', 'tomorrow'], "'--eta'"),
                           (['t.add', '--expires', 'tomorrow'], "'--expires'"),
                           (['t.add', '--countdown', 'x'], "'--countdown': 'x' is not a valid"),
                           (['t.add', '--serialiser', 'json'], 'Did you mean --serializer')]:
            with self.subTest(args):
                theirs = self.python('call', *args)
                r = self.c('call', *args)
                self.assertEqual(theirs.returncode, 2, theirs.stderr)
                self.one_line(r, 2, text)
                self.assertEqual(r.stdout, '')
        for args, text in [(['--priority', '10'], '0 to 9'), (['--header', 'x'], 'NAME=VALUE'),
                           (['--header', '=x'], 'NAME=VALUE'), (['--headers', '3'], '--headers')]:
            self.one_line(self.c('call', 't.add', *args), 2, text)
        theirs = self.python('call', 't.add', '--serializer', 'nope')
        r = self.c('call', 't.add', '--serializer', 'nope')
        self.one_line(r, theirs.returncode, 'nope')
        self.assertEqual(self.queues.waiting(), 0)

    # ---- result ----

    def test_results(self):
        for n, value in enumerate([7, 'a text', 'gr\u00fc\u00df \u2603', None, True, 2.5, [1, 'x', None],
                                   {'a': {'b': [False]}}, '', 1e100, 2 ** 70]):
            self.app.backend.store_result('id-%d' % n, value, 'SUCCESS')
            with self.subTest(value):
                ours = self.ok(self.c('result', 'id-%d' % n))
                self.assertEqual(ours, '%s\n' % (value,))
        theirs = self.ok(self.python('result', 'id-7'))
        self.assertEqual(self.ok(self.c('result', 'id-7')), theirs)
        doc = json.loads(self.ok(self.c('result', 'id-10', '--json')))
        self.assertEqual((doc['result'], doc['status'], doc['task_id']),
                         (2 ** 70, 'SUCCESS', 'id-10'))

    def test_failed_results(self):
        self.app.backend.store_result('bad', ValueError('no\x1b[31m'), 'FAILURE',
                                      traceback='Traceback:\n  line\nValueError: no')
        theirs = self.python('result', 'bad')
        r = self.c('result', 'bad')
        self.one_line(r, theirs.returncode, 'ValueError: no\\x1b[31m')
        theirs = self.ok(self.python('result', 'bad', '--traceback'))
        self.assertEqual(self.ok(self.c('result', 'bad', '--traceback')), theirs)
        r = self.c('result', 'bad', '--json')
        self.assertEqual(r.returncode, 1)
        self.assertEqual(json.loads(r.stdout)['status'], 'FAILURE')

    def test_results_that_are_not_there(self):
        self.assertEqual(self.ok(self.c('result', 'none', '--no-wait')), 'PENDING\n')
        theirs = self.ok(self.python('result', 'none', '--traceback'))
        self.assertEqual(self.ok(self.c('result', 'none', '--traceback')), theirs)
        start = time.monotonic()
        self.one_line(self.c('result', 'none', '--timeout', '0.5'), 1, 'PENDING')
        self.assertGreater(time.monotonic() - start, 0.4)
        self.one_line(self.c('result'), 2, "Missing argument 'TASK_ID'")
        self.one_line(self.c('result', 'a', '--wait', '--no-wait'), 2, 'one of them')
        env = {'CELERY_RESULT_BACKEND': ''}
        self.one_line(c('-b', self.broker, 'result', 'a', env=env), 1, 'no result backend')

    def test_a_result_that_comes_later(self):
        p = subprocess.Popen([lib.CELERY_C, '--result-backend', self.backend, 'result', 'later'],
                             stdout=subprocess.PIPE, text=True, env=lib.env_of_workers())
        time.sleep(0.5)
        self.assertIsNone(p.poll())
        self.app.backend.store_result('later', [1], 'SUCCESS')
        self.assertEqual(p.communicate(timeout=10 * lib.PATIENCE)[0], '[1]\n')
        self.assertEqual(p.returncode, 0)

    def test_results_need_no_broker(self):
        self.app.backend.store_result('alone', 5, 'SUCCESS')
        gone = 'redis://127.0.0.1:%d/0' % lib.free_port()
        r = c('-b', gone, '--result-backend', self.backend, 'result', 'alone')
        self.assertEqual(self.ok(r), '5\n')

    # ---- purge ----

    def test_purge(self):
        for args, filled in [([], 'celery'), (['-Q', 'a,b'], 'a'), (['-Q', 'a,b', '-X', 'b'], 'a'),
                             (['-Q', 'never-there'], None)]:
            for count in (3, 1, 0):
                outputs = []
                for tool in (self.python, self.c):
                    if filled:
                        self.fill(count, filled)
                    outputs.append(self.ok(tool('purge', '-f', *args)))
                with self.subTest(args, count=count):
                    self.assertEqual(outputs[1], outputs[0])
                    if filled and count:
                        self.assertIn('Purged %d message' % count, outputs[1])
                        self.assertEqual(self.queues.waiting(filled), 0)
        self.assertEqual(self.ok(self.c('purge', '-f', '-X', 'celery')), '')

    def test_purge_takes_all_priorities(self):
        for priority in (0, 3, 6, 9):
            self.fill(1, priority=priority)
        self.assertEqual(self.ok(self.c('purge', '-f')),
                         'Purged 4 messages from 1 known task queue.\n')

    def test_purge_asks(self):
        said = []
        for program in ([sys.executable, '-m', 'celery'], [lib.CELERY_C]):
            for answer, code, left in [('n\n', 1, 2), ('\n', 1, 2), ('\x04', 1, 2), ('y\n', 0, 0)]:
                self.queues.clear()
                self.fill(2)
                got, text = on_terminal(program + ['-b', self.broker, 'purge'], answer)
                self.assertEqual(got, code, text)
                lib.wait_for('messages', lambda: self.queues.waiting() == left)
                if left:
                    self.assertIn('Aborted!', text)
            said.append(re.sub(r'\x1b\[[0-9;]*m', '', text).replace('\r', ''))
        self.assertEqual(said[1].replace('y\n', ''), said[0].replace('y\n', ''))
        self.fill(1)
        self.one_line(self.c('purge'), 2, 'add -f')
        self.assertEqual(self.queues.waiting(), 1)
        _, text = on_terminal([lib.CELERY_C, '-C', '-b', self.broker, 'purge'], 'n\n')
        self.assertNotIn('\x1b', text)

    # ---- list ----

    def test_list_bindings(self):
        with self.app.connection() as connection:
            from kombu import Exchange, Queue
            for name, key in (('celery', 'celery'), ('more', 'a.key')):
                Queue(name, Exchange('celery'), key)(connection.default_channel).declare()
        theirs = self.ok(self.python('list', 'bindings')).splitlines()
        ours = self.ok(self.c('list', 'bindings')).splitlines()
        self.assertEqual(ours[:2], theirs[:2])
        self.assertEqual(sorted(ours[2:]), sorted(theirs[2:]))
        self.assertEqual(len(ours), 4)
        lines = self.ok(self.c('list', 'bindings', '--json')).splitlines()
        self.assertIn({'queue': 'more', 'exchange': 'celery', 'routing_key': 'a.key'},
                      [json.loads(x) for x in lines])
        self.one_line(self.c('list', 'queues'), 2, 'queues')
        self.one_line(self.c('list'), 2, 'Missing argument')

    # ---- migrate ----

    def destination(self):
        return self.other.url(0), RedisQueues(self.other.client(0))

    def migrate(self, *args, timeout=60, source=None, to=None):
        return c('migrate', source or self.broker, to or self.destination()[0], *args,
                 timeout=timeout)

    def test_move(self):
        ids = self.fill(50)
        url, there = self.destination()
        out = self.ok(self.migrate('-a'))
        self.assertEqual(out.splitlines()[-1], 'Moved 50 tasks.')
        self.assertIn('Migrating task 1/50: t.add[%s]' % ids[0], out)
        self.assertEqual(self.ids(there), ids)
        self.assertEqual(self.queues.left(), 0)

    def test_copy(self):
        ids = self.fill(20)
        url, there = self.destination()
        out = self.ok(self.migrate())
        self.assertEqual(out.splitlines()[-1], 'Copied 20 tasks.')
        self.assertEqual(self.ids(there), ids)
        lib.wait_for('they are back', lambda: self.queues.waiting() == 20)
        self.assertEqual(self.ids(self.queues), ids)

    def test_the_message_is_the_same(self):
        """Beside the message that Celery's own migrate makes of it."""
        url, there = self.destination()
        seen = []
        for tool in (self.python, self.c):
            self.app.send_task('t.add', (1, '\u00fc'), {'k': None}, priority=3, task_id='same',
                               headers={'own': [1, {'x': 2.5}]}, reply_to='there', countdown=0,
                               compression='gzip', origin='o', eta=None, expires=None)
            if tool is self.python:
                r = run([sys.executable, '-m', 'celery', '-A', 'pytasks', 'migrate',
                         '-a', '-t', '1', '-Q', 'celery', self.broker, url], None, 30)
            else:
                r = self.migrate('-a', '-Q', 'celery')
            m = there.take('celery')
            self.assertIsNotNone(m, r.stderr + r.stdout)
            self.assertEqual(self.queues.left(), 0)
            m['properties'].pop('delivery_tag')
            seen.append(m)
        self.assertEqual(seen[1]['properties']['priority'], 3)
        self.assertEqual(seen[1]['headers']['own'], [1, {'x': 2.5}])
        self.assertEqual(seen[1]['headers'], seen[0]['headers'])
        self.assertEqual(seen[1]['content-type'], seen[0]['content-type'])
        self.assertEqual(seen[1]['properties'], seen[0]['properties'])
        self.assertEqual(seen[1]['body'], seen[0]['body'])

    def test_limit_and_filters(self):
        ids = self.fill(10)
        url, there = self.destination()
        self.assertIn('Moved 4 tasks', self.ok(self.migrate('-a', '-n', '4')))
        self.assertEqual(self.ids(there), ids[:4])
        lib.wait_for('the rest', lambda: self.queues.waiting() == 6)
        mul = self.fill(2, task='t.mul')
        out = self.ok(self.migrate('-a', '-T', 't.mul,t.other'))
        self.assertEqual(out.splitlines()[-1], 'Moved 2 tasks, left 6 where they were.')
        self.assertEqual(self.ids(there), mul)
        lib.wait_for('the rest', lambda: self.queues.waiting() == 6)
        self.assertEqual(self.ids(self.queues), ids[4:])

    def test_queues_with_new_names(self):
        one, two = self.fill(3, 'one'), self.fill(3, 'two')
        self.fill(1)
        url, there = self.destination()
        out = self.ok(self.migrate('-a', '-Q', 'one:uno,two'))
        self.assertEqual(out.splitlines()[-1], 'Moved 6 tasks.')
        self.assertEqual(self.ids(there, 'uno'), one)
        self.assertEqual(self.ids(there, 'two'), two)
        self.assertEqual(self.queues.waiting(), 1)
        again = self.fill(2, 'one')
        self.ok(self.migrate('-a', '-Q', 'one:three', to=self.broker))
        self.assertEqual(self.ids(self.queues, 'three'), again)

    def test_what_no_task_can_be_read_from(self):
        self.put_strange()
        ids = self.fill(2)
        url, there = self.destination()
        self.ok(self.migrate('-a'))
        self.assertEqual([i for i in self.ids_of_any(there) if i], ids)

    def put_strange(self):
        self.db0.rpush('celery', '{"no": "envelope"}')

    def ids_of_any(self, queues):
        got = []
        m = queues.take('celery')
        while m is not None:
            got.append(m.get('headers', {}).get('id'))
            m = queues.take('celery')
        return got

    def test_a_worker_runs_what_was_migrated(self):
        sent = [self.app.send_task('t.add', (i, i)) for i in range(5)]
        self.ok(self.migrate('-a'))
        w = lib.Worker(self.destination()[0], self.backend, kind='python', name='there')
        try:
            self.assertEqual([r.get(timeout=20) for r in sent], [0, 2, 4, 6, 8])
        finally:
            w.stop()

    def test_killed_on_the_way_nothing_is_lost(self):
        count = 3000
        ids = set(self.fill(count))
        url, there = self.destination()
        for _ in range(3):
            p = subprocess.Popen([lib.CELERY_C, 'migrate', '-a', self.broker, url],
                                 stdout=subprocess.DEVNULL, env=lib.env_of_workers())
            before = there.waiting()
            lib.wait_for('some', lambda: there.waiting() > before + 50 or p.poll() is not None)
            p.kill()
            p.wait(10)
        # Redis: what a dead one held comes back when its lease is over.
        def at_rest():
            self.ok(self.migrate('-a'))
            return self.queues.left() == 0
        lib.wait_for('all of them', at_rest, 90, 1)
        self.assertEqual(set(self.ids(there)), ids)

    def test_interrupted(self):
        ids = self.fill(5)
        url, there = self.destination()
        p = subprocess.Popen([lib.CELERY_C, 'migrate', '-a', '-F', self.broker, url],
                             stdout=subprocess.PIPE, text=True, env=lib.env_of_workers())
        lib.wait_for('they are there', lambda: there.waiting() == 5)
        ids += self.fill(2)
        lib.wait_for('more are there', lambda: there.waiting() == 7)
        p.send_signal(signal.SIGINT)
        out = p.communicate(timeout=20 * lib.PATIENCE)[0]
        self.assertEqual(p.returncode, 0)
        self.assertIn('Moved 7 tasks.', out)
        self.assertEqual(self.ids(there), ids)
        self.assertEqual(self.queues.left(), 0)

    def test_the_destination_goes_away(self):
        self.fill(2000)
        url, there = self.destination()
        p = subprocess.Popen([lib.CELERY_C, 'migrate', '-a', '-F', self.broker, url],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             env=lib.env_of_workers())
        lib.wait_for('some', lambda: there.waiting() > 20)
        there.client.client_kill_filter(_type='normal', skipme=True)
        err = p.communicate(timeout=60 * lib.PATIENCE)[1]
        self.assertEqual(p.returncode, 1)
        self.assertRegex(err, r'^Error: destination: ')
        lib.wait_for('nothing is held', lambda: self.queues.held() == 0)
        self.assertGreaterEqual(there.waiting() + self.queues.waiting(), 2000)
        seen = set(self.ids(there)) | set(self.ids(self.queues))
        self.assertEqual(len(seen), 2000)

    def test_wrong_migrations(self):
        url, there = self.destination()
        self.one_line(self.migrate(to=self.broker), 2, 'same broker')
        self.one_line(c('migrate', self.broker), 2, "Missing argument 'DESTINATION'")
        self.one_line(self.migrate('-n', '-1'), 2, "'-n' / '--limit'")
        self.one_line(self.migrate('-t', 'x'), 2, "'-t' / '--timeout'")
        gone = 'redis://u:%s@127.0.0.1:%d/0' % (SECRET, lib.free_port())
        self.fill(1)
        self.one_line(self.migrate(to=gone), 1, 'destination: ')
        self.one_line(self.migrate(source=gone), 1, 'source: ')
        self.assertEqual(self.queues.waiting(), 1)

    def test_a_table_fits_the_terminal(self):
        entry = json.dumps({'reason': 'not registered \x1b[31m' + 'x' * 200, 'time': 1.7e9,
                            'queue': 'celery'})
        self.db0.lpush('celery.celery-c.dead', entry + '\n{}')
        for columns in (60, 100):
            code, text = on_terminal([lib.CELERY_C, '-b', self.broker, 'dead', 'list'],
                                     columns=columns)
            self.assertEqual(code, 0, text)
            head, row = text.replace('\r', '').splitlines()
            self.assertIn('\x1b[1mINDEX\x1b[0m', head)
            self.assertEqual(len(row), columns)
            self.assertTrue(row.endswith('...'))
        for options, env in ((['-C'], {}), ([], {'NO_COLOR': '1'})):
            code, text = on_terminal([lib.CELERY_C, *options, '-b', self.broker, 'dead', 'list'],
                                     env=env)
            self.assertNotIn('\x1b', text)
        out = self.ok(self.c('dead', 'list'))
        self.assertIn('x' * 200, out)
        self.assertNotIn('\x1b', out)

    def test_a_bar_on_a_terminal(self):
        self.fill(30)
        url, there = self.destination()
        code, text = on_terminal([lib.CELERY_C, 'migrate', '-a', '-t', '2', self.broker, url])
        self.assertEqual(code, 0)
        self.assertRegex(text, r'Migrating  \[#{30}\]  30/30  100%')
        self.assertTrue(text.endswith('\x1b[KMoved 30 tasks.\r\n'), repr(text[-200:]))
        code, text = on_terminal([lib.CELERY_C, '-q', 'migrate', '-t', '1', self.broker, url])
        self.assertEqual((code, text), (0, 'Copied 0 tasks.\r\n'))


class Unreachable(unittest.TestCase):
    """One clear line, Celery's exit code, and no password."""
    commands = [['call', 't.add'], ['result', 'x', '--timeout', '1'], ['purge', '-f'],
                ['list', 'bindings'], ['migrate', '-a'], ['dead', 'list']]

    def setUp(self):
        lib.need_worker()

    def check(self, url, codes):
        for args in self.commands:
            argv = ['-b', url, '--result-backend', url] + args
            if args[0] == 'migrate':
                argv = args + [url, url.replace('h:', 'other:')]
            with self.subTest(url, args=args):
                r = c(*argv)
                self.assertIn(r.returncode, codes, r.stderr)
                self.assertNotIn(SECRET, r.stdout + r.stderr)
                lines = [x for x in r.stderr.splitlines() if x.startswith('Error: ')]
                self.assertEqual(len(lines), 1, r.stderr)
                self.assertEqual(r.stdout, '')

    def test_nobody_there(self):
        self.check('redis://u:%s@127.0.0.1:%d/0' % (SECRET, lib.free_port()), (1,))
        theirs = python('-b', 'redis://127.0.0.1:%d/0' % lib.free_port(), 'purge', '-f')
        self.assertEqual(theirs.returncode, 1)

    def test_wrong_urls(self):
        for url in ('redis://u:%s@h:port/0', 'redis://u:%s@h/zero', 'nosuch://u:%s@h/0'):
            self.check(url % SECRET, (1, 2))

    def test_wrong_password(self):
        redis = lib.Redis('--requirepass', 'right')
        self.addCleanup(redis.stop)
        self.check(redis.url(0, user=':%s@' % SECRET), (1,))


class Management(unittest.TestCase):
    """celery-c list bindings and RabbitMQ's management plugin."""

    @classmethod
    def setUpClass(cls):
        if not rabbit.installed():
            raise unittest.SkipTest('rabbitmq-server is not installed')
        cls.rabbit = rabbit.Rabbit(management=True)
        cls.addClassCleanup(cls.rabbit.stop)
        cls.api = 'http://127.0.0.1:%d/api/' % cls.rabbit.management_port
        with lib.celery_app(cls.rabbit.url(), None) as app, app.connection() as connection:
            from kombu import Exchange, Queue
            for name, key in (('celery', 'celery'), ('more', 'a.key'), ('ärger', 'x y')):
                Queue(name, Exchange('celery'), key)(connection.default_channel).declare()

    one_line = Broker.one_line

    def rows(self, *args, broker=None):
        r = c('-b', broker or self.rabbit.url(), 'list', 'bindings', '--json', *args)
        self.assertEqual(r.returncode, 0, r.stderr)
        return [json.loads(x) for x in r.stdout.splitlines()]

    def test_bindings(self):
        rows = self.rows('--broker-api', self.api)
        found = [(r['exchange'], r['queue'], r['routing_key']) for r in rows]
        self.assertEqual(sorted(found), sorted(
            [('celery', 'celery', 'celery'), ('celery', 'more', 'a.key'),
             ('celery', 'ärger', 'x y')] + [('', q, q) for q in ('celery', 'more', 'ärger')]))
        r = c('-b', self.rabbit.url(), 'list', 'bindings', '--broker-api', self.api)
        self.assertEqual(r.stdout.splitlines()[0].split(), ['Queue', 'Exchange', 'Routing', 'Key'])
        self.assertIn('%-28s %-28s %s' % ('more', 'celery', 'a.key'), r.stdout.splitlines())

    def test_where_it_is_asked(self):
        """The settings, and kombu's options of the transport."""
        port = self.rabbit.management_port
        for conf in ({'broker_api': self.api[:-1]},
                     {'broker_api': self.api.replace('//', '//guest:guest@')},
                     {'broker_transport_options': {
                         'manager_hostname': 'localhost', 'manager_port': port,
                         'manager_userid': 'guest', 'manager_password': 'guest'}}):
            path = lib.tmpname('.json')
            with open(path, 'w') as f:
                json.dump(conf, f)
            self.assertEqual(len(self.rows('--config', path)), 6, conf)

    def test_another_virtual_host(self):
        self.rabbit.add_vhost('a/b')
        rows = self.rows('--broker-api', self.api, broker=self.rabbit.url(vhost='a%2Fb'))
        self.assertEqual(sorted((r['exchange'], r['queue']) for r in rows),
                         [('', 'celery'), ('celery', 'celery')])

    def test_refusals(self):
        def ask(api):
            return c('-b', self.rabbit.url(), 'list', 'bindings', '--broker-api', api)
        self.one_line(ask(self.api.replace('//', '//guest:%s@' % SECRET)), 1,
                      'refuses the login (status 401)')
        self.assertNotIn(SECRET, ask(self.api.replace('//', '//guest:%s@' % SECRET)).stderr)
        self.one_line(ask(self.api + 'nothing'), 1, ': status 4')
        self.one_line(ask('http://127.0.0.1:%d' % self.rabbit.port), 1, 'Enable it')
        ok = b'HTTP/1.1 200 OK\r\n'
        for answer, text in (
                (b'220 mail ready\r\n\r\n', 'does not speak HTTP'),
                (ok + b'Content-Length: 9\r\n\r\n[]', 'closed'),
                (ok + b'content-length: x\r\n\r\n[]', 'does not speak HTTP'),
                (ok + b'content-length: -1\r\n\r\n[]', 'closed'),
                (ok + b'Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n',
                 'does not speak HTTP'),
                (ok + b'\r\n{}', 'no list of bindings'), (ok + b'\r\n[1', '15672'),
                (b'', 'closed')):
            self.one_line(ask(self.answering(answer)), 1, text.replace('15672', 'API'))
        r = ask(self.answering(ok + b'\r\n[5, {}, {"source": null, "destination": "q"}]'))
        self.assertEqual((r.returncode, len(r.stdout.splitlines())), (0, 4), r.stderr)

    def answering(self, answer):
        """A server that says this and closes; its URL."""
        server = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(server.close)

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
        threading.Thread(target=serve, daemon=True).start()
        return 'http://127.0.0.1:%d/api/' % server.getsockname()[1]


class OnRabbit(OnRedis):
    @classmethod
    def open_broker(cls):
        cls.rabbit = cls.new_rabbit()
        cls.broker = cls.rabbit.url()
        cls.queues = AmqpQueues(cls.rabbit)
        cls.addClassCleanup(cls.queues.stop)
        cls.app.close()
        cls.app = lib.celery_app(cls.broker, cls.backend)

    def setUp(self):
        lib.wait_for('workers are gone', lambda: not any(
            'pidbox' in name or name.startswith('celeryev.') for name in self.rabbit.queues()))
        super().setUp()
        if 'celery' not in self.rabbit.queues():
            self.fill(1)
            self.queues.drop('celery')

    def ids(self, queues, name='celery'):
        if queues is self.queues:
            lib.wait_for('messages at rest', lambda: self.queues.held() == 0)
        return super().ids(queues, name)

    def test_list_bindings(self):
        """Celery's needs the management plugin and a library for its API."""
        theirs = self.python('list', 'bindings')
        self.assertNotEqual(theirs.returncode, 0)
        api = 'http://127.0.0.1:%d/api' % rabbit.free_port()
        self.one_line(self.c('list', 'bindings', '--broker-api', api), 1,
                      'rabbitmq-plugins enable rabbitmq_management')
        self.one_line(self.c('list', 'bindings', '--broker-api', 'ftp://x'), 1, 'broker_api')

    def put_strange(self):
        with self.app.connection() as connection:
            channel = connection.channel()
            channel.basic_publish(
                channel.prepare_message('strange', content_encoding='utf-8'), exchange='',
                routing_key='celery')


class DeadOnRabbit(OnRabbit):
    """celery-c dead, where <queue>.celery-c.dead is a queue."""

    def park(self, *names):
        """Messages of tasks that the worker does not have."""
        w = lib.Worker(self.broker, self.backend, kind='c', name='parking', concurrency=1)
        try:
            ids = [self.app.send_task(name, (n,), {'k': 'v'}, headers={'own': 'x'}, priority=4).id
                   for n, name in enumerate(names)]
            lib.wait_for('parked', lambda: self.dead_count() == len(names))
        finally:
            w.stop()
        return ids

    def setUp(self):
        super().setUp()
        self.queues.drop('celery.celery-c.dead')

    def dead_count(self):
        q = self.rabbit.queues().get('celery.celery-c.dead', {'ready': 0, 'unacked': 0})
        return q['ready'] + q['unacked']

    def at_rest(self, n):
        lib.wait_for('letters at rest', lambda: self.rabbit.queues()[
            'celery.celery-c.dead']['ready'] == n)

    def test_list_show_and_queues(self):
        before = time.time()
        ids = self.park('no.one', 'no.two', 'no.three')
        for _ in range(2):  # reading leaves them where they are
            rows = [json.loads(x) for x in self.ok(self.c('dead', 'list', '--json')).splitlines()]
            self.assertEqual([r['id'] for r in rows], ids[::-1])
            self.assertEqual([r['index'] for r in rows], [2, 1, 0])
            self.assertEqual(rows[0]['task'], 'no.three')
            self.assertIn('registered', rows[0]['reason'])
            self.assertLess(abs(rows[0]['time'] - before), 120)
            self.at_rest(3)
        out = self.ok(self.c('dead', 'show', '1'))
        self.assertIn('id:      ' + ids[1], out)
        self.assertIn('[[1], {"k": "v"}', out)
        raw = self.ok(self.c('dead', 'show', ids[0], '--raw'))
        self.assertEqual(json.loads(raw)[:2], [[0], {'k': 'v'}])
        self.assertRegex(self.ok(self.c('dead', 'queues')), r'celery +3')
        self.one_line(self.c('dead', 'show', '7'), 1, 'no dead letter 7')
        self.one_line(self.c('dead', 'replay', 'nobody'), 1, 'id')
        self.at_rest(3)

    def test_replay_and_purge(self):
        ids = self.park('no.one', 'no.two', 'no.three', 'no.four')
        self.assertEqual(self.ok(self.c('dead', 'replay', ids[1])), '1 replayed\n')
        self.at_rest(3)
        m = self.queues.take('celery')
        self.assertEqual((m['headers']['id'], m['headers']['own']), (ids[1], 'x'))
        self.assertEqual(m['properties']['priority'], 4)
        self.assertEqual([h for h in m['headers'] if 'celery-c' in h], [])
        self.assertEqual(json.loads(base64.b64decode(m['body']))[0], [1])
        self.assertEqual(self.ok(self.c('dead', 'purge', '0', '-f')), '1 removed\n')
        self.at_rest(2)
        self.assertEqual(self.ok(self.c('dead', 'replay', '--all')), '2 replayed\n')
        self.assertEqual(self.ids(self.queues), ids[2:])
        self.park('no.one', 'no.two')
        self.one_line(self.c('dead', 'purge', '--all'), 2, '-f')
        self.assertEqual(self.ok(self.c('dead', 'purge', '--all', '-f')), '2 removed\n')
        self.assertEqual(self.dead_count(), 0)
        self.assertEqual(self.ok(self.c('dead', 'list')), 'no dead letters in queue celery\n')
        self.assertEqual(self.ok(self.c('dead', 'list', '-Q', 'nowhere')),
                         'no dead letters in queue nowhere\n')

    def test_a_replayed_letter_runs(self):
        sent = self.app.send_task('t.add', (1, 2))
        m = self.queues.take('celery')
        m['headers']['x-celery-c-dead-reason'] = 'by hand'
        with self.app.connection() as connection:
            connection.channel().queue_declare('celery.celery-c.dead', durable=True,
                                               auto_delete=False, arguments={
                                                   'x-max-length': 10000})
        self.queues.put('celery.celery-c.dead', m)
        self.at_rest(1)
        self.ok(self.c('dead', 'replay', sent.id))
        w = lib.Worker(self.broker, self.backend, kind='c', name='runs')
        try:
            self.assertEqual(sent.get(timeout=20), 3)
        finally:
            w.stop()


class FromRedisToRabbit(OnRabbit):
    """Only what moves; the source is Redis, the destination RabbitMQ."""

    @classmethod
    def open_broker(cls):
        cls.rabbit = cls.new_rabbit()
        cls.there = AmqpQueues(cls.rabbit)
        cls.addClassCleanup(cls.there.stop)

    def setUp(self):
        Broker.setUp(self)
        self.there.clear()

    def ids(self, queues, name='celery'):
        return Broker.ids(self, queues, name)

    def destination(self):
        return self.rabbit.url(), self.there

    def put_strange(self):
        OnRedis.put_strange(self)


def leave_out(cls, unwanted):
    """Inherited tests that say nothing about a class."""
    for name in dir(cls):
        if name.startswith('test_') and unwanted(name):
            setattr(cls, name, None)


MOVING = ('test_move', 'test_copy', 'test_limit_and_filters', 'test_queues_with_new_names',
          'test_what_no_task_can_be_read_from', 'test_a_worker_runs_what_was_migrated')
leave_out(OnRabbit, lambda name: 'result' in name or name in (
    'test_purge_takes_all_priorities', 'test_a_table_fits_the_terminal'))
leave_out(DeadOnRabbit, lambda name: name not in DeadOnRabbit.__dict__)
leave_out(FromRedisToRabbit, lambda name: name not in MOVING)


if __name__ == '__main__':
    lib.main()
