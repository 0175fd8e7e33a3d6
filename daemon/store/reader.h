/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_READER_H
#define SCITRACE_DAEMON_STORE_READER_H

/* reader: events in their order, as their rows give them (docs/FORMATS.md, "Schema"): what entered the log,
 * to be hashed or applied again. Any connection, one thread.
 * May use: lib, daemon/store/{event,sql}.h.  May not use: anything else in daemon/. */

#include <sqlite3.h>

#include "daemon/store/event.h"

typedef struct Reader Reader;

enum {
        READER_EVENT = 1,
        READER_DAMAGED = 2,             /* this row cannot be read back; its seq is known */
};

/** reader_new() - db stays the caller's, and stays open. 0, -ENOMEM. */
int reader_new(sqlite3 *db, Reader **ret);
Reader *reader_free(Reader *r);
static inline void reader_freep(Reader **r) {
        reader_free(*r);
}

/** reader_seek() - the next event is the first behind seq `after`. Also gives up the snapshot: so does a
 *  long reader now and then, with the seq that it has last read. */
void reader_seek(Reader *r, int64_t after);
/** reader_next() - READER_EVENT: *ret, borrowed until the next call; READER_DAMAGED: only ret->seq; 0: no
 *  more; -EBADMSG: the database is damaged here; other negative errno. After an error: reader_seek(). */
int reader_next(Reader *r, Event *ret);

#endif
