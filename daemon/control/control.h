/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_CONTROL_H
#define SCITRACE_DAEMON_CONTROL_CONTROL_H

/* control: who asks, and may they: the Varlink server. Main thread, with query threads of its own.
 * May use: lib policy daemon/intake daemon/metrics daemon/query daemon/watchers.
 * May not use: daemon/store directly (the rows come through daemon/query). */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/intake/intake.h"
#include "daemon/metrics/metrics.h"
#include "daemon/watchers/watchers.h"

typedef struct Control Control;

enum {
        CONTROL_CONNECTIONS_MAX = 64,           /* about 1 KiB each, and at most 0.5 MiB while they stream */
        CONTROL_CONNECTIONS_KEPT = 4,           /* of these, for uid 0 and the owner */
        CONTROL_CONNECTIONS_UID_MAX = 8,        /* of any other uid */
};

typedef struct ControlConfig {
        const char *store_path;
        const char *mode;               /* "user" or "system" */
        uid_t owner;                    /* administers, besides uid 0 */
        const char *admin_group;        /* NULL: none */
        Intake *intake;
        Watchers *watchers;
        Metrics *metrics;
        int64_t keep_usec;              /* how long events are kept; INT64_MAX: for ever */
} ControlConfig;                        /* strings are copied; the stages must outlive the control */

/** control_new() - takes over listen_fd (a listening SOCK_STREAM Unix socket). */
int control_new(sd_event *event, int listen_fd, const ControlConfig *config, Control **ret);
Control *control_free(Control *c);

/** control_relisten() - takes over another listening socket in place of the one before, which is closed;
 *  connections stay. 0 or negative errno: nothing is changed, and listen_fd stays the caller's. */
int control_relisten(Control *c, int listen_fd);

#endif
