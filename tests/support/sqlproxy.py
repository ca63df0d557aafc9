# SPDX-License-Identifier: BSD-3-Clause
"""Stands between a worker and its database, reads the messages that pass (PostgreSQL's and
MySQL's, without TLS) and cuts the connection at one of them.

`client n before`: the n-th message of the client is not passed on; `client n after`: it is, and
the server carries it out, but its answer is swallowed; `server n`: the n-th message of the server
is not passed on.  From then on connections are refused until open().
"""

import selectors
import socket
import struct
import threading


class Frames:
    """Bytes of one direction, cut into messages."""

    def __init__(self, kind, from_client):
        self.kind = kind
        self.rest = b''
        # The client's first message has no type (protocol-message-formats, StartupMessage).
        self.plain = kind == 'postgresql' and from_client

    def _size(self):
        """Of the next message; None: not known yet."""
        if self.kind == 'mysql':
            return struct.unpack('<I', self.rest[:3] + b'\0')[0] + 4 if len(self.rest) > 3 else None
        if self.plain:
            return struct.unpack('>I', self.rest[:4])[0] if len(self.rest) > 3 else None
        return struct.unpack('>I', self.rest[1:5])[0] + 1 if len(self.rest) > 4 else None

    def add(self, data):
        self.rest += data
        found = []
        size = self._size()
        while size is not None and len(self.rest) >= size:
            found.append(self.rest[:size])
            self.rest = self.rest[size:]
            self.plain = False
            size = self._size()
        return found


class Cut:
    def __init__(self, side, number, after=False):
        self.side = side
        self.number = number
        self.after = after

    def __str__(self):
        return '%s %d%s' % (self.side, self.number,
                            '' if self.side == 'server' else ' after' if self.after else ' before')


class _Pair:
    """A client's connection and ours to the server."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client
        self.server = socket.create_connection(('127.0.0.1', proxy.target), 10)
        for s in (self.client, self.server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.frames = {'client': Frames(proxy.kind, True), 'server': Frames(proxy.kind, False)}
        self.swallow = False

    def ends_a_statement(self, message):
        if self.proxy.kind == 'mysql':
            return True
        return message[:1] in (b'S', b'Q')

    def is_answer(self, message):
        """Of the server: whatever was asked is done, and committed."""
        return self.proxy.kind == 'mysql' or message[:1] == b'Z'

    def on_message(self, side, message):
        """False: this pair is over."""
        if self.swallow:
            return not (side == 'server' and self.is_answer(message))
        cut = self.proxy.count(side, message)
        other = self.server if side == 'client' else self.client
        if cut and side == 'client' and cut.after:
            other.sendall(message)
            self.swallow = self.ends_a_statement(message)
            return self.swallow
        if cut:
            return False
        other.sendall(message)
        return True

    def run(self):
        sides = {self.client: 'client', self.server: 'server'}
        with selectors.DefaultSelector() as ready:
            for s in sides:
                ready.register(s, selectors.EVENT_READ)
            try:
                while True:
                    for key, _ in ready.select():
                        side = sides[key.fileobj]
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        for message in self.frames[side].add(data):
                            if not self.on_message(side, message):
                                return
            except OSError:
                pass
            finally:
                # The client hears of it last: whatever it does then, the cut is known.
                self.server.close()
                self.proxy.over(self)
                self.client.close()


class Proxy:
    def __init__(self, kind, target):
        self.kind = kind
        self.target = target
        self.lock = threading.Lock()
        self.fired = threading.Event()
        self.cuts = []
        self.seen = 0
        self.refusing = False
        self.refuses = True
        self.armed = False
        self.pairs = set()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                pair = _Pair(self, client)
            except OSError:
                client.close()
                continue
            with self.lock:
                self.pairs.add(pair)
            threading.Thread(target=pair.run, daemon=True).start()

    def over(self, pair):
        with self.lock:
            self.pairs.discard(pair)
            if self.armed and not self.cuts:
                self.armed = False
                self.fired.set()

    def arm(self, *cuts, refuses=True):
        """Each counts from the one before; after the last everything passes again, or, if it
        refuses, nothing until open()."""
        with self.lock:
            self.cuts = list(cuts)
            self.seen = 0
            self.refuses = refuses
            self.armed = bool(cuts)
            self.fired.clear()

    def disarm(self):
        self.arm()
        self.open()

    def open(self):
        self.refusing = False

    def count(self, side, message):
        """The cut that this message is, or None."""
        with self.lock:
            if not self.cuts:
                return None
            if side == self.cuts[0].side:
                self.seen += 1
            if self.seen < self.cuts[0].number:
                return None
            cut = self.cuts.pop(0)
            self.seen = 0
            self.refusing = self.refuses and not self.cuts
            return cut

    def stop(self):
        self.listener.close()
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            for s in (pair.client, pair.server):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
