#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The image of TaskOverflow's worker: the steps of its Dockerfile are done in clean Debian 12 roots,
and what comes out is run as a container would run it: as process 1, as its user, without a shell."""

import json
import os
import re
import signal
import sys
import unittest

import dockerfile
import lib_deploy
import roots

sys.path[:0] = [os.path.join(lib_deploy.HERE, '..', 'interop')]
import lib  # noqa: E402

FILE = os.path.join(lib_deploy.EXAMPLE, 'Dockerfile')


def size_of(folder):
    """(bytes, files): each file once."""
    seen = {}
    for top, _, names in os.walk(folder):
        for name in names:
            st = os.lstat(os.path.join(top, name))
            seen[st.st_ino] = st.st_size
    return sum(seen.values()), len(seen)


class Container:
    """A process of the image, as process 1 of its own, with what `docker run` gives it."""

    def __init__(self, build, argv, env):
        # What is looked for on PATH is looked for in the image, by its own execve().
        self.argv = self.enter(build, argv, env)
        self.log = lib.tmpname('.log')
        with open(self.log, 'wb') as out:
            self.process = lib.spawn(self.argv, stdout=out, stderr=out)

    @staticmethod
    def enter(build, argv, env):
        given = dict(build.config['env'], PATH=roots.ENV['PATH'], **env)
        user, group = build.config['user'].split(':')
        # No shell and no env in the image: what is run is looked for as a container runtime does.
        code = ('import os, sys; os.chroot(sys.argv[1]); os.chdir(%r); os.setgroups([]);'
                'os.setgid(%s); os.setuid(%s); e = %r;'
                'tried = [d + "/" + sys.argv[2] for d in e["PATH"].split(":")];'
                'os.execve([t for t in tried if os.path.exists(t)][0], sys.argv[2:], e)' % (
                    build.config['workdir'], group, user, given))
        return ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c',
                'mount -t proc proc "$0/proc" && code=$1 && shift && '
                'exec /usr/bin/python3 -c "$code" "$0" "$@"', build.root.path, code, *argv]

    def output(self):
        return lib_deploy.read(self.log)


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.build = dockerfile.Build(FILE, lib_deploy.ROOT)
        cls.addClassCleanup(cls.build.close)
        cls.redis = lib.Redis()
        cls.addClassCleanup(cls.redis.stop)

    def start(self, argv=None, **env):
        url = self.redis.url()
        environ = {'CELERY_BROKER_URL': url, 'CELERY_RESULT_BACKEND': url,
                   'CELERY_WORKER_HEALTH_ADDRESS': '127.0.0.1:%d' % lib.free_port(), **env}
        it = Container(self.build, argv or self.build.config['cmd'], environ)
        it.env = environ
        self.addCleanup(it.process.kill)
        return it

    def probe(self, container):
        return lib_deploy.run(Container.enter(
            self.build, self.build.config['health'], container.env))

    def ready(self, container):
        lib.wait_for('it is ready', lambda: ' ready.' in container.output() or
                     container.process.poll() is not None, 30)
        self.assertIsNone(container.process.poll(), container.output())

    # ---- what is in it ----

    def test_size_is_what_the_readme_says(self):
        size, files = size_of(self.build.root.upper)
        megabytes = size / 1e6
        said = float(re.search(r'(\d+(?:\.\d+)?) MB in \d+ files', lib_deploy.read(
            lib_deploy.EXAMPLE, 'README.md')).group(1))
        print('the image has %.1f MB in %d files' % (megabytes, files))
        self.assertLess(abs(megabytes - said), 0.15 * said)

    def test_neither_shell_nor_tools(self):
        names = os.listdir(os.path.join(self.build.root.path, 'usr', 'bin'))
        self.assertEqual(sorted(names), ['celery', 'celery-c'])

    def test_nobody_else_may_write(self):
        for top, folders, names in os.walk(self.build.root.upper):
            for name in folders + names:
                path = os.path.join(top, name)
                st = os.lstat(path)
                if os.path.islink(path) or name == 'tmp':
                    continue
                self.assertFalse(st.st_mode & 0o022, path)
                self.assertFalse(st.st_mode & 0o6000, path)

    def test_modules_are_there_with_what_they_need(self):
        """Each feature of the Dockerfile is one that the image reports, and its module loads."""
        code, text = lib_deploy.run(Container.enter(self.build, ['celery', 'report'], {}))
        self.assertEqual(code, 0, text)
        folder = os.path.join(self.build.root.path, 'usr/lib/celery-c')
        found = {n for n in os.listdir(folder)}
        self.assertLessEqual({'ical.so', 'openssl.so', 'rabbitmq.so', 'curl.so',
                              'postgresql.so'}, found)
        for name in sorted(found):
            with self.subTest(name):
                path = os.path.join(folder, name)
                self.assertEqual(self.missing(path), [])

    def missing(self, path):
        """Names of NEEDED that the image does not have."""
        text = lib_deploy.run(['objdump', '-p', path])[1]
        needed = re.findall(r'NEEDED\s+(\S+)', text)
        have = set()
        for _, _, names in os.walk(os.path.join(self.build.root.path, 'usr')):
            have.update(names)
        return [n for n in needed if n not in have]

    # ---- how it runs ----

    def test_it_makes_a_calendar_and_ends(self):
        c = self.start(ICAL_PRESET='lenient', CELERY_WORKER_SHUTDOWN_TIMEOUT='5')
        self.ready(c)
        app = lib.celery_app(self.redis.url(), self.redis.url())
        self.addCleanup(app.close)
        todo = {'id': 1, 'title': 'Project Proposal', 'description': None, 'completed': False,
                'deadline_at': '2023-04-03T14:00:00', 'created_at': None, 'updated_at': None}
        text = app.send_task('ical', ([todo],), queue='ical').get(timeout=60)
        self.assertIn('SUMMARY:Project Proposal', text)
        code, said = self.probe(c)
        self.assertEqual((code, json.loads(said)['status']), (0, 'ok'))
        self.assertNotIn('superuser', c.output(), 'it does not run as root')
        self.stop(c)

    def stop(self, c):
        """What docker stop does: STOPSIGNAL to process 1 of the container."""
        number = getattr(signal, self.build.config['stopsignal'])
        pids = lib_deploy.run(['pgrep', '--parent', str(c.process.pid)])[1].split()
        os.kill(int(pids[0]), number)
        self.assertEqual(c.process.wait(20), 0, c.output())
        code, said = self.probe(c)
        self.assertEqual(code, 1)
        self.assertIn('no worker answers', said)

    def test_names_are_resolved(self):
        """getaddrinfo() works without a file of Debian's."""
        c = self.start(CELERY_BROKER_URL=self.redis.url().replace('127.0.0.1', 'localhost'))
        with open(os.path.join(self.build.root.path, 'etc/hosts'), 'w') as f:
            f.write('127.0.0.1 localhost\n')
        self.ready(c)


