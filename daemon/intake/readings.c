/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "daemon/intake/internal.h"

/* readings: how far the digests of large files have come, so that the next watcher goes on from there. Kept
 * beside the record in the file "readings": no part of it, and nothing is lost with it but time. What the
 * watcher tells is kept as it is; its own check tells whether it is whole, and of that file as it is now. */

typedef struct __attribute__((packed)) Row {
        int64_t node;
        uint8_t size;
        uint8_t data[READING_MAX];
} Row;

static int path_of(const Intake *i, const char *suffix, char **ret) {
        return asprintf(ret, "%s/readings%s", store_dir(i->store), suffix) < 0 ? -ENOMEM : 0;
}

void readings_load(Intake *i) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(fclosep) FILE *f = NULL;
        Row row;

        if (path_of(i, "", &path) < 0)
                return;
        f = fopen(path, "re");
        for (size_t n = 0; f && n < READINGS_MAX && fread(&row, sizeof(row), 1, f) == 1; n++) {
                if (row.size > READING_MAX)
                        return;
                i->readings[n].node = row.node;
                i->readings[n].size = row.size;
                memcpy(i->readings[n].data, row.data, READING_MAX);
        }
}

/* Not synchronized: it is worth less than the wait. */
static void save(const Intake *i) {
        CLEANUP(freep) char *path = NULL, *new = NULL;
        CLEANUP(closep) int fd = -1;
        Row rows[READINGS_MAX] = { 0 };

        if (path_of(i, "", &path) < 0 || path_of(i, ".new", &new) < 0)
                return;
        for (size_t n = 0; n < READINGS_MAX; n++) {
                rows[n].node = i->readings[n].node;
                rows[n].size = i->readings[n].size;
                memcpy(rows[n].data, i->readings[n].data, READING_MAX);
        }
        fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && write(fd, rows, sizeof(rows)) == sizeof(rows))
                (void) rename(new, path);
}

static Reading *find(Intake *i, int64_t node) {
        for (size_t n = 0; n < READINGS_MAX; n++)
                if (i->readings[n].node == node)
                        return &i->readings[n];
        return NULL;
}

Bytes reading_of(Intake *i, int64_t node) {
        const Reading *r = find(i, node);

        return r ? BYTES(r->data, r->size) : BYTES_NONE;
}

void reading_end(Intake *i, int64_t node) {
        Reading *r = find(i, node);

        if (!r)
                return;
        *r = (Reading) { 0 };
        save(i);
}

void observe_progress(Intake *i, const Feed_PROGRESS *m) {
        const Request *request = request_find(i, m->request);
        Reading *r;

        if (!request || !request->large || m->reading.size > READING_MAX)
                return;
        r = find(i, request->node);
        if (!r)
                r = find(i, 0);
        if (!r)                         /* left over from files that are no more */
                r = &i->readings[request->id % READINGS_MAX];
        r->node = request->node;
        r->size = (uint8_t) m->reading.size;
        memcpy(r->data, m->reading.data, m->reading.size);
        save(i);
}
