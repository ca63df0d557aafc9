#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What servers of results do to a worker without going away: deadlocks, serialization failures,
locks that last, servers that become read-only, a standby that is promoted, connections that grow
old.  No result is lost, none stored twice or wrong, no task run twice."""

import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'interop'))
sys.path.insert(0, os.path.join(HERE, '..', 'support'))
import lib  # noqa: E402
import databases  # noqa: E402


class Servers:
    brokers = ('redis',)
    results = ('redis',)
    conf = {'task_acks_late': True, 'worker_prefetch_multiplier': 4}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not cls.server_class.installed():
            raise unittest.SkipTest(cls.server_class.__name__ + ' is not installed')
        cls.server = cls.new_server()
        cls.addClassCleanup(cls.server.stop)
        cls.use(cls.server)

    @classmethod
    def new_server(cls):
        return cls.server_class()

    @classmethod
    def use(cls, server):
        """The Python side reads there."""
        cls.app.close()
        cls.app = lib.celery_app(cls.broker, server.url(driver=cls.driver))
        cls.app.set_current()

    def start_worker(self, url=None, **conf):
        w = self.start(backend=url or self.server.url(), concurrency=1, pool='solo',
                       conf=dict(self.conf, **conf))
        self.settled('first-%s' % self.id().rsplit('.')[-1])
        return w

    def held(self):
        return self.db0.llen('celery') + self.db0.hlen('unacked')

    def send(self, task_id):
        self.app.send_task('t.ident', [task_id], task_id=task_id)

    def wait_settled(self):
        lib.wait_for('nothing is held', lambda: not self.held(), 60)

    def settled(self, *ids):
        for task_id in ids:
            self.send(task_id)
        self.wait_settled()
        self.check(*ids)

    def check(self, *ids):
        for task_id in ids:
            r = self.app.AsyncResult(task_id)
            self.assertEqual((r.state, r.result), ('SUCCESS', task_id))

    def check_runs(self, worker, *ids):
        output = worker.output()
        self.assertEqual({i: output.count('[%s] received' % i) for i in ids}, {i: 1 for i in ids})

    def rival(self):
        c = self.server.connect()
        self.addCleanup(c.close)
        self.begin(c)
        return c

    def lock(self, connection, task_id):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE celery_taskmeta SET traceback = 'rival' WHERE task_id = %s",
                           (task_id,))

    def prepare_rows(self, *ids):
        """Rows that are there, and may still change."""
        for task_id in ids:
            self.app.backend.store_result(task_id, None, 'STARTED')

    def wait_lock(self):
        # InnoDB's tables of what waits are not made anew for who asks more often than each 0.1 s.
        lib.wait_for('the worker waits for a lock', self.waiting, 30, 0.15)

    def hold_then_batch(self, names):
        """The worker is kept busy by a locked row until all the others are one batch behind it."""
        self.prepare_rows(*names)
        gate = self.rival()
        self.lock(gate, names[0])
        self.send(names[0])
        self.wait_lock()
        for name in names[1:]:
            self.send(name)
        lib.wait_for('all have run', lambda: all(
            '[%s] succeeded' % n in self.worker_here.output() for n in names), 30)
        return gate

    def deadlock(self, *names):
        """Whether there was one: both rows were locked by one statement of the worker's."""
        before = self.deadlocks()
        gate = self.hold_then_batch(names)
        other = self.rival()
        self.strengthen(other)
        self.lock(other, names[2])
        gate.rollback()
        self.wait_lock()  # it has one row and waits for the other
        self.lock(other, names[1])
        other.rollback()
        self.wait_settled()
        self.check(*names)
        self.check_runs(self.worker_here, *names)
        return self.deadlocks() > before

    def test_deadlock(self):
        self.worker_here = w = self.start_worker()
        self.server.sql('CREATE TABLE weight (n INT)')
        # On a machine without time the two may be stored one after the other: once more.
        self.assertTrue(any(self.deadlock('gate-%d' % i, 'one-%d' % i, 'two-%d' % i)
                            for i in range(10)))
        # The same statement once more: neither worker nor connection noticed.
        self.assertNotIn('Reconnecting', w.output())
        self.assertNotIn('Cannot store', w.output())

    def test_a_lock_that_lasts(self):
        """Longer than the server lets anybody wait: tried until it is free."""
        self.set_lock_timeout()
        self.addCleanup(self.reset_lock_timeout)
        w = self.start_worker()
        self.prepare_rows('lasting')
        rival = self.rival()
        self.lock(rival, 'lasting')
        self.send('lasting')
        w.wait_output('Cannot store results', 60)  # it has tried the statement eight times
        self.assertEqual(self.held(), 1)
        rival.rollback()
        self.wait_settled()
        self.check('lasting')
        self.check_runs(w, 'lasting')


