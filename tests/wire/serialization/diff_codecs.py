# SPDX-License-Identifier: BSD-3-Clause
"""Compares msgpack, YAML and compression with Python's on random input.

usage: diff_codecs.py CODEC_TOOL [SEED [ROUNDS]]
"""
import base64
import datetime
import json
import math
import random
import sys

from codec_pipe import Codec
from diff_json import random_double

try:
    from kombu import compression
except ImportError:
    compression = None
try:
    import msgpack
except ImportError:
    msgpack = None
try:
    import yaml
except ImportError:
    yaml = None

PIECES = ['a', 'word ', "'", '"', '\\', '\n', '\t', '\0', '\x7f', '\x85', '\xa0', 'é', '中', ': ',
          ' #', '- ', '\u2028', '\ufeff', '\U0001f600', '\U0010ffff', 'x' * 40, '%', '@', '`', '&',
          '*', '!', '|', '>', '? ', '[', ']', '{', '}', ',']

# Plain scalars and near misses of each form of the YAML 1.1 resolver.
SCALARS = '''yes Yes YES yES no on off ON y n Y N true false True tRue null Null ~ NULL nULL none
0 -0 +0 00 08 07 010 -010 0o7 0b101 -0b1 0b 0b_ 0b2 0x1F -0xff 0x 0x_ 0xg 1_000 _1 1_ +12 -12 1__2 12e3
123456789012345678901234567890 0xffffffffffffffffffffffff 0b1111111111111111111111111111111111111111111
07777777777777777777777777777 1:30 -1:30 1:60 1:5:9 190:20:30 01:30 1:30:00 1:1:1:1:1:1:1:1:1:1:1:1
1. 1.5 -1.5 +1.5 .5 -.5 +.5 ._5 .5_5 1_0.5_0 1.5e3 1.5e+3 1.5E-3 1e+3 1.e+3 1e5 .e+1 . .. 1.5e+
.inf -.inf +.inf .Inf .INF .iNF .nan .NaN .NAN -.nan 1:30.5 -1:30.25 1:5. 1:60.5 190:20:30.15 1:30.5e+3
1e400 1.0e+400 0.1 1.10 123456789.123456789 99999999999999999999.5
2001-12-14 2001-1-1 2001-12-14t21:59:43.10-05:00 2001-12-14T21:59:43Z 2001-12-15T2:59:43.1
2001-13-01 2001-02-29 2000-02-29 2001-12-14T25:00:00 2001-12-14T21:59:60 0000-01-01 0001-01-01
2001-12-14T21:59:43.1234567+5 2001-12-14T21:59:43-23:59 2001-12-14T21:59:43+24:00 2001-12-14T21:59:43.
2001-12-14T21:59:43+5:3 2001-12-14T1:2:3 2001-1-1T1:02:03 20011214
<< = == ! - -- a:b a#b "q" 'q' [] {} [1,2] {a:1} {a: 1} &a *a !!int !!str'''.split()

DOCUMENTS = ['', '---', '--- 1\n...', '--- 1\n--- 2', '# only', 'a: &x {b: 1}\nc: *x', 'a: *x', '&a [*a]',
             '<<: {a: 1, b: 2}\na: 3', 'x: &x {a: 1}\ny: {b: 2, <<: *x, a: 9}',
             'x: &x {a: 1, c: 1}\ny: &y {a: 2, d: 2}\nz: {<<: [*x, *y], c: 5}',
             'x: {<<: &i {a: 1}, b: 2}\ny: *i', '<<: 1', '<<: [1]', '"<<": {a: 1}', '{=: 1}', 'a: =', 'a: <<',
             '2: a\n2.5: b\ntrue: c\nnull: d\n~: e\n-0: f', '{1: a, "1": b}', '? [1]\n: 2', '? {a: 1}\n: 2',
             '!!binary aGVsbG8=', '!!binary "aGVs\nbG8="', '!!binary a', '!!binary é', '!!binary {}',
             '!!str 12', '!!int "12"', '!!int "x"', '!!int ""', '!!float 1', '!!float "1e5"', '!!float x',
             '!!bool yes', '!!bool x', '!!null x', '!!seq [1]', '!!map {a: 1}', '!!seq {a: 1}', '!!map [1]',
             '!!int [1]', '!foo 1', '!!python/object:os.system {}', '!!python/tuple [1]', '! 12', '!!timestamp x',
             '!!timestamp 2001-1-1', '!!set {a, b}', '!!set {a: null, ? b}', '- - - 1', 'a:\n- 1\n- 2', '|\n text\n more\n',
             '>\n folded\n text\n', '"\\x41\\u00e9\\U0001F600\\0\\e\\_\\N\\L\\P\\/"', '"\\q"', "'it''s'", '"a\n b"',
             '%YAML 1.1\n---\n1', '%FOO\n---\n1', 'a: 1\na: 2', 'a: b: c', '[1, 2', '{a: 1', '\t1', 'a:\n\t- 1', '@a', '`a',
             '&a 1\n', '- &a 1\n- &a 2\n- *a', '- &a 1\n- *a\n- *b', '\ufeffa: 1', 'a: \x01', '"\x85"', 'key with spaces: v',
             'k: [a, {b: c}, "d"]', '[a: b, c]', '{a, b: c}', '{? a : b}', '- !!str\n- ""', 'a:   \n  b:  \n', '"' + 'k' * 1100 + '": 1',
             '2001-12-14 21:59:43.10 -5', '2001-12-14 \t 21:59:43', '- 2001-12-14\n- 2001-12-14 21:59:43 Z', '?', '? a', ': a', '-', 'a: !!null']


