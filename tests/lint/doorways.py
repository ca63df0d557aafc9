#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""One doorway for each dependency: a third-party header is included by the files named
here and by no other; and nobody calls a banned function."""

import os
import re
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(
    os.path.dirname(os.path.abspath(__file__)), '..', '..'))
LIB = os.path.join(ROOT, 'libcelery-c')

# header pattern: files of libcelery-c that may include it
DOORWAYS = {
    r'hiredis/.*': ['src/net/resp.c'],
    r'jansson\.h': ['include/celery/.*', 'src/codec/doc_jansson.c', 'src/codec/unpack.[ch]',
                    'src/codec/value.*', 'src/pool/task.*', 'src/pool/run_task.*',
                    'src/client/.*', 'src/cli/.*'],
    r'zlib\.h': ['src/codec/zlib.c'],
    r'bzlib\.h': ['src/codec/bzip2.c'],
    r'lzma\.h': ['src/codec/lzma.c'],
    r'zstd\.h': ['src/codec/zstd.c'],
    r'brotli/.*': ['src/codec/brotli.c'],
    r'yaml\.h': ['src/codec/yaml.*\\.c'],
    r'amqp.*\.h|rabbitmq-c/.*': ['src/transport/amqp_driver.h'],
    r'uuid/uuid\.h': ['src/base/uuid.c'],
    r'dlfcn\.h': ['src/cli/load.c', 'src/base/module.c'],
    r'curl/.*': ['src/modules/.*\\.c'],
    r'libpq-fe\.h|sqlite3\.h|mysql.*\.h|mariadb.*': ['src/modules/.*\\.c'],
    r'openssl/.*': ['src/modules/openssl.c'],
}
BANNED = ['sprintf', 'vsprintf', 'strcpy', 'strcat', 'strtok', 'atoi', 'atol', 'atof', 'strtol',
          'gmtime', 'localtime', 'rand', 'gets', 'alloca', 'system', 'popen', 'tmpnam']
PRINTS = ['printf', 'puts', 'putchar', 'abort', 'exit']


def strip(text):
    """C without comments and string literals, lines kept."""
    def blank(m):
        return re.sub(r'[^\n]', ' ', m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank,
                  text, flags=re.S)


def includes(path, text):
    for m in re.finditer(r'^\s*#\s*include\s+<([^>]+)>', text, re.M):
        name = m.group(1)
        for pattern, files in DOORWAYS.items():
            if re.fullmatch(pattern, name):
                if not any(re.fullmatch(f, path) for f in files):
                    yield '%s:%d: <%s> belongs to %s' % (
                        path, text.count('\n', 0, m.start()) + 1, name, ', '.join(files))
                break


def calls(path, text, words):
    for m in re.finditer(r'(?<![\w.>])(%s)\s*\(' % '|'.join(words), strip(text)):
        yield '%s:%d: %s() is banned' % (path, text.count('\n', 0, m.start()) + 1, m.group(1))


def main():
    bad, files = [], 0
    for folder, _, names in os.walk(LIB):
        for name in sorted(names):
            if not name.endswith(('.c', '.h')):
                continue
            files += 1
            full = os.path.join(folder, name)
            path = os.path.relpath(full, LIB)
            with open(full, encoding='utf-8') as f:
                text = f.read()
            bad += includes(path, text)
            bad += calls(path, text, BANNED)
            # Library code returns errors; only worker/ and cli/ speak and end.
            if path.startswith('src/') and not path.startswith(('src/worker/', 'src/cli/')):
                bad += calls(path, text, PRINTS)
            if not text.startswith('/* SPDX-License-Identifier: BSD-3-Clause */\n'):
                bad.append('%s:1: no SPDX line' % path)
            for m in re.finditer(r'\b(TODO|FIXME|XXX|HACK)\b', text):
                bad.append('%s:%d: %s' % (path, text.count('\n', 0, m.start()) + 1,
                                          m.group(1)))
    for line in bad:
        print(line)
    print('%d passed, %d failed, 0 skipped' % (files if not bad else 0, len(bad)))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
