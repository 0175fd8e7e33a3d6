/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_DIGESTS_H
#define SCITRACE_DAEMON_STORE_DIGESTS_H

/* digests: which content has a digest. An index by digest would write a page for each content, as each is
 * somewhere else: here the youngest contents are in memory, and go to the table slice by slice of all that
 * a digest can be, each of whose rows are then written anew. A content costs that 8 bytes are written for 32
 * others, in a store of n > 16 million for n / 512 thousand. All of it follows from table content
 * (docs/FORMATS.md, "Digests").
 * Within a transaction; whoever rolls it back calls digests_forget().
 * May use: lib, daemon/store/sql.h.  May not use: anything else in daemon/. */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        DIGESTS_SLICES = 1024,
        DIGESTS_LEAST = 1 << 14,        /* contents in memory; more, once there are 64 times as many: */
        DIGESTS_MOST = 1 << 18,         /* 3 MiB */
};

typedef struct Digests Digests;

/** digests_new() - least: contents in memory, at first. db outlives it. 0 or -ENOMEM. */
int digests_new(sqlite3 *db, size_t least, Digests **ret);
Digests *digests_free(Digests *d);              /* NULL is fine; returns NULL */

/** digests_get() - the content of a digest (32 bytes). 1: its id. 0: it has none; *ret is the id that its
 *  row in table content has to get in this transaction. Negative errno. */
int digests_get(Digests *d, const uint8_t *digest, int64_t *ret);

/** digests_flush() - before a COMMIT: some slices to the table, when more is in memory than should be. */
int digests_flush(Digests *d);

/** digests_drop() - removes those of a slice whose contents are gone, as the caller says; that some are
 *  still there whose contents are gone is no harm. 0 or negative errno. */
typedef bool (*DigestsGone)(void *userdata, int64_t id);
int digests_drop(Digests *d, unsigned slice, DigestsGone gone, void *userdata);

/** digests_forget() - what is in memory is read anew when it is next asked for. */
void digests_forget(Digests *d);

/** digests_rebuild() - all of the table, from table content. 0 or negative errno. */
int digests_rebuild(Digests *d);

/** digests_check() - whether the table is what table content makes of it. 0 and *ret, negative errno. */
int digests_check(sqlite3 *db, bool *ret);

#endif
