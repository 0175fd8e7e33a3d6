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
        *mount = (Mount) { .id = line->id, .device = (uint64_t) major_ << 32 | minor_,
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

const Mount *mounts_find(const Mounts *m, Bytes path) {
        const Mount *best = NULL;

        assert(m);
        for (size_t n = 0; n < m->n; n++) {
                const Mount *mount = &m->items[n];

                if (mountinfo_leads_through(path, BYTES(mount->path, mount->path_size)) &&
                    (!best || mount->path_size >= best->path_size))
                        best = mount;
        }
        return best;
}
