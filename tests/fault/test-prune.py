#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Old events are pruned, and the daemon is killed or failed at a write on the way: what is left is as it was, it verifies,
and the next prune goes on. FAULTS=all: at each write. Speaks TAP."""

import os
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle                                                                   # noqa: E402
from oracle import GONE, harness, open_link                                     # noqa: E402
from harness import check, equal, wait_for, write                               # noqa: E402

SAMPLE = {'kill': 12, '5': 5, '28': 5}
SETTINGS = '[Dataset]\nSettleTime=20ms\n[Retention]\nKeepEvents=1s\n'
OPTIONAL = {'create', 'modify', 'attribute', 'rename', 'link', 'unlink', 'transient', 'identify'}


def events_of(link):
    return {reply['event']['seq']: reply['event'] for reply in link.call('Record.Events', {}, more=True)}


def prune(link):
    """Up to which event."""
    upto = link.one('Store.Prunable')['upto']
    for _ in link.call('Store.Prune', {'upto': upto}, more=True):
        pass
    return upto


class Past:
    """A store with old events, and their tree, which stays as it is."""

    def __init__(self, top):
        self.tree, self.state = os.path.join(top, 'tree'), os.path.join(top, 'state')
        with harness.Daemon(state=self.state, settings=SETTINGS) as daemon:
            os.mkdir(self.tree)
            daemon.add(self.tree, oracle.NAME)
            for folder in 'gone', 'stays':
                os.mkdir(os.path.join(self.tree, folder))
                for number in range(250):
                    write(os.path.join(self.tree, folder, f'f{number}'), b'x')
            daemon.settle()
            shutil.rmtree(os.path.join(self.tree, 'gone'))
            daemon.settle()
            for number in range(256):           # so that what is above is before the cut
                write(os.path.join(self.tree, f'later{number}'))
            daemon.at_rest(oracle.NAME, self.tree)
            with open_link(daemon) as link:
                self.events = events_of(link)
        ended = time.monotonic()
        wait_for(lambda: time.monotonic() > ended + 1.1, 'they are older than KeepEvents=')


def left(daemon, past, upto):
    """Of the events up to there some may be gone; all others are what they were."""
    with open_link(daemon) as link:
        now = events_of(link)
        for seq, event in past.events.items():
            check(seq in now or (seq <= upto and event['kind'] in OPTIONAL), f'{seq} of {upto} is gone: {event}')
            equal(now.get(seq, event), event, f'event {seq}')
        equal([reply['row'] for reply in link.call('Integrity.Verify', {}, more=True)][-1]['result']['outcome'], 'sound',
              'verify of the daemon')
    return len(past.events.keys() - now.keys())


def life(past, how, at):
    """How many changes there were in the first of two lives, or 0: it was killed."""
    daemon = harness.Daemon(settings=SETTINGS, state=f'{past.state}-{how}-{at}')
    count = os.path.join(daemon.top, 'count')
    shutil.copytree(past.state, daemon.state, ignore=shutil.ignore_patterns('run'))
    try:
        daemon.run = ['env', f'LD_PRELOAD={harness.BUILD}/tests/fault/shim.so', f'FAULT_DIR={daemon.state}',
                      f'FAULT_AT={at}', f'FAULT_HOW={how}', f'FAULT_COUNT={count}']
        daemon.env['ASAN_OPTIONS'] += ':verify_asan_link_order=0'
        upto, ended = len(past.events), 0
        try:
            daemon.start()
            with open_link(daemon) as link:
                upto = prune(link)
        except (*GONE, harness.Failure) as error:
            check(how != 'none', error)
        process, daemon.process = daemon.process, None
        if process:
            process.send_signal(signal.SIGTERM)
            ended = process.wait(harness.LIMIT)
            check(ended in ((0, -signal.SIGKILL) if how == 'kill' else (0,)), f'it ended with {ended}')
        daemon.clean()
        daemon.run = []
        daemon.start()
        daemon.at_rest(oracle.NAME, past.tree)
        left(daemon, past, upto)
        with open_link(daemon) as link:
            upto = prune(link)
            check(not link.one('Store.Prunable')['unfinished'], 'the prune is not at its end')
        check(left(daemon, past, upto) > 200, 'hardly any event is gone')
        daemon.at_rest(oracle.NAME, past.tree)
        daemon.stop()
        done = oracle.verify(daemon.state, '--against', daemon.err)
        equal(done.returncode, 0, f'verify of the store ({done.stdout} {done.stderr})')
        if not os.path.exists(count):
            return 0
        with open(count, encoding='ascii') as file:
            return int(file.read())
    except BaseException:
        daemon.tell()
        raise
    finally:
        daemon.abandon()
        harness.remove(daemon.state)


def tests(top):
    past = Past(top)
    changes = []
    yield 'old events are pruned without a fault', lambda: changes.append(life(past, 'none', 0))
    for how, number in SAMPLE.items() if changes else ():
        points = oracle.sample(changes[0], number)
        yield (f'a prune, and {how} at a change to files: {len(points)} of {changes[0]}',
               lambda how=how, points=points: oracle.sweep(how, points, lambda how, at: life(past, how, at)))


with tempfile.TemporaryDirectory(prefix='scitrace-prune-', dir=oracle.MEMORY) as folder:
    harness.run(tests(os.path.realpath(folder)))
