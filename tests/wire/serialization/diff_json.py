# SPDX-License-Identifier: BSD-3-Clause
"""Compares the JSON reader and writer with Python's json on random input.

usage: diff_json.py CODEC_TOOL [SEED [ROUNDS]]
"""
import json
import math
import random
import struct
import sys

from codec_pipe import Codec

ALPHABET = ['a', ' ', '"', '\\', '/', '\b', '\f', '\n', '\r', '\t', '\0', '\x1f', '\x7f', '\x80',
            'é', '\u2028', '\ud7ff', '\ud800', '\udbff', '\udc00', '\udfff', '\ue000', '\ufeff',
            '\uffff', '\U00010000', '\U0001f600', '\U0010ffff', 'long plain text of some length']
NUMBERS = ['0', '-0', '1', '-1', '01', '1.', '.1', '1e5', '1E+5', '1e-5', '1e', '1e+', '-', '+1',
           '-01', '00', '0.0', '-0.0', '0e0', '1.50', '1e400', '-1e400', '1e-400', '123456789' * 12,
           'NaN', 'Infinity', '-Infinity', '-NaN', 'nan', 'inf', '0x10', '1_0', '٣',
           '0.' + '0' * 1100 + '1e1100', '1' + '0' * 1200 + 'e-1200', '9' * 1500 + 'e-1500',
           '0.1' + '0' * 1300 + '1', '1e99999999999999999999', '0e99999999999999999999',
           '1e-99999999999999999999', '2.5', '4.35', '1e16', '1e15', '123456789012345678']


def random_string(r):
    return ''.join(r.choice(ALPHABET) for _ in range(r.randrange(12)))


def random_value(r, depth=0):
    kind = r.randrange(9 if depth < 5 else 7)
    if kind < 2:
        return random_string(r)
    if kind == 2:
        return r.choice([None, True, False])
    if kind == 3:
        return r.randrange(-10**r.randrange(1, 40), 10**r.randrange(1, 40))
    if kind == 4:
        return random_double(r)
    if kind == 5:
        return r.randrange(100)
    if kind == 6:
        return r.choice([math.inf, -math.inf, math.nan, 0.0, -0.0])
    if kind == 7:
        return [random_value(r, depth + 1) for _ in range(r.randrange(6))]
    size = r.choice([0, 1, 2, 5, 30, 64, 65, 200]) if depth < 2 else r.randrange(4)
    return {random_string(r): random_value(r, depth + 1) for _ in range(size)}


def random_double(r):
    kind = r.randrange(6)
    if kind == 0:
        return struct.unpack('<d', r.getrandbits(64).to_bytes(8, 'little'))[0]
    if kind == 1:
        return math.ldexp(1.0, r.randrange(-1074, 1024)) * r.choice([1, -1])
    if kind == 2:
        return round(r.uniform(-1e6, 1e6), r.randrange(10))
    if kind == 3:
        return r.randrange(10**r.randrange(1, 18)) / 10**r.randrange(0, 25)
    if kind == 4:
        return math.nextafter(math.ldexp(1.0, r.randrange(-1070, 1020)), r.choice([0, math.inf]))
    return float(r.randrange(-10**17, 10**17))


def damaged(r, text):
    """The text with one thing changed, mostly no JSON any more."""
    raw = bytearray(text)
    at = r.randrange(len(raw) + 1)
    what = r.randrange(4)
    if what == 0:
        del raw[at:at + r.randrange(1, 4)]
    elif what == 1:
        raw[at:at] = r.choice([b',', b']', b'}', b'"', b':', b'\\', b'\n', b'\0', b'\xff', b' ',
                               b'\xed\xa0\x80', b'\xc3\xa9', b'\\u12', b'\\ud800', b'\\udc00',
                               b'[', b'{', b'\xef\xbb\xbf', b'\x7f', b'null', b'\\/', b'\\x'])
    elif what == 2:
        raw[at:at + 1] = bytes([r.randrange(256)])
    else:
        raw[at:at] = r.choice(NUMBERS).encode()
    return bytes(raw)


def texts(r, rounds):
    yield from (n.encode() for n in NUMBERS)
    yield from (b'[' + n.encode() + b', 1]' for n in NUMBERS)
    yield from (b'', b' ', b'\xef\xbb\xbf1', b'[1,]', b'{"a":1,}', b'{,}', b'{"a"}', b'{1:2}')
    yield b'{' + b','.join(b'"%d":%d' % (i % 700, i) for i in range(2000)) + b'}'
    yield b'{"a":1,"a":2,"b":3,"a":4,"b":5,"\\u0061":6}'
    for _ in range(rounds):
        value = random_value(r)
        for dump in (json.dumps(value), json.dumps(value, separators=(',', ':')),
                     json.dumps(value, indent=r.choice([1, '\t']))):
            yield dump.encode()
        try:
            yield json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            pass
        yield damaged(r, json.dumps(value).encode())


def expected(text):
    try:
        return 0, json.dumps(json.loads(text.decode('utf-8'))).encode()
    except ValueError:
        return 11, None


def compare_json(tool, r, rounds):
    codec = Codec(tool, 'json')
    records = list(texts(r, rounds))
    wrong = 0
    for record, (status, out) in zip(records, codec.convert_many(records)):
        want_status, want = expected(record)
        if status != want_status or (want is not None and out != want):
            wrong += 1
            print('input   ', record[:400])
            print('python  ', want_status, want and want[:400])
            print('codec   ', status, out[:400])
    codec.close()
    print('%d JSON texts, %d differ' % (len(records), wrong))
    return wrong


def compare_doubles(tool, r, rounds):
    codec = Codec(tool, 'double')
    values = [random_double(r) for _ in range(rounds)]
    values += [math.ldexp(1.0, e) for e in range(-1074, 1024)]
    status, out = codec.convert(struct.pack('<%dd' % len(values), *values))
    codec.close()
    wrong = 0
    for value, got in zip(values, out.decode().splitlines()):
        if json.dumps(value) != got:
            wrong += 1
            print('python %s, codec %s' % (json.dumps(value), got))
    print('%d doubles, %d differ' % (len(values), wrong))
    return wrong + (status != 0)


def main():
    tool = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 1500
    print('seed', seed)
    sys.set_int_max_str_digits(0) if hasattr(sys, 'set_int_max_str_digits') else None
    r = random.Random(seed)
    return 1 if compare_json(tool, r, rounds) + compare_doubles(tool, r, rounds * 20) else 0


if __name__ == '__main__':
    sys.exit(main())
