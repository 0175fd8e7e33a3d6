/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <stddef.h>
#include <sys/socket.h>

#include "daemon/control/peer.h"

void rights_init(Rights *r, uid_t owner, const char *group) {
        struct group *g = group ? getgrnam(group) : NULL;

        *r = (Rights) { .owner = owner, .has_group = g != NULL, .group = g ? g->gr_gid : 0 };
}

void peer_decide(Peer *p, const Rights *rights, gid_t gid, const gid_t *groups, size_t n_groups) {
        p->reserved = p->uid == 0 || p->uid == rights->owner;
        p->administrator = p->reserved || (rights->has_group && gid == rights->group);
        for (size_t i = 0; i < n_groups && rights->has_group; i++)
                if (groups[i] == rights->group)
                        p->administrator = true;
}

int peer_of(int fd, const Rights *rights, Peer *ret) {
        gid_t groups[PEER_GROUPS_MAX];
        socklen_t size = sizeof(groups);
        struct ucred cred;

        assert(rights && ret);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &(socklen_t) { sizeof(cred) }) < 0)
                return -errno;
        /* Without their groups a peer is what its uid and gid make it. */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
                size = 0;
        *ret = (Peer) { .uid = cred.uid, .pid = cred.pid };
        peer_decide(ret, rights, cred.gid, groups, size / sizeof(gid_t));
        return 0;
}
