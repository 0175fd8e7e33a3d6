/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_SETTLE_ENTRIES_H
#define SCITRACE_DAEMON_WATCH_SETTLE_ENTRIES_H

/* settle-entries: the inside of Settle, for settle.c alone: which names have a change, where it waits for
 * its time, to which epoch it belongs. The rules are in settle.c. Pure; the caller locks. */

#include "daemon/watch/settle.h"

enum {
        EPOCHS = 64,                    /* epochs that may be open at once */
        DISPLACED = 16,                 /* requests that one call may displace, and more */
        RINGS = 1024,                   /* directories whose waiting names are known together */
};

typedef struct Entry Entry;

typedef struct Node {                   /* of a doubly linked list with a sentinel */
        struct Node *next, *previous;
        Entry *entry;
} Node;

struct Entry {
        Entry *chain;
        Node by_touch;                  /* in one of the lists below; self-linked: in none */
        Node by_age;                    /* in aged */
        Node by_glance;                 /* in glances */
        Node by_dir;                    /* in a ring of names of one directory that wait: no sentinel */
        uint32_t dir;
        bool pending, flying, stale, due;       /* due: came due while in flight */
        bool ready;                     /* in ready_files */
        SettleChange now;               /* while pending */
        SettleChange flight;            /* while flying */
        uint8_t name_size;
        char name[];
};

struct Settle {
        Entry **buckets;
        size_t n_buckets, count, max;
        int64_t quiet_time, oldest_time;
        Node quiet;                     /* by the last notice */
        Node aged;                      /* by the first notice */
        Node ready_files, ready_directories;
        Node glances;                   /* made, and nothing noticed since */
        Entry *rings[RINGS];            /* by directory: the newest of a ring of its, or of another's */
        uint32_t epoch;                 /* the present one, from 1 */
        uint32_t lowest;                /* no change of a lower one is left */
        uint32_t open[EPOCHS];          /* changes of each epoch, by epoch % EPOCHS */
        bool flush_again;               /* no epoch was left for a flush: the next to be had is its end */
        uint32_t displaced[DISPLACED];
        size_t n_displaced;
};

static inline void list_init(Node *n) {
        n->next = n->previous = n;
}

static inline void list_remove(Node *n) {
        n->next->previous = n->previous;
        n->previous->next = n->next;
        list_init(n);
}

static inline void list_append(Node *head, Node *n) {
        list_remove(n);
        n->previous = head->previous;
        n->next = head;
        head->previous->next = n;
        head->previous = n;
}

static inline bool list_empty(const Node *head) {
        return head->next == head;
}

/** entries_init() - s is all zero. 0 or -ENOMEM. entries_done() - a half-built one is fine. */
int entries_init(Settle *s);
void entries_done(Settle *s);

/** entry_find() - NULL: nothing is known of that name.
 *  entry_new() - of a name that has none; whether there is room is the caller's to ask. NULL: out of memory.
 *  entry_release() - frees an entry in which nothing waits or flies.
 *  entry_ready() - it is due now.
 *  entry_ring() - of the names of a directory the one that has waited longest; NULL: none, or not known.
 *  entry_unring() - it waits no more. */
Entry *entry_find(const Settle *s, uint32_t dir, Bytes name);
Entry *entry_new(Settle *s, uint32_t dir, Bytes name);
void entry_release(Settle *s, Entry *e);
void entry_ready(Settle *s, Entry *e);
Entry *entry_ring(const Settle *s, uint32_t dir);
void entry_unring(Settle *s, Entry *e);

/** entry_wait() - a change, joined with what waits already, waits for its time.
 *  entry_put() - the same at a name that the change takes over: what left another name has room even when
 *  it is full. 0 or -ENOMEM: its request is displaced.
 *  entry_take() - all that waits for a name, in flight or not; the flight is stale from now on, the entry
 *  may be gone. e may be NULL. Whether there was anything; *ret is zeroed if not. */
void entry_wait(Settle *s, Entry *e, const SettleChange *change);
int entry_put(Settle *s, uint32_t dir, Bytes name, const SettleChange *change);
bool entry_take(Settle *s, Entry *e, SettleChange *ret);

/** entries_displace() - a request that has to be answered by the caller (settle_displaced()). */
void entries_displace(Settle *s, uint32_t request);

/** epoch_remove() - a change of that epoch is done with. Epoch 0 is none: no flush waits for it.
 *  epoch_earlier() - of two changes that join.
 *  epochs_advance() - at the end of each call that removes some: what leaves an epoch may come back to it in
 *  the same call. */
void epoch_remove(Settle *s, uint32_t epoch);
uint32_t epoch_earlier(uint32_t a, uint32_t b);
void epochs_advance(Settle *s);

#endif
