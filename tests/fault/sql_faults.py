#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""sql_faults.py [N]: connections to the database of results that end at every message of every
statement, N times each, and servers that are killed 10 N times, under a worker.  No result may be
lost or wrong, no SUCCESS replaced, no task run twice, and no message acknowledged before its row
is there."""

import os
import random
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'interop'))
sys.path.insert(0, os.path.join(HERE, '..', 'support'))
import lib  # noqa: E402
import databases  # noqa: E402
from sqlproxy import Cut, Proxy  # noqa: E402

TIMES = 1
SEED = int(os.environ.get('SEED', '7'))


class Faults:
    brokers = ('redis',)
    results = ('redis',)
    conf = {'task_acks_late': True}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not cls.server_class.installed():
            raise unittest.SkipTest(cls.server_class.__name__ + ' is not installed')
        cls.server = cls.server_class()
        cls.addClassCleanup(cls.server.stop)
        cls.proxy = Proxy(cls.kind, cls.server.port)
        cls.addClassCleanup(cls.proxy.stop)
        cls.backend = cls.server.url(driver=cls.driver)
        cls.app.close()
        cls.app = lib.celery_app(cls.broker, cls.backend)
        cls.app.set_current()
        cls.through = cls.server.url().replace(':%d/' % cls.server.port, ':%d/' % cls.proxy.port)
        cls.through += cls.plain
        cls.worker = lib.Worker(cls.broker, cls.through, conf=cls.conf)
        cls.addClassCleanup(cls.worker.kill9)
        # Python makes tables for the first server of a process only: the worker's are waited for.
        cls.app.send_task('t.ident', ['first'], task_id='first')
        lib.wait_for('the first is stored', lambda: not cls.held(cls), 60)

    def tearDown(self):
        self.proxy.disarm()

    # ---- what is there ----

    def held(self):
        """Messages that are not acknowledged, as one text that has their ids."""
        pipe = self.db0.pipeline()
        pipe.lrange('celery', 0, -1)
        pipe.hvals('unacked')
        return b' '.join(sum(pipe.execute(), []))

    def rows(self, ids):
        found = self.server.sql('SELECT task_id, status, result FROM celery_taskmeta WHERE '
                                'task_id IN (%s)' % ','.join("'%s'" % i for i in ids))
        return {task_id: (status, bytes(result or b'')) for task_id, status, result in found}

    def wait_settled(self):
        lib.wait_for('nothing is held', lambda: not self.held(), 60)

    def check(self, ids):
        """Every result is there and right, after one run each."""
        output = self.worker.output()
        for task_id, value in ids.items():
            r = self.app.AsyncResult(task_id)
            self.assertEqual((r.state, r.result), ('SUCCESS', value))
        return output

    def send(self, name, *args, **options):
        return self.app.send_task(name, args, **options).id

    # ---- a cut at each message ----

    def under(self, cut, refuses, name, *args, **options):
        """One task with its result's statement cut there; None: it has not that many messages,
        else whether the row had changed although nobody said so."""
        task_id = options.setdefault('task_id', 'cut')
        before = self.rows([task_id])
        self.proxy.arm(cut, refuses=refuses)
        self.send(name, *args, **options)
        lib.wait_for('%s is cut or done' % cut,
                     lambda: self.proxy.fired.is_set() or not self.held(), 60, 0.002)
        changed = None
        if self.proxy.fired.is_set():
            held = self.held()
            changed = self.rows([task_id]) != before
            # Whatever the server did, nobody has said that it is done.
            if refuses:
                self.assertIn(task_id.encode(), held, '%s: acknowledged' % cut)
        self.proxy.disarm()
        self.wait_settled()
        return changed

    def each_cut(self, one, stride=1):
        """one(cut, refuses) for each message of each side; in a short run some are left out."""
        stride = stride if TIMES == 1 else 1
        tally = {True: 0, False: 0}
        for turn in range(TIMES):
            for side, after in (('client', False), ('client', True), ('server', False)):
                number = 1
                while True:
                    changed = one(Cut(side, number, after), refuses=turn % 2 == 0)
                    if changed is None:
                        break
                    tally[changed] += 1
                    number += stride
                self.assertGreater(number, 1)
        return tally

    def tell(self, what, tally):
        print('  %s, %s: %d cuts, %d before and %d after the row was written; 0 lost' % (
            self.kind, what, sum(tally.values()), tally[False], tally[True]), flush=True)

    def ran(self, task_id):
        return self.worker.output().count('[%s] received' % task_id)

    def test_a_new_row(self):
        ids = {}

        def one(cut, refuses):
            name = 'new-%d' % len(ids)
            ids[name] = [len(ids), str(cut)]
            return self.under(cut, refuses, 't.ident', ids[name], task_id=name)

        tally = self.each_cut(one)
        self.check(ids)
        self.assertEqual([i for i in ids if self.ran(i) != 1], [])
        self.assertGreater(tally[True], 0)
        self.assertGreater(tally[False], 0)
        self.tell('a new row', tally)

    def test_a_row_that_changes(self):
        """FAILURE becomes SUCCESS, as of a task that is sent once more."""
        ids = {}

        def one(cut, refuses):
            name = 'change-%d' % len(ids)
            ids[name] = [len(ids), str(cut)]
            self.send('t.fail', task_id=name)
            self.wait_settled()
            self.assertEqual(self.rows([name])[name][0], 'FAILURE')
            return self.under(cut, refuses, 't.ident', ids[name], task_id=name)

        tally = self.each_cut(one)
        self.check(ids)
        self.assertGreater(tally[True], 0)
        self.assertGreater(tally[False], 0)
        self.tell('a row that changes', tally)

    def test_success_stays(self):
        ids = {'stays': 'done'}
        self.send('t.ident', 'done', task_id='stays')
        self.wait_settled()
        before = self.rows(ids)

        def one(cut, refuses):
            runs = self.ran('stays')
            changed = self.under(cut, refuses, 't.fail', task_id='stays')
            self.assertEqual(self.ran('stays'), runs + 1)
            return changed

        tally = self.each_cut(one)
        self.assertEqual(self.rows(ids), before)
        self.assertEqual(tally[True], 0)
        self.tell('SUCCESS that stays', tally)

    # ---- other statements ----

    def client(self, *args):
        """celery-c result through the proxy."""
        r = subprocess.run([lib.CELERY_C, '-b', self.broker, '--result-backend', self.through,
                            'result', *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, env=lib.env_of_workers(), timeout=120)
        return r.returncode, r.stdout.strip()

    def test_the_first_connection(self):
        """Signing on, looking at the tables, reading a result: right or an error, and not twice."""
        self.send('t.ident', 'read', task_id='read')
        self.wait_settled()
        count = 0
        for side in ('client', 'server'):
            number = 0
            while True:
                number += 4 if TIMES == 1 else 1
                self.proxy.arm(Cut(side, number), refuses=False)
                code, text = self.client('read')
                if code:
                    self.assertIn('Error: result backend: ', text)
                if not self.proxy.fired.is_set():
                    break
                count += 1
                self.assertEqual(self.client('read'), (0, 'read'))
            self.assertEqual((code, text), (0, 'read'))
        print('  %s, the first connection: %d cuts of a client' % (self.kind, count), flush=True)
        self.assertGreater(count, 3)

    def test_expired_ones(self):
        """What is old goes, what is not stays."""
        self.send('t.ident', 1, task_id='young')
        self.wait_settled()

        def one(cut, refuses):
            self.app.backend.store_result('old', 1, 'SUCCESS')
            self.server.sql("UPDATE celery_taskmeta SET date_done = '2020-01-01 00:00:00' WHERE "
                            "task_id = 'old'")
            changed = self.under(cut, refuses, 'celery.backend_cleanup')
            lib.wait_for('it is gone', lambda: not self.rows(['old']), 60)
            return changed

        tally = self.each_cut(one, 5)
        self.check({'young': 1})
        print('  %s, what has expired: %d cuts' % (self.kind, sum(tally.values())), flush=True)

    # ---- load ----

    def test_under_load(self):
        """Anywhere, while results are written in batches."""
        rng = random.Random(SEED)
        ids = {}
        cuts = 0
        while cuts < 20 * TIMES:
            # What stored something is connected: it is batches that are cut.
            lib.wait_for('the last is stored', lambda: not self.held(), 60)
            self.proxy.arm(Cut(rng.choice(('client', 'server')), rng.randint(1, 30),
                               rng.random() < 0.5), refuses=False)
            while not self.proxy.fired.is_set():
                name = 'load-%d' % len(ids)
                ids[name] = [len(ids)]
                self.send('t.ident', ids[name], task_id=name)
                time.sleep(0.002)
            cuts += 1
        self.settle_load(ids)
        print('  %s, load: %d cuts, %d tasks, 0 lost' % (self.kind, cuts, len(ids)), flush=True)

    def settle_load(self, ids):
        lib.wait_for('all are stored', lambda: not self.held(), 150, 0.1)
        found = dict(self.server.sql("SELECT status, count(*) FROM celery_taskmeta WHERE task_id "
                                     "LIKE '%s-%%' GROUP BY status" % next(iter(ids)).split('-')[0]
                                     ))
        self.assertEqual(found, {'SUCCESS': len(ids)})
        few = list(ids)[::max(1, len(ids) // 200)]
        output = self.check({i: ids[i] for i in few})
        self.assertEqual([i for i in ids if output.count('[%s] received' % i) != 1], [])

    def test_killed_servers(self):
        rng = random.Random(SEED)
        ids = {}
        held = 0
        for _ in range(10 * TIMES):
            for _ in range(100):
                name = 'kill-%d' % len(ids)
                ids[name] = [len(ids)]
                self.send('t.ident', ids[name], task_id=name)
            time.sleep(rng.uniform(0, 0.03))
            self.server.kill()
            held += bool(self.held())
            self.server.start()
        self.settle_load(ids)
        print('  %s: %d kills of the server, %d with results under way, %d tasks, 0 lost' % (
            self.kind, 10 * TIMES, held, len(ids)), flush=True)
        self.assertGreater(held, 0)


class PostgreSQL(Faults, lib.Case):
    kind = 'postgresql'
    driver = '+psycopg2'
    plain = '?sslmode=disable&gssencmode=disable'
    server_class = databases.PostgreSQL


class MariaDB(Faults, lib.Case):
    kind = 'mysql'
    driver = '+pymysql'
    plain = ''
    server_class = databases.MariaDB


if __name__ == '__main__':
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        TIMES = int(sys.argv.pop(1))
    lib.main()
