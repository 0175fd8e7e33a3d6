/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_IDENTIFY_GIT_H
#define SCITRACE_DAEMON_IDENTIFY_GIT_H

/* git: what our two uses of libgit2 share; private to this folder.
 * May use: lib.  May not use: anything else in daemon/. */

#include <git2.h>

/** git_ready() - before anything else of libgit2: 0, or why it cannot be used. From any thread. Not before
 *  it is needed: libgit2 may read all certificates of the system for it, which takes milliseconds. */
int git_ready(void);

/** git_forget_config() - gives the repository an empty configuration in memory, so that libgit2 reads no
 *  configuration file, and none that such a file includes. 0 or -ENOMEM. */
int git_forget_config(git_repository *repository);

#endif
