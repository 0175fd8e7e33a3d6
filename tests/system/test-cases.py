# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hard cases, one a test, that neither the script nor the random work reaches."""

import contextlib
import os
import shutil
import sqlite3
import subprocess

import harness
from harness import check, compare, equal, need, need_root, skip, snapshot, wait_for, write
from operations import LINKS, exchange, populate, start_writers


class Stage:
    def __init__(self, settings=None, tree=True):
        self.daemon = harness.Daemon(settings=settings)
        self.tree = os.path.join(self.daemon.top, 'tree')
        self.outside = os.path.join(self.daemon.top, 'outside')
        os.mkdir(self.outside)
        os.mkdir(self.tree)
        self.add = tree

    def __enter__(self):
        self.daemon.__enter__()
        if self.add:
            self.daemon.add(self.tree, 't')
            self.rest()
        return self

    def __exit__(self, *error):
        return self.daemon.__exit__(*error)

    def at(self, name):
        return os.path.join(self.tree, name)

    def rest(self):
        return self.daemon.at_rest('t', self.tree)

    def causes(self):
        return sorted({gap['cause'] for gap in self.daemon.gaps('t')})

    def rows(self, after=0):
        return [(row['kind'], row.get('path')) for row in self.daemon.events(after)]


def mounted(kind, source, target, *options):
    need_root('mounting')
    done = subprocess.run(['mount', *kind, *options, source, target], check=False, stderr=subprocess.PIPE)
    if done.returncode != 0:
        skip(f'mount is refused here: {done.stderr.decode().strip()}')


def a_hard_link_outside_is_seen_through_at_the_next_start():
    with Stage() as stage:
        write(stage.at('file'), b'before')
        os.link(stage.at('file'), os.path.join(stage.outside, 'other'))
        stage.rest()
        write(os.path.join(stage.outside, 'other'), b'after!')
        stage.daemon.stop()
        stage.daemon.start()
        stage.daemon.settle('t')
        stage.daemon.closed('t')
        stage.rest()


def an_exchange_with_a_name_outside():
    """Both ways: one of them looks to the watcher like a name that came and went."""
    for name in ('file', 'directory'):
        for inwards in (False, True):
            with Stage() as stage:
                write(stage.at('file'), b'x')
                os.makedirs(stage.at('directory/below'))
                os.makedirs(os.path.join(stage.outside, 'a/b'))
                stage.rest()
                before = stage.daemon.newest()
                ends = [os.fsencode(os.path.join(stage.outside, 'a')), os.fsencode(stage.at(name))]
                exchange(*(ends if inwards else reversed(ends)))
                stage.rest()
                check(('create', name) in stage.rows(before) and ('unlink', name) in stage.rows(before),
                      f'{name} was not replaced: {stage.rows(before)}')


def a_file_is_written_to_after_its_name_went_while_it_has_another():
    with Stage() as stage:
        write(stage.at('a'), b'1')
        os.link(stage.at('a'), stage.at('b'))
        write(stage.at('c'), b'c')
        stage.rest()
        for go in (lambda: os.unlink(stage.at('a')), lambda: os.rename(stage.at('c'), stage.at('b'))):
            os.path.exists(stage.at('d')) or os.link(stage.at('b'), stage.at('d'))
            with open(stage.at('a' if os.path.exists(stage.at('a')) else 'b'), 'ab', buffering=0) as file:
                stage.rest()
                go()
                stage.daemon.settle('t')
                file.write(b'more')
            stage.rest()


def a_root_on_a_file_system_that_is_unmounted():
    """A gap, no thousand removals; and the watch does not keep the file system busy."""
    with Stage(tree=False) as stage:
        mounted(['-t', 'tmpfs'], 'scitrace-test', stage.tree)
        with contextlib.ExitStack() as stack:
            stack.callback(subprocess.run, ['umount', '-l', stage.tree], check=False, stderr=subprocess.DEVNULL)
            populate(stage.tree, 'unmount')
            stage.daemon.add(stage.tree, 't')
            stage.rest()
            before = stage.daemon.newest()
            done = subprocess.run(['umount', stage.tree], check=False, stderr=subprocess.PIPE)
            equal(done.returncode, 0, f'umount ({done.stderr!r})')
            wait_for(lambda: 'unmounted' in stage.causes(), 'a gap says that the file system is away')
        gone = [row for row in stage.rows(before) if row[0] == 'unlink']
        equal(gone, [], 'removals recorded by the unmount')


