/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/nearest.h"
#include "ctl/path.h"
#include "ctl/row.h"
#include "ctl/say.h"
#include "lib/text.h"
#include "lib/time.h"

/* In a sentence, {word} is the error's member of that name: names escaped, numbers as they are; {word~} is a
 * span of microseconds. A member that is not there is "?". */
typedef struct Sentence {
        const char *key;                /* of the table; NULL ends it */
        Status status;
        const char *text;               /* NULL: tell knows */
        Status (*tell)(Ctl *c, const json_t *parameters);
} Sentence;

static const Sentence cannot_watch[] = {
        { "missing", STATUS_FAILED, "there is no directory {path}", NULL },
        { "not-directory", STATUS_FAILED, "{path} is not a directory; add the directory that holds it",
          NULL },
        { "permission", STATUS_FAILED,
          "the daemon has no permission to read {path}; 'ls -ld' shows whose it is", NULL },
        { "inside", STATUS_FAILED,
          "{path} is a directory inside dataset {dataset} by another path (a bind mount), and recorded "
          "there already; add it by its path there if it is to be a dataset of its own",
          NULL },
        { "watched", STATUS_FAILED,
          "{path} is watched already, as dataset {dataset}; see 'scitracectl datasets'", NULL },
        { "not-absolute", STATUS_FAILED, "{path} is not a plain absolute path", NULL },
        { "not-known", STATUS_FAILED,
          "{path} is the root of no dataset that moved; name the dataset with --name, or add the directory "
          "as a new one",
          NULL },
        { "no-watcher", STATUS_FAILED,
          "no watcher answers, so {path} cannot be watched now; 'scitracectl status' shows what is wrong",
          NULL },
        { "own", STATUS_FAILED,
          "{path} is where scitrace keeps its record: each event would make the next; a tree that holds it "
          "can be watched, and leaves it out",
          NULL },
        { "pseudo", STATUS_FAILED,
          "{path} is on a file system that the kernel makes up, as /proc is: it holds no files, and nobody "
          "tells when something in it changes",
          NULL },
        { NULL, STATUS_FAILED, "cannot watch {path}: {message}", NULL },
};

/* The daemon's own sentences hold names that are escaped already. */
static bool is_plain(const char *text) {
        while (*text >= ' ' && *text <= '~')
                text++;
        return *text == '\0';
}

static void print_member(const json_t *parameters, const char *name, bool span) {
        const json_t *value = json_object_get(parameters, name);
        const char *raw = row_text(parameters, name);
        CLEANUP(freep) char *text = row_name(parameters, name);
        char buf[TIME_TEXT_MAX];

        if (json_is_integer(value) && span)
                fputs(time_format_span(json_integer_value(value), buf), stderr);
        else if (json_is_integer(value))
                fprintf(stderr, "%lld", (long long) json_integer_value(value));
        else if (strcmp(name, "message") == 0 && is_plain(raw))
                fputs(raw, stderr);
        else
                fputs(text ? text : "?", stderr);
}

static Status say(const Sentence *s, const json_t *parameters) {
        char name[64];

        fflush(stdout);
        fputs("scitracectl: ", stderr);
        for (const char *p = s->text; *p; p++) {
                size_t n = strcspn(p, "}");

                if (*p != '{' || n >= sizeof(name)) {
                        fputc(*p, stderr);
                        continue;
                }
                snprintf(name, sizeof(name), "%.*s", (int) (n - 1), p + 1);
                if (name[0] && name[strlen(name) - 1] == '~') {
                        name[strlen(name) - 1] = '\0';
                        print_member(parameters, name, true);
                } else {
                        print_member(parameters, name, false);
                }
                p += n;
        }
        fputc('\n', stderr);
        return s->status;
}

static Status offer_name(Ctl *c, json_t *row, bool *stop, void *userdata) {
        nearest_offer(userdata, row_text(row, "name"));
        return STATUS_OK;
}

typedef struct Wanted {
        Nearest nearest;
        char *root;                     /* the name as a path: perhaps the directory was given */
        char *name;                     /* the dataset that has it */
} Wanted;

