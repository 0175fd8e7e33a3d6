/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

/* What a node was after an event of the past: the newest state that its events up to there tell. What they
 * do to a node's present state, daemon/store/project.c says; this is the same, read backwards. */

#define STATE_KINDS                                                                                         \
        (1U << KIND_CREATE | 1U << KIND_MODIFY | 1U << KIND_ATTRIBUTE | 1U << KIND_RENAME |                 \
         1U << KIND_EXCHANGE | 1U << KIND_LINK | 1U << KIND_DATASET_ADD)

typedef struct Look {
        Past *past;
        bool wants_target;              /* it has one now, so it may have had one then */
        bool has_state, has_content, has_target;
        bool compares;                  /* content is as before, if an older event has this size and mtime */
        bool identified;                /* the digest is there, but for that */
        int64_t size, mtime;
} Look;

static void take_digest(Past *p, const Event *e) {
        memcpy(p->digest, e->digest.data, EVENT_DIGEST_SIZE);
        p->has_digest = true;
        p->digest_source = e->digest_source;
}

static int take_target(Look *l, const Event *e) {
        if (l->has_target || !l->wants_target || !e->target.data)
                return 0;
        l->has_target = true;
        l->past->has_target = true;
        l->past->target.size = 0;
        return buffer_add(&l->past->target, e->target.data, e->target.size);
}

static void take_state(Look *l, const Event *e) {
        Past *p = l->past;

        l->has_state = true;
        p->type = e->type;
        p->mode = e->mode;
        p->uid = e->uid;
        p->gid = e->gid;
        p->size = e->size;
        p->mtime = e->mtime;
        if (e->type != TYPE_FILE)
                l->has_content = true;
}

/* An event without a digest leaves the content as it was, unless it says that it is another. */
static void weigh_content(Look *l, const Event *e) {
        if (l->has_content)
                return;
        if (l->compares && (l->size != e->size || l->mtime != e->mtime)) {
                l->has_content = true;
                l->past->has_digest = false;
                return;
        }
        if (l->identified) {
                l->has_content = true;
                return;
        }
        l->has_content = e->digest.data || e->kind == KIND_MODIFY || e->introduces;
        if (e->digest.data)
                take_digest(l->past, e);
        l->compares = e->kind != KIND_ATTRIBUTE;
        l->size = e->size;
        l->mtime = e->mtime;
}

static int look_at(Look *l, const Event *e) {
        bool state = e->has_state && STATE_KINDS >> e->kind & 1;

        if (l->past->seq == 0)
                l->past->seq = e->seq;
        if (state && !l->has_state)
                take_state(l, e);
        if (state)
                weigh_content(l, e);
        else if (e->kind == KIND_IDENTIFY && e->digest.data && !l->has_content && !l->identified) {
                take_digest(l->past, e);
                l->identified = true;
                l->has_content = !l->compares;
        }
        return state || e->kind == KIND_IDENTIFY ? take_target(l, e) : 0;
}

static bool has_all(const Look *l) {
        return l->has_state && l->has_content && (l->has_target || !l->wants_target);
}

enum { PAGE = 16 };                     /* few of a node's events are looked at as a rule */

/* 1: there may be more, before *at. */
static int look_back(Query *q, int64_t node, Look *l, int64_t *at) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        int n = 0, r;
        Event e;

        r = query_stmt(q, QUERY_SQL_NODE_BEFORE, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        sql_bind(stmt, 2, *at);
        sql_bind(stmt, 3, PAGE);
        while (!has_all(l) && (r = query_step(q, stmt)) > 0) {
                r = row_event(q, stmt, &e);
                if (r == 0)
                        r = look_at(l, &e);
                if (r < 0)
                        return r;
                *at = e.seq - 1;
                n++;
        }
        return r < 0 ? r : n == PAGE && !has_all(l);
}

static int look_at_birth(Query *q, int64_t born, int64_t seq, Look *l) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Event e;
        int r;

        if (born == 0 || born > seq)
                return 0;
        r = query_row(q, QUERY_SQL_EVENT, born, &stmt);
        if (r > 0)
                r = row_event(q, stmt, &e);
        return r < 0 ? r : look_at(l, &e);
}

/* A digest that was learned after seq, before anything said that the content is another. */
static int learn_later(Query *q, int64_t node, int64_t seq, Past *p) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        Event e;
        int r;

        r = query_stmt(q, QUERY_SQL_NODE_AFTER, &stmt);
        if (r < 0)
                return r;
        sql_bind(stmt, 1, node);
        sql_bind(stmt, 2, seq);
        sql_bind(stmt, 3, PAGE);
        while ((r = query_step(q, stmt)) > 0) {
                r = row_event(q, stmt, &e);
                if (r < 0)
                        return r;
                if (e.has_state && (e.kind == KIND_MODIFY || e.size != p->size || e.mtime != p->mtime))
                        return 0;
                if (!e.digest.data)
                        continue;
                take_digest(p, &e);
                return 0;
        }
        return r;
}

int past_find(Query *q, int64_t node, int64_t born, bool wants_target, int64_t seq, Past *ret) {
        Look l = { .past = ret, .wants_target = wants_target };
        int64_t at = seq;
        int r;

        ret->seq = 0;
        ret->has_digest = ret->has_target = false;
        ret->digest_source = DIGEST_SOURCE_NONE;
        while ((r = look_back(q, node, &l, &at)) == 1)
                ;
        if (r == 0 && !has_all(&l))
                r = look_at_birth(q, born, seq, &l);
        if (r < 0)
                return r;
        if (!l.has_state)
                return -EBADMSG;
        return ret->type == TYPE_FILE && !ret->has_digest ? learn_later(q, node, seq, ret) : 0;
}

void past_done(Past *p) {
        buffer_done(&p->target);
}
