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

/* Behind its two halves, and before anything else can happen to their names, a rename is told to the
 * directory that moved: of an exchange the way back moves another one. */
static bool moves_again(const Batch *b, size_t there, const Notice *old, const Notice *new, int wd) {
        for (size_t i = there + 1; wd > 0 && i < b->count; i++) {
                const Notice *n = &b->notices[i];

                if (n->wd == wd && n->mask & IN_MOVE_SELF)
                        return true;
                if (n->mask & (IN_MOVED_FROM | IN_MOVED_TO) && (is_about(n, old) || is_about(n, new)))
                        return false;
        }
        return false;
}

/* RENAME_EXCHANGE shows as two renames, there and back, with nothing between them about either name; of
 * other names, and of the directories themselves (IN_MOVE_SELF), there may be. So does a rename that is
 * undone at once: of a watched directory, that is told apart; of anything else, the look at both names that
 * follows tells the difference. */
bool batch_exchange(Batch *b, const Notice *old, const Notice *new, int wd) {
        for (size_t i = b->at; i < b->count; i++) {
                Notice *back = &b->notices[i], *there;

                if (notice_spent(back) || (!is_about(back, old) && !is_about(back, new)))
                        continue;
                if (!(back->mask & IN_MOVED_FROM) || !is_about(back, new))
                        return false;
                there = batch_other_half(b, i);
                if (!there || !is_about(there, old) ||
                    moves_again(b, (size_t) (there - b->notices), old, new, wd))
                        return false;
                back->mask = there->mask = 0;
                return true;
        }
        return false;
}
