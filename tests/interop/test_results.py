#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Result documents, exceptions and states, compared with a Python worker's."""

import json
import re
import unittest

import lib
import pytasks
from celery import exceptions

UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')
DATE = re.compile(r'"\d{4}-\d\d-\d\dT[^"]*"')


class Reference(lib.Case):
    """Worker under test on queue "ours", a Python worker on queue "theirs"."""

    conf = {}
    maxDiff = None
    results = ('redis',)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Documents name the worker, so both have one name, and with it one pidbox.
        conf = dict(cls.conf, control_queue_exclusive=False)
        cls.ours = lib.Worker(cls.broker, cls.backend, queues='ours', conf=conf, wait=False)
        cls.addClassCleanup(cls.ours.kill9)
        cls.theirs = lib.Worker(cls.broker, cls.backend, queues='theirs', kind='python',
                                conf=conf, wait=False)
        cls.addClassCleanup(cls.theirs.kill9)
        cls.ours.wait_ready()
        cls.theirs.wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.ours.stop()
        cls.theirs.stop()

    def both(self, name, args=(), kwargs=None, wait=True, **options):
        """(ours, theirs): the results of the same call."""
        results = [self.app.send_task(name, args, kwargs, queue=q, **options)
                   for q in ('ours', 'theirs')]
        if wait:
            for r, whose in zip(results, ('ours', 'theirs')):
                lib.wait_for('%s, %s ends' % (name, whose), r.ready, 10 * lib.PATIENCE)
        return results

    def documents(self, name, args=(), kwargs=None, mask=None, **options):
        texts = []
        for r in self.both(name, args, kwargs, **options):
            text = lib.document(self.db1, r.id)
            text = UUID.sub('ID', text)
            text = DATE.sub('"DATE"', text)
            text = re.sub(r'"(ours|theirs)"', '"QUEUE"', text)
            texts.append(mask(text) if mask else text)
        return texts

    def assert_same_document(self, name, args=(), kwargs=None, mask=None, **options):
        ours, theirs = self.documents(name, args, kwargs, mask, **options)
        self.assertEqual(ours, theirs)
        return json.loads(ours)


def no_traceback(text):
    """Tracebacks of C and Python code differ in frames; the last line may not."""
    doc = json.loads(text)
    if doc['traceback']:
        doc['traceback'] = doc['traceback'].rstrip('\n').splitlines()[-1]
    return json.dumps(doc)