def a_root_that_moves_away_and_returns():
    with Stage() as stage:
        populate(stage.tree, 'moves', directories=3)
        stage.rest()
        before = stage.daemon.newest()
        away = os.path.join(stage.outside, 'away')
        os.rename(stage.tree, away)
        wait_for(lambda: 'root-moved' in stage.causes(), 'a gap says that the root is not where it was')
        write(os.path.join(away, 'meanwhile'), b'x')
        os.rename(away, stage.tree)
        wait_for(lambda: all('closedBy' in gap for gap in stage.daemon.gaps('t')), 'the gap is closed')
        stage.rest()
        equal([row for row in stage.rows(before) if row[0] == 'unlink'], [], 'removals recorded by the move')


def a_root_that_is_removed_and_made_again():
    with Stage() as stage:
        populate(stage.tree, 'again', directories=3)
        stage.rest()
        shutil.rmtree(stage.tree)
        wait_for(lambda: 'root-moved' in stage.causes(), 'a gap says that the root is not where it was')
        check(stage.daemon.status()['state'] in ('running', 'degraded'), 'the daemon is well')


def a_second_way_to_a_root_by_a_bind_mount_is_refused():
    with Stage() as stage:
        mounted(['--bind'], stage.tree, stage.outside)
        try:
            done = stage.daemon.ctl_run('add', stage.outside)
            check(done.returncode != 0, 'one directory became two datasets')
            check(b' t' in done.stderr or b'"t"' in done.stderr, f'the dataset is not named: {done.stderr!r}')
        finally:
            subprocess.run(['umount', stage.outside], check=False)


def a_dataset_that_is_removed_and_added_again_goes_on():
    with Stage() as stage:
        write(stage.at('file'), b'1')
        stage.rest()
        uuid = stage.daemon.ctl('datasets')[0]['uuid']
        equal(stage.daemon.ctl_run('remove', 't').returncode, 0, 'remove')
        equal(stage.daemon.ctl('datasets'), [], 'datasets')
        write(stage.at('file'), b'two')
        write(stage.at('new'), b'')
        stage.daemon.add(stage.tree, 't')
        stage.daemon.settle('t')
        stage.daemon.closed('t')
        stage.rest()
        equal(stage.daemon.ctl('datasets')[0]['uuid'], uuid, 'its UUID')
        equal(stage.causes(), ['removed'], 'causes of its gaps')
        check(len(stage.daemon.ctl('history', stage.at('file'))) >= 2, 'its history begins anew')


def what_is_removed_is_watched_no_more():
    with Stage() as stage:
        equal(stage.daemon.ctl_run('remove', 't').returncode, 0, 'remove')
        before = stage.daemon.newest()
        write(stage.at('unseen'))
        stage.daemon.settle()
        equal(stage.rows(before), [], 'events after remove')
        equal(stage.daemon.status()['watches'], 0, 'watches')


def ignored_names_are_not_recorded():
    with Stage(settings='[Ignore]\nPattern=*.tmp\nPattern=/cache/\n') as stage:
        os.mkdir(stage.at('cache'))
        write(stage.at('cache/x'))
        write(stage.at('a.tmp'))
        write(stage.at('kept'))
        stage.daemon.settle('t')
        compare(stage.daemon.ctl('files', 't'), snapshot(stage.tree, leave_out=(b'cache', b'a.tmp')))
        os.rename(stage.at('a.tmp'), stage.at('a'))
        os.rename(stage.at('kept'), stage.at('kept.tmp'))
        stage.daemon.settle('t')
        compare(stage.daemon.ctl('files', 't'), snapshot(stage.tree, leave_out=(b'cache', b'kept.tmp')))


def large_files_get_their_digest_later():
    with Stage(settings='[Identify]\nDigestUpTo=64K\n') as stage:
        before = stage.daemon.newest()
        write(stage.at('large'), os.urandom(3 << 20))
        write(stage.at('small'), os.urandom(1000))
        stage.daemon.settle('t')
        first = [row for row in stage.daemon.events(before) if row.get('path') == 'large'][0]
        equal((first['kind'], first['size']), ('create', 3 << 20), 'the event of a large file')
        wait_for(lambda: stage.daemon.status()['pending'] == 0, 'its digest is read')
        stage.rest()