class PostgreSQL(Servers, lib.Case):
    driver = '+psycopg2'
    server_class = databases.PostgreSQL

    @classmethod
    def new_server(cls):
        # Long enough for the rival to close the circle first.
        return cls.server_class(None, '-c', 'deadlock_timeout=3s', '-c', 'wal_level=replica')

    def waiting(self):
        return self.server.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = "
                               "'celery-c' AND wait_event_type = 'Lock'")

    def deadlocks(self):
        self.server.sql('SELECT pg_stat_force_next_flush()')
        return lib.wait_for('statistics', lambda: self.server.sql(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = 'celery'"))[0][0]

    def begin(self, connection):
        connection.autocommit = False

    def strengthen(self, connection):
        """Who looks for deadlocks ends the own session: this one never looks."""
        with connection.cursor() as cursor:
            cursor.execute("SET deadlock_timeout = '10min'")

    def set_lock_timeout(self):
        self.server.sql("ALTER DATABASE celery SET lock_timeout = '20ms'")

    def reset_lock_timeout(self):
        self.server.sql('ALTER DATABASE celery RESET lock_timeout')

    def test_serialization_failure(self):
        self.server.sql("ALTER DATABASE celery SET default_transaction_isolation = 'serializable'")
        self.addCleanup(self.server.sql, 'ALTER DATABASE celery RESET default_transaction_isolation')
        w = self.start_worker()
        before = self.rollbacks()
        self.prepare_rows('serial')
        rival = self.rival()
        self.lock(rival, 'serial')
        self.send('serial')
        self.wait_lock()
        rival.commit()  # the row is no more what the worker's transaction saw
        self.wait_settled()
        self.check('serial')
        self.check_runs(w, 'serial')
        lib.wait_for('one was rolled back', lambda: self.rollbacks() > before, 30)
        self.assertNotIn('Reconnecting', w.output())

    def rollbacks(self):
        return self.server.sql(
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = 'celery'")[0][0]

    def sessions(self):
        return [pid for (pid,) in self.server.sql(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'celery-c'")]

    def session(self):
        """Once those that have ended are gone."""
        lib.wait_for('one session', lambda: len(self.sessions()) == 1, 30)
        return self.sessions()[0]

    def test_pool_recycle(self):
        w = self.start_worker(database_engine_options={'pool_recycle': 1})
        first = self.session()
        time.sleep(1.1)  # the age itself is what is tested
        self.settled('recycled')
        self.assertNotEqual(self.session(), first)
        w.kill9()
        lib.wait_for('its session is over', lambda: not self.sessions(), 30)
        self.start_worker(database_engine_options={'pool_recycle': 3600})
        second = self.session()
        time.sleep(1.1)
        self.settled('kept')
        self.assertEqual(self.session(), second)

    # ---- several hosts ----

    def hosts(self, *servers):
        return 'db+postgresql://celery:%s@/celery?%s' % (databases.QUOTED, '&'.join(
            'host=127.0.0.1:%d' % s.port for s in servers))

    def read_only(self, on):
        self.server.sql('ALTER SYSTEM SET default_transaction_read_only = %s' % on)
        self.server.sql('SELECT pg_reload_conf()')
        lib.wait_for('it says so', lambda: self.server.sql(
            'SHOW default_transaction_read_only') == [(on,)], 30)

    def writable(self):
        c = self.server.connect()
        with c.cursor() as cursor:
            cursor.execute('SET default_transaction_read_only = off')
            cursor.execute('ALTER SYSTEM RESET default_transaction_read_only')
            cursor.execute('SELECT pg_reload_conf()')
        c.close()

    def test_a_server_that_becomes_read_only(self):
        """One host: results wait until it can be written again."""
        w = self.start_worker()
        self.addCleanup(self.writable)
        self.read_only('on')
        self.send('ro')
        w.wait_output('[ro] succeeded')
        w.wait_output('read-only', 60)
        self.assertEqual(self.held(), 1)
        self.writable()
        self.wait_settled()
        self.check('ro')
        self.check_runs(w, 'ro')

    def test_the_one_that_can_be_written(self):
        """Two hosts: the first is passed over, and left when it becomes read-only."""
        second = databases.PostgreSQL()
        self.addCleanup(second.stop)
        w = self.start_worker(self.hosts(self.server, second))
        self.addCleanup(self.use, self.server)
        self.addCleanup(self.writable)
        self.read_only('on')
        self.use(second)
        self.settled('moved')
        self.check_runs(w, 'moved')
        w.kill9()
        self.start(backend=self.hosts(self.server, second), concurrency=1, pool='solo',
                   conf=self.conf)
        self.settled('from the beginning')

    def standby(self):
        """A copy that follows the server."""
        copy = databases.PostgreSQL.__new__(databases.PostgreSQL)
        databases.Server.__init__(copy)
        copy.options = []
        self.addCleanup(copy.stop)
        os.chmod(copy.data, 0o700)
        env = dict(os.environ, PGPASSWORD=databases.PASSWORD)
        copy.call(os.path.join(copy.bin(), 'pg_basebackup'), '-h', '127.0.0.1', '-p',
                  str(self.server.port), '-U', 'celery', '-D', copy.data, '-R', '-c', 'fast',
                  '-X', 'stream', env=env)
        copy.start()
        self.assertEqual(copy.sql('SELECT pg_is_in_recovery()'), [(True,)])
        return copy

    def test_failover(self):
        """The first is killed; until the standby is promoted nothing can be written at all."""
        copy = self.standby()
        w = self.start_worker(self.hosts(self.server, copy))
        self.settled('before')
        lib.wait_for('the standby has it', lambda: copy.sql(
            "SELECT 1 FROM celery_taskmeta WHERE task_id = 'before'"), 30)
        self.addCleanup(self.use, self.server)
        self.addCleanup(self.server.start)
        self.server.kill()
        names = ['over-%d' % i for i in range(20)]
        for name in names:
            self.send(name)
        w.wait_output('result backend', 60)
        self.assertGreater(self.held(), 0)
        self.assertEqual(copy.sql("SELECT count(*) FROM celery_taskmeta WHERE task_id LIKE "
                                  "'over-%'"), [(0,)])
        copy.sql('SELECT pg_promote()')
        self.use(copy)
        self.wait_settled()
        self.check('before', *names)
        self.check_runs(w, *names)


class MariaDB(Servers, lib.Case):
    driver = '+pymysql'
    server_class = databases.MariaDB

    def waiting(self):
        return self.server.sql("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = "
                               "'LOCK WAIT'")

    def deadlocks(self):
        return int(self.server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1])

    def begin(self, connection):
        connection.autocommit(False)

    def strengthen(self, connection):
        """The session that has changed least is the one that is ended."""
        with connection.cursor() as cursor:
            cursor.execute('INSERT INTO weight VALUES ' + ','.join(['(1)'] * 200))

    def set_lock_timeout(self):
        self.server.sql('SET GLOBAL innodb_lock_wait_timeout = 0')

    def reset_lock_timeout(self):
        self.server.sql('SET GLOBAL innodb_lock_wait_timeout = 50')

    def test_a_server_that_becomes_read_only(self):
        import pymysql
        root = pymysql.connect(unix_socket=self.server.dir + '/sock', user='root')
        with root.cursor() as cursor:
            cursor.execute("CREATE USER plain@'%%' IDENTIFIED BY '%s'" % databases.PASSWORD)
            cursor.execute("GRANT ALL ON celery.* TO plain@'%'")
        root.close()
        w = self.start_worker(self.server.url().replace('celery:', 'plain:', 1))
        self.server.sql('SET GLOBAL read_only = 1')
        self.addCleanup(self.server.sql, 'SET GLOBAL read_only = 0')
        self.send('ro')
        w.wait_output('[ro] succeeded')
        w.wait_output('read-only', 60)
        self.assertEqual(self.held(), 1)
        self.server.sql('SET GLOBAL read_only = 0')
        self.wait_settled()
        self.check('ro')
        self.check_runs(w, 'ro')


if __name__ == '__main__':
    lib.main()
