#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Records task messages and result documents of the Celery that this interpreter has.

    record_messages.py           writes messages/celery-X.Y.Z, results/celery-X.Y.Z, and with
                                 the newest version also messages/invalid and exceptions.json
    record_messages.py --check   compares instead of writing; exit 77: nothing recorded for
                                 this version

The messages are made by Celery.send_task() and published by kombu on its memory transport,
which shares all code up to the push with the Redis transport.  Ids, tags, times and the
origin are fixed.  What is expected of a reader is what Celery's own Request makes of the
message.
"""
import base64
import json
import pathlib
import sys
import traceback
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import celery
import celery.app.amqp
import celery.backends.base
import kombu
import kombu.transport.virtual.base
from celery import Celery
from celery.app.task import Context
from celery.backends.base import KeyValueStoreBackend
from celery.worker.request import Request
from celery.worker.strategy import hybrid_to_proto2
from kombu.utils.json import dumps

HERE = pathlib.Path(__file__).parent
VERSION = celery.__version__
NOW = datetime(2026, 11, 22, 13, 2, 13, 615386, tzinfo=timezone.utc)
ID = 'd25b4ee5-1d5a-4c1e-9f6c-1a6e6a1f7a01'
ROOT = '0b6a6a8e-6d3c-4e0e-8a55-6f4f6b1d0c11'
PARENT = '7c9f6a43-32a1-4b77-bf1c-6f2f0c0d9e22'
GROUP = 'a1f0c9d2-77a8-4d0f-8c1d-3f8a4f5f6b33'
TAG = '91e6d4bb-9a1f-4a71-9d7e-cd2b5d9a0e44'
REPLY = '3f1f6a3e-2e0b-3d7c-8a53-5f4c6d7e8f90'
NEWEST = '5.6.3'


class FixedDatetime(datetime):
    """Celery 5.2 asks datetime.utcnow() for date_done."""

    @classmethod
    def utcnow(cls):
        return NOW.replace(tzinfo=None)


celery.app.amqp.anon_nodename = lambda: 'gen4711@recorder'
celery.backends.base.datetime = FixedDatetime
kombu.transport.virtual.base.Channel._next_delivery_tag = lambda self: TAG

captured = []


def capture(self, message, exchange, routing_key, **kwargs):
    self._inplace_augment_message(message, exchange, routing_key)
    captured.append(dumps(message))


kombu.transport.virtual.base.Channel.basic_publish = capture


def new_app(**conf):
    app = Celery('recorder', broker='memory://', set_as_current=False)
    app.conf.update(accept_content=['json', 'yaml', 'msgpack', 'pickle'], **conf)
    app.now = lambda: NOW

    @app.task(name='tasks.add', bind=True)
    def add(self, *args, **kwargs):
        return None

    return app


# ---- what is recorded: name, options of send_task, settings of the app ----

SIG = {'task': 'tasks.mul', 'args': (3,), 'kwargs': {}, 'options': {}, 'subtask_type': None,
       'immutable': False}


def deep(n):
    value = 'bottom'
    for _ in range(n):
        value = [value]
    return value


CASES = [
    ('simple', dict(args=(2, 3))),
    ('no-arguments', dict()),
    ('one-argument', dict(args=(2,))),
    ('keywords', dict(kwargs={'x': 2, 'y': 3})),
    ('both', dict(args=('a',), kwargs={'b': None, 'c': True, 'd': False})),
    ('texts', dict(args=("it's", 'say "x"', 'both \' and "', 'tab\t nl\n bs\\', '\x00\x7f',
                         'Zürich', '日本', '😀', '\u200b\xa0'))),
    ('lone-surrogates', dict(args=('\ud800', 'a\udfffb'))),
    ('numbers', dict(args=(0, -1, 2**63 - 1, 2**64, -10**40, 0.1, -0.0, 1e16, 1e-7, 1.5e300))),
    ('not-finite', dict(args=(float('nan'), float('inf'), float('-inf')))),
    ('nested', dict(args=([1, [2, [3, [4, [5]]]]],), kwargs={'a': {'b': {'c': {'d': {}}}}})),
    ('deep', dict(args=(deep(200),))),
    ('long-repr', dict(args=('x' * 3000, list(range(500))),
                       kwargs={'k%d' % i: i for i in range(300)})),
    ('empty-containers', dict(args=([], {}, ''), kwargs={'': ''})),
    ('countdown', dict(args=(1,), countdown=10)),
    ('eta', dict(args=(1,), eta=datetime(2027, 1, 2, 3, 4, 5, tzinfo=timezone.utc))),
    ('eta-offset', dict(args=(1,), eta=datetime(2027, 1, 2, 3, 4, 5, 6,
                                                tzinfo=timezone(timedelta(hours=1))))),
    ('eta-9999', dict(args=(1,), eta=datetime(9999, 12, 31, 23, 59, 59,
                                              tzinfo=timezone.utc))),
    ('expires-seconds', dict(args=(1,), expires=60)),
    ('expires-fraction', dict(args=(1,), expires=1.5)),
    ('expires-instant', dict(args=(1,), expires=NOW + timedelta(hours=1))),
    ('expires-past', dict(args=(1,), expires=NOW - timedelta(hours=1))),
    ('time-limits', dict(args=(1,), time_limit=60, soft_time_limit=30)),
    ('time-limit-fraction', dict(args=(1,), time_limit=0.5)),
    ('priority', dict(args=(1,), priority=7)),
    ('workflow', dict(args=(1,), root_id=ROOT, parent_id=PARENT, group_id=GROUP,
                      group_index=3)),
    ('retries', dict(args=(1,), retries=2)),
    ('shadow', dict(args=(1,), shadow='another name')),
    ('ignore-result', dict(args=(1,), ignore_result=True)),
    ('headers', dict(args=(1,), headers={'tenant': 'acme', 'depth': {'n': [1, 2]}})),
    ('headers-override', dict(args=(1,), headers={'origin': 'me', 'zz': 1})),
    ('reprs-given', dict(args=(1,), argsrepr='(<secret>)', kwargsrepr='{...}')),
    ('callbacks', dict(args=(1,), link=[dict(SIG)], link_error=[dict(SIG)])),
    ('chain', dict(args=(1,), chain=[dict(SIG)])),
    ('chord', dict(args=(1,), chord=dict(SIG), group_id=GROUP)),
    ('long-id', dict(args=(1,), task_id='i' * 255)),
    ('odd-id', dict(args=(1,), task_id='Zürich/1 "2"')),
    ('zlib', dict(args=('x' * 1000,), compression='zlib')),
    ('bzip2', dict(args=('x' * 1000,), compression='bzip2')),
    ('other-queue', dict(args=(1,), queue='mail')),
    ('exchange', dict(args=(1,), exchange='news', routing_key='feed.a', exchange_type='topic')),
    ('transient', dict(args=(1,), delivery_mode=1)),
    ('plain-body', dict(args=(1, 'ü')), dict(plain=True)),
    ('typed-values', dict(args=(NOW, date(2026, 11, 22), time(13, 2), Decimal('1.50'),
                                UUID(ID)))),
    ('yaml', dict(args=(1, 'ü', [1.5, None]), serializer='yaml')),
    ('msgpack', dict(args=(1, 'ü', [1.5, None]), serializer='msgpack')),
    ('pickle', dict(args=(1,), serializer='pickle')),
    ('protocol-1', dict(args=(2, 3), kwargs={'x': 1}), dict(task_protocol=1)),
    ('protocol-1-options', dict(args=(1,), countdown=10, expires=60, time_limit=9,
                                group_id=GROUP, retries=1,
                                link=[dict(SIG)]), dict(task_protocol=1)),
    ('protocol-1-zlib', dict(args=(1,), compression='zlib'), dict(task_protocol=1)),
]
if VERSION >= '5.3':
    CASES += [
        ('bytes', dict(args=(b'text', b'\xff\x00'))),
        ('stamps', dict(args=(1,), stamped_headers=['stamp'], stamp='value')),
        ('replaced', dict(args=(1,), replaced_task_nesting=2)),
    ]

# Not encoded again by the test: the sender lets Python types into the reprs (typed-values,
# bytes), or the message is none that libcelery-c sends.
NOT_ENCODED = {'typed-values', 'bytes', 'pickle', 'deep', 'yaml', 'msgpack', 'headers-override',
               'protocol-1', 'protocol-1-options', 'protocol-1-zlib', 'plain-body'}


def make(options, conf):
    conf = dict(conf)
    plain = conf.pop('plain', False)
    app = new_app(**conf)
    captured.clear()
    options = dict({'task_id': ID, 'reply_to': REPLY}, **options)
    args = options.pop('args', None)
    kwargs = options.pop('kwargs', None)
    with app.connection_for_write() as connection:
        with connection.channel() as channel:
            if plain:
                channel.body_encoding = None
            producer = app.amqp.Producer(channel, auto_declare=False)
            app.send_task('tasks.add', args, kwargs, producer=producer, **options)
    return app, captured[-1]


def microseconds(when):
    if when is None:
        return None
    delta = when - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86400 + delta.seconds) * 1000000 + delta.microseconds


def plain_body(message):
    """The body as JSON text has it, before kombu looks for typed values."""
    body = message.body
    if message.content_type == 'application/json':
        return json.loads(body)
    return json.loads(dumps(message.decode()))


def expectation(app, text):
    """What Celery's worker makes of the message."""
    payload = json.loads(text)
    channel = app.connection_for_write().channel()
    message = channel.message_to_python(payload)
    message.accept = {'application/json', 'application/x-yaml', 'application/x-msgpack'}
    compression = payload['headers'].get('compression')
    expect = {'fault': 'ok', 'envelope': {
        'correlation_id': message.properties['correlation_id'],
        'reply_to': message.properties['reply_to'],
        'expiration': message.properties.get('expiration'),
        'delivery_mode': message.properties['delivery_mode'],
        'priority': message.properties['priority'],
        'delivery_tag': message.delivery_tag,
        'exchange': message.delivery_info['exchange'],
        'routing_key': message.delivery_info['routing_key'],
        'content_type': message.content_type,
        'content_encoding': message.content_encoding,
    }}
    if message.content_type == 'application/x-python-serialize':
        return dict(expect, fault='content', protocol=2, id=ID, task='tasks.add')
    if 'task' in message.headers:
        protocol = 2
        request = Request(message, app=app, hostname='w@h', task=app.tasks['tasks.add'])
        args, kwargs, embed = plain_body(message)
    else:
        protocol = 1
        raw = plain_body(message)
        body, headers, decoded, utc = hybrid_to_proto2(message, message.payload)
        request = Request(message, app=app, hostname='w@h', task=app.tasks['tasks.add'],
                          body=body, headers=headers, decoded=decoded, utc=utc)
        args, kwargs = raw['args'], raw['kwargs']
        embed = {'callbacks': raw['callbacks'], 'errbacks': raw['errbacks'], 'chain': None,
                 'chord': raw['chord']}
    hard, soft = request.time_limits
    headers = request.request_dict
    expect.update(
        protocol=protocol, id=request.id, task=request.type if hasattr(request, 'type')
        else request.task_name, name=request.name,
        root_id=headers.get('root_id'), parent_id=headers.get('parent_id'),
        group=headers.get('group'), group_index=headers.get('group_index'),
        retries=headers.get('retries'), eta=microseconds(request._eta),
        expires=microseconds(request._expires), time_limit=hard, soft_time_limit=soft,
        argsrepr=headers.get('argsrepr'), kwargsrepr=headers.get('kwargsrepr'),
        ignore_result=headers.get('ignore_result'), origin=headers.get('origin'),
        compression=compression, args=args, kwargs=kwargs, embed=embed)
    return expect


