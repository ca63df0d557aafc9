#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The programs of examples/canvas, with the C worker of that folder: what they print."""

import subprocess
import unittest

import lib

FOLDER = 'examples/canvas/'
WORKER = lib.built(FOLDER + 'canvas_worker')
PRINTS = {
    'chain': '2 + 3 + 10 + 100 = 115\nbefore that: 15\nbefore that: 5\n',
    'group': '10 parts ended, together 90\n'
             'in their order: [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]\n10 of 10 succeeded\n',
    'chord': 'the body got 3 results and gives 12\n',
    'map': 'map: [2, 4, 6, 8, 10]\nstarmap: [2, 4, 6, 8, 10]\n'
           'chunks: [[2, 4], [6, 8], [10]]\n',
    'retry': 'succeeded after 2 retries\n',
    'replace': '1 + 2 + 3 + 4 + 5 + 6 = 21\n',
    'stamps': 'each task saw: [{"customer": "c42"}, {"customer": "c42"}]\n',
    'errors': 'CELERY_ETASK: ValueError: no good\na ValueError of module builtins\n'
              'the errback was told of the first step\n',
    'bulk': '10000 of 10000 confirmed by the broker\n',
    'restore': 'restored: [3, 7]\n',
}


class Examples(lib.Case):
    results = ('redis',)

    @classmethod
    def setUpClass(cls):
        if not WORKER:
            raise unittest.SkipTest('the canvas programs are not built in %s' % lib.BUILD)
        super().setUpClass()
        cls.ours = lib.Worker(cls.broker, cls.backend, argv=[WORKER])
        cls.addClassCleanup(cls.ours.kill9)

    @classmethod
    def tearDownClass(cls):
        cls.ours.stop()

    def run_program(self, name):
        run = subprocess.run([lib.built(FOLDER + name), self.broker, self.backend],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=60 * lib.PATIENCE)
        self.assertEqual((run.returncode, run.stdout), (0, PRINTS[name]))

    def test_each_fits_on_a_page(self):
        for name in PRINTS:
            with open('%s/%s%s.c' % (lib.ROOT, FOLDER, name), encoding='utf-8') as f:
                self.assertLessEqual(len(f.readlines()), 100, name)

    def test_nobody_answers(self):
        run = subprocess.run([lib.built(FOLDER + 'chord'), 'redis://127.0.0.1:1/0'],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=60)
        self.assertEqual(run.returncode, 1)
        self.assertTrue(run.stdout.startswith('chord: '), run.stdout)


class Inside(lib.Case):
    results = ('redis',)

    def test_a_running_task_sends_and_is_replaced(self):
        worker, ask = lib.built('examples/inside/inside_worker'), lib.built('examples/inside/ask')
        if not worker or not ask:
            self.skipTest('the programs of examples/inside are not built')
        ours = lib.Worker(self.broker, self.backend, argv=[worker])
        self.addCleanup(ours.kill9)
        run = subprocess.run([ask, self.broker, self.backend], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=60 * lib.PATIENCE)
        self.assertEqual((run.returncode, run.stdout),
                         (0, 'inside.squares: 30, with 0 children\n'
                             'inside.scatter: 3, with 3 children\n'
                             'inside.stubborn: "was busy", with 0 children\n'
                             'inside.unlucky: 2, with 0 children\n'))
        self.assertEqual(ours.stop(), 0)


for _name in PRINTS:
    setattr(Examples, 'test_' + _name, lambda self, name=_name: self.run_program(name))

if __name__ == '__main__':
    lib.main()
