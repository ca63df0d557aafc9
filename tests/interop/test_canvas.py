#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Workflows that Python builds, on a C worker, on C and Python workers together, and compared
with a Python worker alone: values, documents, and what is left in Redis."""

import base64
import json
import re
import time
import unittest
import uuid

import lib
from celery import chain, chord, group

UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')
DATE = re.compile(r'"\d{4}-\d\d-\d\dT[^"]*"')


class Build:
    """Signatures of the tasks by name, on one application."""

    def __init__(self, app):
        self.app = app

    def sig(self, name, *args, **options):
        return self.app.signature(name, args=args, **options)

    def add(self, *args, **options):
        return self.sig('t.add', *args, **options)

    def ident(self, **options):
        return self.sig('t.ident', **options)

    def fail(self):
        return self.sig('t.fail')


# name: (what is applied, the value of its result)
GOOD = {
    'chain': (lambda b: chain(b.add(1, 1), b.add(10), b.add(100)), 112),
    'chain of one': (lambda b: chain(b.add(1, 1)), 2),
    'immutable step': (lambda b: chain(b.add(1, 1), b.add(3, 4, immutable=True)), 7),
    'group': (lambda b: group(b.add(1, 1), b.add(2, 2)), [2, 4]),
    'group in a chain': (lambda b: chain(b.add(1, 1), group(b.add(1), b.add(2))), [3, 4]),
    'chord': (lambda b: chord([b.add(i, i) for i in range(20)], b.ident()),
              [2 * i for i in range(20)]),
    'chord of one': (lambda b: chord([b.add(1, 1)], b.ident()), [2]),
    'group and task': (lambda b: chain(group(b.add(1, 1), b.add(2, 2)), b.ident()), [2, 4]),
    'group between': (lambda b: chain(b.add(1, 1), group(b.add(1), b.add(2)), b.ident()),
                      [3, 4]),
    'chord in a chain': (lambda b: chain(b.add(1, 1), chord([b.add(1), b.add(2)], b.ident()),
                                         b.ident()), [3, 4]),
    'chains in a chord': (lambda b: chord([chain(b.add(1, 1), b.add(1)),
                                           chain(b.add(2, 2), b.add(2))], b.ident()), [3, 6]),
    'chord in a chord': (lambda b: chord([chord([b.add(1, 1), b.add(2, 2)], b.ident()),
                                          b.add(3, 3)], b.ident()), [[2, 4], 6]),
    'body is a chain': (lambda b: chord([b.add(1, 1), b.add(2, 2)],
                                        chain(b.ident(), b.ident())), [2, 4]),
    'body is a group': (lambda b: chord([b.add(1, 1), b.add(2, 2)],
                                        group(b.ident(), b.ident())), [[2, 4], [2, 4]]),
    'two chords': (lambda b: chain(group(b.add(1, 1), b.add(2, 2)), b.ident(),
                                   group(b.ident(), b.ident()), b.ident()),
                   [[2, 4], [2, 4]]),
}


# What fails: the result that is waited for, and how it ends.  5.7.0 is what we follow here.
BAD = {
    'chain': lambda b: chain(b.fail(), b.add(1), b.add(2)),
    'last step': lambda b: chain(b.add(1, 1), b.sig('t.fail', immutable=True)),
    'link error': lambda b: b.fail().on_error(b.ident()),
    'two errbacks': lambda b: b.fail().on_error(b.ident()).on_error(
        b.sig('t.ident', priority=3)),
    'errback of a chain': lambda b: chain(b.add(1, 1), b.sig('t.fail', immutable=True),
                                          b.add(1)).on_error(b.ident()),
    'chord': lambda b: chord([b.add(1, 1), b.fail(), b.add(2, 2)], b.ident()),
    'chord with errback': lambda b: chord([b.add(1, 1), b.fail()],
                                          b.ident().on_error(b.ident())),
    'body': lambda b: chord([b.add(1, 1)], b.sig('t.fail', immutable=True)),
    'chain in a chord': lambda b: chord([b.add(1, 1), chain(b.fail(), b.add(1))], b.ident()),
    'chord in a chain': lambda b: chain(b.add(1, 1), chord(
        [b.add(1), b.sig('t.fail', immutable=True)], b.ident()), b.ident()),
    'chord in a chord': lambda b: chord([chord([b.fail()], b.ident()), b.add(3, 3)],
                                        b.ident()),
    'body is a chain': lambda b: chord([b.fail()], chain(b.ident(), b.ident())),
    'body is a group': lambda b: chord([b.fail()], group(b.ident(), b.ident())),
    'chord behind a failure': lambda b: chain(b.fail(), group(b.add(1), b.add(2)), b.ident()),
    'group in a header': lambda b: chord([group(b.add(1, 1), b.fail()), b.add(1, 1)],
                                         b.ident()),
}


class Pair(lib.Case):
    """The worker under test and a Python worker, each with a broker and results of its own."""

    maxDiff = None
    results = ('redis',)
    pool = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ours = lib.Worker(cls.broker, cls.backend, pool=cls.pool, wait=False)
        cls.addClassCleanup(cls.ours.kill9)
        urls = (cls.new_rabbit().url() if lib.BROKER == 'amqp' else cls.redis.url(2),
                cls.redis.url(3))
        cls.theirs = lib.Worker(*urls, kind='python', wait=False)
        cls.addClassCleanup(cls.theirs.kill9)
        cls.their_app = lib.celery_app(*urls)
        cls.addClassCleanup(cls.their_app.close)
        cls.db3 = cls.redis.client(3)
        cls.ours.wait_ready()
        cls.theirs.wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.ours.stop()
        cls.theirs.stop()

    def setUp(self):
        self.db1.flushdb()
        self.db3.flushdb()

    def run_on(self, app, results, build, count):
        """The result, when so many documents have their end."""
        results.flushdb()
        result = build(Build(app)).apply_async()
        lib.wait_for('%d documents' % count, lambda: len(self.ended(results)) >= count,
                     15 * lib.PATIENCE)
        return result

    @staticmethod
    def ended(results):
        found = []
        for key in results.keys('celery-task-meta-*'):
            doc = json.loads(results.get(key))
            if doc['status'] in ('SUCCESS', 'FAILURE', 'REVOKED'):
                found.append(doc)
        return found

    def shapes(self, results):
        """The documents without what differs from run to run."""
        found = []
        for doc in self.ended(results):
            if doc['traceback']:
                doc['traceback'] = doc['traceback'].rstrip('\n').splitlines()[-1]
            if lib.celery_version() < (5, 6):
                doc.pop('group_id', None)  # a body had none that a worker expanded
            found.append(DATE.sub('"DATE"', UUID.sub('ID', json.dumps(doc))))
        return sorted(found)

    def counters(self, results):
        """What is left of chords, without the claims that only Celery 5.7 and we make."""
        return sorted(UUID.sub('ID', k) for k in lib.keys(results)
                      if k.startswith('celery-taskset-meta-')
                      and not k.endswith(('.c', '.d')))


class Workflows(Pair):
    def compare(self, name):
        build, value = GOOD[name]
        theirs = build(Build(self.their_app)).apply_async()
        self.assertEqual(theirs.get(timeout=15 * lib.PATIENCE), value)
        time.sleep(0.2)
        count = len(self.ended(self.db3))
        ours = self.run_on(self.app, self.db1, build, count)
        self.assertEqual(ours.get(timeout=15 * lib.PATIENCE), value)
        lib.wait_for('the chord is cleaned up',
                     lambda: self.counters(self.db1) == self.counters(self.db3))
        self.assertEqual(self.shapes(self.db1), self.shapes(self.db3))



@unittest.skipIf(lib.celery_version() < (5, 7), 'failures reach less in older versions')
class Failures(Pair):
    def compare(self, name):
        BAD[name](Build(self.their_app)).apply_async()
        self.quiet(self.db3)
        count = len(self.ended(self.db3))
        BAD[name](Build(self.app)).apply_async()
        lib.wait_for('%d documents' % count, lambda: len(self.ended(self.db1)) >= count,
                     15 * lib.PATIENCE)
        self.quiet(self.db1)
        self.assertEqual(self.shapes(self.db1), self.shapes(self.db3))
        self.assertEqual(self.counters(self.db1), self.counters(self.db3))

    def quiet(self, results):
        """Until no document has come for a while."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 0.5:
            now = len(self.ended(results))
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.05)


