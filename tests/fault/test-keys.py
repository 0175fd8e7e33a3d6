#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The key that seals the log is followed by another; killed or failed at a write on the way, the log can be verified, and
no key is lost. FAULTS=all: at each write. Speaks TAP."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import oracle                                                                   # noqa: E402
from oracle import harness                                                      # noqa: E402
from harness import check, equal                                                # noqa: E402

BEGIN = 1800000000      # that of open-store.c
STEPS = {'kill': 1, 'torn': 5, '5': 3, '28': 4}


def open_store(folder, days, **fault):
    env = dict(os.environ, LD_PRELOAD=os.path.join(harness.BUILD, 'tests/fault/shim.so'), FAULT_DIR=folder,
               ASAN_OPTIONS='verify_asan_link_order=0:detect_leaks=0', **fault)
    return subprocess.run([os.path.join(harness.BUILD, 'tests/fault/open-store'), folder, str(days)], env=env,
                          capture_output=True, check=False, timeout=harness.LIMIT)


def opened(folder, days, events):
    """One more event, and what was sealed: all, by a key that was there."""
    done = open_store(folder, days)
    equal(done.returncode, 0, f'opening it ({done.stderr})')
    sealed, lost = done.stdout.split()[1:]
    check(int(sealed) in events, f'{int(sealed)} events are sealed')
    equal(lost, b'0', 'keys that were lost')


def verified(folder, days):
    done = oracle.verify(folder, '-U', f'@{BEGIN + days * 86400}', '-o', 'json')
    equal(done.returncode, 0, f'verify ({done.stdout} {done.stderr})')


def take_over(template, top, how, at):
    """Whether the fault came. A key comes with the first event, and another after a week."""
    folder, count = os.path.join(top, 'store'), os.path.join(top, 'count')
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    done = open_store(folder, 8, FAULT_AT=str(at), FAULT_HOW=how, FAULT_COUNT=count)
    check(done.returncode in ((0, -signal.SIGKILL) if how in ('kill', 'torn') else (0, 1)),
          f'it ended with {done.returncode}: {done.stderr}')
    if done.returncode == 0:
        verified(folder, 8)
    opened(folder, 9, (5, 6) if done.returncode == 0 else (4, 5, 6))
    verified(folder, 9)
    equal({name for name in os.listdir(folder) if name.startswith('seal.key')}, {'seal.key'}, 'the files of keys')
    if done.returncode == -signal.SIGKILL:
        return True
    with open(count, encoding='ascii') as file:
        return int(file.read()) >= at


def sweep(how):
    with tempfile.TemporaryDirectory(prefix='scitrace-keys-', dir=oracle.MEMORY) as top:
        template = os.path.join(top, 'template')
        opened(template, 0, (1,))
        opened(template, 1, (2,))
        at, step = 1, 1 if os.environ.get('FAULTS') == 'all' else STEPS[how]
        while take_over(template, top, how, at):
            at += step
        check(at > 20, f'there were only {at} changes')


harness.run([(f'one key follows another, {how} at a change to files', lambda how=how: sweep(how)) for how in STEPS])
