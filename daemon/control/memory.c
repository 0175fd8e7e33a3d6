/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "daemon/control/memory.h"

static int64_t proportional(pid_t pid) {
        CLEANUP(fclosep) FILE *f = NULL;
        char path[64], line[256];
        int64_t kib;

        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int) pid);
        f = fopen(path, "re");
        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "Pss: %" SCNd64 " kB", &kib) == 1)
                        return kib * 1024;
        return -1;
}

static int64_t resident(pid_t pid) {
        CLEANUP(fclosep) FILE *f = NULL;
        char path[64];
        int64_t pages = 0;

        snprintf(path, sizeof(path), "/proc/%d/statm", (int) pid);
        f = fopen(path, "re");
        if (!f || fscanf(f, "%*d %" SCNd64, &pages) != 1)
                return 0;
        return pages * sysconf(_SC_PAGESIZE);
}

int64_t memory_of(const pid_t *pids, int n) {
        int64_t sum = 0;

        for (int i = 0; i < n; i++) {
                int64_t bytes = proportional(pids[i]);

                sum += bytes >= 0 ? bytes : resident(pids[i]);
        }
        return sum;
}

int64_t memory_recent(MemoryRecent *m, const pid_t *pids, int n, int64_t now) {
        int64_t bytes;

        pthread_mutex_lock(&m->lock);
        if (!m->known || now - m->at > MEMORY_RECENT_USEC) {
                m->bytes = memory_of(pids, n);
                m->at = now;
                m->known = true;
        }
        bytes = m->bytes;
        pthread_mutex_unlock(&m->lock);
        return bytes;
}
