# SPDX-License-Identifier: BSD-3-Clause
"""What fleet.py sees of the traffic with Redis: a process reads MONITOR and keeps what tells
the fate of each message.

    fleet_watch.py SOCKET QUEUE OUT

OUT gets a line of JSON for each event:
    ["sent", time, who, delivery tag, task id, retries, redelivered, group id]
    ["taken", time, who, delivery tag]       it is registered in unacked
    ["settled", time, who, delivery tag]     it left unacked
    ["chord", time, who, key]                a chord was applied: it has a size now
    ["part", time, who, key]                 a part of a chord was counted
    ["ended", time, who, key]                the parts of a chord were removed
    ["popped", time, who, delivery tag, envelope]   upon ECHO report: was never registered
    ["counted", time, who, group id, envelope]   upon ECHO report: a part of a group that is
                                             not known to be over
    ["report", time, who]                    the end of a report
who: "c" for the unix socket, which only the C workers use, else "python".
"""

import json
import re
import socket
import sys

ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(rb'\\(x[0-9a-f]{2}|.)', re.S)
PLAIN = {b'n': b'\n', b'r': b'\r', b't': b'\t', b'a': b'\a', b'b': b'\b'}


def unescape(text):
    return ESCAPE.sub(lambda m: bytes([int(m[1][1:], 16)]) if len(m[1]) == 3
                      else PLAIN.get(m[1], m[1]), text)


class Watch:
    def __init__(self, queue, out):
        self.queue, self.out = queue.encode(), out
        self.who = None  # of the command before: what a script does follows its call
        self.script = False
        self.open = {}  # delivery tag: envelope, as long as it is not registered
        self.groups = {}  # group id: envelope of a part, until the chord is over
        self.answers = set()  # delivery tags of what workers tell each other
        self.own = {}  # field of unacked: message for an own queue, until it is held
        self.tags = {}  # field of unacked: delivery tag of a message held under that name
        self.actions = {b'LPUSH': self.sent, b'RPUSH': self.sent, b'ZADD': self.added,
                        b'HSET': self.stored,
                        b'ZREM': self.removed, b'SET': self.set, b'SETEX': self.set,
                        b'DEL': self.deleted,
                        b'ECHO': self.report}

    def line(self, line):
        start = line.find(b'"')
        if start < 0:
            return
        self.script = b' lua]' in line[:start]
        if not self.script:
            self.who = 'python' if b' 127.0.0.1:' in line[:start] else 'c'
        action = self.actions.get(line[start + 1:line.find(b'"', start + 1)].upper())
        if action:
            action(float(line[1:line.index(b' ')]), self.who,
                   ARGUMENT.findall(line, start)[1:])

    def write(self, *event):
        self.out.write(json.dumps(event) + '\n')

    def sent(self, when, who, args):
        if args[0] == self.queue:
            for raw in args[1:]:
                raw = unescape(raw).decode()
                self.sent_one(when, who, raw, json.loads(raw))
        elif args[0].endswith(b'.pidbox'):
            self.answers.update(json.loads(unescape(raw))['properties']['delivery_tag']
                                for raw in args[1:])

    def sent_one(self, when, who, raw, m):
        h, p = m['headers'], m['properties']
        tag = p['delivery_tag']
        self.open[tag] = raw
        if h.get('group'):
            self.groups[h['group']] = raw
        self.write('sent', when, who, tag, h['id'], h.get('retries') or 0,
                   bool(p['delivery_info'].get('redelivered')), h.get('group'))

    def stored(self, when, who, args):
        """A C worker sends to a queue of its own: the script behind this registers the message
        under that name if it is empty, and otherwise pushes it (transport/redis_scripts.c
        take)."""
        if self.script or who != 'c' or args[0] != b'unacked':
            return
        m, _, queue = json.loads(unescape(args[2]))
        if queue == self.queue.decode():
            self.own[args[1].decode()] = m

    def added(self, when, who, args):
        key = args[0]
        if key == b'unacked_index':
            for tag in (a.decode() for a in args[1:]):
                if tag in self.own:
                    m = self.own.pop(tag)
                    self.sent_one(when, who, json.dumps(m), m)
                    self.tags[tag] = m['properties']['delivery_tag']
                    tag = self.tags[tag]
                if self.open.pop(tag, None) is not None:
                    self.write('taken', when, who, tag)
        elif key.endswith(b'.j'):
            self.write('part', when, who, key.decode())

    def removed(self, when, who, args):
        if args[0] == b'unacked_index':
            for tag in (a.decode() for a in args[1:]):
                # Of 65 dashes: makes a large index a tree (transport/redis_scripts.c).
                if tag not in self.answers and tag.strip('-'):
                    self.write('settled', when, who, self.tags.pop(tag, tag))

    def set(self, when, who, args):
        if args[0].endswith(b'.s'):
            self.write('chord', when, who, args[0].decode())

    def deleted(self, when, who, args):
        for key in args:
            if key.endswith(b'.j'):
                self.write('ended', when, who, key.decode())
                self.groups.pop(key.decode()[len('celery-taskset-meta-'):-2], None)

    def report(self, when, who, args):
        for tag, raw in self.open.items():
            self.write('popped', when, who, tag, raw)
        for group, raw in self.groups.items():
            self.write('counted', when, who, group, raw)
        self.write('report', when, who)
        self.out.flush()


def main(path, queue, out):
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    link.sendall(b'MONITOR\r\n')
    rest = b''
    with open(out, 'w') as f:
        watch = Watch(queue, f)
        while True:
            data = link.recv(1 << 20)
            if not data:
                break
            lines = (rest + data).split(b'\r\n')
            rest = lines.pop()
            for line in lines:
                watch.line(line)


if __name__ == '__main__':
    main(*sys.argv[1:])
