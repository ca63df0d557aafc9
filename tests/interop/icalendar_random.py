#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random todos through the C task (ical-eval) and through Python's real icalendar: class A
with the icalendar of this Python when it is a 4.x or 5.0.1, classes B1, B2 and C with versions
from PyPI.  Bounded by time (CELERY_TEST_SECONDS, default 4 for each comparison); the
seed is printed and CELERY_TEST_SEED repeats it."""

import datetime
import json
import os
import random
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = float(os.environ.get('CELERY_TEST_SECONDS', '4'))
BATCH = 250

OPTIONS = {
    'seed': [],
    'lenient': ['--preset', 'lenient'],
    'optional': ['--preset', 'optional'],
}


# ---- the Python side: a process of its own, so that PYTHONPATH chooses icalendar ----

def build(mode, tasks):
    import icalendar
    cal = icalendar.Calendar()
    cal.add('prodid', '-//Taskoverflow Calendar//mxm.dk//')
    cal.add('version', '2.0')
    for task in tasks:
        if mode == 'lenient':
            deadline = task.get('deadline_at')
            if not deadline:
                continue
        event = icalendar.Event()
        event.add('uid', task['id'])
        event.add('summary', task['title'])
        event.add('description', (task.get('description') or '') if mode == 'lenient'
                  else task['description'])
        if mode == 'seed':
            event.add('dtstart', datetime.datetime.strptime(
                task['deadline_at'], '%Y-%m-%dT%H:%M:%S'))
        elif mode == 'lenient':
            event.add('dtstart', datetime.datetime.fromisoformat(deadline))
        elif task.get('deadline_at'):
            deadline = task['deadline_at'].replace('Z', '')
            try:
                start = datetime.datetime.strptime(deadline, '%Y-%m-%dT%H:%M:%S')
            except ValueError:
                start = datetime.datetime.fromisoformat(deadline)
            event.add('dtstart', start)
        cal.add_component(event)
    return cal.to_ical().decode('utf-8')


def reference():
    import warnings
    warnings.simplefilter('ignore')
    for line in sys.stdin:
        mode, tasks = json.loads(line)
        try:
            answer = {'status': 'SUCCESS', 'result': build(mode, tasks)}
        except Exception as exc:
            answer = {'status': 'FAILURE', 'exc_type': type(exc).__name__,
                      'exc_message': list(exc.args)}
        print(json.dumps(answer))


# ---- cases ----

PIECES = ['\\', ';', ',', '\r', '\n', '\r\n', '\\n', '\\N', '"', "'", ':', '^', '\t', '\0',
          '\x7f', '\x85', '\u2028', '\ufeff', '\u200b', 'é', '日本', '😀', 'e\u0301',
          '\U000e0fff', ' ', 'a', 'word', 'x' * 9, 'y' * 31, '\\\\']


class Cases:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def text(self):
        r = self.r
        kind = r.random()
        if kind < .3:
            return ''.join(r.choice('abcdefgh ') for _ in range(r.randrange(90)))
        if kind < .5:  # around the fold
            return 'x' * r.randrange(55, 75) + ''.join(
                r.choice(PIECES) for _ in range(r.randrange(6)))
        text = ''.join(r.choice(PIECES) for _ in range(r.randrange(40)))
        if r.random() < .03:
            at = r.randrange(len(text) + 1)
            text = text[:at] + r.choice(['\ud800', '\udfff', '\ud800\ud801']) + text[at:]
        return text

    def value(self, depth=0):
        r = self.r
        kind = r.random()
        if kind < .8:
            return self.text()
        simple = [None, True, False, 0, -1, r.randrange(-10**6, 10**6), 2**64, -10**30,
                  r.uniform(-1, 1), r.uniform(-1, 1) * 10.0 ** r.randrange(-300, 300), 1e16,
                  1e-5, -0.0, float('inf'), float('nan'), float(r.randrange(10**9))]
        if kind < .93 or depth > 2:
            return r.choice(simple)
        if kind < .97:
            return [self.value(depth + 1) for _ in range(r.randrange(4))]
        return {self.text(): self.value(depth + 1) for _ in range(r.randrange(3))}

    def deadline(self):
        r = self.r
        if r.random() < .03:
            return self.value()
        y, mo, d = r.choice([1, 99, 1970, 2023, 2024, 9999]), r.randrange(1, 13), r.randrange(1, 29)
        h, mi, s = r.randrange(24), r.randrange(60), r.randrange(60)
        kind = r.random()
        if kind < .8:
            return '%04d-%02d-%02dT%02d:%02d:%02d' % (y, mo, d, h, mi, s)
        if kind < .87:
            return '%04d-%d-%dT%d:%d:%d' % (y, mo, d, h, mi, s)
        if kind < .95:
            return '%04d-%02d-%02d%s%02d:%02d:%02d%s' % (
                y, mo, d, r.choice('T t_'), h, mi, s, r.choice(
                    ['', 'Z', '+10:00', '-03:30', '+00:00', '.5', '.123456', ',5', '.5+05:30']))
        text = '%04d-%02d-%02dT%02d:%02d:%02d' % (
            y, r.randrange(14), r.randrange(33), r.randrange(26), r.randrange(62), r.randrange(63))
        at = r.randrange(len(text))
        return r.choice([text, text + r.choice(PIECES), text[:at] + r.choice(PIECES) + text[at:],
                         text[:at] + text[at + 1:]])

    def todo(self):
        r = self.r
        if r.random() < .01:
            return self.value()
        todo = {'id': r.choice([r.randrange(1000), self.value()]), 'title': self.value(),
                'description': self.value(), 'deadline_at': self.deadline(), 'completed': False,
                'created_at': '2026-11-22T13:19:43.812276'}
        if r.random() < .02:
            del todo[r.choice(['id', 'title', 'description', 'deadline_at'])]
        return todo

    def tasks(self):
        if self.r.random() < .01:
            return self.value()
        return [self.todo() for _ in range(self.r.choice([0, 1, 1, 1, 1, 2, 3]))]


def outside(tasks):
    """Cases in which this Python itself differs from the one whose texts are the default."""
    return '\\u11f5' in json.dumps(tasks)


# ---- comparing ----

def lines_of(argv, lines, env=None):
    run = subprocess.run(argv, input=''.join(lines), env=env, text=True, timeout=60,
                         stdout=subprocess.PIPE, encoding='utf-8')
    if run.returncode != 0:
        raise AssertionError('%s ended with %d' % (argv[0], run.returncode))
    return [json.loads(line) for line in run.stdout.splitlines()]


class Random(unittest.TestCase):
    def compare(self, output, path=None):
        evaluate = lib.built('examples/ical/ical-eval')
        if not evaluate:
            self.skipTest('ical-eval is not built')
        seed = int(os.environ.get('CELERY_TEST_SEED') or random.randrange(10**9))
        print('class %s: CELERY_TEST_SEED=%d' % (output, seed), flush=True)
        cases = Cases(seed)
        env = dict(os.environ, PYTHONWARNINGS='ignore')
        if path:
            env['PYTHONPATH'] = path
        count, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            for mode, options in OPTIONS.items():
                batch = [t for t in (cases.tasks() for _ in range(BATCH)) if not outside(t)]
                theirs = lines_of(
                    [sys.executable, __file__, '--reference'],
                    [json.dumps([mode, t]) + '\n' for t in batch], env)
                ours = lines_of([evaluate, '--icalendar', output, *options],
                                [json.dumps(t) + '\n' for t in batch])
                self.assertEqual(len(theirs), len(batch))
                for tasks, wanted, given in zip(batch, theirs, ours):
                    self.assertEqual(given, wanted, '%s %s' % (mode, json.dumps(tasks)))
                count += len(batch)
        print('class %s: %d cases equal' % (output, count), flush=True)

    def from_pypi(self, output, version):
        path = icalendar_from_pypi(version)
        if not path:
            self.skipTest('icalendar %s cannot be installed from PyPI' % version)
        self.compare(output, path)

    def test_icalendar_of_debian(self):
        try:
            import icalendar
        except ImportError:
            self.skipTest('icalendar is not installed')
        if not icalendar.__version__.startswith('4.'):
            self.skipTest('icalendar %s is not of class A' % icalendar.__version__)
        self.compare('A')

    def test_icalendar_5(self):
        self.from_pypi('B1', '5.0.12')

    def test_icalendar_6(self):
        self.from_pypi('B2', '6.3.2')

    def test_icalendar_7_3(self):
        self.from_pypi('C', '7.3.0')


def icalendar_from_pypi(version):
    """The folder that it is installed in, kept in build/venvs; None without PyPI."""
    folder = os.path.join(matrix.VENVS, 'icalendar-' + version)
    if os.path.exists(folder + '.done'):
        return folder
    venv = os.path.join(matrix.VENVS, 'pip')
    python = os.path.join(venv, 'bin', 'python')
    os.makedirs(matrix.VENVS, exist_ok=True)
    with open(folder + '.log', 'w') as log:
        for argv in (
                [] if os.path.exists(python) else ['/usr/bin/python3', '-m', 'venv', venv],
                [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check',
                 '--retries', '1', '--timeout', '20', '--upgrade', '--target', folder,
                 'icalendar==' + version]):
            try:
                if argv and subprocess.run(argv, stdout=log, stderr=log, timeout=120).returncode:
                    return None
            except (OSError, subprocess.TimeoutExpired):
                return None
    open(folder + '.done', 'w').close()
    return folder


if __name__ == '__main__':
    if sys.argv[1:] == ['--reference']:
        reference()
        sys.exit(0)
    import lib
    import matrix
    lib.main()
