#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Watching a cluster from C: celery/events.h, celery/state.h and `celery-c events` beside
Celery's own EventReceiver, State and Dumper."""

import fcntl
import gc
import io
import json
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import unittest
import uuid

import lib

HOST = socket.gethostname()
STATE_TOOL = lib.built('tests/interop/state_tool')


class Capture:
    """Celery's own receiver in a thread: every event as a handler gets it."""

    def __init__(self, broker, **conf):
        self.app = lib.celery_app(broker, None, **conf)
        self.events = []
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        if not self.ready.wait(20):
            raise lib.Deadline('the receiver of Celery does not start')

    def _run(self):
        with self.app.connection_for_read() as connection:
            self.receiver = self.app.events.Receiver(
                connection, handlers={'*': lambda e: self.events.append(dict(e))})
            self.receiver.on_consume_ready = lambda *args, **kwargs: self.ready.set()
            self.receiver.capture(limit=None, timeout=None, wakeup=False)

    def end(self):
        self.receiver.should_stop = True
        self.thread.join(10)
        return self.events


class Tool:
    """`celery-c events` with options, its lines as they come."""

    def __init__(self, broker, *options, env=None):
        self.out = lib.tmpname('.out')
        self.err = lib.tmpname('.err')
        environ = lib.env_of_workers()
        environ.update(env or {})
        with open(self.out, 'wb') as out, open(self.err, 'wb') as err:
            self.process = lib.spawn([lib.CELERY_C, '-b', broker, 'events', *options],
                                     stdout=out, stderr=err, env=environ)

    def lines(self):
        # The last one may be half written.
        with open(self.out, encoding='utf-8') as f:
            return [line.rstrip('\n') for line in f.read().splitlines(True) if line.endswith('\n')]

    def errors(self):
        with open(self.err, encoding='utf-8') as f:
            return f.read()

    def events(self):
        return [json.loads(line) for line in self.lines() if line.startswith('{')]

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        code = self.process.wait(20)
        found = lib.SANITIZER.search(self.errors())
        if found:
            raise AssertionError(self.errors()[-5000:])
        return code


def of_task(events, task_id):
    return [e for e in events if e.get('uuid') == task_id]


def without(event, *names):
    return {k: v for k, v in event.items() if k not in ('local_received',) + names}


def comparable(events):
    """What both receivers must agree on.  The clock of task-sent is the receiver's own."""
    return [without(e, 'clock') if e['type'] == 'task-sent' else without(e) for e in events]


class Watch(lib.Case):
    """A worker that sends events, of the kind under test, and two receivers."""

    kind = 'python'

    def setUp(self):
        self.app.conf.task_send_sent_event = True

    def worker_of(self, *args, **kwargs):
        return self.start('-E', '--heartbeat-interval', '1', *args, kind=self.kind, alone=False,
                          **kwargs)

    def tool(self, *options, **kwargs):
        tool = Tool(self.broker, *options, **kwargs)
        self.addCleanup(tool.process.kill)
        return tool

    def awaken(self, tool):
        """Until the worker's heartbeat is there: the receiver hears what is sent."""
        lib.wait_for('a heartbeat', lambda: [
            e for e in tool.events() if e['type'] == 'worker-heartbeat'], 60)

    def work(self):
        """Tasks with all ends; their ids by name."""
        ids = {}
        ids['add'] = self.app.send_task('t.add', (1, 2), {}).id
        ids['fail'] = self.app.send_task('t.fail').id
        ids['retry'] = self.app.send_task('t.retry', (1,)).id
        ids['reject'] = self.app.send_task('t.reject').id
        ids['revoked'] = self.app.send_task('t.add', (1, 1), countdown=5).id
        ids['nosuch'] = self.app.send_task('t.nosuch', ('\u00e9\u4e2d',)).id
        return ids


