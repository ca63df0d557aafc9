#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Records what becomes of canvases in real Celery, case by case, into canvas/NAME.json.

    record_canvas.py [START]        writes the cases (whose names start so)
    record_canvas.py --check       compares instead of writing; exit 77: no Celery, no Redis

"apply" cases: a canvas is built and applied; recorded are its dict form, the messages, the
notes for the backend and the result tuple; where applying what was read back from the dict
form gives something else, that too.

"flow" cases: the canvas is applied to a result backend on a Redis of our own, and each message
goes through Celery's own worker.request.Request.execute(), in the order of sending, until none
is left.  Recorded is what each step caused: messages, notes, children, stored documents, chord
parts.  Ids are counted, the clock stands still; tracebacks are replaced by "traceback".
"""
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
INTEROP = HERE.parent / 'interop'
VERSION = '5.7.0'

sys.path.insert(0, str(INTEROP))
try:
    import celery
    right = celery.__version__ == VERSION
except ImportError:
    right = False
if not right:
    import matrix
    python = matrix.prepare(VERSION)
    if not python:
        sys.exit(77)
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])

import celery.app.task
import celery.backends.base
import celery.result
import kombu
import lib
import test_canvas_messages as live
from celery import Celery, _state
from celery.backends.redis import RedisBackend
from celery.worker.request import Request
from kombu.utils import json as kombu_json

TASKSET, META = 'celery-taskset-meta-', 'celery-task-meta-'
SHOWN = 'traceback'
HEADER_ERRBACKS = 'task_allow_error_cb_on_chord_header'
events = live.events

# ---- recipes in short ----


def t(task, *args, **more):
    return dict({'op': 'task', 'task': task, 'args': list(args)}, **more)


def chain(*tasks, **more):
    return dict({'op': 'chain', 'tasks': list(tasks)}, **more)


def group(*tasks, **more):
    return dict({'op': 'group', 'tasks': list(tasks)}, **more)


def chord(header, body, **more):
    return dict({'op': 'chord', 'header': list(header), 'body': body}, **more)


def over(task, it, **more):
    return dict({'op': 'map', 'sig': task, 'it': it}, **more)


def recipe(sig, **more):
    return dict({'sig': sig, 'counts': True}, **more)


T, A, M = t('tsum'), t('add', 1, 2), t('mul', 3)
EB = t('eb')
FOLLOW = live.plain('next')
BODY = live.plain('body')

APPLY = {
    'task': recipe(A),
    'task-keywords': recipe(t('add', 1, kwargs={'x': 'é "\u2028', 'y': [1, {'a': None}]})),
    'task-partial-args': recipe(t('add', 1, kwargs={'a': 1}), args=[9], kwargs={'b': 2}),
    'task-immutable': recipe(t('add', 1, immutable=True), args=[9], kwargs={'b': 2}),
    'task-registered': recipe(t('known', 1)),
    'task-routed': recipe(t('routed.x', 1)),
    'task-options': recipe(t('x', options={
        'queue': 'q1', 'priority': 7, 'expires': 60, 'headers': {'x': 1}, 'time_limit': 9,
        'soft_time_limit': 8.5, 'shadow': 'other', 'ignore_result': True, 'retries': 2,
        'compression': 'zlib'})),
    'task-countdown': recipe(t('x', options={'countdown': 1.5})),
    'task-eta': recipe(t('x', options={'eta': '2026-12-01T00:00:00+00:00'})),
    'task-exchange': recipe(t('x', options={'exchange': 'ex', 'routing_key': 'rk'})),
    'task-embedded': recipe(A, options={
        'link': [FOLLOW], 'link_error': [FOLLOW], 'chain': [FOLLOW], 'chord': BODY,
        'group_id': 'gid', 'group_index': 4, 'replaced_task_nesting': 2}),
    'task-while-running': recipe(A, running={'id': 'runs', 'root_id': 'its-root'}),
    'task-while-running-first': recipe(A, running={'id': 'runs', 'root_id': None}),
    'task-links': recipe(t('add', 1, link=[M, t('x')], link_error=[EB])),
    'task-link-twice': recipe(t('add', 1, link=[M, M])),
    'task-stamps': recipe(t('add', 1, stamp={'s1': 'v'})),
    'task-clone': recipe(t('add', 1, kwargs={'a': 1}, clone={'args': [0], 'kwargs': {'c': 1}})),
    'chain': recipe(chain(A, M, t('x', immutable=True))),
    'chain-of-one': recipe(chain(A)),
    'chain-args': recipe(chain(t('add', 1), M), args=[9], kwargs={'b': 2}),
    'chain-in-chain': recipe(chain(A, chain(M, t('x')), t('y'))),
    'chain-links': recipe(chain(A, M, link=[t('cb')], link_error=[EB])),
    'chain-immutable': recipe(chain(A, M, immutable=True), args=[9]),
    'chain-options': recipe(chain(A, M, set={'queue': 'q1', 'priority': 7})),
    'chain-stamps': recipe(chain(A, M, stamp={'s1': 'v'})),
    'chain-frozen': recipe(chain(A, M), freeze=True),
    'chain-priority': recipe(chain(A, M), options={'priority': 5}),
    'chain-from-inside': recipe(chain(A, M), options={'parent_id': 'p', 'root_id': 'r'},
                                running={'id': 'runs', 'root_id': 'its-root'}),
    'chain-ends-in-group': recipe(chain(A, group(M, t('x')))),
    'chain-starts-with-group': recipe(chain(group(A, M))),
    'group-in-chain-becomes-chord': recipe(chain(group(A, M), T)),
    'groups-in-chain-become-chords': recipe(chain(A, group(M, t('x')), T, group(A, M), T)),
    'group-behind-group': recipe(chain(group(A, M), group(t('x'), t('y')))),
    'chord-in-chain': recipe(chain(A, chord([M, t('x')], T), t('y'))),
    'chords-in-chain': recipe(chain(chord([A, M], T), chord([t('x')], T), t('y'))),
    'group': recipe(group(A, M, t('x'))),
    'group-of-one': recipe(group(A)),
    'group-empty': recipe(group()),
    'group-of-groups': recipe(group(A, group(M, t('x')))),
    'group-of-chains': recipe(group(chain(A, M), chain(t('x'), t('y')))),
    'group-args': recipe(group(t('add', 1), M), args=[9], kwargs={'b': 2}),
    'group-links': recipe(group(A, M, link=[t('cb')], link_error=[EB])),
    'group-immutable': recipe(group(A, M, immutable=True), args=[9]),
    'group-options': recipe(group(A, M, set={'queue': 'q1'}), options={'priority': 4}),
    'group-stamps': recipe(group(A, M, stamp={'s2': [1, 2]})),
    'group-frozen': recipe(group(A, M), freeze=True),
    'group-from-inside': recipe(group(A, M), running={'id': 'runs', 'root_id': 'its-root'}),
    'group-without-counting': recipe(group(A, M), counts=False),
    'chord': recipe(chord([A, M], T)),
    'chord-of-one': recipe(chord([A], T)),
    'chord-empty': recipe(chord([], T)),
    'chord-args': recipe(chord([t('add', 1), M], T), args=[9], kwargs={'b': 2}),
    'chord-links': recipe(chord([A, M], T, link=[t('cb')], link_error=[EB])),
    'chord-body-links': recipe(chord([A, M], t('tsum', link=[t('cb')], link_error=[EB]))),
    'chord-immutable': recipe(chord([A, M], t('tsum', immutable=True))),
    'chord-options': recipe(chord([A, M], T, set={'queue': 'q1', 'priority': 7})),
    'chord-stamps': recipe(chord([A, M], T, stamp={'s1': 'v'})),
    'chord-frozen': recipe(chord([A, M], T), freeze=True),
    'chord-header-of-chains': recipe(chord([chain(A, M), t('x')], T)),
    'chord-header-with-group': recipe(chord([A, group(M, t('x'))], T)),
    'chord-header-with-chord': recipe(chord([chord([A, M], T), t('x')], T)),
    'chord-header-chain-to-group': recipe(chord([chain(A, group(M, t('x')))], T)),
    'chord-body-chain': recipe(chord([A, M], chain(T, t('x')))),
    'chord-body-group': recipe(chord([A, M], group(T, t('x')))),
    'chord-body-chord': recipe(chord([A, M], chord([T, t('x')], T))),
    'chord-with-task-id': recipe(chord([A, M], T), options={'task_id': 'mine'}),
    'chord-from-inside': recipe(chord([A, M], T),
                                running={'id': 'runs', 'root_id': 'its-root'}),
    'chord-without-counting': recipe(chord([A, M], T), counts=False),
    'map': recipe(over(t('add'), [1, 2, 3])),
    'starmap': recipe(over(t('add'), [[1, 2], [3, 4]], star=True)),
    'chunks': recipe(over(t('add'), [[1, 2], [3, 4], [5, 6]], n=2)),
    'map-in-chain': recipe(chain(over(t('add'), [1, 2]), T)),
    'chunks-in-chain': recipe(chain(over(t('add'), [[1, 2], [3, 4], [5, 6]], n=2), T)),
    'map-in-chord': recipe(chord([over(t('add'), [1, 2]), A], T)),
    'nested-deep': recipe(chain(A, group(chain(M, group(t('x'), t('y'))),
                                         chord([A, M], T)), T, link_error=[EB])),
}

# ---- flows: what the tasks do is in their names, or in "script" ----

# Not here: a chain as errback, which 5.7.0 calls in the worker's process, where it cannot be
# encoded, and celery.chunks run as a task, which returns what cannot be stored.
FLOWS = {
    'flow-plain': dict(sig=A),
    'flow-callback': dict(sig=t('add', 1, 2, link=[t('mul', 10)])),
    'flow-callbacks': dict(sig=t('add', 1, 2, link=[t('mul', 10), t('mul', 20)])),
    'flow-callback-groups': dict(sig=t('add', 1, 2, link=[
        t('mul', 10), group(t('mul', 2), t('mul', 3)), t('mul', 20)])),
    'flow-callback-group-alone': dict(sig=t('add', 1, 2, link=[group(t('mul', 2), t('mul', 3))])),
    'flow-callback-chord': dict(sig=t('add', 1, 2, link=[chord([t('mul', 2), t('mul', 3)], T)])),
    'flow-callback-chain': dict(sig=t('add', 1, 2, link=[chain(t('mul', 2), t('mul', 3))])),
    'flow-callback-immutable': dict(sig=t('add', 1, 2, link=[t('mul', 5, 6, immutable=True)])),
    'flow-chain': dict(sig=chain(A, t('mul', 10), t('mul', 20))),
    'flow-chain-to-group': dict(sig=chain(A, group(t('mul', 2), t('mul', 3)))),
    'flow-chain-to-chord': dict(sig=chain(A, group(t('mul', 2), t('mul', 3)), T, t('mul', 2))),
    'flow-chain-of-chords': dict(sig=chain(group(A, A), T, group(t('mul', 2), t('mul', 3)), T)),
    'flow-chain-to-chunks': dict(sig=chain(A, over(t('add'), [[1, 2], [3, 4], [5, 6]], n=2))),
    'flow-chain-to-map': dict(sig=chain(A, over(t('add'), [1, 2]))),
    'flow-chain-links': dict(sig=chain(A, t('mul', 2), link=[t('mul', 7)])),
    'flow-chain-priority': dict(sig=chain(A, t('mul', 2)), options={'priority': 5},
                                conf={'task_inherit_parent_priority': True}),
    'flow-stamps': dict(sig=chain(A, t('mul', 2), stamp={'s1': 'v'})),
    'flow-headers': dict(sig=chain(t('add', 1, options={'headers': {'x': 1}}), t('mul', 2))),
    'flow-group': dict(sig=group(A, t('mul', 3))),
    'flow-extended': dict(sig=chain(A, t('mul', 2, kwargs={'k': 'é'})),
                          conf={'result_extended': True}),
    'flow-chord': dict(sig=chord([A, t('mul', 3), t('nothing')], t('collect'))),
    'flow-chord-values': dict(sig=chord([t('values'), A], t('collect'))),
    'flow-chord-body-chain': dict(sig=chord([A, t('mul', 3)], chain(T, t('mul', 2)))),
    'flow-chord-body-group': dict(sig=chord([A, t('mul', 3)], group(T, t('tsum')))),
    'flow-chord-body-chord': dict(sig=chord([A, A], chord([T, t('tsum')], T))),
    'flow-chord-of-chains': dict(sig=chord([chain(A, t('mul', 2)), t('mul', 3)], T)),
    'flow-chord-of-chords': dict(sig=chord([chord([A, A], T), t('mul', 3)], T)),
    'flow-chord-with-group': dict(sig=chord([A, group(t('mul', 2), t('mul', 3))], t('collect'))),
    'flow-chord-with-group-fails': dict(
        sig=chord([A, group(t('fail'), t('mul', 3))], t('collect'))),
    'flow-chord-of-one-fails': dict(sig=chord([t('fail')], T)),
    'flow-callbacks-immutable': dict(sig=t('add', 1, link=[t('mul', 5, 6, immutable=True),
                                                           t('mul', 7, immutable=True)])),
    'flow-chain-immutable': dict(sig=chain(A, t('mul', 5, 6, immutable=True), t('mul', 7))),
    'flow-chain-partial': dict(sig=chain(A, t('mul', 5, kwargs={'k': 1}))),
    'flow-ignore-result': dict(sig=chain(t('add', 1, 2, options={'ignore_result': True}),
                                         t('mul', 2))),
    'flow-ignore-result-fails': dict(sig=chain(t('fail', options={'ignore_result': True}),
                                               t('mul', 2), link_error=[EB])),
    'flow-ignore-result-part': dict(
        sig=chord([t('add', 1, 2, options={'ignore_result': True}), A], T)),
    'flow-store-errors': dict(sig=chain(t('fail', options={'ignore_result': True}), t('mul', 2)),
                              conf={'task_store_errors_even_if_ignored': True}),
    'flow-chord-header-errbacks': dict(
        sig=chord([A, t('fail')], T, link_error=[EB]),
        conf={HEADER_ERRBACKS: True}),
    'flow-callback-priority': dict(
        sig=t('add', 1, 2, link=[t('mul', 2), t('mul', 3, options={'priority': 2})]),
        options={'priority': 6}, conf={'task_inherit_parent_priority': True}),
    'flow-chain-to-routed': dict(sig=chain(A, t('routed.x'), t('mul', 2))),
    'flow-chain-ids-kept': dict(sig=chain(t('add', 1, options={'task_id': 'first'}),
                                          t('mul', 2, options={'task_id': 'second'}))),
    'flow-chord-ids-kept': dict(sig=chord([t('add', 1, options={'task_id': 'part'})],
                                          t('tsum', options={'task_id': 'sum'}))),
    'flow-group-of-chords': dict(sig=group(chord([A, A], T), chain(A, group(A, A), T))),
    'flow-nested-deep': dict(sig=chain(A, group(chain(t('mul', 2), group(t('mul', 3), t('mul', 4))),
                                                chord([t('mul', 5), A], T)), t('collect'))),
    'flow-chord-callback': dict(sig=chord([A, A], T, link=[t('mul', 2)])),
    'flow-chord-in-chain': dict(sig=chain(A, chord([t('mul', 2), t('mul', 3)], T), t('mul', 4))),
    'flow-chord-priority': dict(sig=chord([A, A], T), options={'priority': 6},
                                conf={'task_inherit_parent_priority': True}),
    'flow-failure': dict(sig=t('fail')),
    'flow-failure-keyerror': dict(sig=t('miss')),
    'flow-errback': dict(sig=t('fail', link_error=[EB])),
    'flow-errbacks': dict(sig=t('fail', link_error=[EB, t('eb', immutable=True), t('elsewhere')])),
    'flow-errback-group': dict(sig=t('fail', link_error=[group(EB, t('elsewhere'))])),
    'flow-chain-fails': dict(sig=chain(t('fail'), t('mul', 2), t('mul', 3))),
    'flow-chain-fails-errbacks': dict(sig=chain(A, t('fail'), t('mul', 3), link_error=[EB])),
    'flow-chain-fails-before-chord': dict(sig=chain(t('fail'), group(A, A), T, t('mul', 3))),
    'flow-chain-fails-before-chords': dict(
        sig=chain(t('fail'), chord([A, A], chord([t('mul', 2), t('mul', 3)], T)))),
    'flow-chain-fails-before-group': dict(sig=chain(t('fail'), group(A, A))),
    'flow-group-fails': dict(sig=group(t('fail'), A, link_error=[EB])),
    'flow-chord-fails': dict(sig=chord([A, t('fail'), A], T)),
    'flow-chord-fails-errback': dict(sig=chord([A, t('fail')], T, link_error=[EB])),
    'flow-chord-fails-body-errbacks': dict(
        sig=chord([A, t('fail')], t('tsum', link_error=[EB, t('elsewhere')]))),
    'flow-chord-fails-early': dict(sig=chord([t('fail'), A], T)),
    'flow-chord-fails-twice': dict(sig=chord([t('fail'), t('miss')], T)),
    'flow-chord-fails-chain-body': dict(sig=chord([A, t('fail')], chain(T, t('mul', 2)))),
    'flow-chord-fails-group-body': dict(
        sig=chord([A, t('fail')], group(t('tsum', link_error=[EB]), T))),
    'flow-chord-fails-chord-body': dict(sig=chord([A, t('fail')], chord([T, T], T))),
    'flow-chord-fails-in-chain': dict(sig=chain(chord([A, t('fail')], T), t('mul', 2))),
    'flow-chord-of-chains-fails': dict(sig=chord([chain(t('fail'), t('mul', 2)), A], T)),
    'flow-chord-of-chords-fails': dict(sig=chord([chord([A, t('fail')], T), t('mul', 3)], T)),
    'flow-retry': dict(sig=t('again', 1, 2), script={'again': {}}),
    'flow-retry-countdown': dict(sig=t('again', 1), script={'again': {'countdown': 7}}),
    'flow-retry-arguments': dict(sig=t('again', 1, 2, kwargs={'a': 1}), script={
        'again': {'args': [5, 'é'], 'kwargs': {'b': None}}}),
    'flow-retry-headers': dict(sig=t('again', 1, options={'headers': {'x': 1}}), script={
        'again': {'headers': {'y': [2]}}}),
    'flow-retry-custom-headers': dict(sig=t('again', 1, options={'headers': {'x': 1}}),
                                      script={'again': {}}),
    'flow-retry-queue': dict(sig=t('again', 1), script={'again': {'queue': 'slow'}}),
    'flow-retry-priority': dict(sig=t('again', 1, options={'priority': 4}),
                                script={'again': {'priority': 8}}),
    'flow-retry-expires': dict(sig=t('again', 1, options={'expires': 60}),
                               script={'again': {}}),
    'flow-retry-limits': dict(sig=t('again', 1, options={'time_limit': 9, 'soft_time_limit': 8,
                                                         'shadow': 'other'}),
                              script={'again': {'time_limit': 20}}),
    'flow-retry-stamps': dict(sig=t('again', 1, stamp={'s1': 'v'}), script={'again': {}}),
    'flow-retry-in-chain': dict(sig=chain(t('again', 1), t('mul', 2), link_error=[EB]),
                                script={'again': {}}),
    'flow-retry-in-chord': dict(sig=chord([t('again', 1), A], T), script={'again': {}}),
    'flow-retry-links': dict(sig=t('again', 1, link=[t('mul', 2)], link_error=[EB]),
                             script={'again': {}}),
    'flow-replace-task': dict(sig=t('swap'), script={'swap': t('mul', 6, 7)}),
    'flow-replace-chain': dict(sig=t('swap', link=[t('mul', 2)]),
                               script={'swap': chain(A, t('mul', 3))}),
    'flow-replace-group': dict(sig=t('swap'), script={'swap': group(A, t('mul', 3))}),
    'flow-replace-chord': dict(sig=t('swap'), script={'swap': chord([A, t('mul', 3)], T)}),
    'flow-replace-in-chain': dict(sig=chain(t('swap'), t('mul', 2), t('mul', 3)),
                                  script={'swap': A}),
    'flow-replace-by-chain-in-chain': dict(sig=chain(t('swap'), t('mul', 2)),
                                           script={'swap': chain(A, t('mul', 3))}),
    'flow-replace-by-group-in-chain': dict(sig=chain(t('swap'), T),
                                           script={'swap': group(A, t('mul', 3))}),
    'flow-replace-in-chord': dict(sig=chord([t('swap'), A], T),
                                  script={'swap': t('mul', 6, 7)}),
    'flow-replace-by-chain-in-chord': dict(sig=chord([t('swap'), A], T),
                                           script={'swap': chain(A, t('mul', 3))}),
    'flow-replace-in-group': dict(sig=group(t('swap'), A), script={'swap': t('mul', 6, 7)}),
    'flow-replace-links': dict(sig=t('swap', link=[t('mul', 2)], link_error=[EB]),
                               script={'swap': t('fail')}),
    'flow-replace-stamps': dict(sig=t('swap', stamp={'s1': 'v'}), script={'swap': A}),
    'flow-replace-twice': dict(sig=t('swap'), script={'swap': t('again', 1), 'again': {}}),
    'flow-add-to-chord': dict(sig=chord([t('grow', 1), A], T), script={'grow': t('mul', 6, 7)}),
}

# ---- Celery, writing down ----

script = {}


class Recording(live.Notes, RedisBackend):
    """On a Redis of our own; results are not waited for."""

    def _set_chord_key(self, key, value):
        key = key.decode()
        if key.endswith('.s'):
            events.append({'kind': 'size', 'id': key[len(TASKSET):-2], 'number': value})
        else:
            events.append({'kind': 'save', 'id': key[len(TASKSET):],
                           'json': json.loads(value)['result'], 'text': value})
        super()._set_chord_key(key, value)

    def _set_with_state(self, key, value, state):
        document = json.loads(value)
        if document['traceback'] is not None:
            document['traceback'] = SHOWN
        events.append({'kind': 'stored', 'id': document['task_id'],
                       'text': kombu_json.dumps(document)})
        super()._set_with_state(key, value, state)

    def add_to_chord(self, group_id, result):
        events.append({'kind': 'grow', 'id': group_id, 'json': result.id})
        super().add_to_chord(group_id, result)

    @property
    def _chord_part_return_script(self):
        run = self.client.register_script(celery.backends.redis.CHORD_PART_RETURN_LUA)

        def asked(keys, args, client):
            answer = run(keys=keys, args=args, client=client)
            group_id = keys[0].decode()[len(TASKSET):-2]
            events.append({'kind': 'part', 'id': group_id, 'score': str(args[3]),
                           'text': args[1]})
            if answer[3]:
                parts = client.zrange(keys[0], 0, -1)
                saved = client.get(keys[4]) is not None
                events.append({'kind': 'chord', 'id': group_id, 'saved': saved,
                               'parts': [json.loads(p) for p in parts]})
            return answer
        return asked


def joined(self, *args, **kwargs):
    values = joined.real(self, *args, **kwargs)
    if not joined.nested:
        events.append({'kind': 'joined', 'json': values})
    return values


joined.nested = False
joined.real = celery.result.ResultSet.join_native


def add_trail(self, result):
    if self.trail:
        events.append({'kind': 'child', 'id': result.id,
                       'json': json.loads(json.dumps(result.as_tuple()))})
    return add_trail.real(self, result)


add_trail.real = celery.app.task.Task.add_trail


def flat(value):
    return sum(map(flat, value)) if isinstance(value, (list, tuple)) else (
        value if isinstance(value, int) else 0)


def product(*args, **kwargs):
    n = 1
    for a in args:
        n *= flat(a)
    return n


def fail(*args, **kwargs):
    raise ValueError('boom', 1)


def miss(*args, **kwargs):
    raise KeyError('no')


def flow_app(conf):
    app = live.make_app(live.Fallback)
    # What link_error() would ask for while the canvas is built is set behind that.
    app.conf.update({k: v for k, v in conf.items() if k != HEADER_ERRBACKS})
    app._local.backend = Recording(app=app, url='socket://' + server.sock)
    app._backend_cache = app._local.backend
    plain = {'add': lambda *a, **k: flat(a), 'tsum': lambda *a, **k: flat(a), 'mul': product,
             'collect': lambda value: value, 'nothing': lambda: None,
             'values': lambda: [1, {'é': 1.5}, 'a"b', True], 'fail': fail, 'miss': miss,
             'eb': lambda task_id=None: task_id}
    for name, function in plain.items():
        function.__name__ = name
        app.task(function, name=name, typing=False, shared=False,
                 store_errors_even_if_ignored=conf.get('task_store_errors_even_if_ignored'))

    @app.task(name='again', bind=True, typing=False, shared=False)
    def again(self, *args, **kwargs):
        if self.request.retries:
            return flat(args)
        raise self.retry(exc=ValueError('again'), **dict({'countdown': 0}, **script['again']))

    @app.task(name='swap', bind=True, typing=False, shared=False)
    def swap(self, *args, **kwargs):
        raise self.replace(live.build(script['swap']))

    @app.task(name='grow', bind=True, typing=False, shared=False)
    def grow(self, *args, **kwargs):
        self.add_to_chord(live.build(script['grow']))
        return 1

    app.set_current()
    return app


def received(app, sent):
    """The message as a worker gets it."""
    body = kombu_json.dumps(sent['body'])
    return kombu.Message(
        body=body, headers=dict(sent['headers']), content_type='application/json',
        content_encoding='utf-8', delivery_tag='tag',
        delivery_info={'exchange': sent['exchange'], 'routing_key': sent['routing_key']},
        properties={'correlation_id': sent['correlation_id'], 'reply_to': sent['reply_to'],
                    'priority': sent['priority'], 'delivery_mode': 2},
        accept={'application/json'})


def outcome_of(name, request, retval, stored):
    if name == 'again' and not request['headers']['retries']:
        return {'retry': script['again']}
    if name in ('swap', 'grow'):
        step = {'replace' if name == 'swap' else 'add_to_chord': script[name]}
        return step if name == 'swap' else dict(step, returned=1)
    if isinstance(retval, celery.app.trace.ExceptionInfo):
        return {'raised': {'type': type(retval.exception).__name__,
                           'args': list(retval.exception.args)}}
    return {'returned': json.loads(kombu_json.dumps(retval))}


def copied():
    return json.loads(json.dumps(events))


def flow(name, case):
    script.clear()
    script.update(case.get('script') or {})
    client.flushdb()
    conf = case.get('conf') or {}
    app = flow_app(conf)
    events.clear()
    live.ids[0] = 0
    live.current[0] = None
    sig = live.build(case['sig'])
    out = {'doc': json.dumps(sig)}
    app.conf.update(conf)
    out['result'] = sig.apply_async(**(case.get('options') or {})).as_tuple()
    out['effects'] = copied()
    queue = [e for e in out['effects'] if e['kind'] == 'publish']
    out['steps'] = []
    for number in range(100):
        if number == len(queue):
            break
        task = queue[number]['headers']['task']
        if task not in app.tasks or task == 'celery.chunks':
            # celery.chunks returns what its own serializer refuses.
            out['steps'].append({'runs': number, 'task': task, 'elsewhere': True})
            continue
        events.clear()
        request = Request(received(app, queue[number]), app=app, hostname='w1@here',
                          task=app.tasks[task])
        app.tasks[task].__trace__ = None
        retval = request.execute()
        step = dict({'runs': number, 'task': task}, **outcome_of(task, queue[number], retval, 0))
        step['effects'] = copied()
        out['steps'].append(step)
        queue += [e for e in step['effects'] if e['kind'] == 'publish']
    return out


def applied(name, case):
    out = live.by_celery(case)
    doc = json.loads(out['doc'])
    again = by_document(case, doc)
    for key in 'result', 'effects', 'frozen':
        if again.get(key) != out.get(key):
            out.setdefault('again', {})[key] = again.get(key)
    return out


def by_document(case, doc):
    """The same from the dict form."""
    build = live.build
    live.build = lambda r: celery.signature(doc)
    try:
        return live.by_celery(case)
    finally:
        live.build = build


def record(name):
    if name in APPLY:
        case = APPLY[name]
        return dict({'celery': VERSION, 'recipe': case}, **applied(name, case))
    case = FLOWS[name]
    given = dict({'sig': case['sig'], 'counts': True},
                 **{k: case[k] for k in ('options', 'conf') if k in case})
    return dict({'celery': VERSION, 'recipe': given}, **flow(name, case))


# ---- files: one line for each event ----


def pretty(case):
    lines = []
    for key, value in case.items():
        if key in ('effects', 'steps') and value:
            items = []
            for item in value:
                if 'effects' in item and item['effects']:
                    inner = ',\n'.join('   ' + json.dumps(e) for e in item['effects'])
                    rest = json.dumps({k: v for k, v in item.items() if k != 'effects'})
                    items.append('  %s, "effects": [\n%s]}' % (rest[:-1], inner))
                else:
                    items.append('  ' + json.dumps(item))
            lines.append(' %s: [\n%s]' % (json.dumps(key), ',\n'.join(items)))
        else:
            lines.append(' %s: %s' % (json.dumps(key), json.dumps(value)))
    text = '{\n%s\n}\n' % ',\n'.join(lines)
    assert json.loads(text) == json.loads(json.dumps(case))
    return text


def level(text):
    return live.level(json.loads(text))


def main(argv):
    global server, client
    check = argv == ['--check']
    folder = HERE / 'canvas'
    folder.mkdir(exist_ok=True)
    Celery.current_worker_task = property(
        lambda self: live.current[0] or _state.get_current_worker_task())
    celery.app.task.Task.add_trail = add_trail
    celery.result.ResultSet.join_native = joined
    Request.maybe_expire = lambda self: None  # by the clock of this machine
    celery.result.GroupResult.revoke = lambda self, *args, **kwargs: None
    server = lib.Redis(plain=False)
    client = server.client()
    wrong = 0
    every = [*APPLY, *FLOWS]
    for name in every if check or not argv else [n for n in every if n.startswith(argv[0])]:
        text = pretty(record(name))
        path = folder / (name + '.json')
        if not check:
            path.write_text(text)
        elif not path.exists() or level(path.read_text()) != level(text):
            print('differs: %s' % path)
            wrong += 1
    server.stop()
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
