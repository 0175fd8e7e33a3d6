/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_PRUNE_H
#define SCITRACE_DAEMON_STORE_PRUNE_H

/* prune: old events go, as an event of the log says; their hashes stay, so that all that is left can still
 * be verified and proved. Which ones stay is decided here, for the store that removes and the query that
 * counts.
 * May use: daemon/store/tile.h.  May not use: anything else. */

#include "daemon/store/tile.h"

enum { PRUNE_UNIT = TILE_WIDTH };       /* events are pruned up to a multiple of this: whole tiles */

/* Of a row of `event`, pruned up to ?3: it may go. Events of kinds above 9 (datasets, gaps, commits, keys,
 * ...) are few, and all stay. Of a node that had a name after ?3, all stays that says what it was at ?3: the
 * event that introduced it, its last one up to there, those that last gave its state, content and target,
 * and those of its names; exchanges, which name two nodes, stay. So every question about a time after ?3 has
 * its answer. To be removed in the order of their seqs: it is the later ones that replace the earlier. */
#define PRUNE_LATER(column)                                                                                 \
        "EXISTS (SELECT 1 FROM event AS e INDEXED BY event_node WHERE e.node = event.node AND e.inode IS"   \
        " NULL AND e.seq > event.seq AND e.seq <= ?3" column ")"
#define PRUNE_NAMED(of)                                                                                     \
        "(EXISTS (SELECT 1 FROM link AS l WHERE l.node = " of " AND l.until = 0) OR EXISTS (SELECT 1 FROM"  \
        " link AS l WHERE l.node = " of " AND l.until > ?3))"
#define PRUNE_MAY_GO                                                                                        \
        "event.kind <= 9 AND NOT (event.node IS NOT NULL AND " PRUNE_NAMED("event.node")                    \
        " AND (NOT " PRUNE_LATER("")                                                                        \
        " OR (event.attr IS NOT NULL AND NOT " PRUNE_LATER(" AND e.attr IS NOT NULL")                       \
        ") OR (event.content IS NOT NULL AND NOT " PRUNE_LATER(" AND e.content IS NOT NULL")                \
        ") OR (event.target IS NOT NULL AND NOT " PRUNE_LATER(" AND e.target IS NOT NULL")                  \
        ") OR event.inode IS NOT NULL OR EXISTS (SELECT 1 FROM link AS l WHERE l.node = event.node AND"     \
        " l.since = event.seq AND (l.until = 0 OR l.until > ?3)))) AND event.kind <> 5"

#endif
