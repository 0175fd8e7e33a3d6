/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>

#include "daemon/query/private.h"

int batch_find(Query *q, int64_t seq) {
        CLEANUP(sql_resetp) sqlite3_stmt *stmt = NULL;
        QueryBatch *b = q->batch;
        Bytes boot;
        int r;

        if (b && seq >= b->first && seq <= b->last)
                return 0;
        for (b = q->batches; b < q->batches + BATCHES; b++)
                if (b->first != 0 && seq >= b->first && seq <= b->last) {
                        q->batch = b;
                        return 0;
                }
        r = query_row(q, QUERY_SQL_BATCH, seq, &stmt);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        boot = sql_column_bytes(stmt, 3);
        b = q->batch = &q->batches[q->next_batch++ % BATCHES];
        *b = (QueryBatch) {
                .first = sql_column(stmt, 0),
                .last = sql_column(stmt, 4),
                .time = sql_column(stmt, 1),
                .greatest = sql_column(stmt, 1) + sql_column(stmt, 2),
        };
        memcpy(b->boot, boot.data, EVENT_ID_SIZE);
        return 0;
}

static void read_state(sqlite3_stmt *stmt, Event *e) {
        if (sql_is_null(stmt, 16))
                return;
        e->has_state = true;
        e->type = (Type) sql_column(stmt, 16);
        e->mode = (uint32_t) sql_column(stmt, 17);
        e->uid = (uint32_t) sql_column(stmt, 18);
        e->gid = (uint32_t) sql_column(stmt, 19);
        e->size = sql_column(stmt, 10);
        if (!sql_is_null(stmt, 11))
                e->mtime = (int64_t) ((uint64_t) e->last * NSEC_PER_USEC - (uint64_t) sql_column(stmt, 11));
}

int row_event(Query *q, sqlite3_stmt *stmt, Event *ret) {
        int r;

        r = batch_find(q, sql_column(stmt, 0));
        if (r < 0)
                return r;
        *ret = (Event) {
                .seq = sql_column(stmt, 0),
                .last = q->batch->time - sql_column(stmt, 1),
                .dataset = sql_column(stmt, 3),
                .node = sql_column(stmt, 5),
                .parent = sql_column(stmt, 6),
                .name = sql_column_bytes(stmt, 7),
                .introduces = !sql_is_null(stmt, 8),
                .inode = (uint64_t) sql_column(stmt, 8),
                .digest = sql_column_bytes(stmt, 12),
                .target = sql_column_bytes(stmt, 13),
                .detail = sql_column_bytes(stmt, 15),
        };
        event_take_what(ret, sql_column(stmt, 4));
        ret->first = ret->last - sql_column(stmt, 2);
        memcpy(ret->boot, q->batch->boot, EVENT_ID_SIZE);
        read_state(stmt, ret);
        if (ret->introduces)
                ret->btime = event_btime(sql_column(stmt, 9), ret->mtime);
        return event_take_rest(ret, sql_column_bytes(stmt, 14));
}

static int full_path(Query *q, int64_t dataset, int64_t seq, int64_t parent, Bytes name, Buffer *buffer,
                     Bytes *ret) {
        int r;

        buffer->size = 0;
        r = path_at(q, dataset, parent, seq, buffer);
        if (r == 0 && name.data && buffer->size > 0)
                r = buffer_add(buffer, "/", 1);
        if (r == 0 && name.data)
                r = buffer_add(buffer, name.data, name.size);
        *ret = buffer->size > 0 ? BYTES(buffer->data, buffer->size) : BYTES_NONE;
        return r;
}

static int64_t dataset_by_uuid(const Query *q, Bytes uuid) {
        for (size_t i = 0; i < q->n_datasets; i++)
                if (bytes_equal(uuid, BYTES(q->datasets[i]->id128, EVENT_ID_SIZE)))
                        return q->datasets[i]->id;
        return 0;
}

