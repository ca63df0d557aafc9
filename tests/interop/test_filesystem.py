#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""filesystem:// with no server at all: Python's producer and worker beside those in C."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

import lib

BROKER = 'filesystem://'


class Folders(unittest.TestCase):
    """Two folders, which for workers are one; results in another."""

    def setUp(self):
        lib.need_worker()
        self.top = tempfile.mkdtemp(dir=lib.tmpdir())
        self.data, self.results = (os.path.join(self.top, name) for name in ('data', 'results'))
        for folder in (self.data, self.results):
            os.mkdir(folder)
        self.options = {'data_folder_in': self.data, 'data_folder_out': self.data,
                        'control_folder': os.path.join(self.top, 'control')}
        self.conf = {'broker_transport_options': self.options}
        self.backend = 'file://' + self.results
        self.app = lib.celery_app(BROKER, self.backend, **self.conf)
        self.app.set_current()
        self.addCleanup(self.app.close)

    def start(self, *args, kind='c', conf=(), **kwargs):
        w = lib.Worker(BROKER, self.backend, *args, kind=kind, conf=dict(self.conf, **dict(conf)), **kwargs)
        self.addCleanup(w.kill9)
        return w

    def messages(self, queue='celery'):
        return sorted(n for n in os.listdir(self.data) if n.partition('.')[2] == queue + '.msg')

    def held(self):
        return [n for _, _, names in os.walk(os.path.join(self.data, '.celery-c.held')) for n in names if n != 'lock']

    def done(self, task_id):
        return os.path.exists(os.path.join(self.results, 'celery-task-meta-' + task_id))


