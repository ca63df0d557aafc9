# SPDX-License-Identifier: BSD-3-Clause
"""A browser by the WebDriver protocol, with Python's standard library alone."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'  # the key of references, by W3C WebDriver


class BrowserError(Exception):
    """The driver refused a command, or something did not appear in time."""


def find_programs():
    """(driver, browser), or None."""
    driver = shutil.which('chromedriver')
    browser = shutil.which('chromium') or shutil.which('chromium-browser')
    return (driver, browser) if driver and browser else None


class Browser:
    def __init__(self, folder, downloads):
        driver, browser = find_programs()
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        self.base = 'http://127.0.0.1:%d' % port
        self.session = None
        self.driver = subprocess.Popen(
            [driver, '--port=%d' % port, '--log-path=' + os.path.join(folder, 'driver.log')],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, TMPDIR=folder), start_new_session=True)
        try:
            self.wait('chromedriver', lambda: self.command('GET', '/status')['ready'])
            self.session = '/session/' + self.command('POST', '/session', {
                'capabilities': {'alwaysMatch': {
                    'browserName': 'chrome',
                    'goog:chromeOptions': self.options(browser, folder, downloads),
                    'goog:loggingPrefs': {'browser': 'ALL'},
                }}})['sessionId']
        except BaseException:
            self.close()
            raise

    @staticmethod
    def options(browser, folder, downloads):
        args = ['--headless=new', '--window-size=1100,900', '--disable-gpu',
                '--disable-dev-shm-usage', '--disable-background-networking',
                '--no-first-run', '--lang=en-GB',
                '--user-data-dir=' + os.path.join(folder, 'profile')]
        if os.geteuid() == 0:
            args.append('--no-sandbox')  # Chromium's sandbox refuses to work for root
        return {'binary': browser, 'args': args,
                'prefs': {'download.default_directory': downloads,
                          'download.prompt_for_download': False}}

    def command(self, method, path, body=None):
        request = urllib.request.Request(
            self.base + (self.session or '') + path, method=method,
            data=None if method != 'POST' else json.dumps(body or {}).encode(),
            headers={'Content-Type': 'application/json'})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())['value']
        except urllib.error.HTTPError as error:
            raise BrowserError(json.loads(error.read())['value']['message']) from None
        except OSError as error:
            raise BrowserError('%s %s: %s' % (method, path, error)) from None

    def wait(self, what, check, timeout=30.0):
        end = time.monotonic() + timeout
        last = None
        while time.monotonic() < end:
            try:
                answer = check()
                if answer:
                    return answer
            except BrowserError as error:
                last = error
            time.sleep(0.05)
        raise BrowserError('%s: not within %g s%s' % (
            what, timeout, ' (%s)' % last if last else ''))

    def open(self, url):
        self.command('POST', '/url', {'url': url})

    def element(self, css):
        found = self.command('POST', '/element', {'using': 'css selector', 'value': css})
        return '/element/' + found[ELEMENT]

    def click(self, css):
        self.command('POST', self.element(css) + '/click')

    def type(self, css, text):
        self.command('POST', self.element(css) + '/value', {'text': text})

    def text(self, css):
        return self.command('GET', self.element(css) + '/text')

    def run(self, script, *args):
        return self.command('POST', '/execute/sync', {'script': script, 'args': list(args)})

    def log(self):
        return self.command('POST', '/se/log', {'type': 'browser'})

    def screenshot(self, path):
        with open(path, 'wb') as f:
            f.write(base64.b64decode(self.command('GET', '/screenshot')))

    def close(self):
        try:
            if self.session:
                self.command('DELETE', '')
        except BrowserError:
            pass
        self.driver.terminate()
        try:
            self.driver.wait(10)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait(10)
