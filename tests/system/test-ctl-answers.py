# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scitracectl says of a real daemon's record: tables for people, JSON and bytes for programs."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time

import harness
from harness import check, equal, need, wait_for, write


HOSTILE = b'we\x1b[31mird\n\xff\xe2\x80\xae\\x41'
SHOWN = r'we\x1b[31mird\x0a\xff\xe2\x80\xae\\x41'


class Stage:
    """A daemon with two datasets, one of them a small repository."""

    def __enter__(self):
        self.daemon = harness.Daemon().__enter__()
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.other = os.path.join(self.daemon.top, 'other')
        os.mkdir(self.other)
        os.makedirs(os.path.join(self.tree, '.git', 'objects'))
        os.mkdir(os.path.join(self.tree, 'deep'))
        write(os.path.join(self.tree, '.git', 'objects', 'one'), b'12345')
        write(os.path.join(self.tree, '.git', 'index'), b'123')
        write(os.path.join(self.tree, 'deep', 'file'), b'x' * 2000)
        write(os.path.join(os.fsencode(self.tree), HOSTILE), b'')
        os.symlink('deep/file', os.path.join(self.tree, 'way'))
        self.daemon.add(self.tree, 'lab')
        self.daemon.add(self.other, 'raw')
        self.daemon.settle()
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def table(self, *arguments, **environment):
        before = dict(self.daemon.env)
        self.daemon.env.update({'LC_ALL': 'C.UTF-8', 'TZ': 'UTC', **environment})
        try:
            done = self.daemon.ctl_run(*arguments)
        finally:
            self.daemon.env = before
        equal((done.returncode, done.stderr), (0, b''), f'{arguments}')
        return done.stdout.decode().splitlines()

    def socket(self):
        with open(os.path.join(self.daemon.state, 'lock'), encoding='utf-8') as file:
            return file.read().splitlines()[1]

    def raw(self, method, **parameters):
        """The answers as they come over the socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket())
            connection.sendall(json.dumps({'method': method, 'parameters': parameters, 'more': True}).encode() + b'\0')
            data = b''
            while True:
                data += connection.recv(1 << 16)
                messages = [json.loads(part) for part in data.split(b'\0')[:-1]]
                if messages and not messages[-1].get('continues'):
                    return [message['parameters'] for message in messages]

    def on_terminal(self, *arguments, keys=b'', until=None, **environment):
        """Runs it on a terminal of 24 x 80; what it wrote there, and its exit code."""
        env = {**self.daemon.env, 'TERM': 'xterm', 'LC_ALL': 'C.UTF-8', **environment}
        env.pop('COLUMNS', None)
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(harness.program('scitracectl'), ['scitracectl', '--state', self.daemon.state, *arguments], env)
        written, end = b'', time.monotonic() + harness.LIMIT
        with contextlib.suppress(OSError):          # EIO: nobody has the terminal open any more
            while time.monotonic() < end:
                if select.select([fd], [], [], 0.05)[0]:
                    more = os.read(fd, 1 << 16)
                    if not more:
                        break
                    written += more
                if keys and (until is None or until in written):
                    os.write(fd, keys)
                    keys = b''
        os.close(fd)
        return written, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def json_is_the_rows_of_the_interface():
    with Stage() as stage:
        file = stage.tree + '/deep/file'
        for arguments, method, key, parameters in (
                (['datasets'], 'Datasets.List', 'dataset', {}),
                (['log'], 'Record.Events', 'event', {}),
                (['files', 'lab'], 'Record.Files', 'file', {'dataset': 'lab'}),
                (['history', file], 'Record.History', 'event', {'path': file})):
            wanted = [row[key] for row in stage.raw('org.scitrace.' + method, **parameters) if key in row]
            check(len(wanted) > 0, f'{method} answers nothing')
            equal(stage.daemon.ctl(*arguments), wanted, f'the rows of {arguments}')
        shown = stage.daemon.ctl('show', file)
        equal(shown, [row for row in stage.daemon.ctl('files', 'lab') if row.get('path') == 'deep/file'], 'show')
        described, = stage.raw('org.scitrace.Service.Describe')
        equal(sorted(stage.daemon.status()), sorted(described), 'the fields of status')
        pretty = stage.daemon.ctl_run('files', 'lab', '-o', 'json-pretty').stdout
        check(pretty.count(b'\n') > 20 and b'\n  "path": "deep/file"' in pretty, f'json-pretty: {pretty[:300]!r}')


def json_is_harmless_on_a_terminal():
    with Stage() as stage:
        name = 'del\x7f\x1b\u202e'
        write(os.path.join(stage.tree, name), b'')
        stage.daemon.settle('lab')
        text = stage.daemon.ctl_run('files', 'lab', '-o', 'json').stdout
        check(re.fullmatch(rb'[\n -~]+', text), f'{text!r}')
        check(any(row.get('path') == name for row in stage.daemon.ctl('files', 'lab')), 'the name is exact')


def files_without_a_word_are_those_of_every_dataset():
    with Stage() as stage:
        write(os.path.join(stage.other, 'r'), b'')
        stage.daemon.settle()
        found = {(row['dataset'], harness.name_of(row)) for row in stage.daemon.ctl('files')}
        equal(found, {('raw', b'r')} | {('lab', name) for name in harness.snapshot(stage.tree)}, 'files')


def names_are_shown_harmless_and_given_raw():
    with Stage() as stage:
        text = '\n'.join(stage.table('files', 'lab'))
        check(SHOWN in text, f'the name is not escaped in {text!r}')
        check(not re.search('[\x00-\x09\x0b-\x1f\x7f\u202e]', text), f'a raw control in {text!r}')
        raw = stage.daemon.ctl_run('files', 'lab', '-0').stdout
        equal(sorted(raw.split(b'\0')), [b''] + sorted(harness.snapshot(stage.tree)), 'files -0')
        done = stage.daemon.ctl_run('show', os.path.join(os.fsencode(stage.tree), HOSTILE))
        check(SHOWN.encode() in done.stdout, f'show: {done!r}')
        done = stage.daemon.ctl_run('history', os.path.join(os.fsencode(stage.tree), HOSTILE + b'?'))
        equal(done.returncode, 4, f'history: {done!r}')
        check(SHOWN.encode() in done.stderr and b'\x1b' not in done.stderr, f'history: {done!r}')


def git_is_one_line_until_all_is_asked_for():
    with Stage() as stage:
        folded = '\n'.join(stage.table('files', 'lab'))
        check('.git/ [3 entries; --all]' in folded and '.git/index' not in folded, f'files: {folded}')
        check(re.search(r'd\S+ +8 .*\.git/ \[', folded), f'its size is not the sum: {folded}')
        check('.git/objects/one' in '\n'.join(stage.table('files', 'lab', '--all')), 'files --all')
        check('.git/objects/one' in '\n'.join(stage.table('files', stage.tree + '/.git')), 'files .git')
        log = stage.table('log', '--dataset', 'lab')
        runs = [line for line in log if '; --all]' in line]
        check(1 <= len(runs) <= 4 and not any('.git/index' in line for line in log), f'log: {log}')
        check(any('.git/index' in line for line in stage.table('log', '--all')), 'log --all')
        equal(len([row for row in stage.daemon.ctl('log', '-n', '1000') if row.get('path', '').startswith('.git/')]),
              len([row for row in stage.raw('org.scitrace.Record.Events') if 'event' in row
                   and row['event'].get('path', '').startswith('.git/')]), 'JSON has all')


def the_newest_lines_of_the_log():
    with Stage() as stage:
        for number in range(30):
            write(os.path.join(stage.tree, '.git', f'n{number}'), b'')
        stage.daemon.settle()
        for number in range(3):
            write(os.path.join(stage.tree, f'last{number}'), b'')
            stage.daemon.settle()
        lines = stage.table('log', '-n', '4')
        equal(len(lines), 5, f'the titles and four lines: {lines}')
        check('.git/ [' in lines[1] and 'last0' in lines[2] and 'last2' in lines[4], f'{lines}')
        equal(stage.table('log', '-n', '4', '-r')[1:], lines[:0:-1], 'in reverse')
        rows = stage.daemon.ctl('log')
        equal(stage.daemon.ctl('log', '-n', '5'), rows[-5:], 'as JSON')
        equal(stage.daemon.ctl('log', '-r'), rows[::-1], 'all in reverse')
        equal(stage.daemon.ctl('log', '-n', '5', '-r'), rows[:-6:-1], 'the newest in reverse')
        added = [row for row in rows if row['kind'] == 'dataset-add']
        equal(stage.daemon.ctl('log', '--kind', 'dataset-add'), added, '--kind')
        equal(stage.daemon.ctl('log', '--dataset', 'raw'), [r for r in rows if r['dataset'] == 'raw'], '--dataset')
        stamp = rows[-1]['timeUsec']
        equal(stage.daemon.ctl('log', '-S', f'@{stamp // 1000000}.{stamp % 1000000:06}'), rows[-1:], '--since')
        equal(stage.daemon.ctl('log', '-U', 'yesterday'), [], '--until')


def paths_are_as_a_person_means_them():
    with Stage() as stage:
        os.symlink(stage.tree, os.path.join(stage.daemon.top, 'short'))
        run = lambda *arguments: stage.daemon.ctl_run(*arguments, '-o', 'json', cwd=stage.tree)
        wanted = run('show', stage.tree + '/deep/file').stdout
        check(b'"deep/file"' in wanted, f'{wanted!r}')
        for path in ('deep/file', './deep//file', 'deep/../deep/file', '../short/deep/file',
                     stage.daemon.top + '/short/deep/file'):
            equal(run('show', path).stdout, wanted, path)
        check(b'"symlink"' in run('show', 'way').stdout, 'a link is shown as itself')
        equal(run('files', '.').stdout, run('files', 'lab').stdout, 'files .')
        equal(run('files', '../short').stdout, run('files', 'lab').stdout, 'files of a link to the root')
        check(len(run('log', 'lab').stdout.splitlines()) > 5, 'log of a word that is a dataset')
        equal(run('log', 'lab').stdout, run('log', stage.tree).stdout, 'log of that dataset')
        equal(run('log', 'deep').stdout, run('log', stage.tree + '/deep').stdout, 'log of a directory')
        os.mkdir(os.path.join(stage.tree, 'raw'))
        stage.daemon.settle()
        equal(run('files', 'raw').stdout, b'', 'a name is the dataset before it is the directory')
        equal(run('files', './raw').returncode, 0, 'files ./raw')
        os.unlink(os.path.join(stage.tree, 'deep', 'file'))
        os.rmdir(os.path.join(stage.tree, 'deep'))
        stage.daemon.settle()
        for path in ('deep/file', '../short/deep/file'):
            newest = json.loads(run('history', path).stdout.splitlines()[0])
            equal(newest['kind'], 'unlink', f'history of {path}')
        equal(run('show', 'deep/file').returncode, 4, 'show of what is gone')


def tables_fit_eighty_columns():
    with Stage() as stage:
        long = stage.tree + '/a-rather-long-name-of-a-directory/and-a-longer-name-of-a-file-beneath-it.csv'
        os.mkdir(os.path.dirname(long))
        write(long, b'')
        stage.daemon.settle()
        os.rename(long, long + '.old')
        stage.daemon.settle()
        for arguments in (['datasets'], ['files'], ['log'], ['history', long + '.old'], ['coverage', 'lab'], ['metrics'],
                          ['status']):
            for line in stage.table(*arguments, COLUMNS='80'):
                # The one line that holds a path that a person may want to copy is as long as that.
                fits = len(line) <= 80 or line.startswith('     store  ')
                check(fits, f'{arguments}: {len(line)} columns: {line!r}')
        check(any('…' in line for line in stage.table('files', COLUMNS='80')), 'nothing was cut')
        check(not any('…' in line for line in stage.table('files', '--full', COLUMNS='80')), '--full cuts')
        check(not any('…' in line for line in stage.table('files')), 'a pipe is no screen')
        check('PATH' in stage.table('files')[0], 'titles')
        check('PATH' not in stage.table('files', '--no-legend')[0], '--no-legend')


def colours_and_a_pager_are_for_terminals():
    need('less')
    with Stage() as stage:
        text, code = stage.on_terminal('datasets')
        check(code == 0 and b'\x1b[32mwatched' in text, f'no colours: {code} {text!r}')
        for environment in ({'NO_COLOR': '1'}, {'TERM': 'dumb'}):
            text, code = stage.on_terminal('datasets', SCITRACE_PAGER='', **environment)
            check(code == 0 and b'\x1b' not in text, f'colours with {environment}: {text!r}')
        text, code = stage.on_terminal('datasets', TERM='dumb')
        check(code == 0 and b'RETURN' not in text and b'watched' in text, f'a pager on a dumb terminal: {text!r}')
        check(b'\x1b' not in stage.daemon.ctl_run('datasets').stdout, 'colours in a pipe')
        text, _ = stage.on_terminal('datasets', SCITRACE_PAGER='sed s/^/paged:/')
        check(b'paged:' in text, f'$SCITRACE_PAGER: {text!r}')
        text, _ = stage.on_terminal('datasets', PAGER='sed s/^/paged:/')
        check(b'paged:' in text, f'$PAGER: {text!r}')
        text, _ = stage.on_terminal('datasets', '--no-pager', PAGER='sed s/^/paged:/')
        check(b'paged:' not in text, f'--no-pager: {text!r}')
        for number in range(60):
            write(os.path.join(stage.tree, f'n{number}'), b'')
        stage.daemon.settle()
        text, code = stage.on_terminal('log', keys=b'q', until=b'lines 1-')
        check(code == 0, f'leaving the pager is no error: {code} {text!r}')


def a_follower_shows_what_comes_and_ends_by_ctrl_c():
    with Stage() as stage, contextlib.ExitStack() as end:
        before = stage.daemon.newest()
        command = [harness.program('scitracectl'), '--state', stage.daemon.state, 'log', '-f', stage.tree]
        follower = subprocess.Popen(command, env=stage.daemon.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
        end.callback(follower.communicate)
        end.callback(follower.kill)
        seen = b''

        def ready(mark):
            nonlocal seen
            if select.select([follower.stdout], [], [], 0)[0]:
                more = os.read(follower.stdout.fileno(), 1 << 16)
                check(more, f'it ended behind {seen!r}')
                seen += more
            return mark in seen
        wait_for(lambda: ready(b'way'), 'the past is shown')
        check(len(seen.splitlines()) <= 11, f'more than ten lines of the past: {seen!r}')
        write(os.path.join(stage.tree, 'news'), b'')
        wait_for(lambda: ready(b' news\n'), 'what comes is shown')
        check(stage.daemon.newest() > before, 'something was recorded')
        follower.send_signal(signal.SIGINT)
        equal((follower.wait(harness.LIMIT), follower.stderr.read()), (130, b''), 'its end')


def a_reader_that_leaves_is_no_error():
    with Stage() as stage:
        for arguments in (['log', '--all'], ['files', '-o', 'json'], ['metrics'], ['log', '-f']):
            command = [harness.program('scitracectl'), '--state', stage.daemon.state, *arguments]
            done = subprocess.run(['sh', '-c', '{ "$@"; echo "= $?" >&2; } | head -n 1 >/dev/null', 'sh', *command],
                                  env=stage.daemon.env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            equal(done.stderr, b'= 0\n', f'{arguments}')
        with open('/dev/full', 'wb') as full:
            command = [harness.program('scitracectl'), '--state', stage.daemon.state, 'files']
            done = subprocess.run(command, stdout=full, env=stage.daemon.env, stderr=subprocess.PIPE, check=False)
        check(done.returncode == 1 and b'No space left' in done.stderr, f'{done!r}')


def a_backup_overwrites_nothing_and_leaves_no_half():
    with Stage() as stage:
        copy = os.path.join(stage.daemon.top, 'copy.db')
        done = stage.daemon.ctl_run('store', 'backup', copy)
        equal(done.returncode, 0, f'{done.stderr!r}')
        size = os.path.getsize(copy)
        equal(os.stat(copy).st_mode & 0o777, 0o600, 'its mode')
        done = stage.daemon.ctl_run('store', 'backup', copy)
        check(done.returncode == 1 and b'exists' in done.stderr and os.path.getsize(copy) == size, f'{done!r}')
        done = stage.daemon.ctl_run('store', 'backup', os.path.join(stage.daemon.top, 'no', 'copy.db'))
        check(done.returncode == 1 and b'No such file' in done.stderr, f'{done!r}')
        row, = stage.daemon.ctl('store', 'backup', copy + '2')
        equal(row, {'bytes': os.path.getsize(copy + '2'), 'seq': stage.daemon.newest()}, 'what it says of itself')
        state = stage.daemon.state
        stage.daemon.state = os.path.join(stage.daemon.top, 'nowhere')
        equal(stage.daemon.ctl_run('store', 'backup', copy + '3').returncode, 3, 'with no daemon')
        stage.daemon.state = state
        check(not os.path.exists(copy + '3'), 'a file was left behind')


def words_that_the_daemon_knows_are_corrected():
    with Stage() as stage:
        for arguments, wanted in ((['files', 'lbb'], 'did you mean lab?'), (['coverage', 'la'], 'did you mean lab?'),
                                  (['metrics', 'node_laod1', '-S', '-1h'], 'node_load1'),
                                  (['metrics', 'node_laod1'], 'node_load1'),
                                  (['remove', 'zzz'], 'datasets'), (['settle', 'labb'], 'lab'),
                                  (['coverage', stage.tree], 'did you mean lab?'), (['log', '--dataset', 'lb'], 'lab')):
            done = stage.daemon.ctl_run(*arguments)
            equal((done.returncode, done.stdout), (4, b''), f'{arguments} ({done.stderr!r})')
            check(wanted in done.stderr.decode(), f'{arguments}: {done.stderr!r}')


def confirmations_are_said_unless_quiet():
    with Stage() as stage:
        path = os.path.join(stage.daemon.top, 'third')
        os.mkdir(path)
        for arguments in (['add', path], ['scan', 'third'], ['settle', 'third'], ['remove', 'third']):
            done = stage.daemon.ctl_run(*arguments)
            equal((done.returncode, done.stdout, done.stderr.count(b'\n')), (0, b'', 1), f'{arguments}: {done!r}')
        done = stage.daemon.ctl_run('add', path, '-q')
        equal((done.returncode, done.stdout, done.stderr), (0, b'', b''), 'add -q')
        names = {row['name']: row['state'] for row in stage.daemon.ctl('datasets', '--all')}
        equal(sorted(names), ['lab', 'raw', 'third'], 'datasets --all')


def completion_offers_the_datasets_and_the_series():
    with Stage() as stage:
        command = [harness.program('scitracectl'), '--complete', '--state', stage.daemon.state, 'files', '']
        done = subprocess.run(command, env=stage.daemon.env, capture_output=True, check=False)
        equal((done.returncode, sorted(done.stdout.split())), (0, [b'lab', b'raw']), 'candidates')
        done = subprocess.run(command[:-2] + ['metrics', 'node_loa'], env=stage.daemon.env, capture_output=True,
                              check=False)
        equal(done.stdout.split(), [b'node_load1', b'node_load5', b'node_load15'], 'series')


def metrics_of_now_and_then():
    with Stage() as stage:
        wait_for(lambda: stage.daemon.ctl('metrics', 'node_load1'), 'a first sample is taken')
        names = {row['name'] for row in stage.daemon.ctl('metrics')}
        check({'node_load1', 'node_memory_MemTotal_bytes', 'node_cpu_seconds_total'} <= names, f'{sorted(names)}')
        loads = {row['name'] for row in stage.daemon.ctl('metrics', 'node_load')}
        equal(loads, {'node_load1', 'node_load5', 'node_load15'}, 'those that begin so')
        check(stage.daemon.ctl('metrics', 'node_load1', '-S', '-1h'), 'no stored point')
        done = stage.daemon.ctl_run('metrics', 'nosuch')
        equal(done.returncode, 4, f'{done!r}')
        equal(stage.daemon.ctl_run('metrics', '-S', '-1h').returncode, 2, 'of no series')


harness.run([json_is_the_rows_of_the_interface, json_is_harmless_on_a_terminal,
             files_without_a_word_are_those_of_every_dataset, names_are_shown_harmless_and_given_raw,
             git_is_one_line_until_all_is_asked_for, the_newest_lines_of_the_log, paths_are_as_a_person_means_them,
             tables_fit_eighty_columns, colours_and_a_pager_are_for_terminals,
             a_follower_shows_what_comes_and_ends_by_ctrl_c, a_reader_that_leaves_is_no_error,
             a_backup_overwrites_nothing_and_leaves_no_half, words_that_the_daemon_knows_are_corrected,
             confirmations_are_said_unless_quiet, completion_offers_the_datasets_and_the_series, metrics_of_now_and_then])