class Receiving(Watch):
    def test_the_same_events(self):
        """Every event with every field, in the same order, as Celery's receiver gives it."""
        capture = Capture(self.broker)
        tool = self.tool('--json')
        self.awaken_alone(tool)
        worker = self.worker_of()
        self.awaken(tool)
        ids = self.work()
        lib.wait_for('the task waits', lambda: [
            e for e in of_task(tool.events(), ids['revoked']) if e['type'] == 'task-received'])
        self.app.control.revoke(ids['revoked'])
        ends = {'add': 'succeeded', 'fail': 'failed', 'retry': 'succeeded',
                'reject': 'rejected', 'revoked': 'revoked'}
        for name, end in ends.items():
            lib.wait_for('%s of %s' % (end, name), lambda: [
                e for e in of_task(tool.events(), ids[name]) if e['type'] == 'task-' + end], 60)
        worker.stop()
        for events in (tool.events, lambda: list(capture.events)):
            lib.wait_for('the worker says goodbye', lambda: [
                e for e in events() if e['type'] == 'worker-offline'])
        self.assertEqual(tool.stop(), 0)
        theirs, ours = comparable(capture.end()), comparable(tool.events())
        # The two did not begin in the same instant.
        first = ours[0]
        theirs = theirs[theirs.index(first):] if first in theirs else theirs
        self.assertIn('worker-online', {e['type'] for e in ours})
        self.assertIn('task-retried', {e['type'] for e in ours})
        self.assertEqual(len(ours), len(theirs))
        for mine, other in zip(ours, theirs):
            self.assertEqual(mine, other)
            self.assertEqual(list(mine), [k for k in other], 'the order of fields')
        for e in tool.events():
            self.assertLess(abs(e['local_received'] - e['timestamp']), 30, e)

    def test_dump(self):
        """The lines of `celery events --dump`, but each event is one line."""
        from celery.events.dumper import Dumper
        tool, dump = self.tool('--json'), self.tool('--dump')
        worker = self.worker_of()
        self.awaken(tool)
        lib.wait_for('the dump', lambda: len(dump.lines()) > 1)
        ids = self.work()
        lib.wait_for('the end', lambda: [
            e for e in of_task(tool.events(), ids['fail']) if e['type'] == 'task-failed'])
        worker.stop()
        lib.wait_for('the worker says goodbye', lambda: [
            e for e in tool.events() if e['type'] == 'worker-offline'])
        lib.wait_for('also in the dump', lambda: '] shutdown: ' in '\n'.join(dump.lines()))
        self.assertEqual((tool.stop(), dump.stop(signal.SIGTERM)), (0, 0))
        out = io.StringIO()
        dumper = Dumper(out)
        wanted = []
        for event in tool.events():
            out.seek(0)
            out.truncate()
            dumper.on_event(dict(event))
            wanted.append(self.line(out.getvalue()[:-1].replace('\n', '\\x0a')))
        lines = dump.lines()
        self.assertEqual(lines[0], '-> evdump: starting capture...')
        lines = [self.line(line) for line in lines[1:]]
        tasks = [line for line in lines if ' task ' in line]
        self.assertGreater(len(tasks), 10)
        self.assertEqual(tasks, [line for line in wanted if ' task ' in line])
        self.assertTrue([line for line in lines if '] heartbeat: ' in line])

    def line(self, text):
        """Without what is each receiver's own, and what versions of Celery do not share."""
        text = re.sub(r'local_received=[\d.]+', 'local_received=', text)
        text = re.sub(r'(task sent: .*) clock=\d+', r'\1 clock=', text)
        return text.replace('+00:00]', ']')

    @lib.redis_only
    def test_the_connection_comes_back(self):
        tool = self.tool('--json')
        self.awaken_alone(tool)
        self.redis.stop()
        time.sleep(1)
        self.redis.start()
        seen = len(tool.events())
        lib.wait_for('an event', lambda: self.send_event() and len(tool.events()) > seen, 20,
                     pause=0.2)
        self.assertEqual(tool.stop(), 0)
        self.assertIn('-> Connection lost, attempting reconnect', tool.errors())

    def send_event(self, **fields):
        with self.app.events.default_dispatcher() as d:
            d.send('custom-thing', **fields)
        return True

    def awaken_alone(self, tool):
        lib.wait_for('an event', lambda: self.send_event() and tool.events(), 20, pause=0.2)

    @lib.redis_only
    def test_nobody_there(self):
        """The broker is not up yet: it is waited for, as upstream does."""
        port = lib.free_port()
        tool = Tool('redis://127.0.0.1:%d/0' % port, '--dump')
        lib.wait_for('a word', lambda: 'Trying again in' in '\n'.join(tool.lines()))
        self.assertEqual(tool.stop(), 0)

    @lib.redis_only
    def test_malformed(self):
        tool = self.tool('--json')
        self.awaken_alone(tool)
        for body in ('{', '[]', 'null', '{"type": 1}', '[[[]]]', '[' * 100000,
                     '{"type": "a\\u0000"}'):
            for _ in range(30):
                self.db0.publish('/0.celeryev/worker.online', json.dumps({
                    'body': body, 'content-encoding': 'utf-8', 'headers': {},
                    'content-type': 'application/json', 'properties': {
                        'delivery_tag': str(uuid.uuid4()), 'delivery_info': {}}}))
        self.db0.publish('/0.celeryev/worker.online', 'no envelope')
        seen = len(tool.events())
        self.send_event(text='\x1b[31m', big='x' * 300000, number=2 ** 70)
        lib.wait_for('the good one', lambda: len(tool.events()) > seen)
        last = tool.events()[-1]
        self.assertEqual((last['text'], len(last['big']), last['number']),
                         ('\x1b[31m', 300000, 2 ** 70))
        self.assertEqual(tool.stop(), 0)
        self.assertIn('events: a message is malformed', tool.errors())
        self.assertLess(len(tool.errors().splitlines()), 5)

    @lib.amqp_only
    def test_the_queue(self):
        """As celery/events/receiver.py declares it."""
        tool = self.tool('--json')
        self.awaken_alone(tool)
        name = [q for q in self.rabbit.queues() if q.startswith('celeryev.')][0]
        uuid.UUID(name[len('celeryev.'):])
        from kombu import Exchange, Queue
        with self.app.connection_for_read() as connection:
            # Other arguments would be refused.
            Queue(name, Exchange('celeryev', 'topic'), routing_key='#', auto_delete=True,
                  durable=False, message_ttl=5.0, expires=60.0)(connection).declare()
        tool.stop()
        lib.wait_for('it is gone', lambda: name not in self.rabbit.queues())

    @lib.amqp_only
    def test_an_exclusive_queue(self):
        """event_queue_exclusive, Celery's own from 5.7 on; it comes back with the connection."""
        conf = lib.tmpname('.json')
        with open(conf, 'w') as f:
            json.dump({'event_queue_exclusive': True}, f)
        tool = self.tool('--json', '--config', conf)
        lib.wait_for('an event', lambda: self.send_afresh() and tool.events(), 20, pause=0.2)
        found = [q for name, q in self.rabbit.queues().items() if name.startswith('celeryev.')]
        self.assertEqual([q['exclusive'] for q in found], [True])
        self.rabbit.close_connections()
        seen = len(tool.events())
        lib.wait_for('an event', lambda: self.send_afresh() and len(tool.events()) > seen, 20,
                     pause=0.2)
        self.assertEqual(tool.stop(), 0)
        self.assertIn('-> Connection lost, attempting reconnect', tool.errors())

    def send_afresh(self):
        """The connections that the application keeps were closed, too."""
        with self.app.connection_for_write() as connection:
            self.app.events.Dispatcher(connection).send('custom-thing')
        return True

    @lib.redis_only
    def test_nothing_is_left(self):
        before = lib.keys(self.db0)
        tool = self.tool('--json')
        self.awaken_alone(tool)
        tool.process.kill()
        tool.process.wait()
        self.assertEqual(lib.keys(self.db0), before)

    @lib.redis_only
    def test_prefix(self):
        """global_keyprefix is heeded."""
        conf = lib.tmpname('.json')
        with open(conf, 'w') as f:
            json.dump({'broker_transport_options': {'global_keyprefix': 'pre.'}}, f)
        tool = self.tool('--json', '--config', conf)
        app = lib.celery_app(self.broker, None,
                             broker_transport_options={'global_keyprefix': 'pre.'})

        def send():
            with app.events.default_dispatcher() as d:
                d.send('custom-thing')
            return tool.events()
        lib.wait_for('an event', send, 20, pause=0.2)
        self.send_event(other=True)
        time.sleep(0.3)
        self.assertEqual([e for e in tool.events() if 'other' in e], [])
        app.close()


