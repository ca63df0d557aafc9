#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Signed calls to a server that plays AWS: retries, expired credentials, skewed clocks, and
where credentials come from."""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
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

    def write(self, name, text):
        with open(os.path.join(self.folder, name), 'w', encoding='utf-8', newline='') as f:
            f.write(text)

    def run_calls(self, *args, **kw):
        p = self.start(*args, **kw)
        out, err = p.communicate(timeout=60)
        self.assertIn('requests: ', err)
        self.assertNotRegex(err, lib.SANITIZER)
        self.output = out
        self.assertNotRegex(out + err, r'(?<!_)SECRET\d?(?!_)|TOKEN')
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


    def test_redirect(self):
        """Followed nowhere: a signature is for one host."""
        self.fake.script = [fakeaws.Answer('', 307, {'Location': self.fake.url + '/x'})]
        self.assertEqual(self.call()['http'], 307)
        self.assertEqual(len(self.fake.requests), 1)

    def test_bad_region(self):
        p = self.start('ListQueues', '{}', options=['--region', 'a.evil/'])
        self.assertIn('not an AWS region: "a.evil/"', p.communicate(timeout=20)[1])

    def test_region(self):
        """As boto3, then AWS_REGION."""
        folder = os.path.join(self.folder, '.aws')
        os.mkdir(folder)
        self.call()
        self.write('.aws/config', '[default]\nregion = eu-west-3\n')
        self.call()
        self.call(env={**KEYS, 'AWS_REGION': 'eu-west-2'})
        self.call(env={**KEYS, 'AWS_REGION': 'eu-west-2', 'AWS_DEFAULT_REGION': 'eu-west-1'})
        self.assertEqual([r.credential()[2] for r in self.fake.requests],
                         ['us-east-1', 'eu-west-3', 'eu-west-2', 'eu-west-1'])


class TestQuery(Case):
    def test_older_endpoint(self):
        """One that knows no JSON is asked in JSON once."""
        self.fake.query_only = True
        self.fake.script = [
            fakeaws.Answer('<?xml version="1.0"?><ReceiveMessageResponse xmlns="http://queue.'
                           'amazonaws.com/doc/2012-11-05/"><ReceiveMessageResult><Message>'
                           '<MessageId>m</MessageId><Body>a &lt;&amp;&#xE9;</Body><Attribute>'
                           '<Name>ApproximateReceiveCount</Name><Value>2</Value></Attribute>'
                           '</Message></ReceiveMessageResult></ReceiveMessageResponse>'),
            fakeaws.Answer('<SendMessageBatchResponse><SendMessageBatchResult>'
                           '<SendMessageBatchResultEntry><Id>0</Id></SendMessageBatchResultEntry>'
                           '<BatchResultErrorEntry><Id>1</Id><SenderFault>true</SenderFault>'
                           '</BatchResultErrorEntry></SendMessageBatchResult>'
                           '</SendMessageBatchResponse>'),
            fakeaws.xml_error('AWS.SimpleQueueService.NonExistentQueue', message='None.'),
            fakeaws.xml_error('Throttling'),
            fakeaws.Answer('<DeleteMessageResponse><ResponseMetadata/></DeleteMessageResponse>'),
        ]
        a, b, c, d = self.run_calls(
            'ReceiveMessage', '{"QueueUrl": "http://q/1/a", "MaxNumberOfMessages": 10, '
            '"MessageSystemAttributeNames": ["ApproximateReceiveCount"]}',
            'SendMessageBatch', '{"Entries": [{"Id": "0", "MessageBody": "ä&="}, {"Id": "1"}]}',
            'GetQueueUrl', '{}', 'DeleteMessage', '{}')
        self.assertEqual(a['result'], {'Messages': [
            {'MessageId': 'm', 'Body': 'a <&é', 'Attributes': {'ApproximateReceiveCount': '2'}}]})
        self.assertEqual(b['result'], {'Successful': [{'Id': '0'}],
                                       'Failed': [{'Id': '1', 'SenderFault': True}]})
        self.assertEqual((c['code'], c['http']), ('QueueDoesNotExist', 400))
        self.assertEqual(d['result'], {})
        self.assertEqual(['x-amz-target' in r.headers for r in self.fake.requests],
                         [True] + [False] * 5)
        self.assertEqual(self.fake.requests[1].form, {
            'Action': 'ReceiveMessage', 'Version': '2012-11-05', 'QueueUrl': 'http://q/1/a',
            'MaxNumberOfMessages': '10', 'AttributeName.1': 'ApproximateReceiveCount'})
        self.assertEqual(self.fake.requests[2].form, {
            'Action': 'SendMessageBatch', 'Version': '2012-11-05',
            'SendMessageBatchRequestEntry.1.Id': '0',
            'SendMessageBatchRequestEntry.1.MessageBody': 'ä&=',
            'SendMessageBatchRequestEntry.2.Id': '1'})

    def test_sns(self):
        self.fake.script = [fakeaws.Answer(
            '<ListTopicsResponse><ListTopicsResult><Topics><member><TopicArn>a</TopicArn></member>'
            '<member><TopicArn>b</TopicArn></member></Topics></ListTopicsResult>'
            '</ListTopicsResponse>')]
        a = self.call('ListTopics', options=['--service', 'sns'])
        self.assertEqual(a['result'], {'Topics': [{'TopicArn': 'a'}, {'TopicArn': 'b'}]})
        self.assertEqual(self.fake.requests[0].credential()[3], 'sns')
        self.assertEqual(self.fake.requests[0].form['Version'], '2010-03-31')

    def test_broken_answer(self):
        self.fake.query_only = True
        self.fake.default = lambda r: fakeaws.Answer('<A><B', length=False)
        a = self.call('SendMessage', options=['--tries', '1'])
        self.assertEqual((a['status'], a['again']), ('CELERY_EUNCERTAIN', True))


def keys_json(key='AKID2', token='TOKEN', seconds=3600, **more):
    return dict({'AccessKeyId': key, 'SecretAccessKey': 'SECRET2', 'Token': token,
                 'Expiration': time.strftime('%Y-%m-%dT%H:%M:%SZ',
                                             time.gmtime(time.time() + seconds))}, **more)


def role_xml(action, key='AKID3', seconds=3600):
    k = keys_json(seconds=seconds)
    return fakeaws.Answer(
        '<%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%sResult><Credentials>'
        '<AccessKeyId>%s</AccessKeyId><SecretAccessKey>SECRET3</SecretAccessKey><SessionToken>'
        'TOKEN3</SessionToken><Expiration>%s</Expiration></Credentials></%sResult></%sResponse>'
        % (action, action, key, k['Expiration'], action, action))


class TestCredentials(Case):
    def setUp(self):
        super().setUp()
        os.mkdir(os.path.join(self.folder, '.aws'))
        self.fake.keys.update({'AKID2': ('SECRET2', 'TOKEN'), 'AKID3': ('SECRET3', 'TOKEN3')})

    def used(self):
        return [r.credential()[0] for r in self.fake.requests if r.credential()]

    def fails(self, pattern, env, again=False):
        a = self.call(env=env)
        self.assertFalse(a['ok'])
        self.assertRegex(a['error'], pattern)
        self.assertEqual(a['again'], again, a)
        return a

    # -- environment

    def test_environment(self):
        env = {'AWS_ACCESS_KEY_ID': 'AKID2', 'AWS_SECRET_ACCESS_KEY': 'SECRET2'}
        self.assertTrue(self.call(env={**env, 'AWS_SESSION_TOKEN': 'TOKEN'})['ok'])
        self.assertTrue(self.call(env={**env, 'AWS_SECURITY_TOKEN': 'TOKEN',
                                       'AWS_SESSION_TOKEN': 'other'})['ok'])
        self.fails('AWS_SECRET_ACCESS_KEY is not', {'AWS_ACCESS_KEY_ID': 'AKID'})
        self.fails('begins with a quote', {**KEYS, 'AWS_ACCESS_KEY_ID': '"AKID"'})
        self.fails('of the environment have expired',
                   {**KEYS, 'AWS_CREDENTIAL_EXPIRATION': '2020-01-01T00:00:00Z'})

    def test_url(self):
        """Keys of the URL are before all others."""
        a = self.call(env={**KEYS, 'AWS_SESSION_TOKEN': 'x'},
                      options=['--key', 'AKID', '--secret', 'SECRET'])
        self.assertTrue(a['ok'])

    # -- files

    def test_credentials_file(self):
        self.write('.aws/credentials', '\ufeff# mine\r\n[default]\r\nAWS_ACCESS_KEY_ID = AKID2\r\n'
                   'aws_secret_access_key=SECRET2\r\naws_session_token : TOKEN\r\n')
        self.assertTrue(self.call(env={})['ok'])
        self.write('.aws/credentials', '[default]\naws_access_key_id = x\n')
        self.fails('profile default lacks aws_secret_access_key', {})
        self.write('.aws/credentials', 'aws_access_key_id = x\n')
        self.fails('credentials, line 1: no section before it', {'AWS_REGION': 'us-east-1'})
        self.assertTrue(self.call(env={**KEYS, 'AWS_REGION': 'us-east-1'})['ok'])
        p = self.start('ListQueues', '{}', env={})  # as boto3: the region may stand in there
        self.assertIn('credentials, line 1: no section before it', p.communicate(timeout=20)[1])

    def test_profiles(self):
        self.write('cred', '[a]\naws_access_key_id=AKID\naws_secret_access_key=SECRET\n')
        self.write('conf', '[profile "b c"]\naws_access_key_id=AKID2\ns3 =\n  x = y\n'
                   'aws_secret_access_key=SECRET2\naws_session_token=TOKEN\nregion=eu-north-1\n')
        env = {'AWS_SHARED_CREDENTIALS_FILE': '~/cred',
               'AWS_CONFIG_FILE': os.path.join(self.folder, 'conf')}
        self.assertTrue(self.call(env={**env, 'AWS_PROFILE': 'a'})['ok'])
        self.assertTrue(self.call(env={**env, 'AWS_PROFILE': 'a',
                                       'AWS_DEFAULT_PROFILE': 'b c'})['ok'])
        self.assertEqual([r.credential()[0::2] for r in self.fake.requests],
                         [('AKID', 'us-east-1'), ('AKID2', 'eu-north-1')])
        self.fails('profile zz is neither in .*cred nor in .*conf', {**env, 'AWS_PROFILE': 'zz'})

    def test_nothing(self):
        """One line names each source that was tried."""
        a = self.fails('^no AWS credentials: no AWS_ACCESS_KEY_ID; no role_arn; no web identity; '
                       'no ~/.aws/credentials; no ~/.aws/config; no container; EC2.* off$', {})
        self.assertEqual(a['status'], 'CELERY_EAUTH')
        os.mkdir(os.path.join(self.folder, '.aws/credentials'))
        self.fails('.aws/credentials is no file', {})

    def test_read_anew(self):
        """A session of a lab has ended, and somebody has put the next keys into the file."""
        text = '[default]\naws_access_key_id=%s\naws_secret_access_key=SECRET\n'
        self.write('.aws/credentials', text % 'OLD')
        self.fake.keys['OLD'] = ('SECRET', None)

        def expire(request):
            self.write('.aws/credentials', text % 'AKID')
            return fakeaws.error('ExpiredToken', 403)
        self.fake.script = [fakeaws.Answer({}), expire]
        answers = self.run_calls(*['ListQueues', '{}'] * 3, env={})
        self.assertEqual([a['ok'] for a in answers], [True] * 3)
        self.assertEqual(self.used(), ['OLD', 'OLD', 'AKID', 'AKID'])

    # -- containers

    def container(self, answers):
        """A server of its own, with no signatures."""
        server = fakeaws.FakeAWS()
        self.addCleanup(server.stop)
        server.routes['GET /creds'] = lambda r: answers.pop(0) if len(answers) > 1 else answers[0]
        return server

    def test_container(self):
        server = self.container([fakeaws.Answer(keys_json())])
        self.write('token', 'Basic abc')
        a = self.run_calls(*['ListQueues', '{}'] * 3, env={
            'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.url + '/creds',
            'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': os.path.join(self.folder, 'token'),
            'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'no', 'http_proxy': 'http://127.0.0.1:1',
            'no_proxy': '127.0.0.1'})
        self.assertEqual([x['ok'] for x in a], [True] * 3)
        self.assertEqual(self.used(), ['AKID2'] * 3)
        self.assertEqual(len(server.requests), 1)
        self.assertEqual(server.requests[0].headers['authorization'], 'Basic abc')
        self.assertEqual(server.requests[0].headers['accept'], 'application/json')

    def test_no_proxy_for_metadata(self):
        """Calls go through it, metadata does not."""
        server = self.container([fakeaws.Answer(keys_json())])
        proxy = fakeaws.FakeAWS()
        self.addCleanup(proxy.stop)
        proxy.answer = lambda r: proxy.requests.append(r) or fakeaws.Answer({})
        a = self.call(env={'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.url + '/creds',
                           'http_proxy': proxy.url})
        self.assertTrue(a['ok'])
        self.assertEqual([r.path for r in proxy.requests], [self.fake.url + '/'])
        self.assertEqual(len(server.requests), 1)

    def test_container_is_tried_again(self):
        server = self.container([fakeaws.Answer('no', 500), fakeaws.Answer('{'),
                                 fakeaws.Answer(keys_json())])
        env = {'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.url + '/creds'}
        self.assertTrue(self.call(env=env)['ok'])
        self.assertEqual(len(server.requests), 3)
        times = [r.time for r in server.requests]
        self.assertGreaterEqual(times[1] - times[0], 0.9)

    def test_container_fails(self):
        """Set and broken: no other source is asked."""
        server = self.container([fakeaws.Answer('no', 500)])
        self.fails("container's endpoint: HTTP 500", {
            'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.url + '/creds'}, again=True)
        self.assertEqual(len(server.requests), 3)
        big = self.container([fakeaws.Answer(b' ' * (2 << 20))])
        self.fails("container's endpoint", {
            'AWS_CONTAINER_CREDENTIALS_FULL_URI': big.url + '/creds'})
        for uri in ('http://192.0.2.1/', 'http://127.0.0.1@192.0.2.1/', 'file:///etc/passwd'):
            self.fails('neither https nor', {'AWS_CONTAINER_CREDENTIALS_FULL_URI': uri})
        self.fails('does not begin with "/"', {
            'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI': '@127.0.0.1/'})
        self.fails('has a line end', {
            'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.url + '/creds',
            'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'a\r\nb: c'})

    def test_refreshed(self):
        """Within a sixth of their life they are not used before the next ones were asked for."""
        server = self.container([fakeaws.Answer(keys_json(seconds=2)),
                                 fakeaws.Answer(keys_json('AKID4'))])
        self.fake.keys['AKID4'] = ('SECRET2', 'TOKEN')
        env = {'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.url + '/creds'}
        a = self.run_calls('ListQueues', '{}', 'sleep', '2.1', 'ListQueues', '{}', env=env)
        self.assertEqual([x['ok'] for x in a], [True] * 2)
        self.assertEqual(self.used(), ['AKID2', 'AKID4'])

    # -- EC2

    def imds(self, v1=False, keys=None):
        server = fakeaws.FakeAWS()
        self.addCleanup(server.stop)
        path = '/latest/meta-data/iam/security-credentials/'
        secret = {} if v1 else {'x-aws-ec2-metadata-token': 'T=='}

        def guard(answer):
            return lambda r: (answer if secret.items() <= r.headers.items()
                              else fakeaws.Answer('', 401))
        server.routes['PUT /latest/api/token'] = lambda r: (
            fakeaws.Answer('', 403) if v1 else fakeaws.Answer('T=='))
        server.routes['GET ' + path] = guard(fakeaws.Answer('LabRole\n'))
        server.routes['GET ' + path + 'LabRole'] = guard(
            fakeaws.Answer(keys or keys_json(Code='Success')))
        return server, {'AWS_EC2_METADATA_SERVICE_ENDPOINT': server.url,
                        'AWS_EC2_METADATA_DISABLED': 'false'}

    def test_ec2(self):
        server, env = self.imds()
        a = self.run_calls(*['ListQueues', '{}'] * 2, env=env)
        self.assertEqual([x['ok'] for x in a], [True] * 2)
        self.assertEqual(self.used(), ['AKID2'] * 2)
        self.assertEqual([r.method for r in server.requests], ['PUT', 'GET', 'GET'])
        self.assertEqual(
            server.requests[0].headers['x-aws-ec2-metadata-token-ttl-seconds'], '21600')
        server, env = self.imds(v1=True)
        self.assertTrue(self.call(env=env)['ok'])
        self.fails('metadata: HTTP 403', {**env, 'AWS_EC2_METADATA_V1_DISABLED': 'true'})

    def test_ec2_is_late(self):
        """Keys that have ended are used until there are others."""
        server, env = self.imds(keys=keys_json(seconds=-100))
        a = self.run_calls(*['ListQueues', '{}'] * 3, env=env)
        self.assertEqual([x['ok'] for x in a], [True] * 3)
        self.assertEqual(len(server.requests), 3)

    def test_ec2_fails(self):
        server, env = self.imds(keys={'Code': 'AssumeRoleUnauthorizedAccess', 'Message': 'm'})
        self.fails("EC2's metadata: no keys in the answer: AssumeRoleUn", env)
        server.routes['GET /latest/meta-data/iam/security-credentials/'] = (
            lambda r: fakeaws.Answer('', 404))
        self.fails("EC2's metadata: HTTP 404", env)
        server.routes['PUT /latest/api/token'] = lambda r: fakeaws.Answer('x', wait=1)
        self.fails("EC2's metadata", {
            **env, 'AWS_METADATA_SERVICE_TIMEOUT': '0.2', 'AWS_EC2_METADATA_V1_DISABLED': 'true'})

    # -- roles

    def test_role_of_options(self):
        """kombu's sts_role_arn."""
        self.fake.script = [role_xml('AssumeRole')]
        for options in ([], ['--key', 'AKID', '--secret', 'SECRET']):
            self.fake.script = [role_xml('AssumeRole')]
            self.fake.requests.clear()
            a = self.run_calls(*['ListQueues', '{}'] * 2, options=[
                '--role', 'arn:aws:iam::1:role/r', *options])
            self.assertEqual([x['ok'] for x in a], [True] * 2)
            self.assertEqual(self.used(), ['AKID', 'AKID3', 'AKID3'])
            self.assertEqual(self.fake.requests[0].form, {
                'Action': 'AssumeRole', 'Version': '2011-06-15', 'RoleSessionName': 'Celery',
                'RoleArn': 'arn:aws:iam::1:role/r', 'DurationSeconds': '900'})
            self.assertEqual(self.fake.requests[0].credential()[3], 'sts')

    def test_roles_of_profiles(self):
        self.write('.aws/config', '[profile a]\nrole_arn = arn:a\nsource_profile = b\n'
                   'external_id = e\nrole_session_name = s\nduration_seconds = 1000\n'
                   '[profile b]\nrole_arn = arn:b\nsource_profile = c\n')
        self.write('.aws/credentials',
                   '[c]\naws_access_key_id=AKID\naws_secret_access_key=SECRET\n')
        self.fake.script = [role_xml('AssumeRole', 'AKID4'), role_xml('AssumeRole')]
        self.fake.keys['AKID4'] = ('SECRET3', 'TOKEN3')
        self.assertTrue(self.call(env={'AWS_PROFILE': 'a'})['ok'])
        self.assertEqual(self.used(), ['AKID', 'AKID4', 'AKID3'])
        form = self.fake.requests[1].form
        self.assertEqual((form['RoleArn'], form['ExternalId'], form['RoleSessionName'],
                          form['DurationSeconds']), ('arn:a', 'e', 's', '1000'))
        self.assertEqual(self.fake.requests[0].form['RoleArn'], 'arn:b')

    def test_credential_source(self):
        text = '[default]\nrole_arn = arn:a\ncredential_source = %s\n'
        self.write('.aws/config', text % 'Ec2InstanceMetadata')
        _, env = self.imds()
        self.fake.script = [role_xml('AssumeRole')]
        self.assertTrue(self.call(env=env)['ok'])
        self.assertEqual(self.used(), ['AKID2', 'AKID3'])
        self.write('.aws/config', text % 'EcsContainer')
        self.fails('nothing to assume a role with: no container', {})
        self.write('.aws/config', text % 'Other')
        self.fails('unknown credential_source', {})
        self.write('.aws/config', '[default]\nrole_arn = arn:a\n')
        self.fails('needs one of source_profile and credential_source', {})
        self.write('.aws/config', '[default]\nrole_arn = a\nsource_profile = b\n'
                   '[profile b]\nrole_arn = b\nsource_profile = default\n')
        self.fails('too many roles in a row', {})

    def test_role_is_refused(self):
        self.fake.default = lambda r: fakeaws.xml_error('AccessDenied', 403, 'Not you.')
        a = self.call(options=['--role', 'arn:x'])
        self.assertEqual((a['status'], a['again']), ('CELERY_EAUTH', False))
        self.assertIn('sts AssumeRole: AccessDenied: Not you.', a['error'])

    def test_web_identity(self):
        """Unsigned; the token's file is read each time."""
        self.write('jwt', 'ey.J.1')
        env = {'AWS_WEB_IDENTITY_TOKEN_FILE': os.path.join(self.folder, 'jwt'),
               'AWS_ROLE_ARN': 'arn:w', 'AWS_ROLE_SESSION_NAME': 'pod'}

        def first(request):
            self.write('jwt', 'ey.J.2')
            return role_xml('AssumeRoleWithWebIdentity')
        self.fake.script = [first, fakeaws.error('ExpiredToken', 403),
                            role_xml('AssumeRoleWithWebIdentity')]
        self.assertTrue(self.call(env=env)['ok'])
        tokens = [r.form['WebIdentityToken'] for r in self.fake.requests
                  if 'x-amz-target' not in r.headers]
        self.assertEqual(tokens, ['ey.J.1', 'ey.J.2'])
        self.assertIsNone(self.fake.requests[0].credential())
        self.assertEqual(self.fake.requests[0].form['RoleSessionName'], 'pod')
        # Ten calls whose keys have ended fetch the next ones once.
        self.fake.requests.clear()
        self.fake.script = [role_xml('AssumeRoleWithWebIdentity', 'OLD'),
                            role_xml('AssumeRoleWithWebIdentity')]
        a = self.run_calls(*['ListQueues', '{}'] * 10, env=env, options=['--together'])
        self.assertEqual([x['ok'] for x in a], [True] * 10)
        self.assertEqual(self.used().count('AKID3'), 10)
        self.assertEqual(len([r for r in self.fake.requests if not r.credential()]), 2)
        del env['AWS_ROLE_ARN']
        self.fails('AWS_ROLE_ARN is not set', env)
        self.fails('web identity: .*nowhere', {
            'AWS_WEB_IDENTITY_TOKEN_FILE': '/nowhere', 'AWS_ROLE_ARN': 'a'})


