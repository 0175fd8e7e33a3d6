# SPDX-License-Identifier: LGPL-2.1-or-later
"""The record equals the tree under random operations of several writers, and a daemon that merely rescans does not
pass: no gap, nothing walked twice, every event live. And under every kind of trouble it equals the tree all the same,
with a gap that says so. More: SEEDS=1,2,3 OPS=5000 WRITERS=4 [MODES=trouble,user] tests/system/test-random.py"""

import os
import random
import signal
import subprocess
import time

import harness
import threads
from cases import NOBODY, as_a_user, give, seen_live
from harness import check, diag, equal, measured, need, need_root, program, skip
from operations import HOLDS, LINKS, MOVES, populate, start_writers
from overflow import start_with_a_short_queue

OPS = int(os.environ.get('OPS', '500'))
WRITERS = int(os.environ.get('WRITERS', '3'))
FIRST_WRITERS = int(os.environ.get('WRITERS', '1'))     # beside the first look
SEEDS = os.environ.get('SEEDS') or '1,2,3'      # any others in check-long
SETTINGS = '[Watcher]\nCheckInterval=1s\n'      # so that a stop of a few seconds is a stall


class Stage:
    """A daemon, a tree, and a folder outside of it on the same file system. run: what the daemon is started by;
    owner: whose all of it is."""

    def __init__(self, run=(), owner=0, settings=None, short_queue=False):
        self.daemon = harness.Daemon(run=run, settings=settings)
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.outside = os.path.join(self.daemon.top, 'outside')
        self.owner, self.short_queue = owner, short_queue
        self.first = os.path.join(self.daemon.top, 'first')     # its dataset starts the watcher
        for path in self.tree, self.outside, self.first:
            os.mkdir(path)
        populate(self.tree, 'random')
        if owner:
            give(self.daemon.top)

    def __enter__(self):
        if not self.short_queue:
            self.daemon.__enter__()
            return self
        try:
            start_with_a_short_queue(self.daemon, self.first, 'first')
        except BaseException:
            self.daemon.abandon()
            raise
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def writers(self, seed, operations, without):
        return start_writers(self.tree, self.outside, seed, WRITERS, operations, without, self.owner)

    def rest(self):
        return self.daemon.at_rest('t', self.tree)


def random_work_on_a_watched_tree(seed):
    with Stage() as stage:
        live_work(stage, seed)