class Unlock(Pair):
    """celery.chord_unlock, which is sent for backends that do not count parts."""

    def unlock(self, app, header, body, **kwargs):
        parts = [sig.apply_async() for sig in header]
        body.freeze()
        sent = app.send_task('celery.chord_unlock', (str(uuid.uuid4()), body),
                             dict(kwargs, result=[r.as_tuple() for r in parts]),
                             ignore_result=True)
        return app.AsyncResult(body.id), sent

    def both(self, header, body, **kwargs):
        """The values, or the text of the exceptions, of both sides."""
        ends = []
        for app in (self.app, self.their_app):
            b = Build(app)
            result, _ = self.unlock(app, header(b), body(b), **kwargs)
            try:
                ends.append(result.get(timeout=15 * lib.PATIENCE))
            except Exception as exc:
                ends.append(UUID.sub('ID', repr(exc)))
        return ends

    def test_ready(self):
        ours, theirs = self.both(lambda b: [b.add(1, 1), b.add(2, 2)], lambda b: b.ident())
        self.assertEqual((ours, theirs), ([2, 4], [2, 4]))

    def test_polls_until_ready(self):
        ours, theirs = self.both(lambda b: [b.sig('t.sleep', 1.2), b.add(2, 2)],
                                 lambda b: b.ident(), interval=0.3)
        self.assertEqual((ours, theirs), ([1.2, 4], [1.2, 4]))

    def test_keeps_the_structure(self):
        ours, theirs = self.both(
            lambda b: [group(b.add(1, 1), b.add(2, 2)), b.add(3, 3)], lambda b: b.ident())
        self.assertEqual(ours, theirs)
        self.assertEqual(ours, [[2, 4], 6])

    def test_failure(self):
        ours, theirs = self.both(lambda b: [b.add(1, 1), b.fail()],
                                 lambda b: b.ident().on_error(b.ident()))
        self.assertEqual(ours, 'ChordError("Dependency ID raised KeyError(\'boom\')")')
        # Celery names the culprit only when its backend keeps results in a cache.
        self.assertIn("KeyError('boom')", theirs)

    @unittest.skipIf(lib.celery_version() < (5, 7), 'older ones leave the body pending')
    def test_gives_up(self):
        ours, theirs = self.both(lambda b: [b.sig('t.noop', countdown=60)],
                                 lambda b: b.ident(), interval=0.1, max_retries=2)
        for text in (ours, theirs):
            self.assertIn('chord_unlock could not be retried: MaxRetriesExceededError', text)

    def test_bad_calls(self):
        calls = (((), {}), ((1, 2), {}), (('g', {}), {}), (('g', {}), {'result': [5]}),
                 (('g', 7), {'result': []}))
        for args, kwargs in calls:
            self.app.send_task('celery.chord_unlock', args, kwargs)
        lib.wait_for('each fails', lambda: len(re.findall(
            r'chord_unlock\[[^]]*\] raised unexpected: TypeError', self.ours.output())) ==
            len(calls), 15 * lib.PATIENCE)
        self.assertEqual(self.call('t.add', 1, 1), 2)


