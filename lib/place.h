/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_PLACE_H
#define SCITRACE_LIB_PLACE_H

/* place: where things are, by mode: the state folder, the configuration's folders, the socket, the lock.
 * May use: lib/util.h.  May not use: anything else of ours. */

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "lib/util.h"

typedef enum PlaceMode { PLACE_USER, PLACE_SYSTEM } PlaceMode;

/** PlaceEnvironment: what user mode depends on. NULL (or not absolute): not set. Strings are borrowed. */
typedef struct PlaceEnvironment {
        const char *home;               /* HOME, else from getpwuid(3) */
        const char *state_home;         /* XDG_STATE_HOME */
        const char *config_home;        /* XDG_CONFIG_HOME */
        const char *runtime_dir;        /* XDG_RUNTIME_DIR, when it is a folder of uid's with mode 0700 */
} PlaceEnvironment;

/** place_environment() - of this process, for this uid. */
void place_environment(uid_t uid, PlaceEnvironment *ret);

/** Place: all paths are absolute and owned by it. */
typedef struct Place {
        PlaceMode mode;
        char *state;                    /* the store's folder */
        char *runtime;                  /* the socket's folder */
        char *socket;
        char *lock;                     /* names pid and socket of the daemon whose state this is */
        char *config[4];                /* configuration's folders, most important first, NULL at the end */
} Place;

enum {
        PLACE_E_HELD = 1,               /* place_lock: another process holds it */
        PLACE_E_FREE,                   /* place_holder: nobody holds it */
        PLACE_E_NO_HOME,                /* place_new: no home and no state folder given */
};

/** place_new() - state: another state folder (made absolute), NULL: the mode's own. In user mode the socket
 *  of another state folder is in its own run/, so that each has a socket of its own. 0, PLACE_E_NO_HOME,
 *  -ENOMEM. */
int place_new(PlaceMode mode, const char *state, const PlaceEnvironment *environment, Place **ret);
Place *place_free(Place *p);
static inline void place_freep(Place **p) {
        place_free(*p);
}

/** place_mode() - when neither --user nor --system is given: system when its socket exists, else user. */
PlaceMode place_mode(void);

/** place_make() - makes the state and runtime folders, with their parents, mode 0700, where they are
 * missing. */
int place_make(const Place *p);

/** place_lock() - takes the lock for this process and writes "PID\nSOCKET\n" into it; held until *ret_fd is
 *  closed (an open file description lock, fcntl(2)). 0, PLACE_E_HELD (*ret_pid: who, 0 when unknown; on
 *  a full disk who had it before), negative errno. */
int place_lock(const Place *p, int *ret_fd, pid_t *ret_pid);
/** place_lock_write() - writes p's socket into the lock that this process holds,
 *  where it has another one now. */
int place_lock_write(const Place *p, int fd);
/** place_move_socket() - where p's socket cannot be (its folder went, as XDG_RUNTIME_DIR does at logout),
 *  the state folder's run/ takes it: changes p->socket. 0 or -ENOMEM. */
int place_move_socket(Place *p);
/** place_holder() - who holds the lock of p's state folder, and where its socket is (*ret_socket: malloc'd).
 *  Does not disturb a daemon that is just taking it. 0, PLACE_E_FREE, negative errno (-EAGAIN: it is held,
 *  and its holder has not yet written who it is). */
int place_holder(const Place *p, pid_t *ret_pid, char **ret_socket);

/** place_program() - the path of one of our programs that nobody starts by hand: beside this one (as in the
 *  build tree), else in the helpers' folder. malloc'd; NULL: no memory. */
char *place_program(const char *name);

/** place_network() - the name of the network file system that path (or, when it does not exist, its nearest
 *  parent that does) is on, in *ret; NULL when it is a local one. 0 or negative errno. */
int place_network(const char *path, const char **ret);

/** place_address() - a Unix socket's address for a path of any length. *ret_folder: a descriptor that must
 *  stay open until connect() or bind() has returned, or -1. 0 or negative errno of opening the path's
 *  folder. */
int place_address(const char *path, struct sockaddr_un *ret, int *ret_folder);

#endif
