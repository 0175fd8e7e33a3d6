/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/options.h"
#include "ctl/screen.h"

static void print_options(unsigned takes, bool every) {
        for (const Option *o = option_table; o->word; o++) {
                char left[64];

                if (every ? o->takes != 0 : !(o->takes & takes))
                        continue;
                snprintf(left, sizeof(left), "%s%c%s--%s%s%s", o->letter ? "-" : " ",
                         o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->word,
                         o->argument ? " " : "", o->argument ? o->argument : "");
                printf("  %-24s %s\n", left, o->help);
        }
}

static void print_all(void) {
        puts("scitracectl [OPTIONS] COMMAND\n\nAsk scitraced what happened to your files.\n\nCommands:");
        for (const Cmd *cmd = commands; cmd->name; cmd++) {
                char left[64];

                snprintf(left, sizeof(left), "%s %s", cmd->name, cmd->arguments);
                printf("  %-24s %s\n", left, cmd->help);
        }
        puts("\nOptions:");
        print_options(0, true);
        puts("\n'scitracectl help COMMAND' has the options of a command; see scitracectl(1).");
}

Status cmd_help(Ctl *c, char **arguments) {
        const Cmd *cmd;
        int n;

        if (!arguments[0]) {
                print_all();
                return STATUS_OK;
        }
        cmd = find_command(arguments, &n);
        if (!cmd)
                return no_command(arguments);
        printf("scitracectl %s%s%s%s\n\n%s.\n", cmd->name, cmd->takes ? " [OPTIONS]" : "",
               *cmd->arguments ? " " : "", cmd->arguments, cmd->help);
        if (cmd->takes) {
                puts("\nOptions:");
                print_options(cmd->takes, false);
        }
        puts("\nOptions of every command: 'scitracectl help'.");
        return STATUS_OK;
}
