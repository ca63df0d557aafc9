// SPDX-License-Identifier: BSD-3-Clause
'use strict';
// local-aws-sqs behind a front on 127.0.0.1, started by sqs.py:
//   node sqs_front.js FOLDER_OF_NODE_MODULES PORT
// The front mends what the emulator lacks: queues named by the URL's path alone (kombu 5.2),
// long polls whose client went away (they take no message), its own address in QueueUrl,
// changes of visibility that count as receipts.  And it does on demand what clouds do: POST /_control {...}
//   {"fail": N, "status": 500, "code": "InternalError", "action": "SendMessage"}
//       the next N calls (of that action) are refused
//   {"lose": N, "action": ...}   the next N are done, and their answer is never sent
//   {"down": SECONDS}            all connections are reset, none is taken for so long
//   {"duplicate": N}             the next N messages received come a second time
//   {"deny": ["CreateQueue"]}    these actions are AccessDenied from now on
// GET /_stats: how many calls of each action came since the last {"reset": true}.
const fs = require('fs');
const http = require('http');
const Module = require('module');
const path = require('path');
const { Readable } = require('stream');

// As it is but for one place: ApproximateReceiveCount of a message whose visibility is changed.
function load(folder) {
    const name = path.join(folder, 'local-aws-sqs', 'dist', 'index.js');
    const counts = 'Number(t.record.attributes.ApproximateReceiveCount)+1;';
    const text = fs.readFileSync(name, 'utf8');
    if (!text.includes(counts)) throw new Error('another local-aws-sqs than 2.0.2');
    const m = new Module(name, module);
    m.filename = name;
    m.paths = [folder];
    m._compile(text.replace(counts, counts.replace('+1;', '+(i?0:1);')), name);
    return m.exports;
}

const { createRequestHandler } = load(process.argv[2]);
const port = Number(process.argv[3]);
const JSON_TYPE = 'application/x-amz-json-1.0';
const { service, requestHandler } = createRequestHandler({
    port, hostname: '127.0.0.1', emulateQueueCreationLifecycle: false,
});
void service;

let stats = {};
let faults = [];
let deny = [];
let duplicates = 0;
const sockets = new Set();
const waiters = new Set();

function ask(headers, body) {
    return new Promise((resolve) => {
        const req = Readable.from([Buffer.from(body)]);
        req.headers = headers;
        req.method = 'POST';
        req.url = '/';
        const got = { status: 200, headers: {}, body: '' };
        const res = {
            setHeader(k, v) { got.headers[k.toLowerCase()] = v; },
            getHeader(k) { return got.headers[k.toLowerCase()]; },
            writeHead(status, h) {
                got.status = status;
                for (const k in h || {}) got.headers[k.toLowerCase()] = h[k];
                return res;
            },
            write(chunk) { got.body += chunk; },
            end(chunk) { if (chunk) got.body += chunk; resolve(got); },
            set statusCode(s) { got.status = s; },
            get statusCode() { return got.status; },
        };
        requestHandler(req, res);
    });
}

