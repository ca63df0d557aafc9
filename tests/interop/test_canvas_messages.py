#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random canvases, applied by Celery and by the C library: the same messages, notes for the
backend, result tuples and dict forms.  Nothing is sent: producer and backend write down what
they are asked for.

CANVAS_COUNT and CANVAS_SEED choose how many and which; a failing case prints its recipe, which
canvas_tool reads from stdin.
"""

import datetime
import json
import os
import random
import re
import subprocess
import sys
import unittest
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = '5.7.0'  # what the C side follows where versions differ

if __name__ == '__main__':
    try:
        import celery
        right = celery.__version__ == VERSION
    except ImportError:
        right = False
    if not right:
        sys.path.insert(0, HERE)
        import matrix
        python = matrix.prepare(VERSION)
        if not python:
            sys.exit(77)
        os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])

import celery.app.amqp
import celery.app.base
import celery.canvas
import lib
from celery import Celery, chain, chord, group
from celery.backends.base import BaseBackend
from celery.backends.redis import RedisBackend
from celery.canvas import Signature, signature
from kombu.utils import json as kombu_json

warnings.simplefilter('ignore')
COUNT = int(os.environ.get('CANVAS_COUNT', '600'))
SEED = int(os.environ.get('CANVAS_SEED', '1'))
NOW = datetime.datetime(2026, 11, 22, 12, 0, 0, tzinfo=datetime.timezone.utc)
assert NOW.timestamp() == 1795348800

# ---- Celery, writing down ----

events = []
ids = [0]


def counted():
    ids[0] += 1
    return 'id-%d' % ids[0]


class Notes:
    """What a backend is asked for; nothing is sent to it."""

    def on_task_call(self, producer, task_id):
        return {}

    def add_pending_result(self, result, *args, **kwargs):
        return result


class Counting(Notes, RedisBackend):
    def ensure(self, fun, args, **policy):
        pass

    def _set_chord_key(self, key, value):
        key = key.decode()
        if key.endswith('.s'):
            events.append({'kind': 'size', 'id': key[len('celery-taskset-meta-'):-2],
                           'number': value})
        else:
            events.append({'kind': 'save', 'id': key[len('celery-taskset-meta-'):],
                           'json': json.loads(value)['result']})


class Fallback(Notes, BaseBackend):
    pass


class Running:
    """The task that app.current_worker_task names."""

    class request:
        delivery_info = {}

    def __init__(self, id, root_id):
        self.request.id, self.request.root_id = id, root_id

    def add_trail(self, result):
        tuple_ = json.loads(json.dumps(result.as_tuple()))
        events.append({'kind': 'child', 'id': tuple_[0][0], 'json': tuple_})
        return result


def publish(self, body, routing_key=None, exchange=None, headers=None, declare=None,
            priority=None, expiration=None, correlation_id=None, reply_to=None,
            delivery_mode=None, serializer=None, compression=None, **other):
    events.append({
        'kind': 'publish', 'id': headers['id'],
        'headers': json.loads(kombu_json.dumps(headers)),
        'body': json.loads(kombu_json.dumps(body)),
        'queue': declare[0].name, 'exchange': exchange or '', 'routing_key': routing_key,
        'priority': priority or 0, 'correlation_id': correlation_id, 'reply_to': reply_to,
        'expiration': None if expiration is None else str(int(expiration * 1000)),
        'delivery_mode': delivery_mode, 'compression': compression,
    })


def make_app(backend):
    app = Celery('canvas', broker='memory://', set_as_current=False)
    app.conf.task_routes = {'routed.*': {'queue': 'routed-queue'}, 'add': 'add-queue'}
    app.conf.result_backend = 'redis://127.0.0.1:1/0'

    @app.task(name='known', typing=False, queue='known-queue', priority=3, time_limit=30)
    def known(*args, **kwargs):
        pass

    app.finalize()
    for task in app.tasks.values():
        task.typing = False  # Python's own check of the arguments
    app._local.backend = backend(app=app) if backend is Fallback else backend(
        app=app, url='redis://127.0.0.1:1/0')
    app._backend_cache = app._local.backend
    return app


Celery.now = lambda self: NOW
Celery.thread_oid = 'oid'
current = [None]
Celery.current_worker_task = property(lambda self: current[0])
celery.canvas.uuid = celery.app.base.uuid = counted
celery.app.amqp.anon_nodename = lambda: 'gen1@here'
celery.app.amqp.Producer = type('Producer', (celery.app.amqp.Producer,), {'publish': publish})
APPS = {True: make_app(Counting), False: make_app(Fallback)}
for app_ in APPS.values():
    app_.amqp.Producer.publish = publish

# ---- recipes ----


def build(r):
    op = r['op']
    if op == 'task':
        sig = Signature(r['task'], tuple(r.get('args') or ()), dict(r.get('kwargs') or {}),
                        dict(r.get('options') or {}))
    elif op == 'chain':
        sig = chain([build(t) for t in r['tasks']])
    elif op == 'group':
        sig = group([build(t) for t in r['tasks']])
    elif op == 'chord':
        sig = chord(group([build(t) for t in r['header']]), build(r['body']))
    elif op == 'map':
        task, it, n = build(r['sig']), r['it'], r.get('n')
        sig = (celery.canvas.chunks(task, it, n) if n else
               celery.canvas.xstarmap(task, it) if r.get('star') else
               celery.canvas.xmap(task, it))
    else:
        sig = signature(json.loads(json.dumps(build(r['sig']))))
    for name, value in (r.get('set') or {}).items():
        sig.options[name] = value
    if r.get('immutable') is not None:
        sig.set_immutable(r['immutable'])
    for link in r.get('link') or []:
        sig.link(build(link))
    for errback in r.get('link_error') or []:
        sig.link_error(build(errback))
    if r.get('stamp'):
        sig.stamp(**r['stamp'])
    if r.get('clone'):
        sig = sig.clone(r['clone'].get('args'), r['clone'].get('kwargs'))
    return sig


def by_celery(recipe):
    app = APPS[bool(recipe.get('counts'))]
    app.set_current()
    events.clear()
    ids[0] = 0
    current[0] = None
    sig = build(recipe['sig'])
    out = {'doc': json.dumps(sig)}
    if recipe.get('freeze'):
        out['frozen'] = sig.freeze().as_tuple()
    if recipe.get('running'):
        current[0] = Running(**recipe['running'])
    app.conf.task_allow_error_cb_on_chord_header = bool(recipe.get('strict'))
    try:
        result = sig.apply_async(recipe.get('args'), recipe.get('kwargs'),
                                 **(recipe.get('options') or {}))
    finally:
        app.conf.task_allow_error_cb_on_chord_header = False
    out['result'] = result.as_tuple()
    out['effects'] = list(events)
    return json.loads(json.dumps(out))


# ---- the generator ----


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.n = 0

    def chance(self, p):
        return self.r.random() < p

    def some(self, n, depth):
        return [self.sig(depth - 1) for _ in range(n)]

    def task(self):
        self.n += 1
        r = {'op': 'task', 'task': self.r.choice(['add', 'mul', 'known', 'routed.x', 't%d' % self.n])}
        if self.chance(0.7):
            r['args'] = [self.n, 'é "\u2028'][:self.r.randint(0, 2)]
        if self.chance(0.2):
            r['kwargs'] = {'k': self.n, 'l': [1, {'a': None}]}
        if self.chance(0.3):
            r['options'] = self.options()
        return r

    def options(self):
        every = {
            'queue': 'q1', 'priority': 7, 'countdown': self.r.choice([0, 3, 1.5]),
            'eta': '2026-12-01T00:00:00+00:00', 'expires': self.r.choice([60, 0.5, -5]),
            'headers': {'x': 1}, 'time_limit': 9, 'soft_time_limit': 8.5,
            'ignore_result': self.chance(0.5), 'shadow': 'other', 'routing_key': 'rk',
            'exchange': 'ex', 'retries': 2, 'serializer': 'json', 'reply_to': 'me',
            'task_id': 'own-%d' % self.n, 'compression': 'zlib',
        }
        return {k: every[k] for k in self.r.sample(sorted(every), self.r.randint(1, 3))}

    def sig(self, depth):
        kind = self.r.random()
        if depth <= 0 or kind < 0.3:
            r = self.task()
        elif kind < 0.55:
            r = {'op': 'chain', 'tasks': self.some(self.r.randint(0 if self.chance(.1) else 1, 4), depth)}
        elif kind < 0.72:
            r = {'op': 'group', 'tasks': self.some(self.r.randint(0 if self.chance(.2) else 1, 3), depth)}
        elif kind < 0.88:
            r = {'op': 'chord', 'header': self.some(self.r.randint(0 if self.chance(.1) else 1, 3), depth),
                 'body': self.sig(depth - 1)}
        elif kind < 0.95:
            r = {'op': 'map', 'sig': self.task(), 'it': [[1, 2], [3, 4], [5, 6]][:self.r.randint(0, 3)],
                 'star': self.chance(0.5), 'n': self.r.choice([0, 0, 2])}
        else:
            r = {'op': 'json', 'sig': self.sig(depth - 1)}
        return self.changed(r, depth)

    def changed(self, r, depth):
        if self.chance(0.08):
            r['set'] = self.options()
        if self.chance(0.08):
            r['immutable'] = self.chance(0.8)
        if self.chance(0.1):
            r['link'] = [self.sig(min(depth, 1) - self.chance(0.7)) for _ in range(self.r.randint(1, 2))]
        if self.chance(0.1):
            r['link_error'] = [self.sig(min(depth, 1) - self.chance(0.7)) for _ in range(self.r.randint(1, 2))]
        if self.chance(0.05):
            r['stamp'] = self.r.choice([{'s1': 'v'}, {'s2': [1, 2]}, {'s1': 3, 's2': [4]}])
        if self.chance(0.06):
            r['clone'] = {'args': [0] if self.chance(0.5) else None,
                          'kwargs': {'c': 1} if self.chance(0.3) else None}
        return r

    def recipe(self):
        self.n = 0
        recipe = {'sig': self.sig(self.r.choice([1, 2, 3, 3, 4])), 'counts': self.chance(0.8)}
        if self.chance(0.3):
            recipe['args'] = ['partial']
        if self.chance(0.1):
            recipe['kwargs'] = {'extra': 1}
        if self.chance(0.25):
            recipe['options'] = self.options()
        if self.chance(0.2):
            options = recipe.setdefault('options', {})
            options.update({'parent_id': 'parent', 'root_id': 'root', 'priority': 5})
        if self.chance(0.15):
            options = recipe.setdefault('options', {})
            options[self.r.choice(['link', 'link_error'])] = [plain('cb')]
        if self.chance(0.1):
            options = recipe.setdefault('options', {})
            options.update({'chain': [plain('next')], 'chord': plain('body'),
                            'group_id': 'gid', 'group_index': 4})
        if self.chance(0.1):
            recipe['freeze'] = True
        if self.chance(0.2):
            recipe['strict'] = True
        if self.chance(0.3):
            recipe['running'] = {'id': 'runs', 'root_id': self.r.choice(['its-root', None])}
        return recipe


def plain(name):
    return {'task': name, 'args': [], 'kwargs': {}, 'options': {}, 'subtask_type': None,
            'immutable': False}


# ---- comparing ----


def level(value):
    """What Python leaves to chance is put in order: the names of stamps come from a set."""
    if isinstance(value, dict):
        return {k: sorted(level(v), key=str) if k == 'stamped_headers' and isinstance(v, list)
                else level(v) for k, v in value.items()}
    return [level(v) for v in value] if isinstance(value, list) else value


def message_of(effect):
    """The C side's effect in the form of publish()."""
    if effect['kind'] != 'publish':
        return effect
    import base64
    env = effect['json']
    properties = env['properties']
    body = base64.b64decode(env['body'])
    compression = env['headers'].pop('compression', None)
    if compression:
        import zlib
        assert compression == 'application/x-gzip'
        body = zlib.decompress(body)
    return {
        'kind': 'publish', 'id': effect['id'], 'headers': env['headers'],
        'body': json.loads(body), 'queue': effect['queue'], 'exchange': effect['exchange'],
        'routing_key': effect['routing_key'], 'priority': properties['priority'],
        'correlation_id': properties['correlation_id'], 'reply_to': properties['reply_to'],
        'expiration': properties.get('expiration'),
        'delivery_mode': properties['delivery_mode'],
        'compression': 'zlib' if compression else None,
    }


