#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""db+... results: what C writes Python reads and the other way round, on SQLite, PostgreSQL (also
behind PgBouncer in transaction mode) and MariaDB; terminated sessions; what has expired."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

from celery import chord, group
from celery.result import GroupResult
from sqlalchemy.exc import DatabaseError

import lib

sys.path.insert(0, os.path.join(lib.ROOT, 'tests', 'support'))

import databases  # noqa: E402
import rabbit  # noqa: E402


class Sql:
    brokers = ('redis',)
    results = ('redis',)
    conf = {'task_track_started': True, 'result_extended': True, 'result_chord_retry_interval': 0.1}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.backend = cls.database()
        cls.app.close()
        cls.app = lib.celery_app(cls.broker, cls.backend, **cls.conf)
        cls.app.set_current()
        cls.worker = lib.Worker(cls.broker, cls.backend, conf=cls.conf)
        cls.addClassCleanup(cls.worker.kill9)
        first = cls.app.send_task('t.ident', ['first'])
        lib.wait_for('the worker has made its tables', lambda: cls.is_stored(first), 60, 0.05)

    @staticmethod
    def is_stored(result):
        """Python makes tables for the first database of a process only
        (celery/backends/database DatabaseBackend.ResultSession)."""
        try:
            return result.state == 'SUCCESS'
        except DatabaseError:
            return False

    @classmethod
    def server(cls, kind, *args):
        if not kind.installed():
            raise unittest.SkipTest(kind.__name__ + ' is not installed')
        server = kind(*args)
        cls.addClassCleanup(server.stop)
        return server

    def result(self, *args):
        """celery-c result: a client in C."""
        r = subprocess.run([lib.CELERY_C, '-b', self.broker, '--result-backend', self.backend,
                            'result', *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, env=lib.env_of_workers(), timeout=60)
        return r.returncode, r.stdout.strip()

    def test_values(self):
        for value in [5, 1.5, 'text \u20ac', None, [1, {'a': [True]}], {}, 2 ** 70]:
            r = self.app.send_task('t.ident', [value])
            self.assertEqual(r.get(timeout=20, interval=0.05), value)
            self.assertEqual(self.result(r.id),
                             (0, value if isinstance(value, str) else repr(value)))

    def test_what_python_stored(self):
        for number, value in enumerate([7, 'x', None, {'a': [1, 2]}]):
            name = 'python-%d' % number
            self.app.backend.store_result(name, value, 'SUCCESS')
            self.assertEqual(self.result(name),
                             (0, value if isinstance(value, str) else repr(value)))
        self.app.backend.store_result('python-bad', ValueError('no', 3), 'FAILURE', traceback='tb')
        code, text = self.result('python-bad')
        self.assertNotEqual(code, 0)
        self.assertIn('ValueError', text)

    def test_failure(self):
        r = self.app.send_task('t.fail')
        with self.assertRaises(KeyError):
            r.get(timeout=20, interval=0.05)
        self.assertIn("KeyError: 'boom'", r.traceback)
        self.assertIn('boom', self.result(r.id)[1])

    def test_extended(self):
        r = self.app.send_task('t.add', [1, 2])
        self.assertEqual(r.get(timeout=20, interval=0.05), 3)
        self.assertEqual((r.name, r.args, r.kwargs, r.retries, r.queue),
                         ('t.add', [1, 2], {}, 0, 'celery'))
        self.assertIn('@', r.worker)
        self.assertIsNone(r.date_done.tzinfo)

    def test_success_stays(self):
        r = self.app.send_task('t.add', [1, 2])
        self.assertEqual(r.get(timeout=20, interval=0.05), 3)
        self.app.send_task('t.fail', task_id=r.id)
        lib.wait_for('it has failed', lambda: r.id + '] raised' in self.worker.output(), 20)
        self.assertEqual(self.app.AsyncResult(r.id).state, 'SUCCESS')

    def test_group_and_chord(self):
        s = self.app.signature
        g = group(s('t.add', args=(i, i)) for i in range(5)).apply_async()
        self.assertEqual(g.get(timeout=20, interval=0.05), [0, 2, 4, 6, 8])
        g.save()
        self.assertEqual(len(GroupResult.restore(g.id, app=self.app)), 5)
        r = chord([s('t.add', args=(i, i)) for i in range(3)], app=self.app)(s('t.ident'))
        self.assertEqual(r.get(timeout=30, interval=0.05), [0, 2, 4])

    def test_expired_are_removed(self):
        backend = self.app.backend
        session = backend.ResultSession()
        backend.store_result('old-one', 1, 'SUCCESS')
        import datetime
        session.query(backend.task_cls).filter(backend.task_cls.task_id == 'old-one').update(
            {'date_done': datetime.datetime(2020, 1, 1)})
        session.commit()
        session.close()
        self.app.send_task('celery.backend_cleanup')
        lib.wait_for('it is gone', lambda: self.app.AsyncResult('old-one').state == 'PENDING', 20)


class Sqlite(Sql, lib.Case):
    @classmethod
    def database(cls):
        return 'db+sqlite:///' + os.path.join(tempfile.mkdtemp(dir=lib.tmpdir()), 'results.db')


class PostgreSQLPlain(Sql, lib.Case):
    @classmethod
    def database(cls):
        cls.pg = cls.server(databases.PostgreSQL)
        return cls.pg.url(driver='+psycopg2')


class PostgreSQL(PostgreSQLPlain):
    def test_terminated_sessions(self):
        """100 times, in the midst of storing: nothing lost."""
        stop = threading.Event()

        def terminate():
            while not stop.is_set():
                self.pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                            "application_name = 'celery-c'")
                self.terminated += 1
                stop.wait(0.02)

        self.terminated = 0
        thread = threading.Thread(target=terminate)
        thread.start()
        try:
            results = []
            while self.terminated < 100:
                results.append(self.app.send_task('t.add', [len(results), 1]))
                stop.wait(0.005)
        finally:
            stop.set()
            thread.join()

        def stored():
            return self.pg.sql("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS' AND "
                               "task_id = ANY(ARRAY[%s])" % ','.join(
                                   "'%s'" % r.id for r in results))[0][0]

        lib.wait_for('all are stored', lambda: stored() == len(results), 40)
        self.assertEqual(results[-1].get(timeout=5), len(results))

    def test_killed_server(self):
        results = [self.app.send_task('t.add', [i, 1]) for i in range(100)]
        self.pg.kill()
        results += [self.app.send_task('t.add', [i, 1]) for i in range(100, 200)]
        self.pg.start()
        for i, r in enumerate(results):
            self.assertEqual(r.get(timeout=30, interval=0.02), i + 1)


