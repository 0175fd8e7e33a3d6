/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <sys/inotify.h>

#include "daemon/watch/batch.h"

size_t batch_end(const Batch *b, bool drained) {
        if (drained)
                return b->count;
        return b->count - b->at > BATCH_HELD ? b->count - BATCH_HELD : b->at;
}

void batch_taken(Batch *b) {
        assert(b && b->at <= b->count);
        memmove(b->notices, b->notices + b->at, (b->count - b->at) * sizeof(*b->notices));
        b->count -= b->at;
        b->at = 0;
}

Notice *batch_other_half(Batch *b, size_t from) {
        for (size_t i = from + 1; i < b->count; i++)
                if (b->notices[i].mask & IN_MOVED_TO && b->notices[i].cookie == b->notices[from].cookie)
                        return &b->notices[i];
        return NULL;
}

static bool is_about(const Notice *n, const Notice *other) {
        return n->wd == other->wd && bytes_equal(notice_name(n), notice_name(other));
}

/* RENAME_EXCHANGE shows as two renames, there and back, with nothing between them about either name; of
 * other names, and of the directories themselves (IN_MOVE_SELF), there may be. (A rename over a recorded
 * name that is undone at once shows so too; the look at both names that follows tells the difference.) */
bool batch_exchange(Batch *b, const Notice *old, const Notice *new) {
        for (size_t i = b->at; i < b->count; i++) {
                Notice *back = &b->notices[i], *there;

                if (notice_spent(back) || (!is_about(back, old) && !is_about(back, new)))
                        continue;
                if (!(back->mask & IN_MOVED_FROM) || !is_about(back, new))
                        return false;
                there = batch_other_half(b, i);
                if (!there || !is_about(there, old))
                        return false;
                back->mask = there->mask = 0;
                return true;
        }
        return false;
}
