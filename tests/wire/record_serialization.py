# SPDX-License-Identifier: BSD-3-Clause
"""Records what Python and kombu do with serialized data, for serialization/test_serialization.c.

usage: record_serialization.py [TOPIC ...]

Run by Debian's /usr/bin/python3 (kombu 5.2) for all topics but "typed" and
"compression_more", which want kombu >= 5.3, brotli and zstandard.  Each file says which versions made it.
"""
import itertools
import json
import os
import platform
import sys

import kombu
from kombu import compression, serialization
from kombu.utils import json as kombu_json

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'serialization')


def write(topic, cases, **versions):
    made_with = dict(python=platform.python_version(), kombu=kombu.__version__, **versions)
    path = os.path.join(HERE, topic + '.json')
    with open(path, 'w', encoding='ascii') as out:
        out.write('{"made_with": %s,\n "cases": [\n' % json.dumps(made_with))
        out.write(',\n'.join('  ' + json.dumps(case) for case in cases))
        out.write('\n]}\n')
    print('%s: %d cases' % (path, len(cases)))


# ---- json ----

JSON_TEXTS = {
    'empty object': '{}', 'empty array': '[]', 'spaces': ' \t\r\n[ 1 , 2 ] \n',
    'nan': '[NaN, Infinity, -Infinity]', 'minus nan': '-NaN', 'lower nan': 'nan',
    'int of 30 digits': '123456789012345678901234567890', 'int of 400 digits': '9' * 400,
    'int64 limits': '[9223372036854775807, -9223372036854775808, 9223372036854775808]',
    'minus zero': '-0', 'float minus zero': '-0.0', 'overflow': '[1e400, -1e400]', 'underflow': '1e-400',
    'subnormal': '5e-324', 'largest': '1.7976931348623157e308', 'exponents': '[1e16, 1e15, 1e-4, 1e-5, 1E+2]',
    'power of two': '[5.684341886080802e-14, 9007199254740993.0]', 'trailing zeros': '1.10',
    'leading zero': '01', 'minus leading zero': '-01', 'dot at end': '1.', 'dot at start': '.5', 'plus': '+1',
    'hex': '0x10', 'lone minus': '-', 'no exponent': '1e', 'underscore': '1_0', 'other digits': '\u0663',
    'lone high surrogate': '"\\ud800"', 'lone low surrogate': '"\\udc00x"', 'swapped surrogates': '"\\udc00\\ud800"',
    'pair': '"\\ud83d\\ude00"', 'pair in upper case': '"\\uD83D\\uDE00"', 'raw astral': '"\U0001f600"',
    'high then text': '"\\ud83dA"', 'high then high': '"\\ud83d\\ud83d\\ude00"', 'raw non-ascii': '"\u00e9\u4e2d\u2028"',
    'all short escapes': '"\\"\\\\\\/\\b\\f\\n\\r\\t"', 'controls': '"\\u0000\\u001f\\u007f\\u0080"', 'raw del': '"\x7f"',
    'unknown escape': '"\\x41"', 'short unicode escape': '"\\u12"', 'bad unicode escape': '"\\u12g4"',
    'raw newline': '"a\nb"', 'raw tab': '"a\tb"', 'raw nul': '"\0"', 'unterminated': '"abc', 'escaped end': '"abc\\"',
    'single quotes': "'a'", 'bom': '\ufeff[]', 'nothing': '', 'blank': '  ', 'two values': '1 2', 'trailing nul': '[]\0',
    'trailing comma': '[1,]', 'trailing comma in object': '{"a": 1,}', 'missing comma': '[1 2]', 'missing colon': '{"a" 1}',
    'bare key': '{a: 1}', 'number as key': '{1: 2}', 'mismatch': '[1}', 'comment': '[1] // x', 'true in upper case': 'TRUE',
    'cut word': 'nul', 'no-break space': '[\u00a01]', 'vertical tab': '[\x0b1]',
    'duplicate keys': '{"a": 1, "b": 2, "a": 3}', 'three duplicates': '{"a": 1, "a": 2, "b": 3, "a": [4], "c": 5}',
    'duplicates by escape': '{"a": 1, "\\u0061": 2}', 'empty key': '{"": 0, " ": 1}', 'nul in key': '{"a\\u0000b": 1}',
    'many keys': '{%s}' % ', '.join('"k%d": %d' % (i % 70, i) for i in range(200)),
    'deep 900': '[' * 900 + ']' * 900, 'deep objects 450': '{"a":' * 450 + '1' + '}' * 450, 'deep 10000': '[' * 10000,
    'task body': '[[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]',
}
JSON_BYTES = {
    'invalid utf-8': b'"\xff"', 'cut utf-8': b'"\xc3"', 'overlong': b'"\xc0\x80"', 'encoded surrogate': b'"\xed\xa0\x80"',
    'above unicode': b'"\xf4\x90\x80\x80"', 'utf-16': '[1]'.encode('utf-16'),
}


