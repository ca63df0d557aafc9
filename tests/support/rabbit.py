#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Private RabbitMQ nodes for tests.

Rabbit() is a node of its own: for faults, certificates, plugins, settings.  Shared() is a
virtual host of its own on a node that the test programs of one build folder share; a node
costs five seconds of CPU.  The shared node is kept by a process (`rabbit.py --keep`) that
ends with the node some seconds after its last user.

A node needs no epmd, no rights and no system service: distribution listens on a port that
is said to whoever wants it, loopback only.  It dies with its parent.

`rabbit.py --serve [--shared] [--tls] [--plugin NAME] [--set TERM] [--version 4]` prints the
URL, then takes commands from stdin, a line each, answers each with a line, and ends with
stdin; see COMMANDS.
"""

import argparse
import atexit
import base64
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import temporary  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(HERE))
SKIPPED = 77
READY_SECONDS = 90  # a loaded machine under a sanitizer run; two or three otherwise
LINGER_SECONDS = 15
PR_SET_PDEATHSIG = 1
NO_SPINNING = '+sbwt none +sbwtdcpu none +sbwtdio none '
# One thread that runs processes, whatever the machine has.
SMALL = NO_SPINNING + '+S 1:1 +SDcpu 1:1 +SDio 1 +P 65536 +Q 8192'
# scripts/rabbitmq-env, scripts/rabbitmq-server
AS_SHIPPED = NO_SPINNING + ('+P 1048576 +t 5000000 +stbt db +zdbbl 128000 +MBas ageffcbf '
                            '+MHas ageffcbf +MBlmbcs 512 +MHlmbcs 512 +MMmcs 30')
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """The node did not start, or refused what it was told."""


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Release:
    """Where one version of RabbitMQ and its Erlang lie."""

    def __init__(self, home, erl, erl_call, version, prefix=(), env=None):
        self.home, self.erl, self.erl_call = home, erl, erl_call
        self.version, self.prefix, self.env = version, list(prefix), env or {}


def _newest(folder):
    try:
        found = [d for d in os.listdir(folder) if d.startswith('rabbitmq_server-')]
    except OSError:
        return None
    return os.path.join(folder, sorted(found)[-1]) if found else None


def installed(version=None):
    """The Release of the distribution, or, for '4', the one of build/rabbitmq4 (unpacked at
    first use).  None with a line when it cannot be had."""
    version = version or os.environ.get('CELERY_TEST_RABBIT_VERSION')
    if version and version.startswith('4'):
        return _unpacked()
    home = _newest('/usr/lib/rabbitmq/lib')
    erl, call = shutil.which('erl'), shutil.which('erl_call')
    if not (home and erl and call):
        print('SKIP: rabbitmq-server is not installed', file=sys.stderr)
        return None
    return Release(home, erl, call, home.rpartition('-')[2])


def _unpacked():
    folder = os.environ.get('CELERY_RABBITMQ4', os.path.join(ROOT, 'build', 'rabbitmq4'))
    if subprocess.run([os.path.join(HERE, 'rabbitmq4.sh'), folder],
                      stdout=sys.stderr).returncode:
        return None
    home = _newest(os.path.join(folder, 'root/usr/lib/rabbitmq/lib'))
    return Release(home, os.path.join(folder, 'bin/erl'), os.path.join(folder, 'bin/erl_call'),
                   home.rpartition('-')[2])


def _die_with_parent(signo=signal.SIGKILL):
    _libc.prctl(PR_SET_PDEATHSIG, signo)


def make_certificates(folder):
    """ca.pem, other-ca.pem, server.pem/key for localhost, 127.0.0.1 and db.example, client.pem/key of
    the user guest."""
    subprocess.run(['sh', '-e', '-c', '''
        cd "$1"
        k='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'
        openssl req -x509 $k -keyout ca.key -out ca.pem -subj /CN=test-ca
        openssl req -x509 $k -keyout other.key -out other-ca.pem -subj /CN=other
        openssl req $k -keyout server.key -out server.csr -subj /CN=rabbit
        openssl req $k -keyout client.key -out client.csr -subj /CN=guest
        echo subjectAltName=DNS:localhost,DNS:db.example,IP:127.0.0.1 >ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial \\
            -days 2 -extfile ext -out server.pem
        openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial \\
            -days 2 -out client.pem
        ''', 'sh', folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Node:
    """What can be asked of a running node, whoever started it."""

    def __init__(self, release, folder, port, dist, cookie, node):
        self.release, self.dir, self.port = release, folder, port
        self.dist, self.cookie, self.node = dist, cookie, node
        self.tls_port = None
        self.vhost = '/'

    def url(self, vhost=None, user='guest:guest', scheme='amqp', host='127.0.0.1'):
        name = self.vhost if vhost is None else vhost
        return '%s://%s@%s:%d/%s' % (scheme, user, host, self.port, name)

    def tls_url(self, vhost=None, user='guest:guest', host='localhost', scheme='amqps'):
        name = self.vhost if vhost is None else vhost
        at = user + '@' if user else ''
        return '%s://%s%s:%d/%s' % (scheme, at, host, self.tls_port, name)

    def eval(self, expression, timeout=60):
        """What an Erlang expression (text) answers, as text in Erlang's notation."""
        return self._eval('io_lib:format("~0tp", [begin %s end])' % expression, timeout)

    def json(self, expression, timeout=60):
        """An Erlang expression of maps, lists, binaries and numbers as Python's values."""
        return json.loads(self._eval('rabbit_json:encode(begin %s end)' % expression, timeout))

    def _eval(self, text, timeout):
        # erl_call prints binaries as their lengths: the answer goes through a file.
        # Of two at the same time with one name the second is refused.
        fd, name = tempfile.mkstemp(dir=self.dir, prefix='answer-')
        os.close(fd)
        code = ('ok = file:write_file("%s", try unicode:characters_to_binary([$+, %s]) '
                'catch C:R:S -> unicode:characters_to_binary('
                'io_lib:format("-~~0tp", [{C, R, S}])) end).\n' % (name, text))
        code = code.replace('~~', '~')
        try:
            said = subprocess.run(
                self.release.prefix + [
                    self.release.erl_call, '-address', '127.0.0.1:%d' % self.dist,
                    '-h', os.path.basename(name).replace('-', ''), '-c', self.cookie,
                    '-timeout', str(int(timeout)), '-e'],
                input=code.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=timeout + 5, env=dict(os.environ, HOME=self.dir, **self.release.env))
            with open(name, encoding='utf-8') as f:
                answer = f.read()
        finally:
            os.unlink(name)
        if not answer.startswith('+'):
            raise Failed('%s: %s' % (text, answer or said.stdout.decode(errors='replace')))
        return answer[1:]

    def ctl(self, *args, timeout=60):
        """rabbitmqctl's output; slow (seconds): eval() and the methods below are quick."""
        env = dict(
            os.environ, HOME=self.dir, RABBITMQ_CONF_ENV_FILE='/dev/null',
            RABBITMQ_NODENAME=self.node, ERL_EPMD_PORT='1', RABBITMQ_CTL_ERL_ARGS=(
                '-start_epmd false -dist_listen false -erl_epmd_port %d +S 1:1' % self.dist),
            **self.release.env)
        env['PATH'] = os.path.dirname(self.release.erl) + ':' + env['PATH']
        p = subprocess.run(
            [os.path.join(self.release.home, 'sbin', 'rabbitmqctl'), '-q', '-n', self.node,
             *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout)
        text = p.stdout.decode(errors='replace')
        if p.returncode:
            raise Failed('rabbitmqctl %s: %s' % (' '.join(args), text))
        return text

    # ---- virtual hosts, users ----

    def add_vhost(self, name, user='guest'):
        self.eval('rabbit_vhost:add(%s, <<"test">>), '
                  'rabbit_auth_backend_internal:set_permissions(%s, %s, <<".*">>, <<".*">>, '
                  '<<".*">>, <<"test">>)' % (_bin(name), _bin(user), _bin(name)))
        return name

    def delete_vhost(self, name):
        self.eval('rabbit_vhost:delete(%s, <<"test">>)' % _bin(name))

    def add_user(self, user, password, vhost=None, rights=('.*', '.*', '.*')):
        """rights: configure, write, read."""
        vhost = self.vhost if vhost is None else vhost
        self.eval('rabbit_auth_backend_internal:add_user(%s, %s, <<"test">>), '
                  'rabbit_auth_backend_internal:set_permissions(%s, %s, %s, <<"test">>)' % (
                      _bin(user), _bin(password), _bin(user), _bin(vhost),
                      ', '.join(_bin(r) for r in rights)))

    # ---- entities ----

    def queues(self, vhost=None):
        """{name: {'durable', 'auto_delete', 'exclusive', 'arguments': {key: [type, value]},
        'messages', 'ready', 'unacked', 'consumers', 'type'}}"""
        vhost = self.vhost if vhost is None else vhost
        rows = self.json(
            '[#{name => element(4, proplists:get_value(name, I)), '
            'durable => proplists:get_value(durable, I), '
            'auto_delete => proplists:get_value(auto_delete, I), '
            'exclusive => proplists:get_value(exclusive, I), '
            'type => iolist_to_binary(io_lib:format("~~p", [proplists:get_value(type, I)])), '
            'messages => %(n)s(messages), ready => %(n)s(messages_ready), '
            'unacked => %(n)s(messages_unacknowledged), consumers => %(n)s(consumers), '
            'arguments => %(a)s} || I <- rabbit_amqqueue:info_all(%(v)s, [name, durable, '
            'auto_delete, exclusive, type, messages, messages_ready, '
            'messages_unacknowledged, consumers, arguments])]' % {
                'v': _bin(vhost), 'a': _ARGUMENTS,
                'n': '(fun(K) -> case proplists:get_value(K, I) of N when is_integer(N) -> N; '
                     '_ -> 0 end end)'})
        for row in rows:
            row['type'] = {'rabbit_classic_queue': 'classic', 'rabbit_quorum_queue': 'quorum',
                           'classic': 'classic', 'quorum': 'quorum'}.get(
                               row['type'], row['type'])
        return _by_name(rows)

    def exchanges(self, vhost=None):
        """{name: {'type', 'durable', 'auto_delete', 'internal', 'arguments'}}, without those
        that each virtual host has from the start."""
        vhost = self.vhost if vhost is None else vhost
        rows = self.json(
            '[#{name => element(4, proplists:get_value(name, I)), '
            'type => proplists:get_value(type, I), durable => proplists:get_value(durable, I), '
            'auto_delete => proplists:get_value(auto_delete, I), '
            'internal => proplists:get_value(internal, I), arguments => %s} '
            '|| I <- rabbit_exchange:info_all(%s, [name, type, durable, auto_delete, internal, '
            'arguments])]' % (_ARGUMENTS, _bin(vhost)))
        return _by_name([r for r in rows if r['name'] and not r['name'].startswith('amq.')])

    def bindings(self, vhost=None):
        """[(exchange, kind of destination, destination, routing key, arguments)], without
        those of the default exchange."""
        vhost = self.vhost if vhost is None else vhost
        rows = self.json(
            '[#{s => proplists:get_value(source_name, I), '
            'k => proplists:get_value(destination_kind, I), '
            'd => proplists:get_value(destination_name, I), '
            'r => proplists:get_value(routing_key, I), arguments => %s} '
            '|| I <- rabbit_binding:info_all(%s)]' % (_ARGUMENTS, _bin(vhost)))
        return sorted(((r['s'], r['k'], r['d'], r['r'], _arguments(r['arguments']))
                       for r in rows if r['s']), key=repr)

    def delete_queue(self, name, vhost=None):
        self.eval('{ok, Q} = rabbit_amqqueue:lookup(%s), '
                  'rabbit_amqqueue:delete(Q, false, false, <<"test">>)'
                  % _resource(self.vhost if vhost is None else vhost, name))

    def purge(self, name, vhost=None):
        """Nothing where there is no such queue: one that expires may be gone by now."""
        self.eval('case rabbit_amqqueue:lookup(%s) of {ok, Q} -> rabbit_amqqueue:purge(Q); '
                  '_ -> ok end'
                  % _resource(self.vhost if vhost is None else vhost, name))

    def hang(self, name, on):
        """The queue's process answers nobody; heartbeats go on."""
        self.eval('{ok, Q} = rabbit_amqqueue:lookup(%s), sys:%s(amqqueue:get_pid(Q))'
                  % (_resource(self.vhost, name), 'suspend' if on else 'resume'))

    # ---- connections ----

    def connections(self, vhost=None):
        """[{'pid', 'vhost', 'user', 'state', 'name'}]; all virtual hosts when vhost is ''."""
        vhost = self.vhost if vhost is None else vhost
        rows = self.json(
            '[#{pid => iolist_to_binary(pid_to_list(P)), '
            'vhost => iolist_to_binary(io_lib:format("~~ts", [proplists:get_value(vhost, I)])),'
            'user => iolist_to_binary(io_lib:format("~~ts", [proplists:get_value(user, I)])), '
            'state => proplists:get_value(state, I), '
            'name => proplists:get_value(name, I)} '
            '|| P <- rabbit_networking:connections(), I <- [try rabbit_networking:'
            'connection_info(P, [vhost, user, state, name]) catch _:_ -> [] end], I =/= []]')
        return [r for r in rows if not vhost or r['vhost'] == vhost]

    def close_connections(self, reason='closed by the test', vhost=None):
        """The broker closes them (320 CONNECTION_FORCED).  How many."""
        found = self.connections(vhost)
        self.eval('[catch rabbit_networking:close_connection(list_to_pid(P), %s) '
                  '|| P <- [%s]]' % (_text(reason), ', '.join(
                      _text(c['pid']) for c in found)))
        return len(found)

    def clear(self):
        """Every queue of this virtual host goes."""
        for name in self.queues():
            try:
                self.delete_queue(name)
            except Failed:
                pass  # it was exclusive and its owner has just gone


_ARGUMENTS = ('[[K, atom_to_binary(T), if is_list(V) -> iolist_to_binary('
              'io_lib:format("~0tp", [V])); true -> V end] || {K, T, V} '
              '<- proplists:get_value(arguments, I)]').replace('~', '~~')


def _arguments(rows):
    return {k: [t, v] for k, t, v in rows}


def _by_name(rows):
    found = {}
    for row in rows:
        row['arguments'] = _arguments(row['arguments'])
        if 'exclusive' in row:  # quorum queues answer an empty text
            row['exclusive'] = row['exclusive'] is True
        found[row.pop('name')] = row
    return found


def _bin(text):
    return '<<%s>>' % ','.join(str(b) for b in text.encode()) if text else '<<>>'


def _text(text):
    return '[%s]' % ','.join(str(ord(c)) for c in text)


def _resource(vhost, name):
    return 'rabbit_misc:r(%s, queue, %s)' % (_bin(vhost), _bin(name))


class Rabbit(Node):
    """A node of our own, in a folder of its own."""

    def __init__(self, plugins=(), tls=False, settings=(), port=None, release=None,
                 start=True, management=False, as_shipped=False):
        """settings: terms of the application rabbit, as '{consumer_timeout, 5000}'.
        management: the plugin, on management_port.  as_shipped: the virtual machine as
        RabbitMQ starts it, with all processors; otherwise a small one."""
        release = release or installed()
        if not release:
            raise Failed('rabbitmq-server is not installed')
        folder = temporary.folder('celery-c-rabbit-')
        super().__init__(release, folder, port or free_port(), free_port(),
                         base64.b16encode(os.urandom(10)).decode(),
                         't%d@localhost' % os.getpid())
        self.plugins, self.settings = list(plugins), list(settings)
        self.process, self.machine = None, AS_SHIPPED if as_shipped else SMALL
        self.management_port = free_port() if management else None
        if tls:
            self.tls_port = free_port()
            make_certificates(folder)
        self._write_files(tls)
        atexit.register(self.stop)
        if start:
            self.start()

    def _write_files(self, tls):
        terms = ['{tcp_listeners, [{"127.0.0.1", %d}]}' % self.port,
                 '{num_tcp_acceptors, 2}', '{loopback_users, []}',
                 '{collect_statistics_interval, 60000}',
                 '{disk_free_limit, 1000000}']
        if tls:
            terms += [
                '{ssl_listeners, [{"127.0.0.1", %d}, {"127.0.0.2", %d}]}' % (
                    self.tls_port, self.tls_port),
                '{num_ssl_acceptors, 2}', '{ssl_cert_login_from, common_name}',
                '{ssl_options, [{cacertfile, "%s/ca.pem"}, {certfile, "%s/server.pem"}, '
                '{keyfile, "%s/server.key"}, {verify, verify_peer}, '
                '{fail_if_no_peer_cert, false}]}' % ((self.dir,) * 3)]
            self.plugins.append('rabbitmq_auth_mechanism_ssl')
            terms.append("{auth_mechanisms, ['PLAIN', 'AMQPLAIN', 'EXTERNAL']}")
        terms += self.settings
        others = ''
        if self.management_port:
            self.plugins.append('rabbitmq_management')
            others = (',\n{rabbitmq_management, [{tcp_config, [{port, %d}, '
                      '{ip, "127.0.0.1"}]}]}' % self.management_port)
        self._write('advanced.config',
                    '[{rabbit, [%s]}%s].\n' % (',\n'.join(terms), others))
        self._write('plugins', '[%s].\n' % ', '.join(self.plugins))
        self._write('.erlang.cookie', self.cookie)
        os.chmod(os.path.join(self.dir, '.erlang.cookie'), 0o400)

    def _write(self, name, text):
        with open(os.path.join(self.dir, name), 'w', encoding='utf-8') as f:
            f.write(text)

    def _environment(self):
        def at(name):
            return os.path.join(self.dir, name)
        plugins = os.path.join(self.release.home, 'plugins')
        env = {k: v for k, v in os.environ.items() if not k.startswith(('RABBITMQ_', 'ERL_'))}
        env.update(
            HOME=self.dir, ERL_LIBS=plugins, RABBITMQ_HOME=self.release.home, SYS_PREFIX='',
            ERL_MAX_ETS_TABLES='50000', ERL_CRASH_DUMP_SECONDS='0', ERL_EPMD_PORT='1',
            RABBITMQ_NODENAME=self.node, RABBITMQ_DIST_PORT=str(self.dist),
            RABBITMQ_ADVANCED_CONFIG_FILE=at('advanced.config'),
            # Without a rabbitmq.conf no schemas are translated, which is slow.
            RABBITMQ_CONFIG_FILE=at('rabbitmq'), RABBITMQ_CONF_ENV_FILE='/dev/null',
            RABBITMQ_ENABLED_PLUGINS_FILE=at('plugins'), RABBITMQ_PLUGINS_DIR=plugins,
            RABBITMQ_PLUGINS_EXPAND_DIR=at('expanded'), RABBITMQ_MNESIA_BASE=at('data'),
            RABBITMQ_MNESIA_DIR=at('data/node'), RABBITMQ_QUORUM_DIR=at('data/quorum'),
            RABBITMQ_FEATURE_FLAGS_FILE=at('data/flags'), RABBITMQ_PID_FILE=at('pid'),
            RABBITMQ_LOG_BASE=self.dir, RABBITMQ_LOGS=at('rabbit.log'), **self.release.env)
        return env

    def _arguments_of_erl(self):
        return [*self.release.prefix, self.release.erl, *self.machine.split(), '+W', 'w',
                '+B', 'i', '-noinput', '-boot', 'start_sasl', '-s', 'rabbit', 'boot',
                '-sname', self.node, '-start_epmd', 'false', '-erl_epmd_port', str(self.dist),
                '-kernel', 'inet_dist_use_interface', '{127,0,0,1}',
                '-kernel', 'prevent_overlapping_partitions', 'false',
                '-syslog', 'logger', '[]', '-syslog', 'syslog_error_logger', 'false']

    def start(self, wait=True):
        with open(os.path.join(self.dir, 'out'), 'ab') as out:
            self.process = subprocess.Popen(
                self._arguments_of_erl(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                cwd=self.dir, env=self._environment(), preexec_fn=_die_with_parent)
        if wait:
            self.wait_ready()

    def answers(self):
        """Whether it greets as a broker does."""
        try:
            with socket.create_connection(('127.0.0.1', self.port), 2) as s:
                s.sendall(b'AMQP\0\0\x09\x01')
                return s.recv(1) == b'\x01'
        except OSError:
            return False

    def _booted(self):
        """It listens shortly before its boot ends; a stop between the two is forgotten."""
        try:
            return self.eval('{rabbit_boot_state:get(), whereis(rabbit_boot)}') == \
                '{ready,undefined}'
        except Failed:
            return False

    def wait_ready(self, timeout=READY_SECONDS):
        end = time.monotonic() + timeout
        while not (self.answers() and self._booted()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed('rabbitmq-server does not start:\n' + self.log()[-3000:])
            time.sleep(0.05)

    def log(self):
        text = ''
        for name in ('out', 'rabbit.log'):
            try:
                with open(os.path.join(self.dir, name), errors='replace') as f:
                    text += f.read()
            except OSError:
                pass
        return text

    @property
    def pid(self):
        return self.process.pid

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill9(self):
        """As a lost machine; what is on disk stays."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def halt(self):
        """Ends the node in order; start() brings it back with its data."""
        if self.process and self.process.poll() is None:
            try:
                self.eval('spawn(fun() -> rabbit:stop_and_halt() end), ok')
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill9()

    def restart(self):
        self.halt()
        self.start()

    def stop_app(self):
        """The broker stops, its Erlang machine stays."""
        self.eval('rabbit:stop()')

    def start_app(self):
        self.eval('rabbit:start()', READY_SECONDS)
        self.wait_ready()

    def alarm(self, on):
        """The memory alarm: publishing connections are told connection.blocked."""
        what = 'set_alarm({{resource_limit, memory, node()}, []})' if on else \
            'clear_alarm({resource_limit, memory, node()})'
        self.eval('rabbit_alarm:' + what)

    def stop(self):
        """Ends it, whatever its state, and removes its folder."""
        self.kill9()
        self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)
        atexit.unregister(self.stop)


# ---- the shared node ----

def _keeper_folder(release):
    text = '%s %s %s' % (os.environ.get('CELERY_BUILD', ROOT), release.home, os.getuid())
    # The same for all processes, whatever folder each has for itself.
    return os.path.join(os.environ.get('TMPDIR') or '/tmp',
                        'celery-c-keeper-' + hashlib.sha1(text.encode()).hexdigest()[:12])


class Shared(Node):
    """A virtual host on the shared node; it goes when this object or its process ends."""

    def __init__(self, release=None):
        release = release or installed()
        if not release:
            raise Failed('rabbitmq-server is not installed')
        at = json.loads(self._greeting(release))
        super().__init__(release, at['dir'], at['port'], at['dist'], at['cookie'], at['node'])
        self.vhost = at['vhost']

    def _greeting(self, release):
        """What the keeper says of the node; another one is asked when it is just ending."""
        end = time.monotonic() + READY_SECONDS
        logs = []
        while time.monotonic() < end:
            self._line = self._connect(release, logs)
            if not self._line:
                time.sleep(0.05)
                continue
            self._file = self._line.makefile('r')
            try:
                text = self._file.readline()
            except OSError:
                text = ''
            if text.startswith('{'):
                return text
            self.stop()
            if text:
                raise Failed('the shared node: ' + text)
        raise Failed('the shared node\'s keeper does not start\n' + ''.join(
            log.read()[-3000:] for log in logs[-1:]))

    @staticmethod
    def _connect(release, logs):
        """A connection to the keeper, or None: one that was started listens soon."""
        folder = _keeper_folder(release)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(READY_SECONDS)
        try:
            if os.stat(folder).st_uid != os.getuid():
                raise Failed(folder + ' is not ours')
            s.connect(os.path.join(folder, 'sock'))
            return s
        except OSError:
            s.close()
        try:
            _start_keeper(release, folder, logs)
        except FileNotFoundError:
            pass  # the keeper before has just removed the folder
        return None

    def stop(self):
        self._file.close()
        self._line.close()


def _start_keeper(release, folder, logs):
    """Does nothing when another process is just doing it, or it runs."""
    name = os.path.join(folder, 'lock')
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The keeper before removes its lock at its end.
        if os.stat(name).st_ino != os.fstat(lock).st_ino:
            raise FileNotFoundError(name)
    except OSError:
        os.close(lock)
        return
    os.set_inheritable(lock, True)
    log = open(os.path.join(folder, 'log'), 'ab')
    logs.append(open(log.name, errors='replace'))
    # The lock goes over to the keeper and ends with it.
    argv = [sys.executable, os.path.abspath(__file__), '--keep', folder, '--lock', str(lock)]
    if release.version.startswith('4'):
        argv += ['--version', '4']
    subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd='/',
                     start_new_session=True, pass_fds=(lock,))
    log.close()
    os.close(lock)


class Keeper:
    """Keeps the shared node while anybody is connected."""

    def __init__(self, folder, release):
        self.folder = folder
        self.path = os.path.join(folder, 'sock')
        self.users = {}
        self.count = 0
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.release, self.node = release, None

    def welcome(self):
        line, _ = self.listener.accept()
        self.count += 1
        vhost = 'v%d' % self.count
        n = self.node
        try:
            n.add_vhost(vhost)
        except (Failed, subprocess.TimeoutExpired) as exc:
            line.sendall(('%s\n' % exc).replace('\n', ' ').encode() + b'\n')
            line.close()
            return
        line.sendall((json.dumps({
            'dir': n.dir, 'port': n.port, 'dist': n.dist, 'cookie': n.cookie, 'node': n.node,
            'vhost': vhost}) + '\n').encode())
        self.users[line] = vhost

    def farewell(self, line):
        vhost = self.users.pop(line)
        line.close()
        try:
            self.node.delete_vhost(vhost)
        except (Failed, subprocess.TimeoutExpired) as exc:
            print(exc, file=sys.stderr)

    def run(self):
        """Leaves nothing behind.  The lock goes last: until then nobody starts another."""
        try:
            self.node = Rabbit(release=self.release)
            self.serve()
        finally:
            os.unlink(self.path)
            if self.node:
                self.node.stop()
            for name in ('log', 'lock'):
                os.unlink(os.path.join(self.folder, name))
            try:
                os.rmdir(self.folder)
            except OSError:
                pass  # the next one is there already

    def serve(self):
        import select
        while True:
            ready, _, _ = select.select([self.listener, *self.users], [], [],
                                        None if self.users else LINGER_SECONDS)
            if not ready or self.node.process.poll() is not None:
                break
            for one in ready:
                if one is self.listener:
                    self.welcome()
                else:
                    self.farewell(one)


# ---- from other programs ----

COMMANDS = {
    'alarm': lambda n, on: n.alarm(on == 'on'),
    'close': lambda n, *why: n.close_connections(' '.join(why) or 'closed by the test'),
    'connections': lambda n: len(n.connections()),
    'stop_app': lambda n: n.stop_app(),
    'start_app': lambda n: n.start_app(),
    'kill9': lambda n: n.kill9(),
    'start': lambda n: n.start(),
    'restart': lambda n: n.restart(),
    'pause': lambda n: n.pause(),
    'resume': lambda n: n.resume(),
    'vhost': lambda n, name: n.add_vhost(name),
    'user': lambda n, name, password: n.add_user(name, password),
    'queues': lambda n: json.dumps(n.queues(), sort_keys=True),
    'exchanges': lambda n: json.dumps(n.exchanges(), sort_keys=True),
    'bindings': lambda n: json.dumps(n.bindings()),
    'messages': lambda n, queue: n.queues().get(queue, {}).get('messages', -1),
    'ready': lambda n, queue: n.queues().get(queue, {}).get('ready', -1),
    'unacked': lambda n, queue: n.queues().get(queue, {}).get('unacked', -1),
    'consumers': lambda n, queue: n.queues().get(queue, {}).get('consumers', -1),
    'delete_queue': lambda n, name: n.delete_queue(name),
    'eval': lambda n, *text: n.eval(' '.join(text)),
}


def serve(node):
    """url, then for each command `ok ANSWER` or `error WHY`."""
    print(node.url(), node.dir, node.tls_port or 0, flush=True)
    for line in sys.stdin:
        words = line.split()
        if not words:
            continue
        try:
            answer = COMMANDS[words[0]](node, *words[1:])
            said = 'ok %s' % ('' if answer is None else answer)
        except Exception as exc:  # whatever it is, the caller is told
            said = 'error %s: %s' % (type(exc).__name__, exc)
        print(said.replace('\n', ' ').strip(), flush=True)
    node.stop()


def main():
    p = argparse.ArgumentParser(description='a private RabbitMQ for tests')
    p.add_argument('--serve', action='store_true')
    p.add_argument('--shared', action='store_true')
    p.add_argument('--tls', action='store_true')
    p.add_argument('--plugin', action='append', default=[])
    p.add_argument('--set', action='append', default=[], metavar='TERM')
    p.add_argument('--version', help='4: of build/rabbitmq4')
    p.add_argument('--keep', help=argparse.SUPPRESS)
    p.add_argument('--lock', help=argparse.SUPPRESS)
    o = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(1))
    release = installed(o.version)
    if not release:
        sys.exit(SKIPPED)
    if o.keep:
        Keeper(o.keep, release).run()
    elif o.serve:
        _die_with_parent(signal.SIGTERM)
        serve(Shared(release) if o.shared else Rabbit(
            plugins=o.plugin, tls=o.tls, settings=o.set, release=release))
    else:
        p.print_help()


if __name__ == '__main__':
    main()
