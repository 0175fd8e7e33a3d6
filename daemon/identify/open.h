/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_IDENTIFY_OPEN_H
#define SCITRACE_DAEMON_IDENTIFY_OPEN_H

/* open: the one way by which identify opens anything; private to this folder.
 * May use: lib.  May not use: anything else in daemon/. */

/** open_beneath() - path relative to dir_fd, never out of it, through no symbolic link; "" is dir_fd itself.
 *  Longer than PATH_MAX it is opened piecewise. O_CLOEXEC is added. A descriptor or -errno (-ELOOP: a
 *  symbolic link). */
int open_beneath(int dir_fd, const char *path, int flags);

#endif
