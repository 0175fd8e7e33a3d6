/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "daemon/control/args.h"
#include "daemon/control/methods.h"

#define COUNT_USEC (600 * (int64_t) USEC_PER_SEC) /* to count all old events */
enum { TREES_USEC = 5 * 1000 * 1000 };  /* to count pages, unless the caller says otherwise */

static int retention(Call *c, Query *q, bool counted, json_t **ret);

static int add_care(void *userdata, const QueryCare *care) {
        json_t *row = json_pack("{ss ss sI sI}", "what", care->what, "result", care->result, "timeUsec",
                                (json_int_t) care->time, "seq", (json_int_t) care->seq);

        return json_array_append_new(userdata, row);
}

static int add_tree(void *userdata, const QueryTree *t) {
        json_t *row = json_pack("{ss ss sb sI sI sI sb}", "name", t->name, "table", t->table, "index",
                                t->index, "bytes", (json_int_t) t->bytes, "unusedBytes",
                                (json_int_t) t->unused, "rows", (json_int_t) t->rows, "whole", t->whole);

        return json_array_append_new(userdata, row);
}

/* The lists stop where memory does: the reply would fail as well. */
static int describe_lists(Query *q, int64_t usec, json_t *cares, json_t *trees) {
        int r;

        query_deadline(q, CALL_DEADLINE_USEC);
        r = query_cares(q, add_care, cares);
        if (r != 0 || usec == 0)
                return r;
        query_deadline(q, usec + CALL_DEADLINE_USEC);
        return query_trees(q, usec, add_tree, trees);
}

static int describe_run(Call *c, Query *q) {
        CLEANUP(json_decrefp) json_t *cares = json_array(), *trees = json_array(), *kept = NULL;
        json_t *limit = json_object_get(c->parameters, "limitUsec");
        QueryTotals t;
        QueryStore s;
        int r = query_totals(q, &t);

        if (r == 0)
                r = query_store(q, &s);
        if (r == 0)
                r = retention(c, q, false, &kept);
        if (r == 0)
                r = describe_lists(q, json_is_integer(limit) ? MAX_OF(json_integer_value(limit), 0)
                                                             : TREES_USEC, cares, trees);
        if (r != 0)
                return r;
        call_reply(c, json_pack("{ss sI sI sI si sI sI sb sO sO sO}", "path", c->service->config->store_path,
                                "bytes", (json_int_t) t.store_bytes, "walBytes", (json_int_t) t.wal_bytes,
                                "events", (json_int_t) t.events, "schema", t.schema, "pageBytes",
                                (json_int_t) s.page_size, "freeBytes", (json_int_t) s.free_bytes, "shrinks",
                                s.shrinks, "care", cares, "trees", trees, "retention",
                                kept));
        return 0;
}

