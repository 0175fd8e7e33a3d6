/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "ctl/say.h"
#include "ctl/screen.h"

static volatile sig_atomic_t reader_left;

static void on_pipe(int signal_number) {
        (void) signal_number;
        reader_left = 1;
}

static int screen_width(bool terminal) {
        const char *columns = getenv("COLUMNS");
        long width = columns ? strtol(columns, NULL, 10) : 0;
        struct winsize size;

        if (width > 0 && width < 10000)
                return (int) width;
        if (!terminal)
                return 0;
        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void screen_open(Screen *ret) {
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
        struct sigaction action = { .sa_handler = on_pipe, .sa_flags = SA_RESTART };
        bool terminal = isatty(STDOUT_FILENO), dumb = !term || !*term || strcmp(term, "dumb") == 0;

        sigaction(SIGPIPE, &action, NULL);
        *ret = (Screen) {
                .width = screen_width(terminal),
                .terminal = terminal,
                .dumb = dumb,
                .colour = terminal && !dumb && !(no_color && *no_color),
                .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        };
}

const char *style(const Ctl *c, const char *s) {
        return c->screen.colour ? s : "";
}

static const char *wanted_pager(void) {
        const char *pager = getenv("SCITRACE_PAGER");

        return pager ? pager : getenv("PAGER");
}

/* The child: becomes a pager that reads from fd. Whoever may run us as root with sudo may not get a shell
 * so. */
static void become_pager(int fd) {
        const char *wanted = getenv("SUDO_UID") ? NULL : wanted_pager();

        dup2(fd, STDIN_FILENO);
        signal(SIGPIPE, SIG_DFL);
        setenv("LESS", "FRSXMK", 0);
        setenv("LESSCHARSET", "utf-8", 0);
        if (getenv("SUDO_UID"))
                setenv("LESSSECURE", "1", 1);
        if (wanted)
                execl("/bin/sh", "sh", "-c", wanted, NULL);
        execlp("less", "less", NULL);
        execlp("more", "more", NULL);
        execlp("cat", "cat", NULL);
        _exit(127);
}

Status pager_open(Ctl *c) {
        const char *wanted = wanted_pager();
        int pipe_fds[2];
        pid_t pid;

        if (!c->screen.terminal || c->options.no_pager || c->pager)
                return STATUS_OK;
        if (!wanted && c->screen.dumb)
                return STATUS_OK;       /* less would complain, and wait for a key */
        if (wanted && (*wanted == '\0' || strcmp(wanted, "cat") == 0))
                return STATUS_OK;
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return complain_errno(errno, "cannot start a pager");
        fflush(stdout);
        pid = fork();
        if (pid == 0)
                become_pager(pipe_fds[0]);
        close(pipe_fds[0]);
        if (pid > 0) {
                dup2(pipe_fds[1], STDOUT_FILENO);
                signal(SIGINT, SIG_IGN);        /* Ctrl-C is the pager's while it runs */
                c->pager = pid;
        }
        close(pipe_fds[1]);
        return pid < 0 ? complain_errno(errno, "cannot start a pager") : STATUS_OK;
}

Status screen_close(Ctl *c) {
        bool broken = fflush(stdout) != 0 || ferror(stdout);
        int error = errno;

        if (c->pager) {
                fclose(stdout);
                while (waitpid(c->pager, NULL, 0) < 0 && errno == EINTR)
                        ;
                c->pager = 0;
        }
        if (broken && !reader_left)
                return complain_errno(error ? error : EIO, "cannot write the answer");
        return STATUS_OK;
}

bool screen_broken(void) {
        return reader_left || ferror(stdout);
}
