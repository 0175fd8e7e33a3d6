/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_CONTROL_METHODS_H
#define SCITRACE_DAEMON_CONTROL_METHODS_H

/* methods: the one table of what can be asked, by whom, and the interface files that say with what
 * parameters. A new method: its text in lib/interfaces, its row in the table of its interface's file,
 * methods-*.c.
 * May use: lib, daemon/control/call.h.  May not use: anything else in daemon/. */

#include "daemon/control/call.h"
#include "lib/varlink-idl.h"

/* A file an interface; each ends with a row without a name. */
extern const Method methods_varlink[], methods_service[], methods_datasets[], methods_record[],
        methods_metrics[], methods_store[], methods_integrity[];

/** methods_at() - the i-th of all, or NULL. methods_find() - by its full name; NULL; *ret_index: its
 * place. */
const Method *methods_at(size_t i);
const Method *methods_find(const char *name, size_t *ret_index);

/** Interfaces: the interface files, parsed. */
typedef struct Interfaces Interfaces;
/** interfaces_new() - 0, -ENOMEM, or -EBADMSG: a file that is no interface (a test parses them all). */
int interfaces_new(Interfaces **ret);
Interfaces *interfaces_free(Interfaces *i);
/** interfaces_member() - INTERFACE.Name to its description. NULL: no such; *ret_idl: the interface, NULL
 *  when that is missing. */
const IdlMember *interfaces_member(const Interfaces *i, IdlMemberKind kind, const char *name,
                                   const Idl **ret_idl);
/** interfaces_text() - an interface's file, or NULL. */
const char *interfaces_text(const char *name);

typedef struct Refusal {
        const char *error;              /* full name */
        const char *key;                /* its parameter; NULL: none */
        Bytes value;                    /* borrowed from the request */
} Refusal;

/** methods_admit() - may this peer make this call, and is it well formed? Rights come first: who may not
 *  call a method does not learn whether it exists. 0 and *ret; 1: refused, see *refusal. */
int methods_admit(const Interfaces *i, const VarlinkCall *call, const Peer *peer, const Method **ret,
                  size_t *ret_index, Refusal *refusal);

#endif
