#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Records what real Celery declares for its queues, and where it sends, into queues/*.json.

    record_queues.py           writes declared.json, delayed.json and sent.json
    record_queues.py --check   compares instead of writing; exit 77: no Celery

Queues are declared on a channel that notes each method; messages are sent by
Celery.send_task() through a producer that notes where they go.  Nothing is connected.

A queue of a list is written as a map: with "exchange" as a map it is made by kombu.Queue() and
kombu.Exchange(), otherwise by Queue.from_dict(), as one of a map is.
"""
import contextlib
import json
import logging
import os
import pathlib
import sys
from datetime import datetime, timedelta, timezone

HERE = pathlib.Path(__file__).resolve().parent
VERSION = '5.7.0'

sys.path.insert(0, str(HERE.parent / 'interop'))
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

from celery import Celery
from celery.utils.nodenames import worker_direct
from kombu import Exchange, Queue, binding
from kombu.transport import native_delayed_delivery as delayed
from kombu.transport.base import to_rabbitmq_queue_arguments

TOPIC = {'name': 'x', 'type': 'topic'}
QUORUM = {'x-queue-type': 'quorum'}

# name, settings, -Q
DECLARED = [
    ('default', {}, []),
    ('default quorum', {'task_default_queue_type': 'quorum'}, []),
    ('default by name', {'task_default_queue': 'main', 'task_default_exchange': 'jobs',
                         'task_default_exchange_type': 'topic',
                         'task_default_routing_key': 'jobs.main'}, []),
    ('missing', {}, ['mail', 'celery']),
    ('missing quorum', {'task_create_missing_queue_type': 'quorum',
                        'task_create_missing_queue_exchange_type': 'topic'}, ['mail']),
    ('priority of all', {'task_queue_max_priority': 9, 'task_queues': [
        {'name': 'a'}, {'name': 'b', 'max_priority': 3},
        {'name': 'c', 'queue_arguments': {'x-max-priority': 2, 'x-overflow': 'drop-head'}},
        {'name': 'd', 'queue_arguments': {'x-overflow': 'drop-head'}, 'message_ttl': 1}]},
     ['a', 'b', 'c', 'd', 'made']),
    ('priority of the default', {'task_queue_max_priority': 9}, []),
    ('limits', {'task_queues': [
        {'name': 'a', 'expires': 1.5, 'message_ttl': 60, 'max_length': 10,
         'max_length_bytes': 4000000000, 'max_priority': 255},
        {'name': 'b', 'queue_arguments': {'x-message-ttl': 1, 'x-dead-letter-exchange': 'dead',
                                          'x-dead-letter-routing-key': 'k'},
         'message_ttl': 0.0015, 'expires': 0},
        {'name': 'c', 'expires': None, 'max_priority': None, 'queue_arguments': {}},
        {'name': 'd', 'queue_arguments': {
            'x-queue-type': 'quorum', 'x-delivery-limit': 5, 'x-single-active-consumer': True,
            'x-list': [1, 'two', None, 2.5], 'x-map': {'k': -1}}}]}, []),
    ('kept', {'task_queues': [
        {'name': 'a', 'durable': False}, {'name': 'b', 'auto_delete': True},
        {'name': 'c', 'exclusive': True}, {'name': 'd', 'no_declare': True},
        {'name': 'e', 'exchange': 'x', 'durable': False, 'auto_delete': True},
        {'name': 'f', 'exchange': 'x', 'exchange_durable': False, 'queue_durable': True,
         'durable': False, 'exchange_auto_delete': True, 'queue_auto_delete': False},
        {'name': 'g', 'exchange': 'x', 'exchange_type': 'topic', 'delivery_mode': 1,
         'exchange_arguments': {'alternate-exchange': 'other'}, 'routing_key': 'g.#'}]}, []),
    ('exchanges', {'task_queues': [
        {'name': 'a', 'exchange': TOPIC, 'routing_key': 'a.*'},
        {'name': 'b', 'exchange': {'name': 'f', 'type': 'fanout', 'durable': False}},
        {'name': 'c', 'exchange': {'name': 'h', 'type': 'headers', 'auto_delete': True,
                                   'arguments': {'alternate-exchange': 'other'}},
         'binding_arguments': {'x-match': 'all', 'format': 'pdf', 'pages': 3}},
        {'name': 'd', 'exchange': {'name': 'amq.topic', 'type': 'topic'}, 'routing_key': 'd'},
        {'name': 'e', 'exchange': {'name': 'there', 'no_declare': True}, 'routing_key': 'e'},
        {'name': 'f', 'exchange': {'name': 'there', 'passive': True}, 'routing_key': 'f'},
        {'name': 'g', 'exchange': dict(TOPIC, durable=True), 'durable': False,
         'consumer_arguments': {'x-priority': 10}}]}, []),
    ('bindings', {'task_queues': [
        {'name': 'a', 'bindings': [{'exchange': TOPIC, 'routing_key': 'k.#'}]},
        {'name': 'b', 'bindings': [
            {'exchange': {'name': 'h', 'type': 'headers', 'durable': False,
                          'auto_delete': True},
             'arguments': {'x-match': 'any', 'a': 1}}]}]}, []),
    ('map', {'task_queues': {
        'a': {'exchange': 'x', 'exchange_type': 'topic', 'binding_key': 'a.#'},
        'b': {'routing_key': 'k', 'durable': False},
        'c': {'queue_arguments': QUORUM, 'max_priority': 4, 'expires': 7},
        'd': {}}}, []),
    ('direct', {'worker_direct': True}, []),
    ('direct and chosen', {'worker_direct': True}, ['mail']),
]

ROUTING_KEYS = [(1, 'a'), (2, 'a.b'), (2 ** 28 - 1, 'a'), (77, '#'),
                (5, '.'.join('0' * 27) + '.1.a'), (5, '.'.join('0' * 26) + '.1.a'),
                (5, '.'.join('0' * 27) + '.2.a')]
BOUND = [
    {'name': 'a', 'exchange': TOPIC, 'routing_key': 'a'},
    {'name': 'b', 'exchange': TOPIC, 'routing_key': '#'},
    {'name': 'c', 'exchange': {'name': 'f', 'type': 'fanout'}, 'routing_key': 'c'},
    {'name': 'd', 'exchange': {'name': 'd', 'type': 'direct'}, 'routing_key': 'd'},
    {'name': 'e', 'exchange': {'name': 'h', 'type': 'headers'}, 'routing_key': 'e',
     'binding_arguments': {'x-match': 'all'}},
]

QUEUES = [
    {'name': 'q', 'exchange': {'name': 'jobs', 'type': 'topic', 'delivery_mode': 1},
     'routing_key': 'jobs.q', 'queue_arguments': QUORUM},
    {'name': 'f', 'exchange': {'name': 'all', 'type': 'fanout'}, 'routing_key': 'f'},
    {'name': 'd', 'exchange': {'name': 'one', 'type': 'direct'}, 'routing_key': 'd'},
]
PLAIN = [dict(QUEUES[0], queue_arguments={}), *QUEUES[1:]]
URL = 'amqp://nobody:x@localhost:1//'
# name, settings, options; "eta": seconds from now
SENT = [
    ('now', {'task_queues': QUEUES}, {'queue': 'q'}),
    ('delayed', {'task_queues': QUEUES}, {'queue': 'q', 'countdown': 10}),
    ('part of a second more', {'task_queues': QUEUES}, {'queue': 'q', 'countdown': 10.9}),
    ('in the past', {'task_queues': QUEUES}, {'queue': 'q', 'countdown': -5}),
    ('countdown of 0', {'task_queues': QUEUES}, {'queue': 'q', 'countdown': 0}),
    ('eta', {'task_queues': QUEUES}, {'queue': 'q', 'eta': 100.5}),
    ('eta in the past', {'task_queues': QUEUES}, {'queue': 'q', 'eta': -100}),
    ('fanout', {'task_queues': QUEUES}, {'queue': 'f', 'countdown': 3}),
    ('direct', {'task_queues': QUEUES}, {'queue': 'd', 'countdown': 3}),
    ('own key', {'task_queues': QUEUES},
     {'queue': 'q', 'countdown': 3, 'routing_key': 'jobs.other'}),
    ('own key now', {'task_queues': QUEUES}, {'queue': 'q', 'routing_key': 'jobs.other'}),
    ('own exchange', {'task_queues': QUEUES},
     {'exchange': 'jobs', 'exchange_type': 'topic', 'routing_key': 'jobs.x', 'countdown': 3}),
    ('route', {'task_queues': QUEUES, 'task_routes': {'t': {'queue': 'q'}}}, {'countdown': 2}),
    ('no quorum queue', {'task_queues': PLAIN}, {'queue': 'q', 'countdown': 3}),
    ('another broker', {'task_queues': QUEUES, 'broker_url': 'redis://localhost:1/0'},
     {'queue': 'q', 'countdown': 3}),
    ('made quorum', {'task_create_missing_queue_type': 'quorum',
                     'task_create_missing_queue_exchange_type': 'topic'},
     {'queue': 'made', 'countdown': 3}),
    ('transient option', {'task_queues': QUEUES}, {'queue': 'q', 'delivery_mode': 2}),
    ('mode of the settings', {'task_queues': QUEUES, 'task_default_delivery_mode': 1},
     {'queue': 'd'}),
]


class Channel:
    """Notes what is declared."""

    prepare_queue_arguments = staticmethod(to_rabbitmq_queue_arguments)
    connection = None

    def __init__(self):
        self.calls = []

    def note(self, kind, **fields):
        self.calls.append(dict({'kind': kind}, **fields))

    def exchange_declare(self, exchange, type, durable, auto_delete, arguments, nowait, passive):
        self.note('exchange', name=exchange, type=type, durable=durable,
                  auto_delete=auto_delete, passive=passive, arguments=arguments or {})

    def queue_declare(self, queue, passive, durable, exclusive, auto_delete, arguments, nowait):
        self.note('queue', name=queue, durable=durable, exclusive=exclusive,
                  auto_delete=auto_delete, passive=passive, arguments=arguments or {})
        return queue, 0, 0

    def queue_bind(self, queue, exchange, routing_key, arguments, nowait):
        self.note('bind queue', name=queue, source=exchange, routing_key=routing_key,
                  arguments=arguments or {})

    def exchange_bind(self, destination, source, routing_key, nowait, arguments):
        self.note('bind exchange', name=destination, source=source, routing_key=routing_key,
                  arguments=arguments or {})


class Connection:
    def __init__(self):
        self.noted = Channel()

    def channel(self):
        return self.noted

    @contextlib.contextmanager
    def _reraise_as_library_errors(self):
        yield


class Producer:
    def __init__(self):
        self.connection = Connection()
        self.sent = None

    def publish(self, body, exchange=None, routing_key=None, delivery_mode=None, headers=None,
                **kw):
        self.sent = {'exchange': getattr(exchange, 'name', exchange),
                     'routing_key': routing_key, 'delivery_mode': delivery_mode,
                     'eta': headers['eta'] is not None}


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def warnings(name):
    handler, log = Warnings(), logging.getLogger(name)
    log.addHandler(handler)
    log.propagate = False
    yield handler.lines
    log.removeHandler(handler)


def exchange_of(value):
    return Exchange(**value) if isinstance(value, dict) else Exchange(value)


def queue_of(options):
    options = dict(options)
    name, exchange = options.pop('name'), options.get('exchange')
    if options.get('bindings'):
        options['bindings'] = [binding(exchange_of(b['exchange']), b.get('routing_key', ''),
                                       b.get('arguments')) for b in options['bindings']]
    if isinstance(exchange, dict):
        options['exchange'] = exchange_of(exchange)
        return Queue(name, **options)
    return Queue.from_dict(name, **options)


def app_of(settings):
    app = Celery('recorder', broker=settings.get('broker_url', URL), set_as_current=False)
    conf = {k: v for k, v in settings.items() if k not in ('task_queues', 'broker_url')}
    app.conf.update(conf)
    queues = settings.get('task_queues')
    if queues:
        app.conf.task_queues = ([queue_of(q) for q in queues] if isinstance(queues, list)
                                else {k: dict(v) for k, v in queues.items()})
    return app


def declared(name, settings, select):
    app = app_of(settings)
    if select:
        app.amqp.queues.select(select)
    if settings.get('worker_direct'):
        app.amqp.queues.select_add(worker_direct('w1@host'))
    queues = []
    for queue in app.amqp.queues.consume_from.values():
        channel = Channel()
        queue.declare(channel=channel)
        queues.append({'name': queue.name, 'no_ack': queue.no_ack,
                       'delivery_mode': queue.exchange.delivery_mode,
                       'consumer_arguments': queue.consumer_arguments,
                       'calls': channel.calls})
    return {'name': name, 'settings': settings, 'select': select, 'queues': queues}


def levels(queue_type):
    connection = Connection()
    delayed.declare_native_delayed_delivery_exchanges_and_queues(connection, queue_type)
    return connection.noted.calls


def bound(options):
    connection = Connection()
    with warnings(delayed.logger.name) as lines:
        delayed.bind_queue_to_native_delayed_delivery_exchange(connection, queue_of(options))
    return {'queue': options, 'calls': connection.noted.calls, 'warnings': lines}


def routing_key(countdown, key):
    return {'countdown': countdown, 'key': key,
            'delayed': delayed.calculate_routing_key(countdown, key)}


def sent(name, settings, options):
    app, producer = app_of(settings), Producer()
    given = dict(options)
    if 'eta' in given:
        given['eta'] = datetime.now(timezone.utc) + timedelta(seconds=given['eta'])
    with warnings('celery.app.base') as lines:
        app.send_task('t', producer=producer, add_to_parent=False, **given)
    return dict({'name': name, 'settings': dict({'broker_url': URL}, **settings),
                 'options': options, 'warnings': lines}, **producer.sent)


def record():
    return {
        'declared.json': [declared(*case) for case in DECLARED],
        'delayed.json': {
            'levels': {kind: levels(kind) for kind in ('quorum', 'classic')},
            'bound': [bound(q) for q in BOUND],
            'keys': [routing_key(*case) for case in ROUTING_KEYS],
        },
        'sent.json': [sent(*case) for case in SENT],
    }


def main(argv):
    wrong = 0
    for name, document in record().items():
        path = HERE / 'queues' / name
        text = json.dumps(document, indent=1) + '\n'
        if argv != ['--check']:
            path.write_text(text)
        elif path.read_text() != text:
            print('%s differs from what Celery %s does' % (name, VERSION))
            wrong += 1
    return 1 if wrong else 0


sys.exit(main(sys.argv[1:]))
