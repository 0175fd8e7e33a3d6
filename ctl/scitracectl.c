/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <locale.h>

#include "config.h"
#include "ctl/complete.h"
#include "ctl/ctl.h"
#include "ctl/nearest.h"
#include "ctl/options.h"
#include "ctl/say.h"
#include "ctl/screen.h"

/* The one table of commands: dispatch, help and completion are made from it; a test compares the manual. */
/* clang-format off */
const Cmd commands[] = {
        /* name, arguments, help
         *   options, least and most arguments, handler */
        { "status", "", "How the daemon is, and what it watches",
          0, 0, 0, cmd_status },
        { "datasets", "", "The directory trees that are watched",
          TAKES_ALL, 0, 0, cmd_datasets },
        { "add", "DIR", "Watch a directory tree",
          TAKES_NAME | TAKES_NEW, 1, 1, cmd_add },
        { "remove", "DATASET", "Stop watching; what is recorded stays",
          0, 1, 1, cmd_remove },
        { "scan", "DATASET", "Compare the tree with the record once more",
          0, 1, 1, cmd_scan },
        { "coverage", "DATASET", "When changes were seen, and when perhaps not",
          0, 1, 1, cmd_coverage },
        { "files", "[DATASET|DIR]", "What is there now, or was then, as recorded",
          TAKES_ALL | TAKES_NULL | TAKES_LINES | TAKES_AS_OF, 0, 1, cmd_files },
        { "show", "FILE", "All that is recorded of one file, now or then",
          TAKES_AS_OF, 1, 1, cmd_show },
        { "history", "FILE", "What happened to a file, newest first",
          TAKES_LINES, 1, 1, cmd_history },
        { "log", "[PATH...]", "What happened, oldest first; at or beneath PATH",
          TAKES_ALL | TAKES_FOLLOW | TAKES_LINES | TAKES_REVERSE | TAKES_TIMES | TAKES_KIND | TAKES_DATASET |
          TAKES_AS_OF, 0, -1, cmd_log },
        { "metrics", "[NAME...]", "How the machine is, or was",
          TAKES_TIMES, 0, -1, cmd_metrics },
        { "settle", "[DATASET]", "Wait until all changes made so far are recorded",
          TAKES_TIMEOUT, 0, 1, cmd_settle },
        { "verify", "[STORE]", "Whether the record still is what was recorded",
          TAKES_AGAINST | TAKES_KEY | TAKES_PROOF | TAKES_TIMES | TAKES_GENTLY, 0, 1, cmd_verify },
        { "prove", "EVENT", "A proof that this event was recorded, for others",
          0, 1, 1, cmd_prove },
        { "store backup", "FILE", "Copy the record's database into a new FILE",
          0, 1, 1, cmd_store_backup },
        { "store describe", "", "What is in the record's database, and its care",
          TAKES_TIMEOUT, 0, 0, cmd_store_describe },
        { "store keys", "", "The public keys that sealed the record, for others",
          0, 0, 0, cmd_store_keys },
        { "store maintain", "", "Keep the record's database in shape",
          0, 0, 0, cmd_store_maintain },
        { "store prune", "", "Remove events that are older than policy keeps them",
          TAKES_DRY, 0, 0, cmd_store_prune },
        { "store rebuild", "STORE FILE", "Make anew, in FILE, what follows from the record",
          0, 2, 2, cmd_store_rebuild },
        { "help", "[COMMAND]", "This, or help on a command",
          0, 0, 2, cmd_help },
        { 0 },
};
/* clang-format on */

/* How many of the words name the command. */
static int name_matches(const Cmd *cmd, char **words) {
        const char *blank = strchr(cmd->name, ' ');
        size_t n = blank ? (size_t) (blank - cmd->name) : strlen(cmd->name);

        if (!words[0] || strlen(words[0]) != n || memcmp(words[0], cmd->name, n) != 0)
                return 0;
        if (!blank)
                return 1;
        return words[1] && strcmp(words[1], blank + 1) == 0 ? 2 : 0;
}

const Cmd *find_command(char **words, int *ret_words) {
        for (const Cmd *cmd = commands; cmd->name; cmd++) {
                *ret_words = name_matches(cmd, words);
                if (*ret_words > 0)
                        return cmd;
        }
        return NULL;
}

