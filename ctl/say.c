/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>

#include "ctl/say.h"

/* What somebody typed may hold what a terminal obeys. */
static void print_harmless(const char *text) {
        for (; *text; text++)
                if ((unsigned char) *text < ' ' || *text == 0x7f)
                        fprintf(stderr, "\\x%02x", (unsigned char) *text);
                else
                        fputc(*text, stderr);
}

static void say_line(const char *before, const char *format, va_list arguments, const char *after) {
        CLEANUP(freep) char *text = NULL;

        fflush(stdout);
        if (vasprintf(&text, format, arguments) < 0)
                text = NULL;
        fputs(before, stderr);
        print_harmless(text ? text : "out of memory");
        fprintf(stderr, "%s\n", after);
}

Status complain(Status status, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        say_line("scitracectl: ", format, arguments, "");
        va_end(arguments);
        return status;
}

Status complain_errno(int error, const char *format, ...) {
        va_list arguments;
        char reason[128];

        error = error < 0 ? -error : error;
        snprintf(reason, sizeof(reason), ": %s", strerror(error));
        va_start(arguments, format);
        say_line("scitracectl: ", format, arguments, reason);
        va_end(arguments);
        return error == EACCES || error == EPERM ? STATUS_DENIED : STATUS_FAILED;
}

Status complain_memory(void) {
        return complain(STATUS_FAILED, "out of memory");
}

void note(const Ctl *c, const char *format, ...) {
        va_list arguments;

        if (c->options.quiet)
                return;
        va_start(arguments, format);
        say_line("", format, arguments, "");
        va_end(arguments);
}