class Alone(lib.Case):
    """Workers that start when the messages are there."""

    results = ('redis',)

    def setUp(self):
        self.queues.clear()
        self.db1.flushdb()

    def messages(self):
        """What waits, the oldest first; it still does afterwards."""
        found = []
        while True:
            message = self.queues.take('celery')
            if message is None:
                break
            found.append(message)
        for message in found:
            self.queues.put('celery', message)
        return found

    def push(self, message, **embed):
        """Once more under a tag of its own, with other embedded signatures."""
        message = json.loads(json.dumps(message))
        message['properties']['delivery_tag'] = str(uuid.uuid4())
        if embed:
            body = json.loads(base64.b64decode(message['body']))
            body[2].update(embed)
            message['body'] = base64.b64encode(json.dumps(body).encode()).decode()
        self.queues.put('celery', message)

    def counted(self, path):
        with open(path) as f:
            return f.read().split()

    def body(self, path):
        return self.app.signature('t.count', args=(path, 'body'), immutable=True)

    def claim_of(self, gid):
        return 'celery-taskset-meta-%s.c' % gid


class Once(Alone):
    def test_parts_that_come_twice(self):
        path = lib.tmpname('.count')
        header = [self.app.signature('t.add', args=(i, i)) for i in range(10)]
        result = chord(header, self.body(path)).apply_async()
        for message in self.messages():
            self.push(message)
        self.start()
        result.get(timeout=15 * lib.PATIENCE)
        lib.wait_for('all are done', lambda: not self.queues.left(), 20)
        time.sleep(0.3)
        self.assertEqual(self.counted(path), ['body'])
        # A copy that is read after the chord's end may be of its next run: it is counted for
        # that, and forgotten in time.
        for key in lib.keys(self.db1):
            self.assertFalse(key.endswith(('.s', '.t')), key)
            if key.endswith(('.j', '.d')):
                self.assertGreater(self.db1.ttl(key), 0, key)

    def test_a_part_waits_for_a_claim_that_nobody_ends(self):
        """As if a worker had died between the last part and the body."""
        path = lib.tmpname('.count')
        result = chord([self.app.signature('t.add', args=(1, 1))],
                       self.body(path)).apply_async()
        gid = self.messages()[0]['headers']['group']
        self.db1.set(self.claim_of(gid), 'of a dead worker', ex=3)
        self.start(conf={'task_acks_late': True})
        time.sleep(1.5)
        self.assertEqual(self.counted(path), [])
        self.assertEqual(self.queues.left(), 1)
        result.get(timeout=15 * lib.PATIENCE)
        self.assertEqual(self.counted(path), ['body'])
        lib.wait_for('the part is settled', lambda: not self.queues.left(), 20)

    def test_a_chord_that_is_over_is_over(self):
        path = lib.tmpname('.count')
        result = chord([self.app.signature('t.add', args=(1, 1))],
                       self.body(path)).apply_async()
        part = self.messages()[0]
        self.start()
        result.get(timeout=15 * lib.PATIENCE)
        self.push(part)
        lib.wait_for('it is settled', lambda: not self.queues.left(), 20)
        time.sleep(0.3)
        self.assertEqual(self.counted(path), ['body'])

    def test_a_worker_that_is_killed_all_the_time(self):
        """Each chord ends with its value, whatever of it is run twice."""
        count = 12 if lib.QUICK else 40
        results = [chord([chain(self.app.signature('t.add', args=(i, j)),
                                self.app.signature('t.add', args=(1,))) for j in range(5)],
                         self.app.signature('t.ident')).apply_async() for i in range(count)]
        conf = {'task_acks_late': True, 'task_reject_on_worker_lost': True,
                'worker_lease_seconds': 1}
        for i in range(6):
            worker = self.start(conf=conf, name='w%d' % i)
            time.sleep(0.1 + 0.05 * i)
            worker.kill9()
        self.start(conf=conf, name='last')
        for i, result in enumerate(results):
            self.assertEqual(result.get(timeout=60 * lib.PATIENCE),
                             [i + j + 1 for j in range(5)])

    def test_parts_in_a_list(self):
        """result_chord_ordered False: in the order in which they came."""
        result = chord([self.app.signature('t.add', args=(i, i)) for i in range(10)],
                       self.app.signature('t.ident')).apply_async()
        self.start(conf={'result_backend_transport_options': {'result_chord_ordered': False}})
        self.assertEqual(sorted(result.get(timeout=15 * lib.PATIENCE)),
                         [2 * i for i in range(10)])

    def test_a_fleet_of_both(self):
        """C and Python workers count the parts of one chord."""
        b = Build(self.app)
        results = [chord([b.add(i, j) for j in range(20)], b.ident()).apply_async()
                   for i in range(10)]
        nested = [GOOD['two chords'][0](b).apply_async() for _ in range(5)]
        ours = self.start(name='ours', wait=False)
        theirs = self.start(name='theirs', kind='python', wait=False)
        ours.wait_ready()
        theirs.wait_ready()
        more = [chord([b.sig('t.sleep', 0.05), b.add(i, 1)], b.ident()).apply_async()
                for i in range(20)]
        for i, result in enumerate(results):
            self.assertEqual(result.get(timeout=30 * lib.PATIENCE),
                             [i + j for j in range(20)])
        for result in nested:
            self.assertEqual(result.get(timeout=30 * lib.PATIENCE), GOOD['two chords'][1])
        for i, result in enumerate(more):
            self.assertEqual(result.get(timeout=30 * lib.PATIENCE), [0.05, i + 1])
        for worker in (ours, theirs):
            self.assertIn('succeeded in', worker.output())