class PgBouncer(Sql, lib.Case):
    @classmethod
    def database(cls):
        pg = cls.server(databases.PostgreSQL)
        return cls.server(databases.PgBouncer, pg).url()


class MariaDB(Sql, lib.Case):
    @classmethod
    def database(cls):
        return cls.server(databases.MariaDB).url(driver='+pymysql')

    def test_what_does_not_fit(self):
        r = self.app.send_task('t.ident', ['x' * 70000])
        with self.assertRaises(Exception) as caught:
            r.get(timeout=20, interval=0.05)
        self.assertIn('too large for the backend', str(caught.exception))



class OtherTables(Sql, lib.Case):
    """Names and a schema of one's own (database_table_names, database_table_schemas)."""
    conf = dict(Sql.conf, database_table_names={'task': 'my_tasks', 'group': 'my_groups'},
                database_table_schemas={'task': 'mine', 'group': 'mine'})

    @classmethod
    def database(cls):
        cls.pg = cls.server(databases.PostgreSQL)
        cls.pg.sql('CREATE SCHEMA mine')
        return cls.pg.url()

    def result(self, *args):
        path = lib.tmpname('.json')
        with open(path, 'w') as f:
            json.dump(self.conf, f)
        return super().result('--config', path, *args)

    def test_only_those(self):
        self.call('t.add', 1, 2)
        self.assertEqual(self.pg.sql(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_type = 'BASE TABLE' AND table_schema NOT IN "
            "('pg_catalog', 'information_schema') ORDER BY 2"),
            [('mine', 'my_groups'), ('mine', 'my_tasks')])