def record_messages():
    for case in CASES:
        name, options, conf = (case + ({},))[:3]
        try:
            app, text = make(options, conf)
        except Exception as exc:
            print('%s: not made with %s: %r' % (name, VERSION, exc), file=sys.stderr)
            continue
        expect = expectation(app, text)
        expect['encode'] = VERSION >= '5.3' and name not in NOT_ENCODED
        expect['reprs_given'] = 'argsrepr' in options
        how = 'send_task(%r, %s)' % ('tasks.add', ', '.join(
            '%s=%s' % (k, short(v)) for k, v in options.items()))
        yield 'messages/celery-%s/%s' % (VERSION, name), {
            'message.json': text, 'expect.json': pretty(expect),
            'meta.json': pretty(dict(versions(), made_by=how, settings=conf))}


def short(value):
    text = repr(value)
    return text if len(text) < 120 else text[:117] + '...'


def versions():
    return {'celery': VERSION, 'kombu': kombu.__version__}


def pretty(value):
    return json.dumps(value, indent=1) + '\n'


# ---- malformed ones, made from the simple message ----

def change(message, path, value):
    """Sets (or, for the class `gone`, removes) a part of the envelope."""
    at = message
    for key in path[:-1]:
        at = at[key]
    if value is gone:
        del at[path[-1]]
    else:
        at[path[-1]] = value


