#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The unit celery-c@.service as systemd reads it, and its command line as the worker does."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'interop'))
import lib  # noqa: E402

UNIT = lib.built('libcelery-c/systemd/celery-c@.service')
ANALYZE = shutil.which('systemd-analyze')


def run(*args):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60)


@unittest.skipUnless(UNIT, 'the unit is not built')
class Unit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(UNIT) as f:
            cls.text = f.read()

    def instance(self):
        """As celery-c@test.service, with the celery-c that is tested."""
        text = re.sub(r'^ExecStart=\S+', 'ExecStart=' + lib.CELERY_C, self.text, flags=re.M)
        path = os.path.join(lib.tmpdir(), 'celery-c@test.service')
        with open(path, 'w') as f:
            f.write(text)
        return path

    @unittest.skipUnless(ANALYZE, 'there is no systemd-analyze')
    def test_systemd_accepts_it(self):
        r = run(ANALYZE, 'verify', '--man=no', self.instance())
        said = [line for line in r.stdout.splitlines() if 'celery-c' in line]
        self.assertEqual(said, [])

    @unittest.skipUnless(ANALYZE, 'there is no systemd-analyze')
    def test_it_is_hardened(self):
        r = run(ANALYZE, 'security', '--offline=yes', '--threshold=25', self.instance())
        if 'offline' in r.stdout and 'unrecognized' in r.stdout:
            self.skipTest('systemd-analyze is too old')
        self.assertEqual(r.returncode, 0, r.stdout[-600:])

    def value(self, key):
        return re.search(r'^%s=(.*)' % key, self.text, re.M).group(1)

    def test_the_drain_ends_before_the_managers_patience(self):
        drain = float(re.search(r'SHUTDOWN_TIMEOUT=(\d+)', self.text).group(1))
        self.assertLessEqual(drain + 6, float(self.value('TimeoutStopSec')))

    def test_its_command_line_runs_a_worker(self):
        """All of it, with what systemd would have put in."""
        redis = lib.Redis()
        self.addCleanup(redis.stop)
        joined = self.text.replace('\\\n', ' ')
        line = re.search(r'^ExecStart=\S+ (.*)', joined, re.M).group(1)
        for a, b in (('%t/celery-c-%i', lib.tmpdir()), ('%i', 'unit'), ('%%', '%'),
                     ('$CELERY_C_OPTIONS', '-c 1')):
            line = line.replace(a, b)
        self.assertNotIn('$', line)
        env = lib.env_of_workers()
        env.update(CELERY_APP=lib.C_TASKS, CELERY_BROKER_URL=redis.url(),
                   CELERY_WORKER_SHUTDOWN_TIMEOUT='80')
        p = lib.spawn([lib.CELERY_C] + shlex.split(line), env=env, stdout=subprocess.DEVNULL,
                      stderr=subprocess.PIPE, text=True)
        for text in p.stderr:
            if ' ready.' in text:
                break
        else:
            self.fail('it did not get ready')
        self.assertTrue(text.strip().startswith('[') and 'unit@' in text, text)
        self.assertTrue(os.path.exists(os.path.join(lib.tmpdir(), 'health.sock')))
        p.terminate()
        self.assertEqual(p.wait(20), 0)
        p.stderr.close()


if __name__ == '__main__':
    lib.main()