class ReceivingC(Receiving):
    """The same with a C worker on the other side."""

    kind = 'c'
    test_malformed = test_nobody_there = test_nothing_is_left = test_prefix = None
    test_the_queue = test_the_connection_comes_back = test_an_exclusive_queue = None


# ---- the live view ----

class Terminal:
    """A terminal with the view in it: what is on its screen, as far as the view draws."""

    def __init__(self, broker, *options, rows=24, columns=80, term='xterm'):
        self.rows, self.columns = rows, columns
        self.master, slave = pty.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.alternate, self.cursor = False, True
        self.at = (0, 0)
        self.reverse = False
        self.frames, self.checked = 0, 0
        self.clear()
        self.rest = ''
        self.raw = b''
        environ = lib.env_of_workers()
        environ['TERM'] = term

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(
            [lib.CELERY_C, '-b', broker, 'events', *options], stdin=slave, stdout=slave,
            stderr=slave, env=environ, preexec_fn=own_terminal)

    def clear(self):
        self.cells = [[' '] * self.columns for _ in range(self.rows)]
        self.bright = [False] * self.rows

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def resize(self, rows, columns):
        """Waits for pictures of that size.  One that was drawn for the size before may come
        after what is read here, or be half of it: the second after them is checked."""
        self.size(rows, columns)
        self.checked = float('inf')
        self.read()
        self.rows, self.columns = rows, columns
        self.clear()
        self.checked = self.frames + 2
        lib.wait_for('pictures of the new size', lambda: (
            self.read(), self.frames > self.checked)[1])

    def read(self):
        while select.select([self.master], [], [], 0.05)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            self.raw += data
            self.rest += data.decode('utf-8', 'replace')
        self.take()

    SEQUENCE = re.compile(r'\x1b\[([?0-9;]*)([A-Za-z])')

    def take(self):
        at = 0
        while at < len(self.rest):
            if self.rest[at] == '\x1b':
                m = self.SEQUENCE.match(self.rest, at)
                if not m:
                    break
                self.control(m.group(1), m.group(2))
                at = m.end()
                continue
            self.put(self.rest[at])
            at += 1
        self.rest = self.rest[at:]

    def control(self, numbers, letter):
        row, column = self.at
        if letter == 'H':
            y, x = (numbers.split(';') + ['1'])[:2] if numbers else ('1', '1')
            self.at = (int(y) - 1, int(x) - 1)
            self.frames += not numbers
        elif letter == 'K' and row < self.rows:
            self.cells[row][column:] = [' '] * (self.columns - column)
        elif letter == 'K':
            assert self.frames < self.checked, 'outside'
        elif letter == 'J':
            for y in range(0 if numbers == '2' else row, self.rows):
                self.cells[y] = [' '] * self.columns
                self.bright[y] = False
        elif letter == 'm':
            self.reverse = numbers == '7' or (self.reverse and numbers not in ('', '0'))
        elif numbers == '?1049':
            self.alternate = letter == 'h'
        elif numbers == '?25':
            self.cursor = letter == 'h'
        else:
            assert numbers == '?7', (numbers, letter)

    def put(self, c):
        row, column = self.at
        if c in '\r\n\a':
            assert not self.alternate or c == '\a', 'a line end in the picture'
            return
        assert c >= ' ' and c != '\x7f', repr(c)
        inside = row < self.rows and column < self.columns
        assert inside or not self.alternate or self.frames < self.checked, (
            'outside: %r' % ((row, column, c),))
        if inside:
            if column == 0:
                self.bright[row] = self.reverse
            self.cells[row][column] = c
            self.at = (row, column + 1)

    def screen(self):
        self.read()
        return [''.join(row).rstrip() for row in self.cells]

    def selected(self):
        """Rows that stand out."""
        self.read()
        return [''.join(self.cells[i]).rstrip() for i, b in enumerate(self.bright) if b]

    def wait(self, pattern, timeout=20 * lib.PATIENCE):
        def found():
            if self.process.poll() is not None:
                raise lib.Deadline('the view ended: %r' % self.raw[-2000:])
            return re.search(pattern, '\n'.join(self.screen()), re.M)
        try:
            return lib.wait_for(pattern, found, timeout)
        except lib.Deadline:
            raise lib.Deadline('%r is not on:\n%s' % (pattern, '\n'.join(self.screen()))) from None

    def type(self, keys):
        os.write(self.master, keys.encode())

    def ended(self):
        """Exit code; the terminal is as it was."""
        code = lib.wait_for('the view ends', lambda: (
            self.read(), self.process.poll() is not None)[1] and [self.process.returncode])[0]
        self.read()
        assert not self.alternate and self.cursor, self.raw[-200:]
        assert termios.tcgetattr(self.slave) == self.before
        found = lib.SANITIZER.search(self.raw.decode('utf-8', 'replace'))
        assert not found, self.raw[-5000:]
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class View(Watch):
    brokers = ('redis',)

    def open(self, *options, **kwargs):
        t = Terminal(kwargs.pop('broker', self.broker), *options, **kwargs)
        self.addCleanup(t.close)
        return t

    def test_a_cluster(self):
        self.worker_of()
        t = self.open()
        t.wait(r'^w1@\S+ +ONLINE +\d+ +\d+ +\d+\.\d\d ')
        ids = self.work()
        row = r'^%s\S* +%s +w1@\S+ +\d\d:\d\d:\d\d +%s$'
        t.wait(row % (ids['add'][:8], 't.add', 'SUCCESS'))
        t.wait(row % (ids['fail'][:8], 't.fail', 'FAILURE'))
        # By upstream's precedence a task that has started stays so when it is rejected; from 5.7
        # on its worker says before that it failed (request.py on_failure).
        state = 'FAILURE' if lib.celery_version() >= (5, 7) else 'STARTED'
        t.wait(row % (ids['reject'][:8], 't.reject', state))
        t.wait(r'^Info: events: \d+ tasks: \d+ workers: 1/1$')
        screen = t.screen()
        self.assertRegex(screen[0], r'^celery-c events \S+  connected$')
        self.assertRegex(screen[2], r'^WORKER +STATE +ACTIVE +PROCESSED +LOAD$')
        self.assertEqual(len(screen), 24)
        self.assertTrue(screen[23].startswith('Keys: j:down k:up i:info'), screen[23])
        self.assertEqual(t.selected(), [])
        t.wait('^No task selected$')
        # Where the task without an end is, it stays on top or is found by going down.
        self.choose(t, ids['fail'])
        t.wait(r"^Selected: args=\(\) kwargs=\{\} .*exception=KeyError\('boom'\)")
        t.type('t')
        t.wait('^Task Exception Traceback for ' + ids['fail'])
        t.wait("^KeyError: 'boom'$")
        t.type('x')
        t.wait('^Keys: j:down')
        self.choose(t, ids['add'])
        t.type('r')
        t.wait('^Task Result for ' + ids['add'])
        self.assertEqual(t.screen()[2], '3')
        t.type('\x1b')
        t.wait('^Keys: j:down')
        t.type('i')
        t.wait('^name: t.add$')
        for line in (r'args: \(1, 2\)', r'kwargs: \{\}', 'state: SUCCESS', r'runtime: \d+\.\d+ s',
                     'retries: 0', 'result: 3', r'worker: w1@\S+'):
            t.wait('^%s$' % line)
        self.assertEqual(t.screen()[23], 'Press any key to continue...')
        t.type('\n')
        t.wait('^Keys: j:down')
        t.type('q')
        self.assertEqual(t.ended(), 0)

    def choose(self, t, task_id):
        """Goes down from the top until the task is selected."""
        t.type('\x1b[H')
        for _ in range(20):
            lib.wait_for('a row stands out', t.selected)
            if [row for row in t.selected() if row.startswith(task_id[:8])]:
                return
            before = t.selected()
            t.type('\x1b[B')
            lib.wait_for('the next row', lambda: t.selected() not in ([], before))
        self.fail('%s is not on:\n%s' % (task_id, '\n'.join(t.screen())))

    def test_revoke_and_rate_limit(self):
        self.worker_of(concurrency=1)
        t = self.open('--frequency', '0.2')
        t.wait('ONLINE')
        r = self.app.send_task('t.add', (1, 2), countdown=2)
        t.wait('RECEIVED$')
        t.type('j')
        self.choose(t, r.id)
        t.type('c')
        t.wait(r'^Revoke the selected task\? \[y/N\] ')
        t.type('n')
        t.wait('^Keys: j:down')
        t.type('c')
        t.wait(r'^Revoke the selected task')
        t.type('y')
        t.wait('^Remote Control Command Replies$')
        t.wait(r'^w1@\S+: tasks \S*%s\S* (flagged as )?revoked' % r.id[:8])
        t.type(' x')
        t.wait('REVOKED$')
        t.type('l')
        t.wait('^New rate limit: _$')
        t.type('9x\x7f/m')
        t.wait('^New rate limit: 9/m_$')
        t.type('\r')
        t.wait(r'^w1@\S+: new rate limit set successfully$')
        t.type('xq')
        self.assertEqual(t.ended(), 0)

    def send(self, *events):
        with self.app.events.default_dispatcher() as d:
            for type, fields in events:
                d.hostname = fields.pop('hostname', 'client')
                d.send(type, **fields)
        return True

    def test_sizes(self):
        """Nothing is drawn outside, whatever the size; the emulator checks each letter."""
        t = self.open('-F', '0.1')
        t.wait('connected$')
        events = [('task-received', {
            'uuid': 'u%03d\u4e2d' % i + 'x' * 60, 'name': 't.\x1b[2J\n' + 'n' * 300,
            'args': '\u202e' * 50, 'kwargs': '{}'}) for i in range(60)]
        events += [('worker-heartbeat', {'hostname': 'w%d@\u4e2d\u6587%s' % (i, 'h' * 200),
                                         'freq': 2, 'active': 2 ** 62, 'processed': -1,
                                         'loadavg': [1e300, 0, 1]}) for i in range(20)]
        self.send(*events)
        t.wait(r'^\.\.\. and \d+ more$')
        t.type('jj')
        lib.wait_for('a row stands out', t.selected)
        for rows, columns in ((24, 80), (50, 132), (10, 40), (5, 20), (2, 9), (1, 1), (24, 200),
                              (600, 30), (24, 80)):
            t.resize(rows, columns)
            t.wait('c')
        t.type('i')
        t.wait('^Press any key')
        for rows, columns in ((10, 40), (3, 5), (1, 1), (24, 80)):
            t.resize(rows, columns)
        t.type('jjjk xq')
        self.assertEqual(t.ended(), 0)

    def test_every_end_gives_the_terminal_back(self):
        for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0),
                             (signal.SIGQUIT, -signal.SIGQUIT),
                             (signal.SIGSEGV, -signal.SIGSEGV)):
            with self.subTest(signal=number):
                t = self.open()
                t.wait('connected$')
                t.process.send_signal(number)
                self.assertEqual(t.ended(), code)
        t = self.open()
        t.wait('connected$')
        t.type('\x03')
        self.assertEqual(t.ended(), 0)

    def test_stopped_and_continued(self):
        t = self.open()
        t.wait('connected$')
        # No shell is there to go on with it: the kernel stops no orphan, it goes on at once.
        t.process.send_signal(signal.SIGTSTP)
        lib.wait_for('the screen is given back', lambda: (
            t.read(), re.search(rb'\x1b\[\?1049l.*\x1b\[\?1049h', t.raw, re.S))[1])
        t.clear()
        t.wait('connected$')
        t.type('q')
        self.assertEqual(t.ended(), 0)

    def test_no_connection(self):
        t = self.open(broker='redis://127.0.0.1:%d/0' % lib.free_port())
        t.wait('not connected$')
        t.wait('No workers discovered.')
        t.type('jkirtclx')
        t.type('q')
        self.assertEqual(t.ended(), 0)


