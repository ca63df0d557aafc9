#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""W3C Trace Context: what a task with a traceparent brings about has it too, as it has behind a
Python worker with OpenTelemetry's instrumentation of Celery."""

import lib
from celery import chain, chord, group

PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
STATE = 'vendor=value'


class Trace(lib.Case):
    worker_options = {}

    def send(self, sig, parent=PARENT, state=STATE):
        headers = {'traceparent': parent}
        if state:
            headers['tracestate'] = state
        return sig.apply_async(headers=headers)

    def s(self, name, *args, **options):
        return self.app.signature('t.' + name, args, app=self.app, **options)

    def elsewhere(self, n=1):
        """Traces of the next messages in a queue that nobody reads."""
        found = [lib.wait_for('a message', lambda: self.queues.take('elsewhere'))['headers']
                 for _ in range(n)]
        return [(h.get('traceparent'), h.get('tracestate')) for h in found]

    def other(self, **options):
        return self.s('ident', **options).set(queue='elsewhere')

    def test_chain(self):
        # Its options are those of the first step alone.
        first = self.s('add', 1, 2).set(headers={'traceparent': PARENT, 'tracestate': STATE})
        chain(first, self.s('ident'), self.other()).apply_async()
        self.assertEqual(self.elsewhere(), [(PARENT, STATE)])

    def test_callback(self):
        self.send(self.s('add', 1, 2).on_error(self.other()) | self.other())
        self.assertEqual(self.elsewhere(), [(PARENT, STATE)])

    def test_errback(self):
        self.send(self.s('fail').on_error(self.other()))
        self.assertEqual(self.elsewhere(), [(PARENT, STATE)])

    def test_body_of_a_chord(self):
        if lib.RESULTS == 'rpc':
            self.skipTest('no chords with rpc')
        parts = [self.s('add', i, 1).set(headers={'traceparent': PARENT}) for i in range(3)]
        chord(parts, self.other()).apply_async()
        self.assertEqual(self.elsewhere(), [(PARENT, None)])

    def test_group_after_a_task(self):
        first = self.s('add', 1, 2).set(headers={'traceparent': PARENT})
        chain(first, group(self.other(), self.other())).apply_async()
        self.assertEqual(self.elsewhere(2), [(PARENT, None)] * 2)

    def test_what_a_task_sends(self):
        self.send(self.s('spawn', [dict(self.other())]))
        self.assertEqual(self.elsewhere(), [(PARENT, STATE)])

    def test_own_header_wins(self):
        own = PARENT.replace('00f067aa0ba902b7', '1111111111111111')
        first = self.s('add', 1, 2).set(headers={'traceparent': PARENT, 'tracestate': STATE})
        chain(first, self.other().set(headers={'traceparent': own})).apply_async()
        self.assertEqual(self.elsewhere(), [(own, None)])

    def test_what_is_none_is_not_passed_on(self):
        for wrong in 'x', '', PARENT.upper(), PARENT + '-more', '\u00e9' * 55, 7, None, ['a']:
            first = self.s('add', 1, 2).set(headers={'traceparent': wrong, 'tracestate': STATE})
            chain(first, self.other()).apply_async()
            self.assertEqual(self.elsewhere(), [(None, None)], wrong)

    def test_without_there_is_none(self):
        chain(self.s('add', 1, 2), self.other()).apply_async()
        self.assertEqual(self.elsewhere(), [(None, None)])


if __name__ == '__main__':
    lib.main()
