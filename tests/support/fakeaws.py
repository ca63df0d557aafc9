# SPDX-License-Identifier: BSD-3-Clause
"""A server that plays services and metadata endpoints of AWS by script: it checks signatures
with a signer of its own, keeps all requests, and answers what a test puts into its list."""

import datetime
import hashlib
import hmac
import http.server
import json
import socket
import threading
import time
import urllib.parse


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret, method, target, headers, names, scope, date, body):
    """Of AWS Signature Version 4, from the documentation; headers by lower-case name."""
    path, _, query = target.partition('?')
    pairs = sorted(query.split('&')) if query else []
    canonical = '\n'.join(
        [method, urllib.parse.quote(path), '&'.join(pairs)]
        + ['%s:%s' % (n, ' '.join(headers[n].split())) for n in names]
        + ['', ';'.join(names), hashlib.sha256(body).hexdigest()])
    text = '\n'.join(['AWS4-HMAC-SHA256', date, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = ('AWS4' + secret).encode()
    for part in scope.split('/'):
        key = _mac(key, part)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Request:
    """One request as it came; 'connection' counts TCP connections from 1."""

    def __init__(self, handler, body, connection):
        self.method = handler.command
        self.path = handler.path
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.body = body
        self.connection = connection
        self.time = time.monotonic()

    @property
    def action(self):
        if 'x-amz-target' in self.headers:
            return self.headers['x-amz-target'].split('.')[-1]
        return self.form.get('Action', '')

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))

    def credential(self):
        """(access key, date, region, service) of the signature; None without one."""
        text = self.headers.get('authorization', '')
        if not text.startswith('AWS4-HMAC-SHA256 Credential='):
            return None
        return tuple(text.split('Credential=')[1].split(',')[0].split('/')[:4])


class Answer:
    """What is sent back.  cut: bytes of the body that are sent before the connection is closed
    (-1: not even a status line); wait: seconds before it."""

    def __init__(self, body=b'', status=200, headers=None, cut=None, wait=0, length=True):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.body = body.encode() if isinstance(body, str) else body
        self.status, self.headers, self.cut = status, headers or {}, cut
        self.wait, self.length = wait, length


def error(code, status=400, message='no', **options):
    return Answer({'__type': 'com.amazonaws.sqs#' + code, 'message': message}, status, **options)


def xml_error(code, status=400, message='no', **options):
    return Answer('<?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/'
                  '2012-11-05/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message>'
                  '</Error><RequestId>1</RequestId></ErrorResponse>' % (code, message),
                  status, {'Content-Type': 'text/xml'}, **options)


class FakeAWS:
    """keys: access key -> (secret, token or None) that are accepted now.  script: answers, or
    functions from a Request to one, used up in order; then default(request).  skew: seconds
    that the server's clock is ahead."""

    def __init__(self, keys=None, host='127.0.0.1', tls=None):
        self.keys = keys or {'AKID': ('SECRET', None)}
        self.script, self.requests, self.routes = [], [], {}
        self.skew = 0
        self.query_only = False
        self.default = lambda request: Answer({})
        self.lock = threading.Lock()
        self.connections = 0
        self.closed = 0
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        owner = self

        class Server(http.server.ThreadingHTTPServer):
            address_family = family
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        class Handler(_Handler):
            fake = owner

        self.server = Server((host, 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = '%s://%s:%d' % ('https' if tls else 'http',
                                   '[%s]' % host if ':' in host else host, self.port)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,),
                                       daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def actions(self):
        return [r.action or r.method + ' ' + r.path for r in self.requests]

    def check(self, request):
        """None, or the error that the service answers."""
        text = request.headers.get('authorization', '')
        if request.credential() is None:
            return error('MissingAuthenticationToken', 403)
        access, day, region, service = request.credential()
        if access not in self.keys:
            return error('InvalidClientTokenId', 403, 'The security token is invalid')
        secret, token = self.keys[access]
        if request.headers.get('x-amz-security-token') != token:
            return error('InvalidClientTokenId', 403, 'The security token is invalid')
        date = request.headers['x-amz-date']
        sent = datetime.datetime.strptime(date, '%Y%m%dT%H%M%SZ').replace(
            tzinfo=datetime.timezone.utc).timestamp()
        if abs(sent - time.time() - self.skew) > 300:
            return error('RequestExpired', 403, 'Signature expired: %s' % date)
        names = text.split('SignedHeaders=')[1].split(',')[0].split(';')
        needed = {'host', 'x-amz-date'} | (
            set(request.headers) & {'content-type', 'x-amz-target', 'x-amz-security-token'})
        wanted = signature(secret, request.method, request.path, request.headers, names,
                           '/'.join([day, region, service, 'aws4_request']), date, request.body)
        if not needed <= set(names) or not text.endswith('Signature=' + wanted):
            return error('SignatureDoesNotMatch', 403, 'The request signature we calculated '
                         'does not match.\n\nThe Canonical String was\n%s' % token)
        return None

    def answer(self, request):
        with self.lock:
            self.requests.append(request)
            route = self.routes.get(request.method + ' ' + request.path)
            if route:
                return route(request)
            if self.query_only and 'x-amz-target' in request.headers:
                return xml_error('MissingAction', 400)
            refused = None if request.action == 'AssumeRoleWithWebIdentity' else \
                self.check(request)
            if refused:
                return refused
            step = self.script.pop(0) if self.script else self.default
        return step(request) if callable(step) else step


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    fake = None

    def setup(self):
        super().setup()
        with self.fake.lock:
            self.fake.connections += 1
            self.number = self.fake.connections

    def finish(self):
        self.fake.closed += 1
        super().finish()

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + self.fake.skew)

    def serve(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        answer = self.fake.answer(Request(self, body, self.number))
        time.sleep(answer.wait)
        if answer.cut == -1:
            self.close_connection = True
            return
        self.send_response(answer.status)
        if answer.length:
            self.send_header('Content-Length', str(len(answer.body)))
        else:
            self.send_header('Connection', 'close')
            self.close_connection = True
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[:answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    do_GET = do_POST = do_PUT = serve
