#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""celery-c queue: order, duplicates and deduplication of SQS made visible, on an emulator."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import lib  # noqa: E402
import sqs  # noqa: E402


class Queue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.count = 0
        try:
            cls.server = sqs.Sqs()
        except sqs.Failed as exc:
            raise unittest.SkipTest(str(exc)) from None

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def make(self, fifo=False):
        Queue.count += 1
        name = 'prac%d%s' % (Queue.count, '.fifo' if fifo else '')
        attributes = {'FifoQueue': 'true', 'ContentBasedDeduplication': 'true'} if fifo else {}
        self.server.call('CreateQueue', QueueName=name, Attributes=attributes)
        return name

    def environ(self, **more):
        env = {k: v for k, v in lib.env_of_workers().items() if not k.startswith('AWS_')}
        return dict(env, AWS_ACCESS_KEY_ID='AKTEST', AWS_SECRET_ACCESS_KEY='not-for-logs',
                    AWS_ENDPOINT_URL_SQS=self.server.endpoint(),
                    AWS_EC2_METADATA_DISABLED='true', HOME=lib.tmpdir(), **more)

    def argv(self, *args):
        return [lib.CELERY_C, 'queue'] + list(args)

    def run_it(self, *args, code=0, env=None):
        p = subprocess.run(self.argv(*args), env=env or self.environ(), timeout=60,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        self.assertNotIn('not-for-logs', p.stdout + p.stderr)
        return p.stderr if code else p.stdout

    def received(self, queue, *args):
        out = self.run_it('receive', queue, '--json', *args)
        return [json.loads(line) for line in out.splitlines()]

    def test_all_that_is_sent_arrives(self):
        queue = self.make()
        out = self.run_it('send', queue, '--client-name', 'Client 1', '--count', '25')
        self.assertIn('Connected to %s in us-east-1 (standard queue)' % queue, out)
        self.assertIn('Sent 25 messages.', out)
        self.assertNotIn('FIFO', out)
        got = self.received(queue, '--count', '25')
        self.assertEqual(sorted(m['text'] for m in got),
                         sorted('Client 1: Message %d' % i for i in range(25)))
        self.assertEqual(len({m['id'] for m in got}), 25)
        self.assertEqual({m['receives'] for m in got}, {1})
        self.assertLess(max(abs(m['sent'] - time.time()) for m in got), 60)
        self.assertEqual(self.received(queue, '--idle', '1'), [])  # each was deleted

    def test_a_fifo_queue_keeps_order_and_drops_what_it_has_seen(self):
        queue = self.make(fifo=True)
        expected = ['c: Message %d' % i for i in range(15)]
        for _ in range(2):
            out = self.run_it('send', queue, '--client-name', 'c', '--count', '15')
            self.assertIn('--prepend makes messages new', out)
        got = self.received(queue, '--idle', '1')
        self.assertEqual([m['text'] for m in got], expected)
        self.assertEqual({m['group'] for m in got}, {'default'})
        self.assertFalse([m for m in got if m['late'] or m['duplicate']])
        self.run_it('send', queue, '--client-name', 'c', '--count', '15', '--prepend', 'A-',
                    '--group', 'another')
        got = self.received(queue, '--idle', '1')
        self.assertEqual([m['text'] for m in got], ['A-' + text for text in expected])
        self.assertEqual({m['group'] for m in got}, {'another'})

    def test_what_is_out_of_order_is_seen(self):
        queue = self.make(fifo=True)
        url = self.server.call('GetQueueUrl', QueueName=queue)['QueueUrl']
        for number in (1, 5, 2):
            self.server.call('SendMessage', QueueUrl=url, MessageGroupId='g',
                             MessageBody='x\x7f: Message %d' % number)
        out = self.run_it('receive', queue, '--count', '3')
        self.assertRegex(out, r'\[\d\d:\d\d:\d\d\] x\\x7f: Message 2  out of order, after 5\n')
        self.assertIn('Received 3: 1 out of order, 0 delivered again.', out)

    def test_an_interrupt_ends_it_with_the_sums(self):
        queue = self.make()
        self.run_it('send', queue, '--count', '3')
        p = subprocess.Popen(self.argv('receive', queue), env=self.environ(),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lines = [p.stdout.readline() for _ in range(5)]
        self.assertEqual(lines[1], 'Waiting for messages...\n')
        began = time.monotonic()
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=15 * lib.PATIENCE)
        self.assertEqual((p.returncode, err), (0, ''))
        self.assertIn('Received 3: ', out)
        self.assertLess(time.monotonic() - began, 10 * lib.PATIENCE)  # not the whole poll

    def test_what_is_wrong_is_one_line(self):
        queue = self.make()
        for args, env, words in (
                (('send', 'nowhere'), {}, 'there is no queue nowhere in us-east-1'),
                (('send', queue, '-b', 'redis://127.0.0.1:1'), {}, 'need sqs://'),
                (('send', queue), {'AWS_ACCESS_KEY_ID': ''}, 'redentials'),
                (('send', queue), {'AWS_ENDPOINT_URL_SQS': 'http://127.0.0.1:9'},
                 '127.0.0.1:9')):
            with self.subTest(words=words):
                err = self.run_it(*args, code=1, env=dict(self.environ(), **env))
                self.assertEqual(err.count('\n'), 1, err)
                self.assertIn(words, err)
        for args in (('send',), ('mail', queue), ('send', queue, '--count', '-1')):
            self.run_it(*args, code=2)


if __name__ == '__main__':
    lib.main()
