# SPDX-License-Identifier: BSD-3-Clause
"""What the tests look at in a broker, alike for Redis and RabbitMQ: how many messages wait
or are held, and messages themselves in the form that kombu's Redis transport gives them."""

import base64
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'support'))

REPLIES = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
STEPS = ('', '\x06\x163', '\x06\x166', '\x06\x169')
DEAD = '.celery-c.dead'


def encode(message):
    """A message of kombu's Redis transport, well-formed or not, as bytes."""
    if isinstance(message, bytes):
        return message
    if isinstance(message, str):
        return message.encode()
    return json.dumps(message).encode()


class RedisQueues:
    def __init__(self, client):
        self.client = client

    def held(self):
        """Messages that workers have not settled."""
        return self.client.hlen('unacked')

    def waiting(self, queue='celery'):
        return sum(self.client.llen(queue + step) for step in STEPS)

    def left(self):
        return self.waiting() + self.held()

    def take(self, queue):
        """The oldest message, which is removed, or None."""
        for step in STEPS:
            text = self.client.rpop(queue + step)
            if text:
                return json.loads(text)
        return None

    def put(self, queue, message):
        self.client.lpush(queue, json.dumps(message))

    def send(self, queue, message):
        """A message as a hostile publisher makes it: a map, or bytes that are none.  False
        where this broker cannot carry it."""
        self.client.lpush(queue, encode(message))
        return True

    def ready(self, queue='celery'):
        return self.client.llen(queue)

    def parked(self, queue='celery'):
        return self.client.llen(queue + DEAD)

    @staticmethod
    def raw(message):
        """What is kept of a message that was parked."""
        return encode(message)

    def peek(self, queue):
        """The messages that wait, the oldest first, as raw() has them."""
        return [m.split(b'\n', 1)[-1] for m in self.client.lrange(queue, 0, -1)][::-1]

    def parked_headers(self, queue='celery'):
        """Of each parked message with any: what stands in its headers."""
        for text in self.peek(queue + DEAD):
            try:
                message = json.loads(text)
            except ValueError:
                continue
            if isinstance(message, dict) and isinstance(message.get('headers'), dict):
                yield message['headers']

    def has(self, queue, text):
        """Whether the text is in one of its messages."""
        return any(text.encode() in m for m in self.client.lrange(queue, 0, -1))

    def drop(self, queue):
        for step in STEPS:
            self.client.delete(queue + step)

    def clear(self):
        self.client.flushdb()


class AmqpQueues:
    def __init__(self, rabbit):
        self.rabbit = rabbit
        self.connection = None
        self.confirming = None

    def _channel(self):
        from kombu import Connection
        if self.connection is None:
            self.connection = Connection(self.rabbit.url())
        return self.connection.channel()

    def stop(self):
        if self.connection is not None:
            self.connection.release()
        if self.confirming is not None:
            self.confirming.connection.collect()

    def _confirming(self):
        """A py-amqp channel that waits for what the broker says of each message."""
        import amqp
        if self.confirming is None or not self.confirming.is_open:
            connection = amqp.Connection('127.0.0.1:%d' % self.rabbit.port,
                                         virtual_host=self.rabbit.vhost, confirm_publish=True)
            connection.connect()
            self.confirming = connection.channel()
        return self.confirming

    def send(self, queue, message):
        import amqp
        parts = _as_amqp(message)
        if parts is None:
            return False
        body, properties = parts
        self._confirming().basic_publish_confirm(
            amqp.Message(body, **properties), '', queue, mandatory=True, confirm_timeout=60)
        return True

    def ready(self, queue='celery'):
        """As waiting(), asked of the broker itself: quicker."""
        import amqp
        try:
            return self._confirming().queue_declare(queue, passive=True).message_count
        except amqp.exceptions.NotFound:
            self.confirming.connection.collect()
            self.confirming = None
            return 0

    def declare(self, queue, arguments=None):
        self._confirming().queue_declare(queue, durable=True, auto_delete=False,
                                         arguments=arguments)

    def parked(self, queue='celery'):
        return self.ready(queue + DEAD)

    @staticmethod
    def raw(message):
        return _as_amqp(message)[0]

    def _each(self, queue):
        channel, m = self.get(queue)
        while m is not None:
            yield m
            m = channel.basic_get(queue)
        if channel is not None:
            channel.close()  # what was looked at goes back

    def peek(self, queue):
        return [_body(m) for m in self._each(queue)]

    def parked_headers(self, queue='celery'):
        for m in self._each(queue + DEAD):
            yield m.headers or {}

    def held(self):
        # A reply queue of rpc:// has an id for its name; the client holds what it reads there.
        return sum(q['unacked'] for name, q in self.rabbit.queues().items()
                   if not REPLIES.fullmatch(name))

    def waiting(self, queue='celery'):
        return self.rabbit.queues().get(queue, {'ready': 0})['ready']

    def left(self):
        return self.waiting() + self.held()

    def get(self, queue, **options):
        """(channel, message) as py-amqp has it, or (None, None)."""
        if queue not in self.rabbit.queues():
            return None, None
        channel = self._channel()
        message = channel.basic_get(queue, **options)
        if message is None:
            channel.close()
            return None, None
        return channel, message

    def take(self, queue):
        channel, m = self.get(queue, no_ack=True)
        if m is None:
            return None
        channel.close()
        return _as_in_redis(m)

    def put(self, queue, message):
        p = dict(message['properties'])
        for key in ('body_encoding', 'delivery_tag', 'delivery_info', 'expires', 'origin'):
            p.pop(key, None)
        channel = self._channel()
        m = channel.prepare_message(
            base64.b64decode(message['body']), p.pop('priority', None),
            message['content-type'], message['content-encoding'], message['headers'],
            {k: v for k, v in p.items() if v is not None})
        channel.basic_publish(m, exchange='', routing_key=queue)
        channel.close()

    def has(self, queue, text):
        return any(text.encode() in _body(m) or text in json.dumps(
            [m.headers, m.properties], default=str) for m in list(self._each(queue)))

    def drop(self, queue):
        if queue in self.rabbit.queues():
            self.rabbit.purge(queue)

    def clear(self):
        # What a worker held that was just killed comes back as soon as RabbitMQ knows of it.
        end = time.monotonic() + 3
        while self.held() and time.monotonic() < end:
            time.sleep(0.05)
        # Not deleted: a client that has declared one believes that it is there.
        for name, queue in self.rabbit.queues().items():
            if not queue['exclusive']:
                self.rabbit.purge(name)


