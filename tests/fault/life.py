# SPDX-License-Identifier: LGPL-2.1-or-later
"""A life of the daemon, with all that writes to its folder, one fault in it, and the life after it."""

import os
import signal

import oracle
from harness import check, equal, wait_for, write
from oracle import GONE, harness

SETTINGS = '[Dataset]\nSettleTime=50ms\n'


class Life:
    """One life of a daemon with a fault in it, and the one after it."""

    def __init__(self, how, at, within=None, what=''):
        """within: where the state folder is to be, if not beside the tree; what: the kind of change that counts, if not
        each."""
        self.how, self.at = how, at
        self.fatal, self.lasting = how in ('kill', 'torn', 'stop'), how.endswith('+')
        self.daemon = harness.Daemon(settings=SETTINGS)
        self.daemon.state = os.path.join(os.path.realpath(within or self.daemon.top), 'state')
        self.count = os.path.join(self.daemon.top, 'count')
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.backup = os.path.join(self.daemon.top, 'backup.db')
        self.backed_up = False
        self.changes = 0                # to the state folder, in a life that came to its end
        self.oracle = oracle.Oracle(self.daemon, self.tree)
        shim = os.path.join(harness.BUILD, 'tests/fault/shim.so')
        self.daemon.env['ASAN_OPTIONS'] += ':verify_asan_link_order=0'
        self.daemon.run = ['env', f'LD_PRELOAD={shim}', f'FAULT_DIR={self.daemon.state}', f'FAULT_AT={at}',
                           f'FAULT_HOW={how}', f'FAULT_COUNT={self.count}', f'FAULT_WHAT={what}']

    def path(self, name):
        return os.path.join(self.tree, name)

    def alive(self):
        return self.daemon.process is not None and self.daemon.process.poll() is None

    def start(self):
        """A start may be refused for a fault, but with words and an exit code."""
        try:
            self.daemon.start()
        except harness.Failure as failure:
            wanted = -signal.SIGKILL if self.fatal else 1
            check(str(failure).endswith(f'with {wanted}'), f'it ended otherwise than with {wanted}: {failure}')

    # The work.

    def made(self):
        for folder in ('d', 'd/e'):
            os.mkdir(self.path(folder))
        for number in range(12):
            write(self.path(f'{("", "d/", "d/e/")[number % 3]}f{number}'), b'%d' % number)

    def changed(self):
        for number in range(0, 12, 3):
            write(self.path(f'f{number}'), b'changed %d' % number)
        os.chmod(self.path('d/f1'), 0o600)

    def renamed(self):
        os.rename(self.path('f0'), self.path('d/g0'))
        os.rename(self.path('d/e/f2'), self.path('g2'))
        os.rename(self.path('d'), self.path('h'))

    def saved_and_removed(self):
        write(self.path('.tmp'), b'saved')
        os.rename(self.path('.tmp'), self.path('f3'))
        os.unlink(self.path('f6'))
        os.unlink(self.path('h/e/f5'))
        os.symlink('g2', self.path('link'))

    def more(self):
        for number in range(12, 24):
            write(self.path(f'f{number}'), b'%d' % number)
        os.rmdir(self.path('empty'))

    def back_up(self):
        os.mkdir(self.path('empty'))
        self.backed_up = self.daemon.ctl_run('store', 'backup', self.backup).returncode == 0

    def maintain(self):
        with oracle.open_link(self.daemon) as link:
            for _ in link.call('Store.Maintain', {}, more=True):
                pass

    def tried(self, action):
        """Whether the daemon did it; it need not."""
        try:
            if self.alive():
                action()
                return True
        except GONE as refusal:
            if not self.alive() or not self.fatal:
                return False
            # A connection ends a moment before its process.
            wait_for(lambda: not self.alive(), f'who refuses has been killed: {refusal!r}')
        return False

    def work(self):
        os.mkdir(self.tree)
        self.start()
        if not self.tried(self.oracle.add) and self.alive() and not self.lasting:
            wait_for(lambda: self.tried(self.oracle.add), 'after a failure it adds a dataset')
        self.tried(self.oracle.follow)
        for step in self.made, self.changed, self.renamed, self.saved_and_removed:
            step()
            self.tried(self.oracle.settle)
        if self.alive():
            self.back_up()
        else:
            os.mkdir(self.path('empty'))
        self.tried(self.oracle.settle)
        self.tried(self.maintain)
        self.more()
        self.tried(self.oracle.settle)

    def end(self):
        process = self.daemon.process
        if not process:
            return
        if self.fatal:
            process.send_signal(signal.SIGTERM)
            check(process.wait(harness.LIMIT) in (0, -signal.SIGKILL), f'it ended with {process.returncode}')
            self.daemon.process = None
            self.daemon.clean()
            return
        equal(process.poll(), None, 'how it ended by itself')
        if not self.lasting:
            wait_for(lambda: self.tried(self.oracle.settle), 'after a failure it goes on by itself')
        self.daemon.stop()
        with open(self.count, encoding='ascii') as file:
            self.changes = int(file.read())

    def whole(self, between=lambda: None):
        """Raises when something is wrong. between: what happens between the two lives."""
        try:
            self.work()
            self.end()
            between()
            self.daemon.run = []
            self.daemon.start()
            self.oracle.check()
            if self.backed_up:
                equal(oracle.verify(self.backup).returncode, 0, 'verify of the backup')
        except BaseException:
            self.daemon.tell()
            raise
        finally:
            self.daemon.abandon()
