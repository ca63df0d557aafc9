#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Malformed messages: each ends in exactly one of run, parked or returned; none ends the
process; the next good message runs within 100 ms; a legible id gets its FAILURE."""

import base64
import copy
import json
import os
import random
import re
import sys
import time
import unittest
import uuid
import zlib

import lib
from brokers import encode

DEAD = 'celery.celery-c.dead'
FEW = lib.QUICK or lib.BROKER != 'redis'  # each of these is confirmed
MUTATIONS = int(os.environ.get('POISON_MUTATIONS', '300' if FEW else '3000'))
SEED = int(os.environ.get('POISON_SEED', '20261122'))


def good(task='t.noop', args=(), kwargs=None, **headers):
    """A well-formed protocol 2 message as a dict."""
    task_id = str(uuid.uuid4())
    body = json.dumps([list(args), kwargs or {}, {
        'callbacks': None, 'errbacks': None, 'chain': None, 'chord': None}])
    return {
        'body': base64.b64encode(body.encode()).decode(),
        'content-encoding': 'utf-8', 'content-type': 'application/json',
        'headers': dict({
            'lang': 'py', 'task': task, 'id': task_id, 'shadow': None, 'eta': None,
            'expires': None, 'group': None, 'group_index': None, 'retries': 0,
            'timelimit': [None, None], 'root_id': task_id, 'parent_id': None,
            'argsrepr': '()', 'kwargsrepr': '{}', 'origin': 'gen1@x',
            'ignore_result': False}, **headers),
        'properties': {
            'correlation_id': task_id, 'reply_to': '', 'delivery_mode': 2,
            'delivery_info': {'exchange': '', 'routing_key': 'celery'}, 'priority': 0,
            'body_encoding': 'base64', 'delivery_tag': str(uuid.uuid4())},
    }


def with_body(text, **headers):
    m = good(**headers)
    data = text if isinstance(text, bytes) else text.encode()
    m['body'] = base64.b64encode(data).decode()
    return m


def without(*path):
    m = good()
    inner = m
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return m


def having(value, *path):
    m = good()
    inner = m
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return m


def bomb():
    m = good()
    m['body'] = base64.b64encode(zlib.compress(b'[' * (150 << 20))).decode()
    m['headers']['compression'] = 'application/x-gzip'
    return m


def bad_compression(name, data=b'junk'):
    m = with_body(data)
    m['headers']['compression'] = name
    return m


def other_type(content_type):
    m = good()
    m['content-type'] = content_type
    return m


# name: message; text is sent as it is.  The rows of the measured matrix, and their kin.
MATRIX = {
    'not JSON': 'this is not JSON',
    'empty text': '',
    'a number': '42',
    'a list': '[1, 2, 3]',
    'a string': '"text"',
    'null': 'null',
    'bytes': b'\xff\xfe\x00\x01',
    'NUL bytes': b'{"body": "\x00"}',
    'cut JSON': json.dumps(good())[:200],
    'empty map': '{}',
    'no properties': without('properties'),
    'properties null': having(None, 'properties'),
    'properties list': having([], 'properties'),
    'no delivery_tag': without('properties', 'delivery_tag'),
    'delivery_tag number': having(7, 'properties', 'delivery_tag'),
    'delivery_tag null': having(None, 'properties', 'delivery_tag'),
    'delivery_tag empty': having('', 'properties', 'delivery_tag'),
    'no delivery_info': without('properties', 'delivery_info'),
    'delivery_info null': having(None, 'properties', 'delivery_info'),
    'delivery_info text': having('x', 'properties', 'delivery_info'),
    'body_encoding unknown': having('rot13', 'properties', 'body_encoding'),
    'priority text': having('high', 'properties', 'priority'),
    'no headers': without('headers'),
    'headers null': having(None, 'headers'),
    'headers list': having([1], 'headers'),
    'no id': without('headers', 'id'),
    'id is a map': having({'a': 1}, 'headers', 'id'),
    'id is a number': having(5, 'headers', 'id'),
    'id null': having(None, 'headers', 'id'),
    'id empty': having('', 'headers', 'id'),
    'id lone surrogate': having('\ud800', 'headers', 'id'),
    'id of 8 MB': having('i' * (8 << 20), 'headers', 'id'),
    'id with newline': having('a\r\n[2026-01-01 00:00:00,000: CRITICAL/MainProcess] FORGED',
                              'headers', 'id'),
    'no task': without('headers', 'task'),
    'task is a list': having(['t.noop'], 'headers', 'task'),
    'task null': having(None, 'headers', 'task'),
    'task unknown': good('no.such.task'),
    'task empty': good(''),
    'task lone surrogate': good('t.\udfff'),
    'body missing': without('body'),
    'body null': having(None, 'body'),
    'body not base64': having('!!! not base64 !!!', 'body'),
    'body []': with_body('[]'),
    'body 7': with_body('7'),
    'body {}': with_body('{}'),
    'body of two': with_body('[[], {}]'),
    'body of four': with_body('[[], {}, {}, {}]'),
    'args a map': with_body('[{}, {}, {}]'),
    'kwargs a list': with_body('[[], [], {}]'),
    'embed a list': with_body('[[], {}, [1]]'),
    'embed a text': with_body('[[], {}, "x"]'),
    'body bad JSON': with_body('[[], {}, {'),
    'body bad UTF-8': with_body(b'[["\xff\xfe"], {}, {}]'),
    'body depth 100,000': with_body('[' * 100000 + ']' * 100000),
    'headers depth 100,000':
        '{"headers": ' + '[' * 100000 + ']' * 100000 + ', "properties": {}, "body": ""}',
    'timelimit text': good(timelimit='soon'),
    'timelimit of one': good(timelimit=[1]),
    'timelimit negative': good(timelimit=[-1, -1]),
    'eta text': good(eta='tomorrow'),
    'eta number': good(eta=5),
    'eta year 9999': good(eta='9999-12-31T23:59:59+00:00'),
    'eta month 13': good(eta='2026-13-01T00:00:00'),
    'expires text': good(expires='never'),
    'expires list': good(expires=[1]),
    'retries text': good(retries='many'),
    'retries negative': good(retries=-3),
    'retries huge': good(retries=10 ** 30),
    'compression unknown': bad_compression('application/x-none-such'),
    'compression bad data': bad_compression('application/x-gzip'),
    'compression list': bad_compression(['zlib']),
    'compression bomb': bomb(),
    'pickle': other_type('application/x-python-serialize'),
    'yaml not accepted': other_type('application/x-yaml'),
    'unknown content type': other_type('application/x-none-such'),
    'content type null': other_type(None),
    'unknown content encoding': dict(good(), **{'content-encoding': 'klingon'}),
    'reply_to a map': having({}, 'properties', 'reply_to'),
    'protocol 1 without args': dict(with_body('{"task": "t.noop", "id": "p1-noargs"}'),
                                    headers={}),
    'protocol 1 args text': dict(with_body(
        '{"task": "t.noop", "id": "p1-text", "args": "abc", "kwargs": {}}'), headers={}),
    'unknown __type__': with_body('[[{"__type__": "none", "__value__": 1}], {}, {}]'),
    'bad __value__': with_body('[[{"__type__": "datetime", "__value__": 1}], {}, {}]'),
    'shadow a map': good(shadow={}),
    'group a list': good(group=[1]),
    'argsrepr a number': good(argsrepr=5),
    'callbacks a text': with_body('[[], {}, {"callbacks": "x"}]'),
    'chain a number': with_body('[[], {}, {"chain": 5}]'),
    'chord a list': with_body('[[], {}, {"chord": []}]'),
}


def paths(value, at=()):
    """Every place in a document."""
    yield at
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, inner in items:
        yield from paths(inner, at + (key,))


VALUES = [None, True, 0, -1, 1.5, 2 ** 63, 10 ** 25, '', 'x', '\ud800', 'a\nb\x1b[31m', [],
          {}, [[]], {'a': None}, 'x' * 5000, float('nan')]


def mutate_document(rng):
    m = good(rng.choice(['t.noop', 't.noop', 't.ident']), [1])
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        where = rng.choice([p for p in paths(m) if p])
        inner = m
        for key in where[:-1]:
            inner = inner[key]
        how = rng.random()
        if how < 0.3:
            del inner[where[-1]]
        else:
            inner[where[-1]] = copy.deepcopy(rng.choice(VALUES))
        if not isinstance(m, dict) or not m:
            break
    return m


def mutate_body(rng):
    body = json.loads(base64.b64decode(good(args=[1, 'x'])['body']))
    where = rng.choice([p for p in paths(body) if p])
    inner = body
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = copy.deepcopy(rng.choice(VALUES))
    return with_body(json.dumps(body))


def mutate_bytes(rng):
    """Of the whole message on Redis, of its body on RabbitMQ."""
    whole = lib.BROKER == 'redis'
    raw = bytearray(encode(good()) if whole else base64.b64decode(good(args=[1, 'x'])['body']))
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(raw))
        how = rng.randrange(4)
        if how == 0:
            raw[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del raw[at:at + rng.choice([1, 1, 5, 50])]
        elif how == 2:
            raw[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 3])))
        else:
            raw = raw[:max(1, at)]
            break
    return bytes(raw) if whole else with_body(bytes(raw))


def mutation(rng):
    return rng.choice([mutate_document, mutate_document, mutate_body, mutate_bytes])(rng)


@unittest.skipUnless(lib.KIND == 'c', 'these messages end a Python worker')
class Poison(lib.Case):
    results = ('redis',)
    worker_options = {'concurrency': 1, 'conf': {'worker_prefetch_multiplier': 4}}

    def good_one(self):
        """Seconds until a good message has run."""
        m = good('t.add', (20, 22))
        start = time.monotonic()
        self.queues.send('celery', m)
        key = 'celery-task-meta-' + m['headers']['id']
        doc = lib.wait_for('the next good message runs', lambda: self.db1.get(key) or (
            self.worker.process.poll() is not None and b'{}'), 15, 0.001)
        self.assertEqual(json.loads(doc).get('result'), 42, self.worker.output()[-2000:])
        return time.monotonic() - start

    def settled(self):
        lib.wait_for('everything is settled', lambda: (
            self.queues.ready() == 0 and self.queues.held() == self.held), 30)

    def ended(self):
        """How many tasks ended, by the log, and how many messages stand in the dead list."""
        ends = re.findall(r'\] (?:succeeded in|raised \w+:|ignored$|rejected)|'
                          r'Discarding revoked task: ', self.worker.output(), re.M)
        return len(ends), self.queues.parked()

    def setUp(self):
        self.held = 0
        self.queues.drop(DEAD)

    def test_matrix(self):
        worst, pid = 0.0, self.worker.pid
        table, unsaid = [], 0
        for name, message in MATRIX.items():
            with self.subTest(name):
                ends = self.ended()
                if not self.queues.send('celery', message):
                    unsaid += 1
                    continue
                took = self.good_one()
                self.assertIsNone(self.worker.process.poll(), 'the worker ended')
                if name == 'eta year 9999':
                    self.held += self.queues.held() > self.held
                if name != 'eta year 9999':
                    # What was acknowledged early is parked after that.
                    lib.wait_for('%s is run or parked' % name, lambda: (
                        self.ended() == (ends[0] + 2, ends[1]) or
                        self.ended() == (ends[0] + 1, ends[1] + 1)), 10 * lib.PATIENCE)
                parked = self.ended()[1] - ends[1]
                self.assertIn(parked, (0, 1))
                task_id = self.legible_id(message)
                doc = lib.document(self.db1, task_id or self.any_id(message) or 'none')
                status = json.loads(doc)['status'] if doc else None
                end = 'parked' if parked else 'run' if self.ended()[0] > ends[0] + 1 else 'nothing'
                if name == 'eta year 9999' and self.held:
                    end = 'held'
                table.append((name, end, status, took))
                self.assertNotEqual(end, 'nothing', 'neither run, parked nor answered')
                if task_id and parked:
                    self.assertEqual(status, 'FAILURE', 'id %s has no FAILURE' % task_id[:50])
                # Megabytes take their time on the way, whatever is in them.
                patience = lib.PATIENCE * (20 if lib.SANITIZED else 1)
                limit = (0.1 + len(encode(message)) / 20e6) * patience
                for _ in range(3):  # it may have been the machine
                    if took > limit and name != 'eta year 9999':
                        # What any message takes while the machine is as busy as it is.
                        limit += 5 * max(self.good_one() for _ in range(3))
                        self.queues.send('celery', message)
                        took = min(took, self.good_one())
                        self.settled()
                        time.sleep(0.1)
                worst = max(worst, took)
                table[-1] = (name, end, status, took)
                self.assertLess(took, limit, 'the next good message came late')
        for name, end, status, took in table:
            print('  %-28s %-8s %-8s next after %5.1f ms' % (name, end, status, took * 1e3))
        self.settled()
        print('  %d malformed messages: 0 exits, 0 lost, next good message after at most %.1f ms'
              % (len(table), worst * 1e3))
        self.assertGreater(len(table), unsaid * 2, '%d cannot be said' % unsaid)
        self.assertEqual(self.worker.pid, pid)
        for line in self.worker.output().splitlines():
            self.assertFalse(line.startswith('[2026-01-01 00:00:00,000: CRITICAL'), line)

    @staticmethod
    def any_id(message):
        """The id under which a result would be, however odd."""
        headers = message.get('headers') if isinstance(message, dict) else None
        task_id = headers.get('id') if isinstance(headers, dict) else None
        odd = not isinstance(task_id, str) or any(0xd800 <= ord(c) < 0xe000 for c in task_id)
        return None if odd else task_id

    @staticmethod
    def legible_id(message):
        if not isinstance(message, dict) or not isinstance(message.get('headers'), dict):
            return None
        task_id = message['headers'].get('id')
        if not isinstance(task_id, str) or not task_id or len(task_id) > 255:
            return None
        if any(ord(c) < 32 or 0xd800 <= ord(c) < 0xe000 for c in task_id):
            return None
        return task_id

    def parked_ids(self):
        """Ids of protocol 2 messages in the dead list, where one can be made out."""
        for headers in self.queues.parked_headers():
            task_id = self.legible_id({'headers': headers})
            if task_id:
                yield task_id

    def test_mutations(self):
        """Sent = run + parked + returned; ids tell them apart."""
        rng = random.Random(SEED)
        self.held = self.queues.held()
        self.db1.flushdb()
        before, sent, worst = self.ended()[0], 0, 0.0
        while sent < MUTATIONS:
            if not self.queues.send('celery', mutation(rng)):
                continue
            sent += 1
            if sent % 200 == 0:
                worst = max(worst, self.good_one())
                self.assertIsNone(self.worker.process.poll(), 'the worker ended')
        worst = max(worst, self.good_one())
        lib.wait_for('drained', lambda: self.queues.ready() == 0, 60)
        goods = sent // 200 + 1

        def accounted():
            ran, parked = self.ended()
            held = self.queues.held() - self.held
            return ran - before - goods, parked, held
        try:
            lib.wait_for('each has its end', lambda: sum(accounted()) == sent, 10)
        except lib.Deadline:
            pass  # said below, with figures
        self.assertIsNone(self.worker.process.poll(), 'the worker ended')
        ran, parked, held = accounted()
        stored = [json.loads(self.db1.get(key))['status']
                  for key in self.db1.keys('celery-task-meta-*')]
        print('  %d mutations (seed %d): %d run, %d parked, %d held for a far eta; %d results, '
              '%d of them FAILURE; next good message after at most %.1f ms'
              % (sent, SEED, ran, parked, held, len(stored) - goods,
                 stored.count('FAILURE'), worst * 1e3))
        self.assertGreater(parked, 0)
        self.assertGreater(ran, 0)
        self.assertEqual(ran + parked + held, sent)
        missing = [i for i in self.parked_ids() if not self.db1.exists('celery-task-meta-' + i)]
        self.assertEqual(missing, [], 'parked, id legible, but no result')


@unittest.skipUnless(lib.KIND == 'c', 'Python prints them')
class Canaries(lib.Case):
    results = ('redis',)

    def test_no_control_character_reaches_the_log(self):
        w = self.start(concurrency=1)
        evil = 'x\r\n[2020-01-01 00:00:00,000: CRITICAL/MainProcess] FORGED\x1b[31m\x07\u202e\x85'
        for path in [p for p in paths(good()) if p]:
            message = good('t.ident', [evil])
            inner = message
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = evil
            self.queues.send('celery', message)
        self.queues.send('celery', good('t.fail'))
        lib.wait_for('drained', lambda: not self.queues.ready(), 20)
        self.assertEqual(self.call('t.add', 1, 2), 3)
        text = open(w.log, 'rb').read().decode('utf-8', 'backslashreplace')
        for line in text.split('\n'):
            self.assertFalse(line.startswith('[2020-'), line)
            for char in '\r\x1b\x07\u202e\x85':
                self.assertNotIn(char, line)
        w.stop()


if __name__ == '__main__':
    lib.main()