# Where libyaml itself reads more or less than PyYAML's own scanner.
LIBYAML_DIFFERS = {b'%FOO\n---\n1', b'2001-12-14 \t 21:59:43', b'[!, 1]', b'[!!str, 1]', b'[!!int, 1]'}


NOT_IN_BUILD = 4  # -CELERY_ENOTSUP


def typed(kind, value):
    return {'__type__': kind, '__value__': value}


def as_json(value):
    """What our documents have for a value of msgpack or YAML."""
    if isinstance(value, bytes):
        try:
            return typed('bytes', value.decode())
        except UnicodeDecodeError:
            return typed('base64', base64.b64encode(value).decode())
    if isinstance(value, datetime.datetime):
        return typed('datetime', value.isoformat())
    if isinstance(value, datetime.date):
        return typed('date', value.isoformat())
    if isinstance(value, set):
        value = sorted(value)
        return [as_json(v) for v in value]
    if isinstance(value, (list, tuple)):
        return [as_json(v) for v in value]
    if isinstance(value, dict):
        return {key_text(k): as_json(v) for k, v in value.items()}
    return value


def key_text(key):
    if isinstance(key, bytes):
        return key.decode()
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        return next(iter(json.loads(json.dumps({key: 0}))))
    raise ValueError('no key for JSON')


def random_string(r):
    return ''.join(r.choice(PIECES) for _ in range(r.choice([0, 1, 3, 10, 40])))


def random_value(r, big=True, depth=0):
    kind = r.randrange(10 if depth < 5 else 7)
    if kind < 2:
        return random_string(r)
    if kind == 2:
        return r.choice([None, True, False])
    if kind == 3:
        limit = 2**63 if not big else 2**r.randrange(1, 90)
        return r.randrange(-limit, limit)
    if kind == 4:
        return random_double(r)
    if kind == 5:
        return r.choice([0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, 2**63, -1, -32,
                         -33, -128, -129, -32768, -32769, -2**31, -2**31 - 1, -2**63])
    if kind == 6:
        return r.choice(SCALARS)
    if kind < 9:
        return [random_value(r, big, depth + 1) for _ in range(r.choice([0, 1, 3, 5, 20]))]
    return {random_string(r): random_value(r, big, depth + 1) for _ in range(r.choice([0, 1, 3, 20]))}


def report(what, record, want, got):
    print('%s of %r\n  python %r\n  codec  %r' % (what, record[:300], want, got))
    return 1


def same(a, b):
    return json.dumps(a) == json.dumps(b)


def compare_decode(tool, conversion, records, load):
    codec = Codec(tool, conversion)
    wrong = 0
    refused = 0
    for record, (status, out) in zip(records, codec.convert_many(records)):
        try:
            want = json.dumps(as_json(load(record))).encode()
        except Exception as exc:
            want = None
            why = exc
        if record in LIBYAML_DIFFERS:
            continue
        if want is None:
            refused += 1
            if status == 0:
                wrong += report(conversion, record, repr(why)[:200], out)
        elif status or out != want:
            wrong += report(conversion, record, want, (status, out))
    codec.close()
    print('%d of %s, %d of them refused, %d differ' % (len(records), conversion, refused, wrong))
    return wrong


