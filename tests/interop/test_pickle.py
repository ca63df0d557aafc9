#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The pickles of the C library beside those of Python's pickle and Celery's classes."""

import collections
import datetime
import decimal
import io
import json
import os
import pickle
import pickletools
import random
import subprocess
import sys
import unittest
import uuid

import celery
import celery.exceptions
import celery.result

import lib

TOOL = os.path.join(lib.BUILD, 'tests', 'interop', 'pickle_tool')

TEXTS = [
    '""', '"Hello World"', '"\\u00e9\\u6f22\\ud83d\\ude00"', '"a\\u0000b"', '"\\ud800"', '"\\u00ff"',
    '[0, 255, 256, 65535, 65536, 2147483647, 2147483648, -1, -128, -129, -2147483648, -2147483649]',
    '[9223372036854775807, 9223372036854775808, -9223372036854775809, 18446744073709551616]',
    str(10 ** 30), str(-10 ** 30), str(256 ** 255), str(-256 ** 255), str(2 ** 2039), str(2 ** 2040),
    str(-2 ** 2039), str(10 ** 4000), str(-10 ** 4000), '-0', '0', '5', '300',
    '1.5', '-0.0', 'NaN', 'Infinity', '-Infinity', '1e400', '5e-324', '1.7976931348623157e308',
    'true', 'false', 'null', '[]', '[1]', '[1, 2, 3]', '{}', '{"a": 1}', '{"a": 1, "b": [1, {"c": null}]}',
    '{"x": "Hello World", "y": "Hello World"}', '[{"key": 1}, {"key": 2}]', '["a", "a", "", "", "\\u00e9", "\\u00e9"]',
    '{"a": "a", "b": {"a": ["b", ""]}}', '{"": ""}', '[[], [], {}, {}]', '[[1, [2, [3]]], []]',
    json.dumps(list(range(1000))), json.dumps(list(range(1001))), json.dumps(list(range(2500))),
    json.dumps({str(i): i for i in range(999)}), json.dumps({'k%d' % i: i for i in range(1000)}),
    json.dumps({'k%d' % i: i for i in range(1001)}), json.dumps([[]] * 300), json.dumps(['ab'] * 70000),
    json.dumps([{'a' * 200: i, 'b': [i]} for i in range(500)]),
] + [json.dumps(s) for n in (255, 256, 65523, 65535, 65536, 70000, 200000) for s in
     ('x' * n, ['x' * n, 'y'], ['a', 'x' * n, 1, 'x' * n], {'k': 'x' * n, 'l': 'x' * n}, {'x' * n: 1, 'b': {'x' * n: 2}})]


