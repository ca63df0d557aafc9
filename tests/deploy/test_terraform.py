#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Terraform files of TaskOverflow, read by python-hcl2: each argument is one that the AWS
provider has (aws_schema.json), each required one is there, each reference leads to something, and
what is said twice is said alike."""

import fcntl
import glob
import json
import os
import re
import subprocess
import unittest

import lib_deploy

FOLDER = os.path.join(lib_deploy.EXAMPLE, 'terraform')
PARSER = 'python-hcl2==8.1.4'
# Of every resource and data source (Terraform's own).
META = {'count', 'for_each', 'depends_on', 'provider', 'lifecycle'}
DUMP = '''
import hcl2, json, sys
out = {}
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as f:
        out[path] = hcl2.load(f)
print(json.dumps(out))
'''


def parser_python():
    """The python of a virtual environment that has the parser, made once."""
    folder = os.path.join(lib_deploy.BUILD, 'venvs', 'hcl')
    python = os.path.join(folder, 'bin', 'python')
    done = folder + '.done'
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(done) and lib_deploy.read(done) == PARSER:
            return python
        for argv in (['/usr/bin/python3', '-m', 'venv', '--clear', folder],
                     [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check',
                      '--retries', '1', '--timeout', '20', PARSER]):
            code, text = lib_deploy.run(argv, timeout=300)
            if code:
                raise unittest.SkipTest('%s: %s' % (PARSER, text.strip().splitlines()[-1:]))
        with open(done, 'w') as f:
            f.write(PARSER)
        return python


def plain(value):
    """Without the quotes that the parser leaves around names and texts."""
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()
                if not str(k).startswith('__')}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def texts(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from texts(v)
    elif isinstance(value, list):
        for v in value:
            yield from texts(v)
    elif isinstance(value, str):
        yield value


def parse(paths):
    p = subprocess.run([parser_python(), '-c', DUMP, *paths], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=120)
    if p.returncode:
        raise AssertionError(p.stderr.strip().splitlines()[-1])
    return [plain(d) for d in json.loads(p.stdout).values()]


class Module:
    """All files together, by kind of block."""

    def __init__(self, documents):
        self.variables, self.outputs, self.locals, self.blocks = {}, {}, {}, {}
        self.documents = documents
        for d in documents:
            for kind, into in (('variable', self.variables), ('output', self.outputs)):
                for block in d.get(kind, []):
                    into.update(block)
            for block in d.get('locals', []):
                self.locals.update(block)
            for kind, prefix in (('resource', ''), ('data', 'data.')):
                for block in d.get(kind, []):
                    (typ, named), = block.items()
                    for name, body in named.items():
                        self.blocks[prefix + typ, name] = body

    def references(self):
        """(kind, name, attribute) of all that expressions name."""
        for text in texts(self.documents):
            text = re.sub(r'"(?:[^"\\$]|\\.)*"', '""', text) if '${' in text else text
            for m in re.finditer(r'(?<![\w."-])(var|local)\.(\w+)', text):
                yield m.group(1), m.group(2), None
            for m in re.finditer(r'(?<![\w."/-])((?:data\.)?aws_\w+)\.(\w+)(?:\[\d+\])?'
                                 r'(?:\.(\w+))?', text):
                yield m.groups()


class Terraform(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.module = Module(parse(sorted(glob.glob(FOLDER + '/*.tf'))))
        cls.schema = json.loads(lib_deploy.read(lib_deploy.HERE, 'aws_schema.json'))

    def block(self, typ, name):
        return self.module.blocks[typ, name]

    def test_the_parser_refuses_what_is_no_hcl(self):
        bad = os.path.join(lib_deploy.BUILD, 'bad.tf')
        with open(bad, 'w') as f:
            f.write('resource "aws_sqs_queue" "x" {\n  name = \n}\n')
        self.addCleanup(os.remove, bad)
        with self.assertRaises(AssertionError):
            parse([bad])

    def check_arguments(self, where, body, schema):
        blocks = schema.get('blocks', {})
        names = set(body) - META
        known = set(schema['required']) | set(schema['optional']) | set(blocks)
        self.assertLessEqual(names, known, where)
        self.assertLessEqual(set(schema['required']), names, where)
        for name in names & set(blocks):
            several = body[name] if isinstance(body[name], list) else [body[name]]
            for one in several:
                self.check_arguments('%s %s' % (where, name), one, blocks[name])

    def test_arguments_are_those_of_the_provider(self):
        for (typ, name), body in self.module.blocks.items():
            self.check_arguments('%s.%s' % (typ, name), body, self.schema[typ])

    def test_references_lead_to_something(self):
        seen = 0
        for kind, name, attribute in self.module.references():
            seen += 1
            if kind == 'var':
                self.assertIn(name, self.module.variables)
            elif kind == 'local':
                self.assertIn(name, self.module.locals)
            else:
                self.assertIn((kind, name), self.module.blocks)
        self.assertGreater(seen, 60)

    def test_every_variable_is_used_and_described(self):
        used = {name for kind, name, _ in self.module.references() if kind == 'var'}
        self.assertEqual(used, set(self.module.variables))
        for name, body in self.module.variables.items():
            self.assertIn('type', body, name)
            self.assertTrue(body.get('description'), name)

    def test_what_has_no_default_is_in_the_example(self):
        given = set(re.findall(r'^(\w+) *=', lib_deploy.read(
            FOLDER, 'terraform.tfvars.example'), re.M))
        wanted = {n for n, b in self.module.variables.items() if 'default' not in b}
        self.assertEqual(given, wanted)

    def test_counted_resources_are_named_by_index(self):
        counted = {k for k, body in self.module.blocks.items() if 'count' in body}
        for text in texts(self.module.documents):
            for m in re.finditer(r'(?<![\w."])(aws_\w+)\.(\w+)(\[)?(?=[\[.])', text):
                indexed = m.group(3) or text[m.end():m.end() + 1] == '['
                self.assertEqual(bool(indexed), (m.group(1), m.group(2)) in counted, text)

    # ---- what the queues must be for the worker ----

    def test_queues(self):
        names = {n for t, n in self.module.blocks if t == 'aws_sqs_queue'}
        for name in names:
            body = self.block('aws_sqs_queue', name)
            fifo = body.get('fifo_queue', False)
            self.assertEqual(str(body['name']).endswith('.fifo'), bool(fifo), name)
            if name.startswith('demo'):
                continue  # nothing in it matters
            if 'dead' in name:
                self.assertEqual(body['message_retention_seconds'], 14 * 86400)
                continue
            dead = re.search(r'deadLetterTargetArn = aws_sqs_queue\.(\w+)\.arn',
                             body['redrive_policy']).group(1)
            target = self.block('aws_sqs_queue', dead)
            self.assertEqual(target.get('fifo_queue', False), fifo, 'FIFO goes to FIFO')
            self.assertLessEqual(body['receive_wait_time_seconds'], 20)
            self.assertLess(body['message_retention_seconds'],
                            target['message_retention_seconds'])
            allowed = self.block('aws_sqs_queue_redrive_allow_policy', dead)
            self.assertIn('aws_sqs_queue.%s.arn' % name, allowed['redrive_allow_policy'])
            self.assertIn('aws_sqs_queue.%s.id' % dead, allowed['queue_url'])

    def test_visibility_is_longer_than_aws_default(self):
        """30 s is the default of AWS: what waits behind a task of 50 s would run twice."""
        self.assertGreater(self.module.variables['visibility_timeout']['default'], 60)

    # ---- least rights ----

    def statements(self, name):
        found = self.block('data.aws_iam_policy_document', name)['statement']
        return found if isinstance(found, list) else [found]

    def test_the_worker_may_do_what_it_does_and_no_more(self):
        statement, dead = self.statements('worker')
        self.assertEqual(dead['actions'], ['sqs:GetQueueUrl', 'sqs:SendMessage'])
        self.assertTrue(all(re.search(r'aws_sqs_queue\.dead(_fifo)?\.arn', r)
                            for r in dead['resources']))
        self.assertEqual(
            sorted(statement['actions']),
            sorted('sqs:' + a for a in (
                'GetQueueUrl', 'GetQueueAttributes', 'ReceiveMessage', 'DeleteMessage',
                'ChangeMessageVisibility', 'SendMessage')))
        self.assertTrue(all(re.search(r'aws_sqs_queue\.ical(_fifo)?\.arn', r)
                            for r in statement['resources']))

    def test_no_star_but_where_aws_wants_one(self):
        for name in ('worker', 'execution'):
            for statement in self.statements(name):
                self.assertFalse([a for a in statement['actions'] if '*' in a])
                if '*' in statement['resources']:
                    self.assertEqual(statement['actions'], ['ecr:GetAuthorizationToken'])

    # ---- the container ----

    def test_the_container_is_the_image(self):
        text = self.block('aws_ecs_task_definition', 'worker')['container_definitions']
        image = lib_deploy.read(lib_deploy.EXAMPLE, 'Dockerfile')
        command = re.search(r'^CMD (\[.*\])$', image, re.M).group(1)
        health = re.search(r'HEALTHCHECK.*\\\n\s*CMD (\[.*\])$', image, re.M).group(1)
        words = re.findall(r'"([^"]*)"', re.search(r'[^.]\bcommand = (\[[^\]]*"--app[^\]]*\])',
                                                   text).group(1))
        self.assertEqual(words, json.loads(command))
        probe = re.findall(r'"([^"]*)"', re.search(r'healthCheck = \{\s*command = (\[[^\]]*\])',
                                                   text).group(1))
        self.assertEqual(probe, ['CMD', *json.loads(health)])

    def test_ecs_waits_longer_than_the_worker_drains(self):
        text = self.block('aws_ecs_task_definition', 'worker')['container_definitions']
        stop = int(re.search(r'stopTimeout = (\d+)', text).group(1))
        drain = float(re.search(r'"CELERY_WORKER_SHUTDOWN_TIMEOUT", value = "(\d+)"',
                                text).group(1))
        self.assertLessEqual(stop, 120, 'the longest that Fargate grants')
        self.assertGreaterEqual(stop, drain + 6)

    def test_the_password_is_no_environment_variable(self):
        text = self.block('aws_ecs_task_definition', 'worker')['container_definitions']
        self.assertRegex(text, r'secrets = \[\{name = "CELERY_RESULT_BACKEND", valueFrom = '
                               r'aws_secretsmanager_secret\.result_backend\.arn\}')
        self.assertNotRegex(text, r'"CELERY_RESULT_BACKEND", value ')
        self.assertTrue(self.module.variables['result_backend']['sensitive'])

    def test_environment_is_what_the_compose_file_gives(self):
        text = self.block('aws_ecs_task_definition', 'worker')['container_definitions']
        names = set(re.findall(r'\{name = "(\w+)"', text))
        self.assertLessEqual(
            {'CELERY_BROKER_URL', 'CELERY_RESULT_BACKEND', 'CELERY_DEFAULT_QUEUE'}, names)
        self.assertIn('{name = "CELERY_BROKER_URL", value = "sqs://"}', text)


if __name__ == '__main__':
    lib_deploy.main()
