/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_LIB_FEED_H
#define SCITRACE_LIB_FEED_H

/* feed: the frames between scitraced and scitrace-watch. A frame is one SOCK_SEQPACKET message of at most
 * FEED_FRAME_MAX bytes and holds one or more messages, each: type (u16), body length (u16), body. All
 * numbers are little-endian; the fields of a body stand in the order of its table below, a run of bytes as
 * its length (u16) and the bytes, 0xFFFF for an absent one. Observations go down (watcher to scitraced)
 * under credit: one credit a frame; requests go up without. A directory has an id (never 0) valid for one
 * connection, announced by DIR before its first use. Pure: no descriptor, no clock.
 * docs/FORMATS.md has the same tables.
 * May use: lib.  May not use: anything else. */

#include <stddef.h>
#include <stdint.h>

#include "lib/util.h"

enum {
        FEED_VERSION = 1,
        FEED_FRAME_MAX = 65536,
        FEED_BODY_MAX = 8192,           /* a name, a target, the rest: fits any observation */
        FEED_EXIT_UNABLE = 3,           /* a watcher's exit code where none can work; it has said why */
};

/* One table: message, direction (D down, U up), and its fields: U8 U16 U32 U64 I64 BYTES. The structs, the
 * encoder and the decoder all come from it. */
#define FEED_TABLE(M)                                                                                       \
        M(HELLO,   1, D, F(U32, version) F(U32, pid))                                                       \
        /* answers WATCH; error: 0 or errno; network: the type's name when remote changes cannot be seen;   \
         * names: some of those in it, a NUL behind each */                                                 \
        M(ROOT,    2, D, F(U32, root) F(U32, error) F(U32, dir) F(U64, inode) F(I64, btime)                 \
                         F(BYTES, fs_type) F(BYTES, fs_uuid) F(U64, fs_inode) F(I64, fs_btime)              \
                         F(U8, network) F(U8, git) F(U64, device) F(U32, mode) F(U32, uid) F(U32, gid)      \
                         F(BYTES, names))                                                                   \
        /* dir is now the directory `name` in parent (0: the root itself) */                                \
        M(DIR,     3, D, F(U32, dir) F(U32, root) F(U32, parent) F(BYTES, name) F(U64, inode)               \
                         F(I64, btime))                                                                     \
        /* what a name is; request: the DIGEST or CHECK it answers, else 0; flags: FEED_FLAG_* */           \
        M(STATE,   4, D, F(U32, dir) F(BYTES, name) F(U32, request) F(U16, flags) F(U8, origin)             \
                         F(I64, first) F(I64, last) F(U32, count) F(U64, inode) F(I64, btime)               \
                         F(U32, mode) F(U32, uid) F(U32, gid) F(U32, nlink) F(I64, size) F(I64, mtime)      \
                         F(I64, ctime) F(BYTES, digest) F(U8, digest_source) F(BYTES, target))              \
        /* a name is gone (or ignored); count 0: nothing is known of operations */                          \
        M(GONE,    5, D, F(U32, dir) F(BYTES, name) F(U32, request) F(U16, flags) F(U8, origin)             \
                         F(I64, first) F(I64, last) F(U32, count))                                          \
        M(MOVED,   6, D, F(U32, old_dir) F(BYTES, old_name) F(U32, dir) F(BYTES, name) F(U16, flags)        \
                         F(I64, first) F(I64, last) F(U32, count))                                          \
        M(EXCHANGED, 7, D, F(U32, old_dir) F(BYTES, old_name) F(U32, dir) F(BYTES, name) F(I64, first)      \
                         F(I64, last) F(U32, count))                                                        \
        /* the names of a directory follow as STATE with FEED_FLAG_LISTED, until LIST_END */                \
        M(LIST_BEGIN, 8, D, F(U32, dir) F(U32, walk))                                                       \
        M(LIST_END, 9, D, F(U32, dir) F(U32, walk) F(U32, error))                                           \
        M(WALK_END, 10, D, F(U32, root) F(U32, walk) F(U64, directories))                                   \
        /* changes may have gone unseen since `from`: in root (0: all), beneath dir (0: all), at name */    \
        M(GAP,     11, D, F(U32, root) F(U32, dir) F(BYTES, name) F(U8, cause) F(I64, from) F(U32, error))  \
        /* kind: DatasetKind of what is at the root */                                                      \
        M(HEAD,    12, D, F(U32, root) F(U8, kind) F(BYTES, commit) F(I64, time))                           \
        /* all noticed before the barrier went before this; oldest: first notice still pending, 0 none */   \
        M(BARRIER_DONE, 13, D, F(U64, barrier) F(I64, time) F(I64, oldest))                                 \
        M(FAILED,  14, D, F(U32, request) F(U32, dir) F(BYTES, name) F(U32, error))                         \
        M(COUNTS,  15, D, F(U64, pending) F(U64, watches) F(U64, overflows) F(U64, walked_twice)            \
                         F(U64, swept) F(U64, walked_again) F(U64, polled) F(U64, watch_limit)              \
                         F(U8, namespaced))                                                                 \
        /* a digest under way: bytes so far, and what DIGEST takes to go on from there */                   \
        M(PROGRESS, 16, D, F(U32, request) F(I64, done) F(BYTES, reading))                                  \
        /* what a gap of that cause in root has hidden was found, but for what is still asked for */        \
        M(RECONCILED, 17, D, F(U32, root) F(U8, cause))                                                     \
        /* the file system has not answered since (0: it does again); what is asked of it waits */          \
        M(STALLED, 18, D, F(I64, since))                                                                    \
        /* a directory of the listing under way, which is what was said of it last */                       \
        M(PRESENT, 20, D, F(U32, dir) F(BYTES, name))                                                       \
        /* ..._max: bytes, bytes, percent, µs; poll_rate: entries a second */                               \
        M(POLICY,  32, U, F(I64, settle) F(I64, write_max) F(I64, digest_max) F(BYTES, ignore)              \
                         F(I64, read_max) F(U32, pressure_max) F(I64, answer_max) F(U32, poll_rate))        \
        M(EXCLUDE, 33, U, F(BYTES, path))                                                                   \
        /* inode, btime: the identity that is known of it, or 0: where it is met, it begins, away or not */ \
        M(WATCH,   34, U, F(U32, root) F(U8, origin) F(U32, walk) F(BYTES, path) F(U64, inode)              \
                         F(I64, btime))                                                                     \
        M(UNWATCH, 35, U, F(U32, root))                                                                     \
        M(WALK,    36, U, F(U32, root) F(U8, origin) F(U32, walk) F(U8, idle))                              \
        M(DIGEST,  37, U, F(U32, request) F(U32, dir) F(BYTES, name) F(U64, inode) F(I64, btime)            \
                         F(U8, origin) F(BYTES, progress))                                                  \
        /* list: if it is a directory, its names too */                                                     \
        M(CHECK,   38, U, F(U32, request) F(U32, dir) F(BYTES, name) F(U8, origin) F(U8, list))             \
        /* flush: 1 settles what is pending (Settle), 0 only passes through the queues (a canary) */        \
        M(BARRIER, 39, U, F(U64, barrier) F(U8, flush))                                                     \
        M(CREDIT,  40, U, F(U32, frames))                                                                   \
        /* the names of dir once more, LIST_BEGIN to LIST_END; then FAILED, with error 0 */                 \
        M(LIST,    41, U, F(U32, request) F(U32, dir))

