/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_VARLINK_CLIENT_H
#define SCITRACE_LIB_VARLINK_CLIENT_H

/* varlink-client: asks a Varlink server on a Unix socket, plainly blocking.
 *
 *      r = varlink_client_open(path, &c);
 *      r = varlink_client_send(c, "org.scitrace.Record.Events", parameters, VARLINK_MORE, -1);
 *      do {
 *              r = varlink_client_next(c, &reply);     (ends the loop when < 0)
 *              ... reply.error, or json_object_get(reply.parameters, "event"): the last reply of a call that
 *                  had no row has none ...
 *              more = reply.continues;
 *              varlink_reply_done(&reply);
 *      } while (more);
 *
 * May use: lib, jansson.  May not use: daemon/, ctl/. */

#include "lib/varlink.h"

typedef struct VarlinkClient VarlinkClient;

/** varlink_client_open() - connects to the socket at path (of any length). 0 or negative errno: -ENOENT (no
 *  such socket), -ECONNREFUSED (nobody listens), -EACCES. */
int varlink_client_open(const char *path, VarlinkClient **ret);
VarlinkClient *varlink_client_close(VarlinkClient *c);
static inline void varlink_client_closep(VarlinkClient **c) {
        varlink_client_close(*c);
}
/** varlink_client_send() - starts a call. flags: VARLINK_MORE, VARLINK_ONEWAY. fd: a descriptor that goes
 *  with it, or -1; stays the caller's. parameters: object or NULL; stay the caller's. What a server
 *  said before it hung up is left for _next. */
int varlink_client_send(VarlinkClient *c, const char *method, json_t *parameters, unsigned flags, int fd);
/** varlink_client_answers_to() - where the answers go on to: when nobody reads from fd (a pipe or socket)
 *  any more, _next stops waiting, with -ECANCELED. */
void varlink_client_answers_to(VarlinkClient *c, int fd);
/** varlink_client_patience() - when nothing has come for so long, _next returns -EAGAIN, and leaves
 *  everything as it was. -1, as at first: it waits for ever. */
void varlink_client_patience(VarlinkClient *c, int msec);
/** varlink_client_next() - the next reply; varlink_reply_done() it. 0; -ECONNRESET: the server hung up;
 *  -EBADMSG: not a reply; -EMSGSIZE: more than VARLINK_REPLY_MAX. */
int varlink_client_next(VarlinkClient *c, VarlinkReply *ret);

#endif
