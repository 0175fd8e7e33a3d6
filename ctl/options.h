/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SCITRACE_CTL_OPTIONS_H
#define SCITRACE_CTL_OPTIONS_H

/* options: the one table of options, and the command line read by it. May use: ctl/, lib. */

#include "ctl/ctl.h"

typedef struct Option {
        char letter;                    /* 0: none */
        const char *word;               /* without "--"; NULL ends the table */
        const char *argument;           /* what it is called in help; NULL: takes none */
        unsigned takes;                 /* the bit of the commands that take it; 0: all do */
        const char *help;
        enum { SETS_FLAG, SETS_TEXT, SETS_BY } how;
        size_t member;                  /* of Options: the flag or the text that it sets */
        Status (*set)(Options *o, const char *argument);        /* SETS_BY */
} Option;

extern const Option option_table[];
extern const char *const format_words[];        /* in the order of Format; ends with NULL */

/** options_parse() - options may stand before and behind the words; "--" ends them. argv is put in order,
 *  words last; *ret_words is the first of them. now: µs, for times such as "2 hours ago". */
Status options_parse(Options *o, int argc, char **argv, char ***ret_words);
/** options_mode() - whose daemon is asked. */
PlaceMode options_mode(const Options *o);
/** options_done() - frees what options_parse() made. */
void options_done(Options *o);

/** options_allowed() - the command takes every option that was given. */
Status options_allowed(const Options *o, const Cmd *cmd);

#endif
