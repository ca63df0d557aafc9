#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Signed calls to a server that plays AWS: retries, expired credentials, skewed clocks, and
where credentials come from."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'interop'), os.path.join(HERE, '..', 'support')]
import fakeaws  # noqa: E402
import lib  # noqa: E402

CALL = lib.built('tests/integration/aws_call')
KEYS = {'AWS_ACCESS_KEY_ID': 'AKID', 'AWS_SECRET_ACCESS_KEY': 'SECRET'}


class Case(unittest.TestCase):
    def setUp(self):
        if not CALL or not lib.built('libcelery-c/src/modules/curl.so'):
            self.skipTest('built without libcurl')
        self.fake = fakeaws.FakeAWS()
        self.addCleanup(self.fake.stop)
        self.folder = tempfile.mkdtemp(prefix='celery-aws-')
        self.addCleanup(subprocess.call, ['rm', '-rf', self.folder])

    def start(self, *args, env=KEYS, options=()):
        """env alone is the program's environment: no AWS_ of ours, no metadata service."""
        full = {'PATH': os.environ['PATH'], 'HOME': self.folder,
                'CELERY_MODULE_PATH': os.path.join(lib.BUILD, 'libcelery-c/src/modules'),
                'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_ENDPOINT_URL': self.fake.url,
                'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', ''), **env}
        return subprocess.Popen([CALL, *options, *args], env=full, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_calls(self, *args, **kw):
        p = self.start(*args, **kw)
        out, err = p.communicate(timeout=60)
        self.assertIn('requests: ', err)
        self.assertNotRegex(err, lib.SANITIZER)
        self.output = out
        self.assertNotIn('SECRET', out + err)
        return [json.loads(line) for line in out.splitlines()]

    def call(self, action='ListQueues', params='{}', **kw):
        answers = self.run_calls(action, params, **kw)
        self.assertEqual(len(answers), 1)
        return answers[0]


class TestCalls(Case):
    def test_signed(self):
        self.fake.script = [fakeaws.Answer({'QueueUrls': ['http://x/ü']})]
        a = self.call(params='{"QueueNamePrefix": "ü"}', options=['--region', 'eu-west-1'])
        self.assertEqual(a, {'ok': True, 'http': 200, 'again': False, 'code': '',
                             'result': {'QueueUrls': ['http://x/ü']}})
        r = self.fake.requests[0]
        self.assertEqual(r.json, {'QueueNamePrefix': 'ü'})
        self.assertEqual(r.credential()[2:], ('eu-west-1', 'sqs'))
        self.assertEqual(r.headers['content-type'], 'application/x-amz-json-1.0')
        self.assertEqual(r.headers['x-amz-target'], 'AmazonSQS.ListQueues')
        self.assertNotIn('expect', r.headers)

    def test_connection_is_kept(self):
        self.run_calls(*['ListQueues', '{}'] * 5)
        self.assertEqual({r.connection for r in self.fake.requests}, {1})

    def test_empty_body(self):
        self.fake.script = [fakeaws.Answer(b'')]
        self.assertEqual(self.call('DeleteMessage')['result'], {})

    def test_errors(self):
        self.fake.script = [
            fakeaws.error('QueueDoesNotExist', message='There is none.\nsecond line'),
            fakeaws.Answer({'__type': 'AccessDenied', 'Message': 'You\x1b[0m may not'}, 403),
            fakeaws.Answer('gone', 404),
        ]
        a, b, c = self.run_calls(*['GetQueueUrl', '{}'] * 3)
        self.assertEqual((a['code'], a['http'], a['again'], a['status']),
                         ('QueueDoesNotExist', 400, False, 'CELERY_EINVAL'))
        self.assertEqual(a['error'],
                         'sqs GetQueueUrl: QueueDoesNotExist: There is none. (HTTP 400)')
        self.assertEqual((b['code'], b['status']), ('AccessDenied', 'CELERY_EAUTH'))
        self.assertIn('You\\x1b[0m may not', b['error'])
        self.assertEqual((c['code'], c['http']), ('', 404))
        self.assertEqual(len(self.fake.requests), 3)

    def test_tried_again(self):
        self.fake.script = [fakeaws.error('InternalError', 500), fakeaws.error('Throttling')]
        self.assertTrue(self.call()['ok'])
        self.assertEqual(len(self.fake.requests), 3)

    def test_tries_end(self):
        self.fake.default = lambda r: fakeaws.error('ServiceUnavailable', 503)
        a = self.call(options=['--tries', '2'])
        self.assertEqual((a['again'], a['status'], a['code']),
                         (True, 'CELERY_ECONNECT', 'ServiceUnavailable'))
        self.assertEqual(len(self.fake.requests), 2)

    def test_truncated(self):
        """Whether it was done is not known: tried again, and told as uncertain."""
        for answer in (fakeaws.Answer({'a': 'b' * 1000}, cut=100),
                       fakeaws.Answer('{"a": "b', length=False), fakeaws.Answer(cut=-1),
                       fakeaws.error('InternalError', 500)):
            self.fake.requests.clear()
            self.fake.default = lambda r, answer=answer: answer
            a = self.call('SendMessage', options=['--tries', '2'])
            self.assertEqual((a['again'], a['status']), (True, 'CELERY_EUNCERTAIN'), a)
            self.assertGreaterEqual(len(self.fake.requests), 2)
            self.fake.script = [answer]
            self.fake.default = lambda r: fakeaws.Answer({'MessageId': '1'})
            self.assertTrue(self.call('SendMessage')['ok'])

    def test_timeout(self):
        self.fake.default = lambda r: fakeaws.Answer(wait=2)
        a = self.call('SendMessage', options=['--tries', '1', '--timeout', '0.3'])
        self.assertEqual((a['again'], a['status']), (True, 'CELERY_EUNCERTAIN'))

    def test_nobody_there(self):
        self.fake.stop()
        a = self.call('SendMessage', options=['--tries', '2'])
        self.assertEqual((a['again'], a['status'], a['http']), (True, 'CELERY_ECONNECT', 0))
        self.assertIn(self.fake.url, a['error'])

    def test_expired(self):
        """The environment cannot have changed; it is tried once more all the same."""
        self.fake.script = [fakeaws.error('ExpiredToken', 403)]
        self.assertTrue(self.call()['ok'])
        self.fake.default = lambda r: fakeaws.error('ExpiredToken', 403)
        self.fake.requests.clear()
        a = self.call()
        self.assertEqual((a['code'], a['status'], a['again']),
                         ('ExpiredToken', 'CELERY_EAUTH', False))
        self.assertEqual(len(self.fake.requests), 2)

    def test_wrong_secret(self):
        a = self.call(env={**KEYS, 'AWS_SECRET_ACCESS_KEY': 'x', 'AWS_SESSION_TOKEN': 'TOKEN'})
        self.assertEqual((a['ok'], a['code']), (False, 'InvalidClientTokenId'))
        a = self.call(env={**KEYS, 'AWS_SECRET_ACCESS_KEY': 'x'})
        self.assertEqual((a['ok'], a['code']), (False, 'SignatureDoesNotMatch'))
        self.assertNotIn('Canonical', a['error'])

    def test_clock(self):
        for skew in (-3600, 86400 * 400):
            self.fake.skew = skew
            self.fake.requests.clear()
            answers = self.run_calls(*['ListQueues', '{}'] * 3)
            self.assertEqual([a['ok'] for a in answers], [True] * 3)
            self.assertEqual(len(self.fake.requests), 4)

    def test_cancelled(self):
        """The connection of a long poll is closed, calls go on beside it."""
        self.fake.script = [fakeaws.Answer(wait=3)]
        a, b = self.run_calls('ReceiveMessage', '{}', 'ListQueues', '{}',
                              options=['--poll', '--cancel', '0.3', '--timeout', '20'])
        self.assertEqual(a, {'cancelled': True})
        self.assertTrue(b['ok'])
        self.assertLess(self.fake.requests[1].time - self.fake.requests[0].time, 2)
        self.assertEqual([r.connection for r in self.fake.requests], [1, 2])


if __name__ == '__main__':
    lib.main()