class Refused(lib.Case):
    """What ends in one line, and loses nothing."""
    brokers = ('redis',)
    results = ('redis',)

    def setUp(self):
        self.db0.flushdb()

    def run_worker(self, backend, line, env=None, **conf):
        """A worker that says this line, whether it ends or goes on trying."""
        self.app.send_task('t.add', [1, 2])
        w = self.start(kind='c', backend=backend, conf=conf, env=env, wait=False)
        w.wait_output(line)
        self.assertNotIn(databases.PASSWORD, w.output())
        self.assertNotIn(databases.QUOTED, w.output())
        w.kill9()

    def test_tables_of_another_version(self):
        if not databases.PostgreSQL.installed():
            self.skipTest('PostgreSQL is not installed')
        pg = databases.PostgreSQL()
        self.addCleanup(pg.stop)
        pg.sql('CREATE SEQUENCE task_id_sequence; CREATE TABLE celery_taskmeta (id INTEGER '
               'PRIMARY KEY, task_id VARCHAR(155) UNIQUE, status VARCHAR(50), result BYTEA, '
               'date_done TIMESTAMP, traceback TEXT)')
        self.run_worker(pg.url(), 'ALTER TABLE', result_extended=True)
        self.assertEqual(pg.sql('SELECT count(*) FROM celery_taskmeta'), [(0,)])

    def test_no_tables(self):
        """None are made where that is not wanted."""
        if not databases.PostgreSQL.installed():
            self.skipTest('PostgreSQL is not installed')
        pg = databases.PostgreSQL()
        self.addCleanup(pg.stop)
        self.run_worker(pg.url(), 'there is no table celery_taskmeta',
                        database_create_tables_at_setup=False)
        self.assertEqual(pg.sql("SELECT to_regclass('celery_taskmeta')"), [(None,)])

    def test_certificate_of_another_machine(self):
        """Verified although the URL says nothing of it; without TLS where the server has none."""
        if not databases.PostgreSQL.installed():
            self.skipTest('PostgreSQL is not installed')
        folder = tempfile.mkdtemp(dir=lib.tmpdir())
        rabbit.make_certificates(folder)
        pg = databases.PostgreSQL(folder)
        self.addCleanup(pg.stop)

        def url(server, host):
            return server.url(host=host, options='?hostaddr=127.0.0.1')

        def trusts(name):
            return {'SSL_CERT_FILE': os.path.join(folder, name)}

        self.run_worker(url(pg, 'db.example'), 'set sslrootcert', trusts('other-ca.pem'))
        self.run_worker(url(pg, 'other.example'), 'set sslrootcert', trusts('ca.pem'))
        self.assertEqual(pg.sql("SELECT to_regclass('celery_taskmeta')"), [(None,)])
        plain = databases.PostgreSQL()
        self.addCleanup(plain.stop)
        for server, tls in ((pg, True), (plain, False)):
            w = self.start(kind='c', backend=url(server, 'db.example'), env=trusts('ca.pem'))
            r = self.app.send_task('t.add', [1, 2])
            w.wait_output(r.id + '] succeeded')
            lib.wait_for('it is stored', lambda: server.sql(
                "SELECT to_regclass('celery_taskmeta')")[0][0] and server.sql(
                    "SELECT 1 FROM celery_taskmeta WHERE task_id = '%s'" % r.id), 30)
            self.assertEqual(server.sql(
                "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                "WHERE application_name = 'celery-c'"), [(tls,)])
            w.kill9()

    def test_certificate(self):
        """Verified when the URL says so; one of the right issuer is taken."""
        if not databases.PostgreSQL.installed():
            self.skipTest('PostgreSQL is not installed')
        folder = tempfile.mkdtemp(dir=lib.tmpdir())
        rabbit.make_certificates(folder)
        pg = databases.PostgreSQL(folder)
        self.addCleanup(pg.stop)
        options = '?sslmode=verify-full&sslrootcert=%s/%s'
        self.run_worker(pg.url(options=options % (folder, 'other-ca.pem')), 'certificate')
        w = self.start(kind='c', backend=pg.url(options=options % (folder, 'ca.pem')))
        r = self.app.send_task('t.add', [1, 2])
        w.wait_output(r.id + '] succeeded')
        lib.wait_for('its tables', lambda: pg.sql("SELECT to_regclass('celery_taskmeta')")[0][0], 30)
        ssl = pg.sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                     "WHERE application_name = 'celery-c'")
        w.stop()  # what is logged is stored a moment later
        self.assertEqual(pg.sql("SELECT status FROM celery_taskmeta WHERE task_id = '%s'" % r.id),
                         [('SUCCESS',)])
        self.assertEqual(ssl, [(True,)])


if __name__ == '__main__':
    lib.main()
