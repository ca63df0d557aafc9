# SPDX-License-Identifier: BSD-3-Clause
"""Compares repr() and saferepr() with Python's and Celery's on random documents.

usage: diff_repr.py CODEC_TOOL [SEED [ROUNDS]]
"""
import json
import random
import struct
import sys

from codec_pipe import Codec
from diff_json import random_double

try:
    from celery.utils.saferepr import saferepr
except ImportError:
    print('celery is not installed for', sys.executable)
    sys.exit(77)

PIECES = ['a', 'word ', "'", '"', '\\', '\n', '\t', '\0', '\x7f', '\xa0', 'é', '\xad', '\u200b',
          '\u3000', '中', '\ud800', '\ue000', '\U0001f600', '\U000e0001', '\U0010ffff', ' ']


def random_string(r):
    if r.randrange(4) == 0:
        return ''.join(chr(r.randrange(0x20, r.choice([0x7f, 0x500, 0x3000, 0x20000])))
                       for _ in range(r.randrange(20)))
    return ''.join(r.choice(PIECES) for _ in range(r.randrange(15)))


def random_value(r, depth=0):
    kind = r.randrange(8 if depth < 6 else 5)
    if kind < 2:
        return random_string(r)
    if kind == 2:
        return r.choice([None, True, False])
    if kind == 3:
        return r.randrange(-10**r.randrange(1, 30), 10**r.randrange(1, 30))
    if kind == 4:
        return random_double(r)
    if kind < 7:
        return [random_value(r, depth + 1) for _ in range(r.randrange(5))]
    return {random_string(r): random_value(r, depth + 1) for _ in range(r.randrange(5))}


def compare(tool, conversion, cases):
    codec = Codec(tool, conversion)
    answers = codec.convert_many([record for record, _ in cases])
    codec.close()
    wrong = 0
    for (record, want), (status, out) in zip(cases, answers):
        want = want.encode('utf-8', 'surrogatepass')
        if status or out != want:
            wrong += 1
            print('input ', record)
            print('python', want)
            print('codec ', status, out)
    print('%d of %s, %d differ' % (len(cases), conversion, wrong))
    return wrong


def repr_cases(r, rounds):
    for _ in range(rounds):
        text = json.dumps(random_value(r))
        yield struct.pack('>I', 0) + text.encode(), repr(json.loads(text))


def saferepr_cases(r, rounds):
    for _ in range(rounds):
        text = json.dumps([random_value(r) for _ in range(r.randrange(4))])
        value = json.loads(text)
        limit = r.choice([1, 5, 10, 30, 60, 100, 1024, 1024, 1024, 0])
        as_tuple = r.randrange(2)
        record = struct.pack('>I', limit) + (b't' if as_tuple else b'l') + text.encode()
        yield record, saferepr(tuple(value) if as_tuple else value, maxlen=limit or None)


def main():
    tool = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3000
    print('seed', seed)
    r = random.Random(seed)
    wrong = compare(tool, 'repr', list(repr_cases(r, rounds)))
    wrong += compare(tool, 'saferepr', list(saferepr_cases(r, rounds)))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
