/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "daemon/intake/internal.h"
#include "lib/log.h"

/* frames: what comes down a feed, message by message, to who makes something of it. */

static void observe_watcher(Intake *i, const FeedMessage *m) {
        switch (m->type) {
        case FEED_HELLO:
                datasets_hello(i, i->from);
                break;
        case FEED_ROOT:
                observe_root(i, &m->ROOT);
                break;
        case FEED_WALK_END:
                observe_walk_end(i, &m->WALK_END);
                break;
        case FEED_GAP:
                observe_gap(i, &m->GAP);
                break;
        case FEED_RECONCILED:
                observe_reconciled(i, &m->RECONCILED);
                break;
        case FEED_STALLED:
                observe_stalled(i, &m->STALLED);
                break;
        case FEED_HEAD:
                observe_head(i, &m->HEAD);
                break;
        case FEED_BARRIER_DONE:
                settling_barrier(i, &m->BARRIER_DONE);
                break;
        case FEED_FAILED:
                observe_failed(i, &m->FAILED);
                break;
        case FEED_PROGRESS:
                observe_progress(i, &m->PROGRESS);
                break;
        case FEED_COUNTS:
                i->from->counts = m->COUNTS;
                gaps_limit(i);
                break;
        default:                        /* requests do not come this way */
                break;
        }
}

static void observe(Intake *i, const FeedMessage *m) {
        switch (m->type) {
        case FEED_DIR:
                observe_dir(i, &m->DIR);
                break;
        case FEED_STATE:
                observe_state(i, &m->STATE);
                break;
        case FEED_GONE:
                observe_gone(i, &m->GONE);
                break;
        case FEED_MOVED:
                observe_moved(i, &m->MOVED);
                break;
        case FEED_EXCHANGED:
                observe_exchanged(i, &m->EXCHANGED);
                break;
        case FEED_LIST_BEGIN:
                observe_list_begin(i, &m->LIST_BEGIN);
                break;
        case FEED_PRESENT:
                observe_present(i, &m->PRESENT);
                break;
        case FEED_LIST_END:
                observe_list_end(i, &m->LIST_END);
                break;
        default:
                observe_watcher(i, m);
        }
}

/* What is not a message is the end of that feed, and of no other. */
static void observe_nonsense(Intake *i, Feed *f) {
        log_event(LOG_ERR, MSG_WATCHER_LOST, 0,
                  "A watcher sent what is not a message; starting another, which compares its datasets with "
                  "the record");
        datasets_lost(i, f, CAUSE_WATCHER_LOST);
        answers_reset(i, f);
}

/* The request that an observation answers; 0: none. */
static uint32_t answers(const FeedMessage *m) {
        switch (m->type) {
        case FEED_STATE:
                return m->STATE.request;
        case FEED_GONE:
                return m->GONE.request;
        case FEED_FAILED:
                return m->FAILED.request;
        default:
                return 0;
        }
}

/* Of the root itself it is empty. */
static bool is_name(Bytes b) {
        return b.data && b.size <= 255 && !memchr(b.data, '/', b.size) && !memchr(b.data, '\0', b.size);
}

static bool is_commit(Bytes b) {
        bool hex = true;

        for (size_t n = 0; n < b.size; n++)
                hex &= isxdigit(b.data[n]) != 0;
        return hex;
}

static bool is_digest(const Feed_STATE *m) {
        if (!m->digest.data)
                return m->digest_source == DIGEST_SOURCE_NONE;
        return m->digest.size == EVENT_DIGEST_SIZE && digest_source_to_word(m->digest_source);
}

/* False: what no watcher of ours sends. The store would refuse such a value, which would be everybody's
 * failure, or who reads it would run past its end. */
static bool is_sound(const FeedMessage *m) {
        switch (m->type) {
        case FEED_ROOT:                 /* names: a NUL behind each */
                return m->ROOT.names.size == 0 || m->ROOT.names.data[m->ROOT.names.size - 1] == '\0';
        case FEED_DIR:
                return m->DIR.parent == 0 || is_name(m->DIR.name);
        case FEED_STATE:
                return is_name(m->STATE.name) && origin_to_word(m->STATE.origin) && is_digest(&m->STATE);
        case FEED_GONE:
                return is_name(m->GONE.name) && origin_to_word(m->GONE.origin);
        case FEED_MOVED:
                return is_name(m->MOVED.name) && is_name(m->MOVED.old_name);
        case FEED_EXCHANGED:
                return is_name(m->EXCHANGED.name) && is_name(m->EXCHANGED.old_name);
        case FEED_PRESENT:
                return is_name(m->PRESENT.name);
        case FEED_GAP:
                return !m->GAP.name.data || is_name(m->GAP.name);
        case FEED_HEAD:
                return is_commit(m->HEAD.commit);
        default:
                return true;
        }
}

static void observe_one(Intake *i, Feed *f, const FeedMessage *m) {
        uint32_t next = i->next_request;

        observe(i, m);
        if (i->next_request != next && answers(m) != 0)
                settlings_led(i, f, answers(m));
}

void observe_frame(Intake *i, Work *w) {
        Feed *f = feed_find(i, w->feed);
        size_t offset = 0;
        FeedMessage m;
        int r = 0;

        if (!f)
                return;                 /* it is closed */
        i->from = f;
        f->frames++;
        while (i->error == 0 && r >= 0 && (r = feed_next(BYTES(w->data, w->size), &offset, &m)) > 0)
                if (!is_sound(&m))
                        r = -EBADMSG;
                else if (f->there || m.type == FEED_HELLO)      /* else of one that is to be replaced */
                        observe_one(i, f, &m);
        if (i->error == 0 && r < 0 && f->there)
                observe_nonsense(i, f);
        i->from = NULL;
}
