/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_LISTEN_H
#define SCITRACE_DAEMON_CONTROL_LISTEN_H

/* listen: the control socket as a name in the file system, which others can remove. Main thread.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <sys/types.h>

enum {
        LISTEN_E_ANSWERED = 1,          /* somebody listens there already, or it may not be asked */
        LISTEN_E_OCCUPIED,              /* something that is no socket is there, and is left alone */
};

/** Listen: which file the socket is. All zero: none. */
typedef struct Listen {
        dev_t device;
        ino_t inode;
} Listen;

/** listen_open() - listens on path, in place of a socket that nobody listens on. everybody: all users may
 *  connect, else only the owner. *ret_fd is a non-blocking SOCK_STREAM socket. 0, LISTEN_E_...,
 *  negative errno. */
int listen_open(const char *path, bool everybody, int *ret_fd, Listen *ret);

/** listen_lost() - path does not lead to that socket any more. */
bool listen_lost(const Listen *l, const char *path);

#endif
