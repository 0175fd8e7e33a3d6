#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The volume of the record is full, or cannot be written: no crash, reads go on, nothing acknowledged is lost, the gap
says so, it is said once, and once it is over the record equals the tree. One test for each file system and trouble."""

import contextlib
import functools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from volume import LEAST, Volume, in_a_namespace_of_its_own, must               # noqa: E402
import harness                                                                  # noqa: E402
from harness import check, equal, wait_for, write                               # noqa: E402

LONG = 'n' * 180                        # names fill the record soon
FULL, FAILED, OVER = b'has no space left', b'could not be written', b'The store can be written again'


class Stage:
    """A daemon whose state folder is on a volume of its own, and a tree that is not."""

    def __init__(self, top, place):
        self.tree = os.path.join(top, 'tree')
        self.place = place
        os.makedirs(self.tree, exist_ok=True)
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(os.path.join(top, 'notify'))
        self.notified.setblocking(False)
        self.daemon = harness.Daemon(top=top, state=os.path.join(place.home, 'state'))
        self.daemon.env['NOTIFY_SOCKET'] = os.path.join(top, 'notify')
        self.made = 0

    def work(self, count=1):
        """New files in the tree."""
        for _ in range(count):
            self.made += 1
            write(os.path.join(self.tree, f'{self.made}-{LONG}'), b'x')

    def work_until_degraded(self):
        def degraded():
            if self.state() == 'degraded':
                return True
            self.work(100)
            return False
        wait_for(degraded, 'the daemon notices that the store cannot be written')

    def state(self):
        return self.daemon.status()['state']

    def said(self, sentence):
        with open(self.daemon.err, 'rb') as file:
            return file.read().count(sentence)

    def status_texts(self):
        """What systemd was told since the last call."""
        texts = []
        with contextlib.suppress(BlockingIOError):
            while True:
                texts += [line[7:] for line in self.notified.recv(4096).decode().split('\n') if
                          line.startswith('STATUS=')]
        return texts

    def begin(self):
        """A record of some files, at rest. Returns its events."""
        self.daemon.start()
        self.daemon.add(self.tree, 't')
        self.work(20)
        self.daemon.at_rest('t', self.tree)
        return self.daemon.events()

    def start_unheard(self):
        """No file can be made, so no control socket either: it is made when there is room."""
        thread = threading.Thread(target=self.daemon.start)
        thread.start()
        wait_for(lambda: self.said(b'cannot be made'), 'the daemon says that it cannot be asked')
        self.place.empty()
        since = time.monotonic()
        thread.join()
        return since

    def answers(self, kept):
        """While nothing can be recorded, what was acknowledged is there, and who wants more is refused."""
        daemon = self.daemon
        equal(daemon.events()[:len(kept)], kept, 'the events that were acknowledged')
        check(daemon.ctl('files', 't'), 'files are listed')
        refused = daemon.ctl_run('scan', 't')
        check(refused.returncode != 0 and b'nothing can be recorded' in refused.stderr, refused)
        check(daemon.ctl_run('settle', 't').returncode != 0, 'nothing settles')
        return daemon.events()

    def over(self, sentence, kept, since):
        """Within 5 s of `since` it records again; then all is as it should be."""
        wait_for(lambda: self.state() == 'running', 'the daemon records again')
        took = time.monotonic() - since
        harness.fast(took < 5, f'it took {took:.1f} s until the daemon recorded again')
        self.daemon.at_rest('t', self.tree)
        check('store-full' in [gap['cause'] for gap in self.daemon.closed('t')], 'there was a gap')
        equal(self.daemon.events()[:len(kept)], kept, 'the events that were seen meanwhile')
        self.work(5)
        self.daemon.at_rest('t', self.tree)
        equal((self.said(sentence), self.said(OVER)), (1, 1), 'how often it was said that it began, and ended')
        texts = self.status_texts()
        check(any(text.startswith('Not recording') for text in texts) and texts[-1] == 'Watching', texts)

    def end(self):
        """It ends well, and the log is sound."""
        self.daemon.stop()
        done = subprocess.run([harness.program('scitracectl'), 'verify', self.daemon.state], capture_output=True,
                              check=False)
        equal(done.returncode, 0, f'verify ({done.stdout} {done.stderr})')


# A small btrfs with its metadata once only is full for good as soon as it is full: no file can be made in it before its
# cleaner comes by, half a minute after there is space again.
OPTIONS = {'btrfs': ['-m', 'dup']}


@contextlib.contextmanager
def stage(kind, options=(), limit=None):
    with tempfile.TemporaryDirectory(prefix='scitrace-full-') as top:
        with Volume(kind, top, max(LEAST[kind], 48), options or OPTIONS.get(kind, ())) as place:
            if limit:
                place.limit(limit)
            s = Stage(top, place)
            try:
                yield s
            except BaseException as error:
                if not isinstance(error, (harness.Skip, harness.Slow)):
                    s.daemon.tell()
                raise
            finally:
                s.daemon.abandon()
                s.notified.close()


def while_running(kind, **settings):
    with stage(kind, **settings) as s:
        kept = s.begin()
        s.place.fill()
        s.work_until_degraded()
        check('full' in s.daemon.status()['reason'], 'it says why')
        kept = s.answers(kept)
        equal(kept[-1]['kind'], 'gap-open', 'the newest event')
        s.work(20)
        os.unlink(os.path.join(s.tree, f'1-{LONG}'))
        os.rename(os.path.join(s.tree, f'2-{LONG}'), os.path.join(s.tree, 'renamed'))
        s.place.empty()
        s.over(FULL, kept, time.monotonic())
        s.end()


def at_start(kind, fill=Volume.fill, heard=True, **settings):
    """With its ballast; and killed, and started again without one. heard: a file can still be made then."""
    with stage(kind, **settings) as s:
        kept = s.begin()
        s.daemon.stop()
        fill(s.place)
        s.work(20)
        s.daemon.start()
        wait_for(lambda: s.state() == 'degraded', 'the daemon notices that the volume is full')
        wait_for(lambda: 'store-full' in [gap['cause'] for gap in s.daemon.gaps('t')], 'the gap is recorded')
        kept = s.answers(kept)
        s.daemon.kill('both')
        s.place.empty()
        fill(s.place)
        with open(s.daemon.err, 'wb'):
            pass                        # what was said before does not count
        if heard:
            s.daemon.start()
            wait_for(lambda: s.state() == 'degraded', 'the daemon notices it again')
            kept = s.answers(kept)
            s.place.empty()
            since = time.monotonic()
        else:
            since = s.start_unheard()
        s.over(FULL, kept, since)
        s.end()


def without_inodes():
    """A database that is open needs none: it goes on as if nothing were."""
    with stage('ext4', options=['-N', '64']) as s:
        kept = s.begin()
        s.place.fill_inodes()
        s.work(500)
        s.daemon.at_rest('t', s.tree)
        equal((s.state(), s.daemon.gaps('t'), s.said(FULL)), ('running', [], 0), 'nothing to say')
        equal(s.daemon.events()[:len(kept)], kept, 'the events that were acknowledged')
        s.end()


def aborts():
    """The way a disk that fails looks: what comes after is not acknowledged, and the next start is as any other."""
    with stage('ext4') as s:
        kept = s.begin()
        must('mount', '-o', 'remount,abort', s.place.path)
        s.work_until_degraded()
        check('cannot be written' in s.daemon.status()['reason'], 'it says why')
        s.answers(kept)
        s.work(20)
        equal(s.said(FAILED), 1, 'how often it was said')
        s.daemon.stop()
        s.place.umount()
        s.place.mount()
        s.daemon.start()
        s.daemon.at_rest('t', s.tree)
        check(s.daemon.closed('t'), 'there was a gap')
        equal(s.daemon.events()[:len(kept)], kept, 'the events that were at rest before')
        s.end()


def main():
    tests = []
    for kind in 'ext4', 'xfs', 'btrfs', 'tmpfs':
        tests += [(f'{kind}: it fills while the daemon runs', functools.partial(while_running, kind)),
                  (f'{kind}: it is full at the start', functools.partial(at_start, kind, heard=kind != 'xfs'))]
    inodes = {'options': ['-N', '64'], 'fill': Volume.fill_inodes}
    tests += [('ext4: there are no inodes left at the start', functools.partial(at_start, 'ext4', **inodes)),
              ('ext4: inodes run out while the daemon runs', without_inodes),
              ('btrfs: a quota is reached while the daemon runs', functools.partial(while_running, 'btrfs', limit=32)),
              ('btrfs: a quota is reached at the start', functools.partial(at_start, 'btrfs', heard=False, limit=32)),
              ('ext4: the journal is aborted while the daemon runs', aborts)]
    harness.run([(name, harness.measured(test)) for name, test in tests])


in_a_namespace_of_its_own()
main()
