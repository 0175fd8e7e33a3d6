/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "daemon/intake/mounts.h"
#include "lib/mountinfo.h"

static int add(Mounts *m, const MountinfoLine *line, size_t *allocated) {
        char path[PATH_MAX], device[32];
        unsigned major_, minor_;
        Mount *items, *mount;

        snprintf(device, sizeof(device), "%.*s", (int) MIN_OF(line->device.size, sizeof(device) - 1),
                 (const char *) line->device.data);
        if (!mountinfo_unescape(line->mountpoint, path) || sscanf(device, "%u:%u", &major_, &minor_) != 2)
                return 0;               /* no dataset's path can be that long */
        items = array_room(m->items, m->n, allocated, 32, sizeof(*items));
        if (!items)
                return -ENOMEM;
        m->items = items;
        mount = &items[m->n];
        *mount = (Mount) { .id = line->id, .parent = line->parent,
                           .device = (uint64_t) major_ << 32 | minor_,
                           .path = strdup(path), .path_size = strlen(path),
                           .propagates = line->propagates };
        if (!mount->path)
                return -ENOMEM;
        snprintf(mount->type, sizeof(mount->type), "%.*s",
                 (int) MIN_OF(line->type.size, sizeof(mount->type) - 1), (const char *) line->type.data);
        m->n++;
        return 0;
}

int mounts_parse(Bytes text, Mounts *ret) {
        Mounts m = { 0 };
        size_t allocated = 0;
        MountinfoLine line;
        int r = 0;

        assert(ret);
        while (r == 0 && m.n < MOUNTS_MAX && mountinfo_next(&text, &line))
                r = add(&m, &line, &allocated);
        if (r < 0)
                mounts_done(&m);
        else
                *ret = m;
        return r;
}

void mounts_done(Mounts *m) {
        for (size_t n = 0; n < m->n; n++)
                free(m->items[n].path);
        free(m->items);
        *m = (Mounts) { 0 };
}

bool mounts_have(const Mounts *m, uint64_t id) {
        for (size_t n = 0; n < m->n; n++)
                if (m->items[n].id == id)
                        return true;
        return false;
}

static const Mount *find_root(const Mounts *m) {
        for (size_t n = 0; n < m->n; n++) {
                const Mount *mount = &m->items[n];

                if (mount->path_size == 1 && (mount->parent == mount->id || !mounts_have(m, mount->parent)))
                        return mount;
        }
        return NULL;
}

/* What is mounted on `on`, and met first on the way to a path. Who has the root does not meet what is
 * mounted over it. */
static const Mount *find_next(const Mounts *m, const Mount *on, Bytes path) {
        const Mount *next = NULL;

        for (size_t n = 0; n < m->n; n++) {
                const Mount *mount = &m->items[n];

                if (mount->parent == on->id && mount->path_size > 1 &&
                    mountinfo_leads_through(path, BYTES(mount->path, mount->path_size)) &&
                    (!next || mount->path_size < next->path_size))
                        next = mount;
        }
        return next;
}

const Mount *mounts_find(const Mounts *m, Bytes path) {
        const Mount *at, *next;

        assert(m);
        at = find_root(m);
        for (size_t n = 0; at && n < m->n && (next = find_next(m, at, path)); n++)
                at = next;
        return at;
}