class Pickles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tool = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @classmethod
    def tearDownClass(cls):
        cls.tool.stdin.close()
        cls.tool.stdout.close()
        cls.tool.wait(10)

    def ask(self, verb, text):
        self.tool.stdin.write(('%s %s\n' % (verb, text)).encode())
        self.tool.stdin.flush()
        return self.tool.stdout.readline().decode().rstrip('\n')

    def write(self, text, verb='write'):
        answer = self.ask(verb, text)
        self.assertNotIn('error', answer)
        return bytes.fromhex(answer)

    def read(self, data, verb='read'):
        answer = self.ask(verb, data.hex())
        self.assertFalse(answer.startswith('error'), answer)
        return json.loads(answer)

    # ---- the writer ----

    def same_bytes(self, text):
        ours, theirs = self.write(text), pickle.dumps(json.loads(text), 5)
        if ours != theirs:
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), -1)
            self.fail('%.60s: differs at byte %d: %s, Python %s' % (
                text, at, ours[max(0, at - 8):at + 8].hex(), theirs[max(0, at - 8):at + 8].hex()))

    def test_documents_have_the_bytes_of_python(self):
        for text in TEXTS:
            self.same_bytes(text)

    def test_random_documents_have_the_bytes_of_python(self):
        rng = random.Random(os.environ.get('PICKLE_SEED', '1'))
        for _ in range(300):
            self.same_bytes(json.dumps(random_value(rng, 4)))

    def test_typed_values_are_objects(self):
        zone = datetime.timezone(datetime.timedelta(hours=10))
        for kind, text, value in [
            ('datetime', '2026-01-02T03:04:05.000006', datetime.datetime(2026, 1, 2, 3, 4, 5, 6)),
            ('datetime', '2026-01-02T03:04:05', datetime.datetime(2026, 1, 2, 3, 4, 5)),
            ('datetime', '2026-01-02T03:04:05.999999+00:00',
             datetime.datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=datetime.timezone.utc)),
            ('date', '0001-12-31', datetime.date(1, 12, 31)), ('time', '01:02:03', datetime.time(1, 2, 3)),
            ('time', '23:59:59.000001', datetime.time(23, 59, 59, 1)), ('decimal', '1.50', decimal.Decimal('1.50')),
            ('uuid', {'hex': '0123456789abcdef0123456789abcdef'}, uuid.UUID('0123456789abcdef0123456789abcdef')),
            ('uuid', {'hex': 'f' * 32}, uuid.UUID('f' * 32)), ('base64', '/wA=', b'\xff\0'), ('bytes', 'plain', b'plain'),
        ]:
            ours = self.write(json.dumps({'__type__': kind, '__value__': text}))
            self.assertEqual(ours, pickle.dumps(value, 5), value)
        two = {'__type__': 'datetime', '__value__': '2026-01-02T03:04:05+10:00'}
        self.assertEqual(pickle.loads(self.write(json.dumps([two, two]))),
                         [datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=zone)] * 2)

    def test_no_other_class_is_ever_named(self):
        """A document cannot make a reader import something."""
        for document in [{'__type__': 'os.system', '__value__': 'x'}, {'__type__': 'datetime', '__value__': 'x'},
                         {'__type__': 'uuid', '__value__': {'hex': 'zz'}}, {'__type__': 'time', '__value__': '01:02:03+02:00'},
                         {'__class__': 'system', '__module__': 'os', '__args__': ['id']},
                         {'__type__': 'decimal', '__value__': 'x'}, {'__type__': 'decimal', '__value__': 5}]:
            self.assertEqual(strict_loads(self.write(json.dumps(document))), document)

    def test_exceptions_have_a_tuple(self):
        for args in [(), ('bad',), ('bad', 1), ('a', 'b', None), ('bad', 1, None, [1, 2]), tuple(range(1001)), ('e' * 70000,)]:
            row = {'exc_type': 'ValueError', 'exc_message': args, 'exc_module': 'builtins'}
            ours = self.write(json.dumps(row), 'exception')
            self.assertEqual(ours, pickle.dumps(row, 5))
        for odd in [{'exc_type': 'ValueError', 'exc_message': 'bad', 'exc_module': 'builtins'}, {'a': 1}, None, [1]]:
            self.assertEqual(pickle.loads(self.write(json.dumps(odd), 'exception')), odd)

    # ---- the reader ----

    def test_documents_of_every_protocol(self):
        values = [json.loads(text) for text in TEXTS if len(text) < 400000 and '10000' not in text[:6]]
        for value in values:
            for protocol in range(6):
                for data in pickles(value, protocol):
                    self.assert_same(self.read(data), value)

    def test_random_documents_of_every_protocol(self):
        rng = random.Random(os.environ.get('PICKLE_SEED', '1'))
        for i in range(300):
            value = random_value(rng, 4)
            for data in pickles(value, i % 6):
                self.assert_same(self.read(data), value)

    def assert_same(self, got, value):
        self.assertEqual(json.dumps(got), json.dumps(value))

    def test_what_json_has_not(self):
        """The same values as kombu's JSON gives for what Python pickles."""
        utc = datetime.timezone.utc
        zone = datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))
        half = datetime.timezone(datetime.timedelta(hours=5, minutes=30), 'IST')
        shared = [1, {'a': (2, 3)}]
        when = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)
        for value, expected in [
            ((), []), ((1,), [1]), ((1, 2), [1, 2]), ((1, 2, 3), [1, 2, 3]), ((1, 2, 3, 4), [1, 2, 3, 4]),
            (((), ((),)), [[], [[]]]), ({1}, [1]), (frozenset([1]), [1]), (set(), []), (frozenset(), []),
            ({'a': {'b'}, 'c': frozenset('d')}, {'a': ['b'], 'c': ['d']}), (collections.deque([1, 2]), [1, 2]),
            (collections.OrderedDict([('a', 1), ('b', 2)]), {'a': 1, 'b': 2}),
            (collections.defaultdict(list, a=[1]), {'a': [1]}), (collections.Counter('a'), {'a': 1}),
            ({1: 2, None: 3, True: 4, 1.5: 5}, json.loads(json.dumps({1: 2, None: 3, True: 4, 1.5: 5}))),
            (shared, json.loads(json.dumps(shared))), ([shared, shared], json.loads(json.dumps([shared, shared]))),
            ({'x': shared, 'y': [shared]}, json.loads(json.dumps({'x': shared, 'y': [shared]}))),
            (b'\xff\0', typed('base64', '/wA=')), (b'', None), (bytearray(b'\xff'), typed('base64', '/w==')),
            (when, typed('datetime', when.isoformat())),
            (when.replace(fold=1), typed('datetime', when.isoformat())),
            (when.replace(tzinfo=utc), typed('datetime', '2026-01-02T03:04:05.000006+00:00')),
            (when.replace(tzinfo=zone), typed('datetime', '2026-01-02T03:04:05.000006-03:30')),
            (when.replace(tzinfo=half), typed('datetime', '2026-01-02T03:04:05.000006+05:30')),
            ([when.replace(tzinfo=utc)] * 2, [typed('datetime', '2026-01-02T03:04:05.000006+00:00')] * 2),
            (when.date(), typed('date', '2026-01-02')), (when.time(), typed('time', '03:04:05.000006')),
            (decimal.Decimal('-1E+5'), typed('decimal', '-1E+5')),
            (uuid.UUID(int=5), typed('uuid', {'hex': '%032x' % 5})),
            ([uuid.UUID(int=2 ** 128 - 1)] * 2, [typed('uuid', {'hex': 'f' * 32})] * 2),
        ]:
            for protocol in range(6):
                for data in pickles(value, protocol):
                    got = self.read(data)
                    if expected is None:
                        self.assertEqual(got['__value__'], '')
                    else:
                        self.assertEqual(got, expected, (value, protocol))

    def test_exceptions_as_objects(self):
        for exc in [ValueError('bad', 1), KeyError('x'), OSError(4000, 'no'), ValueError(), celery.exceptions.Reject('why'),
                    celery.exceptions.NotRegistered('t'), celery.exceptions.TaskRevokedError('revoked')]:
            expected = {'exc_type': type(exc).__name__, 'exc_module': type(exc).__module__,
                        'exc_message': json.loads(json.dumps(exc.__reduce__()[1]))}
            for protocol in range(6):
                self.assertEqual(self.read(pickle.dumps(exc, protocol), 'read-exception'), expected)
        exc = ValueError('bad')
        exc.more = {'k': 1}
        for protocol in range(6):
            self.assertEqual(self.read(pickle.dumps(exc, protocol))['__state__'], {'more': {'k': 1}})
        row = {'exc_type': 'ValueError', 'exc_message': ('bad',), 'exc_module': 'builtins'}
        self.assertEqual(self.read(pickle.dumps(row), 'read-exception'), dict(row, exc_message=['bad']))
        self.assertIsNone(self.read(pickle.dumps({'a': 1}), 'read-exception'))

    def test_unpickleable_exceptions(self):
        from celery.utils.serialization import UnpickleableExceptionWrapper
        wrapper = UnpickleableExceptionWrapper('app1', 'MyErr', ['boom', 42], 'MyErr: boom')
        for protocol in range(6):
            self.assertEqual(self.read(pickle.dumps(wrapper, protocol), 'read-exception'),
                             {'exc_type': 'MyErr', 'exc_message': ['boom', 42], 'exc_module': 'app1'})

    def test_unknown_classes_are_names(self):
        for protocol in range(6):
            got = self.read(pickle.dumps([Point(1, 2), Point], protocol))
            self.assertEqual((got[0]['__class__'], got[0]['__module__'], got[0]['__state__']),
                             ('Point', '__main__', {'x': 1, 'y': 2}))
            self.assertEqual(got[1], {'__class__': 'Point', '__module__': '__main__'})
        self.assertEqual(self.read(pickle.dumps({'__class__': 'x', '__module__': 'y'})),
                         {'__class__': 'x', '__module__': 'y'})

    def test_nothing_runs(self):
        """What makes Python's reader run a command is data here."""
        marker = os.path.join(lib.BUILD, 'pickle-ran')
        for data in [b'cos\nsystem\n(S\'touch %s\'\ntR.' % marker.encode(),
                     b'(S\'touch %s\'\nios\nsystem\n.' % marker.encode(),
                     b'(cos\nsystem\nS\'touch %s\'\no.' % marker.encode(),
                     b'\x80\x02cos\nsystem\nU\x01x\x85\x81.']:
            got = self.read(data)
            self.assertEqual((got['__module__'], got['__class__']), ('os', 'system'))
        self.assertFalse(os.path.exists(marker))

    def test_what_is_refused(self):
        circle = []
        circle.append(circle)
        twisted = {}
        twisted['a'] = [twisted]
        point = Point(1, 2)
        point.x = point
        for protocol in range(6):
            for value in (circle, twisted, point):
                self.refused(pickle.dumps(value, protocol), 'contains itself')
        bomb = b'\x80\x02](' + b'K\x01' * 20 + b'eq\x00' + b'](' + b'h\x00' * 20 + b'eq\x00' + \
            b''.join(b'](' + b'h\x00' * 20 + b'eq\x00' for _ in range(20)) + b'.'
        self.refused(bomb, 'too many elements')
        self.refused(b'\x80\x02' + b']' * 2000 + b'a' * 1999 + b'.', 'nested too deeply')
        for data in [b'', b'\x80', b'.', b'N', b'\x80\x06N.', b'NN', b'N.N', b'\x82\x01.', b'P1\n.', b'NQ.', b'\x97.', b'\x98.',
                     b't.', b'h\x00.', b'K\x01a.', b']K\x01s.', b'}(K\x01u.', b'K\x01K\x02s.', b'NR.', b'NNR.', b'Nb.', b'NNb.',
                     b'cos\nsystem\nNR.', b'I1', b'Ix\n.', b'I\n.', b'F1x\n.', b'V\\u12\n.', b'Sx\n.', b"S'\n.", b"S'\\q'\n.",
                     b'X\xff\xff\xff\xffa.', b'X\x01\0\0\0\xff.', b'r\xff\xff\xff\xff.', b'Nr\xff\xff\xff\xff.', b'c\n\n.',
                     b'\x8d' + b'\xff' * 8 + b'.', b'\x95' + b'\xff' * 8 + b'N.', b'\x8b\xff\xff\xff\xff.', b'garbage', b'{"a": 1}']:
            self.refused(data)

    def refused(self, data, why=''):
        answer = self.ask('read', data.hex())
        self.assertTrue(answer.startswith('error ') and why in answer, (data[:60], answer))

    def test_cut_pickles(self):
        data = pickle.dumps({'a': [1, 2.5, 'x' * 300, None], 'when': datetime.datetime(2026, 1, 1), 'e': ValueError('x')}, 4)
        for n in range(len(data)):
            self.refused(data[:n])

    # ---- groups ----

    def test_groups(self):
        app = celery.Celery('pickles', set_as_current=True)
        tuples = [[['gid', None], [[['a', None], None], [['b', None], None]]], [['gid', None], []],
                  [['gid', None], [[['a', [['p', None], None]], None]]],
                  [['gid', None], [[['inner', None], [[['c', None], None]]], [['d', None], None]]],
                  [['gid', None], [[[str(i), None], None] for i in range(1001)]]]
        for as_tuple in tuples:
            data = self.write(json.dumps(as_tuple), 'group')
            result = pickle.loads(data)
            self.assertEqual(json.loads(json.dumps(result.as_tuple())), as_tuple)
            self.assertIsInstance(result, celery.result.GroupResult)
            self.assertEqual([r.backend for r in result.results if hasattr(r, 'backend')],
                             [app.backend for r in result.results if hasattr(r, 'backend')])
            for protocol in range(2, 6):
                self.assertEqual(self.read(pickle.dumps(result, protocol), 'read-group'), as_tuple)
            self.assertEqual(self.read(data, 'read-group'), as_tuple)
        for bad in ['[]', '{}', 'null', '[["a"], []]', '[[1, null], []]', '[["a", null], [1]]', '[["a", null], {}]']:
            self.assertTrue(self.ask('group', bad).startswith('error '), bad)


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y


