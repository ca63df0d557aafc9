#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Records what Celery, kombu and py-amqp of this interpreter put on the wire for RabbitMQ.

    record_amqp.py           writes amqp/celery-X.Y.Z.json, the frames of each message that
                             record_messages.py has too; with the newest version also
                             amqp/tables.json, values of header tables both ways
    record_amqp.py --check   compares instead of writing; exit 77: nothing recorded for
                             this version

Everything up to and with py-amqp's frame writer is the original; only the socket is missing.
"""
import json
import pathlib
import struct
import sys
import types
from datetime import datetime
from decimal import Decimal

import amqp
import kombu
import kombu.transport.pyamqp
import kombu.transport.virtual.base
from amqp.method_framing import frame_writer
from amqp.serialization import dumps, loads
from kombu.utils import json as kombu_json

import record_messages

HERE = pathlib.Path(__file__).parent / 'amqp'
VERSION = record_messages.VERSION
NEWEST = record_messages.NEWEST
FRAME_MAX = 131072

published = []


def capture(self, message, exchange='', routing_key='', mandatory=False, immediate=False,
            **kwargs):
    published.append((message, exchange, routing_key))
    record_messages.captured.append(None)


# The memory transport routes and declares; what is made for the wire is py-amqp's.
kombu.transport.virtual.base.Channel.prepare_message = \
    kombu.transport.pyamqp.Channel.prepare_message
kombu.transport.virtual.base.Channel.basic_publish = capture


def frames_of(message, exchange, routing_key):
    written = []
    connection = types.SimpleNamespace(frame_max=FRAME_MAX, bytes_sent=0)
    write_frame = frame_writer(connection, types.SimpleNamespace(
        write=lambda b: written.append(bytes(b))))
    # amqp/channel.py Channel._basic_publish
    args = dumps('Bssbb', (0, exchange, routing_key, False, False))
    write_frame(1, 1, (60, 40), args, message)
    return b''.join(written)


def record_tasks():
    for case in record_messages.CASES:
        name, options, conf = (case + ({},))[:3]
        published.clear()
        try:
            record_messages.make(options, conf)
        except Exception as exc:
            print('%s: not made with %s: %r' % (name, VERSION, exc), file=sys.stderr)
            continue
        yield {'name': name, 'frames': frames_of(*published[-1]).hex()}


# ---- tables ----

WRITTEN = {
    'none': None, 'true': True, 'false': False, 'zero': 0, 'minus one': -1,
    'largest of I': 2**31 - 1, 'smallest of I': -2**31 + 1, 'over I': 2**31,
    'under I': -2**31, 'largest': 2**63 - 1, 'smallest': -2**63, 'over 64 bits': 2**63,
    'float': 1.5, 'minus zero': -0.0, 'nan': float('nan'), 'infinity': float('inf'),
    'text': 'text', 'empty text': '', 'umlaut': 'Zürich', 'astral': '\U0001f600',
    'nul in text': 'a\0b', 'lone surrogate': 'a\ud800', 'list': [1, 'a', None, [2]],
    'empty list': [], 'map': {'a': {'b': {'c': []}}}, 'empty map': {}, 'long name': {'n' * 255: 1},
    'name over 255': {'n' * 256: 1}, 'datetime': datetime(2026, 11, 22, 13, 2, 13),
    'datetime with fraction': datetime(2026, 11, 22, 13, 2, 13, 999999),
    'datetime before 1970': datetime(1969, 12, 31), 'decimal': Decimal('-1.25'),
    'decimal with zeros': Decimal('1.50'), 'decimal over 32 bits': Decimal('12345678901'),
    'decimal with exponent': Decimal('1E-10'), 'whole decimal': Decimal('15'),
    'large decimal': Decimal('1E+3'),
}


def record_written():
    """Values as a header; null: py-amqp refuses."""
    for name, value in WRITTEN.items():
        try:
            made = dumps('F', [{'a': value}]).hex()
        except Exception:
            made = None
        yield {'name': name, 'value': kombu_json.dumps({'a': value}), 'table': made}


def item(letter, payload):
    return letter.encode() + payload


READ = {
    'true': item('t', b'\1'), 'false': item('t', b'\0'), 'two as bool': item('t', b'\2'),
    'b': item('b', b'\xff'), 'B': item('B', b'\xff'), 's': item('s', b'\xff\xfe'),
    'U': item('U', b'\xff\xfe'), 'u': item('u', b'\xff\xfe'), 'I': item('I', b'\xff\xff\xff\xfd'),
    'i': item('i', b'\xff\xff\xff\xfd'), 'l': item('l', b'\xff' * 8), 'L': item('L', b'\xff' * 8),
    'largest L': item('L', b'\x7f' + b'\xff' * 7), 'f': item('f', struct.pack('>f', 0.1)),
    'd': item('d', struct.pack('>d', 0.1)), 'nan': item('d', b'\x7f\xf8' + bytes(6)),
    'S': item('S', b'\0\0\0\2\xc3\xa9'), 'S empty': item('S', bytes(4)),
    'S with nul': item('S', b'\0\0\0\3a\0b'), 'V': item('V', b''),
    'A': item('A', b'\0\0\0\7VVI\0\0\0\xff'), 'A empty': item('A', bytes(4)),
    'F': item('F', b'\0\0\0\3\1kV'), 'F empty': item('F', bytes(4)),
    'F with equal names': item('F', b'\0\0\0\x0b\1ab\1\1bV\1ab\2'),
    'T': item('T', struct.pack('>Q', 1795352533)), 'T of 1970': item('T', bytes(8)),
    'T of 9999': item('T', struct.pack('>Q', 253402300799)),
}
for scale, digits in ((0, 15), (2, -125), (4, 1500), (3, 0), (0, -2**31), (9, 2**31 - 1), (10, 1),
                      (6, 1), (7, 1), (7, 123), (8, 10000), (255, 7), (11, 12345)):
    READ['D of %d and %d' % (digits, scale)] = item('D', struct.pack('>Bi', scale, digits))


def record_read():
    for name, value in READ.items():
        entries = b'\1a' + value
        table = struct.pack('>I', len(entries)) + entries
        (says,), _ = loads('F', table, 0)
        yield {'name': name, 'table': table.hex(), 'value': kombu_json.dumps(says)}


# ---- files ----

def text_of(made_with, **lists):
    parts = ['{"made_with": %s' % json.dumps(made_with)]
    for name, cases in lists.items():
        parts.append(',\n "%s": [\n' % name)
        parts.append(',\n'.join('  ' + json.dumps(case) for case in cases))
        parts.append('\n]')
    return ''.join(parts) + '}\n'


def cases_of(text):
    return {k: v for k, v in json.loads(text).items() if k != 'made_with'}


def main():
    check = sys.argv[1:] == ['--check']
    made_with = dict(record_messages.versions(), amqp=amqp.__version__)
    files = {'celery-%s.json' % VERSION: text_of(made_with, cases=record_tasks())}
    if VERSION == NEWEST:
        files['tables.json'] = text_of(made_with, written=record_written(), read=record_read())
    wrong = 0
    for name, text in files.items():
        path = HERE / name
        if not check:
            HERE.mkdir(exist_ok=True)
            path.write_text(text, encoding='ascii')
        elif not path.exists():
            print('nothing recorded: ' + name)
            return 77
        elif cases_of(path.read_text(encoding='ascii')) != cases_of(text):
            print('differs: %s' % path)
            wrong += 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
