#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""W3C Trace Context: what a task with a traceparent brings about has it too, as it has behind a
Python worker with OpenTelemetry's instrumentation of Celery."""

import http.server
import json
import threading

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


class Collector(http.server.ThreadingHTTPServer):
    """What an OpenTelemetry collector is to a worker: POST /v1/traces."""

    daemon_threads = True

    def __init__(self):
        self.posts, self.status = [], 200
        super().__init__(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return 'http://127.0.0.1:%d' % self.server_port

    def spans(self):
        return [s for _, _, body in list(self.posts) for r in body['resourceSpans']
                for scope in r['scopeSpans'] for s in scope['spans']]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        if self.server.status == 200:
            self.server.posts.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(self.server.status)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'{}')

    def log_message(self, *args):
        pass


class Spans(lib.Case):
    def setUp(self):
        self.collector = Collector()
        self.addCleanup(self.collector.server_close)
        self.addCleanup(self.collector.shutdown)

    def traced(self, **env):
        env = dict({'OTEL_EXPORTER_OTLP_ENDPOINT': self.collector.url,
                    'OTEL_SERVICE_NAME': 'orders'}, **env)
        return self.start(kind='c', env=env)

    def named(self, name, n=1):
        def found():
            spans = [s for s in self.collector.spans() if s['name'] == name]
            return len(spans) >= n and spans
        return lib.wait_for('%d spans %s' % (n, name), found, 10 * lib.PATIENCE)

    @staticmethod
    def attributes(span):
        return {a['key']: list(a['value'].values())[0] for a in span['attributes']}

    def test_a_task_in_a_trace(self):
        w = self.traced(OTEL_EXPORTER_OTLP_HEADERS='x-key=secret,x-other=1')
        first = self.app.signature('t.add', (1, 2), app=self.app).set(
            headers={'traceparent': PARENT})
        r = chain(first, self.app.signature('t.ident', app=self.app)).apply_async()
        self.assertEqual(r.get(timeout=20), 3)
        add, = self.named('run/t.add')
        wait, = self.named('wait/t.add')
        ident, = self.named('run/t.ident')
        trace, parent = PARENT.split('-')[1:3]
        self.assertEqual({s['traceId'] for s in (add, wait, ident)}, {trace})
        self.assertEqual(add['parentSpanId'], parent)
        self.assertEqual(wait['parentSpanId'], parent)
        self.assertEqual(ident['parentSpanId'], add['spanId'])
        self.assertEqual(len({s['spanId'] for s in (add, wait, ident)}), 3)
        times = [int(wait['startTimeUnixNano']), int(wait['endTimeUnixNano']),
                 int(add['startTimeUnixNano']), int(add['endTimeUnixNano'])]
        self.assertEqual(times, sorted(times))
        self.assertEqual(wait['endTimeUnixNano'], add['startTimeUnixNano'])
        about = self.attributes(add)
        self.assertEqual(about['celery.task_name'], 't.add')
        self.assertEqual(about['celery.state'], 'SUCCESS')
        self.assertEqual(about['messaging.message.id'], r.parent.id)
        path, headers, body = self.collector.posts[0]
        self.assertEqual(path, '/v1/traces')
        self.assertEqual(headers['x-key'], 'secret')
        self.assertEqual(headers['Content-Type'], 'application/json')
        resource = self.attributes(body['resourceSpans'][0]['resource'])
        self.assertEqual(resource['service.name'], 'orders')
        self.assertNotIn('secret', w.output())
        self.assertEqual(w.stop(), 0)

    def test_a_trace_begins_and_fails(self):
        w = self.traced()
        r = self.app.send_task('t.fail')
        with self.assertRaises(KeyError):
            r.get(timeout=20)
        run, = self.named('run/t.fail')
        self.assertNotIn('parentSpanId', run)
        self.assertEqual(run['status'], {'code': 2, 'message': "KeyError('boom')"})
        self.assertEqual(w.stop(), 0)

    def test_not_sampled(self):
        w = self.traced()
        r = self.app.send_task('t.add', (1, 2), headers={'traceparent': PARENT[:-1] + '0'})
        self.assertEqual(r.get(timeout=20), 3)
        self.assertEqual(self.call('t.ident', 5), 5)
        self.named('run/t.ident')
        self.assertEqual([s for s in self.collector.spans() if 't.add' in s['name']], [])
        w.stop()

    def test_the_last_spans_go_before_the_end(self):
        w = self.traced()
        for i in range(20):
            self.call('t.ident', i)
        self.assertEqual(w.stop(), 0)
        self.assertEqual(len(self.named('run/t.ident', 20)), 20)

    def test_a_collector_that_is_away_or_refuses(self):
        w = self.traced()
        self.collector.status = 503
        self.assertEqual(self.call('t.ident', 1), 1)
        w.wait_output('otlp: spans are dropped: HTTP status 503')
        for i in range(50):
            self.assertEqual(self.call('t.ident', i), i)
        self.collector.status = 200
        self.call('t.add', 1, 2)
        self.named('run/t.add')
        w.wait_output('otlp: spans are sent again')
        self.assertEqual(w.output().count('otlp: spans are dropped'), 1)
        self.collector.shutdown()
        self.collector.server_close()
        for i in range(50):
            self.assertEqual(self.call('t.ident', i), i)
        w.wait_output('Connection refused')
        self.assertEqual(w.stop(), 0)

    def test_wrong_endpoints(self):
        for wrong in 'ftp://x', 'http://', 'nonsense', 'https:///x':
            w = self.start(kind='c', env={'OTEL_EXPORTER_OTLP_ENDPOINT': wrong}, wait=False)
            self.assertNotEqual(w.wait(), 0)
            self.assertIn('worker_otlp_endpoint', w.output())


if __name__ == '__main__':
    lib.main()