enum {                                  /* flags of STATE, GONE, MOVED */
        FEED_FLAG_CREATED = 1,          /* its creation was noticed (IN_CREATE): not in the record before */
        FEED_FLAG_ARRIVED = 2,          /* it came to this name by a rename */
        FEED_FLAG_CONTENT = 4,          /* content was noticed to change */
        FEED_FLAG_OPEN = 8,             /* still being written: a version `open` */
        FEED_FLAG_LISTED = 16,          /* from the listing of its directory */
        FEED_FLAG_IGNORED = 32,         /* GONE: an ignore pattern covers it now */
        FEED_FLAG_DIRECTORY = 64,       /* MOVED, GONE: it was a directory */
        FEED_FLAG_ADOPTED = 128,        /* a directory whose names follow */
        FEED_FLAG_FOREIGN = 256,        /* another file system is mounted there, whose state it is */
};

#define FEED_TYPE_U8 uint8_t
#define FEED_TYPE_U16 uint16_t
#define FEED_TYPE_U32 uint32_t
#define FEED_TYPE_U64 uint64_t
#define FEED_TYPE_I64 int64_t
#define FEED_TYPE_BYTES Bytes

typedef enum FeedType {
#define F(kind, field)
#define M(name, number, direction, fields) FEED_##name = number,
        FEED_TABLE(M)
#undef M
#undef F
} FeedType;

#define F(kind, field) FEED_TYPE_##kind field;
#define M(name, number, direction, fields) typedef struct { fields } Feed_##name;
FEED_TABLE(M)
#undef M
#undef F

/** FeedMessage: one decoded message; runs of bytes borrow from the frame. */
typedef struct FeedMessage {
        FeedType type;
        union {
#define F(kind, field)
#define M(name, number, direction, fields) Feed_##name name;
                FEED_TABLE(M)
#undef M
#undef F
        };
} FeedMessage;

/** feed_add() - appends one message to a frame being built: frame holds *size bytes and has room for
 *  FEED_FRAME_MAX. 0 and *size grown; FEED_E_FULL: does not fit, send the frame first; -EMSGSIZE: can fit in
 *  none; -EINVAL: no such type. */
enum { FEED_E_FULL = 1 };
int feed_add(uint8_t *frame, size_t *size, const FeedMessage *message);

/** feed_next() - decodes the message at *offset and moves *offset behind it. 1 and *ret; 0 at the end;
 *  -EBADMSG: not a message (unknown type, wrong length, a run of bytes past the end or over its limit). */
int feed_next(Bytes frame, size_t *offset, FeedMessage *ret);


#endif
