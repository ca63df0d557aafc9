#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Built-in tasks, and what a running task sends, compared with a Python worker's."""

import json
import re

import lib
from celery import chain, chord, group
from celery.canvas import chunks, xmap, xstarmap
from celery.exceptions import ImproperlyConfigured
from test_results import DATE, UUID, Reference, no_traceback


class Builtin(Reference):
    def test_accumulate(self):
        for args, kwargs in [((), {}), ((1, 2), {}), (([1], 2), {'index': 0}),
                             ((1, 2), {'index': -1}), ((1,), {'index': 5}),
                             ((1,), {'index': 'x'}), ((1,), {'index': None, 'more': 1})]:
            with self.subTest(args=args, kwargs=kwargs):
                self.assert_same_document('celery.accumulate', args, kwargs, mask=no_traceback)

    def test_map(self):
        s = self.app.signature
        for name, args in [
                ('celery.map', (s('t.ident'), [1, 'a', None, [2.5]])), ('celery.map', ('t.ident', [])),
                ('celery.map', (s('t.kw'), [1])), ('celery.starmap', (s('t.add'), [[1, 2], [3, 4]])),
                ('celery.map', (s('t.add'), [1])), ('celery.starmap', (s('t.fail'), [[], []])),
                ('celery.map', (s('t.not_there'), [1])), ('celery.starmap', (s('t.fail_custom'), [[]])),
                ('celery.map', ()), ('celery.starmap', (s('t.retry_out'), [[]]))]:
            with self.subTest(name, args=args):
                self.assert_same_document(name, args, mask=no_traceback)

    def test_as_python_sends_them(self):
        s = self.app.signature('t.ident')
        self.assertEqual(xmap(s, [1, 2], app=self.app).apply_async(queue='ours').get(timeout=20),
                         [1, 2])
        self.assertEqual(
            xstarmap(s, [[1], [2]], app=self.app).apply_async(queue='ours').get(timeout=20), [1, 2])
        parts = chunks(self.app.signature('t.add'), [[1, 2], [3, 4], [5, 6]], 2, app=self.app)
        self.assertEqual(parts.apply_async(queue='ours').get(timeout=20), [[3, 7], [11]])

    def test_chain_is_no_task(self):
        self.assert_same_document('celery.chain', (1,), mask=no_traceback)

    def test_backend_cleanup(self):
        self.assert_same_document('celery.backend_cleanup')