def loads(raw):
    """json.loads() of what kombu hands it; typed values are another topic."""
    return json.loads(raw.decode('utf-8'))


def record_json():
    cases = []
    texts = {name: text.encode('utf-8') for name, text in JSON_TEXTS.items()}
    for name, raw in {**texts, **JSON_BYTES}.items():
        case = {'name': name, 'hex' if name in JSON_BYTES else 'in':
                raw.hex() if name in JSON_BYTES else raw.decode('utf-8')}
        try:
            case['out'] = json.dumps(loads(raw))
        except (ValueError, RecursionError) as exc:
            case['error'] = type(exc).__name__
        cases.append(case)
    write('json', cases)


# ---- typed values ----

TYPED = [
    ('datetime', '2026-11-22T13:02:13.615386+00:00'), ('datetime', '2026-11-22T13:02:13'), ('datetime', '2026-11-22'),
    ('datetime', 'yesterday'), ('datetime', '2026-13-01T00:00:00'), ('datetime', 1), ('datetime', None),
    ('date', '2026-11-22'), ('date', '2026-11-22T10:00:00'), ('date', '22.11.2026'), ('date', ''),
    ('time', '13:02:13.615386'), ('time', '13:02'), ('time', '13:02:13+02:00'), ('time', '25:00:00'), ('time', 'noon'), ('time', 5),
    ('decimal', '1.50'), ('decimal', '-1E+400'), ('decimal', 'NaN'), ('decimal', 'sNaN12'), ('decimal', '-Infinity'), ('decimal', 'inf'),
    ('decimal', ' 1_000.5 '), ('decimal', '.5'), ('decimal', '5.'), ('decimal', '.'), ('decimal', ''), ('decimal', '1e'), ('decimal', 'x'),
    ('decimal', 3), ('decimal', 1.5), ('decimal', True), ('decimal', None),
    ('uuid', {'hex': '0123456789abcdef0123456789abcdef'}), ('uuid', {'hex': '01234567-89ab-cdef-0123-456789abcdef'}),
    ('uuid', {'hex': '{0123456789ABCDEF0123456789ABCDEF}'}), ('uuid', {'hex': '0123'}), ('uuid', {'hex': 'g' * 32}),
    ('uuid', '0123456789abcdef0123456789abcdef'), ('uuid', {}), ('uuid', {'hex': 5}),
    ('bytes', 'plain'), ('bytes', '\u00e9\U0001f600'), ('bytes', ''), ('bytes', '\ud800'), ('bytes', 5), ('bytes', None),
    ('base64', '//8A'), ('base64', '/w=='), ('base64', '/w'), ('base64', '/'), ('base64', ''), ('base64', ' / w = = '), ('base64', 5),
    ('complex', '1+2j'), ('', 'x'), (None, 'x'), ([], 'x'), ({}, 'x'), (1, 'x'),
]


