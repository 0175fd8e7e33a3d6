/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_OUTBOX_H
#define SCITRACE_DAEMON_WATCH_OUTBOX_H

/* outbox: observations on their way to scitraced, gathered into frames. Pure; the caller locks.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>

#include "lib/feed.h"

typedef struct Outbox Outbox;

enum {
        OUTBOX_ROOM = 32,               /* frames (64 KiB each) up to which walks and looks may add */
        OUTBOX_MAX = 128,               /* frames up to which notices may add; beyond: lost, and a gap */
        OUTBOX_E_FULL = 1,
};

/** outbox_new() - 0 or -ENOMEM. */
int outbox_new(Outbox **ret);
Outbox *outbox_free(Outbox *o);

/** outbox_add() - must: even beyond OUTBOX_MAX (answers; they are bounded by the requests).
 *  0, OUTBOX_E_FULL, -ENOMEM, -EMSGSIZE. */
int outbox_add(Outbox *o, const FeedMessage *m, bool must);
/** outbox_frames() - frames waiting, the one being filled included. */
size_t outbox_frames(const Outbox *o);
/** outbox_take() - hands the oldest frame over (malloc'd); NULL: none.
 *  outbox_return() - puts it back in front. 0; -ENOMEM: it is lost. */
uint8_t *outbox_take(Outbox *o, size_t *ret_size);
int outbox_return(Outbox *o, uint8_t *frame, size_t size);

#endif