class TestTLS(Case):
    def setUp(self):
        super().setUp()
        self.fake.stop()
        key, cert = (os.path.join(self.folder, n) for n in ('key.pem', 'cert.pem'))
        subprocess.check_call(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
             '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=x',
             '-addext', 'subjectAltName=DNS:localhost'], stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.cert = cert
        self.fake = fakeaws.FakeAWS(tls=context)
        self.addCleanup(self.fake.stop)

    def test_verified(self):
        port = self.fake.port
        right, wrong = 'https://localhost:%d' % port, 'https://127.0.0.1:%d' % port
        for url, options, ok in (
                (right, ['--ca', self.cert], True), (right, [], False),
                (wrong, ['--ca', self.cert], False), (wrong, ['--insecure'], True)):
            a = self.call(options=['--endpoint', url, '--tries', '1', *options])
            self.assertEqual(a['ok'], ok, (url, options, a))
            if not ok:
                self.assertRegex(a['error'], 'certificate|subject')
                self.assertEqual((a['status'], a['http']), ('CELERY_ECONNECT', 0))
        a = self.call(env={**KEYS, 'AWS_CA_BUNDLE': self.cert}, options=['--endpoint', right])
        self.assertTrue(a['ok'])


if __name__ == '__main__':
    lib.main()
