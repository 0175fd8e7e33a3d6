#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole daemon at a small work, killed or failed at its N-th change to its state folder; started again, its record
has all that was acknowledged, each event once, and the tree as it is. Speaks TAP.

FAULTS=all takes each N; FAULTS=kill:17,5:40 those; else a sample is taken, another one each day."""

import errno
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle                                                                   # noqa: E402
from oracle import GONE, harness                                                # noqa: E402
from harness import check, equal, wait_for, write                               # noqa: E402

HOWS = {'kill': 'killed', 'torn': 'killed when half of it is written',
        f'{errno.EIO}': 'failed with EIO', f'{errno.ENOSPC}': 'failed with ENOSPC',
        f'{errno.EIO}+': 'failed with EIO from then on', f'{errno.ENOSPC}+': 'failed with ENOSPC from then on'}
SAMPLE = dict(zip(HOWS, (24, 6, 16, 16, 6, 6)))
FAULTS = os.environ.get('FAULTS', '')
SETTINGS = '[Dataset]\nSettleTime=50ms\n'


class Run:
    """One life of a daemon with a fault in it, and the one after it."""

    def __init__(self, how, at):
        self.how, self.at = how, at
        self.fatal, self.lasting = how in ('kill', 'torn'), how.endswith('+')
        self.daemon = harness.Daemon(settings=SETTINGS)
        self.daemon.state = os.path.join(os.path.realpath(self.daemon.top), 'state')
        self.count = os.path.join(self.daemon.top, 'count')
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.backup = os.path.join(self.daemon.top, 'backup.db')
        self.backed_up = False
        self.changes = 0                # to the state folder, in a life that came to its end
        self.oracle = oracle.Oracle(self.daemon, self.tree)
        shim = os.path.join(harness.BUILD, 'tests/fault/shim.so')
        self.daemon.env['ASAN_OPTIONS'] += ':verify_asan_link_order=0'
        self.daemon.run = ['env', f'LD_PRELOAD={shim}', f'FAULT_DIR={self.daemon.state}', f'FAULT_AT={at}',
                           f'FAULT_HOW={how}', f'FAULT_COUNT={self.count}']

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

    def whole(self):
        try:
            self.work()
            self.end()
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


def points(total):
    """[(how, the changes that are meant)]"""
    if FAULTS in ('', 'all'):
        return [(how, oracle.sample(total, number)) for how, number in SAMPLE.items()]
    return [(how, [int(at)]) for how, at in (word.split(':') for word in FAULTS.split(','))]


def tests():
    run = Run('none', 0)
    yield 'a life without a fault', run.whole
    if run.changes == 0:        # it has failed
        return
    for how, chosen in points(run.changes):
        yield (f'the daemon is {HOWS[how]}, at a change to its folder: {len(chosen)} of {run.changes}',
               lambda how=how, chosen=chosen: oracle.sweep(how, chosen, lambda how, at: Run(how, at).whole()))


harness.run(tests())
