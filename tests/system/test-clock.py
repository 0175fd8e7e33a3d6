# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine's clock is set while the daemon runs and while it does not: everything is recorded in its order, and
nothing waits for a time to come again."""

import os
import struct
import time

import harness
from cases import Stage
from harness import check, equal, program, write


class Clock:
    """The daemon's own clock: so many seconds before or after the machine's."""

    def __init__(self):
        self.library = program('tests/system/clock.so')

    def stage(self):
        stage = Stage(tree=False)
        self.file = os.open(os.path.join(stage.daemon.top, 'clock'), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        self.set(0)
        stage.daemon.env['SCITRACE_TEST_CLOCK'] = os.path.join(stage.daemon.top, 'clock')
        stage.daemon.env['ASAN_OPTIONS'] += ':verify_asan_link_order=0'
        stage.daemon.run = ['env', f'LD_PRELOAD={self.library}']
        stage.add = True
        return stage

    def set(self, seconds):
        os.pwrite(self.file, struct.pack('q', int(seconds)), 0)


def seals_went_on(stage, how_often):
    """Whatever the clock showed, the log is sealed up to its end, and by the key that it began with."""
    daemon = stage.daemon
    daemon.stop()
    daemon.start()
    verified = daemon.ctl('verify')[-1]['result']
    equal((verified['outcome'], verified['keys']), ('sound', 1), 'the seals')
    check(verified['checkpoints'] >= how_often, f'only {verified["checkpoints"]} checkpoints')


STEPS = (-3600, 10 * 365 * 86400, -30 * 86400, 0)
MOVES = [now - before for before, now in zip((0, *STEPS), STEPS)]


def steps(stage):
    """By how many seconds the clock was set, as the log has it; a step is exact to what is no step."""
    moves = [event['stepUsec'] / 1e6 for event in stage.daemon.events() if event['kind'] == 'clock-step']
    check(all(abs(move - round(move)) < 0.1 for move in moves), f'no whole seconds: {moves}')
    return [round(move) for move in moves]


def busy(stage):
    """Seconds of processor time that the daemon and its watchers have taken."""
    def of(pid):
        with open(f'/proc/{pid}/stat', 'rb') as file:
            return sum(map(int, file.read().rsplit(b')', 1)[1].split()[11:13])) / os.sysconf('SC_CLK_TCK')
    return sum(map(of, [stage.daemon.process.pid, *stage.daemon.watchers()]))


def rests(stage, what):
    """For three seconds in which nothing happens it does next to nothing: a loop would take all of a processor."""
    before, until = busy(stage), time.monotonic() + 3
    while time.monotonic() < until:
        time.sleep(0.1)
    took = busy(stage) - before
    check(took < 0.3, f'{what}, it took {took:.2f} s of three')


def the_clock_is_set_while_the_tree_is_watched():
    clock = Clock()
    with clock.stage() as stage:
        before = stage.daemon.newest()
        for number, offset in enumerate(STEPS):
            write(stage.at(f'before{number}'), b'x')
            clock.set(offset)
            write(stage.at(f'after{number}'), b'x')
            write(stage.at('file'), b'%d' % number)
            stage.rest()
            rests(stage, f'after the clock was set to {offset} s')
        rows = stage.daemon.events(before)
        equal([row['seq'] for row in rows], list(range(before + 1, before + 1 + len(rows))), 'the order of the events')
        times = [row['timeUsec'] for row in rows if row.get('path', '').startswith('after')]
        check(times[1] - times[0] > 9 * 365 * 86400e6 and times[2] < times[1], 'the clock was not set: the test is wrong')
        equal(len(stage.daemon.ctl('history', stage.at('file'))), len(STEPS), 'the history of a file')
        equal(stage.daemon.gaps('t'), [], 'gaps')
        equal(steps(stage), MOVES, 'by how much the clock was set')
        shown = stage.daemon.ctl_run('log', '--kind', 'clock-step', '-o', 'table').stdout.decode()
        check('set back by 1h' in shown and 'set ahead by 3650d 1h' in shown, f'what log shows: {shown}')
        with open(stage.daemon.err, encoding='utf-8', errors='replace') as file:
            check('The clock was set back by 1h' in file.read(), 'the journal was not told')
        seals_went_on(stage, 2)


def a_clock_that_nobody_sets_is_no_step():
    clock = Clock()
    with clock.stage() as stage:
        for number in range(3):
            write(stage.at(f'file{number}'), b'x')
            stage.rest()
            stage.daemon.kill('both')
            stage.daemon.start()
        stage.daemon.settle()
        equal(steps(stage), [], 'steps')


def the_clock_is_set_while_the_daemon_is_down():
    clock = Clock()
    with clock.stage() as stage:
        write(stage.at('file'), b'x')
        stage.rest()
        for number, offset in enumerate(STEPS):
            (stage.daemon.stop if number % 2 else lambda: stage.daemon.kill('both'))()
            clock.set(offset)
            write(stage.at('file'), b'%d' % number)
            write(stage.at(f'new{number}'), b'%d' % number)
            stage.daemon.start()
            stage.daemon.settle('t')
            stage.daemon.closed('t')
            stage.rest()
        gaps = stage.daemon.gaps('t')
        equal(len(gaps), len(STEPS), 'gaps')
        for gap in gaps:
            check(gap['fromUsec'] <= gap['untilUsec'], f'a gap ends before it begins: {gap}')
        equal(len(stage.daemon.ctl('history', stage.at('file'))), 1 + len(STEPS), 'the history of a file')
        equal(steps(stage), MOVES, 'by how much the clock was set')
        seals_went_on(stage, 1 + len(STEPS))


def a_clock_that_is_ahead_makes_nothing_old():
    clock = Clock()
    stage = clock.stage()
    with open(os.path.join(stage.daemon.config, 'scitrace', 'scitraced.conf'), 'a', encoding='ascii') as file:
        file.write('[Retention]\nKeepEvents=1d\n')
    with stage:
        for number in range(600):
            write(stage.at(f'file{number}'), b'x')
        stage.rest()
        clock.set(10 * 365 * 86400)
        write(stage.at('file0'), b'y')
        stage.rest()
        stage.daemon.ctl('store', 'backup', os.path.join(stage.daemon.top, 'sealed'))
        told, = stage.daemon.ctl('store', 'prune', '--dry-run')
        equal((told['upto'], told['events']), (0, 0), 'what would go')
        for ended in stage.daemon.stop, lambda: stage.daemon.kill('both'):      # nor when it starts so
            ended()
            stage.daemon.start()
            told, = stage.daemon.ctl('store', 'prune', '--dry-run')
            equal((told['upto'], told['events']), (0, 0), 'what would go after a start')
            check(abs(told['doubt']['offUsec'] / 1e6 - 10 * 365 * 86400) < 600, f'how far it is ahead: {told}')
            check(0 < told['doubt']['leftUsec'] <= 86400e6, f'how long it must stand: {told}')
        said = stage.daemon.ctl_run('store', 'prune').stderr.decode()
        check('ahead of the record' in said, f'why nothing goes: {said}')
        clock.set(2 * 86400)            # two days later, as far as anybody knows
        stage.daemon.stop()
        stage.daemon.start()
        told, = stage.daemon.ctl('store', 'prune', '--dry-run')
        check(told['upto'] > 0 and 'doubt' not in told, f'what would go by a clock that is believed: {told}')


harness.run([the_clock_is_set_while_the_tree_is_watched, a_clock_that_nobody_sets_is_no_step,
             a_clock_that_is_ahead_makes_nothing_old, the_clock_is_set_while_the_daemon_is_down])
