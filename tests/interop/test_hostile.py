#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A publisher on RabbitMQ that writes its own bytes: nested, huge and cut tables, names and
values that are no text, wrong types.  Each message is refused by the broker, parked or run; the
process stays, the next good message runs, and the log has no character from outside."""

import json
import os
import re
import struct
import unittest
import uuid

import lib

lib.BROKER, lib.RESULTS = 'amqp', 'redis'

DEAD = 'celery.celery-c.dead'
BODY = b'[[20, 22], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
EVIL = 'x\r\n[2020-01-01 00:00:00,000: CRITICAL/MainProcess] FORGED\x1b[31m\x07\u202e\x85'
LIMIT = 16 << 20  # CEL_TRANSPORT_MAX_MESSAGE


# ---- bytes ----

def name(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack('B', len(raw)) + raw


def long_text(letter, raw):
    return letter + struct.pack('>I', len(raw)) + raw


def text(value):
    return long_text(b'S', value if isinstance(value, bytes) else value.encode())


def entries(headers):
    """A dict as the inside of a table; values of bytes are encoded already."""
    from amqp.serialization import dumps
    found = b''
    for key, value in headers.items():
        found += name(key) + value if isinstance(value, bytes) else dumps('F', [{key: value}])[4:]
    return found


def table(inside):
    return struct.pack('>I', len(inside)) + inside


def nested(levels, letter=b'F'):
    """So many tables (or arrays) in each other."""
    inside = b''
    for _ in range(levels - 1):
        item = letter + table(inside)
        inside = name('k') + item if letter == b'F' else item
    return letter + table(inside)


def task_headers(task_id, **changes):
    headers = {
        'lang': 'py', 'task': 't.add', 'id': task_id, 'shadow': None, 'eta': None,
        'expires': None, 'group': None, 'group_index': None, 'retries': 0,
        'timelimit': [None, None], 'root_id': task_id, 'parent_id': None,
        'argsrepr': '()', 'kwargsrepr': '{}', 'origin': 'gen1@x', 'ignore_result': False}
    headers.update(changes)
    return {k: v for k, v in headers.items() if v is not gone}


class gone:
    pass


def properties(table_bytes, content_type=b'application/json', correlation=None):
    """Flags and properties: content type, encoding, headers, mode, correlation id."""
    flags, rest = 0x8000 | 0x4000 | 0x2000 | 0x1000, b''
    if correlation is not None:
        flags |= 0x0400
        rest = name(correlation)
    return (struct.pack('>H', flags) + name(content_type) + name('utf-8') + table_bytes +
            b'\2' + rest)


# ---- cases: name, function of a task id to (properties, body), what becomes of it ----

def having(**changes):
    return lambda i: (properties(table(entries(task_headers(i, **changes)))), BODY)


def beside(extra):
    """A good message with more bytes in its table."""
    return lambda i: (properties(table(entries(task_headers(i)) + extra)), BODY)


def before(extra):
    return lambda i: (properties(table(extra + entries(task_headers(i)))), BODY)


def raw_table(make):
    return lambda i: (properties(make(entries(task_headers(i)))), BODY)


def with_body(body):
    return lambda i: (properties(table(entries(task_headers(i)))), body)


CASES = [
    ('good', having(), 'run'),
    ('nested 32 deep', beside(name('n') + nested(31)), 'run'),
    ('nested 33 deep', beside(name('n') + nested(32)), 'parked'),
    ('nested 33 deep, in front', before(name('n') + nested(32)), 'parked'),
    ('nested 1,000 deep', beside(name('n') + nested(1000)), 'parked'),
    ('nested 18,000 deep', beside(name('n') + nested(18000)), 'parked'),
    ('arrays 33 deep', beside(name('n') + nested(32, b'A')), 'parked'),
    ('arrays 25,000 deep', beside(name('n') + nested(25000, b'A')), 'parked'),
    ('20,000 values', beside(name('n') + long_text(b'A', b'V' * 20000)), 'parked'),
    ('10,000 headers', beside(b''.join(name('h%d' % n) + b'V' for n in range(10000))), 'run'),
    ('a header of 120 KB', beside(name('n') + text(b'x' * 120000)), 'run'),
    ('name that is no UTF-8', beside(name(b'\xff\xfe') + b'V'), 'parked'),
    ('names of nothing', beside(name('') + b'V' + name('') + b'V'), 'run'),
    ('value that is no UTF-8', beside(name('n') + text(b'\xff\xfe')), 'run'),
    ('bytes', beside(name('n') + long_text(b'x', b'\0\xff')), 'run'),
    ('name with NUL and newline', beside(name('a\0\r\nb') + b'V'), 'run'),
    ('equal names', beside(name('retries') + b'I\0\0\0\0'), 'run'),
    ('all types', beside(b''.join(name(chr(97 + n)) + v for n, v in enumerate([
        b't\1', b'b\xff', b'B\xff', b's\xff\xfe', b'u\0\1', b'I\xff\xff\xff\xfd',
        b'i\xff\xff\xff\xfd',
        b'l' + b'\xff' * 8, b'L' + b'\xff' * 8, b'f\x7f\x7f\xff\xff', b'd' + bytes(8),
        b'D\xff\x7f\xff\xff\xff', b'T' + b'\xff' * 8, b'V', b'A\0\0\0\0', b'F\0\0\0\0']))), 'run'),
    # Erlang has none.
    ('not a number', beside(name('n') + b'd\x7f\xf8' + bytes(6)), 'refused'),
    ('type U', beside(name('n') + b'U\0\0'), 'refused'),
    ('unknown type', beside(name('n') + b'z'), 'refused'),
    ('name without a value', beside(name('n')), 'refused'),
    ('text longer than its table', beside(name('n') + b'S\0\1\0\0x'), 'refused'),
    ('text of 4 GB', beside(name('n') + b'S\xff\xff\xff\xffx'), 'refused'),
    ('table cut', raw_table(lambda e: table(e)[:-20]), 'refused'),
    ('table longer than the frame', raw_table(
        lambda e: struct.pack('>I', len(e) + 999) + e), 'refused'),
    ('table of 4 GB', raw_table(lambda e: b'\xff\xff\xff\xff' + e), 'refused'),
    ('inner table longer than the outer', beside(name('n') + b'F\0\0\1\0'), 'refused'),
    ('properties cut', lambda i: (
        properties(table(entries(task_headers(i))))[:-1], BODY), 'refused'),
    ('no properties', lambda i: (b'\0\0', BODY), 'parked'),
    ('no headers', lambda i: (properties(table(b'')), BODY), 'parked'),
    ('content type of bytes', lambda i: (properties(
        table(entries(task_headers(i))), content_type=b'\xff\n\x1b'), BODY), 'parked'),
    ('correlation id of bytes', lambda i: (properties(
        table(entries(task_headers(i))), correlation=b'\xff\n\x1b'), BODY), 'parked'),
    ('correlation id of 255', lambda i: (properties(
        table(entries(task_headers(i))), correlation=b'c' * 255), BODY), 'run'),
    ('no id', having(id=gone), 'parked'),
    ('no task', having(task=gone), 'parked'),
    ('task of bytes', having(task=text(b't.add\xff')), 'parked'),
    ('id of bytes', having(id=text(b'\xff\xfe')), 'parked'),
    ('id of 100 KB', having(id='i' * 100000, root_id='r'), 'parked'),
    ('timelimit of times', having(
        timelimit=b'A' + table(b'T' + bytes(8) + b'T' + bytes(8))), 'parked'),
    ('retries of 64 bits', having(retries=b'L\x7f' + b'\xff' * 7), 'run'),
    ('eta of T', having(eta=b'T' + struct.pack('>Q', 1)), 'parked'),
    ('stamps that are a list', having(stamps=[1]), 'parked'),
    ('x-delivery-count of text', beside(name('x-delivery-count') + text('many')), 'run'),
    ('x-death of nonsense', beside(name('x-death') + b'I\0\0\0\1'), 'run'),
    ('body of nothing', with_body(b''), 'parked'),
    ('body of junk', with_body(b'\xff' * 1000), 'parked'),
    ('body over the limit', with_body(b' ' * (LIMIT + 1)), 'parked'),
    ('task with control characters', having(task=EVIL), 'parked'),
    ('id with control characters', having(id=EVIL, task='no.such'), 'parked'),
]
WRONG = {'number': b'I\0\0\0\5', 'long': b'L' + bytes(8), 'bool': b't\1', 'float': b'd' + bytes(8),
         'null': b'V', 'array': b'A' + table(text('x')), 'map': b'F' + table(name('a') + b'V'),
         'time': b'T' + bytes(8), 'decimal': b'D\2\0\0\0\1', 'empty': text('')}
for what in ('id', 'task'):
    for kind, value in WRONG.items():
        CASES.append(('%s is %s' % (what, kind), having(**{what: value}), 'parked'))


class Publisher:
    """py-amqp with properties of our own and confirms; opened again when the broker has
    closed it."""

    def __init__(self, rabbit):
        self.rabbit, self.connection = rabbit, None

    def open(self):
        import amqp
        self.connection = amqp.Connection(
            '127.0.0.1:%d' % self.rabbit.port, virtual_host=self.rabbit.vhost,
            confirm_publish=True, connect_timeout=10)
        self.connection.connect()
        return self.connection.channel()

    def close(self):
        if self.connection is not None:
            self.connection.collect()
            self.connection = None

    def send(self, props, body):
        """True: the broker took it.  False: it closed the connection or the channel."""
        import amqp

        class Raw(amqp.Message):
            def _serialize_properties(self):
                return props
        channel = self.open()
        try:
            channel.basic_publish_confirm(Raw(body), exchange='', routing_key='celery',
                                          confirm_timeout=60)
            return True
        except (amqp.exceptions.AMQPError, OSError):
            return False
        finally:
            self.close()

    def count(self, queue):
        import amqp
        channel = self.open()
        try:
            return channel.queue_declare(queue, passive=True).message_count
        except amqp.exceptions.NotFound:
            return 0
        finally:
            self.close()


def can_run():
    return lib.KIND == 'c' and lib.CELERY_C and re.search(
        r'^brokers:.*\bamqp\b', os.popen(lib.CELERY_C + ' report').read(), re.M)


@unittest.skipUnless(can_run(), 'a build with amqp:// and the C worker')
class Hostile(lib.Case):
    worker_options = {'concurrency': 1, 'conf': {'worker_prefetch_multiplier': 4}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.publisher = Publisher(cls.rabbit)
        cls.addClassCleanup(cls.publisher.close)

    def good_one(self):
        task_id = str(uuid.uuid4())
        self.assertTrue(self.publisher.send(*having()(task_id)))
        doc = lib.wait_for('the next good message runs', lambda: (
            lib.document(self.db1, task_id) or (self.worker.process.poll() is not None and '{}')),
            15 * lib.PATIENCE, 0.005)
        self.assertEqual(json.loads(doc).get('result'), 42, self.worker.output()[-3000:])

    def ran(self):
        return len(re.findall(r'\] (?:succeeded in|raised \w+:)', self.worker.output(), re.M))

    def one(self, make, want):
        task_id = str(uuid.uuid4())
        ran, parked = self.ran(), self.publisher.count(DEAD)
        taken = self.publisher.send(*make(task_id))
        self.good_one()
        self.assertIsNone(self.worker.process.poll(), 'the worker ended')

        def end():
            now = self.ran() - ran - 1, self.publisher.count(DEAD) - parked
            return {(1, 0): 'run', (0, 1): 'parked'}.get(now)
        if not taken:
            found = 'refused'
        else:
            try:
                found = lib.wait_for('an end', end, 5 * lib.PATIENCE, 0.02)
            except lib.Deadline:
                found = 'nothing'
        self.assertEqual(found, want, self.worker.output()[-2000:])
        return task_id

    def test_bytes(self):
        pid, counts = self.worker.pid, {}
        for what, make, want in CASES:
            with self.subTest(what):
                task_id = self.one(make, want)
                counts[want] = counts.get(want, 0) + 1
                if want == 'parked' and task_id.encode() in make(task_id)[0] and (
                        not what.startswith(('id ', 'no id'))):
                    lib.wait_for('FAILURE of %s' % what, lambda: json.loads(
                        lib.document(self.db1, task_id) or '{}').get('status') == 'FAILURE',
                        5 * lib.PATIENCE)
        self.assertEqual(self.worker.pid, pid)
        self.check_log()
        self.check_parked(counts['parked'])
        print('  %d messages: %s; 0 exits' % (len(CASES), ', '.join(
            '%d %s' % (n, what) for what, n in sorted(counts.items()))))

    def check_log(self):
        """No character from outside."""
        output = self.worker.output()
        for line in output.splitlines():
            self.assertFalse(line.startswith('[2020-01-01'), line)
        self.assertNotRegex(output, '[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]')

    def check_parked(self, n):
        """Whatever is in the dead letters is a message that any client can fetch."""
        from kombu import Connection
        with Connection(self.rabbit.url()) as connection:
            channel, found = connection.channel(), 0
            while channel.basic_get(DEAD, no_ack=True):
                found += 1
        self.assertGreaterEqual(found, n)


if __name__ == '__main__':
    lib.main()
