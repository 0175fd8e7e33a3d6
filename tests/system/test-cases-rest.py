# SPDX-License-Identifier: LGPL-2.1-or-later
"""What else the daemon does with a watched tree: leaves out what is ignored, reads large files later, copies its store,
tells who follows, says what the kernel's limit leaves uncovered."""

import contextlib
import os
import sqlite3
import subprocess

import harness
from cases import Stage
from harness import check, compare, equal, need, skip, snapshot, wait_for, write
from operations import LINKS, start_writers


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


harness.run([ignored_names_are_not_recorded, large_files_get_their_digest_later,
             a_copy_of_the_store_is_sound, the_log_is_followed, too_many_directories_for_the_kernels_limit])
