/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_CTL_H
#define SCITRACE_CTL_CTL_H

/* ctl: what the commands of scitracectl share: the options, the table of commands, the way to the daemon.
 * A function here that returns a `Status` other than STATUS_OK has told the person on stderr what is wrong.
 * May use: lib.  May not use: daemon/ (what ctl knows, it was told over the socket), but for cmd-verify.c
 * and cmd-rebuild.c, which need no daemon: they work on a copy of a store, by daemon/store.  They are in a
 * program of their own, scitrace-verify, so that scitracectl is not slowed down by libraries that two
 * commands need; both are made of these files, and scitracectl has run-verify.c in their place, which
 * executes the other. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/table.h"
#include "lib/place.h"
#include "lib/util.h"
#include "lib/varlink-client.h"

/** Status: how scitracectl exits; scitracectl(1) has the same list. */
typedef enum Status {
        STATUS_OK = 0,
        STATUS_FAILED = 1,              /* the daemon refused, or something broke */
        STATUS_USAGE = 2,               /* not a command line of ours */
        STATUS_NO_DAEMON = 3,
        STATUS_NOT_FOUND = 4,           /* no such dataset, file or series */
        STATUS_DENIED = 5,
        STATUS_INTERRUPTED = 130,       /* Ctrl-C, while following */
} Status;

typedef enum Format { FORMAT_TABLE, FORMAT_JSON, FORMAT_JSON_PRETTY } Format;

/* The options, each with the bit by which a command says that it takes it; those with no bit, every
 * command takes. */
enum {
        TAKES_NAME = 1 << 0,
        TAKES_NULL = 1 << 1,
        TAKES_ALL = 1 << 2,
        TAKES_FOLLOW = 1 << 3,
        TAKES_LINES = 1 << 4,
        TAKES_TIMES = 1 << 5,           /* --since and --until */
        TAKES_KIND = 1 << 6,
        TAKES_DATASET = 1 << 7,
        TAKES_REVERSE = 1 << 8,
        TAKES_TIMEOUT = 1 << 9,
        TAKES_AGAINST = 1 << 10,
        TAKES_KEY = 1 << 11,
        TAKES_PROOF = 1 << 12,
        TAKES_NEW = 1 << 13,            /* --new and --move */
        TAKES_GENTLY = 1 << 14,
        TAKES_DRY = 1 << 15,            /* --dry-run */
        TAKES_AS_OF = 1 << 15,
};

/** Options: strings are argv's. */
typedef struct Options {
        bool user, system;              /* neither: as place_mode() finds */
        const char *socket, *state;
        Format format;
        bool no_legend, no_pager, quiet, full;
        bool help, version;

        unsigned given;                 /* TAKES_ bits of the options that were there */
        const char *name, *dataset, *against, *key, *proof;
        bool null, all, follow, reverse;
        bool fresh, move;               /* --new, --move */
        bool gently, dry;
        int64_t lines;                  /* 0: all */
        int64_t since, until;           /* µs; 0: open */
        int64_t as_of;                  /* µs; 0: now */
        int64_t timeout;                /* µs; 0: as the daemon likes */
        json_t *kinds;                  /* array of words, or NULL */
} Options;

typedef struct Screen {
        int width;                      /* 0: not a terminal, nothing is cut */
        bool terminal, colour, utf8;
        bool dumb;                      /* it cannot place its cursor, or nobody says what it is */
} Screen;

typedef struct Ctl {
        Options options;
        Screen screen;
        char **argv;                    /* main's, as options_parse() left it */
        PlaceMode mode;
        VarlinkClient *client;          /* NULL until the first question */
        int pager;                      /* its pid; 0: none */
        bool hush;                      /* errors are not told: the question was an ornament */
} Ctl;

typedef struct Cmd {
        const char *name;               /* one word, or two */
        const char *arguments;
        const char *help;
        unsigned takes;
        int min, max;                   /* arguments; max -1: any number */
        Status (*run)(Ctl *c, char **arguments);        /* NULL at the end of arguments */
} Cmd;

extern const Cmd commands[];            /* ends with name NULL */

/** find_command() - the command that the words begin with, and how many of them are its name; NULL: none. */
const Cmd *find_command(char **words, int *ret_words);
/** no_command() - the words begin with none: says which was meant. */
Status no_command(char **words);

Status cmd_add(Ctl *c, char **arguments);
Status cmd_coverage(Ctl *c, char **arguments);
Status cmd_datasets(Ctl *c, char **arguments);
Status cmd_files(Ctl *c, char **arguments);
Status cmd_help(Ctl *c, char **arguments);
Status cmd_history(Ctl *c, char **arguments);
Status cmd_log(Ctl *c, char **arguments);
Status cmd_metrics(Ctl *c, char **arguments);
Status cmd_remove(Ctl *c, char **arguments);
Status cmd_prove(Ctl *c, char **arguments);
Status cmd_scan(Ctl *c, char **arguments);
Status cmd_settle(Ctl *c, char **arguments);
Status cmd_show(Ctl *c, char **arguments);
Status cmd_status(Ctl *c, char **arguments);
Status cmd_store_backup(Ctl *c, char **arguments);
Status cmd_store_describe(Ctl *c, char **arguments);
Status cmd_store_keys(Ctl *c, char **arguments);
Status cmd_store_maintain(Ctl *c, char **arguments);
Status cmd_store_prune(Ctl *c, char **arguments);
Status cmd_store_rebuild(Ctl *c, char **arguments);
Status cmd_verify(Ctl *c, char **arguments);

#endif