class Example(Watch):
    def test_watch(self):
        """examples/events/watch.c"""
        program = lib.built('examples/events/watch')
        if not program:
            self.skipTest('the example is not built')
        worker = self.worker_of()
        for seconds in (6, 20, 60):  # the longer ones for a worker that gets no processor
            text = self.watched(program, seconds)
            if 't.add: 2 seen' in text and 't.fail FAILURE' in text:
                break
        worker.stop()
        self.assertRegex(text, '(?m)^t.add SUCCESS: 3$')
        self.assertRegex(text, r"(?m)^t.fail FAILURE: KeyError\('boom'\)$")
        self.assertRegex(text, r'(?m)^w1@\S+ is there$')
        self.assertRegex(text, '(?m)^t.fail: 1 seen, 0 succeeded, 1 failed$')
        self.assertIn('t.add: 2 seen', text)


    def watched(self, program, seconds):
        out = lib.tmpname('.out')
        with open(out, 'wb') as f:
            process = lib.spawn([program, self.broker, str(seconds)], stdout=f,
                                stderr=subprocess.STDOUT)
        time.sleep(seconds / 6)
        self.work()
        self.assertEqual(process.wait(seconds + 20), 0)
        with open(out, encoding='utf-8') as f:
            return f.read()


class Refused(unittest.TestCase):
    def run_events(self, *options, env=None):
        environ = lib.env_of_workers()
        environ.update(env or {})
        return subprocess.run([lib.CELERY_C, 'events', *options], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=environ)

    def test_no_terminal(self):
        run = self.run_events(env={'TERM': 'xterm'})
        self.assertEqual((run.returncode, run.stdout), (2, ''))
        self.assertIn('The live view needs a terminal. Use --dump or --json.', run.stderr)

    def test_camera(self):
        for options in (['-c', 'x.Camera'], ['--camera=x.Camera'], ['--detach'], ['-r', '1/m'],
                        ['--pidfile', 'x']):
            run = self.run_events('--dump', *options)
            self.assertEqual(run.returncode, 2)
            self.assertIn('snapshots are taken by a camera class in Python', run.stderr)

    def test_settings(self):
        run = self.run_events('--json', '-b', 'nosuch://x')
        self.assertNotEqual(run.returncode, 0)
        self.assertRegex(run.stderr, '^Error: .*nosuch')
        self.assertEqual(run.stdout, '')

    def test_wrong_password(self):
        server = lib.Redis('--requirepass', 'secret')
        try:
            run = self.run_events('--dump', '-b', server.url(0))
            self.assertEqual(run.returncode, 1)
            self.assertIn('Error: ', run.stderr)
        finally:
            server.stop()