static Status offer_dataset(Ctl *c, json_t *row, bool *stop, void *userdata) {
        CLEANUP(freep) uint8_t *root = NULL;
        Wanted *w = userdata;
        size_t size;

        nearest_offer(&w->nearest, row_text(row, "name"));
        if (w->root && !w->name && varlink_get_bytes(row, "path", &root, &size) == 0 && root &&
            strcmp((char *) root, w->root) == 0)
                w->name = strdup(row_text(row, "name"));
        return STATUS_OK;
}

static Status say_no_dataset(Ctl *c, const json_t *parameters) {
        CLEANUP(freep) char *name = row_name(parameters, "name"), *root = NULL, *found = NULL;
        const char *shown = name ? name : "?", *meant;
        Wanted w = { 0 };

        nearest_init(&w.nearest, row_text(parameters, "name"));
        if (path_absolute(row_text(parameters, "name"), PATH_FOLLOWED, &root) == 0)
                w.root = root;
        (void) ask_rows_quietly(c, "org.scitrace.Datasets.List", NULL, "dataset", offer_dataset, &w);
        found = w.name;
        meant = found ? found : nearest_word(&w.nearest);
        if (meant)
                return complain(STATUS_NOT_FOUND, "no dataset is called %s; did you mean %s?", shown, meant);
        return complain(STATUS_NOT_FOUND, "no dataset is called %s; 'scitracectl datasets' lists them",
                        shown);
}

Status say_no_series(Ctl *c, const char *name) {
        CLEANUP(freep) char *shown = NULL;
        Nearest nearest;

        if (text_escape(BYTES_STR(name), &shown) < 0)
                return complain_memory();
        nearest_init(&nearest, name);
        (void) ask_rows_quietly(c, "org.scitrace.Metrics.Sample", NULL, "point", offer_name, &nearest);
        if (nearest_word(&nearest))
                return complain(STATUS_NOT_FOUND, "no series is called %s; did you mean %s?", shown,
                                nearest_word(&nearest));
        return complain(STATUS_NOT_FOUND, "no series is called %s; 'scitracectl metrics' lists them", shown);
}

static Status say_no_such_series(Ctl *c, const json_t *parameters) {
        return say_no_series(c, row_text(parameters, "name"));
}

static Status say_not_settled(Ctl *c, const json_t *parameters) {
        long long pending = (long long) row_number(parameters, "pending");

        if (json_is_true(json_object_get(parameters, "stalled")))
                return complain(STATUS_FAILED,
                                "not settled: a watcher does not answer (%lld changes wait); "
                                "'scitracectl status' says more, and the daemon starts that watcher "
                                "again by itself",
                                pending);
        return complain(STATUS_FAILED,
                        "not settled in time: %lld changes wait; give it longer with --timeout SECONDS",
                        pending);
}

static Status say_denied(Ctl *c, const json_t *parameters) {
        if (c->mode == PLACE_USER)
                return complain(STATUS_DENIED, "this daemon obeys its owner alone, and that is not you");
        return complain(STATUS_DENIED, "only root and members of the group scitrace-admin may do this; "
                                       "use sudo, or have yourself added ('sudo usermod -aG "
                                       "scitrace-admin USER') and log in again");
}

static Status say_cannot_watch(Ctl *c, const json_t *parameters) {
        const Sentence *s = cannot_watch;

        while (s->key && strcmp(s->key, row_text(parameters, "reason")) != 0)
                s++;
        return say(s, parameters);
}

static Status say_no_file(Ctl *c, const json_t *parameters) {
        static const Sentence now = {
                NULL, STATUS_NOT_FOUND,
                "dataset {dataset} has no {path}; what it has: 'scitracectl files {dataset}', what it had: "
                "'scitracectl log --kind unlink'",
                NULL,
        };
        static const Sentence then = {
                NULL, STATUS_NOT_FOUND,
                "dataset {dataset} had no {path} at that time, as far as is recorded; what became of it: "
                "'scitracectl history {path}'",
                NULL,
        };

        return say(c->options.as_of ? &then : &now, parameters);
}

