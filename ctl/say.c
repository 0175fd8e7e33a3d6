/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>

#include "ctl/say.h"

Status complain(Status status, const char *format, ...) {
        va_list arguments;

        fflush(stdout);
        fputs("scitracectl: ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        return status;
}

Status complain_errno(int error, const char *format, ...) {
        va_list arguments;

        error = error < 0 ? -error : error;
        fflush(stdout);
        fputs("scitracectl: ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fprintf(stderr, ": %s\n", strerror(error));
        return error == EACCES || error == EPERM ? STATUS_DENIED : STATUS_FAILED;
}

Status complain_memory(void) {
        return complain(STATUS_FAILED, "out of memory");
}

void note(const Ctl *c, const char *format, ...) {
        va_list arguments;

        if (c->options.quiet)
                return;
        fflush(stdout);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
}