class gone:
    pass


def with_body(body):
    return [(('body',), base64.b64encode(body).decode())]


def header(name, value):
    return [(('headers', name), value)]


def prop(name, value):
    return [(('properties', name), value)]


BODY = b'[[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
V1 = {'id': ID, 'task': 'tasks.add', 'args': [], 'kwargs': {}}


def v1(**changes):
    body = {k: v for k, v in dict(V1, **changes).items() if v is not gone}
    return [(('headers',), {})] + with_body(json.dumps(body).encode())


# name, raw bytes or changes, fault, id legible, what Celery 5.6.3 does
INVALID = [
    ('not-json', b'this is not JSON', 'envelope', False, 'the worker ends, the message is lost'),
    ('empty', b'', 'envelope', False, 'the worker ends, the message is lost'),
    ('number', b'7', 'envelope', False, 'the worker ends, the message is lost'),
    ('list', b'[]', 'envelope', False, 'the worker ends, the message is lost'),
    ('no-properties', [(('properties',), gone)], 'envelope', True,
     'the worker ends, the message is lost'),
    ('no-delivery-tag', prop('delivery_tag', gone), 'envelope', True,
     'the worker ends, the message is lost'),
    ('no-delivery-info', prop('delivery_info', gone), 'envelope', True,
     'the worker ends, the message is lost'),
    ('delivery-tag-number', prop('delivery_tag', 7), 'envelope', True, ''),
    ('headers-list', [(('headers',), [1])], 'envelope', False, 'rejected, lost'),
    ('body-not-base64', [(('body',), 'abcde')], 'envelope', True,
     'the worker ends, and so does the next that gets it'),
    ('body-map', [(('body',), {'a': 1})], 'envelope', True, ''),
    ('body-encoding', prop('body_encoding', 'rot13'), 'envelope', True, ''),
    ('headers-null', [(('headers',), None)], 'unknown', False, 'rejected, lost'),
    ('headers-empty', [(('headers',), {})], 'unknown', False, 'rejected, lost'),
    ('no-task', header('task', gone), 'unknown', False, 'rejected, lost'),
    ('task-null', header('task', None), 'unknown', True, 'rejected, lost'),
    ('task-list', header('task', ['tasks.add']), 'invalid', True,
     'the worker ends, and so does the next that gets it'),
    ('task-empty', header('task', ''), 'invalid', True, 'rejected, lost'),
    ('no-id', header('id', gone), 'invalid', False,
     'the worker ends, and so does the next that gets it'),
    ('id-null', header('id', None), 'invalid', False, ''),
    ('id-empty', header('id', ''), 'invalid', False, ''),
    ('id-map', header('id', {'a': 1}), 'invalid', False,
     'the worker ends, and so does the next that gets it'),
    ('id-number', header('id', 7), 'invalid', False, ''),
    ('id-surrogate', header('id', 'a\ud800'), 'invalid', False,
     'the worker ends, and so does the next that gets it'),
    ('id-nul', header('id', 'a\x00b'), 'invalid', False, ''),
    ('id-endless', header('id', 'i' * 100000), 'invalid', False, ''),
    ('root-id-list', header('root_id', []), 'invalid', True, ''),
    ('timelimit-text', header('timelimit', 'soon'), 'invalid', True,
     'the worker ends, and so does the next that gets it'),
    ('timelimit-one', header('timelimit', [1]), 'invalid', True, ''),
    ('timelimit-texts', header('timelimit', ['1', '2']), 'invalid', True, ''),
    ('timelimit-negative', header('timelimit', [-1, None]), 'invalid', True, ''),
    ('retries-text', header('retries', 'x'), 'invalid', True, ''),
    ('retries-negative', header('retries', -1), 'invalid', True, ''),
    ('retries-huge', header('retries', 2**70), 'invalid', True, ''),
    ('retries-bool', header('retries', True), 'invalid', True, ''),
    ('eta-text', header('eta', 'tomorrow'), 'invalid', True, 'rejected, lost'),
    ('eta-number', header('eta', 7), 'invalid', True, 'rejected, lost'),
    ('eta-empty', header('eta', ''), 'invalid', True, ''),
    ('eta-10000', header('eta', '10000-01-01T00:00:00'), 'invalid', True, 'rejected, lost'),
    ('eta-before-year-1', header('eta', '0001-01-01T00:00:00+01:00'), 'invalid', True, ''),
    ('expires-text', header('expires', 'soon'), 'invalid', True, 'rejected, lost'),
    ('expires-list', header('expires', []), 'invalid', True, ''),
    ('group-index-text', header('group_index', 'x'), 'invalid', True, ''),
    ('stamps-list', header('stamps', []), 'invalid', True, ''),
    ('body-empty-list', with_body(b'[]'), 'invalid', True,
     'the worker ends, and so does the next that gets it'),
    ('body-two', with_body(b'[[], {}]'), 'invalid', True,
     'the worker ends, and so does the next that gets it'),
    ('body-four', with_body(b'[[], {}, {}, {}]'), 'invalid', True, ''),
    ('body-number', with_body(b'7'), 'invalid', True,
     'the worker ends, and so does the next that gets it'),
    ('body-map-without-args', with_body(b'{"a": 1}'), 'invalid', True, ''),
    ('args-text', with_body(b'["ab", {}, {}]'), 'invalid', True, ''),
    ('args-null', with_body(b'[null, {}, {}]'), 'invalid', True, ''),
    ('kwargs-list', with_body(b'[[], [], {}]'), 'invalid', True, 'acknowledged, nothing stored'),
    ('kwargs-null', with_body(b'[[], null, {}]'), 'invalid', True, ''),
    ('embed-text', with_body(b'[[], {}, "x"]'), 'invalid', True,
     'the worker ends, and so does the next that gets it'),
    ('body-junk', [(('body',), '!!!')], 'decode', True, 'acknowledged, lost'),
    ('body-absent', [(('body',), gone)], 'decode', True, ''),
    ('body-bad-json', with_body(b'[[2, 3], {}, '), 'decode', True, 'acknowledged, lost'),
    ('body-bad-utf8', with_body(b'[["\xff"], {}, {}]'), 'decode', True, 'acknowledged, lost'),
    ('body-too-deep', with_body(b'[' * 100000 + b']' * 100000), 'decode', True,
     'acknowledged, lost'),
    ('body-unknown-type', with_body(b'[[{"__type__": "x", "__value__": 1}], {}, {}]'),
     'decode', True, 'acknowledged, lost'),
    ('compression-unknown', header('compression', 'application/x-no'), 'decode', True,
     'acknowledged, lost'),
    ('compression-corrupt', header('compression', 'application/x-gzip'), 'decode', True,
     'acknowledged, lost'),
    ('compression-number', header('compression', 7), 'invalid', True, ''),
    ('content-pickle', [(('content-type',), 'application/x-python-serialize')], 'content', True,
     'rejected, lost'),
    ('content-unknown', [(('content-type',), 'application/x-no')], 'content', True,
     'rejected, lost'),
    ('content-number', [(('content-type',), 7)], 'content', True, ''),
    ('content-list', [(('content-type',), [])], 'envelope', True, ''),
    ('v1-no-id', v1(id=gone), 'invalid', False, ''),
    ('v1-kwargs-list', v1(kwargs=[]), 'invalid', True, ''),
    ('v1-args-text', v1(args='x'), 'invalid', True, ''),
    ('v1-eta', v1(eta='x'), 'invalid', True, ''),
    ('v1-task-null', v1(task=None), 'unknown', False, ''),
    ('v1-body-list', [(('headers',), {})] + with_body(b'[1]'), 'unknown', False, ''),
    ('v1-bad-json', [(('headers',), {})] + with_body(b'{'), 'decode', False,
     'acknowledged, lost'),
    ('v1-pickle', [(('headers',), {}), (('content-type',), 'application/x-python-serialize')],
     'decode', False, 'acknowledged, lost'),
    # Odd, and run all the same.
    ('ok-content-encoding', [(('content-encoding',), 'x-unknown')], 'ok', True, 'runs'),
    ('ok-only-task-and-id', [(('headers',), {'task': 'tasks.add', 'id': ID})], 'ok', True,
     'runs'),
    ('ok-embed-null', with_body(b'[[2, 3], {}, null]'), 'ok', True, 'runs'),
    ('ok-embed-empty', with_body(b'[[2, 3], {}, {}]'), 'ok', True, 'runs'),
    ('ok-priority-text', prop('priority', '3'), 'ok', True, 'runs'),
    ('ok-priority-list', prop('priority', []), 'ok', True, 'runs'),
    ('ok-eta-9999', header('eta', '9999-12-31T23:59:59'), 'ok', True, 'is held for ever'),
    ('ok-hybrid', with_body(b'{"args": [2, 3], "kwargs": {}}'), 'ok', True, 'runs'),
    ('ok-hybrid-id', header('id', gone) + with_body(
        json.dumps(dict(V1, task='ignored', args=[2, 3])).encode()), 'ok', True, 'runs'),
    ('ok-v1-without-args', v1(args=gone, kwargs=gone), 'ok', True, 'runs'),
    ('ok-reprs-of-wrong-type', header('argsrepr', []) + header('kwargsrepr', 7), 'ok', True,
     'runs'),
]


