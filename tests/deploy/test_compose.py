#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The compose files of TaskOverflow: read by docker-compose itself, which checks them against its
schema and needs no daemon for it, and compared with the Dockerfiles, with the application and
with each other."""

import glob
import os
import re
import shutil
import tempfile
import unittest

import lib_deploy
import yaml

FILES = sorted(os.path.basename(f) for f in glob.glob(
    os.path.join(lib_deploy.EXAMPLE, 'docker-compose*.yml')))
BROKERS = {
    'docker-compose.yml': 'redis',
    'docker-compose.rabbitmq.yml': 'amqp',
    'docker-compose.sqs.yml': 'sqs',
    'docker-compose.sqs-credentials.yml': 'sqs',
}


def setUpModule():
    if not shutil.which('docker-compose'):
        raise unittest.SkipTest('docker-compose is not installed')


def seconds(text):
    return int(re.fullmatch(r'(\d+)s', str(text)).group(1))


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # In a copy: aws.env is not part of the project.
        top = tempfile.mkdtemp(prefix='celery-c-compose-')
        cls.addClassCleanup(shutil.rmtree, top)
        cls.dir = os.path.join(top, 'examples', 'taskoverflow')
        shutil.copytree(lib_deploy.EXAMPLE, cls.dir)
        shutil.copy(os.path.join(cls.dir, 'aws.env.example'),
                    os.path.join(cls.dir, 'aws.env'))
        cls.files = {f: cls.config(f) for f in FILES}

    @classmethod
    def config(cls, name):
        code, text = lib_deploy.run(['docker-compose', '-f', name, 'config'], cwd=cls.dir)
        if code:
            raise AssertionError('%s: %s' % (name, text))
        return yaml.safe_load(text)['services']

    def each(self, *services):
        for name in FILES:
            for service in services:
                with self.subTest(file=name, service=service):
                    yield name, self.files[name][service]


class Compose(Case):
    def test_each_broker_has_its_file(self):
        self.assertEqual(sorted(BROKERS), FILES)
        for name, service in self.each('app', 'worker'):
            scheme = service['environment']['CELERY_BROKER_URL'].split(':')[0]
            self.assertEqual(scheme, BROKERS[name])

    def test_a_mistyped_key_is_refused(self):
        """That the check is one."""
        bad = os.path.join(self.dir, 'bad.yml')
        with open(bad, 'w') as f:
            f.write(lib_deploy.read(self.dir, 'docker-compose.yml').replace(
                'depends_on:', 'depends_upon:'))
        code, text = lib_deploy.run(['docker-compose', '-f', bad, 'config'], cwd=self.dir)
        self.assertNotEqual(code, 0)
        self.assertIn('depends_upon', text)

    def test_app_and_worker_speak_of_the_same(self):
        for name in FILES:
            app, worker = (self.files[name][s]['environment'] for s in ('app', 'worker'))
            for key in ('CELERY_BROKER_URL', 'CELERY_RESULT_BACKEND', 'CELERY_DEFAULT_QUEUE',
                        'AWS_DEFAULT_REGION', 'AWS_SHARED_CREDENTIALS_FILE'):
                self.assertEqual(app.get(key), worker.get(key), name + ' ' + key)

    def test_hosts_of_urls_are_services_that_are_waited_for(self):
        for name, service in self.each('app', 'worker'):
            for key, value in service['environment'].items():
                m = re.match(r'[a-z+]+://(?:[^@/]*@)?([\w-]+)(?::(\d+))?', str(value))
                if m and m.group(1) != '0':
                    self.assertIn(m.group(1), self.files[name], key)
                    self.assertIn(m.group(1), service['depends_on'], key)

    def test_passwords_are_those_that_the_servers_are_given(self):
        for name, service in self.each('app', 'worker'):
            for value in service['environment'].values():
                m = re.match(r'(?:db\+)?(postgresql|amqp)://(\w+):(\w+)@\w+:(\d+)/(\w*)',
                             str(value))
                if not m:
                    continue
                scheme, user, password, port, database = m.groups()
                if scheme == 'postgresql':
                    server = self.files[name]['database']['environment']
                    self.assertEqual(port, '5432')
                    self.assertEqual(database, server['POSTGRES_DB'])
                    given = server['POSTGRES_USER'], server['POSTGRES_PASSWORD']
                else:
                    server = self.files[name]['rabbitmq']['environment']
                    self.assertEqual(port, '5672')
                    given = (server['RABBITMQ_DEFAULT_USER'], server['RABBITMQ_DEFAULT_PASS'])
                self.assertEqual((user, password), given)

    def test_results_are_where_the_application_reads_them(self):
        """Section 6.3: CELERY_RESULT_BACKEND is SQLALCHEMY_DATABASE_URI with db+ before it."""
        for name, app in self.each('app'):
            env = app['environment']
            if env['CELERY_RESULT_BACKEND'].startswith('db+'):
                self.assertEqual(env['CELERY_RESULT_BACKEND'],
                                 'db+' + env['SQLALCHEMY_DATABASE_URI'])

    def test_build_files_exist(self):
        for name, service in self.each('app', 'worker'):
            build = service['build']
            self.assertEqual(os.path.normpath(build['context']),
                             os.path.dirname(os.path.dirname(self.dir)))
            path = os.path.join(lib_deploy.ROOT, build['dockerfile'])
            self.assertTrue(os.path.exists(path), path)
            self.assertTrue(os.path.exists(path + '.dockerignore'))

    def test_docker_waits_longer_than_the_worker_drains(self):
        """Six seconds: protocol-docs/operations.md, the end of a worker."""
        for _, worker in self.each('worker'):
            grace = worker['stop_grace_period']
            grace = 60 if grace == '1m' else seconds(grace)
            self.assertGreaterEqual(
                grace, float(worker['environment']['CELERY_WORKER_SHUTDOWN_TIMEOUT']) + 6)

    def test_credentials_are_mounted_where_they_are_looked_for(self):
        for service in ('app', 'worker'):
            it = self.files['docker-compose.sqs-credentials.yml'][service]
            target = it['volumes'][0].split(':')[1:]
            self.assertEqual(target, [it['environment']['AWS_SHARED_CREDENTIALS_FILE'], 'ro'])

    def test_aws_env_has_what_the_practical_has(self):
        """docker run --env-file keeps quotes and blanks, so there are none."""
        names = []
        for line in lib_deploy.read(self.dir, 'aws.env.example').splitlines():
            if not line.startswith('#'):
                self.assertRegex(line, r'^[A-Z_]+=[\w-]*$')
                names.append(line.split('=')[0])
        self.assertLessEqual({'TERM', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY',
                              'AWS_SESSION_TOKEN', 'AWS_DEFAULT_REGION'}, set(names))
        code, text = lib_deploy.run(
            ['git', 'check-ignore', 'examples/taskoverflow/aws.env',
             'examples/taskoverflow/credentials',
             'examples/taskoverflow/terraform/terraform.tfvars'], cwd=lib_deploy.ROOT)
        if os.path.exists(os.path.join(lib_deploy.ROOT, '.git')):
            self.assertEqual((code, len(text.splitlines())), (0, 3), text)

    def test_the_practicals_command_is_run(self):
        for _, worker in self.each('worker'):
            command = worker['command']
            words = command.split() if isinstance(command, str) else command
            self.assertEqual(words, ['celery', '--app', 'todo.tasks.ical', 'worker',
                                     '--loglevel=info'])


if __name__ == '__main__':
    lib_deploy.main()