def typed(kind, value):
    return {'__type__': kind, '__value__': value}


def pickles(value, protocol):
    """What C's pickler, Python's and pickletools.optimize() make of a value."""
    out = io.BytesIO()
    pickle._Pickler(out, protocol).dump(value)
    data = pickle.dumps(value, protocol)
    return [data, out.getvalue(), pickletools.optimize(data)]


def random_value(rng, depth):
    kind = rng.randrange(9 if depth else 7)
    if kind < 2:
        return rng.choice([0, 1, 255, 256, 65535, 65536, -1, 2 ** rng.randrange(200), -2 ** rng.randrange(200)])
    if kind < 5:
        return ''.join(chr(rng.choice([97, 98, 0x20, 0xe9, 0x6f22, 0x1f600])) for _ in range(rng.randrange(5))) * rng.choice([1, 1, 80])
    if kind < 7:
        return rng.choice([True, False, None, 1.5, -2.25e300, 0.1])
    if kind == 7:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(6))]
    return {rng.choice(['a', 'key', 'exc_type', '', 'k%d' % rng.randrange(9)]): random_value(rng, depth - 1)
            for _ in range(rng.randrange(6))}


class Strict(pickle.Unpickler):
    def find_class(self, module, name):
        raise AssertionError('names %s.%s' % (module, name))


def strict_loads(data):
    return Strict(io.BytesIO(data)).load()


if __name__ == '__main__':
    sys.set_int_max_str_digits(0) if hasattr(sys, 'set_int_max_str_digits') else None
    lib.main()
