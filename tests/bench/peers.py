# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other watchers beside us, in the one way that the benches use them: they watch a tree, and say which paths
they saw. One that is not installed is left out, and the table says so."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

import harness
from link import Refused, Watchman, ask_watchman, memory, open_link

QUIET = 0.4                     # seconds without a line of output after which a printer has printed all
LIMIT = 120


class Printer:
    """A program that prints a line for each notice, into a file."""
    command = ()
    ready_mark = None           # what it says when it watches; else a file of ours must be reported first

    def __init__(self, tree):
        self.tree = tree
        self.top = tempfile.mkdtemp(prefix='scitrace-peer-')
        self.out, self.err = os.path.join(self.top, 'out'), os.path.join(self.top, 'err')
        with open(self.out, 'wb') as out, open(self.err, 'wb') as err:
            self.process = subprocess.Popen([*self.command, tree], stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def __enter__(self):
        try:
            harness.wait_for(self.is_ready, f'{self.command[0]} watches', LIMIT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.top, ignore_errors=True)

    def is_ready(self):
        if self.ready_mark:
            with open(self.err, 'rb') as file:
                return self.ready_mark in file.read()
        with open(os.path.join(self.tree, '.ready'), 'ab') as file:     # written until it is seen
            file.write(b'.')
        time.sleep(0.1)
        return os.path.getsize(self.out) > 0

    def pids(self):
        return [self.process.pid]

    def memory(self):
        return memory(self.pids())

    def seen(self, _):
        """Waits until it prints no more: (the paths of the tree that it named, when it printed last)."""
        size, last, end = -1, time.monotonic(), time.monotonic() + LIMIT
        while time.monotonic() < end and time.monotonic() - last < QUIET:
            now = os.path.getsize(self.out)
            if now != size:
                size, last = now, time.monotonic()
            time.sleep(0.01)
        with open(self.out, 'rb') as file:
            lines = set(file.read().split(b'\n'))
        prefix = os.fsencode(self.tree) + b'/'
        return {text[len(prefix):] for text in lines if text.startswith(prefix)}, last

    def remark(self):
        code = self.process.poll()
        with open(self.err, 'rb') as file:
            said = [text for text in file.read().decode('utf-8', 'replace').splitlines() if 'verflow' in text]
        return (said[0] if said else '') + ('' if code is None else f'; it ended with {code}')


class Inotifywait(Printer):
    name = 'inotifywait -m -r'
    program = 'inotifywait'
    command = ('inotifywait', '-m', '-r', '--format', '%w%f', '-e', 'create,modify,close_write,move,delete,attrib')
    ready_mark = b'Watches established'


class Fswatch(Printer):
    name = 'fswatch -r'
    program = 'fswatch'
    command = ('fswatch', '-r', '-l', '0.1')


class WatchmanTree:
    """watchman: what a query answers since before the work; the names alone."""
    name = 'watchman since'
    program = 'watchman'

    def __init__(self, tree):
        self.tree = tree
        self.watchman = Watchman()

    def __enter__(self):
        with self.watchman.link() as link:
            ask_watchman(link, 'watch', self.tree)
            self.clock = ask_watchman(link, 'clock', self.tree, {'sync_timeout': 60000})['clock']
        return self

    def __exit__(self, *error):
        self.watchman.process.send_signal(signal.SIGCONT)
        self.watchman.stop()

    def pids(self):
        return [self.watchman.process.pid]

    def memory(self):
        return memory(self.pids())

    def seen(self, _):
        with self.watchman.link() as link:
            reply = ask_watchman(link, 'query', self.tree, {'since': self.clock, 'fields': ['name'],
                                                            'sync_timeout': 60000, 'expression': ['exists']})
        now = time.monotonic()
        self.warning = reply.get('warning', '')
        return {os.fsencode(name) for name in reply['files']}, now

    def remark(self):
        return 'warns of a recrawl' if 'recrawl' in self.warning.lower() else ''


class Ours:
    """scitraced, with its watcher: names that are durable, with the digests of their files."""
    name = 'scitrace'
    program = None

    def __init__(self, tree):
        self.tree = tree
        self.daemon = harness.Daemon()

    def __enter__(self):
        self.daemon.__enter__()
        self.daemon.add(self.tree, 'bench')
        self.daemon.settle()
        self.link = open_link(self.daemon)
        return self

    def __exit__(self, *error):
        self.link.__exit__()
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        self.daemon.__exit__(*(error or (None, None, None)))

    def pids(self):
        """Of who reads the tree."""
        return self.daemon.watchers()

    def everybody(self):
        return [self.daemon.process.pid, *self.daemon.watchers()]

    def memory(self):
        return memory(self.everybody())

    def settle(self):
        """Everything until now is recorded, digests too; when that was so."""
        end = time.monotonic() + LIMIT
        while self.link.one('Service.Settle', {'timeoutUsec': LIMIT * 10**6}).get('digestsPending'):
            if time.monotonic() > end:
                raise Refused(f'digests are missing after {LIMIT} s')
            time.sleep(0.005)
        return time.monotonic()

    def recorded(self):
        """The paths that are recorded, files with their digests."""
        rows = (row['file'] for row in self.link.call('Record.Files', {'dataset': 'bench'}, more=True) if row)
        return {os.fsencode(row['path']) for row in rows if row['type'] != 'file' or row.get('digest')}

    def seen(self, names):
        """What was missed is being compared as long as a gap is open, and found when it is closed."""
        end = time.monotonic() + LIMIT
        while True:
            unsure = self.has_open_gap()
            now = self.settle()
            found = self.recorded()
            if names <= found or not unsure or time.monotonic() > end:
                return found, now
            time.sleep(0.01)

    def has_open_gap(self):
        return any(row['state'] == 'gap' and 'closedBy' not in row for row in self.daemon.ctl('coverage', 'bench'))

    def remark(self):
        gaps = self.daemon.gaps('bench')
        return f'{len(gaps)} gap{"s" * (len(gaps) != 1)} recorded: {gaps[0]["cause"]}' if gaps else ''


PEERS = (Inotifywait, Fswatch, WatchmanTree)


def installed(peer):
    return peer.program is None or shutil.which(peer.program) is not None


def watchman_is_there():
    return installed(WatchmanTree)
