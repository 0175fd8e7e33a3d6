# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the benches print: a line a figure, its ratios behind it."""

import contextlib
import os
import platform
import subprocess
import tempfile

from link import median, quantile


def line(text=''):
    print(text, flush=True)


def row(name, value, unit, note=''):
    line(f'  {name:<62} {value:>12} {unit:<7} {note}'.rstrip())


def skipped(name, reason):
    row(name, '-', '', f'skipped: {reason}')


def seconds(value):
    return f'{value:.3f}'


def milli(value):
    return f'{1000 * value:.3f}'


def mebi(value):
    return f'{value / 2**20:.1f}'


def spread(values):
    """Least, median and greatest: what a shared machine made of one thing."""
    return f'{min(values):.3f}/{median(values):.3f}/{quantile(values, 1):.3f}'


def first_line(command, number=0):
    """Line `number` of what a program says of itself, or '?'."""
    with contextlib.suppress(OSError, IndexError):
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.stdout.decode('utf-8', 'replace').splitlines()[number].strip()
    return '?'


def machine():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        model = next((text.partition(':')[2].strip() for text in file if text.startswith('model name')), '?')
    kind = subprocess.run(['stat', '-f', '-c', '%T', tempfile.gettempdir()], check=True, stdout=subprocess.PIPE)
    return (f'{model}, {os.cpu_count()} cores, Linux {platform.release()}, {kind.stdout.decode().strip()}, '
            f'load average {os.getloadavg()[0]:.1f} before we began')
