#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Amazon SQS: the C worker with Celery as producer and as rival worker, on an emulator.

Debian's Celery speaks the query protocol, PyPI's the JSON one; ours speaks JSON.  Results are
in Redis.  What an emulator cannot show is in protocol-docs/sqs.md.
"""

import json
import os
import signal
import subprocess
import sys
import time
import unittest

import lib

sys.path.insert(0, os.path.join(lib.ROOT, 'tests', 'support'))
import sqs  # noqa: E402

try:
    import boto3  # noqa: F401
    import pycurl  # noqa: F401
except ImportError as exc:
    print('SKIP: kombu needs python3-boto3 and python3-pycurl for SQS: %s' % exc)
    sys.exit(77)

# What is held belongs to a dead worker for four leases.
BRIEF = {'worker_lease_seconds': 1, 'broker_transport_options': {'wait_time_seconds': 2}}


class Sqs(lib.Case):
    """An emulator for each class; BROKER of the environment does not matter here."""

    emulator = sqs.Sqs
    conf = {}

    @classmethod
    def setUpClass(cls):
        lib.need_worker()
        try:
            cls.sqs = cls.emulator()
        except sqs.Failed as exc:
            raise unittest.SkipTest(str(exc))
        cls.addClassCleanup(cls.sqs.stop)
        cls.redis = lib.Redis()
        cls.addClassCleanup(cls.redis.stop)
        cls.broker, cls.backend = cls.sqs.url(), cls.redis.url(1)
        cls.db1 = cls.redis.client(1)
        cls.app = lib.celery_app(cls.broker, cls.backend, **cls.conf)
        cls.addClassCleanup(cls.app.close)
        cls.worker = None
        if cls.worker_options is not None:
            cls.worker = lib.Worker(cls.broker, cls.backend, **cls.worker_options)
            cls.addClassCleanup(cls.worker.kill9)

    def url(self, queue):
        return self.sqs.call('GetQueueUrl', QueueName=queue)['QueueUrl']

    def numbers(self, queue='celery'):
        """(visible, held) messages."""
        a = self.sqs.call('GetQueueAttributes', QueueUrl=self.url(queue), AttributeNames=[
            'ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'])
        a = a['Attributes']
        return (int(a['ApproximateNumberOfMessages']),
                int(a['ApproximateNumberOfMessagesNotVisible']))

    def wait_empty(self, queue='celery', timeout=20):
        lib.wait_for('%s is empty' % queue, lambda: self.numbers(queue) == (0, 0), timeout, 0.1)

    def words(self, path):
        with open(path) as f:
            return f.read().split()

    def wait_words(self, path, n, timeout=30):
        lib.wait_for('%d words' % n, lambda: len(self.words(path)) >= n,
                     timeout * lib.PATIENCE, 0.05)
        return self.words(path)


class Producer(Sqs):
    """Celery sends, we run."""

    worker_options = {'concurrency': 3}

    def test_results(self):
        self.assertEqual(self.call('t.add', 2, 3), 5)
        self.assertEqual(self.call('t.ident', {'\u20ac': [1, None, 'x' * 100000]}),
                         {'\u20ac': [1, None, 'x' * 100000]})
        with self.assertRaises(KeyError):
            self.call('t.fail')
        self.wait_empty()

    def test_eta(self):
        sent = time.time()
        late = self.app.send_task('t.add', (1, 1), countdown=3)
        soon = self.app.send_task('t.add', (2, 2))
        self.assertEqual(soon.get(timeout=10), 4)
        self.assertEqual(late.get(timeout=20), 2)
        self.assertGreaterEqual(time.time() - sent, 2.9)

    def test_retries(self):
        self.assertEqual(self.call('t.retry', 2, timeout=40), 2)
        self.wait_empty()

    def test_canvas(self):
        from celery import chain, chord, group, signature

        def sig(*args):
            return signature('t.add', args, app=self.app)

        self.assertEqual(chain(sig(1, 2), sig(3), sig(4)).apply_async().get(timeout=30), 10)
        many = group(sig(i, i) for i in range(25)).apply_async()
        self.assertEqual(many.get(timeout=30), [2 * i for i in range(25)])
        total = chord([sig(i, 1) for i in range(4)], signature('t.ident', app=self.app))
        self.assertEqual(sorted(total.apply_async().get(timeout=30)), [1, 2, 3, 4])
        self.wait_empty()

    def test_what_nobody_can_run_is_kept(self):
        before = self.parked()
        self.app.send_task('no.such.task', (1,))
        lib.wait_for('it is parked', lambda: self.parked() == before + 1, 20, 0.1)
        self.wait_empty()
        said = [m['MessageAttributes'] for m in self.sqs.call(
            'ReceiveMessage', QueueUrl=self.url('celery-celery-c-dead'), VisibilityTimeout=0,
            MaxNumberOfMessages=10, MessageAttributeNames=['All'])['Messages']]
        self.assertEqual({a['celery-c-dead-queue']['StringValue'] for a in said}, {'celery'})
        reasons = [a['celery-c-dead-reason']['StringValue'] for a in said]
        self.assertTrue([r for r in reasons if 'not registered' in r], reasons)

    def parked(self):
        try:
            return self.numbers('celery-celery-c-dead')[0]
        except Exception:
            return 0

    def test_what_kombu_does_not_send(self):
        """Plain JSON in the body, and bytes that are nothing."""
        plain = lib.celery_app(self.broker, self.backend,
                               broker_transport_options={'sqs_base64_encoding': False})
        self.assertEqual(plain.send_task('t.add', (20, 3)).get(timeout=20), 23)
        plain.close()
        before = self.parked()
        for body in ('no json', '{"a": 1}', '[]'):
            self.sqs.call('SendMessage', QueueUrl=self.url('celery'), MessageBody=body)
        lib.wait_for('they are parked', lambda: self.parked() == before + 3, 20, 0.1)
        self.assertEqual(self.call('t.add', 1, 1), 2)

    def test_calls_are_batched(self):
        """The producer sends one by one; we receive and delete tens."""
        path = lib.tmpname('.batched')
        self.worker.send(signal.SIGSTOP)
        for i in range(100):
            self.app.send_task('t.count', (path, str(i)))
        self.sqs.control(reset=True)
        self.worker.send(signal.SIGCONT)
        self.assertEqual(len(self.wait_words(path, 100)), 100)
        self.wait_empty()
        calls = self.sqs.stats()
        ours = sum(calls.get(a, 0) for a in (
            'ReceiveMessage', 'DeleteMessageBatch', 'ChangeMessageVisibilityBatch'))
        self.assertLess(ours, 60, calls)

    def test_it_says_that_there_is_no_remote_control(self):
        app = lib.celery_app(self.broker, self.backend, broker_transport_options={
            'wait_time_seconds': 1})  # a timeout does not end kombu's poll
        self.assertIsNone(app.control.inspect(timeout=0.5).ping())
        app.close()


class OnMoto(Sqs):
    """Another emulator, from PyPI: what local-aws-sqs lets pass may be refused here."""

    emulator = sqs.Moto

    def test_standard_and_fifo(self):
        # Where one of a group is held, moto's long poll does not see that it is settled.
        w = self.start(queues='celery,orders.fifo', concurrency=3, conf={
            'broker_transport_options': {'wait_time_seconds': 1}})
        self.assertEqual(self.call('t.add', 2, 3, timeout=30), 5)
        sent = [self.app.send_task('t.add', (i, 1), queue='orders.fifo', MessageGroupId='g')
                for i in range(12)]
        self.assertEqual([r.get(timeout=40) for r in sent], [i + 1 for i in range(12)])
        self.app.send_task('no.such.task')
        late = self.app.send_task('t.add', (1, 1), countdown=2)
        self.assertEqual(late.get(timeout=30), 2)
        lib.wait_for('it is parked', lambda: self.numbers('celery-celery-c-dead')[0] == 1, 20,
                     0.2)
        self.wait_empty('celery')
        self.wait_empty('orders.fifo')
        self.assertEqual(w.stop(), 0)

    def test_shutdown_returns_what_waits(self):
        w = self.start(concurrency=1)
        path = lib.tmpname('.moto')
        for i in range(12):
            self.app.send_task('t.count', (path, str(i), 1))
        self.wait_words(path, 1)
        self.assertEqual(w.stop(), 0)
        self.assertEqual(self.numbers()[1], 0)
        self.assertEqual(self.numbers()[0] + len(self.words(path)), 12)


class Dead(Sqs):
    """celery-c dead, where dead letters are a queue without an order."""

    def dead(self, *args):
        run = subprocess.run([lib.CELERY_C, '-b', self.broker, 'dead', *args],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=lib.env_of_workers(), timeout=60 * lib.PATIENCE)
        self.assertEqual(run.returncode, 0, run.stdout)
        return run.stdout

    def rows(self, *args):
        return [json.loads(line) for line in self.dead('list', '--json', *args).splitlines()]

    def test_letters_are_listed_replayed_and_purged(self):
        self.assertEqual(self.dead('list'), 'no dead letters in queue celery\n')
        self.assertEqual(self.sqs.call('ListQueues').get('QueueUrls', []), [])  # none is made
        w = self.start()
        late = [self.app.send_task('t.late', (n, 1)) for n in range(12)]
        self.sqs.call('SendMessage', QueueUrl=self.url('celery'), MessageBody='no json')
        lib.wait_for('they are parked', lambda: 'celery-celery-c-dead' in str(
            self.sqs.call('ListQueues')) and self.numbers('celery-celery-c-dead') == (13, 0),
            20 * lib.PATIENCE, 0.1)
        self.wait_empty()
        self.assertEqual(w.stop(), 0)
        for _ in range(2):  # reading leaves them where they are
            rows = self.rows()
            self.assertEqual({r['id'] for r in rows}, {r.id for r in late} | {None})
            self.assertEqual(sorted(r['index'] for r in rows), list(range(13)))
            self.assertEqual(self.numbers('celery-celery-c-dead'), (13, 0))
        self.assertEqual({r['queue'] for r in rows}, {'celery'})
        self.assertEqual(len([r for r in rows if 'not registered' in r['reason']]), 12)
        self.assertLess(abs(rows[0]['time'] - time.time()), 600)
        self.assertEqual(self.dead('replay', late[3].id), '1 replayed\n')
        self.assertEqual(self.numbers(), (1, 0))
        self.assertEqual(self.dead('replay', '--all'), '12 replayed\n')
        w = self.start(name='knows', env={'INTEROP_LATE': '1'})
        lib.wait_for('they ran', lambda: all(  # the failures of before are replaced
            json.loads(lib.document(self.db1, r.id))['status'] == 'SUCCESS' for r in late),
            30 * lib.PATIENCE, 0.1)
        lib.wait_for('junk is parked again', lambda: self.numbers('celery-celery-c-dead') == (1, 0),
                     20 * lib.PATIENCE, 0.1)
        self.assertEqual(w.stop(), 0)
        self.assertEqual(self.dead('purge', '--all', '-f'), '1 removed\n')

    def test_letters_of_a_fifo_queue(self):
        w = self.start(queues='dead.fifo')
        for n in range(4):
            self.app.send_task('t.late', (n, 1), queue='dead.fifo', MessageGroupId='g')
        lib.wait_for('they are parked', lambda: 'dead-celery-c-dead.fifo' in str(
            self.sqs.call('ListQueues')) and self.numbers('dead-celery-c-dead.fifo') == (4, 0),
            20 * lib.PATIENCE, 0.1)
        self.assertEqual(w.stop(), 0)
        rows = self.rows('-Q', 'dead.fifo')
        self.assertEqual(len(rows), 4)
        self.assertEqual(self.dead('replay', '-Q', 'dead.fifo', '--all'), '4 replayed\n')
        self.wait_empty('dead-celery-c-dead.fifo')
        self.assertEqual(self.numbers('dead.fifo'), (4, 0))

    def test_letters_of_a_redrive_policy(self):
        """One target of two queues: each sees its own, moved by us or by the service."""
        self.sqs.call('CreateQueue', QueueName='target')
        policy = json.dumps({'maxReceiveCount': 1, 'deadLetterTargetArn':
                             'arn:aws:sqs:us-east-1:123456789012:target'})
        names = ('moved', 'other')
        for name in names:
            self.sqs.call('CreateQueue', QueueName=name, Attributes={'RedrivePolicy': policy})
        self.sqs.call('CreateQueue', QueueName='moved-celery-c-dead')  # of before the policy
        sent = {n: self.app.send_task('t.late', (1, 1), queue=n) for n in names}
        for n in names:  # taken once, it is the service's to move
            self.sqs.call('ReceiveMessage', QueueUrl=self.url(n), VisibilityTimeout=0,
                          WaitTimeSeconds=5)
        lib.wait_for('both are moved', lambda: self.numbers('target') == (2, 0),
                     20 * lib.PATIENCE, 0.1)
        w = self.start(queues='moved')
        parked = self.app.send_task('t.late', (2, 2), queue='moved')
        lib.wait_for('it is parked', lambda: self.numbers('target') == (3, 0),
                     20 * lib.PATIENCE, 0.1)
        self.assertEqual(w.stop(), 0)
        rows = {r['id']: r for r in self.rows('-Q', 'moved')}
        self.assertEqual(set(rows), {sent['moved'].id, parked.id})
        self.assertEqual({r['queue'] for r in rows.values()}, {'moved'})
        self.assertEqual(rows[sent['moved'].id]['reason'], 'moved by the redrive policy')
        self.assertLess(abs(rows[sent['moved'].id]['time'] - time.time()), 600)
        self.assertIn('not registered', rows[parked.id]['reason'])
        path = lib.tmpname('.json')
        with open(path, 'w') as f:
            json.dump({'task_queues': {n: {} for n in names}}, f)
        self.assertEqual(
            {q['queue']: q['count'] for q in map(json.loads, self.dead(
                'queues', '--json', '--config', path).splitlines())}, {'moved': 2, 'other': 1})
        self.assertEqual(self.dead('replay', '-Q', 'moved', sent['moved'].id), '1 replayed\n')
        self.assertEqual(self.numbers('moved'), (1, 0))
        self.assertEqual(self.dead('purge', '-Q', 'moved', '--all', '-f'), '1 removed\n')
        self.assertEqual([r['id'] for r in self.rows('-Q', 'other')], [sent['other'].id])
        self.assertEqual(self.numbers('target'), (1, 0))
        self.assertEqual(self.dead('list', '-Q', 'moved'), 'no dead letters in queue moved\n')


class Client(Sqs):
    """We send, Celery runs, and so do we."""

    def celery_c(self, *args, **options):
        argv = [lib.CELERY_C, '-b', self.broker, '--result-backend', self.backend, *args]
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=lib.env_of_workers(), timeout=60, **options)

    def test_python_runs_what_c_sends(self):
        w = self.start(kind='python', name='py')
        run = self.celery_c('call', 't.add', '-a', '[40, 2]', '--timeout', '30')
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertIn('42', run.stdout)
        run = self.celery_c('call', 't.add', '-a', '[1, 2]', '--countdown', '2',
                            '--timeout', '30')
        self.assertIn('3', run.stdout)
        w.stop()

    def test_too_large(self):
        """Refused before it is sent, with both sizes."""
        self.sqs.call('CreateQueue', QueueName='small',
                      Attributes={'MaximumMessageSize': '2048'})
        run = self.celery_c('call', 't.ident', '-a', json.dumps(['x' * 3000]),
                            '--queue', 'small')
        self.assertNotEqual(run.returncode, 0)
        self.assertRegex(run.stdout, r'has \d+ bytes as it is sent, and SQS queue small takes 2048')
        self.assertEqual(self.numbers('small'), (0, 0))

    def test_both_serve_one_queue(self):
        path = lib.tmpname('.both')
        workers = [self.start(kind=k, name=k, concurrency=2) for k in ('c', 'python')]
        sent = [self.app.send_task('t.count', (path, str(i), 0.02)) for i in range(200)]
        self.assertEqual(sorted(self.wait_words(path, 200), key=int),
                         [str(i) for i in range(200)])
        for r in sent:
            r.get(timeout=20)
        self.wait_empty()
        ran = [w.output().count('succeeded') for w in workers]
        self.assertEqual(sum(ran), 200)
        self.assertGreater(ran[0], 10)
        for w in workers:
            w.stop()


class Visibility(Sqs):
    """What is held is ours as long as we live, and no longer."""

    def visible(self):
        """The emulator counts what is hidden among what is not, and may give one twice."""
        got = self.sqs.call('ReceiveMessage', QueueUrl=self.url('celery'), VisibilityTimeout=0,
                            MaxNumberOfMessages=10)
        return len({m['MessageId'] for m in got.get('Messages', [])})

    def test_a_long_task_runs_once(self):
        path = lib.tmpname('.long')
        w = self.start(conf=BRIEF)
        self.app.send_task('t.count', (path, 'once', 7))  # nearly two of its visibilities
        self.app.send_task('t.count', (path, 'late'), countdown=7)
        self.assertEqual(sorted(self.wait_words(path, 2)), ['late', 'once'])
        self.wait_empty()
        self.assertEqual(len(self.words(path)), 2)
        w.stop()

    def test_what_is_held_for_longer_than_the_service_lets_anybody(self):
        """Amazon's limit of 12 hours, as 12 seconds: it comes again, and runs once."""
        path = lib.tmpname('.limit')
        conf = dict(BRIEF, broker_transport_options={'wait_time_seconds': 2, 'hold_limit': 12})
        w = self.start(conf=conf, queues='limited')
        sent = time.time()
        self.app.send_task('t.count', (path, 'x'), countdown=10, queue='limited')
        self.assertEqual(self.wait_words(path, 1), ['x'])
        self.assertGreaterEqual(time.time() - sent, 9.9)
        self.assertIn('has been held for nearly 12 seconds', w.output())
        self.wait_empty('limited')
        self.assertEqual(self.words(path), ['x'])
        w.stop()

    def test_more_etas_than_the_worker_keeps(self):
        """Those lie hidden in the queue, and nobody holds them."""
        path = lib.tmpname('.deferred')
        conf = dict(BRIEF, worker_eta_task_limit=2)
        first = self.start(conf=conf, name='first')
        sent = time.time()
        for i in range(6):
            self.app.send_task('t.count', (path, str(i)), countdown=8 + i / 10)
        lib.wait_for('all were received', lambda: first.output().count('] received') >= 6,
                     20 * lib.PATIENCE, 0.1)
        self.assertEqual(self.visible(), 0)
        self.assertEqual(first.stop(), 0)
        # What it held is back at once; for the others their time is to come.
        back = self.visible()
        if time.time() < sent + 6:
            self.assertEqual(back, 2)
        w = self.start(conf=conf, name='second')
        self.assertEqual(sorted(self.wait_words(path, 6)), [str(i) for i in range(6)])
        self.assertGreaterEqual(time.time() - sent, 8)
        self.wait_empty()
        self.assertEqual(len(self.words(path)), 6)
        w.stop()

    def test_a_dead_workers_tasks_run_elsewhere(self):
        path = lib.tmpname('.dead')
        first = self.start(conf=BRIEF, name='first')
        self.app.send_task('t.count', (path, 'x', 3))
        first.wait_output('received')
        first.kill9()
        w = self.start(conf=BRIEF, name='second')
        self.assertEqual(self.wait_words(path, 1), ['x'])
        self.wait_empty()
        w.stop()

    def test_shutdown_returns_what_waits(self):
        path = lib.tmpname('.returned')
        first = self.start(name='first', concurrency=1)
        for i in range(12):
            self.app.send_task('t.count', (path, str(i), 1))
        self.app.send_task('t.count', (path, 'later'), countdown=600)
        self.wait_words(path, 1)
        self.assertEqual(first.stop(), 0)
        # At once, not when the visibility ends: nothing is held any more.
        lib.wait_for('all are back', lambda: self.numbers()[1] == 0, 5, 0.1)
        self.assertEqual(self.numbers()[0] + len(self.words(path)), 13)
        w = self.start(name='second', concurrency=4)
        self.wait_words(path, 12)
        w.stop()


