/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "ctl/say.h"

typedef struct Unit {
        char loaded[32], active[32];    /* LoadState and ActiveState; "" when there is no systemd to ask */
} Unit;

static void ask_systemd(Unit *u) {
        FILE *f = popen("systemctl show -p LoadState -p ActiveState scitraced.service 2>/dev/null", "re");
        char line[128];

        *u = (Unit) { 0 };
        if (!f)
                return;
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "LoadState=%31s", u->loaded) != 1)
                        (void) sscanf(line, "ActiveState=%31s", u->active);
        pclose(f);
}

static Status say_no_system_daemon(const char *socket, int error) {
        Unit u;

        ask_systemd(&u);
        if (strcmp(u.loaded, "loaded") != 0)
                return complain(STATUS_NO_DAEMON,
                                "no scitraced answers at %s (%s), and scitraced.service is not installed; "
                                "one of your own needs no service: 'scitraced --user'",
                                socket, strerror(error));
        if (strcmp(u.active, "failed") == 0)
                return complain(STATUS_NO_DAEMON,
                                "scitraced.service has failed; 'journalctl -u scitraced -n 20' says why, "
                                "'sudo systemctl restart scitraced' tries again");
        if (strcmp(u.active, "active") == 0)
                return complain(STATUS_NO_DAEMON,
                                "scitraced.service is active, but nobody answers at %s (%s); "
                                "'sudo systemctl restart scitraced.socket scitraced'",
                                socket, strerror(error));
        return complain(STATUS_NO_DAEMON,
                        "scitraced.service is %s; start it: 'sudo systemctl start scitraced'",
                        *u.active ? u.active : "not running");
}

static Status say_no_user_daemon(const Ctl *c, const char *socket, int error) {
        const char *state = c->options.state;
        Unit u = { 0 };

        /* Nobody said --user: perhaps the system's daemon is meant, and stopped. */
        if (!c->options.user && !state)
                ask_systemd(&u);
        if (strcmp(u.loaded, "loaded") == 0)
                return complain(STATUS_NO_DAEMON,
                                "no scitraced is running: the system's is %s ('sudo systemctl start "
                                "scitraced'), and you run none of your own ('scitraced --user')",
                                u.active);
        if (error != ENOENT && error != ECONNREFUSED)
                return complain(STATUS_NO_DAEMON, "your scitraced cannot be reached at %s: %s", socket,
                                strerror(error));
        return complain(STATUS_NO_DAEMON, "you have no scitraced running; start it: 'scitraced --user%s%s'",
                        state ? " --state " : "", state ? state : "");
}

Status say_unreachable(const Ctl *c, const char *socket, int error) {
        error = error < 0 ? -error : error;
        if (c->hush)
                return STATUS_NO_DAEMON;
        if (error == EACCES || error == EPERM) {
                if (c->mode == PLACE_SYSTEM && !c->options.socket)
                        return complain(STATUS_DENIED,
                                        "you may not open %s; use sudo, or have yourself added to its "
                                        "group ('sudo usermod -aG scitrace-admin USER') and log in again",
                                        socket);
                return complain(STATUS_DENIED, "you may not open %s", socket);
        }
        if (c->options.socket)
                return complain(STATUS_NO_DAEMON,
                                "no scitraced answers at %s (%s); without --socket yours or the system's is "
                                "asked", socket, strerror(error));
        return c->mode == PLACE_SYSTEM ? say_no_system_daemon(socket, error)
                                       : say_no_user_daemon(c, socket, error);
}
