#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The recorded calendars through a real ical-worker, called by the Celery of this Python; and
the same code as a plug-in of celery-c, with the practical's own command line."""

import json
import os
import shutil
import unittest

import lib

VECTORS = os.path.join(lib.ROOT, 'tests', 'wire', 'ical', 'vectors.json')
WORKER = lib.built('examples/ical/ical-worker')
PLUGIN = lib.built('examples/ical/ical.so')
TODO = {'id': 1, 'title': 'Project Proposal', 'description': 'CSSE6400 Project Proposal Due',
        'deadline_at': '2023-04-03T14:00:00'}


def calendar(*lines):
    return ''.join(line + '\r\n' for line in (
        'BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//Taskoverflow Calendar//mxm.dk//', *lines,
        'END:VCALENDAR'))


EXPECTED = calendar('BEGIN:VEVENT', 'SUMMARY:Project Proposal', 'DTSTART:20230403T140000',
                    'UID:1', 'DESCRIPTION:CSSE6400 Project Proposal Due', 'END:VEVENT')


class Ical(lib.Case):
    @classmethod
    def setUpClass(cls):
        if not WORKER or not PLUGIN:
            raise unittest.SkipTest('ical-worker is not built in %s' % lib.BUILD)
        super().setUpClass()

    def ical_worker(self, *args, **kwargs):
        return self.start(*args, argv=kwargs.pop('argv', [WORKER]), **kwargs)

    def create(self, tasks, name='ical', queue='ical'):
        return self.app.send_task(name, (tasks,), queue=queue).get(
            timeout=10 * lib.PATIENCE, propagate=False)

    def check(self, vector, result):
        document = json.loads(lib.document(self.db1, result.id))
        expect = vector['expect']
        self.assertEqual(document['status'], expect['status'])
        if expect['status'] == 'SUCCESS':
            self.assertEqual(document['result'], expect['result'])
            self.assertIsNone(document['traceback'])
            return
        self.assertEqual(document['result'], {
            key: expect[key] for key in ('exc_type', 'exc_message', 'exc_module')})
        lines = document['traceback']
        self.assertTrue(lines.startswith('Traceback (most recent call last):\n'))

        self.assertTrue(lines.endswith(expect['traceback_last_line'] + '\n') or
                        lines.split('\n')[-2] == expect['traceback_last_line'])

    def test_every_vector(self):
        with open(VECTORS) as f:
            vectors = json.load(f)['vectors']
        self.ical_worker()
        sent = [(v, self.app.send_task('ical', v['args'], v['kwargs'], queue='ical'))
                for v in vectors]
        for vector, result in sent:
            with self.subTest(vector['id']):
                result.get(timeout=10 * lib.PATIENCE, propagate=False)
                self.check(vector, result)

    def test_command_of_the_container(self):
        # celery --app todo.tasks.ical worker --loglevel=info, with celery-c under that name.
        folder = lib.tempfile.mkdtemp(dir=lib.tmpdir())
        os.symlink(lib.CELERY_C, os.path.join(folder, 'celery'))
        os.makedirs(os.path.join(folder, 'apps'))
        shutil.copy(PLUGIN, os.path.join(folder, 'apps', 'ical.so'))
        environ = lib.env_of_workers()
        environ.update(PATH=folder + ':' + environ['PATH'], CELERY_BROKER_URL=self.broker,
                       CELERY_RESULT_BACKEND=self.backend,
                       CELERY_APP_PATH=os.path.join(folder, 'apps'))
        log = lib.tmpname('.log')
        with open(log, 'wb') as out:
            process = lib.spawn(
                ['celery', '--app', 'todo.tasks.ical', 'worker', '--loglevel=info'],
                env=environ, stdout=out, stderr=out)
        try:
            lib.wait_for('ready', lambda: ' ready.' in open(log).read() or
                         process.poll() is not None, 20 * lib.PATIENCE)
            self.assertIsNone(process.poll(), open(log).read())
            self.assertIn('. ical\n', open(log).read())
            self.assertEqual(self.create([TODO]), EXPECTED)
        finally:
            process.terminate()
            self.assertEqual(process.wait(20 * lib.PATIENCE), 0)

    def test_names_and_lenient_mode(self):
        self.ical_worker('--task-alias', 'all,ical.test', '--preset', 'lenient')
        tasks = [TODO, dict(TODO, deadline_at=None)]
        for name in ('ical', 'ical.create_ical', 'tasks.ical.create_ical',
                     'todo.tasks.ical.create_ical'):
            self.assertEqual(self.create(tasks, name), EXPECTED)
        r = self.app.send_task('ical.test', queue='ical')
        self.assertEqual(r.get(timeout=10 * lib.PATIENCE), 'Test successful')

    def test_queue_of_the_environment(self):
        self.ical_worker(env={'CELERY_DEFAULT_QUEUE': 'calendars', 'ICAL_ICALENDAR': 'A'})
        self.assertIn('DTSTART;VALUE=DATE-TIME:20230403T140000\r\n',
                      self.create([TODO], queue='calendars'))

    def test_delay_is_cut_short_by_the_soft_limit(self):
        self.ical_worker('--delay', '60', '--soft-time-limit', '1')
        r = self.app.send_task('ical', ([],), queue='ical')
        r.get(timeout=10 * lib.PATIENCE, propagate=False)
        document = json.loads(lib.document(self.db1, r.id))
        self.assertEqual(document['result'], {
            'exc_type': 'SoftTimeLimitExceeded', 'exc_message': [],
            'exc_module': 'billiard.exceptions'})


if __name__ == '__main__':
    lib.main()