def record_invalid():
    if VERSION != NEWEST:
        return
    text = make(dict(args=(2, 3)), {})[1]
    for name, how, fault, legible, upstream in INVALID:
        if isinstance(how, bytes):
            raw = how
            made = 'raw bytes'
        else:
            message = json.loads(text)
            for path, value in how:
                change(message, path, value)
            raw = dumps(message)
            made = '; '.join('%s = %s' % ('.'.join(p), 'removed' if v is gone else short(v))
                             for p, v in how)
        yield 'messages/invalid/' + name, {
            'message.json': raw, 'expect.json': pretty({'fault': fault, 'id': ID if legible
                                                        else None}),
            'meta.json': pretty(dict(versions(), made_by='simple with ' + made,
                                     celery_does=upstream or 'not measured'))}


# ---- result documents ----

class DictBackend(KeyValueStoreBackend):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stored = {}

    def get(self, key):
        return self.stored.get(key)

    def set(self, key, value):
        self.stored[key] = value

    def _set_with_state(self, key, value, state):
        self.stored[key] = value


class CustomError(Exception):
    pass


CustomError.__module__ = 'shop.errors'

REQUEST = dict(id=ID, task='tasks.add', args=(2, 3), kwargs={'x': 'ü'}, hostname='w1@vm',
               retries=1, delivery_info={'routing_key': 'celery', 'exchange': ''}, children=[])
