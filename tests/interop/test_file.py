#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""file:// results: what C writes Python reads and the other way round; groups and chords."""

import json
import os
import subprocess
import tempfile
import time
import unittest

from celery import chord, group
from celery.result import GroupResult

import lib


class Files(lib.Case):
    brokers = ('redis',)
    results = ('redis',)
    kind = 'c'
    conf = {'task_track_started': True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(dir=lib.tmpdir())
        cls.backend = 'file://' + cls.folder
        cls.app.close()
        cls.app = lib.celery_app(cls.broker, cls.backend, result_chord_retry_interval=0.1)
        cls.app.set_current()
        cls.worker = lib.Worker(cls.broker, cls.backend, kind=cls.kind, conf=cls.conf)
        cls.addClassCleanup(cls.worker.kill9)

    def s(self, name, *args, **kwargs):
        return self.app.signature(name, args=args, **kwargs)

    def document(self, task_id):
        with open(os.path.join(self.folder, 'celery-task-meta-' + task_id)) as f:
            return f.read()

    def result(self, *args):
        """celery-c result: a client in C."""
        r = subprocess.run([lib.CELERY_C, '-b', self.broker, '--result-backend', self.backend, 'result', *args],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=lib.env_of_workers(), timeout=60)
        return r.returncode, r.stdout.strip()


class Both:
    def test_values(self):
        for value in [5, 1.5, 'text \u20ac', None, [1, {'a': [True]}], {}]:
            r = self.app.send_task('t.ident', [value])
            self.assertEqual(r.get(timeout=20), value)
            code, text = self.result(r.id)
            self.assertEqual((code, text), (0, value if isinstance(value, str) else repr(value)))

    def test_failure(self):
        r = self.app.send_task('t.fail')
        with self.assertRaises(KeyError):
            r.get(timeout=20)
        self.wait_state(r, 'FAILURE')
        self.assertIn("KeyError: 'boom'", r.traceback)
        self.assertNotEqual(self.result(r.id)[0], 0)
        self.assertIn('boom', self.result(r.id)[1])

    def test_states_on_the_way(self):
        r = self.app.send_task('t.progress', [1.5])
        self.wait_state(r, 'PROGRESS')
        self.assertEqual(r.info, {'current': 1, 'total': 2})
        self.assertEqual(r.get(timeout=20), 'done')

    def test_success_stays(self):
        r = self.app.send_task('t.add', [1, 2])
        self.assertEqual(r.get(timeout=20), 3)
        self.app.backend.store_result(r.id, ValueError('late'), 'FAILURE')
        self.assertEqual(json.loads(self.document(r.id))['status'], 'SUCCESS')

    def test_document(self):
        """The keys, their order and the text of a document are Celery's."""
        r = self.app.send_task('t.add', [1, 2])
        r.get(timeout=20)
        document = json.loads(self.document(r.id))
        self.assertEqual(list(document), ['status', 'result', 'traceback', 'children', 'date_done', 'task_id'])
        self.assertEqual(self.document(r.id), json.dumps(document))

    def test_forget(self):
        r = self.app.send_task('t.add', [1, 2])
        r.get(timeout=20)
        r.forget()
        self.assertEqual(self.app.AsyncResult(r.id).state, 'PENDING')

    def test_group_and_restore(self):
        r = group(self.s('t.add', i, i) for i in range(5)).apply_async()
        self.assertEqual(r.get(timeout=20), [0, 2, 4, 6, 8])
        r.save()
        restored = GroupResult.restore(r.id, app=self.app)
        self.assertEqual([x.id for x in restored.results], [x.id for x in r.results])

    def test_chord(self):
        """Counted by celery.chord_unlock, as with every backend that does not count itself."""
        r = chord([self.s('t.add', i, i) for i in range(4)], self.s('t.ident')).apply_async()
        self.assertEqual(r.get(timeout=40), [0, 2, 4, 6])

    def test_chord_that_fails(self):
        r = chord([self.s('t.add', 1, 1), self.s('t.fail')], self.s('t.ident')).apply_async()
        with self.assertRaises(Exception) as caught:
            r.get(timeout=40)
        self.assertIn('boom', str(caught.exception))
        self.wait_state(r, 'FAILURE')

    def test_cleanup(self):
        """celery.backend_cleanup removes what is older than result_expires, a day."""
        r, kept = (self.app.send_task('t.add', [1, i]) for i in (1, 2))
        r.get(timeout=20), kept.get(timeout=20)
        path = os.path.join(self.folder, 'celery-task-meta-' + r.id)
        other = os.path.join(self.folder, 'notes')
        open(other, 'w').close()
        for name in (path, other):
            os.utime(name, (time.time() - 90000,) * 2)
        self.assertIsNone(self.app.send_task('celery.backend_cleanup').get(timeout=20))
        self.assertFalse(os.path.exists(path))
        self.assertTrue(os.path.exists(other))
        self.assertEqual(self.app.AsyncResult(kept.id).state, 'SUCCESS')

    def test_many(self):
        results = [self.app.send_task('t.ident', [i]) for i in range(200)]
        self.assertEqual([r.get(timeout=40) for r in results], list(range(200)))
        # A worker that is killed may leave one: only what this one makes has to go.
        mine = '.celery-c-%d-' % self.worker.pid
        self.assertFalse([name for name in os.listdir(self.folder) if name.startswith(mine)])


class OfC(Both, Files):
    def test_two_workers_one_folder(self):
        other = self.start(name='w2')
        results = [self.app.send_task('t.ident', [i]) for i in range(300)]
        self.assertEqual([r.get(timeout=60) for r in results], list(range(300)))
        self.assertEqual(other.stop(), 0)

    def test_missing_folder(self):
        """One line says what is wrong, and the worker goes on when the folder is there."""
        folder = os.path.join(self.folder, 'later')
        w = self.start(backend='file://' + folder, queues='later', name='w3', wait=False)
        w.wait_output('result_backend: folder ' + folder, 20)
        self.assertIn('No such file or directory', w.output())
        os.mkdir(folder)
        r = self.app.send_task('t.add', [1, 2], queue='later')
        path = os.path.join(folder, 'celery-task-meta-' + r.id)
        lib.wait_for('a result', lambda: os.path.exists(path) and 'SUCCESS' in open(path).read(), 40)
        self.assertEqual(w.stop(), 0)

    def test_folder_that_moves(self):
        """A worker stays with the folder that it opened."""
        folder = tempfile.mkdtemp(dir=lib.tmpdir())
        w = self.start(backend='file://' + folder, queues='away', name='w4')
        os.rename(folder, folder + '.away')
        r = self.app.send_task('t.add', [1, 2], queue='away')
        path = os.path.join(folder + '.away', 'celery-task-meta-' + r.id)
        lib.wait_for('a result in the folder that was opened', lambda: os.path.exists(path), 20)
        self.assertEqual(w.stop(), 0)

    def test_killed_worker_leaves_no_half_result(self):
        w = self.start(queues='kill', name='w5')
        results = [self.app.send_task('t.ident', ['x' * 1000], queue='kill', acks_late=True) for _ in range(500)]
        time.sleep(0.2)
        w.kill9()
        for name in os.listdir(self.folder):
            if name.startswith('celery-task-meta-'):
                with open(os.path.join(self.folder, name)) as f:
                    json.loads(f.read())
        w = self.start(queues='kill', name='w6')
        for r in results:
            self.assertEqual(r.get(timeout=90), 'x' * 1000)


class OfPython(Both, Files):
    kind = 'python'


if __name__ == '__main__':
    lib.main()
