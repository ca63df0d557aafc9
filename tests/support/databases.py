# SPDX-License-Identifier: BSD-3-Clause
"""Private database servers for tests: PostgreSQL, MariaDB, PgBouncer; free ports, no system
service, nothing left behind.

As a program (`databases.py postgresql|mysql`) it prints the URL of a new server and keeps it until
its standard input ends; a line "kill" ends it at once, "start" starts it again, "drop" closes the
connections of everybody else; each is answered with "ok".
"""

import atexit
import ctypes
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PASSWORD = 'p@ss/w:rd'
QUOTED = 'p%40ss%2Fw%3Ard'
_libc = ctypes.CDLL(None)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)


def _listens(port):
    try:
        with socket.create_connection(('127.0.0.1', port), 0.2):
            return True
    except OSError:
        return False


class Server:
    """What runs as an unprivileged user in a folder of its own."""

    user = 'nobody'

    def __init__(self):
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix='celery-c-db-', dir='/tmp')
        os.chmod(self.dir, 0o755)
        self.data = os.path.join(self.dir, 'data')
        os.mkdir(self.data)
        self.process = None
        if os.getuid() == 0:
            shutil.chown(self.dir, self.user)
            shutil.chown(self.data, self.user)
        atexit.register(self.stop)

    def as_user(self):
        if os.getuid() != 0:
            return []
        return ['setpriv', '--reuid', self.user, '--regid',
                str(os.stat(self.data).st_gid), '--clear-groups']

    def call(self, *argv, **kwargs):
        subprocess.run(self.as_user() + list(argv), check=True, cwd=self.dir,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, **kwargs)

    def spawn(self, *argv):
        log = open(os.path.join(self.dir, 'log'), 'ab')
        self.process = subprocess.Popen(
            self.as_user() + list(argv), cwd=self.dir, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, preexec_fn=_die_with_parent, start_new_session=True)
        log.close()

    def wait(self, check, seconds=40):
        end = time.monotonic() + seconds
        while not check():
            if time.monotonic() > end or self.process.poll() is not None:
                with open(os.path.join(self.dir, 'log'), errors='replace') as f:
                    raise RuntimeError('%s does not start:\n%s' % (
                        type(self).__name__, f.read()[-2000:]))
            time.sleep(0.02)

    def kill(self):
        """At once, with all that belongs to it."""
        if self.process and self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait(10)
        self.process = None

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class PostgreSQL(Server):
    user = 'postgres'

    @staticmethod
    def bin():
        found = sorted(glob.glob('/usr/lib/postgresql/*/bin'))
        return found[-1] if found else os.path.dirname(shutil.which('postgres') or '')

    @classmethod
    def installed(cls):
        return os.path.exists(os.path.join(cls.bin(), 'initdb'))

    def __init__(self, tls=None, *options):
        super().__init__()
        self.options = list(options)
        pw = os.path.join(self.dir, 'pw')
        with open(pw, 'w') as f:
            f.write(PASSWORD)
        os.chmod(pw, 0o644)
        if tls:
            for name in ('server.pem', 'server.key'):
                target = os.path.join(self.dir, name)
                shutil.copy(os.path.join(tls, name), target)
                os.chmod(target, 0o600)
                if os.getuid() == 0:
                    shutil.chown(target, self.user, os.stat(self.data).st_gid)
            self.options += ['-c', 'ssl=on', '-c', 'ssl_cert_file=' + self.dir +
                             '/server.pem', '-c', 'ssl_key_file=' + self.dir + '/server.key']
        self.call(os.path.join(self.bin(), 'initdb'), '-D', self.data, '-U', 'celery',
                  '--pwfile', pw, '-A', 'scram-sha-256', '-N', '-E', 'UTF8',
                  '--locale=C.UTF-8')
        self.start()
        self.sql('CREATE DATABASE celery', 'postgres')

    def start(self):
        # A killed server leaves its lock behind, and its shared memory for a moment.
        try:
            os.remove(os.path.join(self.data, 'postmaster.pid'))
        except FileNotFoundError:
            pass
        self.spawn(os.path.join(self.bin(), 'postgres'), '-D', self.data, '-p',
                   str(self.port), '-k', self.dir, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off',
                   '-c', 'shared_buffers=16MB', '-c', 'max_connections=60', *self.options)
        self.wait(self._up)

    def _up(self):
        return subprocess.run(
            [os.path.join(self.bin(), 'pg_isready'), '-q', '-h', '127.0.0.1', '-p',
             str(self.port)]).returncode == 0

    def connect(self, database='celery'):
        import psycopg2
        c = psycopg2.connect(host='127.0.0.1', port=self.port, user='celery',
                             password=PASSWORD, dbname=database)
        c.autocommit = True
        return c

    def sql(self, text, database='celery'):
        c = self.connect(database)
        try:
            with c.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall() if cursor.description else None
        finally:
            c.close()

    def drop(self):
        """What an administrator, a failover or a restart does to the connections."""
        self.sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> '
                 "pg_backend_pid() AND backend_type = 'client backend'")

    def url(self, driver='', options='', host='127.0.0.1', port=None, database='celery'):
        return 'db+postgresql%s://celery:%s@%s:%d/%s%s' % (
            driver, QUOTED, host, port or self.port, database, options)