def record_typed():
    if not hasattr(kombu_json, 'object_hook'):
        return print('typed: needs kombu >= 5.3, not recorded')
    documents = [{'__type__': t, '__value__': v} for t, v in TYPED]
    documents += [
        {'__type__': 'bytes', '__value__': 'x', 'more': 1}, {'__type__': 'bytes'}, {'__value__': 'x'},
        {'__value__': 'x', '__type__': 'bytes'}, [[{'a': {'__type__': 'unknown', '__value__': 1}}]],
        [{'__type__': 'bytes', '__value__': 'x'}, {'__type__': 'date', '__value__': 'x'}],
    ]
    cases = []
    for document in documents:
        case = {'name': json.dumps(document), 'in': json.dumps(document)}
        try:
            value = kombu_json.loads(case['in'].encode())
            case['ok'] = True
            if isinstance(value, bytes):
                case['bytes'] = value.hex()
                case['dumps'] = kombu_json.dumps(value)
        except Exception as exc:
            case['ok'] = False
            case['error'] = '%s: %s' % (type(exc).__name__, exc)
        cases.append(case)
    write('typed', cases)


# ---- repr ----

REPRS = [
    None, True, False, 0, -5, 10**30, 1.5, 1e16, 1e-5, float('nan'), float('inf'), float('-inf'), '', 'plain', "it's", '"', '\'"',
    'back\\slash', '\n\r\t\0\x1f\x7f\x80\xa0\xad', '\u00e9\u4e2d', '\u200b\u2028\ue000\ud800', '\U0001f600\U000e0001\U0010ffff',
    [], {}, [1, 'a', None], {'a': {'b': {'c': {'d': 1}}}}, [[[[1]]]], [[[{'x': [1]}]]], {'k': [1, 2, {'l': (3,)}]},
    [2, 3], [1], ['x' * 2000], ['word ' * 500], list(range(1000)), {'key%d' % i: 'value' * i for i in range(60)},
    ["a'b" * 10], [{"it's": "o'clock"}], [['a' * 1018, 1]], [['a' * 1019, {'b': [1, [2]]}]], [['a' * 1020, 1]], [['a' * 1015, [], 2]],
    ['\u00e9' * 1030], [12345678901234567890, 'x ' * 520, None], [[], {}, ''],
]


def record_repr():
    from celery.utils.saferepr import saferepr
    cases = []
    for value in REPRS:
        text = json.dumps(value)
        value = json.loads(text)
        case = {'name': text[:60], 'in': text, 'repr': repr(value), 'saferepr': saferepr(value, maxlen=1024)}
        if isinstance(value, list):
            case['tuple'] = saferepr(tuple(value), maxlen=1024)
        cases.append(case)
    import celery
    write('repr', cases, celery=celery.__version__)


# ---- unpack ----

SIGNATURES = ['', 'x', 'x y', 'x y z', 'x | y', '| x y', 'x *', '*', 'x **', '**', '* **', 'x * y', 'x * y z', '* | y', 'x | y * z **',
              '* y z w', 'a b c d']
CALLS = [([], {}), ([1], {}), ([1, 2], {}), ([1, 2, 3], {}), ([1, 2, 3, 4, 5], {}), ([], {'x': 1}), ([1], {'x': 1}), ([1], {'y': 2}),
         ([], {'y': 2}), ([1], {'y': 2, 'z': 3}), ([1, 2], {'y': 2}), ([1, 2, 3, 4, 5], {'x': 1}), ([1], {'nope': 1}), ([], {'nope': 1, 'x': 2}),
         ([1, 2, 3, 4, 5], {'nope': 1}), ([], {"it's": 1}), ([], {'z': 1, 'x': 2, 'y': 3})]


def python_parameters(signature):
    """'x | y * z **' as 'x, y=None, *a_, z, **k_'."""
    parameters = []
    optional = False
    for word in signature.split():
        if word == '|':
            optional = True
        elif word == '*':
            parameters.append('*a_')
            optional = False
        elif word == '**':
            parameters.append('**k_')
        else:
            parameters.append(word + '=None' if optional else word)
    return ', '.join(parameters)