static const Sentence errors[] = {
        { "org.scitrace.Datasets.NameTaken", STATUS_FAILED,
          "a dataset is called {name} already; choose another name: 'scitracectl add DIR --name NAME'",
          NULL },
        { "org.scitrace.Datasets.InvalidName", STATUS_FAILED,
          "a dataset cannot be called \"{name}\"; choose a name of letters, digits, '.', '_' and '-' "
          "that begins with a letter or digit: 'scitracectl add DIR --name NAME'",
          NULL },
        { "org.scitrace.Record.NotWatched", STATUS_NOT_FOUND,
          "{path} is in no dataset; 'scitracectl datasets' lists them, 'scitracectl add DIR' starts one",
          NULL },
        { "org.scitrace.Record.NoSuchFile", STATUS_NOT_FOUND,
          NULL, say_no_file },
        { "org.scitrace.Record.TooEarly", STATUS_NOT_FOUND,
          "the record of dataset {dataset} begins later than that; 'scitracectl coverage {dataset}' says "
          "when",
          NULL },
        { "org.scitrace.Service.RateLimited", STATUS_FAILED,
          "too many requests; try again in {retryAfterUsec~}", NULL },
        { "org.scitrace.Service.DeadlineExceeded", STATUS_FAILED,
          "the answer took too long to find, and the daemon gave up; ask for less, as with -n, -S or a "
          "path",
          NULL },
        { "org.scitrace.Service.Failed", STATUS_FAILED, "{message}", NULL },
        { "org.scitrace.Integrity.NoSuchEvent", STATUS_NOT_FOUND,
          "there is no event {seq}; 'scitracectl log -o json' shows each with its seq", NULL },
        { "org.scitrace.Integrity.NotSealed", STATUS_FAILED,
          "event {seq} is not sealed yet; try again in two minutes", NULL },
        { "org.scitrace.Integrity.NotSound", STATUS_FAILED,
          "the record does not fit its own seals; 'scitracectl verify' says what is wrong", NULL },
        { "org.scitrace.Record.Pruned", STATUS_NOT_FOUND,
          "what tells of that time was pruned by policy; 'scitracectl log --kind prune' says when, and up "
          "to which event",
          NULL },
        { "org.scitrace.Store.NotPrunable", STATUS_FAILED,
          "policy keeps event {upto}; 'scitracectl store prune --dry-run' says what may go", NULL },
        { "org.scitrace.Store.Busy", STATUS_FAILED,
          "other care of the store ({what}) is under way; try again when it is done: 'scitracectl store "
          "describe' says when that was",
          NULL },
        { "org.scitrace.Store.NoDescriptor", STATUS_FAILED, "the daemon cannot write into that file", NULL },
        { "org.varlink.service.InvalidParameter", STATUS_FAILED,
          "the daemon does not take the value of \"{parameter}\"; is it of another version? See "
          "'scitracectl status'",
          NULL },
        { "org.varlink.service.MethodNotFound", STATUS_FAILED,
          "the daemon does not know {method}: it is of another version; restart it", NULL },
        { "org.varlink.service.InterfaceNotFound", STATUS_FAILED,
          "the daemon does not know {interface}: it is of another version; restart it", NULL },
        { "org.scitrace.Datasets.NoSuchDataset", STATUS_NOT_FOUND, NULL, say_no_dataset },
        { "org.scitrace.Datasets.CannotWatch", STATUS_FAILED, NULL, say_cannot_watch },
        { "org.scitrace.Metrics.NoSuchSeries", STATUS_NOT_FOUND, NULL, say_no_such_series },
        { "org.scitrace.Service.NotSettled", STATUS_FAILED, NULL, say_not_settled },
        { "org.varlink.service.PermissionDenied", STATUS_DENIED, NULL, say_denied },
        { NULL, STATUS_FAILED, NULL, NULL },
};

Status say_error(Ctl *c, const VarlinkReply *reply) {
        const Sentence *s = errors;

        while (s->key && strcmp(s->key, reply->error) != 0)
                s++;
        if (c->hush)
                return s->status;
        if (s->key)
                return s->tell ? s->tell(c, reply->parameters) : say(s, reply->parameters);
        return complain(STATUS_FAILED,
                        "the daemon answers with the error %s, which this version does not know",
                        reply->error);
}
