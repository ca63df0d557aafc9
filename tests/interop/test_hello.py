#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The two programs of the README, with each other and with Python."""

import subprocess
import unittest

import lib

WORKER = lib.built('examples/hello/hello_worker')
CLIENT = lib.built('examples/hello/send_and_wait')


class Hello(lib.Case):
    @classmethod
    def setUpClass(cls):
        if not WORKER or not CLIENT:
            raise unittest.SkipTest('the hello programs are not built in %s' % lib.BUILD)
        super().setUpClass()
        # Results and messages in one database, as the client takes one URL.
        cls.hello = lib.Worker(cls.broker, cls.broker, argv=[WORKER])
        cls.addClassCleanup(cls.hello.kill9)
        cls.app.conf.result_backend = cls.broker

    @classmethod
    def tearDownClass(cls):
        cls.hello.stop()

    def test_c_calls_c(self):
        run = subprocess.run([CLIENT, self.broker], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=20 * lib.PATIENCE)
        self.assertEqual((run.returncode, run.stdout), (0, '2 + 3 = 5\n'))

    def test_python_calls_c(self):
        self.assertEqual(self.call('hello.add', 2, 3), 5)
        self.assertEqual(self.call('hello.add', kwargs={'y': -7, 'x': 2**40}), 2**40 - 7)
        with self.assertRaises(TypeError) as caught:
            self.call('hello.add', 1)
        self.assertEqual(str(caught.exception),
                         "add() missing 1 required positional argument: 'y'")

    def test_nobody_answers(self):
        run = subprocess.run([CLIENT, 'redis://127.0.0.1:1/0'], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(run.returncode, 1)
        self.assertTrue(run.stdout.startswith('hello.add: '))


if __name__ == '__main__':
    lib.main()
