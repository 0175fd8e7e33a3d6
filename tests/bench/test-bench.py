#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benches run: a moment of each, whatever the build. Their figures are not looked at."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'system')]

import harness  # noqa: E402
from bench import BENCHES, PROGRAMS  # noqa: E402


def run(script, wanted, *arguments):
    for name in PROGRAMS:
        harness.program(name)
    done = subprocess.run([sys.executable, os.path.join(HERE, script), '--quick', *arguments], check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = done.stdout.decode('utf-8', 'backslashreplace')
    harness.check(done.returncode == 0, f'it ended with {done.returncode}:\n{text}')
    harness.check(wanted in text, f'it printed no {wanted!r}:\n{text}')


def bench(which):
    run('bench.py', which + ' ', '--only', which)


def the_table_of_scale_runs():
    run('scale.py', '| a directory |')


harness.run([(f'{which} runs', lambda which=which: bench(which)) for which in BENCHES] + [the_table_of_scale_runs])