/* Never a path from a client: it opened the file with its own rights. */
static bool writable_file(int fd) {
        struct stat st;
        int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

        return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && (flags & (O_PATH | O_APPEND)) == 0 &&
               fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void backed_up(void *userdata, int result, int64_t bytes, int64_t seq) {
        Call *c = userdata;

        if (result == 0)
                call_reply(c, json_pack("{sI sI}", "bytes", (json_int_t) bytes, "seq", (json_int_t) seq));
        else
                call_failed(c,
                            "The backup failed, and the file is not to be used: %s. Free some space where "
                            "the store is and where the file is, and try again.",
                            strerror(result < 0 ? -result : EIO));
        call_answer(c);
}

static int backup_start(Call *c) {
        int r;

        if (!writable_file(c->fd)) {
                call_error(c, "org.scitrace.Store.NoDescriptor", NULL);
                return 0;
        }
        r = intake_backup(c->service->config->intake, c->fd, backed_up, c);
        if (r < 0)
                return r;
        c->held = true;
        return CALL_LATER;
}

static void backup_free(Call *c) {
        intake_forget(c->service->config->intake, c);
}

/* Retention. */

static int retention(Call *c, Query *q, bool counted, json_t **ret) {
        bool all = c->service->config->keep_usec == INT64_MAX;
        QueryPrunable p;
        IntakeTime t;
        int r;

        intake_time(c->service->config->intake, &t);
        r = query_prunable(q, all ? INT64_MIN : t.time - c->service->config->keep_usec, counted, &p);
        if (r == 0)
                *ret = json_pack("{sI sb sI sI}", "pruned", (json_int_t) p.pruned, "unfinished",
                                 p.unfinished, "upto", (json_int_t) p.upto, "events",
                                 (json_int_t) p.events);
        if (r == 0 && *ret && !all)
                (void) json_object_set_new(*ret, "keepUsec", json_integer(c->service->config->keep_usec));
        if (r == 0 && *ret && !all && t.off != 0)
                (void) json_object_set_new(*ret, "doubt", json_pack("{sI sI}", "offUsec", (json_int_t) t.off,
                                                                    "leftUsec", (json_int_t) t.left));
        return r != 0 ? r : *ret ? 0 : -ENOMEM;
}

static int prunable_run(Call *c, Query *q) {
        json_t *answer;
        int r;

        query_deadline(q, COUNT_USEC);
        r = retention(c, q, true, &answer);
        c->state = r == 0 ? answer : NULL;
        return r;
}

/* What was told stays allowed: time only goes on. */
static int prunable_finish(Call *c) {
        const json_t *answer = c->state;
        int64_t upto = json_integer_value(json_object_get(answer, "upto"));

        c->service->prunable = MAX_OF(c->service->prunable, upto);
        call_reply(c, STEAL(c->state));
        return 0;
}

static void prunable_free(Call *c) {
        json_decref(c->state);
}

/* Rows of a job as it goes on. */

static void on_news(void *userdata, const char *phase, int64_t done, int64_t left, int result) {
        Call *c = userdata;
        Emit *e;

        if (phase) {
                e = call_row(c, "row");
                emit_word(e, "phase", phase);
                emit_int(e, "done", done);
                emit_int(e, "left", left);
                (void) call_row_end(c, NULL);
                call_show(c);
                return;
        }
        if (result < 0)
                call_failed(c, "It failed: %s. Nothing is lost; the journal says more.", strerror(-result));
        call_answer(c);
}

static int tend(Call *c, const TendJob *job, int64_t argument) {
        Tend *t = c->service->tend;
        int r = tend_start(t, job, argument, on_news, c);

        if (r != -EBUSY)
                return r < 0 ? r : CALL_LATER;
        call_error(c, "org.scitrace.Store.Busy", json_pack("{ss}", "what", tend_current(t)));
        return 0;
}

static void tend_free_call(Call *c) {
        tend_forget(c->service->tend, c);
}

static int maintain_start(Call *c) {
        static const TendJob job = {
                STORE_CARE_MAINTAIN,
                {
                        { "analyze", STORE_STEP_ANALYZE },
                        { "thin", STORE_STEP_THIN },
                        { "vacuum", STORE_STEP_VACUUM },
                        { "checkpoint", STORE_STEP_CHECKPOINT },
                },
        };

        return tend(c, &job, 0);
}

static int prune_start(Call *c) {
        static const TendJob job = {
                STORE_CARE_PRUNE,
                {
                        { "say", STORE_STEP_PRUNE },
                        { "events", STORE_STEP_PRUNE_EVENTS },
                        { "nodes", STORE_STEP_PRUNE_NODES },
                        { "batches", STORE_STEP_PRUNE_BATCHES },
                        { "contents", STORE_STEP_PRUNE_CONTENTS },
                        { "vacuum", STORE_STEP_VACUUM },
                        { "checkpoint", STORE_STEP_CHECKPOINT },
                },
        };
        int64_t upto = json_integer_value(json_object_get(c->parameters, "upto"));

        if (upto <= c->service->prunable && upto > 0)
                return tend(c, &job, upto);
        call_error(c, "org.scitrace.Store.NotPrunable", json_pack("{sI}", "upto", (json_int_t) upto));
        return 0;
}

const Method methods_store[] = {
        { "org.scitrace.Store.Describe", .run = describe_run },
        { "org.scitrace.Store.Backup", .start = backup_start, .free = backup_free },
        { "org.scitrace.Store.Prunable", .run = prunable_run, .finish = prunable_finish,
          .free = prunable_free },
        { "org.scitrace.Store.Prune", .more = true, .start = prune_start, .free = tend_free_call },
        { "org.scitrace.Store.Maintain", .more = true, .start = maintain_start, .free = tend_free_call },
        { 0 },
};
