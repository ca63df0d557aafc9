#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""How each outcome is settled and what is stored of it, by the settings that decide it."""

import json
import re

import lib
from test_results import Reference

NEW = lib.celery_version() >= (5, 7)


class Settled(Reference):
    """acks_on_timeout: a task that was ended is not run again, or is."""

    def runs(self, queue, at_least):
        path = lib.tmpname('.mark')
        r = self.app.send_task('t.mark', (path, 20), queue=queue, time_limit=1)
        lib.wait_for('runs on ' + queue, lambda: len(open(path).read()) >= at_least, 40)
        return r, path

    def each(self):
        return ('ours', 'theirs')


class Acknowledged(Settled):
    def test_a_timeout_ends_it(self):
        for queue in self.each():
            r, path = self.runs(queue, 1)
            self.wait_state(r, 'FAILURE', timeout=20 * lib.PATIENCE)
            lib.wait_for('settled', lambda: not self.queues.held(), 20)
            self.assertEqual(open(path).read(), 'x')


class Requeued(Settled):
    conf = {'task_acks_on_failure_or_timeout': False}

    def test_a_timeout_runs_it_again(self):
        for queue in self.each() if NEW else ('ours',):
            self.runs(queue, 2)


class SplitFlags(Settled):
    """Since 5.7 the setting is two, which win over the old one."""

    conf = {'task_acks_on_failure_or_timeout': False, 'task_acks_on_timeout': True}

    def each(self):
        return ('ours', 'theirs') if NEW else ('ours',)

    def test_a_timeout_ends_it(self):
        Acknowledged.test_a_timeout_ends_it(self)


class Ignored(Reference):
    conf = {'task_ignore_result': True, 'task_store_errors_even_if_ignored': True}

    def stored(self, name, args=(), **options):
        states = []
        for queue in ('ours', 'theirs'):
            r = self.app.send_task(name, args, queue=queue, **options)
            done = self.app.send_task('t.fail', queue=queue)  # two slots: look a little longer
            lib.wait_for('an error is stored', lambda: lib.document(self.db1, done.id), 20)
            lib.wait_for('all is over', lambda: not self.queues.held(), 20)
            worker = self.ours if queue == 'ours' else self.theirs
            worker.wait_output('%s[%s] ' % (name, r.id))
            worker.wait_output(self.ends % r.id)
            text = lib.document(self.db1, r.id)
            states.append(json.loads(text)['status'] if text else None)
        return states

    ends = '[%s] succeeded'

    def test_the_setting_ignores_values(self):
        if NEW:  # clients before send false and not null
            self.assertEqual(self.stored('t.add', (1, 2)), [None, None])

    def test_the_header_ignores_values(self):
        self.assertEqual(self.stored('t.add', (1, 2), ignore_result=True), [None, None])

    def test_the_header_wins_over_the_task(self):
        ours, theirs = self.stored('t.add', (1, 2), ignore_result=False)
        self.assertEqual(ours, 'SUCCESS')
        if lib.celery_version() >= (5, 6, 3):
            self.assertEqual(theirs, 'SUCCESS')

    def test_errors_are_stored_all_the_same(self):
        self.ends = '[%s] raised'
        self.assertEqual(self.stored('t.fail', ignore_result=True), ['FAILURE', 'FAILURE'])

    def test_states_of_the_task_are_not(self):
        self.assertEqual(self.stored('t.progress', (0,), ignore_result=True)[0], None)


class Lost(Reference):
    """retry_on_worker_lost, since 5.7."""

    def mask(self, text):
        return re.sub(r'Job: \d+', 'Job: N', text)

    def test_it_ends_well(self):
        if NEW:
            self.assert_same_document('t.crash_again', (2,))
        r = self.app.send_task('t.crash_again', (1,), queue='ours')
        self.wait_state(r, 'RETRY')
        self.assertEqual(json.loads(lib.document(self.db1, r.id))['result']['exc_type'],
                         'WorkerLostError')
        self.assertEqual(r.get(timeout=20), 1)

    def test_it_is_given_up(self):
        if NEW:
            self.assert_same_document('t.crash_again', (9,), mask=self.mask)
        r = self.app.send_task('t.crash_again', (9,), queue='ours')
        self.wait_state(r, 'FAILURE', timeout=20 * lib.PATIENCE)
        lib.wait_for('settled', lambda: not self.queues.held(), 20)


class Inside(lib.Case):
    """What a running task sends, in the other pools."""

    def flows(self, pool, concurrency, waits):
        w = self.start(pool=pool, concurrency=concurrency)
        s = self.app.signature
        add = s('t.add', (1, 2))
        self.assertEqual(s('t.replace_with', (add,)).apply_async().get(timeout=20), 3)
        self.assertEqual((s('t.replace_with', (s('t.ident', (1,)) | s('t.add', (4,)),))
                          | s('t.add', (5,))).apply_async().get(timeout=20), 10)
        r = self.app.send_task('t.spawn', ([add, add],))
        self.assertEqual(r.get(timeout=20), 2)
        self.assertEqual([c.get(timeout=20) for c in r.children], [3, 3])
        self.assertEqual(self.app.send_task('t.retry', (1, 0.1)).get(timeout=20), 1)
        if waits:
            self.assertEqual(self.app.send_task('t.wait_for', (add,)).get(timeout=30), 3)
        self.assertEqual(w.stop(), 0)

    def test_prefork(self):
        self.flows('prefork', 2, True)

    def test_threads(self):
        self.flows('threads', 2, True)

    def test_solo(self):
        self.flows('solo', 1, False)


if __name__ == '__main__':
    lib.main()