class Flow(Reference):
    """The same workflow on both workers; celery.accumulate goes to the default queue, to a C
    worker."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.third = lib.Worker(cls.broker, cls.backend, queues='celery', name='w3')
        cls.addClassCleanup(cls.third.kill9)

    @classmethod
    def tearDownClass(cls):
        cls.third.stop()
        super().tearDownClass()

    def s(self, name, *args, **options):
        return self.app.signature('t.' + name, args, queue=self.queue, app=self.app, **options)

    def replaced_by(self, sig):
        return self.s('replace_with', sig)

    def same(self, make, wanted, **options):
        """make() builds a workflow of signatures for self.queue, whose value is wanted."""
        values = []
        for self.queue in ('ours', 'theirs'):
            r = make().apply_async(**options)
            values.append(r.get(timeout=20 * lib.PATIENCE))
        self.assertEqual(values[1], wanted, 'Python')
        self.assertEqual(values[0], wanted, 'C')


class Replace(Flow):
    def test_by_a_task(self):
        self.same(lambda: self.replaced_by(self.s('add', 1, 2)), 3)

    def test_by_a_chain(self):
        self.same(lambda: self.replaced_by(self.s('add', 1, 2) | self.s('add', 10)), 13)

    def test_by_a_group(self):
        self.same(lambda: self.replaced_by(group(self.s('ident', 1), self.s('ident', 2))), [1, 2])

    def test_by_a_chain_that_ends_in_a_group(self):
        if lib.celery_version() < (5, 7):
            self.skipTest('since 5.7')
        self.same(lambda: self.replaced_by(
            self.s('ident', 1) | group(self.s('add', 1), self.s('add', 2))), [2, 3])

    def test_by_a_chord(self):
        self.same(lambda: self.replaced_by(
            chord([self.s('ident', 1), self.s('ident', 2)], self.s('ident'))), [1, 2])

    def test_in_a_chain(self):
        self.same(lambda: self.s('ident', 1) | self.replaced_by(self.s('add', 1, 2))
                  | self.s('add', 5) | self.s('add', 6), 14)

    def test_in_a_chain_by_a_chain(self):
        self.same(lambda: self.replaced_by(self.s('ident', 3) | self.s('add', 4))
                  | self.s('add', 5), 12)

    def test_in_the_header_of_a_chord(self):
        self.same(lambda: chord([self.replaced_by(self.s('ident', 1)), self.s('ident', 2),
                                 self.replaced_by(self.s('ident', 3) | self.s('add', 1))],
                                self.s('ident')), [1, 2, 4])

    def test_in_a_group(self):
        self.same(lambda: group(self.replaced_by(self.s('ident', 1)), self.s('ident', 2)), [1, 2])

    def test_more_than_once(self):
        self.same(lambda: self.replaced_by(self.replaced_by(self.s('ident', 7)))
                  | self.s('add', 1), 8)

    def test_callbacks_run_once(self):
        # Python before 5.7 links them twice.
        for self.queue in ('ours', 'theirs') if lib.celery_version() >= (5, 7) else ('ours',):
            path = lib.tmpname('.count')
            flow = self.replaced_by(self.s('ident', path) | self.s('ident'))
            flow.link(self.s('count', 'x'))
            self.assertEqual(flow.apply_async().get(timeout=20), path)
            lib.wait_for('the callback', lambda: open(path).read() == 'x\n', 20)

    def test_errbacks_go_with_it(self):
        for self.queue in ('ours', 'theirs'):
            path = lib.tmpname('.count')
            flow = self.replaced_by(self.s('fail'))
            flow.link_error(self.app.signature('t.count', (path, 'x'), queue=self.queue,
                                               immutable=True))
            with self.assertRaises(KeyError):
                flow.apply_async().get(timeout=20)
            lib.wait_for('the errback', lambda: open(path).read() == 'x\n', 20)

    def test_by_nothing(self):
        for self.queue in ('ours', 'theirs'):
            with self.assertRaises(ImproperlyConfigured):
                self.replaced_by(chain(app=self.app)).apply_async().get(timeout=20)


class Retried(Flow):
    """A retry keeps its place."""

    def test_in_a_chain(self):
        self.same(lambda: self.s('ident', 1) | self.s('retry', 0.3) | self.s('add', 5), 6)

    def test_in_a_chord(self):
        self.same(lambda: chord([self.s('retry', 1, 0.3), self.s('ident', 2)], self.s('ident')),
                  [1, 2])

    def test_in_a_group(self):
        self.same(lambda: group(self.s('retry', 2, 0.3), self.s('ident', 2)), [2, 2])


class Children(Flow):
    def tree(self, result):
        result.get(timeout=20 * lib.PATIENCE)
        text = lib.document(self.db1, result.id)
        return json.loads(DATE.sub('"DATE"', UUID.sub('ID', text)))

    def test_documents(self):
        def parts(queue):
            self.queue = queue
            return [self.s('ident', 1), self.s('ident', 2) | self.s('ident'),
                    group(self.s('ident', 3), self.s('ident', 4)),
                    chord([self.s('ident', 5), self.s('ident', 6)], self.s('ident'))]
        docs = [self.tree(self.app.send_task('t.spawn', (parts(q),), queue=q))
                for q in ('ours', 'theirs')]
        self.assertEqual(docs[0], docs[1])
        self.assertEqual(len(docs[0]['children']), 4)

    def test_parents(self):
        for queue in ('ours', 'theirs'):
            aside = 'aside-' + queue
            sig = self.app.signature('t.noop', queue=aside)
            r = self.app.send_task('t.spawn', ([sig],), queue=queue, root_id='the-root')
            m = lib.wait_for('message', lambda: self.queues.take(aside), 20)
            self.assertEqual((m['headers']['parent_id'], m['headers']['root_id']),
                             (r.id, 'the-root'))

    def test_waiting_with_a_client(self):
        self.same(lambda: self.s('wait_for', self.s('add', 1, 2)), 3)
        self.same(lambda: self.s('wait_for', self.s('add', 3, 4)), 7)

    def test_a_chord_grows(self):
        self.same(lambda: chord([self.s('grow', self.s('ident', 9), 1), self.s('ident', 2)],
                                self.s('sum_of')), 12)

    def test_a_chord_that_is_none(self):
        for self.queue in ('ours', 'theirs'):
            with self.assertRaises(ValueError):
                self.s('grow', self.s('ident', 9), 1).apply_async().get(timeout=20)

    def test_the_request(self):
        if lib.celery_version() < (5, 6):
            self.skipTest('stamps came later')
        for options in [{}, {'shadow': 'x', 'ignore_result': False}]:
            values = []
            for self.queue in ('ours', 'theirs'):
                flow = group(self.s('request_more', 'a') | self.s('ident'), self.s('ident', 1))
                text = json.dumps(flow.apply_async(**options).get(timeout=20)[0])
                text = UUID.sub('ID', text)
                values.append(json.loads(re.sub(r'"(ours|theirs)"', '"Q"', text)))
            self.assertEqual(values[0], values[1])


if __name__ == '__main__':
    lib.main()
