/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_PEER_H
#define SCITRACE_DAEMON_CONTROL_PEER_H

/* peer: who is at the other end, and what may they: from the kernel at accept, nothing from a message. The
 * peer is whoever connected: a process that got the socket from it speaks with its identity.
 * May use: libc.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <sys/types.h>

enum { PEER_GROUPS_MAX = 1024 };        /* more supplementary groups than that are not looked at */

typedef struct Rights {
        uid_t owner;                    /* administers, besides uid 0 */
        bool has_group;
        gid_t group;                    /* its members administer */
} Rights;

typedef struct Peer {
        uid_t uid;
        pid_t pid;                      /* for messages only */
        bool reserved;                  /* uid 0 or the owner: some connections are kept for them */
        bool administrator;
} Peer;

/** rights_init() - group: a name, NULL for none. A name that the machine does not have is no group. */
void rights_init(Rights *r, uid_t owner, const char *group);
/** peer_of() - of a connected Unix socket. 0 or negative errno. */
int peer_of(int fd, const Rights *rights, Peer *ret);
/** peer_decide() - the pure half: fills in reserved and administrator. */
void peer_decide(Peer *p, const Rights *rights, gid_t gid, const gid_t *groups, size_t n_groups);

#endif