class Documents(Reference):
    def test_success(self):
        for name, args in [('t.add', (2, 3)), ('t.noop', ()), ('t.kw', (1,)),
                           ('t.sleep', (0,))]:
            with self.subTest(name):
                self.assert_same_document(name, args)

    def test_identity_byte_for_byte(self):
        values = [None, True, False, 0, -1, 2 ** 31, 2 ** 63, -2 ** 63, 2 ** 64, 10 ** 40,
                  0.1, 1e300, 1e-7, 1e16, -0.0, 1.0, 123456789012345680.0,
                  float('inf'), float('-inf'), float('nan'),
                  '', 'x', 'ä€😀', '\ud800', 'a\x00b', '"\\/\b\f\n\r\t\x7f', '\u2028',
                  [], {}, [[]], {'a': {}}, [1, [2, [3]]], {'b': 1, 'a': 2, 'ü': 3},
                  {'': None}, 'x' * 100000, [0] * 1000]
        deep = 0
        for _ in range(50):
            deep = [deep]
        values.append(deep)
        sent = [(v, self.both('t.ident', (v,), wait=False)) for v in values]
        for value, results in sent:
            docs = []
            for r in results:
                lib.wait_for('identity', r.ready, 20 * lib.PATIENCE)
                text = lib.document(self.db1, r.id)
                docs.append(UUID.sub('ID', re.sub(r'"date_done": "[^"]*"', '"DATE"', text)))
            self.assertEqual(docs[0], docs[1], repr(value)[:80])

    def test_key_order(self):
        ours, theirs = self.documents('t.add', (1, 1))
        self.assertEqual(list(json.loads(ours)), list(json.loads(theirs)))

    def test_date_done_has_the_form_of_this_version(self):
        forms = []
        for r in self.both('t.noop'):
            date = json.loads(lib.document(self.db1, r.id))['date_done']
            forms.append(re.sub(r'\d', '9', re.sub(r'\.\d+', '.9', date)))
        if lib.celery_version() >= (5, 4):
            self.assertEqual(forms[0], forms[1])
        else:  # naive before 5.4; aware ones are what newer Celery writes
            self.assertIn(forms[0], (forms[1], forms[1] + '+99:99'))

    def test_failure(self):
        doc = self.assert_same_document('t.fail', mask=no_traceback)
        self.assertEqual(doc['result'], {'exc_type': 'KeyError', 'exc_message': ['boom'],
                                         'exc_module': 'builtins'})
        self.assertEqual(doc['traceback'], "KeyError: 'boom'")

    def test_custom_failure(self):
        doc = self.assert_same_document('t.fail_custom', mask=no_traceback)
        self.assertEqual(doc['result'], {'exc_type': 'OurError', 'exc_message': ['text', 7],
                                         'exc_module': 'pytasks'})

    def test_argument_errors(self):
        calls = [((), None), ((1,), None), ((1, 2, 3), None), ((1, 2), {'z': 1}),
                 ((1,), {'x': 1}), ((), {'y': 1})]
        for args, kwargs in calls:
            with self.subTest(args=args, kwargs=kwargs):
                doc = self.assert_same_document('t.add', args, kwargs, mask=no_traceback)
                self.assertEqual(doc['result']['exc_type'], 'TypeError')
        for args, kwargs in [((), None), ((1, 2, 3), None), ((1,), {'c': 1})]:
            with self.subTest('t.kw', args=args, kwargs=kwargs):
                self.assert_same_document('t.kw', args, kwargs, mask=no_traceback)

    def test_unknown_task(self):
        doc = self.assert_same_document('t.not_there')
        self.assertEqual(doc['result']['exc_type'], 'NotRegistered')

    def test_expired(self):
        doc = self.assert_same_document('t.noop', expires=-5)
        self.assertEqual((doc['status'], doc['result']['exc_message']),
                         ('REVOKED', ['expired']))

    def test_hard_time_limit(self):
        doc = self.assert_same_document('t.sleep', (20,), time_limit=1)
        self.assertEqual(doc['result'], {'exc_type': 'TimeLimitExceeded', 'exc_message': [1],
                                         'exc_module': 'billiard.exceptions'})

    def test_worker_lost(self):
        def mask(text):
            return re.sub(r'Job: \d+', 'Job: N', text)
        doc = self.assert_same_document('t.crash', mask=mask)
        self.assertEqual(doc['result']['exc_type'], 'WorkerLostError')
        self.assertIn('signal 11 (SIGSEGV)', doc['result']['exc_message'][0])
        doc = self.assert_same_document('t.exit', (3,), mask=mask)
        self.assertIn('exitcode 3', doc['result']['exc_message'][0])

    def test_retry(self):
        # Not at once: Python looks at the state and then writes RETRY, which can overwrite the
        # SUCCESS of the next run.
        doc = self.assert_same_document('t.retry', (2, 0.5))
        self.assertEqual(doc['result'], 2)

    def test_retry_exhausted(self):
        doc = self.assert_same_document('t.retry_out', mask=no_traceback)
        self.assertEqual(doc['result']['exc_type'], 'ValueError')

    def test_retry_state(self):
        results = self.both('t.retry', (1, 3), wait=False)
        docs = []
        for r in results:
            self.wait_state(r, 'RETRY')
            docs.append(no_traceback(UUID.sub('ID', DATE.sub(
                '"DATE"', lib.document(self.db1, r.id)))))
        self.assertEqual(docs[0], docs[1])

    def test_update_state(self):
        docs = []
        for r in self.both('t.progress', (2,), wait=False):
            self.wait_state(r, 'PROGRESS')
            docs.append(UUID.sub('ID', lib.document(self.db1, r.id)))
            self.assertEqual(r.info, {'current': 1, 'total': 2})
        self.assertEqual(docs[0], docs[1])

    def test_request_fields(self):
        ours, theirs = self.both('t.request', headers={'x_custom': 'c'}, priority=3,
                                 countdown=0.1, expires=60)
        ours, theirs = ours.get(), theirs.get()
        self.assertEqual(list(ours), list(theirs))
        for key in theirs:
            if key in ('id', 'root_id', 'correlation_id', 'eta', 'expires', 'routing_key',
                       'hostname'):
                self.assertEqual(ours[key] is None, theirs[key] is None, key)
                continue
            if key == 'reply_to' or key == 'x_custom' or ours[key] is not None:
                self.assertEqual(ours[key], theirs[key], key)
        self.assertEqual(ours['hostname'].split('@')[0], 'w1')

    def test_result_expires(self):
        ours, theirs = self.both('t.add', (1, 1))
        ttls = [self.db1.ttl('celery-task-meta-' + r.id) for r in (ours, theirs)]
        self.assertLess(abs(ttls[0] - ttls[1]), 5)
        self.assertGreater(ttls[0], 86000)

    def test_ignored_results_leave_nothing(self):
        ours, theirs = self.both('t.add', (1, 1), ignore_result=True, wait=False)
        self.assertEqual(self.app.send_task('t.add', (1, 2), queue='ours').get(timeout=20), 3)
        self.assertIsNone(lib.document(self.db1, ours.id))
        r = self.app.send_task('t.ignore', queue='ours')
        self.assertEqual(self.app.send_task('t.add', (1, 2), queue='ours').get(timeout=20), 3)
        self.assertIsNone(lib.document(self.db1, r.id))

    def test_unserializable_bytes(self):
        if lib.celery_version() < (5, 3):
            self.skipTest('typed JSON values came with 5.3')
        for n in (0, 65, 256):
            self.assert_same_document('t.bytes', (n,))


