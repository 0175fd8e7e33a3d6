/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_ASK_H
#define SCITRACE_CTL_ASK_H

/* ask: one question to the daemon. May use: ctl/ctl.h, ctl/say.h, lib. */

#include "ctl/ctl.h"

/** AskRowFn - one row; borrowed. A status other than STATUS_OK, or *stop, ends the stream. */
typedef Status (*AskRowFn)(Ctl *c, json_t *row, bool *stop, void *userdata);

/** ask() - connects if need be, and asks. parameters: a reference that is taken over; NULL for none. *ret:
 *  the answer, a new reference; ret NULL: it is of no interest. */
Status ask(Ctl *c, const char *method, json_t *parameters, json_t **ret);
/** ask_with_fd() - the same, a descriptor goes with it. */
Status ask_with_fd(Ctl *c, const char *method, json_t *parameters, int fd, json_t **ret);
/** ask_quietly() - the same, for an ornament: an error is not told, and *ret is NULL then. */
void ask_quietly(Ctl *c, const char *method, json_t *parameters, json_t **ret);
/** ask_rows() - with `more`: fn gets member `key` of each answer. A stream that was stopped costs the
 *  connection, and the next question makes a new one. */
Status ask_rows(Ctl *c, const char *method, json_t *parameters, const char *key, AskRowFn fn,
                void *userdata);
/** ask_rows_quietly() - the same; an error is not told, only returned. */
Status ask_rows_quietly(Ctl *c, const char *method, json_t *parameters, const char *key, AskRowFn fn,
                        void *userdata);

/** word_value() - a word of the command line; what is not UTF-8 in it is escaped, and nothing of the
 *  daemon's is called so. NULL: no memory. */
json_t *word_value(const char *word);
/** named() - parameters { "name": name }. */
json_t *named(const char *name);

/** ask_until_interrupted() - from here on Ctrl-C ends a stream with STATUS_INTERRUPTED, and what was
 *  shown stays. */
void ask_until_interrupted(void);

#endif
