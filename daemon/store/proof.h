/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_PROOF_H
#define SCITRACE_DAEMON_STORE_PROOF_H

/* proof: that one event is in a log that was sealed, as a text that needs nothing else but the log's public
 * key (C2SP tlog-proof; docs/FORMATS.md, "Seals").
 * May use: lib, daemon/store/{event,note,reader,sql,tile}.h.  May not use: anything else in daemon/. */

#include <sqlite3.h>

#include "daemon/store/event.h"
#include "daemon/store/note.h"

enum {
        PROOF_E_NO_EVENT = 1,           /* there is no such event */
        PROOF_E_UNSEALED,               /* it is newer than the newest checkpoint */
        PROOF_E_UNFIT,                  /* the store is damaged or was altered: what it has proves nothing */
        PROOF_E_FORGED,                 /* proof_check: the event, the path or the signature is wrong */
        PROOF_E_UNKNOWN_KEY,            /* proof_check: signed by none of the keys */

        PROOF_TEXT_MAX = 1 << 20,
};

/** proof_make() - of event seq, in the newest checkpoint. *ret: malloc'd. 0, PROOF_E_*, negative errno. */
int proof_make(sqlite3 *db, int64_t seq, char **ret);

typedef struct Proof {
        Event event;                    /* borrows from bytes */
        uint8_t *bytes;                 /* canonical */
        Checkpoint checkpoint;
        size_t key;                     /* which of the keys */
} Proof;
void proof_done(Proof *p);

/** proof_check() - 0 and *ret (proof_done()): one of the keys signed a checkpoint of a log that has this
 *  event. PROOF_E_FORGED, PROOF_E_UNKNOWN_KEY, -EBADMSG: it is no proof; -ENOMEM. */
int proof_check(Bytes text, const NoteKey *keys, size_t n_keys, Proof *ret);

/** keys_make() - the public keys of a store as a text: the first key, and the notes by which each vouches
 *  for the next, with empty lines between them. *ret: malloc'd. 0, -EBADMSG, other negative errno.
 *  keys_parse() - the keys that such a text vouches for: those at its top, each a line, and those to which
 *  the notes that follow lead from them. *ret: malloc'd. Their number, 0 for none, -ENOMEM. */
int keys_make(sqlite3 *db, char **ret);
int keys_parse(Bytes text, NoteKey **ret);

#endif