RESULTS = [
    ('success', 'SUCCESS', 5, None, REQUEST, {}),
    ('success-null', 'SUCCESS', None, None, REQUEST, {}),
    ('success-document', 'SUCCESS', {'a': [1, 2.5, 'ü', None], 'b': float('nan')}, None,
     REQUEST, {}),
    ('success-no-request', 'SUCCESS', 5, None, None, {}),
    ('started', 'STARTED', {'pid': 4711, 'hostname': 'w1@vm'}, None, REQUEST, {}),
    ('progress', 'PROGRESS', {'current': 3, 'total': 10}, None, REQUEST, {}),
    ('group', 'SUCCESS', 5, None, dict(REQUEST, group=GROUP, parent_id=PARENT), {}),
    ('extended', 'SUCCESS', 5, None, REQUEST, dict(result_extended=True)),
    ('extended-group', 'SUCCESS', 5, None, dict(REQUEST, group=GROUP),
     dict(result_extended=True)),
    ('failure', 'FAILURE', ValueError('no', 3), 'Traceback (most recent call last):\nValueError',
     REQUEST, {}),
    ('failure-custom', 'FAILURE', CustomError('x'), None, REQUEST, {}),
    ('retry', 'RETRY', KeyError('k'), 'Traceback', REQUEST, {}),
    ('revoked', 'REVOKED', celery.exceptions.TaskRevokedError('revoked'), None, None, {}),
]
if VERSION >= '5.3':
    RESULTS.append(('stamped', 'SUCCESS', 5, None,
                    dict(REQUEST, stamped_headers=['stamp'], stamps={'stamp': ['v']}),
                    dict(result_extended=True)))


