# SPDX-License-Identifier: LGPL-2.1-or-later
"""How programs save: a new file that takes the name in one move is one `modify`; the dance of an editor that keeps a
backup is the events that it was. Either way `replaces` names the version that the name had before."""

import os
import subprocess

import harness
from cases import Held, Stage
from harness import check, equal, name_of, need

TEXT = b'one\ntwo\nthree\n'
SAVED = [('modify', 'doc', True)]                       # a temporary file renamed over it
KEPT = [[('rename', 'doc~', False), ('create', 'doc', True)],            # a backup kept, and written anew;
        [('rename', 'doc~', True), ('create', 'doc', True)]]            # the second time over the first backup


def saves(stage, command, wanted, env=None):
    """Runs the command twice on a settled document, and compares (kind, path, whether `replaces` is said)."""
    held = Held(stage.daemon.events())
    digests = set()
    for turn in range(2):
        before = stage.daemon.newest()
        done = subprocess.run(command, cwd=stage.tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False,
                              env=dict(stage.daemon.env, HOME=stage.outside, TERM='xterm', **(env or {})))
        check(done.returncode == 0, f'{command} ended with {done.returncode}: {done.stdout[-500:]!r}')
        stage.rest()
        rows = stage.daemon.events(before)
        got = []
        for row in rows:
            expected = held.expected(name_of(row))
            said = row.get('replaces')
            check(said in (None, expected), f'{row["kind"]} {row["path"]} replaces {said}, and not {expected}')
            check(row['origin'] == 'live', f'{row["kind"]} {row["path"]} is {row["origin"]}')
            held.take(row)
            if row['path'].startswith('.'):         # an editor's lock or swap file
                equal(row['kind'], 'transient', f'what {row["path"]} is')
            else:
                got.append((row['kind'], row['path'], said is not None))
        diff = wanted[min(turn, len(wanted) - 1)]
        equal(got, diff, f'events of save {turn + 1} by {command[0]}')
        digests.add(stage.daemon.ctl('show', stage.at('doc'))[0]['digest'])
    equal(len(digests), 2, 'contents')
    known = {row.get('digest') for row in stage.daemon.ctl('history', stage.at('doc'))}
    check(digests <= known and len(known) >= 3, f'the history knows {len(known)} contents')


def document(settings=None):
    stage = Stage(settings)
    harness.write(stage.at('doc'), TEXT)
    return stage


def python_replaces_it():
    with document() as stage:
        saves(stage, ['python3', '-c', 'import os; f = open("doc.tmp", "wb"); f.write(os.urandom(9)); f.close(); '
                      'os.replace("doc.tmp", "doc")'], [SAVED])


def python_replaces_it_from_another_directory():
    with document() as stage:
        os.mkdir(stage.at('tmp'))
        stage.rest()
        saves(stage, ['python3', '-c', 'import os; f = open("tmp/x", "wb"); f.write(os.urandom(9)); f.close(); '
                      'os.replace("tmp/x", "doc")'], [SAVED])


def sed_edits_in_place():
    with document() as stage:
        saves(stage, ['sed', '-i', 's/$/x/', 'doc'], [SAVED])


def sed_edits_in_place_and_keeps_a_backup():
    """The second time its backup has the name already."""
    with document() as stage:
        saves(stage, ['sed', '-i~', 's/$/x/', 'doc'], KEPT)


VIM = ['vim', '-u', 'NONE', '-es', '-c', 'set nocompatible backupskip=']       # by default it keeps no backup beneath /tmp


def vim_writes_over_it():
    need('vim')
    with document() as stage:
        saves(stage, [*VIM, '-c', 'set backupcopy=yes writebackup nobackup', '-c', '2s/$/x/', '-c', 'wq', 'doc'],
              [[('transient', 'doc~', False), ('modify', 'doc', False)]])


def vim_renames_and_writes_anew():
    need('vim')
    with document() as stage:
        saves(stage, [*VIM, '-c', 'set backupcopy=no writebackup nobackup', '-c', '2s/$/x/', '-c', 'wq', 'doc'],
              [[('rename', 'doc~', old), ('unlink', 'doc~', False), ('create', 'doc', True)]
               for old in (False, True)])


def vim_keeps_a_backup():
    need('vim')
    with document() as stage:
        saves(stage, [*VIM, '-c', 'set backupcopy=no backup', '-c', '2s/$/x/', '-c', 'wq', 'doc'],
              [KEPT[0], [('unlink', 'doc~', False), *KEPT[1]]])


def emacs(stage, setting, wanted):
    need('emacs')
    always = '(setq backup-enable-predicate (lambda (name) t))'     # by default none beneath /tmp
    saves(stage, ['emacs', '-Q', '--batch', '--eval', f'(progn {always} {setting} (find-file "doc")'
                  ' (goto-char (point-max)) (insert "x") (save-buffer))'], wanted)


def emacs_keeps_a_backup():
    with document() as stage:
        emacs(stage, '', KEPT)


def emacs_copies_its_backup():
    with document() as stage:
        emacs(stage, '(setq backup-by-copying t)',
              [[(kind, 'doc~', False), ('modify', 'doc', False)] for kind in ('create', 'modify')])


def emacs_without_a_backup():
    with document() as stage:
        emacs(stage, '(setq make-backup-files nil)', [[('modify', 'doc', False)]])


def emacs_is_careful():
    """A temporary file renamed over it, and no backup."""
    with document() as stage:
        emacs(stage, '(setq file-precious-flag t make-backup-files nil)', [SAVED])


harness.run([python_replaces_it, python_replaces_it_from_another_directory, sed_edits_in_place,
             sed_edits_in_place_and_keeps_a_backup, vim_writes_over_it, vim_renames_and_writes_anew,
             vim_keeps_a_backup, emacs_keeps_a_backup, emacs_copies_its_backup, emacs_without_a_backup,
             emacs_is_careful])