/* Which dataset the old name was of: the link that the event closed says so; a rehome closes none. */
static int find_old_dataset(Query *q, const Event *e, int64_t *ret) {
        int64_t found = e->kind == KIND_REHOME ? dataset_by_uuid(q, e->detail) : 0;
        sqlite3_stmt *stmt;
        int r = 0;

        if (e->kind != KIND_REHOME) {
                r = query_stmt(q, QUERY_SQL_LINK_LEFT, &stmt);
                if (r < 0)
                        return r;
                sql_bind(stmt, 1, e->old_parent);
                sql_bind(stmt, 2, e->seq);
                sql_bind_bytes(stmt, 3, e->old_name);
                r = query_one(q, stmt, &found);
        }
        *ret = found != 0 ? found : e->dataset;
        return r;
}

static int complete_old(Query *q, const Event *e, QueryEvent *ret) {
        const Dataset *d;
        int r;

        r = find_old_dataset(q, e, &q->old_dataset);
        if (r == 0)
                r = full_path(q, q->old_dataset, e->seq, e->old_parent, e->old_name, &q->row_old_path,
                              &ret->old_path);
        d = r == 0 && q->old_dataset != e->dataset ? dataset_get(q, q->old_dataset) : NULL;
        ret->old_dataset = d ? d->name : NULL;
        return r;
}

int row_complete(Query *q, const Event *e, QueryEvent *ret) {
        Dataset *d = dataset_get(q, e->dataset);
        int r = 0;

        if (!d && e->dataset != 0) {    /* added after the call began */
                r = query_datasets_load(q);
                d = dataset_get(q, e->dataset);
        }
        *ret = (QueryEvent) { .event = *e, .dataset = d ? d->name : NULL };
        if (d)
                memcpy(ret->event.dataset_uuid, d->id128, EVENT_ID_SIZE);
        if (r == 0 && e->parent != 0)
                r = full_path(q, e->dataset, e->seq, e->parent, e->name, &q->row_path, &ret->path);
        else if (r == 0 && e->node != 0)
                r = full_path(q, e->dataset, e->seq, e->node, BYTES_NONE, &q->row_path, &ret->path);
        return r == 0 && e->old_parent != 0 ? complete_old(q, e, ret) : r;
}

static int read_commit(Query *q, Dataset *d, int64_t seq) {
        CLEANUP(sql_resetp) sqlite3_stmt *before = NULL;
        sqlite3_stmt *until;
        int64_t to;
        Bytes text;
        int r;

        r = query_stmt(q, QUERY_SQL_COMMIT_BEFORE, &before);
        if (r < 0)
                return r;
        sql_bind(before, 1, d->id);
        sql_bind(before, 2, seq);
        r = query_step(q, before);
        if (r < 0)
                return r;
        d->commit_from = r > 0 ? sql_column(before, 0) : 0;
        text = r > 0 ? sql_column_bytes(before, 1) : BYTES("", 0);
        snprintf(d->commit, sizeof(d->commit), "%.*s", (int) text.size, (const char *) text.data);

        r = query_stmt(q, QUERY_SQL_COMMIT_UNTIL, &until);
        if (r < 0)
                return r;
        sql_bind(until, 1, d->id);
        sql_bind(until, 2, seq);
        r = query_one(q, until, &to);
        d->commit_to = to;
        return r;
}

int commit_before(Query *q, Dataset *d, int64_t seq, const char **ret) {
        int r = 0;

        if (!d->head) {
                *ret = NULL;
                return 0;
        }
        if (seq <= d->commit_from || seq > d->commit_to)
                r = read_commit(q, d, seq);
        *ret = d->commit[0] ? d->commit : NULL;
        return r;
}

int row_commit(Query *q, QueryEvent *e) {
        Dataset *d = dataset_get(q, e->event.dataset);

        return d ? commit_before(q, d, e->event.seq, &e->commit) : 0;
}