def record_unpack():
    cases = []
    for signature, (args, kwargs) in itertools.product(SIGNATURES, CALLS):
        namespace = {}
        exec('def create(%s): pass' % python_parameters(signature), namespace)
        fmt = ' '.join(w if w in '|**' else w + ':v' for w in signature.split())
        case = {'name': '%s %r %r' % (fmt, args, kwargs), 'format': fmt, 'args': args, 'kwargs': kwargs}
        try:
            namespace['create'](*args, **kwargs)
        except TypeError as exc:
            case['error'] = str(exc)
        cases.append(case)
    write('unpack', cases)


# ---- other serializers ----

VALUES = {
    'task body': [[2, 3], {}, {'callbacks': None, 'errbacks': None, 'chain': None, 'chord': None}],
    'ints': [0, 127, 128, 255, 256, 65535, 65536, 2**32, 2**64 - 1, -1, -32, -33, -128, -129, -32768, -32769, -2**31 - 1, -2**63],
    'floats': [0.0, -0.0, 1.5, 1e16, 1e-5, 5e-324, float('nan'), float('inf'), float('-inf')],
    'strings': ['', 'a', 'x' * 31, 'x' * 32, 'x' * 255, 'x' * 256, '\u00e9\U0001f600', '\0\n"\\', 'yes', 'no', '1', '1.5',
                'null', '~', '2001-01-01', '1:30', '=', '<<', ' x ', '- a', 'a: b', '#', '', '*a', '&a', '!a', '%a', '@a', 'k: |\n  x'],
    'arrays': [[], [1] * 15, [1] * 16, [[[[]]]]], 'maps': [{}, {'a': 1}, {str(i): i for i in range(16)}, {'k' * 200: {'b': None}}],
    'booleans': [True, False, None],
}


def record_serializers():
    cases = []
    for name, value in VALUES.items():
        case = {'name': name, 'json': json.dumps(value)}
        for serializer in ('msgpack', 'yaml'):
            _, _, payload = serialization.dumps(value, serializer)
            payload = payload if isinstance(payload, bytes) else payload.encode('utf-8')
            case[serializer] = payload.hex()
        cases.append(case)
    write('serializers', cases)


# ---- compression ----

def record_compression():
    texts = {'empty': b'', 'short': b'{"a": 1}', 'long': json.dumps(list(range(1000))).encode(), 'zeros': bytes(300000)}
    methods = ['gzip', 'bzip2', 'lzma']
    write_compression('compression', methods, texts)


def record_compression_more():
    methods = [m for m in ('brotli', 'zstd') if m in compression._aliases]
    if len(methods) < 2:
        return print('compression_more: needs brotli and zstandard, not recorded')
    write_compression('compression_more', methods, {'short': b'{"a": 1}', 'long': json.dumps(list(range(1000))).encode(),
                                                    'zeros': bytes(300000)})


def write_compression(topic, methods, texts):
    cases = []
    for method, (name, plain) in itertools.product(methods, texts.items()):
        packed, content_type = compression.compress(plain, method)
        case = {'name': '%s %s' % (method, name), 'method': method, 'content_type': content_type, 'packed': packed.hex(),
                'size': len(plain)}
        if len(plain) < 100:
            case['plain'] = plain.decode()
        for what, changed in (('truncated', packed[:-1]), ('halved', packed[:len(packed) // 2]), ('followed', packed + b'more'),
                              ('twice', packed + packed), ('none', b'')):
            try:
                case[what] = len(compression.decompress(changed, content_type))
            except Exception:
                case[what] = None
        cases.append(case)
    write(topic, cases)


def main():
    topics = {name[7:]: f for name, f in globals().items() if name.startswith('record_')}
    for topic in sys.argv[1:] or topics:
        topics[topic]()


if __name__ == '__main__':
    main()
