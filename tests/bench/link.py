# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benches and the gates share: raw connections to scitraced (Varlink) and to watchman (JSON lines), trees,
quantiles. No library between the socket and the clock."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time


class Refused(Exception):
    """An error reply."""


class Link:
    """A connection on which messages end with one byte: NUL (Varlink) or newline (watchman)."""

    def __init__(self, path, end=b'\0'):
        self.end = end
        self.data = b''
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
        try:        # an address has 108 bytes, a path any number
            self.socket.connect(f'/proc/self/fd/{folder}/{os.path.basename(path)}')
        finally:
            os.close(folder)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, message):
        self.socket.sendall(json.dumps(message).encode() + self.end)

    def receive(self):
        while self.end not in self.data:
            more = self.socket.recv(1 << 18)
            if not more:
                raise Refused('the connection was closed')
            self.data += more
        line, _, self.data = self.data.partition(self.end)
        return json.loads(line)

    def call(self, method, parameters=None, **flags):
        """One request and its replies' parameters, one by one."""
        self.send({'method': 'org.scitrace.' + method, 'parameters': parameters or {}, **flags})
        while True:
            reply = self.receive()
            if 'error' in reply:
                raise Refused(f'{method}: {reply["error"]} {reply.get("parameters")}')
            yield reply.get('parameters', {})
            if not reply.get('continues'):
                return

    def one(self, method, parameters=None):
        return next(self.call(method, parameters))

    def count(self, method, parameters):
        """Replies of a stream, counted by their ends alone: what a client costs is not what the daemon costs."""
        self.send({'method': 'org.scitrace.' + method, 'parameters': parameters, 'more': True})
        number, tail = 0, b''
        while True:
            more = self.socket.recv(1 << 18)
            if not more:
                raise Refused('the connection was closed')
            number += more.count(self.end)
            tail = (tail + more)[-65536:]
            if more.endswith(self.end):
                last = json.loads(tail[:-1].rpartition(self.end)[2])
                if 'error' in last:
                    raise Refused(f'{method}: {last}')
                if not last.get('continues'):
                    return number


def open_link(daemon):
    """To the daemon of harness.Daemon: its lock names its socket."""
    with open(os.path.join(daemon.state, 'lock'), encoding='utf-8') as file:
        return Link(file.read().splitlines()[1])


class Watchman:
    """A watchman of our own, in a folder of its own."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix='scitrace-watchman-')
        self.path = os.path.join(self.top, 'sock')
        self.log = open(os.path.join(self.top, 'out'), 'wb')
        self.process = subprocess.Popen(
            ['watchman', '--foreground', '--no-save-state', f'--sockname={self.path}',
             f'--statefile={self.top}/state', f'--logfile={self.top}/log', f'--pidfile={self.top}/pid'],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=dict(os.environ, HOME=self.top))
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                with self.link():
                    return
            if time.monotonic() > end or self.process.poll() is not None:
                self.stop()
                raise Refused('watchman does not start')
            time.sleep(0.02)

    def link(self):
        return Link(self.path, b'\n')

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.top, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


def ask_watchman(link, *command):
    """The answer to one command; notices of subscriptions in between are left out."""
    link.send(list(command))
    while True:
        reply = link.receive()
        if 'error' in reply:
            raise Refused(f'watchman: {reply["error"]}')
        if 'subscription' not in reply or 'subscribe' in reply:
            return reply


def make_tree(top, directories, files):
    """`directories` folders in two levels, the root not counted, and `files` files of 100 bytes, spread evenly."""
    outer = max(1, round(directories ** 0.5))
    folders = []
    for number in range(directories):
        parent = top if number < outer else folders[number % outer]
        folders.append(os.path.join(parent, f'd{number}'))
        os.mkdir(folders[-1])
    for number in range(files):
        with open(os.path.join(folders[number % directories], f'f{number}'), 'wb') as file:
            file.write(b'%099d\n' % number)


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def median(values):
    return quantile(values, 0.5)


def is_sanitized(build):
    """Whether the programs carry a sanitizer: then their times and memory say nothing."""
    with open(os.path.join(build, 'scitraced'), 'rb') as file:
        text = file.read()
    return b'__asan_init' in text or b'__ubsan_handle' in text or b'__tsan_init' in text


def memory(pids):
    """Bytes of memory that processes have, shared pages split among their users (PSS)."""
    total = 0
    for pid in pids:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
            total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith('Pss:'))
    return total
