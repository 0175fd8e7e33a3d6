# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rest is rest: nothing is pending after settle, and no event is written while nothing happens, not even in a
watched $HOME that holds the daemon's own state folder."""

import os
import time

import harness
from harness import equal, write
from operations import LINKS, populate, start_writers

REST = 10       # seconds in which seq must not move after settle
IDLE = 60       # and in a watched home


def rest_is_rest():
    home = harness.Daemon()
    home.tree = os.path.join(home.top, 'home')
    home.state = os.path.join(home.tree, '.local', 'state', 'scitrace')
    os.makedirs(home.tree)
    home.env['HOME'] = home.tree
    with home, harness.Daemon() as busy:
        populate(home.tree, 'home')
        home.add(home.tree, 'home')
        home.settle('home')
        home_seq, began = home.newest(), time.monotonic()

        tree, outside = os.path.join(busy.top, 'tree'), os.path.join(busy.top, 'outside')
        os.mkdir(tree)
        os.mkdir(outside)
        busy.add(tree, 't')
        start_writers(tree, outside, 'quiet', 2, 300, LINKS)()
        status = busy.at_rest('t', tree)
        time.sleep(REST)        # the length of the rest is what is tested
        equal(busy.status()['events'], status['events'], f'events {REST} s after settle')
        equal(busy.status()['pending'], 0, 'pending')
        busy.at_rest('t', tree)

        time.sleep(max(0.0, IDLE - (time.monotonic() - began)))
        new = [(row['kind'], row.get('path')) for row in home.events(home_seq)]
        equal(new, [], f'events of {IDLE} s in an idle home')
        equal([row for row in home.ctl('files', 'home') if '.local/state/scitrace/' in row.get('path', '')], [],
              'our own files in the record')
        write(os.path.join(home.tree, 'note'), b'note')
        home.settle('home')
        equal([(row['kind'], row.get('path')) for row in home.events(home_seq)], [('create', 'note')],
              'events of one new file')


harness.run([('pending is 0 and seq stays after settle; an idle home with the state folder in it writes no event',
              rest_is_rest)])
