#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The whole daemon at a small work, with an N-th allocation that fails, in scitraced or in scitrace-watch: it goes on, or
ends with a sentence, never by a signal; and the record is whole. Speaks TAP.

FAULTS=all takes each N; FAULTS=scitraced:17,scitrace-watch:40 those; else a sample is taken, another one each day."""

import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle                                                                   # noqa: E402
from harness import check, program, wait_for                                    # noqa: E402
from life import Life                                                           # noqa: E402
from oracle import harness                                                      # noqa: E402

SAMPLE = {'scitraced': 12, 'scitrace-watch': 8}
FAULTS = os.environ.get('FAULTS', '')
WRONG = re.compile(rb'AddressSanitizer|LeakSanitizer|runtime error|Assertion|signal \d+', re.I)


class Short(Life):
    """A life in which memory is short once."""

    def __init__(self, who, at, within):
        super().__init__('none', 0, within)
        self.daemon.run = ['env', f'LD_PRELOAD={program("tests/fault/memory.so")}', f'MEMORY_OF={who}', f'MEMORY_AT={at}',
                           f'MEMORY_COUNT={self.count}']
        if who != 'scitraced':          # it is replaced, and the next one would end at the same place
            self.daemon.run.append(f'MEMORY_ONCE={self.count}-once')

    def end(self):
        daemon, process = self.daemon, self.daemon.process
        if process and process.poll() is None:
            wait_for(lambda: process.poll() is not None or self.tried(self.oracle.settle), 'it goes on, or ends')
        if process and process.poll() is not None:
            check(process.returncode == 1, f'it ended with {process.returncode}')
            daemon.process = None
            daemon.clean()
        elif process:
            daemon.stop()
        with open(daemon.err, 'rb') as file:
            wrong = [line for line in file if WRONG.search(line)]
        check(not wrong, f'what it said: {wrong[:5]}')
        with open(self.count, encoding='ascii') as file:
            self.changes = int(file.read())


def life(who, at):
    """How many allocations there were."""
    with tempfile.TemporaryDirectory(prefix='scitrace-memory-', dir=oracle.MEMORY) as top:
        one = Short(who, at, top)
        one.whole()
        return one.changes


def tests():
    counted = {}
    if FAULTS not in ('', 'all'):
        for who, at in (word.split(':') for word in FAULTS.split(',')):
            yield f'an allocation of {who} fails: {at}', lambda who=who, at=at: oracle.sweep(who, [int(at)], life)
        return
    for who, number in SAMPLE.items():
        yield f'the allocations of {who} are counted', lambda who=who: counted.update({who: life(who, 0)})
        if who in counted:
            chosen = oracle.sample(counted[who], number)
            yield (f'an allocation of {who} fails: {len(chosen)} of {counted[who]}',
                   lambda who=who, chosen=chosen: oracle.sweep(who, chosen, life))


harness.run(tests())
