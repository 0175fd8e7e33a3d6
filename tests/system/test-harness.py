# SPDX-License-Identifier: LGPL-2.1-or-later
"""The oracle itself: a record that differs from the tree in one thing is found out."""

import base64
import os
import tempfile

import harness
from harness import Failure, check, compare, equal, snapshot, write
from operations import LINKS, Writer


def rows_of(tree):
    """The rows that `files -o json` has to give for a tree."""
    rows = []
    for path, state in tree.items():
        row = dict(state, seq=1)
        for key, value in (('path', path), ('target', state.get('target'))):
            if value is not None:
                row.pop(key, None)
                try:
                    row[key] = value.decode()
                except UnicodeDecodeError:
                    row[key + 'Base64'] = base64.b64encode(value).decode()
        rows.append(row)
    return rows


def some_tree(work):
    with tempfile.TemporaryDirectory() as top:
        tree, outside = os.path.join(top, 'tree'), os.path.join(top, 'outside')
        os.mkdir(tree)
        os.mkdir(outside)
        Writer(tree, outside, 'harness', LINKS).work(600)
        write(os.path.join(tree, 'file'), b'x')
        os.symlink(b'\xff', os.path.join(os.fsencode(tree), b'\xfe'))
        try:
            work(tree)
        finally:
            harness.remove(tree)
            harness.remove(outside)


def refused(rows, tree, what):
    try:
        compare(rows, tree)
    except Failure:
        return
    raise Failure(f'{what} was not found out')


def a_true_record_passes():
    some_tree(lambda tree: compare(rows_of(snapshot(tree)), snapshot(tree)))


def one_wrong_thing_is_found_out():
    def work(top):
        tree = snapshot(top)
        types = set()
        for path, state in tree.items():
            if state['type'] in types:
                continue
            types.add(state['type'])
            for key in state:
                rows = rows_of(tree)
                row = next(row for row in rows if harness.name_of(row) == path)
                if key + 'Base64' in row:
                    row[key + 'Base64'] = 'AAAA'
                else:
                    row[key] = 7 if isinstance(row[key], int) else 'other'
                refused(rows, tree, f'a wrong {key} of a {state["type"]}')
            refused([row for row in rows_of(tree) if harness.name_of(row) != path], tree, 'a missing row')
        refused(rows_of(tree) + [dict(rows_of(tree)[0], path='no such')], tree, 'a row too many')
        refused(rows_of(tree) + rows_of(tree)[:1], tree, 'a row given twice')
        check(types >= {'file', 'directory', 'symlink', 'fifo', 'socket'}, f'the tree has only {types}')
    some_tree(work)


def the_same_seed_does_the_same_work():
    def work(top):
        with tempfile.TemporaryDirectory() as other:
            os.mkdir(os.path.join(other, 'tree'))
            os.mkdir(os.path.join(other, 'outside'))
            tree = os.path.join(other, 'tree')
            Writer(tree, os.path.join(other, 'outside'), 'harness', LINKS).work(600)
            left = {path: state['type'] for path, state in snapshot(tree).items()}
            right = {path: state['type'] for path, state in snapshot(top).items() if path not in (b'file', b'\xfe')}
            harness.remove(tree)
            harness.remove(os.path.join(other, 'outside'))
            equal(left == right, True, 'two runs of one seed made the same names')
    some_tree(work)


def what_is_measured_is_measured_thrice_at_most():
    def outcome(errors):
        left = iter(errors)

        @harness.measured
        def test():
            error = next(left, None)
            if error:
                raise error('slow')
        try:
            test()
        except Failure as error:
            return type(error), len(list(left))
        return None, len(list(left))
    slow = harness.Slow
    equal(outcome([]), (None, 0), 'a fast one')
    equal(outcome([slow, slow]), (None, 0), 'one that is fast at last')
    equal(outcome([slow] * 4), (slow, 1), 'a slow one')
    equal(outcome([slow, Failure, slow]), (Failure, 1), 'a wrong one')


harness.run([a_true_record_passes, one_wrong_thing_is_found_out, the_same_seed_does_the_same_work,
             what_is_measured_is_measured_thrice_at_most])