def record_results():
    for name, state, value, trace, request, conf in RESULTS:
        app = new_app(**conf)
        backend = DictBackend(app=app)
        context = Context(request) if request is not None else None
        backend.store_result(ID, value, state, traceback=trace, request=context)
        document = backend.stored[backend.get_key_for_task(ID)]
        if isinstance(document, bytes):
            document = document.decode()
        stored = json.loads(document)
        # What a worker puts in, in the terms of struct cel_task_meta.
        given = {'task_id': ID, 'status': state, 'result': stored['result'],
                 'traceback': trace, 'children': stored['children'],
                 'date_done': microseconds(NOW) if stored['date_done'] else None,
                 'group_id': stored.get('group_id'), 'parent_id': stored.get('parent_id'),
                 'extended': bool(conf.get('result_extended'))}
        if given['extended']:
            given.update({k: stored[k] for k in ('name', 'args', 'kwargs', 'worker', 'retries',
                                                 'queue')})
            given['stamped_headers'] = stored.get('stamped_headers')
            given['stamps'] = request.get('stamps')
        given['encode'] = VERSION >= '5.5'
        yield 'results/celery-%s/%s' % (VERSION, name), {
            'document.json': document, 'given.json': pretty(given),
            'meta.json': pretty(dict(versions(), made_by='store_result(%s, %s)' % (
                short(value), state), settings=conf))}


