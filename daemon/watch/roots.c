/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/watch/poll.h"
#include "daemon/watch/roots.h"

bool roots_meet(const Watch *w, uint32_t root, const IdentifyState *state) {
        for (size_t i = 0; i < w->n_roots; i++) {
                const Root *r = &w->roots[i];

                if (r->id != 0 && r->id != root && r->inode == state->inode && r->btime == state->btime &&
                    (r->device == 0 || r->device == state->device))
                        return true;
        }
        return false;
}

/* What is left of a root's path beneath the path of another one; NULL: it is not beneath it. */
static const char *rest_of(const char *path, const char *above) {
        size_t n = strlen(above);

        if (n == 1)                     /* "/" */
                return path[1] ? path + 1 : NULL;
        return strncmp(path, above, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* Where a directory of the tree around a root would have it, by the names that are known; NULL: nowhere. */
static Directory *find_around(Watch *w, const Root *root, Bytes *ret_name) {
        const char *rest = NULL, *slash;
        const Root *around = NULL;
        Directory *d;

        for (size_t i = 0; i < ROOTS_MAX; i++) {
                const Root *r = &w->roots[i];

                if (r->id == 0 || r == root || r->wd <= 0 || !rest_of(root->path, r->path) ||
                    (around && strlen(r->path) < strlen(around->path)))
                        continue;
                around = r;
                rest = rest_of(root->path, r->path);
        }
        d = around ? table_find(w->table, around->wd) : NULL;
        for (; d && (slash = strchr(rest, '/')); rest = slash + 1)
                d = table_child(w->table, d, BYTES(rest, (size_t) (slash - rest)));
        if (d)
                *ret_name = BYTES_STR(rest);
        return d;
}

/* Whether a watched directory is where the root's path says. */
static bool stands_at(Watch *w, const Directory *d, const Root *root) {
        Bytes name;

        return d->parent && find_around(w, root, &name) == table_parent(w->table, d) &&
               bytes_equal(table_name(d), name);
}

int roots_begin(Watch *w, Root *root, int fd, const IdentifyState *state) {
        Bytes name = BYTES("", 0);
        Directory *around = find_around(w, root, &name), *d;
        const Root *of;
        bool unwatched;
        int wd, r = 0;

        if (around && !table_child(w->table, around, name))
                around = NULL;
        wd = poll_watch(w, around, name, fd, state, &unwatched);
        d = wd > 0 ? table_find(w->table, wd) : NULL;
        if (wd < 0)
                return wd;
        if (d && d->root != root->id && table_attached(w->table, d) && !stands_at(w, d, root))
                return -EBUSY;
        of = d ? state_root(w, d->root) : NULL;
        if (of)                         /* what is polled of it is said to be watched when it is */
                root->limited |= of->limited;
        if (d)
                table_split(w->table, d, root->id);
        else
                r = table_add(w->table, wd, root->id, NULL, BYTES("", 0), state->inode, state->btime, &d);
        if (r < 0) {
                if (!unwatched)
                        notify_remove(w->notify, wd);
                return r;
        }
        if (unwatched)
                poll_added(w, d);
        d->listing |= !d->listed;
        root->wd = wd;
        root->inode = state->inode;
        root->btime = state->btime;
        root->device = state->device;
        root->uid = state->uid;
        return wd;
}

static void announce(void *userdata, Directory *d) {
        state_announce(userdata, d);
}

void roots_end(Watch *w, Root *root) {
        Directory *d = root->wd > 0 ? table_find(w->table, root->wd) : NULL, *around;
        Bytes name;

        around = d ? find_around(w, root, &name) : NULL;
        if (around && table_move(w->table, d, around, name) == 0)
                table_subtree(w->table, d, announce, w);
        else if (d)
                state_unwatch(w, d);
        free(root->path);
        *root = (Root) { 0 };
}

void roots_leave(Watch *w, const Directory *d) {
        CLEANUP(freep) char *path = NULL, *relative = NULL;
        const Root *of = state_root(w, d->root);
        bool several = false;

        for (size_t i = 0; of && !several && i < ROOTS_MAX; i++)
                several = w->roots[i].wd > 0 && &w->roots[i] != of;
        if (!several)
                return;
        relative = table_path(w->table, d);
        if (!relative || asprintf(&path, "%s/%s", strcmp(of->path, "/") == 0 ? "" : of->path, relative) < 0)
                return;                 /* a look at one of them will tell */
        for (size_t i = 0; i < ROOTS_MAX; i++)
                if (w->roots[i].wd > 0 && rest_of(w->roots[i].path, path))
                        state_root_lost(w, &w->roots[i], CAUSE_ROOT_MOVED);
}
