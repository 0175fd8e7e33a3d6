# SPDX-License-Identifier: LGPL-2.1-or-later
"""File names are bytes: whatever the kernel takes is recorded as it is, comes back as it was, and harms no terminal."""

import base64
import os

import harness
from cases import Stage
from harness import check, equal, name_of, write

NAMES = [b'\xff\xfe', b'\x80', b'new\nline', b'\n', b'tab\t', b'\x1b[31mred', b'\x1b]0;title\x07', b'\x7f', b'\x01',
         b'"quoted"', b"it's", b'back\\slash', b'\\n', b' ', b'  leading', b'trailing ', b'-rf', b'--help', b'*', b'?',
         b'$(touch x)', b'`id`', b'%s%n', b'~', b'#1', b';', b'&&', b'.hidden', b'...', b'a' * 255, b'\xff' * 255,
         'ä'.encode(), 'a\u0308'.encode(), '\u202eevil'.encode(), '\ufeff'.encode(), '\u200b'.encode(),
         'é'.encode('latin-1'), b'\xed\xa0\x80', b'\xc0\xaf', b'\xf4\x90\x80\x80', '\U0001f600'.encode(), b'null\x02',
         b'CON', b'a:b', b'a' * 254 + b'\xc3']


def at(stage, name):
    return os.path.join(os.fsencode(stage.tree), name)


def every_name_comes_back_as_it_was():
    """As files, as directories with something in them, as targets of links; in files, log, history and show."""
    with Stage() as stage:
        os.mkdir(stage.at('d'))
        before = stage.daemon.newest()
        for number, name in enumerate(NAMES):
            write(at(stage, name), b'%d' % number)
            os.mkdir(at(stage, b'd/' + name))
            write(at(stage, b'd/' + name + b'/' + name), b'x')
            os.symlink(name, at(stage, b'd/link%d' % number))
        stage.rest()
        rows = stage.daemon.events(before)
        logged = {name_of(row) for row in rows if row['kind'] == 'create'}
        check(set(NAMES) <= logged, f'not in the log: {sorted(set(NAMES) - logged)[:3]}')
        for row in rows:
            check(('path' in row) != ('pathBase64' in row), f'a row has two forms of its path, or none: {row}')
            if 'pathBase64' in row:
                check(not is_text(base64.b64decode(row['pathBase64'], validate=True)), f'text as base64: {row}')
        for name in NAMES:
            row = stage.daemon.ctl('show', os.fsdecode(at(stage, name)))[0]
            equal(name_of(row).rpartition(b'/')[2], name, 'the name that show gives')
            equal(len(stage.daemon.ctl('history', os.fsdecode(at(stage, name)))), 1, f'history of {name!r}')


def is_text(name):
    try:
        name.decode()
        return True
    except UnicodeDecodeError:
        return False


def renamed_from_each_to_the_next():
    with Stage() as stage:
        write(at(stage, NAMES[0]), b'x')
        stage.rest()
        before = stage.daemon.newest()
        for name, following in zip(NAMES, NAMES[1:]):
            os.rename(at(stage, name), at(stage, following))
        stage.rest()
        got = [(row['kind'], name_of(row, 'oldPath'), name_of(row)) for row in stage.daemon.events(before)]
        equal(got, [('rename', *pair) for pair in zip(NAMES, NAMES[1:])], 'the renames')
        equal(len(stage.daemon.ctl('history', os.fsdecode(at(stage, NAMES[-1])))), len(NAMES), 'rows of its history')


def tables_have_no_control_byte():
    """Nor anything else that would move a cursor: every command's table is lines of plain text."""
    with Stage() as stage:
        os.mkdir(stage.at('d'))
        for number, name in enumerate(NAMES):
            write(at(stage, name), b'x')
            os.symlink(name, at(stage, b'd/link%d' % number))
        stage.rest()
        for name in NAMES:
            os.rename(at(stage, name), at(stage, b'd/' + name))
        stage.rest()
        commands = [('files', 't'), ('log',), ('log', '-r'), ('coverage', 't'), ('status',)]
        commands += [(command, os.fsdecode(at(stage, b'd/' + name))) for command in ('history', 'show')
                     for name in NAMES[:12]]
        commands += [('history', os.fsdecode(at(stage, b'\x1b[31mnot there')))]
        for command in commands:
            done = stage.daemon.ctl_run(*command, '--all') if command[0] == 'log' else stage.daemon.ctl_run(*command)
            for text in (done.stdout, done.stderr):
                bad = [byte for byte in text if (byte < 32 and byte != 10) or byte == 127]
                check(not bad, f'{command[0]} prints the bytes {bad[:5]}')
                check(is_text(text), f'{command[0]} prints what is not UTF-8')
                check('\u202e' not in text.decode(), f'{command[0]} prints a mark that turns the line around')
            lines = done.stdout.split(b'\n')
            if command == ('files', 't'):
                check(len(lines) <= 2 * len(NAMES) + 8, f'{len(lines)} lines for {2 * len(NAMES) + 1} names')


harness.run([every_name_comes_back_as_it_was, renamed_from_each_to_the_next, tables_have_no_control_byte])