class WorkerOfC(Folders):
    def test_python_sends_and_c_runs(self):
        w = self.start()
        self.assertEqual(self.app.send_task('t.add', (2, 3)).get(timeout=20), 5)
        with self.assertRaises(KeyError):
            self.app.send_task('t.fail').get(timeout=20)
        results = [self.app.send_task('t.ident', [i]) for i in range(200)]
        self.assertEqual([r.get(timeout=40) for r in results], list(range(200)))
        self.assertEqual(w.stop(), 0)
        self.assertEqual((self.messages(), self.held()), ([], []))

    def test_what_waits_is_run_in_order(self):
        """By name, as kombu takes them."""
        ids = [self.app.send_task('t.ident', [i]).id for i in range(30)]
        w = self.start('--prefetch-multiplier', '1', concurrency=1, pool='solo')
        lib.wait_for('all', lambda: all(map(self.done, ids)), 20)
        times = [os.stat(os.path.join(self.results, 'celery-task-meta-' + i)).st_mtime_ns for i in ids]
        names = sorted(range(30), key=lambda i: times[i])
        self.assertLess(sum(abs(i - n) for i, n in enumerate(names)), 30)
        w.stop()

    def test_a_large_message(self):
        """Python writes it in pieces; it is not taken before it is whole."""
        w = self.start()
        text = 'x' * 3000000
        self.assertEqual(self.app.send_task('t.ident', [text]).get(timeout=30), text)
        self.assertNotIn('malformed', w.output())

    def test_retries_and_etas(self):
        w = self.start()
        r = self.app.send_task('t.add', (1, 1), countdown=1.5)
        time.sleep(0.5)
        self.assertEqual(r.state, 'PENDING')
        self.assertEqual(r.get(timeout=20), 2)
        self.assertEqual(w.stop(), 0)

    def test_kill9_loses_nothing(self):
        results = [self.app.send_task('t.sleep_late', [0.05]) for _ in range(60)]
        for n in range(3):
            w = self.start(name='k%d' % n)
            time.sleep(0.3)
            w.kill9()
            self.assertTrue(self.held())
        w = self.start(name='last')
        self.assertEqual([r.get(timeout=60) for r in results], [0.05] * 60)
        self.assertEqual(w.stop(), 0)
        self.assertEqual((self.messages(), self.held()), ([], []))

    def test_a_dead_workers_messages_go_to_a_living_one(self):
        a = self.start(name='a', concurrency=1)
        results = [self.app.send_task('t.sleep_late', [1]) for _ in range(4)]
        lib.wait_for('claims', lambda: self.held(), 10)
        b = self.start(name='b', concurrency=4)
        a.kill9()
        self.assertEqual([r.get(timeout=40) for r in results], [1] * 4)
        b.stop()

    def test_warm_shutdown_puts_back(self):
        w = self.start('--prefetch-multiplier', '10', concurrency=1)
        results = [self.app.send_task('t.sleep', [0.5]) for _ in range(6)]
        lib.wait_for('claims', lambda: self.held(), 10)
        self.assertEqual(w.stop(), 0)
        self.assertEqual(self.held(), [])
        self.assertTrue(self.messages())
        self.start(kind='python')
        self.assertEqual([r.get(timeout=40) for r in results], [0.5] * 6)

    def test_poison(self):
        w = self.start()
        names = []
        for text in ('no json', '{}', ''):
            names.append('1_%s.celery.msg' % uuid.uuid4())
            with open(os.path.join(self.data, names[-1]), 'w') as f:
                f.write(text)
        r = self.app.send_task('t.add', (1, 2))
        self.assertEqual(r.get(timeout=20), 3)
        lib.wait_for('three dead letters', lambda: len(self.messages('celery.celery-c.dead')) == 3, 20)
        self.assertEqual(w.stop(), 0)

    def dead(self, *args):
        config = lib.tmpname('.json')
        with open(config, 'w') as f:
            json.dump(self.conf, f)
        run = subprocess.run([lib.CELERY_C, '-b', BROKER, '--config', config, 'dead', *args],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=lib.env_of_workers(), timeout=60 * lib.PATIENCE)
        self.assertEqual(run.returncode, 0, run.stdout)
        return run.stdout

    def test_dead_letters_are_listed_replayed_and_purged(self):
        w = self.start()
        with open(os.path.join(self.data, '1_%s.celery.msg' % uuid.uuid4()), 'w') as f:
            f.write('no json')
        late = self.app.send_task('t.late', (1, 2))
        lib.wait_for('two dead letters', lambda: len(self.messages('celery.celery-c.dead')) == 2, 20)
        self.assertEqual(w.stop(), 0)
        rows = [json.loads(line) for line in self.dead('list', '--json').splitlines()]
        self.assertEqual({r['id'] for r in rows}, {late.id, None})
        self.assertEqual({r['queue'] for r in rows}, {'celery'})
        for r in rows:
            self.assertTrue(r['reason'])
            self.assertLess(abs(r['time'] - time.time()), 600)
        [junk] = [r['index'] for r in rows if r['id'] is None]
        self.assertEqual(self.dead('show', str(junk), '--raw'), 'no json')
        self.assertRegex(self.dead('queues'), r'celery +2')
        self.assertEqual(len(self.messages('celery.celery-c.dead')), 2)
        self.assertEqual(self.dead('replay', late.id), '1 replayed\n')
        w = self.start(name='knows', env={'INTEROP_LATE': '1'})
        # Until it has run again its result is the failure with which it was parked.
        lib.wait_for('it has run', lambda: self.app.AsyncResult(late.id).state == 'SUCCESS', 20)
        self.assertEqual(self.app.AsyncResult(late.id).get(timeout=20), 3)
        # What is no better is parked again.
        self.assertEqual(self.dead('replay', '0'), '1 replayed\n')
        lib.wait_for('parked again', lambda: len(self.messages('celery.celery-c.dead')) == 1, 20)
        self.assertEqual(w.stop(), 0)
        self.assertEqual(self.dead('purge', '--all', '-f'), '1 removed\n')
        self.assertEqual(self.dead('list'), 'no dead letters in queue celery\n')
        self.assertEqual((self.messages('celery.celery-c.dead'), self.held()), ([], []))

    def test_missing_folder(self):
        self.conf = {'broker_transport_options': {'data_folder_in': self.top + '/none', 'data_folder_out': self.top + '/none'}}
        w = self.start(wait=False)
        w.wait_output('data_folder_in ' + self.top + '/none', 20)
        self.assertIn('No such file or directory', w.output())
        w.kill9()

    def test_names_that_are_no_queues(self):
        r = subprocess.run([lib.CELERY_C, '-A', lib.C_TASKS, '--config', self.config(), '-b', BROKER, 'call', '-Q', '../x', 't.add'],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, env=lib.env_of_workers())
        self.assertNotEqual(r.returncode, 0, r.stdout)
        self.assertFalse([n for n in os.listdir(self.top) if n.endswith('.msg')])

    def config(self):
        path = lib.tmpname('.json')
        with open(path, 'w') as f:
            json.dump(self.conf, f)
        return path

    def test_store_processed(self):
        processed = os.path.join(self.top, 'processed')
        os.mkdir(processed)
        self.options.update(store_processed=True, processed_folder=processed)
        w = self.start()
        self.assertEqual(self.app.send_task('t.add', (2, 3)).get(timeout=20), 5)
        lib.wait_for('the message', lambda: len(os.listdir(processed)) == 1, 10)
        self.assertEqual(w.stop(), 0)