class Fifo(Sqs):
    """Order within a group, one at a time."""

    QUEUE = 'orders.fifo'

    def send(self, path, group, i, seconds=0.01, **more):
        return self.app.send_task('t.count', (path, '%s:%d' % (group, i), seconds),
                                  queue=self.QUEUE, MessageGroupId=group, **more)

    def check_order(self, words, groups, n):
        for g in groups:
            of_group = [int(w.split(':')[1]) for w in words if w.startswith(g + ':')]
            self.assertEqual(of_group, list(range(n)))

    def test_order_with_four_slots(self):
        path = lib.tmpname('.fifo')
        w = self.start(queues=self.QUEUE, concurrency=4)
        for i in range(25):
            for g in 'abc':
                self.send(path, g, i)
        self.check_order(self.wait_words(path, 75), 'abc', 25)
        self.wait_empty(self.QUEUE)
        w.stop()

    def test_beside_python(self):
        path = lib.tmpname('.fifo')
        workers = [self.start(kind=k, name=k, queues=self.QUEUE) for k in ('c', 'python')]
        for i in range(15):
            for g in 'abcd':
                self.send(path, g, i)
        words = self.wait_words(path, 60, 60)
        self.assertEqual(len(set(words)), 60)
        for w in workers:
            w.stop()

    def test_a_worker_that_dies_in_a_group(self):
        """Acknowledged late, the task that ran comes again, before those behind it."""
        path = lib.tmpname('.late')
        self.QUEUE = 'dying.fifo'  # what is left there is no other test's
        first = self.start(queues=self.QUEUE, conf=BRIEF, name='first')
        for i in range(6):
            self.send(path, 'g', i, 60 if i == 2 else 0.01)
        self.wait_words(path, 2)
        lib.wait_for('the third runs', lambda: first.output().count('] received') >= 3,
                     20 * lib.PATIENCE, 0.05)
        first.kill9()
        self.assertEqual(self.words(path), ['g:0', 'g:1'])
        second = self.start(queues=self.QUEUE, conf=BRIEF, name='second', concurrency=4)
        lib.wait_for('it is there again', lambda: second.output().count('] received') == 1,
                     20 * lib.PATIENCE, 0.05)
        self.assertEqual(self.words(path), ['g:0', 'g:1'])  # it sleeps first; none passes it
        second.kill9()

    def test_canvas(self):
        from celery import chain, chord, group, signature

        def sig(*args):
            return signature('t.add', args, app=self.app, queue='canvas.fifo')

        w = self.start(queues='canvas.fifo', concurrency=3)
        self.assertEqual(chain(sig(1, 2), sig(3), sig(4)).apply_async().get(timeout=60), 10)
        many = group(sig(i, i) for i in range(6)).apply_async()
        self.assertEqual(many.get(timeout=60), [2 * i for i in range(6)])
        body = signature('t.ident', app=self.app, queue='canvas.fifo')
        total = chord([sig(i, 1) for i in range(4)], body).apply_async()
        self.assertEqual(sorted(total.get(timeout=60)), [1, 2, 3, 4])
        self.wait_empty('canvas.fifo')
        w.stop()

    def test_python_runs_what_c_sends(self):
        w = self.start(kind='python', name='py', queues='sent.fifo')
        for n in range(3):
            run = subprocess.run(
                [lib.CELERY_C, '-b', self.broker, '--result-backend', self.backend, 'call', 't.add',
                 '-a', '[%d, 1]' % n, '--queue', 'sent.fifo', '--timeout', '30'],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                env=lib.env_of_workers(), timeout=60 * lib.PATIENCE)
            self.assertEqual((run.returncode, run.stdout.split()[-1]), (0, str(n + 1)), run.stdout)
        self.wait_empty('sent.fifo')
        w.stop()

    def test_a_repeated_publish_is_one_message(self):
        argv = [lib.CELERY_C, '-b', self.broker, 'call', 't.noop', '--queue', self.QUEUE]
        env = lib.env_of_workers()
        for args in (['--task-id', 'same'], ['--task-id', 'same'], ['--task-id', 'other']):
            run = subprocess.run(argv + args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, env=env, timeout=60)
            self.assertEqual(run.returncode, 0, run.stdout)
        lib.wait_for('two', lambda: self.numbers(self.QUEUE)[0] == 2, 5, 0.1)
        w = self.start(queues=self.QUEUE)
        self.wait_empty(self.QUEUE)
        w.stop()

    def test_retries_are_not_taken_for_repetitions(self):
        w = self.start(queues=self.QUEUE)
        r = self.app.send_task('t.retry', (2,), queue=self.QUEUE)
        self.assertEqual(r.get(timeout=60), 2)
        w.stop()


