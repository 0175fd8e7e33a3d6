/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/watch/directory.h"
#include "daemon/watch/poll.h"
#include "daemon/watch/roots.h"

bool directory_excluded(const Watch *w, const IdentifyState *state) {
        for (size_t i = 0; i < w->n_excludes; i++)
                if (w->excludes[i].device == state->device && w->excludes[i].inode == state->inode)
                        return true;
        return false;
}

bool directory_foreign(const Root *root, const IdentifyState *state) {
        return state->device != root->device || state->mount_root;
}

int directory_watch(Watch *w, Directory *parent, Bytes name, int fd, const IdentifyState *state,
                    bool early) {
        bool unwatched;
        Directory *d;
        int wd, r;

        if (roots_meet(w, parent->root, state))
                return 0;
        wd = poll_watch(w, parent, name, fd, state, &unwatched);
        if (wd < 0)
                return wd;
        d = table_find(w->table, wd);
        if (d && table_parent(w->table, d) == parent && bytes_equal(table_name(d), name))
                return wd;
        if (!early && ((d && d->parent) || table_child(w->table, parent, name))) {
                if (!d)
                        notify_remove(w->notify, wd);
                return -ELOOP;
        }
        if (d) {
                /* What else happened to the two names in between is on its way as well,
                 * and older than this. */
                if (d->parent)
                        state_blur(w, table_parent(w->table, d));
                state_blur(w, parent);
                r = table_move(w->table, d, parent, name);
        } else {
                r = table_add(w->table, wd, parent->root, parent, name, state->inode, state->btime, &d);
        }
        if (r == -ELOOP)
                return r;               /* so the notice of another move is on its way, too; then all fits */
        if (r < 0) {
                notify_remove(w->notify, wd);
                return r;
        }
        d->listing |= !d->listed;
        if (unwatched)
                poll_added(w, d);
        return wd;
}

void directory_unwatched(Watch *w, uint32_t dir, Bytes name, int error) {
        state_gap(w, 0, dir, name, state_cause(error), error);
}

void directory_refused(Watch *w, const Directory *d, Bytes name, int error) {
        Root *root = d->parent ? NULL : state_root(w, d->root);

        if (error != EACCES)
                directory_unwatched(w, (uint32_t) d->wd, name, error);
        else if (d->parent)
                directory_unwatched(w, (uint32_t) table_parent(w->table, d)->wd, table_name(d), error);
        else if (root)
                state_root_lost(w, root, CAUSE_PERMISSION);
}

bool directory_unreached(Watch *w, const SettleJob *job, uint32_t root, int error) {
        if (!table_find(w->table, (int) job->dir))
                return false;
        if (job->change.tries < TRIES)
                return true;
        if (root != 0 || error == -ENOMEM)
                state_gap(w, 0, job->dir, BYTES_NONE, state_cause(-error), -error);
        return false;
}

void directory_unnameable(Watch *w, int wd) {
        Directory *d = table_find(w->table, wd);

        if (!d || d->unnameable)
                return;
        state_gap(w, 0, (uint32_t) wd, BYTES_NONE, CAUSE_READ_ERROR, ENAMETOOLONG);
        d->unnameable = true;
}

void directory_listed(Watch *w, int wd) {
        Directory *d = table_find(w->table, wd);

        if (!d)
                return;
        d->listing = false;
        d->clear_mark = w->mark_wanted = w->mark_posted + 1;
}
