/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/control/args.h"
#include "daemon/control/methods.h"
#include "lib/log.h"

/* Verify runs on a query thread, on its connection; the store thread does not notice. */
typedef struct Verifying {
        Call *call;
        Query *query;
        VerifyPoint *against;
        NoteKey *keys;
        bool stopped;
        int64_t began;                  /* the slice, when it goes gently; 0: it does not */
} Verifying;

enum { REST_FACTOR = 3, REST_USEC = 100 * 1000 };

static const char *outcome_word(VerifyOutcome outcome) {
        static const char *const words[] = {
                [VERIFY_SOUND] = "sound",       [VERIFY_DAMAGED] = "damaged",
                [VERIFY_ALTERED] = "altered",   [VERIFY_TRUNCATED] = "truncated",
                [VERIFY_UNSEALED] = "unsealed", [VERIFY_UNKNOWN_KEY] = "unknown-key",
        };

        return words[outcome];
}

static void on_finding(void *userdata, const VerifyFinding *f) {
        Verifying *v = userdata;
        Emit *e = call_row(v->call, "row");

        emit_key(e, "finding");
        EMIT(e, "{");
        emit_word(e, "outcome", outcome_word(f->outcome));
        if (f->from != 0)
                emit_int(e, "from", f->from);
        if (f->to != 0)
                emit_int(e, "to", f->to);
        emit_word(e, "message", f->what);
        EMIT(e, "}");
        v->stopped |= call_row_end(v->call, v->query) != 0;
}

/* As a whole it takes a quarter of a processor, and of the disk. */
static void rest(Verifying *v) {
        int64_t left = REST_FACTOR * (now_usec(CLOCK_MONOTONIC) - v->began);

        while (left > 0 && !job_cancelled(&v->call->job)) {
                int64_t usec = MIN_OF(left, (int64_t) REST_USEC);
                struct timespec t = timespec_of(usec);

                (void) clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
                left -= usec;
        }
        v->began = now_usec(CLOCK_MONOTONIC);
}

static int on_progress(void *userdata, int64_t done, int64_t total) {
        Verifying *v = userdata;
        Emit *e;

        if (v->stopped)
                return 1;
        e = call_row(v->call, "row");
        emit_int(e, "done", done);
        emit_int(e, "total", total);
        v->stopped |= call_row_end(v->call, v->query) != 0;
        if (v->began != 0 && !v->stopped)
                rest(v);
        query_deadline(v->query, CALL_DEADLINE_USEC);
        return v->stopped;
}

static void give_result(Verifying *v, const VerifyResult *r) {
        Emit *e = call_row(v->call, "row");
        char key[NOTE_KEY_TEXT];

        emit_key(e, "result");
        EMIT(e, "{");
        emit_word(e, "outcome", outcome_word(r->outcome));
        emit_int(e, "events", r->events);
        emit_int(e, "pruned", r->pruned);
        emit_int(e, "sealed", r->sealed);
        emit_int(e, "checkpoints", r->checkpoints);
        if (r->checkpoints > 0)
                emit_int(e, "timeUsec", r->time);
        emit_int(e, "keys", r->keys);
        if (r->keys > 0) {
                note_key_format(&r->first_key, key);
                emit_word(e, "key", key);
        }
        emit_int(e, "findings", r->findings);
        emit_int(e, "untold", r->untold);
        emit_int(e, "against", (int64_t) r->against);
        emit_bool(e, "projections", r->projections);
        EMIT(e, "}");
        (void) call_row_end(v->call, v->query);
}

/* false: one is not, and the call is answered. */
static bool read_points(Verifying *v, json_t *points, size_t *ret) {
        json_t *point;
        size_t i;

        json_array_foreach(points, i, point) {
                const char *root = args_string(point, "root");

                v->against[i].size = json_integer_value(json_object_get(point, "events"));
                if (v->against[i].size < 1 || hash_parse(BYTES_STR(root), &v->against[i].root) < 0) {
                        call_invalid(v->call, "against");
                        return false;
                }
        }
        *ret = json_array_size(points);
        return true;
}