EXCEPTIONS = [
    ValueError('x'), ValueError(), ValueError(''), ValueError('a', 1, None), ValueError(3),
    ValueError("it's"), ValueError(['a', {'b': 1.5}]), ValueError('Zürich\n😀'),
    KeyError('x'), KeyError("it's"), KeyError(3), KeyError(), KeyError('a', 'b'),
    OSError(2, 'No such file'), OSError('x'), OSError(), OSError(98765, 'odd'),
    FileNotFoundError(2, 'No such file'), ConnectionResetError(104, 'reset'),
    TypeError('add() missing 1 required positional argument: \'y\''), IndexError('x'),
    ZeroDivisionError('division by zero'), StopIteration(3), SystemExit(1),
    RuntimeError(None), RuntimeError(True), ValueError(2**70), ValueError(float('inf')),
]


def record_exceptions():
    if VERSION != NEWEST:
        return
    backend = DictBackend(app=new_app())
    rows = []
    for exc in EXCEPTIONS:
        last = traceback.format_exception_only(type(exc), exc)
        stored = backend.prepare_exception(exc, 'json')
        rows.append({'type': type(exc).__name__, 'args': list(exc.args),
                     'module': type(exc).__module__, 'repr': repr(exc),
                     'line': ''.join(last)[:-1], 'stored': dumps(stored)})
    yield 'results', {'exceptions.json': pretty(rows)}


# ---- files ----

def main():
    check = sys.argv[1:] == ['--check']
    if check and not (HERE / ('messages/celery-' + VERSION)).is_dir():
        print('nothing recorded with Celery ' + VERSION)
        return 77
    wrong = 0
    for recorder in record_messages, record_invalid, record_results, record_exceptions:
        for folder, files in recorder():
            for name, content in files.items():
                path = HERE / folder / name
                if not isinstance(content, bytes):
                    content = content.encode()
                if not check:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                elif name != 'meta.json' and (not path.exists() or
                                              path.read_bytes() != content):
                    print('differs: %s' % path)
                    wrong += 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
