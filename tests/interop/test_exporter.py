#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""celery-exporter (https://github.com/danihodovic/celery-exporter, on PyPI
prometheus-exporter-celery) before a C worker and before a Python worker that are given the same
tasks: its metrics pages differ in nothing but times."""

import os
import re
import subprocess
import unittest
import urllib.request
from datetime import datetime, timedelta, timezone

import lib
import matrix

CELERY, EXPORTER = '5.6.3', 'prometheus-exporter-celery==0.11.2'
SAMPLE = re.compile(r'(celery_\w+)(\{[^}]*\})? (\S+)$')
# What depends on how long something took, or when.
OF_TIME = re.compile(r'.*_created$|celery_task_runtime_(sum|bucket)$|celery_worker_tasks_active$')


class Exporter:
    """The exporter with a broker; its page."""

    def __init__(self, python, broker):
        self.port, self.log = lib.free_port(), lib.tmpname('.exporter.log')
        with open(self.log, 'wb') as out:
            self.process = lib.spawn(
                [python, '-c', 'from src.cli import cli; cli()', '--broker-url', broker,
                 '--host', '127.0.0.1', '--port', str(self.port)],
                stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ), cwd=lib.tmpdir())
        lib.wait_for('the exporter answers', self.answers, 60 * lib.PATIENCE)

    def answers(self):
        if self.process.poll() is not None:
            raise lib.Deadline('the exporter ended:\n' + open(self.log).read()[-2000:])
        try:
            return self.get('health')
        except OSError:
            return False

    def get(self, page):
        with urllib.request.urlopen('http://127.0.0.1:%d/%s' % (self.port, page),
                                    timeout=30) as answer:
            return answer.read().decode()

    def samples(self):
        found = {}
        for line in self.get('metrics').splitlines():
            m = SAMPLE.match(line)
            if m:
                found[m.group(1) + (m.group(2) or '')] = float(m.group(3))
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Metrics(lib.Case):
    results = ('redis',)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.python = matrix.prepare(CELERY, '-exporter', [EXPORTER])
        if not cls.python:
            raise unittest.SkipTest('PyPI cannot be reached: celery-exporter was not run')

    def page(self, kind):
        """What the exporter shows once a worker of that kind has run the tasks."""
        exporter = Exporter(self.python, self.broker)
        try:
            worker = lib.Worker(self.broker, self.backend, '-E', '--heartbeat-interval', '1',
                                kind=kind, name='w', queues='mine,celery', concurrency=2,
                                alone=False)
            self.addCleanup(worker.kill9)
            late = datetime.now(timezone.utc) - timedelta(seconds=9)
            results = [self.app.send_task('t.add', (i, 1), queue='mine') for i in range(3)]
            results += [self.app.send_task('t.fail'), self.app.send_task('t.fail_custom'),
                        self.app.send_task('t.retry', (2,), queue='mine'),
                        self.app.send_task('t.add', (1, 1), expires=late)]
            for r in results:
                r.get(timeout=20 * lib.PATIENCE, propagate=False)
            self.up = []

            def seen():
                self.up = exporter.samples()
                return (self.value('celery_worker_up') == 1
                        and self.value('celery_task_succeeded_total', name='t.retry') == 1
                        and self.value('celery_task_revoked_total') == 1
                        and self.value('celery_queue_length', queue_name='mine') == 0)
            try:
                lib.wait_for('the events of the %s worker' % kind, seen, 15 * lib.PATIENCE)
            except lib.Deadline as exc:
                raise AssertionError('%s: %r\n%s' % (
                    exc, self.up, open(exporter.log).read()[-3000:])) from None
            worker.stop()
            lib.wait_for('it is offline', lambda: exporter.samples().get(
                'celery_worker_up{hostname="%s"}' % os.uname().nodename) == 0,
                20 * lib.PATIENCE)
            return {k: v for k, v in self.up.items() if not OF_TIME.match(k.split('{')[0])}
        finally:
            exporter.stop()
            self.queues.clear()

    def value(self, metric, **labels):
        """The sum of a metric's samples with these labels."""
        wanted = ['%s="%s"' % i for i in labels.items()]
        return sum(v for k, v in self.up.items() if k.split('{')[0] == metric
                   and all(w in k for w in wanted)) if self.up else None

    def test_same_page(self):
        ours, theirs = self.page('c'), self.page('python')
        self.assertEqual(ours, theirs)
        self.assertGreater(len(ours), 30)
        self.up = ours
        self.assertEqual(self.value('celery_task_succeeded_total', name='t.add'), 3)
        self.assertEqual(self.value('celery_task_failed_total', exception='KeyError'), 1)
        self.assertEqual(self.value('celery_task_retried_total', name='t.retry'), 2)
        self.assertEqual(self.value('celery_task_runtime_count', name='t.add'), 3)
        self.assertEqual(self.value('celery_active_worker_count', queue_name='mine'), 1)
        self.assertEqual(self.value('celery_active_process_count', queue_name='mine'), 2)


if __name__ == '__main__':
    lib.main()
