# SPDX-License-Identifier: BSD-3-Clause
"""Events as Celery's own receiver sees them, written down as they come."""

import socket
import threading

import lib

HOST = socket.gethostname()


def node(name):
    return '%s@%s' % (name, HOST)


class Message:
    """One message of the exchange, as it came."""

    def __init__(self, body, message):
        self.many = isinstance(body, list)
        self.events = [dict(e) for e in body] if self.many else [dict(body)]
        self.orders = [list(e) for e in self.events]
        self.headers = dict(message.headers or {})
        self.properties = dict(message.properties)
        self.content_type = message.content_type
        self.content_encoding = message.content_encoding
        info = message.delivery_info
        self.exchange = info.get('exchange')
        self.routing_key = info.get('routing_key')


class Recorder(threading.Thread):
    """A monitor: EventReceiver and State of the Celery that runs this, in a thread."""

    def __init__(self, broker, routing_key='#'):
        super().__init__(daemon=True)
        self.app = lib.celery_app(broker, None)
        self.state = self.app.events.State()
        self.messages = []
        self.events = []
        self.over = False
        self.routing_key = routing_key
        self.ready = threading.Event()
        self.failed = None
        self.receiver = None
        self.start()
        if not self.ready.wait(20):
            raise lib.Deadline('no events can be received: %r' % self.failed)

    def run(self):
        from kombu import Connection
        from celery.events import EventReceiver
        recorder = self

        class Receiver(EventReceiver):
            def _receive(self, body, message, list=list, isinstance=isinstance):
                recorder.messages.append(Message(body, message))
                return super()._receive(body, message)

            def on_consume_ready(self, connection, channel, consumers, wakeup=True, **kw):
                recorder.ready.set()

        def on_event(event):
            self.events.append(dict(event))  # State adds to what it gets
            self.state.event(event)

        while not self.over:
            try:
                with Connection(self.app.conf.broker_url) as connection:
                    receiver = Receiver(connection, {'*': on_event}, self.routing_key,
                                        app=self.app)
                    self.receiver = receiver
                    # Without a timeout: after one the subscription would be made anew, and
                    # what comes meanwhile be missed.
                    for _ in receiver.consume(safety_interval=0.3, wakeup=False):
                        if self.over:
                            break
            except Exception as exc:  # the broker is away: again
                self.failed = exc
                if not self.over:
                    threading.Event().wait(0.1)

    def stop(self):
        self.over = True
        if self.receiver:
            self.receiver.should_stop = True
        self.join(10)

    # ---- what came ----

    def of(self, uuid):
        return [e for e in list(self.events) if e.get('uuid') == uuid]

    def types(self, uuid):
        return [e['type'] for e in self.of(uuid)]

    def from_node(self, name, *types):
        return [e for e in list(self.events)
                if e['hostname'] == name and (not types or e['type'] in types)]

    def wait_types(self, uuid, *types, timeout=15):
        """Until these have come, in any order; all that came, in theirs."""
        def came():
            found = self.types(uuid)
            return set(types) <= set(found) and found
        try:
            return lib.wait_for('events', came, timeout * lib.PATIENCE)
        except lib.Deadline:
            raise lib.Deadline('%s: %r came, not %r' % (
                uuid, [(e['hostname'], e['type']) for e in self.of(uuid)], types)) from None