static bool read_keys(Verifying *v, json_t *keys, size_t *ret) {
        json_t *key;
        size_t i;

        json_array_foreach(keys, i,
                           key) if (note_key_parse(BYTES_STR(json_string_value(key)), &v->keys[i]) < 0) {
                call_invalid(v->call, "keys");
                return false;
        }
        *ret = json_array_size(keys);
        return true;
}

static int verify_run_with(Verifying *v, Query *q) {
        json_t *points = json_object_get(v->call->parameters, "against");
        json_t *keys = json_object_get(v->call->parameters, "keys");
        Verify verify = {
                .against = v->against,
                .keys = v->keys,
                .now = now_usec(CLOCK_REALTIME),
                .found = on_finding,
                .progress = on_progress,
                .userdata = v,
        };
        VerifyResult result;
        int r;

        if (!read_points(v, points, &verify.n_against) || !read_keys(v, keys, &verify.n_keys))
                return 0;
        r = query_verify(q, &verify, &result);
        if (r == 0) {
                give_result(v, &result);
                v->call->state = (void *) (uintptr_t) outcome_word(result.outcome);
        }
        return v->stopped ? 0 : r;
}

static int verify_call(Call *c, Query *q) {
        bool gently = args_bool(c->parameters, "gently");
        Verifying v = { .call = c, .query = q, .began = gently ? now_usec(CLOCK_MONOTONIC) : 0 };
        int r = -ENOMEM;

        v.against =
                calloc(json_array_size(json_object_get(c->parameters, "against")) + 1, sizeof(*v.against));
        v.keys = calloc(json_array_size(json_object_get(c->parameters, "keys")) + 1, sizeof(*v.keys));
        if (v.against && v.keys)
                r = verify_run_with(&v, q);
        free(v.against);
        free(v.keys);
        return r;
}

static int verify_finish(Call *c) {
        const ControlConfig *config = c->service->config;
        const char *outcome = c->state;

        if (outcome && strcmp(outcome, outcome_word(VERIFY_SOUND)) != 0)
                log_event(LOG_CRIT, MSG_NOT_SOUND, 0,
                          "The record in %s is not sound: %s; 'scitracectl verify' says what is wrong, keep "
                          "a copy of the state folder as it is", config->store_path, outcome,
                          "SCITRACE_STORE=%s", config->store_path, "SCITRACE_OUTCOME=%s", outcome);
        return outcome ? intake_care(config->intake, STORE_CARE_VERIFY, outcome, NULL, NULL) : 0;
}

static int prove_run(Call *c, Query *q) {
        int64_t seq = json_integer_value(json_object_get(c->parameters, "seq"));
        CLEANUP(freep) char *proof = NULL;
        int r = query_prove(q, seq, &proof);

        if (r == QUERY_E_NO_EVENT || r == QUERY_E_UNSEALED)
                call_error(c,
                           r == QUERY_E_NO_EVENT ? "org.scitrace.Integrity.NoSuchEvent"
                                                 : "org.scitrace.Integrity.NotSealed",
                           json_pack("{sI}", "seq", (json_int_t) seq));
        else if (r == -EBADMSG)
                call_error(c, "org.scitrace.Integrity.NotSound", NULL);
        else if (r == 0)
                call_reply(c, json_pack("{ss}", "proof", proof));
        else
                return r;
        return 0;
}

static int keys_run(Call *c, Query *q) {
        CLEANUP(freep) char *keys = NULL;
        int r = query_keys(q, &keys);

        if (r == -EBADMSG)
                call_error(c, "org.scitrace.Integrity.NotSound", NULL);
        else if (r == 0)
                call_reply(c, json_pack("{ss}", "keys", keys));
        else
                return r;
        return 0;
}

const Method methods_integrity[] = {
        { "org.scitrace.Integrity.Verify", .more = true, .run = verify_call, .finish = verify_finish },
        { "org.scitrace.Integrity.Prove", .run = prove_run },
        { "org.scitrace.Integrity.Keys", .run = keys_run },
        { 0 },
};
