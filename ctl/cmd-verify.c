/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "ctl/ask.h"
#include "ctl/copying.h"
#include "ctl/say.h"
#include "ctl/screen.h"
#include "ctl/view.h"
#include "daemon/store/proof.h"
#include "daemon/store/verify.h"
#include "lib/text.h"
#include "lib/time.h"

/* The exit codes are VerifyOutcome's; that it could not be checked at all is 1, whatever the reason. */
#define CANNOT STATUS_FAILED
enum { FILE_MAX = 256 << 20 };

#define ORIGIN "scitrace.org/"

static const char *const outcomes[] = {
        [VERIFY_SOUND] = "sound",       [VERIFY_DAMAGED] = "damaged",
        [VERIFY_ALTERED] = "altered",   [VERIFY_TRUNCATED] = "truncated",
        [VERIFY_UNSEALED] = "unsealed", [VERIFY_UNKNOWN_KEY] = "unknown-key",
};

typedef struct Asked { /* what was given on the command line */
        NoteKey *keys;
        size_t n_keys;
        VerifyPoint *points;
        size_t n_points, max_points;
        Ctl *c;
        int shown; /* per mille of the progress that stands on the screen */
        VerifyOutcome outcome;
        bool finished;
        bool copied;    /* it is a copy that is verified, and not the daemon's store */
} Asked;

static int read_file(const char *path, uint8_t **ret, size_t *ret_size) {
        CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        CLEANUP(freep) uint8_t *data = NULL;
        size_t size = 0, max = 1 << 16;
        ssize_t n = fd < 0 ? -1 : 1;

        while (n > 0) {
                uint8_t *more = realloc(data, max);

                if (!more)
                        return -ENOMEM;
                data = more;
                n = read(fd, data + size, max - size);
                size += n > 0 ? (size_t) n : 0;
                max = size == max ? 2 * max : max;
                if (size > FILE_MAX)
                        return -EFBIG;
        }
        if (n < 0)
                return -errno;
        *ret = STEAL(data);
        *ret_size = size;
        return 0;
}

static Status complain_file(const char *path, const char *what) {
        CLEANUP(freep) char *shown = NULL;

        if (text_escape(BYTES_STR(path), &shown) < 0)
                return complain_memory();
        return complain(CANNOT, "%s %s", shown, what);
}

static Status load(const char *path, uint8_t **ret, size_t *ret_size) {
        CLEANUP(freep) char *shown = NULL;
        int r = read_file(path, ret, ret_size);

        if (r < 0 && text_escape(BYTES_STR(path), &shown) < 0)
                return complain_memory();
        return r < 0 ? complain_errno(r, "cannot read %s", shown) : STATUS_OK;
}

/* Checkpoints are found wherever they stand: in notes, in an export of the journal, in lines of a syslog: an
 * origin, a number of events and a root, with blanks, ends of lines or "\n" in letters between. */
static size_t gap(Bytes text) {
        size_t n = 0;

        while (n < text.size) {
                if (text.data[n] == ' ' || text.data[n] == '\n')
                        n++;
                else if (n + 1 < text.size && text.data[n] == '\\' && text.data[n + 1] == 'n')
                        n += 2;
                else
                        break;
        }
        return n;
}