def live_work(stage, seed, without=()):
    """Three bursts, each at rest and equal; and nothing was found by looking again."""
    stage.daemon.add(stage.tree, 't')
    stage.rest()
    first_look = stage.daemon.newest()
    for burst in range(3):
        stage.writers(f'{seed}:{burst}', OPS // 3, (LINKS if burst < 2 else MOVES) + without)()
        status = stage.rest()
    diag(f'{status["events"] - first_look} events by {WRITERS} writers, '
         f'{status["walkedTwice"]} of {status["watches"]} directories walked twice')
    seen_live(stage.daemon, 't', first_look, status)


def random_work_during_the_first_look(seed):
    with Stage() as stage:
        populate(os.path.join(stage.tree, 'more'), seed, directories=40)
        finish = start_writers(stage.tree, stage.outside, seed, FIRST_WRITERS, OPS, MOVES)
        stage.daemon.add(stage.tree, 't')
        finish()
        status = stage.rest()
        # One that moves while it is first looked at may be looked at again; the tree may not, unless one that never
        # held still (on a busy machine) was a gap, which a walk has closed.
        causes = {gap['cause'] for gap in stage.daemon.closed('t')}
        check(causes <= {'read-error'}, f'causes of the gaps: {causes}')
        check(causes or status['walkedTwice'] <= 5,
              f'{status["walkedTwice"]} of {status["watches"]} directories walked twice')


def random_work_beside_another_dataset(seed):
    """Two datasets, and moves between them: each equals its tree."""
    with Stage() as stage:
        stage.daemon.add(stage.tree, 't')
        stage.daemon.add(stage.outside, 'o')
        stage.daemon.settle()
        before = stage.daemon.newest()
        finish = [start_writers(stage.tree, stage.outside, f'{seed}:t', 2, OPS // 2, HOLDS),
                  start_writers(stage.outside, stage.tree, f'{seed}:o', 2, OPS // 2, HOLDS)]
        for wait in finish:
            wait()
        stage.daemon.settle()
        stage.rest()
        status = stage.daemon.at_rest('o', stage.outside)
        for name in ('t', 'o'):
            seen_live(stage.daemon, name, before, status)


class Trouble:
    """What befalls the processes while writers work: each is stopped for a while, or killed, at a random moment."""

    KINDS = ('stop watcher', 'stop watcher for long', 'stop daemon', 'kill watcher', 'kill daemon', 'kill both')

    def __init__(self, daemon, seed, kinds=KINDS):
        self.daemon, self.kinds = daemon, kinds
        self.dice = random.Random(f'{seed}:trouble')
        self.done = []

    def stop(self, pid, seconds):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:      # it was replaced for not answering
            pass

    def befall(self):
        time.sleep(self.dice.random() * 0.6)
        kind = self.dice.choice(self.kinds)
        self.done.append(kind)
        if kind == 'stop daemon':
            self.stop(self.daemon.process.pid, self.dice.random())
        elif kind == 'stop watcher':
            self.stop(self.daemon.watcher(), self.dice.random())
        elif kind == 'stop watcher for long':
            self.stop(self.daemon.watcher(), 5)
        else:
            self.daemon.kill(kind.partition(' ')[2])
            if not self.daemon.process:
                time.sleep(self.dice.random() * 0.3)
                self.daemon.start()


CAUSES = {'watcher-lost', 'crashed', 'stopped', 'stalled', 'overflow'}


def troubled_work(stage, seed, kinds):
    """At rest the record equals the tree, whatever happened; and what happened is a gap that is closed."""
    stage.daemon.add(stage.tree, 't')
    stage.rest()
    trouble = Trouble(stage.daemon, seed, kinds)
    for burst in range(3):
        work = stage.writers(f'{seed}:{burst}', OPS, LINKS if burst < 2 else MOVES)
        trouble.befall()
        while work.running():
            trouble.befall()
        work()
        stage.daemon.settle('t')
        stage.daemon.closed('t')
        stage.rest()
    causes = {gap['cause'] for gap in stage.daemon.gaps('t')}
    diag(f'{len(trouble.done)} times: {", ".join(sorted(set(trouble.done)))}; gaps: {", ".join(sorted(causes))}')
    check(causes <= CAUSES, f'causes of the gaps: {causes}')
    return causes


def random_work_while_processes_are_stopped_and_killed(seed):
    with Stage(settings=SETTINGS) as stage:
        causes = troubled_work(stage, seed, Trouble.KINDS)
        check(causes, 'no gap was recorded')


def random_work_in_a_queue_that_runs_over(seed):
    """The kernel keeps 64 notices, and the watcher is stopped again and again."""
    with Stage(settings=SETTINGS, short_queue=True) as stage:
        causes = troubled_work(stage, seed, ('stop watcher',))
        check('overflow' in causes, f'causes of the gaps: {causes}')


class Lag:
    """A watcher whose draining thread, and no other, stands still for a tenth of a second again and again: what the
    other threads find is ahead of the notices, as on a machine that is very busy."""

    def __init__(self, watcher):
        named = threads.named(watcher, 'watch')
        equal(len(named), 1, 'threads that drain')
        self.task = named[0]
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                if threads.ask(threads.SEIZE, self.task):
                    os.write(writer, b'x')
                    self.work()
            finally:
                os._exit(0)
        os.close(writer)
        seized = os.read(reader, 1)
        os.close(reader)
        if not seized:
            self.end()
            skip('a process may not be traced here')

    def work(self):
        while threads.interrupt(self.task):
            time.sleep(0.1)
            enough = threads.ran(self.task) + 5e6
            threads.ask(threads.CONTINUE, self.task)
            self.wait_until_it_ran(enough)

    def wait_until_it_ran(self, enough):
        """For 5 ms, or it had a tenth of a second for that: on a busy machine it would else be late by minutes."""
        end = time.monotonic() + 0.1
        time.sleep(0.005)
        while threads.ran(self.task) < enough and time.monotonic() < end:
            time.sleep(0.005)

    def end(self):
        """The thread runs on when its tracer ends."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def random_work_while_notices_come_late(seed):
    """Nothing is lost, and nothing is a gap. (What is walked twice has its reason: see seen_live().)"""
    with Stage() as stage:
        stage.daemon.add(stage.tree, 't')
        stage.rest()
        first_look = stage.daemon.newest()
        for burst in range(3):
            lag = Lag(stage.daemon.watcher())
            try:
                stage.writers(f'{seed}:{burst}', OPS // 2, LINKS if burst < 2 else MOVES)()
                status = stage.rest()
            finally:
                lag.end()
        diag(f'{status["walkedTwice"]} of {status["watches"]} directories walked twice')
        seen_live(stage.daemon, 't', first_look, dict(status, walkedTwice=0))


def random_work_as_a_user(seed):
    need_root('becoming another user')
    with Stage(run=as_a_user(), owner=NOBODY) as stage:
        live_work(stage, seed)


def random_work_in_a_user_namespace(seed):
    """Another user's files are nobody's there, and the daemon reads none of them: owners do not change."""
    need('unshare')
    run = ['unshare', '--user', '--map-root-user']
    if subprocess.run([*run, 'true'], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        skip('no user namespaces here')
    with Stage(run=run) as stage:
        live_work(stage, seed, ('chown',))


def random_work_without_statx(seed):
    """By its older brothers, which know no birth time."""
    with Stage(run=[program('tests/system/without'), 'statx']) as stage:
        stage.daemon.add(stage.tree, 't')
        for burst in range(3):
            stage.writers(f'{seed}:{burst}', OPS // 3, LINKS if burst < 2 else MOVES)()
            stage.rest()
        equal(stage.daemon.gaps('t'), [], 'gaps')


PLAIN = {'watched': random_work_on_a_watched_tree, 'first': random_work_during_the_first_look,
         'beside': random_work_beside_another_dataset}
MODES = {**PLAIN, 'trouble': random_work_while_processes_are_stopped_and_killed,
         'overflow': random_work_in_a_queue_that_runs_over, 'late': random_work_while_notices_come_late, 'user': random_work_as_a_user,
         'namespace': random_work_in_a_user_namespace, 'statx': random_work_without_statx}


def tests():
    """The plain modes with each seed, all of them with the last one; MODES= names those that every seed has."""
    seeds = SEEDS.split(',')
    for number, seed in enumerate(seeds):
        modes = os.environ.get('MODES') or ','.join(MODES if number == len(seeds) - 1 else PLAIN)
        for mode in modes.split(','):
            diag(f'repeat with SEEDS={seed} OPS={OPS} WRITERS={WRITERS} MODES={mode}')
            yield (f'{MODES[mode].__name__.replace("_", " ")}, seed {seed}',
                   measured(lambda f=MODES[mode], s=seed: f(s)))


harness.run(tests())
