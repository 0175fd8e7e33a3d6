/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/ask.h"
#include "ctl/complete.h"
#include "ctl/options.h"
#include "ctl/row.h"
#include "lib/names.h"

static void offer(const char *begun, const char *word) {
        if (strncmp(begun, word, strlen(begun)) == 0)
                puts(word);
}

static Status offer_name(Ctl *c, json_t *row, bool *stop, void *userdata) {
        offer(userdata, row_text(row, "name"));
        return STATUS_OK;
}

static void offer_datasets(Ctl *c, const char *begun) {
        (void) ask_rows_quietly(c, "org.scitrace.Datasets.List", NULL, "dataset", offer_name,
                                (void *) begun);
}

/* A name stands there once for each of its labels; who completes drops what is the same. */
static void offer_series(Ctl *c, const char *begun) {
        (void) ask_rows_quietly(c, "org.scitrace.Metrics.Sample", NULL, "point", offer_name, (void *) begun);
}

/* The option whose value is begun: the word before the last is one, and takes a value. */
static const Option *open_option(int n, char **words) {
        const char *before = n > 1 ? words[n - 2] : "";

        for (const Option *o = option_table; o->word; o++) {
                if (!o->argument || before[0] != '-')
                        continue;
                if ((before[1] == '-' && strcmp(before + 2, o->word) == 0) ||
                    (o->letter && before[1] == o->letter && before[2] == '\0'))
                        return o;
        }
        return NULL;
}

static void complete_value(Ctl *c, const Option *o, const char *begun) {
        if (strcmp(o->argument, "FORMAT") == 0)
                for (int i = 0; format_words[i]; i++)
                        offer(begun, format_words[i]);
        if (strcmp(o->argument, "KIND") == 0)
                for (int i = 1; kind_to_word(i); i++)
                        offer(begun, kind_to_word(i));
        if (strcmp(o->argument, "DATASET") == 0)
                offer_datasets(c, begun);
}

/* The words that are not options: the command and its arguments. */
static int plain_words(int n, char **words, char **ret) {
        int count = 0;

        for (int i = 0; i + 1 < n; i++)
                if (words[i][0] != '-' && !open_option(i + 1, words))
                        ret[count++] = words[i];
        ret[count] = NULL;
        return count;
}

static void complete_command(char **plain, int n_plain, const char *begun) {
        for (const Cmd *cmd = commands; cmd->name; cmd++) {
                size_t n = strcspn(cmd->name, " ");
                char first[32];

                snprintf(first, sizeof(first), "%.*s", (int) n, cmd->name);
                if (n_plain == 0)
                        offer(begun, first);
                else if (cmd->name[n] && strcmp(plain[0], first) == 0)
                        offer(begun, cmd->name + n + 1);
        }
}

static void complete_option(const Cmd *cmd, const char *begun) {
        char word[64];

        for (const Option *o = option_table; o->word; o++) {
                snprintf(word, sizeof(word), "--%s", o->word);
                if (!cmd || o->takes == 0 || (o->takes & cmd->takes))
                        offer(begun, word);
        }
}

/* The options that are there say which daemon to ask; those that are wrong are not our business here. */
static void read_options(Ctl *c, int n, char **words, char **line) {
        char **rest;

        line[0] = (char *) "scitracectl";
        for (int i = 0; i + 1 < n; i++)
                line[i + 1] = words[i];
        (void) options_parse(&c->options, MAX_OF(n, 1), line, &rest);
        c->mode = options_mode(&c->options);
}

Status complete(Ctl *c, int n_words, char **words) {
        CLEANUP(freep) char **plain = calloc((size_t) n_words + 2, sizeof(*plain));
        CLEANUP(freep) char **line = calloc((size_t) n_words + 2, sizeof(*line));
        const char *begun = n_words > 0 ? words[n_words - 1] : "";
        const Option *open = open_option(n_words, words);
        const Cmd *cmd;
        int n_plain, n = 0;

        if (!plain || !line)
                return STATUS_FAILED;
        read_options(c, open ? n_words - 1 : n_words, words, line);
        n_plain = plain_words(n_words, words, plain);
        cmd = find_command(plain, &n);
        if (open)
                complete_value(c, open, begun);
        else if (begun[0] == '-')
                complete_option(cmd, begun);
        else if (!cmd)
                complete_command(plain, n_plain, begun);
        else if (strstr(cmd->arguments, "DATASET") && n_plain == n)
                offer_datasets(c, begun);
        else if (strstr(cmd->arguments, "NAME"))
                offer_series(c, begun);
        else if (strstr(cmd->arguments, "COMMAND"))
                complete_command(plain + n, n_plain - n, begun);
        return STATUS_OK;
}