class Faults(Sqs):
    """0 lost, whatever the service does."""

    def run_through(self, *faults, n=120, twice_is_fine=False):
        path = lib.tmpname('.faults')
        w = self.start(conf=dict(BRIEF, worker_lease_seconds=2), concurrency=3)
        for i in range(n):
            self.app.send_task('t.count', (path, str(i), 0.02))
            if i == n // 3:
                for f in faults:
                    self.sqs.control(**f)
                if any('down' in f for f in faults):
                    time.sleep(3)
        lib.wait_for('all ran', lambda: len(set(self.words(path))) == n,
                     60 * lib.PATIENCE, 0.1)
        self.wait_empty(timeout=40)
        words = self.words(path)
        if not twice_is_fine:
            self.assertEqual(len(words), n)
        self.sqs.control(reset=True)
        w.stop()

    def test_errors_of_the_service(self):
        self.run_through({'fail': 6, 'action': 'ReceiveMessage'},
                         {'fail': 4, 'action': 'DeleteMessageBatch', 'status': 503})

    def test_throttling(self):
        self.run_through({'fail': 5, 'action': 'ReceiveMessage', 'status': 400,
                          'code': 'RequestThrottled'},
                         {'fail': 3, 'action': 'ReceiveMessage', 'status': 403,
                          'code': 'OverLimit'})

    def test_expired_tokens(self):
        self.run_through({'fail': 1, 'action': 'ReceiveMessage', 'status': 403,
                          'code': 'ExpiredToken'},
                         {'fail': 1, 'action': 'DeleteMessageBatch', 'status': 403,
                          'code': 'ExpiredToken'})

    def test_answers_that_never_come(self):
        # A receive whose answer is lost: its messages come again when their time is over.
        self.run_through({'lose': 1, 'action': 'ReceiveMessage'},
                         {'lose': 3, 'action': 'DeleteMessageBatch'}, twice_is_fine=True)

    def test_what_was_changed_on_the_way_is_not_run(self):
        """It comes again when its time is over, whole."""
        path = lib.tmpname('.damaged')
        self.sqs.control(damage=1, action='ReceiveMessage')
        self.addCleanup(self.sqs.control, reset=True)
        w = self.start(conf=BRIEF)
        self.app.send_task('t.count', (path, 'x'))
        self.assertEqual(self.wait_words(path, 1), ['x'])
        self.assertIn('does not have the MD5', w.output())
        self.wait_empty()
        w.stop()
        self.sqs.control(damage=1, action='SendMessageBatch')
        run = subprocess.run([lib.CELERY_C, '-b', self.broker, 'call', 't.noop'],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=lib.env_of_workers(), timeout=60 * lib.PATIENCE)
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertEqual(self.numbers()[0], 2)  # it was told that another one came, and sent again
        self.sqs.call('PurgeQueue', QueueUrl=self.url('celery'))

    def test_duplicates_run_once(self):
        self.run_through({'duplicate': 20})

    def test_the_service_is_away(self):
        self.run_through({'down': 2}, twice_is_fine=True)

    def test_results_and_chains_survive(self):
        from celery import chain, signature
        w = self.start(conf=dict(BRIEF, worker_lease_seconds=2), concurrency=3)
        sent = [chain(signature('t.add', (i, 1), app=self.app),
                      signature('t.add', (1,), app=self.app),
                      signature('t.add', (1,), app=self.app)).apply_async()
                for i in range(30)]
        self.sqs.control(down=1.5)
        self.assertEqual([r.get(timeout=60) for r in sent], [i + 3 for i in range(30)])
        self.wait_empty(timeout=40)
        w.stop()


