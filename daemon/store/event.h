/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_DAEMON_STORE_EVENT_H
#define SCITRACE_DAEMON_STORE_EVENT_H

/* event: one recorded change, and its canonical bytes (docs/FORMATS.md, "Canonical bytes of an event").
 * Pure: no descriptor, no clock, no database.
 * May use: lib.  May not use: anything else in daemon/. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/names.h"
#include "lib/util.h"

enum {
        EVENT_DIGEST_SIZE = 32, /* SHA-256 */
        EVENT_ID_SIZE = 16,     /* a UUID, a boot id */
};

/** Event: numbers that do not apply are 0 unless said otherwise; runs of bytes that do not apply are
 *  BYTES_NONE and are borrowed. Times are microseconds of CLOCK_REALTIME, mtime and btime nanoseconds since
 *  the epoch. */
typedef struct Event {
        int64_t seq;                    /* dense, from 1; given by store_append() */
        int64_t first, last;            /* when the first and the last notice of it arrived */
        uint8_t boot[EVENT_ID_SIZE];    /* boot id of these times (/proc/sys/kernel/random/boot_id) */
        int64_t dataset;                /* row id, > 0 */
        uint8_t dataset_uuid[EVENT_ID_SIZE];
        Kind kind;
        Origin origin;
        int64_t count;                  /* name operations it stands for */
        int64_t node;                   /* node row id; 0: none (transient, gap without a node's own) */
        int64_t parent;                 /* directory's node of the name; 0: none (the root has no name) */
        Bytes name;
        int64_t old_parent;             /* rename, exchange: where it was */
        Bytes old_name;
        int64_t replaces;               /* seq of the last event of the node that had the name; 0: none */
        bool introduces;                /* node is new with this event: inode and btime are its identity */
        uint64_t inode;
        int64_t btime;
        bool has_state;                 /* type .. mtime below describe the node after the event */
        Type type;
        int64_t size;                   /* files: bytes */
        uint32_t mode;                  /* permission bits, 07777 */
        uint32_t uid, gid;
        int64_t mtime;                  /* files only */
        Bytes digest;                   /* files: SHA-256 of the content then; absent: not known */
        DigestSource digest_source;
        Bytes target;                   /* symbolic links */
        int64_t process;
        Cause cause;                    /* gap-open, gap-close */
        int64_t gap;                    /* gap-close: seq of its gap-open */
        Bytes detail;                   /* dataset-add, -move, -remove: name NUL root path; commit:
                                         * hexadecimal; rehome: UUID of the dataset that had the names */
} Event;

/** event_format() - canonical bytes of *e into *ret (malloc'd; the caller frees) and *ret_size.
 *  0, or -ENOMEM. */
int event_format(const Event *e, uint8_t **ret, size_t *ret_size);

/** event_put() - the same behind `before` bytes that are left alone, into a buffer that is used again: *max
 *  bytes, made larger when need be, freed by the caller. *ret_size counts all. 0, or -ENOMEM. */
int event_put(const Event *e, size_t before, uint8_t **buffer, size_t *max, size_t *ret_size);

/** event_parse() - the reverse; *ret borrows from bytes. Only the exact bytes that event_format() writes are
 *  accepted. 0, or -EBADMSG. */
int event_parse(Bytes bytes, Event *ret);

/* What a row of table event keeps of several fields in one column (docs/FORMATS.md, "Schema"). */

enum {
        EVENT_KIND_BITS = 6,
        EVENT_ORIGIN_BITS = 3,
        EVENT_SOURCE_BITS = 2,
        EVENT_COUNT_SHIFT = EVENT_KIND_BITS + EVENT_ORIGIN_BITS + EVENT_SOURCE_BITS,
        EVENT_REST_MAX = 1 + 5 * 10 + 255,
};
#define EVENT_COUNT_MAX (INT64_MAX >> EVENT_COUNT_SHIFT)

/** event_what() - kind, origin, digest_source and count (0 to EVENT_COUNT_MAX). event_take_what() - the
 *  reverse. */
int64_t event_what(const Event *e);
void event_take_what(Event *e, int64_t what);
/** event_rest() - what few events have: replaces, old_parent, process, cause, gap and old_name (at most 255
 *  bytes); BYTES_NONE when there is none of them, else in buffer. event_take_rest() - the reverse; old_name
 *  is borrowed from rest. 0, or -EBADMSG. */
Bytes event_rest(const Event *e, uint8_t buffer[static EVENT_REST_MAX]);
int event_take_rest(Event *e, Bytes rest);
/** event_lived() - ns from btime to mtime, modulo 2^64; event_btime() - the reverse: both are any numbers
 *  that a file system keeps. */
static inline int64_t event_lived(int64_t btime, int64_t mtime) {
        return (int64_t) ((uint64_t) mtime - (uint64_t) btime);
}
static inline int64_t event_btime(int64_t lived, int64_t mtime) {
        return (int64_t) ((uint64_t) mtime - (uint64_t) lived);
}

#endif