# ---- the state ----

NAMES = ['t.add', 't.mul', 't.sub']
SUBJECTS = ['sent', 'received', 'started', 'succeeded', 'failed', 'retried', 'revoked',
            'rejected', 'progress', 'cancelled']


class Events:
    """Random events of a cluster, also in orders that cannot be."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.clock = self.late = 0
        self.now = time.time() - 100

    def task(self, n_tasks):
        r = self.random
        subject = r.choice(SUBJECTS)
        fields = {'type': 'task-' + subject, 'uuid': 'u%d' % r.randrange(n_tasks),
                  'hostname': 'client' if subject == 'sent' else 'w%d' % r.randrange(4)}
        if subject in ('sent', 'received') or r.random() < 0.2:
            fields.update(
                name=r.choice(NAMES), args=r.choice(['(1,)', '()', None]), kwargs='{}',
                retries=r.randrange(3), eta=r.choice([None, '2026-01-01T00:00:00']),
                expires=None, root_id='u%d' % r.randrange(n_tasks),
                parent_id=r.choice([None, 'u%d' % r.randrange(n_tasks)]))
        if subject == 'sent':
            fields.update(exchange='', routing_key='celery')
        if subject == 'succeeded' or r.random() < 0.1:
            fields.update(result=r.choice(['3', "'x'", '\u00e9']), runtime=r.random())
        if subject in ('failed', 'retried'):
            fields.update(exception='KeyError()', traceback='Traceback\n  x')
        return fields

    def worker(self):
        r = self.random
        fields = {'type': 'worker-' + r.choice(['online', 'heartbeat', 'heartbeat', 'offline']),
                  'hostname': 'w%d' % r.randrange(12), 'pid': r.randrange(1, 99), 'freq': 2.0,
                  'sw_ident': 'py-celery', 'sw_ver': '5', 'sw_sys': 'Linux'}
        if r.random() < 0.8:
            fields.update(active=r.randrange(5), processed=r.randrange(500),
                          loadavg=[round(r.random(), 2) for _ in range(3)])
        return fields

    def next(self, n_tasks):
        r = self.random
        event = self.task(n_tasks) if r.random() < 0.8 else self.worker()
        self.clock += r.randrange(1, 5)
        self.now += r.random()
        # Late ones have an old clock; no two are equal.
        late = r.random() < 0.2
        self.late += late
        event['clock'] = (max(1, self.clock - r.randrange(300)) * 100000 + self.late if late
                          else self.clock * 100000)
        event['timestamp'] = self.now - (r.random() * 5 if r.random() < 0.2 else 0)
        event['local_received'] = self.now + 0.001
        event['utcoffset'] = 0
        return event


def theirs(events, max_workers, max_tasks):
    from celery.events.state import State
    state = State(max_workers_in_memory=max_workers, max_tasks_in_memory=max_tasks)
    for event in events:
        state.event(dict(event))
    gc.collect()  # it would still list by time what it has let go
    fields = ['uuid', 'state', 'name', 'client', 'args', 'kwargs', 'result', 'exception',
              'traceback', 'eta', 'expires', 'exchange', 'routing_key', 'root_id', 'parent_id',
              'sent', 'received', 'started', 'failed', 'retried', 'revoked', 'rejected',
              'succeeded', 'timestamp', 'runtime', 'retries', 'clock']
    tasks = []
    for task in state.tasks.values():
        one = {f: getattr(task, f) for f in fields}
        one['worker'] = task.worker.hostname if task.worker else None
        tasks.append(one)
    workers = []
    for w in state.workers.values():
        one = {f: getattr(w, f) for f in ('hostname', 'freq', 'pid', 'active', 'processed',
                                          'loadavg', 'clock', 'sw_ident', 'sw_ver', 'sw_sys')}
        one['heartbeat'] = w.heartbeats[-1] if w.heartbeats else None
        workers.append(one)
    return {'event_count': state.event_count, 'task_count': state.task_count,
            'workers': workers, 'tasks': tasks,
            'order': [task_id for task_id, _ in state.tasks_by_time()]}


class State(unittest.TestCase):
    """celery/state.h makes of random events what celery/events/state.py makes of them."""

    def run_tool(self, events, max_workers, max_tasks):
        if not STATE_TOOL:
            self.skipTest('state_tool is not built')
        text = ''.join(json.dumps(e) + '\n' for e in events)
        out = subprocess.run([STATE_TOOL, str(max_workers), str(max_tasks)], input=text,
                             stdout=subprocess.PIPE, text=True, check=True).stdout
        return json.loads(out)

    def compare(self, seed, n, n_tasks, max_workers, max_tasks):
        source = Events(seed)
        events = [source.next(n_tasks) for _ in range(n)]
        ours = self.run_tool(events, max_workers, max_tasks)
        wanted = theirs(events, max_workers, max_tasks)
        for name in ('event_count', 'task_count'):
            self.assertEqual(ours[name], wanted[name])
        self.assertEqual([w['hostname'] for w in ours['workers']],
                         [w['hostname'] for w in wanted['workers']])
        for mine, other in zip(ours['workers'], wanted['workers']):
            self.assertEqual(mine, other)
        mine = {t['uuid']: t for t in ours['tasks']}
        self.assertEqual(sorted(mine), sorted(t['uuid'] for t in wanted['tasks']))
        for other in wanted['tasks']:
            self.assertEqual(mine[other['uuid']], other)
        # Upstream forgets where old tasks stand; those that it knows come first.
        order = [t['uuid'] for t in ours['tasks']]
        self.assertEqual(order[:len(wanted['order'])], wanted['order'])
        self.assertGreater(len(order), min(n_tasks, max_tasks) // 2)

    def test_random(self):
        for seed in range(30):
            with self.subTest(seed=seed):
                self.compare(seed, 600, 30, 100, 100)

    def test_the_oldest_make_room(self):
        for seed in range(30):
            with self.subTest(seed=seed):
                self.compare(seed, 800, 60, 7, 20)

    def test_many(self):
        self.compare(1, 30000, 20000, 5000, 10000)


if __name__ == '__main__':
    lib.main()