class Refused(Sqs):
    """One clear line each."""

    def output_of(self, conf=None, broker=None, env=None, **options):
        w = self.start(wait=False, conf=conf, broker=broker or self.broker, env=env, **options)
        w.process.wait(30 * lib.PATIENCE)
        return w.output()

    def test_no_queue_and_no_right_to_create_one(self):
        self.sqs.control(deny=['CreateQueue'])
        self.addCleanup(self.sqs.control, reset=True)
        text = self.output_of(queues='nowhere')
        self.assertIn('queue nowhere: there is none, and it cannot be created', text)
        self.assertIn('AccessDenied', text)
        self.assertNotIn('secret', text)

    def test_no_credentials(self):
        env = {'HOME': '/nonexistent', 'AWS_EC2_METADATA_DISABLED': 'true',
               'AWS_ENDPOINT_URL_SQS': self.sqs.endpoint()}
        text = self.output_of(broker='sqs://', env=env)
        self.assertIn('AWS_ACCESS_KEY_ID', text)

    def test_unknown_option(self):
        text = self.output_of(conf={'broker_transport_options': {'queue_prefix': 'x'}})
        self.assertIn('did you mean queue_name_prefix?', text)

    def test_predefined_alone(self):
        conf = {'broker_transport_options': {'predefined_queues': {
            'other': {'url': self.sqs.endpoint() + '/123456789012/other'}}}}
        text = self.output_of(conf=conf)
        self.assertIn('queue celery is not among predefined_queues', text)


