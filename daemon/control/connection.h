/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_CONNECTION_H
#define SCITRACE_DAEMON_CONTROL_CONNECTION_H

/* connection: one client's bytes: messages in, one at a time; bytes out, as fast as the client reads. Knows
 * no method and no JSON. Main thread.
 * May use: lib/varlink (the splitter).  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "lib/util.h"

typedef struct Connection Connection;

enum {
        CONNECTION_REQUEST_USEC = 5 * 1000 * 1000, /* a request must be whole so soon after its first byte */
        CONNECTION_STALL_USEC = 30 * 1000 * 1000,  /* a client that takes nothing for so long is closed */
        CONNECTION_OUTPUT_HIGH = 256 * 1024,       /* bytes that wait; connection_full() from there on */
};

typedef struct ConnectionHooks {
        /** A whole request. The next one comes after connection_next(). fd: a descriptor that came with it,
         *  or -1; it is the hook's. */
        void (*message)(Connection *c, void *userdata, Bytes message, int fd);
        /** Everything that was sent has been taken by the client's socket. */
        void (*drained)(Connection *c, void *userdata);
        /** The client is gone, or broke the rules (reason: a sentence's end, or NULL). The hook frees c. */
        void (*closed)(Connection *c, void *userdata, const char *reason);
} ConnectionHooks;

/** connection_new() - takes over fd, a connected, non-blocking SOCK_STREAM Unix socket. hooks stays the
 * caller's. */
int connection_new(sd_event *event, int fd, const ConnectionHooks *hooks, void *userdata, Connection **ret);
Connection *connection_free(Connection *c);

/** connection_send() - queues bytes and sends what goes at once. Never blocks. 0 or -ENOMEM. */
int connection_send(Connection *c, const void *data, size_t size);
/** connection_full() - CONNECTION_OUTPUT_HIGH or more wait: the caller should wait for `drained`. */
bool connection_full(const Connection *c);
/** connection_idle() - nothing waits to be sent. */
bool connection_idle(const Connection *c);
/** connection_deadline() - when the client is closed if it does nothing (µs of CLOCK_MONOTONIC); false:
 * never. */
bool connection_deadline(const Connection *c, uint64_t *ret);
/** connection_next() - the request is answered; the next one may come (from the event loop, not from
 * here). */
void connection_next(Connection *c);
/** connection_abort() - `closed` comes with this reason, from the event loop; nothing else comes before
 * it. */
void connection_abort(Connection *c, const char *reason);

#endif