function refuse(json, status, code, message) {
    if (json) {
        return { status, headers: { 'content-type': JSON_TYPE },
            body: JSON.stringify({ __type: 'com.amazonaws.sqs#' + code, message }) };
    }
    return { status, headers: { 'content-type': 'text/xml' },
        body: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code>` +
            `<Message>${message}</Message></Error><RequestId>0</RequestId></ErrorResponse>` };
}

function take(kind, action) {
    const f = faults.find((x) => x.kind === kind && x.left > 0 &&
        (!x.action || x.action === action));
    if (f) f.left--;
    return f;
}

// A call as the front sees it: action, parameters, and how to send it on.
function parse(req, body) {
    const json = (req.headers['content-type'] || '').startsWith('application/x-amz-json');
    if (json) {
        let params = {};
        try { params = JSON.parse(body || '{}'); } catch (e) { /* the emulator says so */ }
        return { json, params, action: (req.headers['x-amz-target'] || '.').split('.')[1] };
    }
    const params = new URLSearchParams(body);
    if (!params.has('QueueUrl') && req.url.length > 1) {
        params.set('QueueUrl', 'http://127.0.0.1:' + port + req.url);
    }
    return { json, params, action: params.get('Action') };
}

function parameter(call, name) {
    return call.json ? call.params[name] : call.params.get(name);
}

function send(call, headers) {
    const h = { ...headers, 'content-type': call.json ? JSON_TYPE : headers['content-type'] };
    return ask(h, call.json ? JSON.stringify(call.params) : call.params.toString());
}

function isEmpty(call, got) {
    return got.status === 200 && !(call.json ? /"Messages":\[\{/ : /<Message>/).test(got.body);
}

// A long poll is short ones until something is there or the client has gone.
async function receive(call, headers, gone) {
    const wait = Number(parameter(call, 'WaitTimeSeconds') || 0);
    const end = Date.now() + wait * 1000;
    if (call.json) call.params.WaitTimeSeconds = 0;
    else call.params.set('WaitTimeSeconds', '0');
    for (;;) {
        if (gone.yes) return null;
        const got = await send(call, headers);
        if (!isEmpty(call, got) || Date.now() >= end) return got;
        await new Promise((resolve) => {
            const timer = setTimeout(resolve, Math.min(100, Math.max(1, end - Date.now())));
            waiters.add(() => { clearTimeout(timer); resolve(); });
        });
    }
}

function wake() {
    const now = [...waiters];
    waiters.clear();
    for (const f of now) f();
}

// What the service has is whole, what it says of it is not.
function damage(got) {
    const doc = JSON.parse(got.body);
    for (const m of doc.Messages || []) {
        m.Body = (m.Body[0] === 'A' ? 'B' : 'A') + m.Body.slice(1);
    }
    for (const m of doc.Successful || []) m.MD5OfMessageBody = '0'.repeat(32);
    got.body = JSON.stringify(doc);
}

function twice(got) {
    const doc = JSON.parse(got.body);
    if (doc.Messages && duplicates > 0) {
        duplicates--;
        doc.Messages.push({ ...doc.Messages[0] });
        got.body = JSON.stringify(doc);
    }
    return got;
}

async function answer(req, body, gone) {
    const call = parse(req, body);
    stats[call.action] = (stats[call.action] || 0) + 1;
    if (deny.includes(call.action)) {
        return refuse(call.json, 403, 'AccessDeniedException',
            'User is not authorized to perform: sqs:' + call.action);
    }
    const f = take('fail', call.action);
    if (f) return refuse(call.json, f.status || 500, f.code || 'InternalError', 'on demand');
    let got;
    if (call.action === 'ReceiveMessage') {
        got = await receive(call, req.headers, gone);
        if (got && call.json && duplicates > 0) got = twice(got);
    } else {
        got = await send(call, req.headers);
        wake();
    }
    if (got && call.json && !(call.action === 'ReceiveMessage' && isEmpty(call, got)) &&
        take('damage', call.action)) damage(got);
    return take('lose', call.action) ? null : got;
}

function control(text) {
    const c = JSON.parse(text);
    if (c.fail) faults.push({ kind: 'fail', left: c.fail, ...c });
    if (c.damage) faults.push({ kind: 'damage', left: c.damage, ...c });
    if (c.lose) faults.push({ kind: 'lose', left: c.lose, ...c });
    if (c.deny) deny = c.deny;
    if (c.duplicate) duplicates = c.duplicate;
    if (c.reset) { stats = {}; faults = []; deny = []; duplicates = 0; }
    if (c.down) {
        server.close();
        for (const s of sockets) s.resetAndDestroy ? s.resetAndDestroy() : s.destroy();
        setTimeout(listen, c.down * 1000);
    }
}

async function handle(req, res, body, gone) {
    if (req.url === '/_stats') {
        res.end(JSON.stringify(stats));
        return;
    }
    if (req.url === '/_control') {
        res.end('ok', () => control(body));
        return;
    }
    const got = await answer(req, body, gone);
    if (!got) {
        req.socket.destroy();
        return;
    }
    const bytes = Buffer.from(got.body);
    res.writeHead(got.status, { ...got.headers, 'content-length': bytes.length,
        date: new Date().toUTCString() });
    res.end(bytes);
}

let server;
function listen() {
    server = http.createServer((req, res) => {
        const chunks = [];
        const gone = { yes: false };
        req.on('data', (c) => chunks.push(c));
        res.on('close', () => { gone.yes = true; wake(); });
        req.on('end', () => {
            handle(req, res, Buffer.concat(chunks).toString(), gone).catch((e) => {
                console.error(e);
                req.socket.destroy();
            });
        });
    });
    server.keepAliveTimeout = 60000;
    server.on('connection', (s) => {
        sockets.add(s);
        s.setNoDelay(true);
        s.on('close', () => sockets.delete(s));
    });
    server.listen(port, '127.0.0.1', () => console.log('ready'));
}
listen();