def compare_msgpack(tool, r, rounds):
    # Through JSON, which has one NaN only.
    values = [json.loads(json.dumps(random_value(r, big=False))) for _ in range(rounds)]
    codec = Codec(tool, 'to_msgpack')
    wrong = 0
    packed = []
    for value, (status, out) in zip(values, codec.convert_many([json.dumps(v).encode() for v in values])):
        want = msgpack.packb(value, use_bin_type=True)
        packed.append(want)
        if status or out != want:
            wrong += report('to_msgpack', json.dumps(value), want, (status, out))
    codec.close()
    print('%d of to_msgpack, %d differ' % (len(values), wrong))
    for value in list(values):
        raw = bytearray(msgpack.packb([value, b'\xff\0', b'text', {b'k': 1.5}], use_bin_type=True))
        packed.append(bytes(raw))
        for _ in range(r.randrange(1, 3)):
            raw[r.randrange(len(raw))] = r.randrange(256)
        packed.append(bytes(raw))
        packed.append(bytes(raw[:r.randrange(len(raw))]))
    packed.append(msgpack.packb(1.5, use_single_float=True))
    return wrong + compare_decode(tool, 'from_msgpack', packed, load_msgpack)


def load_msgpack(record):
    def no_extension(code, data):
        raise ValueError('extension')
    value = msgpack.unpackb(record, raw=False, strict_map_key=False, timestamp=3, ext_hook=no_extension)
    return value


def yaml_documents(r, rounds):
    for text in DOCUMENTS:
        yield text.encode('utf-8')
    for scalar in SCALARS:
        for form in ('%s', '- %s', 'a: %s', '%s: a', '[%s, 1]', '"%s"'):
            yield (form % scalar).encode()
    for _ in range(rounds):
        value = random_value(r)
        for options in ({}, {'default_flow_style': True}, {'allow_unicode': True}, {'default_style': '"'},
                        {'width': 20}):
            yield yaml.safe_dump(value, **options).encode('utf-8')
    for _ in range(rounds // 3):
        yield yaml.safe_dump([random_string(r).encode(), datetime.datetime(2001, 2, 3, 4, 5, 6, r.randrange(1000000)),
                              datetime.date(2001, 2, 3), {random_string(r) for _ in range(1)},
                              datetime.datetime(2001, 2, 3, tzinfo=datetime.timezone.utc)]).encode('utf-8')


def compare_yaml(tool, r, rounds):
    probe = Codec(tool, 'to_yaml')
    status, _ = probe.convert(b'1')
    probe.close()
    if status == NOT_IN_BUILD:
        print('yaml is not in this build')
        return 0
    wrong = compare_decode(tool, 'from_yaml', list(yaml_documents(r, rounds)), yaml.safe_load)
    values = [random_value(r) for _ in range(rounds)] + [{'k' * n: n} for n in (99, 100, 101, 1023, 5000)]
    codec = Codec(tool, 'to_yaml')
    bad = 0
    for value, (status, out) in zip(values, codec.convert_many([json.dumps(v).encode() for v in values])):
        try:
            back = yaml.safe_load(out)
        except Exception as exc:
            back = exc
        if status or isinstance(back, Exception) or not same(back, value):
            bad += report('to_yaml', json.dumps(value), back, (status, out))
    codec.close()
    print('%d of to_yaml, %d differ' % (len(values), bad))
    return wrong + bad


def compare_compression(tool, r):
    """What we compress, kombu decompresses, and the other way round."""
    wrong = 0
    pack, unpack = Codec(tool, 'compress'), Codec(tool, 'decompress')
    methods = [m for m in ('gzip', 'bzip2', 'lzma', 'brotli', 'zstd') if m in compression._aliases]
    for method in list(methods):
        if pack.convert(method.encode() + b'\n')[0] == NOT_IN_BUILD:
            methods.remove(method)
            continue
        for size in (0, 1, 100, 5000, 300000):
            plain = bytes(r.choice(b'ab{}": ,') for _ in range(size))
            head = method.encode() + b'\n'
            status, packed = pack.convert(head + plain)
            if status or compression.decompress(packed, method) != plain:
                wrong += report('compress with ' + method, plain, None, (status, packed[:50]))
            theirs, _ = compression.compress(plain, method)
            if unpack.convert(head + theirs) != (0, plain):
                wrong += report('decompress with ' + method, plain, None, None)
    pack.close()
    unpack.close()
    print('%d compressions, %d differ' % (len(methods), wrong))
    return wrong


def main():
    tool = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 150
    print('seed', seed)
    r = random.Random(seed)
    wrong = compare_compression(tool, r) if compression else 0
    if msgpack:
        wrong += compare_msgpack(tool, r, rounds * 5)
    if yaml:
        wrong += compare_yaml(tool, r, rounds)
    if not msgpack and not yaml and not compression:
        print('neither msgpack, yaml nor kombu is installed for', sys.executable)
        return 77
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
