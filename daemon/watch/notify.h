/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_WATCH_NOTIFY_H
#define SCITRACE_DAEMON_WATCH_NOTIFY_H

/* notify: the one adapter for libinotifytools, and the kernel's inotify(7) behind it.
 *
 * Used of the library: inotifytools_init() (plain inotify), inotifytools_next_events(0, 1) until it has no
 * more, inotifytools_error(), inotifytools_get_max_user_watches().
 * Not used, because it is not sound there (3.22.6): its watch and remove functions (they key watches by path
 * string, and an entry whose directory is gone can never be freed), recursive watching (it adds the watch
 * after reading the directory, so what is made in between is lost, and it gives up half-way at the first
 * error), its path tables (stale names after the rename of a directory), its fanotify mode (an overflow
 * looks like a timeout), inotifytools_get_max_queued_events() (reads a file that does not exist). So
 * inotify_add_watch(2) and inotify_rm_watch(2) are called on the library's descriptor, which is found once,
 * since there is no accessor.
 *
 * One instance a process: the library's state is global. notify_next() is for one thread; add and remove may
 * be called from any.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

typedef struct Notify Notify;

/** Notice: one inotify event, copied out. name: bytes, NUL behind them; "" for the directory itself. Of a
 *  name that is longer than NAME_SIZE_MAX (vfat, NTFS and FUSE have such) only the directory is known, and
 *  its mask is NOTICE_UNNAMEABLE alone. */
enum {
        NAME_SIZE_MAX = 255,
        NOTICE_UNNAMEABLE = 1 << 16,    /* none of the kernel's */
};
typedef struct Notice {
        int wd;
        uint32_t mask, cookie;
        uint8_t name_size;
        char name[256];
} Notice;

/** notify_new() - must run before the process holds many descriptors (the library uses select(2)).
 *  0 or -errno. */
int notify_new(Notify **ret);
Notify *notify_free(Notify *n);
/** notify_fd() - readable when notices wait; drain with notify_next() until it returns 0. */
int notify_fd(const Notify *n);
/** notify_next() - 1 and *ret, 0 when there is none now, -errno. */
int notify_next(Notify *n, Notice *ret);
/** notify_add() - watches the directory that dir_fd (O_PATH is fine) refers to. Its wd (> 0; the same for
 *  the same inode), or -errno: -ENOSPC at the limit of watches. */
int notify_add(Notify *n, int dir_fd);
/** notify_remove() - ends a watch; notices of it may still come, the last one is IN_IGNORED. */
void notify_remove(Notify *n, int wd);
/** notify_mark() - puts a mark into the queue behind all that is in it now: a notice that notify_is_mark()
 *  knows, or, when the queue is full, its IN_Q_OVERFLOW. One mark at a time: two side by side would be
 *  merged into one. It costs no further watch, so that it works at the limit of watches. 0 or -errno.
 *  notify_mark_lost() - an IN_Q_OVERFLOW has come. The mark under way was dropped, or comes behind it and is
 *  none any more: it cannot be taken for the next one. */
int notify_mark(Notify *n);
void notify_mark_lost(Notify *n);
bool notify_is_mark(const Notify *n, const Notice *notice);
/** notify_watch_limit() - how many watches all programs of this user may have: fs.inotify.max_user_watches,
 *  or *ret_namespaced: user.max_inotify_watches, which is less in this user namespace. */
int notify_watch_limit(bool *ret_namespaced);

#endif
