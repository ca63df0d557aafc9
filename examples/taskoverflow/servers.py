# SPDX-License-Identifier: BSD-3-Clause
"""What the demonstration needs besides the application and its worker: brokers and places for
results, each private and started on a free port.  BROKERS and RESULTS are the tables of them;
what a start_... function returns is the setting's URL."""

import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))


class Unavailable(Exception):
    """A server is not installed, or does not start; the text says which."""


def support(module, make):
    """A server of tests/support; it ends with us, or by stop()."""
    loaded = __import__(module)
    try:
        return make(loaded)
    except loaded.Failed as error:
        raise Unavailable(str(error)) from None


def start_redis(demo):
    if 'redis' not in demo.urls:
        port = demo.free_port()
        redis = shutil.which('redis-server') or '/usr/bin/redis-server'
        demo.start_server('redis', [redis, '--bind', '127.0.0.1', '--port', str(port),
                                    '--save', '', '--dir', demo.dir], port)
        demo.urls['redis'] = 'redis://127.0.0.1:%d/0' % port
    return demo.urls['redis']


def start_rabbit(demo):
    server = support('rabbit', lambda rabbit: rabbit.Rabbit())
    demo.servers.append(server)
    return server.url()


def start_sqs(demo):
    server = support('sqs', lambda sqs: sqs.Sqs())
    demo.servers.append(server)
    return server.url()


def start_postgresql(demo):
    import databases
    if not databases.PostgreSQL.installed():
        raise Unavailable('PostgreSQL is not installed')
    server = databases.PostgreSQL()
    demo.servers.append(server)
    return server.url()


def make_folders(demo):
    """Two folders, as kombu wants them: one side's data_folder_out is the other's _in."""
    names = {'data_folder_in': 'messages', 'data_folder_out': 'messages',
             'control_folder': 'control'}
    options = {key: os.path.join(demo.dir, name) for key, name in names.items()}
    for folder in set(options.values()):
        os.makedirs(folder)
    demo.env['CELERY_BROKER_TRANSPORT_OPTIONS'] = json.dumps(options)
    return 'filesystem://'


def make_results(demo):
    folder = os.path.join(demo.dir, 'results')
    os.makedirs(folder)
    return 'file://' + folder


BROKERS = {'redis': start_redis, 'amqp': start_rabbit, 'sqs': start_sqs,
           'filesystem': make_folders}
RESULTS = {'redis': start_redis, 'rpc': lambda demo: 'rpc://',
           'postgresql': start_postgresql, 'file': make_results}
# Where nothing is said about results.
USUAL_RESULTS = {'filesystem': 'file'}