class Pools(Alone):
    """The values are the same wherever tasks run, and with other serializers of results."""

    def check(self, **options):
        worker = self.start(**options)
        app = lib.celery_app(self.broker, self.backend,
                             **options.get('conf', {}))
        self.addCleanup(app.close)
        for name, (build, value) in GOOD.items():
            with self.subTest(name):
                result = build(Build(app)).apply_async()
                self.assertEqual(result.get(timeout=15 * lib.PATIENCE), value)
        worker.stop()

    def test_threads(self):
        self.check(pool='threads')

    def test_solo(self):
        self.check(pool='solo', concurrency=1)

    def test_results_in_msgpack(self):
        self.check(conf={'result_serializer': 'msgpack',
                         'accept_content': ['json', 'msgpack']})


@unittest.skipUnless(lib.KIND == 'c', 'what Python makes of it is another matter')
class BadInput(Alone):
    def one(self, name='t.add', args=(1, 2), **options):
        """A message that nobody has taken yet, and its result."""
        result = self.app.send_task(name, args, queue='aside', **options)
        return self.queues.take('aside'), result

    def test_signatures_that_are_none(self):
        good = {'task': 't.ident', 'args': [], 'kwargs': {}, 'options': {'task_id': None},
                'subtask_type': None, 'immutable': False}
        rows = [({'callbacks': 5}, 'callbacks'),
                ({'callbacks': [5]}, r'callbacks\[0\]'),
                ({'callbacks': [good, {'args': []}]}, r'callbacks\[1\]\.task'),
                ({'chain': 'x'}, 'chain'),
                ({'chain': [good, []]}, r'chain\[1\]'),
                ({'chain': [dict(good, kwargs=[])]}, r'chain\[0\]\.kwargs'),
                ({'chain': [dict(good, subtask_type='group', kwargs={'tasks': 3})]},
                 r'chain\[0\]\.kwargs\.tasks')]
        self.start()
        for embed, path in rows:
            with self.subTest(path):
                message, result = self.one()
                told = str(uuid.uuid4())
                self.push(message, errbacks=[7, dict(good, options={'task_id': told})],
                          **embed)
                with self.assertRaisesRegex(Exception, path):
                    result.get(timeout=10 * lib.PATIENCE)
                self.assertEqual(self.app.AsyncResult(told).get(timeout=10 * lib.PATIENCE),
                                 result.id)
        self.assertEqual(self.call('t.add', 1, 1), 2)
        lib.wait_for('nothing is left', lambda: not self.queues.left(), 10)

    def test_a_body_that_is_none(self):
        self.start()
        message, result = self.one(group_id='g-1', group_index=0, chord=self.app.signature(
            't.noop'))
        self.db1.set('celery-taskset-meta-g-1.s', 1)
        self.push(message, chord={'task': 7})
        self.assertEqual(result.get(timeout=10 * lib.PATIENCE), 3)
        lib.wait_for('the part is settled', lambda: not self.queues.left(), 10)
        self.assertEqual(self.call('t.add', 1, 1), 2)

    def test_keys_that_are_nothing_of_the_kind(self):
        """Sizes and counters that somebody else wrote."""
        self.start()
        body = self.app.signature('t.ident', task_id='body-1')
        message, result = self.one(group_id='g-2', group_index=0, chord=body)
        self.db1.set('celery-taskset-meta-g-2.s', 'many')
        self.push(message)
        self.assertEqual(result.get(timeout=10 * lib.PATIENCE), 3)
        lib.wait_for('the part is settled', lambda: not self.queues.left(), 10)
        message, result = self.one(group_id='g-3', group_index=0, chord=body)
        self.db1.set('celery-taskset-meta-g-3.j', 'a text')
        self.push(message)
        with self.assertRaisesRegex(Exception, 'Join error'):
            self.app.AsyncResult('body-1').get(timeout=10 * lib.PATIENCE)
        lib.wait_for('the part is settled', lambda: not self.queues.left(), 10)

    def test_sizes_that_disagree(self):
        """A chord of which more is expected stays open; nobody else is disturbed."""
        self.start()
        body = self.app.signature('t.ident', task_id='body-2')
        message, result = self.one(group_id='g-4', group_index=0, chord=body)
        self.db1.set('celery-taskset-meta-g-4.s', 2)
        self.push(message)
        self.assertEqual(result.get(timeout=10 * lib.PATIENCE), 3)
        lib.wait_for('the part is settled', lambda: not self.queues.left(), 10)
        lib.wait_for('it is counted',
                     lambda: self.db1.zcard('celery-taskset-meta-g-4.j') == 1)
        self.assertIsNone(lib.document(self.db1, 'body-2'))

    def test_a_saved_group_that_is_none(self):
        self.start()
        body = self.app.signature('t.ident', task_id='body-3')
        message, _ = self.one(group_id='g-5', group_index=0, chord=body)
        self.db1.set('celery-taskset-meta-g-5.s', 1)
        self.db1.set('celery-taskset-meta-g-5', json.dumps({'result': [[7, None], [3]]}))
        self.push(message)
        with self.assertRaisesRegex(Exception, 'Join error'):
            self.app.AsyncResult('body-3').get(timeout=10 * lib.PATIENCE)

    def test_a_member_of_a_saved_group_never_ends(self):
        self.start(conf={'result_chord_join_timeout': 0.5})
        body = self.app.signature('t.ident', task_id='body-4')
        message, _ = self.one(group_id='g-6', group_index=0, chord=body)
        self.db1.set('celery-taskset-meta-g-6.s', 1)
        self.db1.set('celery-taskset-meta-g-6', json.dumps(
            {'result': [['g-6', None], [[['nobody', None], None]]]}))
        self.push(message)
        with self.assertRaisesRegex(Exception, 'TimeoutError'):
            self.app.AsyncResult('body-4').get(timeout=10 * lib.PATIENCE)


def add_workflows(case, names):
    for name in names:
        setattr(case, 'test_' + name.replace(' ', '_'),
                lambda self, name=name: self.compare(name))


add_workflows(Failures, BAD)
add_workflows(Workflows, GOOD)


if __name__ == '__main__':
    lib.main()