def differences(a, b, path=''):
    """The paths where two documents differ, C's value first."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in sorted(set(a) | set(b)):
            if k not in a or k not in b:
                yield '%s.%s: only %s: %r' % (path, k, 'C' if k in a else 'Python', a.get(k, b.get(k)))
            else:
                yield from differences(a[k], b[k], '%s.%s' % (path, k))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from differences(x, y, '%s[%d]' % (path, i))
    elif a != b or isinstance(a, bool) != isinstance(b, bool):
        yield '%s: %r, Python %r' % (path, a, b)


def seen(effects):
    out = []
    for effect in effects:
        effect = message_of(effect) if 'headers' not in effect else effect
        if effect['kind'] == 'publish':
            headers = effect['headers']
            # None of 5.7 and False of the versions before mean the same.
            headers['ignore_result'] = bool(headers['ignore_result'])
            if headers['task'].startswith('celery.'):
                # Signatures among the arguments: repr() tells tuples from lists.
                del headers['argsrepr'], headers['kwargsrepr']
        out.append(level(effect))
    return out


class CanvasMessages(unittest.TestCase):
    maxDiff = None

    def compare(self, recipe, c):
        try:
            py = by_celery(recipe)
        except Exception as e:  # pylint: disable=broad-except
            if re.match("'(dict|list)' object has no attribute", str(e)):
                # group.link() of a callback in dict form, a chord in a body that was
                # not frozen: bugs that are not copied.
                return 'crashes'
            self.assertIn('error', c, 'Celery refuses: %r' % e)
            return 'refused'
        self.assertNotIn('error', c)
        if 'stamp' not in json.dumps(recipe):
            self.assertEqual(c['doc'], py['doc'])
        for out in (c, py):
            out['doc'] = level(json.loads(out['doc']))
            out['effects'] = seen(out['effects'])
        found = list(differences(c, py))
        if found:
            self.fail('\n'.join(found[:20]))
        return 'same'

    def test_random_canvases(self):
        tool = lib.built('tests/interop/canvas_tool')
        maker = Maker(SEED)
        recipes = [maker.recipe() for _ in range(COUNT)]
        run = subprocess.run([tool], input='\n'.join(map(json.dumps, recipes)) + '\n',
                             stdout=subprocess.PIPE, text=True, timeout=120)
        lines = run.stdout.splitlines()
        self.assertEqual(run.returncode, 0)
        self.assertEqual(len(lines), COUNT)
        counts, failures = {}, 0
        for recipe, line in zip(recipes, lines):
            try:
                kind = self.compare(recipe, json.loads(line))
            except AssertionError as e:
                kind = 'different'
                failures += 1
                if failures <= 3:
                    print('recipe: %s\n%s' % (json.dumps(recipe), str(e)[:3000]))
            counts[kind] = counts.get(kind, 0) + 1
        print('%d canvases of seed %d: %s' % (COUNT, SEED, counts))
        self.assertEqual(failures, 0)
        self.assertGreater(counts.get('same', 0), COUNT * 0.6)


if __name__ == '__main__':
    lib.main()