static bool point_at(Bytes text, VerifyPoint *ret) {
        size_t n = 0, digits = 0;

        while (n < text.size && text.data[n] > ' ' && text.data[n] <= '~' && text.data[n] != '\\')
                n++; /* the origin */
        text = BYTES(text.data + n, text.size - n);
        n = gap(text);
        text = BYTES(text.data + n, text.size - n);
        while (n > 0 && digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
                digits++;
        if (note_number(BYTES(text.data, digits), &ret->size) < 0 || ret->size < 1)
                return false;
        text = BYTES(text.data + digits, text.size - digits);
        n = gap(text);
        return n > 0 && text.size >= n + HASH_TEXT - 1 &&
               hash_parse(BYTES(text.data + n, HASH_TEXT - 1), &ret->root) == 0;
}

static Status add_point(Asked *a, const VerifyPoint *point) {
        VerifyPoint *points = array_room(a->points, a->n_points, &a->max_points, 64, sizeof(*points));

        if (!points)
                return complain_memory();
        a->points = points;
        points[a->n_points++] = *point;
        return STATUS_OK;
}

/* What scitraced remembers beside the database of a state folder. Without it, or in a backup, there is no
 * such thing. */
static Status load_witness(Asked *a, const char *source) {
        CLEANUP(freep) char *path = NULL;
        CLEANUP(freep) uint8_t *data = NULL;
        VerifyPoint point;
        size_t size;

        if (asprintf(&path, "%s/" STORE_WITNESS, source) < 0) {
                path = NULL;
                return complain_memory();
        }
        if (read_file(path, &data, &size) < 0 || !point_at(BYTES(data, size), &point))
                return STATUS_OK;
        return add_point(a, &point);
}

static Status load_points(Asked *a, const char *path) {
        CLEANUP(freep) uint8_t *data = NULL;
        size_t size;
        Status status = load(path, &data, &size);
        Bytes rest = BYTES(data, size);

        while (status == STATUS_OK) {
                const uint8_t *at = memmem(rest.data, rest.size, ORIGIN, strlen(ORIGIN));
                VerifyPoint point;

                if (!at)
                        break;
                rest = BYTES(at + 1, rest.size - (size_t) (at + 1 - rest.data));
                if (!point_at(BYTES(at, rest.size + 1), &point))
                        continue;
                status = add_point(a, &point);
        }
        if (status == STATUS_OK && a->n_points == 0)
                status = complain_file(path, "has no checkpoint in it: nothing was verified");
        return status;
}

static Status load_keys(Asked *a, const char *path) {
        CLEANUP(freep) uint8_t *data = NULL;
        size_t size;
        Status status = load(path, &data, &size);
        int n;

        if (status != STATUS_OK)
                return status;
        n = keys_parse(BYTES(data, size), &a->keys);
        if (n <= 0)
                return n < 0 ? complain_memory()
                             : complain_file(path, "has no public key in it: nothing was verified");
        a->n_keys = (size_t) n;
        return STATUS_OK;
}

/* Progress stands on the screen alone, where there is one. */
static void clear_progress(Asked *a) {
        if (a->shown > 0)
                fputs("\r\x1b[K", stderr);
        a->shown = 0;
}

static void show_progress(Asked *a, int64_t done, int64_t total) {
        int part = total > 0 ? (int) (done * 1000 / total) : 0;

        if (a->c->options.quiet || !a->c->screen.terminal || a->c->screen.dumb || part <= a->shown ||
            !isatty(2))
                return;
        a->shown = part;
        fprintf(stderr, "\r%d.%d %% of %lld events", part / 10, part % 10, (long long) total);
        fflush(stderr);
}

static void show_finding(Asked *a, const char *outcome, const char *message) {
        clear_progress(a);
        printf("%s%s%s: %s\n", style(a->c, STYLE_RED), outcome, *style(a->c, STYLE_RED) ? STYLE_END : "",
               message);
}

static void show_result(Asked *a, const json_t *r) {
        int64_t events = row_number(r, "events"), sealed = row_number(r, "sealed");
        int64_t points = row_number(r, "checkpoints"), pruned = row_number(r, "pruned");
        char time[TIME_TEXT_MAX];

        if (row_number(r, "untold") > 0)
                printf("... and %lld findings more\n", (long long) row_number(r, "untold"));
        printf("%s: %lld events, ", row_text(r, "outcome"), (long long) events);
        if (pruned > 0)
                printf("%lld of them pruned and known by their hashes alone, ", (long long) pruned);
        if (sealed == 0)
                printf("none sealed");
        else if (sealed == events)
                printf("all sealed");
        else
                printf("the first %lld sealed", (long long) sealed);
        if (points > 0)
                printf(" by %lld checkpoint%s, the newest of %s", (long long) points, points == 1 ? "" : "s",
                       time_format(row_number(r, "timeUsec"), time));
        printf("\n");
        if (row_number(r, "against") > 0)
                printf("%lld checkpoint%s from outside the database compared\n",
                       (long long) row_number(r, "against"),
                       row_number(r, "against") == 1 ? " was" : "s were");
        if (*row_text(r, "key"))
                printf("%s key: %s\n", a->n_keys > 0 ? "trusted" : "first", row_text(r, "key"));
        if (json_is_true(json_object_get(r, "projections")))
                return;
        if (pruned > 0)
                printf("what follows from the log (the present tree, gaps, counters) cannot be compared "
                       "with it: that takes the events that were pruned\n");
        else if (a->copied)
                printf("what follows from the log (the present tree, gaps, counters) was not compared with "
                       "it\n");
        else
                printf("only the log was verified; what follows from it (the present tree, gaps, counters) "
                       "is compared on a copy: 'scitracectl verify STORE'\n");
}

static VerifyOutcome outcome_of(const char *word) {
        for (size_t i = 0; i < ELEMENTS(outcomes); i++)
                if (outcomes[i] && strcmp(outcomes[i], word) == 0)
                        return (VerifyOutcome) i;
        return VERIFY_DAMAGED;
}

/* A row, from the daemon or from here. */
static Status show_row(Ctl *c, json_t *row, bool *stop, void *userdata) {
        Asked *a = userdata;
        const json_t *finding = json_object_get(row, "finding"), *result = json_object_get(row, "result");

        (void) stop;
        if (result) {
                clear_progress(a);
                a->finished = true;
                a->outcome = outcome_of(row_text(result, "outcome"));
        }
        if (c->options.format != FORMAT_TABLE) {
                if (finding || result)
                        view_json(c, row);
        } else if (finding) {
                show_finding(a, row_text(finding, "outcome"), row_text(finding, "message"));
        } else if (result) {
                show_result(a, result);
        } else {
                show_progress(a, row_number(row, "done"), row_number(row, "total"));
        }
        return STATUS_OK;
}

static void found(void *userdata, const VerifyFinding *f) {
        Asked *a = userdata;
        CLEANUP(freep) char *message = NULL;
        json_t *row;
        bool stop = false;

        if (text_escape(BYTES_STR(f->what), &message) < 0)
                return;
        row = json_pack("{s{ss ss}}", "finding", "outcome", outcomes[f->outcome], "message", message);
        if (row && f->from != 0)
                json_object_set_new(json_object_get(row, "finding"), "from", json_integer(f->from));
        if (row && f->to != 0)
                json_object_set_new(json_object_get(row, "finding"), "to", json_integer(f->to));
        (void) show_row(a->c, row, &stop, a);
        json_decref(row);
}

static int progressed(void *userdata, int64_t done, int64_t total) {
        show_progress(userdata, done, total);
        return 0;
}

static void give_result(Asked *a, const VerifyResult *r) {
        char key[NOTE_KEY_TEXT];
        bool stop = false;
        json_t *row = json_pack("{s{ss sI sI sI sI sI sI sI sI sb}}", "result", "outcome",
                                outcomes[r->outcome], "events", (json_int_t) r->events, "pruned",
                                (json_int_t) r->pruned, "sealed", (json_int_t) r->sealed,
                                "checkpoints", (json_int_t) r->checkpoints, "keys", (json_int_t) r->keys,
                                "findings", (json_int_t) r->findings, "untold", (json_int_t) r->untold,
                                "against", (json_int_t) r->against, "projections", r->projections);
        json_t *result = json_object_get(row, "result");

        if (r->checkpoints > 0)
                json_object_set_new(result, "timeUsec", json_integer(r->time));
        if (r->keys > 0) {
                note_key_format(&r->first_key, key);
                json_object_set_new(result, "key", json_string(key));
        }
        (void) show_row(a->c, row, &stop, a);
        json_decref(row);
}

static Status verify_copy(Asked *a, const char *source, const char *shown) {
        Verify v = {
                .keys = a->keys,
                .n_keys = a->n_keys,
                .now = a->c->options.until ? a->c->options.until : now_usec(CLOCK_REALTIME),
                .found = found,
                .progress = progressed,
                .userdata = a,
        };
        VerifyResult result = { 0 };
        StoreCopy *copy;
        Status status;
        int r = 0;

        a->copied = true;
        status = load_witness(a, source);
        if (status != STATUS_OK)
                return status;
        v.against = a->points;
        v.n_against = a->n_points;
        status = copying_open(source, shown, "use 'scitracectl verify' without STORE, or verify a backup",
                              (Status) VERIFY_DAMAGED, &copy);
        if (status != STATUS_OK)
                return status;
        if (copy->form < STORE_FORM) {
                result.outcome = VERIFY_UNSEALED;
                found(a, &(VerifyFinding) {
                                 VERIFY_UNSEALED, 0, 0,
                                 "the store was made by a scitrace that did not seal what it recorded" });
        } else {
                v.scratch = copy->scratch;
                r = verify_run(copy->db, &v, &result);
        }
        copying_close();
        if (r < 0)
                return complain_errno(r, "cannot verify %s", shown);
        give_result(a, &result);
        return (Status) a->outcome;
}

static Status verify_daemon(Asked *a) {
        json_t *against = json_array(), *keys = json_array();
        char text[NOTE_KEY_TEXT], root[HASH_TEXT];
        Status status;

        for (size_t i = 0; i < a->n_points; i++) {
                hash_format(&a->points[i].root, root);
                json_array_append_new(against, json_pack("{sI ss}", "events", (json_int_t) a->points[i].size,
                                                         "root", root));
        }
        for (size_t i = 0; i < a->n_keys; i++) {
                note_key_format(&a->keys[i], text);
                json_array_append_new(keys, json_string(text));
        }
        status = ask_rows(a->c, "org.scitrace.Integrity.Verify",
                          json_pack("{so so sb}", "against", against, "keys", keys, "gently",
                                    a->c->options.gently),
                          "row", show_row, a);
        if (status != STATUS_OK)
                return CANNOT; /* what it says by its code would be taken for what was found */
        return a->finished ? (Status) a->outcome
                           : complain(CANNOT, "the daemon ended before all was verified");
}

/* The keys of the record that this machine's daemon keeps, when none are given. */
static Status ask_keys(Asked *a) {
        json_t *answer = NULL;
        Status status = ask(a->c, "org.scitrace.Integrity.Keys", NULL, &answer);
        int n = 0;

        if (status == STATUS_OK)
                n = keys_parse(BYTES_STR(row_text(answer, "keys")), &a->keys);
        json_decref(answer);
        if (status != STATUS_OK || n <= 0)
                return complain(
                        CANNOT,
                        "whose proof is it? --key FILE says which public keys are trusted ('scitracectl "
                        "store keys' shows them where the record is)");
        a->n_keys = (size_t) n;
        return STATUS_OK;
}

static void show_proof(const Ctl *c, const Proof *p, const NoteKey *key) {
        char text[NOTE_KEY_TEXT], time[TIME_TEXT_MAX];
        json_t *row;

        note_key_format(key, text);
        if (c->options.format != FORMAT_TABLE) {
                row = json_pack("{ss sI ss sI sI ss}", "outcome", "sound", "seq", (json_int_t) p->event.seq,
                                "kind", kind_to_word((int) p->event.kind), "timeUsec",
                                (json_int_t) p->event.last, "events", (json_int_t) p->checkpoint.size, "key",
                                text);
                view_json(c, row);
                json_decref(row);
                return;
        }
        printf("sound: event %lld (%s) of %s is in the log of %s\n", (long long) p->event.seq,
               kind_to_word((int) p->event.kind), time_format(p->event.last, time), p->checkpoint.origin);
        printf("as sealed over %lld events on %s\n", (long long) p->checkpoint.size,
               time_format(p->checkpoint.time, time));
        printf("trusted key: %s\n", text);
}

static Status verify_proof(Asked *a, const char *path) {
        CLEANUP(freep) uint8_t *data = NULL;
        size_t size;
        Proof proof;
        Status status = load(path, &data, &size);
        int r;

        if (status == STATUS_OK && a->n_keys == 0)
                status = ask_keys(a);
        if (status != STATUS_OK)
                return status;
        r = proof_check(BYTES(data, size), a->keys, a->n_keys, &proof);
        if (r == -EBADMSG)
                return complain_file(path, "is not a proof as 'scitracectl prove' writes it");
        if (r < 0)
                return complain_errno(r, "cannot check the proof");
        if (r == PROOF_E_UNKNOWN_KEY) {
                printf("unknown-key: the checkpoint of the proof is signed by none of the trusted keys\n");
                return (Status) VERIFY_UNKNOWN_KEY;
        }
        if (r == PROOF_E_FORGED) {
                printf("altered: the proof does not hold: the event, its path or the signature was "
                       "changed\n");
                return (Status) VERIFY_ALTERED;
        }
        show_proof(a->c, &proof, &a->keys[proof.key]);
        proof_done(&proof);
        return STATUS_OK;
}

static Status verify(Asked *a, const char *store) {
        const Options *o = &a->c->options;
        CLEANUP(freep) char *shown = NULL;
        Status status = STATUS_OK;

        if (o->proof && (store || o->against || o->until))
                return complain(STATUS_USAGE,
                                "--proof needs no store; it is 'verify --proof FILE [--key FILE]'");
        if (o->gently && (store || o->proof))
                return complain(STATUS_USAGE,
                                "--gently is for the daemon's own store; a copy disturbs nobody");
        if (o->since || (o->until && !store))
                return complain(
                        STATUS_USAGE,
                        "--until says of when the copy STORE is; verify has no other use for a time");
        if (o->key)
                status = load_keys(a, o->key);
        if (status == STATUS_OK && o->against)
                status = load_points(a, o->against);
        if (status != STATUS_OK)
                return status;
        if (o->proof)
                return verify_proof(a, o->proof);
        if (!store)
                return verify_daemon(a);
        if (text_escape(BYTES_STR(store), &shown) < 0)
                return complain_memory();
        return verify_copy(a, store, shown);
}

Status cmd_verify(Ctl *c, char **arguments) {
        Asked a = { .c = c };
        Status status = verify(&a, arguments[0]);

        free(a.keys);
        free(a.points);
        return status;
}
