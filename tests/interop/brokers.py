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

    def _channel(self):
        from kombu import Connection
        if self.connection is None:
            self.connection = Connection(self.rabbit.url())
        return self.connection.channel()

    def stop(self):
        if self.connection is not None:
            self.connection.release()

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
        channel, m = self.get(queue)
        found = False
        while m is not None and not found:
            body = m.body if isinstance(m.body, bytes) else m.body.encode()
            found = text.encode() in body or text in json.dumps(
                [m.headers, m.properties], default=str)
            m = channel.basic_get(queue)
        if channel is not None:
            channel.close()  # what was looked at goes back
        return found

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


def _as_in_redis(m):
    body = m.body if isinstance(m.body, bytes) else m.body.encode()
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