class MariaDB(Server):
    user = 'mysql'

    @classmethod
    def installed(cls):
        return bool(shutil.which('mariadbd')) and bool(shutil.which('mariadb-install-db'))

    def __init__(self, *options):
        super().__init__()
        self.options = list(options)
        self.call('mariadb-install-db', '--no-defaults', '--datadir=' + self.data,
                  '--auth-root-authentication-method=normal', '--skip-test-db')
        init = os.path.join(self.dir, 'init.sql')
        with open(init, 'w') as f:
            f.write("CREATE DATABASE IF NOT EXISTS celery;\n"
                    "CREATE USER IF NOT EXISTS celery@'%%' IDENTIFIED BY '%s';\n"
                    "GRANT ALL ON *.* TO celery@'%%';\n" % PASSWORD)
        os.chmod(init, 0o644)
        self.start()

    def start(self):
        self.spawn('mariadbd', '--no-defaults', '--datadir=' + self.data, '--port=%d' % self.port,
                   '--bind-address=127.0.0.1', '--socket=' + self.dir + '/sock',
                   '--skip-name-resolve', '--innodb-buffer-pool-size=16M',
                   '--innodb-flush-log-at-trx-commit=2',
                   '--init-file=' + self.dir + '/init.sql', *self.options)
        self.wait(self._up)

    def _up(self):
        if not _listens(self.port):
            return False
        try:
            self.sql('SELECT 1')
            return True
        except Exception:  # whatever a server that starts answers
            return False

    def connect(self):
        import pymysql
        return pymysql.connect(host='127.0.0.1', port=self.port, user='celery',
                               password=PASSWORD, database='celery', autocommit=True)

    def sql(self, text):
        c = self.connect()
        try:
            with c.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall()
        finally:
            c.close()

    def drop(self):
        own = None
        c = self.connect()
        with c.cursor() as cursor:
            cursor.execute('SELECT CONNECTION_ID()')
            own = cursor.fetchone()[0]
            cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'celery'")
            for (number,) in cursor.fetchall():
                if number != own:
                    try:
                        cursor.execute('KILL %d' % number)
                    except Exception:  # it has gone by itself
                        pass
        c.close()

    def url(self, driver='', options='', database='celery'):
        return 'db+mysql%s://celery:%s@127.0.0.1:%d/%s%s' % (
            driver, QUOTED, self.port, database, options)


class PgBouncer(Server):
    user = 'postgres'

    @classmethod
    def installed(cls):
        return bool(shutil.which('pgbouncer') or os.path.exists('/usr/sbin/pgbouncer'))

    def __init__(self, postgresql, mode='transaction'):
        super().__init__()
        self.postgresql = postgresql
        ini = os.path.join(self.dir, 'pgbouncer.ini')
        users = os.path.join(self.dir, 'users')
        with open(ini, 'w') as f:
            f.write('[databases]\ncelery = host=127.0.0.1 port=%d user=celery password=%s\n'
                    '[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nauth_type=plain\n'
                    'auth_file=%s\npool_mode=%s\nunix_socket_dir=\ndefault_pool_size=2\n' % (
                        postgresql.port, "'%s'" % PASSWORD, self.port, users, mode))
        with open(users, 'w') as f:
            f.write('"celery" "%s"\n' % PASSWORD)
        os.chmod(users, 0o644)
        os.chmod(ini, 0o644)
        self.start()

    def start(self):
        self.spawn(shutil.which('pgbouncer') or '/usr/sbin/pgbouncer',
                   os.path.join(self.dir, 'pgbouncer.ini'))
        self.wait(lambda: _listens(self.port))

    def url(self, driver='', options=''):
        return self.postgresql.url(driver, options, port=self.port)


def main():
    kind = {'postgresql': PostgreSQL, 'mysql': MariaDB}[sys.argv[1]]
    if not kind.installed():
        return 77
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))
    server = kind()
    print(server.url(), flush=True)
    for line in sys.stdin:
        {'kill': server.kill, 'start': server.start, 'drop': server.drop}[line.strip()]()
        print('ok', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
