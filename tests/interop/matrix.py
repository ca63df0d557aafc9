#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""matrix.py VERSION [PROGRAM]: what depends on Celery's version, or one test program whole, with
that Celery from PyPI on the other side.
matrix.py --prepare: makes the virtual environments of all versions, in parallel.

The environments are kept in build/venvs. Without PyPI the exit code is 77 and a line
says what was not run.
"""

import concurrent.futures
import fcntl
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VENVS = os.environ.get('CELERY_VENVS', os.path.join(ROOT, 'build', 'venvs'))
VERSIONS = ['5.3.6', '5.4.0', '5.5.1', '5.6.3', '5.7.0']
# What depends on Celery's version; with the newest and Debian's everything runs (meson.build).
DEPENDING = [['test_pickle.py'], ['test_filesystem.py', 'WorkerOfC', 'Both'], ['test_file.py', 'OfC'],
             ['test_results.py'], ['test_messages.py'], ['test_client.py'],
             ['test_worker.py', 'Fleet', 'Running'],
             ['test_canvas_client.py'], ['test_redis.py', 'Keys'], ['test_control.py', 'Beside'],
             ['test_control_client.py', 'Beside'],
             ['test_watch.py', 'Receiving', 'ReceivingC', 'State'],
             ['test_events.py', 'Beside', 'Sent'],
             ['test_beat.py', 'Schedules', 'Running.test_messages_are_those_of_celery'],
             ['test_rpc.py', 'RedisPython', 'RedisMessages', 'RedisCOnPython', 'RabbitPython',
              'RabbitMessages', 'RabbitCOnPython']]
# With RabbitMQ, CELERY_TEST_BROKER=amqp.
OVER_AMQP = [['test_amqp.py', 'Entities', 'Exchanges', 'Priorities', 'Delivery'],
             ['test_results.py'], ['test_messages.py'], ['test_client.py'],
             ['test_worker.py', 'Fleet', 'Running']]
# With Amazon SQS (an emulator), CELERY_TEST_BROKER=sqs.
OVER_SQS = [['test_sqs.py', 'Producer', 'Client', 'Fifo'], ['test_sqs_fanout.py', 'Beside']]
# Environments that need more: kind, what is installed besides.
MORE = {'-sqs': ['boto3', 'pycurl', 'urllib3'],
        '-sql': ['sqlalchemy', 'psycopg2-binary', 'pymysql']}
# What each version ran with in its time: pip would put the newest beside an old Celery.
BESIDE = {
    '5.3.6': ['kombu==5.3.7', 'redis<6'],
    '5.4.0': ['kombu==5.4.2', 'redis<6'],
    '5.5.1': ['kombu==5.5.3', 'redis<6'],
    '5.6.3': ['kombu==5.6.2', 'redis<7'],
    '5.7.0': ['kombu==5.7.0', 'redis>=6.1'],
}
# kombu's Redis transport needs packaging and does not ask for it.
PACKAGES = ['packaging', 'msgpack', 'pyyaml', 'zstandard', 'brotli']


def prepare(version, kind='', packages=()):
    """The environment's python, or None with the reason printed.  A kind of environment
    has a folder of its own and these packages besides."""
    folder = os.path.join(VENVS, version + kind)
    python = os.path.join(folder, 'bin', 'python')
    os.makedirs(VENVS, exist_ok=True)
    with open(folder + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done, wanted = folder + '.done', ' '.join([*PACKAGES, *packages])
        if os.path.exists(done) and open(done).read() == wanted:
            return python
        log = folder + '.log'
        with open(log, 'w') as out:
            for argv in (
                    ['/usr/bin/python3', '-m', 'venv', '--clear', folder],
                    [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check',
                     '--retries', '1', '--timeout', '20', 'celery==' + version,
                     *BESIDE[version],
                     *PACKAGES, *packages]):
                try:
                    if subprocess.run(argv, stdout=out, stderr=out, timeout=300).returncode:
                        break
                except (OSError, subprocess.TimeoutExpired):
                    break
            else:
                with open(done, 'w') as f:
                    f.write(wanted)
                return python
        with open(log) as f:
            tail = f.read().strip().splitlines()[-1:]
        print('SKIP: Celery %s cannot be installed from PyPI: %s' % (version, ' '.join(tail)))
        return None


def main(argv):
    if argv == ['--prepare']:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            made = list(pool.map(prepare, VERSIONS))
        print('Celery from PyPI: %s' % (
            ' '.join(v for v, p in zip(VERSIONS, made) if p) or 'none'))
        return 0
    over_sqs = os.environ.get('CELERY_TEST_BROKER') == 'sqs'
    kind = '-sqs' if over_sqs else '-sql' if argv[1:2] == ['test_sql.py'] else ''
    python = prepare(argv[0], kind, MORE.get(kind, ()))
    if not python:
        return 77
    totals, failed = [0, 0, 0], []
    programs = DEPENDING
    if os.environ.get('CELERY_TEST_BROKER') == 'amqp':
        programs = OVER_AMQP
    elif over_sqs:
        programs = OVER_SQS
    if argv[1:]:
        programs = [argv[1:]]
    for program in programs:
        path = os.path.join(HERE, program[0])
        print('---- %s with Celery %s' % (' '.join(program), argv[0]), flush=True)
        run = subprocess.run([python, path, *program[1:]], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors='replace')
        print(run.stdout, flush=True)
        counts = re.findall(r'^(\d+) passed, (\d+) failed, (\d+) skipped$', run.stdout, re.M)
        if counts:
            totals = [a + int(b) for a, b in zip(totals, counts[-1])]
        if run.returncode not in (0, 77):
            failed.append(os.path.basename(path))
            totals[1] += not counts
    for name in failed:
        print('failed with Celery %s: %s' % (argv[0], name))
    print('%d passed, %d failed, %d skipped' % tuple(totals))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
