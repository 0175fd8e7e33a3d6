/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_BATCH_H
#define SCITRACE_DAEMON_WATCH_BATCH_H

/* batch: notices that were read and are not yet looked at, so that the halves of a rename, and the two
 * renames of an exchange, are found together. They stand in the queue one soon after the other, but not
 * always side by side; so while more is to be read, the last few are held back until the next read. Pure.
 * May use: lib.  May not use: anything else in daemon/. */

#include "daemon/watch/notify.h"

enum {
        BATCH = 1024,                   /* notices, 270 bytes each */
        BATCH_READ = 960,               /* of these, read before any is looked at; then come second halves */
        BATCH_HELD = 64,                /* held back while there is more to read */
};

typedef struct Batch {
        Notice notices[BATCH];
        size_t count, at;
} Batch;

static inline Bytes notice_name(const Notice *n) {
        return BYTES(n->name, n->name_size);
}

static inline bool notice_spent(const Notice *n) {
        return n->mask == 0;
}

/** batch_end() - up to which notice they may be looked at now; drained: there is no more to be read.
 *  batch_taken() - forgets those before `at`. */
size_t batch_end(const Batch *b, bool drained);
void batch_taken(Batch *b);

/** batch_other_half() - of the IN_MOVED_FROM at `from`; NULL: not read.
 *  batch_exchange() - whether the rename old -> new, from `at` on, is followed by the way back of an
 *  exchange; its two notices are spent then. wd: of the directory that was renamed; 0: none, or not
 *  known. */
Notice *batch_other_half(Batch *b, size_t from);
bool batch_exchange(Batch *b, const Notice *old, const Notice *new, int wd);

#endif