/* The first word of two is right, the second is missing or wrong. */
static Status no_second_word(char **words, size_t first) {
        char list[256] = "";
        Nearest nearest;

        nearest_init(&nearest, words[1] ? words[1] : "");
        for (const Cmd *cmd = commands; cmd->name; cmd++) {
                size_t n = strlen(list);

                if (strncmp(cmd->name, words[0], first) != 0 || cmd->name[first] != ' ')
                        continue;
                nearest_offer(&nearest, cmd->name + first + 1);
                snprintf(list + n, sizeof(list) - n, "%s'%s%s%s'", n > 0 ? " or " : "", cmd->name,
                         *cmd->arguments ? " " : "", cmd->arguments);
        }
        if (!words[1])
                return complain(STATUS_USAGE, "%s what? It is %s", words[0], list);
        if (nearest_word(&nearest))
                return complain(STATUS_USAGE, "there is no command \"%s %s\"; did you mean '%s %s'?",
                                words[0], words[1], words[0], nearest_word(&nearest));
        return complain(STATUS_USAGE, "there is no command \"%s %s\"; it is %s", words[0], words[1], list);
}

Status no_command(char **words) {
        Nearest nearest;
        char two[128];

        for (const Cmd *cmd = commands; cmd->name; cmd++) {
                size_t n = strcspn(cmd->name, " ");

                if (cmd->name[n] && strlen(words[0]) == n && memcmp(words[0], cmd->name, n) == 0)
                        return no_second_word(words, n);
        }
        snprintf(two, sizeof(two), "%s %s", words[0], words[1] ? words[1] : "");
        nearest_init(&nearest, words[0]);
        for (const Cmd *cmd = commands; cmd->name; cmd++)
                nearest_offer(&nearest, cmd->name);
        if (!nearest_word(&nearest) && words[1]) {
                nearest_init(&nearest, two);
                for (const Cmd *cmd = commands; cmd->name; cmd++)
                        nearest_offer(&nearest, cmd->name);
        }
        if (nearest_word(&nearest))
                return complain(STATUS_USAGE, "there is no command \"%s\"; did you mean '%s'?", words[0],
                                nearest_word(&nearest));
        return complain(STATUS_USAGE, "there is no command \"%s\"; 'scitracectl help' lists them", words[0]);
}

static Status run(Ctl *c, const Cmd *cmd, char **arguments) {
        Status status, closed;
        int n = 0;

        while (arguments[n])
                if (*arguments[n++] == '\0')
                        return complain(STATUS_USAGE, "an empty word names nothing; it is '%s %s'",
                                        cmd->name, cmd->arguments);
        status = options_allowed(&c->options, cmd);
        if (status != STATUS_OK)
                return status;
        if (n < cmd->min)
                return complain(STATUS_USAGE, "%s what? It is '%s %s'", cmd->name, cmd->name,
                                cmd->arguments);
        if (cmd->max >= 0 && n > cmd->max)
                return complain(STATUS_USAGE, "\"%s\" is one word too many; it is '%s%s%s'",
                                arguments[cmd->max], cmd->name, *cmd->arguments ? " " : "", cmd->arguments);
        status = cmd->run(c, arguments);
        closed = screen_close(c);
        return status != STATUS_OK ? status : closed;
}

static Status dispatch(Ctl *c, char **words) {
        char *help[] = { "help", words[0], words[0] ? words[1] : NULL, NULL };
        const Cmd *cmd;
        int n = 0;

        if (c->options.version) {
                puts("scitracectl " PACKAGE_VERSION);
                return screen_close(c);
        }
        if (c->options.help)
                words = help;
        if (!words[0]) {
                (void) run(c, find_command(help, &n), help + 1);
                return STATUS_USAGE;
        }
        cmd = find_command(words, &n);
        return cmd ? run(c, cmd, words + n) : no_command(words);
}

int main(int argc, char **argv) {
        Ctl c = { .argv = argv };
        char **words = NULL;
        Status status;

        setlocale(LC_CTYPE, "");        /* and no more: numbers are written with a point */
        screen_open(&c.screen);
        if (!c.screen.utf8)
                setlocale(LC_CTYPE, "C.UTF-8"); /* names are, whatever the locale; their widths need it */
        if (argc > 1 && strcmp(argv[1], "--complete") == 0) {
                status = complete(&c, argc - 2, argv + 2);
        } else {
                status = options_parse(&c.options, argc, argv, &words);
                c.mode = options_mode(&c.options);
                if (status == STATUS_OK)
                        status = dispatch(&c, words);
        }
        varlink_client_close(c.client);
        options_done(&c.options);
        return status;
}