class Extended(Reference):
    conf = {'result_extended': True, 'task_track_started': True, 'result_expires': 100}

    def mask(self, text):
        return no_traceback(text)

    def test_documents(self):
        for name, args, kwargs in [('t.add', (2, 3), None), ('t.kw', (1,), {'b': 5}),
                                   ('t.fail', (), None), ('t.not_there', (1,), {'k': 'v'})]:
            with self.subTest(name):
                self.assert_same_document(name, args, kwargs, mask=self.mask)

    def test_started(self):
        docs = []
        for r in self.both('t.sleep', (2,), wait=False):
            self.wait_state(r, 'STARTED')
            doc = json.loads(lib.document(self.db1, r.id))
            self.assertEqual(set(doc['result']), {'pid', 'hostname'})
            self.assertIsInstance(doc['result']['pid'], int)
            doc['result']['pid'] = 0
            docs.append(re.sub(r'"(ours|theirs)"', '"Q"', UUID.sub('ID', json.dumps(doc))))
        self.assertEqual(docs[0], docs[1])

    def test_expires_is_taken_from_the_setting(self):
        ours, theirs = self.both('t.add', (1, 1))
        self.assertLessEqual(self.db1.ttl('celery-task-meta-' + ours.id), 100)


class Exceptions(lib.Case):
    worker_options = {}

    def test_value_arrives(self):
        self.assertEqual(self.call('t.add', 2, 3), 5)
        self.assertEqual(self.call('t.add', kwargs={'x': 2, 'y': 3}), 5)
        self.assertEqual(self.call('t.kw', 1, kwargs={'b': 9}), {'a': 1, 'b': 9})

    def test_builtin_exception_is_raised_as_itself(self):
        with self.assertRaises(KeyError) as caught:
            self.call('t.fail')
        self.assertEqual(caught.exception.args, ('boom',))

    def test_custom_exception_is_raised_as_itself(self):
        with self.assertRaises(pytasks.OurError) as caught:
            self.call('t.fail_custom')
        self.assertEqual(caught.exception.args, ('text', 7))

    def test_type_error_text(self):
        with self.assertRaises(TypeError) as caught:
            self.call('t.add', 1)
        self.assertIn("missing 1 required positional argument: 'y'", str(caught.exception))

    def test_not_registered(self):
        with self.assertRaises(exceptions.NotRegistered):
            self.call('t.not_there')

    def test_revoked_when_expired(self):
        with self.assertRaises(exceptions.TaskRevokedError):
            self.call('t.noop', expires=-1)

    def test_traceback_is_text(self):
        r = self.app.send_task('t.fail')
        with self.assertRaises(KeyError):
            r.get(timeout=20)
        self.assertIn('Traceback', r.traceback)
        self.assertIn("KeyError: 'boom'", r.traceback)

    def test_states(self):
        r = self.app.send_task('t.progress', (1.0,))
        self.wait_state(r, 'PROGRESS')
        self.assertEqual(r.get(timeout=20), 'done')
        self.assertEqual(r.state, 'SUCCESS')

    @lib.stored_only
    def test_forget(self):
        r = self.app.send_task('t.add', (1, 2))
        r.get(timeout=20)
        r.forget()
        self.assertIsNone(lib.document(self.db1, r.id))


if __name__ == '__main__':
    lib.main()