ASK = """
import boto3, psycopg2, pycurl, redis
import kombu.transport.SQS, celery.backends.database
from todo import create_app
client = create_app().test_client()
print(client.get('/api/v1/health').status_code, client.get('/').status_code)
made = client.post('/api/v1/todos', json={'title': 'one', 'deadline_at': '2023-04-03T14:00:00'})
print(made.status_code, made.json['deadline_at'])
"""


class App(unittest.TestCase):
    """The Flask application's image: Debian's packages are all that it needs."""

    def test_it_answers(self):
        build = dockerfile.Build(FILE + '.app', lib_deploy.ROOT)
        self.addCleanup(build.close)
        root, config = build.root, build.config
        with open(os.path.join(root.path, 'tmp', 'ask.py'), 'w') as f:
            f.write(ASK)
        text = root.run('python3 /tmp/ask.py', user=config['user'], workdir=config['workdir'],
                        env=dict(config['env'], HOME='/home/app', PYTHONPATH='/app',
                                 SQLALCHEMY_DATABASE_URI='sqlite:////tmp/todo.db'))
        self.assertEqual(text.split(), ['200', '200', '201', '2023-04-03T14:00:00'])
        self.assertEqual(sorted(os.listdir(os.path.join(root.path, 'app'))), ['todo'])
        self.assertEqual((config['cmd'][0], config['port']), ('python3', 6400))


if __name__ == '__main__':
    lib_deploy.main()