# In properties of kombu's Redis transport, but not in those of AMQP.
OF_REDIS = {'body_encoding': 'base64', 'delivery_tag': str, 'delivery_info': dict}
OF_BOTH = {'correlation_id': str, 'reply_to': str, 'priority': int, 'delivery_mode': int}
FRAME = 120000  # a table has to be in one frame of 131,072 bytes


def _as_amqp(message):
    """(body, properties of py-amqp), or None for what AMQP has no words for."""
    if not isinstance(message, dict):
        return encode(message), {}
    p = message.get('properties')
    if not isinstance(p, dict) or 'content-type' not in message:
        return None
    for key, kind in dict(OF_REDIS, **OF_BOTH).items():
        value = p.get(key)
        if not (value == kind if isinstance(kind, str) else isinstance(value, kind) and (
                value or kind is int or key == 'reply_to')):
            return None
    named = {'content_type': message['content-type'],
             'content_encoding': message.get('content-encoding'),
             'application_headers': message.get('headers'), **{k: p[k] for k in OF_BOTH}}
    named = {k: v for k, v in named.items() if v is not None}
    body = message.get('body') or ''
    return (_decoded(body), named) if isinstance(body, str) and _fits(named) else None


def _fits(named):
    from amqp.serialization import dumps
    headers = named.get('application_headers', {})
    texts = [named[k] for k in named if k in ('content_type', 'content_encoding',
                                              'correlation_id', 'reply_to')]
    try:
        # Erlang has no NaN.
        return (isinstance(headers, dict) and 'NaN' not in json.dumps(headers) and
                all(isinstance(t, str) and len(t.encode()) < 256 for t in texts) and
                0 <= named['priority'] < 256 and 0 <= named['delivery_mode'] < 256 and
                len(dumps('F', [headers])) < FRAME)
    except Exception:  # a number of 30 digits, half a character
        return False


def _decoded(body):
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        return body.encode('utf-8', 'surrogatepass')


def _body(m):
    return m.body if isinstance(m.body, bytes) else m.body.encode()


def _as_in_redis(m):
    body = _body(m)
    p = dict(m.properties)
    info = m.delivery_info
    message = {
        'body': base64.b64encode(body).decode(),
        'content-encoding': p.pop('content_encoding', None),
        'content-type': p.pop('content_type', None),
        'headers': p.pop('application_headers', {}) or {},
    }
    p['delivery_info'] = {
        'exchange': info.get('exchange'), 'routing_key': info.get('routing_key'),
        'redelivered': info.get('redelivered')}
    p['priority'] = p.get('priority')
    p['delivery_tag'] = info.get('delivery_tag')
    message['properties'] = p
    return message