def a_copy_of_the_store_is_sound():
    with Stage() as stage:
        finish = start_writers(stage.tree, stage.outside, 'backup', 2, 300, LINKS)
        copy = os.path.join(stage.daemon.top, 'copy.db')
        done = stage.daemon.ctl_run('store', 'backup', copy)
        equal(done.returncode, 0, f'store backup ({done.stderr!r})')
        finish()
        stage.rest()
        with contextlib.closing(sqlite3.connect(copy)) as database:
            equal(database.execute('PRAGMA integrity_check').fetchall(), [('ok',)], 'integrity_check')
            check(database.execute('SELECT count(*) FROM event').fetchone()[0] > 0, 'the copy holds no event')


def the_log_is_followed():
    """A follower gets each event once, in order, after it is durable; and the daemon ends although it is there."""
    with Stage() as stage:
        before = stage.daemon.newest()
        command = [harness.program('scitracectl'), '--state', stage.daemon.state, 'log', '-f', '-n', '1', '-o', 'json']
        with subprocess.Popen(command, env=stage.daemon.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as follower:
            first = harness.json.loads(follower.stdout.readline())
            equal(first['seq'], before, 'the first row is the newest event')
            start_writers(stage.tree, stage.outside, 'follow', 2, 200, LINKS)()
            events = stage.rest()['events']
            followed = [harness.json.loads(follower.stdout.readline())['seq'] for _ in range(events - before)]
            equal(followed, list(range(before + 1, events + 1)), 'the sequence numbers that the follower got')
            stage.daemon.stop()
            follower.wait(harness.LIMIT)


def too_many_directories_for_the_kernels_limit():
    """In a user namespace of its own, whose limit is lowered: a gap says what is not covered."""
    need('unshare')
    limit = 40
    stage = Stage(tree=False)
    daemon = stage.daemon
    for number in range(limit * 3):
        os.mkdir(stage.at(f'd{number}'))
        write(stage.at(f'd{number}/f'), b'%d' % number)
    try:
        with open(daemon.err, 'ab') as err, open(daemon.err + '.out', 'ab') as out:
            daemon.process = subprocess.Popen(
                ['unshare', '--user', '--map-root-user', 'sh', '-c',
                 f'echo {limit} > /proc/sys/user/max_inotify_watches && exec "$@"', 'sh',
                 harness.program('scitraced'), '--user', '--state', daemon.state],
                env=daemon.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)

        def answers():
            if daemon.process.poll() is not None:
                with open(daemon.err, 'rb') as file:
                    text = file.read().decode('utf-8', 'replace').strip()
                daemon.process = None
                skip(f'no user namespace with a limit of its own here: {text}')
            return daemon.ctl_run('status').returncode == 0
        wait_for(answers, 'the daemon answers')
        daemon.add(stage.tree, 't')
        daemon.settle('t')
        wait_for(lambda: 'watch-limit' in stage.causes(), 'a gap says that there are not enough watches')
        tree, rows = snapshot(stage.tree), daemon.ctl('files', 't')
        recorded = {harness.name_of(row) for row in rows}
        check(limit / 2 < len(recorded) and {path for path in tree if b'/' not in path} <= recorded,
              f'only {len(recorded)} of {len(tree)} names are recorded')
        compare(rows, {path: state for path, state in tree.items() if path in recorded})
        daemon.stop()
    except BaseException as error:
        if not isinstance(error, harness.Skip):
            daemon.tell()
        raise
    finally:
        daemon.abandon()


harness.run([a_hard_link_outside_is_seen_through_at_the_next_start, an_exchange_with_a_name_outside,
             a_file_is_written_to_after_its_name_went_while_it_has_another, a_root_on_a_file_system_that_is_unmounted,
             a_root_that_moves_away_and_returns, a_root_that_is_removed_and_made_again,
             a_second_way_to_a_root_by_a_bind_mount_is_refused, a_dataset_that_is_removed_and_added_again_goes_on,
             what_is_removed_is_watched_no_more, ignored_names_are_not_recorded, large_files_get_their_digest_later,
             a_copy_of_the_store_is_sound, the_log_is_followed, too_many_directories_for_the_kernels_limit])