class Options(Sqs):
    PREFIX = {'broker_transport_options': {'queue_name_prefix': 'stage.'}}

    def test_prefix(self):
        app = lib.celery_app(self.broker, self.backend, **self.PREFIX)
        w = self.start(conf=self.PREFIX, queues='my.queue')
        self.assertEqual(app.send_task('t.add', (1, 2), queue='my.queue').get(timeout=20), 3)
        self.wait_empty('stage-my-queue')
        w.stop()
        app.close()

    def test_predefined(self):
        self.sqs.call('CreateQueue', QueueName='given')
        options = {'broker_transport_options': {'predefined_queues': {
            'given': {'url': self.url('given'), 'access_key_id': 'test',
                      'secret_access_key': 'secret', 'region': 'eu-west-1'}}}}
        app = lib.celery_app(self.broker, self.backend, **options)
        self.sqs.control(reset=True, deny=['ListQueues', 'CreateQueue', 'GetQueueUrl'])
        self.addCleanup(self.sqs.control, reset=True)
        w = self.start(conf=options, queues='given')
        self.assertEqual(app.send_task('t.add', (1, 2), queue='given').get(timeout=20), 3)
        w.stop()
        app.close()

    def test_backoff_policy(self):
        """A rejected task comes again after what its receipts say."""
        self.sqs.call('CreateQueue', QueueName='slower')
        options = {'broker_transport_options': {'predefined_queues': {'slower': {
            'url': self.url('slower'), 'backoff_tasks': ['t.reject'],
            'backoff_policy': {'1': 1, '2': 2, '3': 600}}}}}
        app = lib.celery_app(self.broker, self.backend, broker_transport_options={
            'predefined_queues': {'slower': {'url': self.url('slower')}}})
        w = self.start(conf=options, queues='slower')
        sent = time.monotonic()
        app.send_task('t.reject', queue='slower')
        lib.wait_for('three receipts', lambda: w.output().count('] received') == 3, 20, 0.1)
        self.assertGreaterEqual(time.monotonic() - sent, 3)
        time.sleep(1)
        self.assertEqual(self.numbers('slower')[1], 1)
        w.stop()
        app.close()

    def test_redrive(self):
        """What is rejected without requeue is the service's to move."""
        self.sqs.call('CreateQueue', QueueName='letters')
        policy = {'deadLetterTargetArn': 'arn:aws:sqs:us-east-1:123456789012:letters',
                  'maxReceiveCount': 2}
        self.sqs.call('CreateQueue', QueueName='work', Attributes={
            'RedrivePolicy': json.dumps(policy)})
        w = self.start(conf=BRIEF, queues='work')
        self.app.send_task('t.reject', queue='work')
        lib.wait_for('it is a dead letter', lambda: self.numbers('letters')[0] == 1, 30, 0.2)
        self.app.send_task('no.such.task', queue='work')
        lib.wait_for('so is this', lambda: self.numbers('letters')[0] == 2, 30, 0.2)
        self.wait_empty('work')
        w.stop()


if __name__ == '__main__':
    lib.main()
