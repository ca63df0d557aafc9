#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Built-in tasks, and what a running task sends, compared with a Python worker's."""

import lib
from celery.canvas import chunks, xmap, xstarmap
from test_results import Reference, no_traceback


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


if __name__ == '__main__':
    lib.main()