class Both(Folders):
    def test_c_sends_and_python_runs(self):
        w = self.start(kind='python')
        with open(lib.tmpname('.json'), 'w') as f:
            json.dump(self.conf, f)
        r = subprocess.run([lib.CELERY_C, '-A', lib.C_TASKS, '--config', f.name, '-b', BROKER, '--result-backend', self.backend,
                            'call', '--wait', 't.add', '-a', '[2, 3]'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=60, env=lib.env_of_workers())
        self.assertEqual(r.returncode, 0, r.stdout + w.output()[-2000:])
        self.assertIn('5', r.stdout)

    def test_a_message_of_c_is_one_of_kombu(self):
        with open(lib.tmpname('.json'), 'w') as f:
            json.dump(self.conf, f)
        subprocess.run([lib.CELERY_C, '-A', lib.C_TASKS, '--config', f.name, '-b', BROKER, 'call', 't.add', '-a', '[2, 3]'],
                       stdout=subprocess.PIPE, timeout=60, env=lib.env_of_workers(), check=True)
        self.app.send_task('t.add', (2, 3))
        ours, theirs = (json.load(open(os.path.join(self.data, n))) for n in self.messages())
        self.assertEqual(set(theirs) ^ set(ours), set())
        self.assertEqual(json.loads(base64.b64decode(ours['body'])), json.loads(base64.b64decode(theirs['body'])))
        self.assertEqual(ours['properties']['delivery_info'], theirs['properties']['delivery_info'])

    def test_rivals(self):
        """A Python worker and one in C share the queue; each message runs once."""
        python, c = self.start(kind='python', name='py'), self.start(name='c')
        results = [self.app.send_task('t.ident', [i]) for i in range(100)]
        self.assertEqual([r.get(timeout=60) for r in results], list(range(100)))
        self.assertEqual(c.stop(), 0)
        self.assertEqual(self.messages(), [])
        python.kill9()


class Demo(unittest.TestCase):
    def test_taskoverflow_without_a_server(self):
        """./run demo --broker filesystem: Flask, the worker in C, no server."""
        worker = lib.built('examples/ical/ical-worker')
        try:
            import flask_sqlalchemy  # noqa: F401
        except ImportError as why:
            raise unittest.SkipTest(str(why))
        if not worker:
            raise unittest.SkipTest('ical-worker is not built')
        demo = os.path.join(lib.ROOT, 'examples', 'taskoverflow', 'demo.py')
        r = subprocess.run([sys.executable, demo, '--broker', 'filesystem', '--build', lib.BUILD], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=120, env=lib.env_of_workers())
        self.assertEqual(r.returncode, 0, r.stdout[-3000:])
        self.assertIn('END:VCALENDAR', r.stdout)
        self.assertNotIn('redis', r.stdout)


if __name__ == '__main__':
    lib.main()
