#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The power goes while the daemon works, its state folder on each file system: what it had acknowledged is there when it
comes back. It goes at any moment of much work, again and again, and at the N-th change to the folder in a whole life.
Root only, and a loop device. CUTS=50 and FAULTS=all make it longer, SEED=N repeats it. Speaks TAP."""

import os
import random
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle                                                                   # noqa: E402
from life import Life                                                           # noqa: E402
from oracle import GONE, MEMORY, harness                                        # noqa: E402
from harness import check, write                                                # noqa: E402
from volume import Volume, in_a_namespace_of_its_own                            # noqa: E402

CUTS = int(os.environ.get('CUTS', '3'))
SEED = int(os.environ.get('SEED', time.time_ns() % 1000000))
SETTINGS = '[Dataset]\nSettleTime=20ms\n'
FILES = 40
CHANGES, SAMPLE = 560, 4        # how many a life has, on two quiet cores; so many of them on each file system


class Writer(threading.Thread):
    """Makes, changes, renames and removes files, and has the daemon acknowledge that, until the daemon is gone."""

    def __init__(self, tree, judge, chance):
        super().__init__(daemon=True)
        self.tree, self.judge, self.chance, self.error = tree, judge, chance, None
        self.start()

    def path(self):
        return os.path.join(self.tree, f'f{self.chance.randrange(FILES)}')

    def change(self):
        path = self.path()
        if not os.path.exists(path) or self.chance.random() < 0.5:
            write(path, self.chance.randbytes(self.chance.randrange(200)))
        elif self.chance.random() < 0.5:
            os.rename(path, self.path())
        else:
            os.unlink(path)

    def run(self):
        try:
            while True:
                for _ in range(self.chance.randrange(1, 8)):
                    self.change()
                self.judge.settle()
        except GONE:
            pass
        except Exception as error:
            self.error = error


def cut(daemon, volume, moment):
    """Stops all, takes what the disk holds, and ends all."""
    time.sleep(moment)          # any moment will do: there is nothing to be waited for
    pids = [daemon.process.pid, *daemon.watchers()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    left = volume.cut()
    daemon.kill('both')
    volume.come_back(left)


def the_power_goes(kind):
    chance = random.Random(f'{SEED}:{kind}')
    with tempfile.TemporaryDirectory(prefix='scitrace-power-', dir=MEMORY) as top, Volume(kind, top) as volume:
        daemon = harness.Daemon(settings=SETTINGS, state=os.path.join(volume.path, 'state'))
        tree = os.path.join(daemon.top, 'tree')
        os.mkdir(tree)
        judge = oracle.Oracle(daemon, tree)
        try:
            for turn in range(CUTS):
                daemon.start()
                if not judge.added:
                    judge.add()
                judge.follow()
                writer = Writer(tree, judge, chance)
                states, told = len(judge.states), len(judge.told)
                cut(daemon, volume, chance.uniform(0.02, 0.8))
                writer.join(harness.LIMIT)
                check(writer.error is None, writer.error)
                harness.diag(f'cut {turn + 1}: {len(judge.told) - told} events told, {len(judge.states) - states} states')
                daemon.start()
                judge.check()
        except BaseException:
            daemon.tell()
            raise
        finally:
            daemon.abandon()


class Power(threading.Thread):
    """Goes when the daemon is stopped by the shim, or when that has ended."""

    def __init__(self, life, volume):
        super().__init__(daemon=True)
        self.life, self.volume, self.left, self.over, self.error = life, volume, None, threading.Event(), None
        self.start()

    def is_stopped(self):
        process = self.life.daemon.process
        try:
            with open(f'/proc/{process.pid}/stat', 'rb') as file:
                return file.read().rpartition(b')')[2].split()[0] == b'T'
        except (AttributeError, OSError):
            return False

    def run(self):
        try:
            while not self.over.wait(0.01):
                if self.is_stopped():
                    self.left = self.volume.cut()
                    self.life.daemon.process.kill()
                    return
        except Exception as error:
            self.error = error

    def back(self):
        self.over.set()
        self.join()
        check(self.error is None, self.error)
        if self.left:
            self.volume.come_back(self.left)


def the_power_goes_at(kind, at):
    with tempfile.TemporaryDirectory(prefix='scitrace-power-', dir=MEMORY) as top, Volume(kind, top) as volume:
        life = Life('stop', at, volume.path)
        power = Power(life, volume)
        life.whole(power.back)
        check(power.left or at > CHANGES // 2, 'it was never stopped')


def tests():
    harness.diag(f'SEED={SEED} CUTS={CUTS}')
    for kind in 'ext4', 'xfs', 'btrfs':
        yield f'what was acknowledged on {kind} outlasts a power cut, {CUTS} times', lambda kind=kind: the_power_goes(kind)
    for kind in 'ext4', 'xfs', 'btrfs':
        points = oracle.sample(CHANGES, SAMPLE)
        yield (f'and on {kind} one at a change to the folder: {len(points)} of {CHANGES}',
               lambda kind=kind, points=points: oracle.sweep(kind, points, the_power_goes_at))


in_a_namespace_of_its_own()
harness.run(tests())
