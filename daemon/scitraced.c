/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "config.h"
#include "daemon/control/control.h"
#include "daemon/control/listen.h"
#include "daemon/intake/intake.h"
#include "daemon/metrics/metrics.h"
#include "daemon/store/ballast.h"
#include "daemon/store/store.h"
#include "daemon/watchers/watchers.h"
#include "lib/log.h"
#include "lib/place.h"
#include "policy/policy.h"

/* scitraced: keeps the record, answers questions about it, samples the machine. It opens nothing in a
 * dataset: scitrace-watch does, and tells it what it saw. */

enum {
        FLUSH_SECONDS = 300,            /* between two writings of the open metrics chunks */
        STOP_SETTLE_MSEC = 1000,        /* when asked to stop, what is under way gets so long to arrive */
        CHECK_SECONDS = 8,              /* between two looks whether the control socket and the database are
                                         * still there; a second more when that saves a wake-up */
        PIDS_MAX = 16,
};

typedef struct Options {
        PlaceMode mode;
        const char *state, *socket;
} Options;

typedef struct Daemon {                 /* in the order in which they are made */
        Place *place;
        int lock_fd;
        Policy *policy;
        sd_event *event;
        Intake *intake;
        const char *degraded;           /* the last that tell_status() told; NULL: all is well */
        char *program;                  /* scitrace-watch's, and */
        char *exclude[3];               /* our own folders (place's): watchers borrows both */
        Watchers *watchers;
        Metrics *metrics;
        Control *control;
        sd_event_source *sample_source, *check_source;
        Listen listen;                  /* the control socket, if it is our own */
        bool own_socket;
        bool socket_lost;               /* and has been told so */
        int64_t flushed;
        bool stopping;
} Daemon;

static void help(void) {
        printf("scitraced [OPTIONS...]\n\n"
               "Records what happens in the watched directories, and answers scitracectl.\n\n"
               "  --system             System mode: /var/lib/scitrace, /run/scitrace, /etc/scitrace\n"
               "  --user               User mode: no privileges, your own folders\n"
               "  --state DIR          Keep the record in DIR\n"
               "  --socket PATH        Answer on this socket\n"
               "  --log-level LEVEL    Least important level that is logged (err ... debug)\n"
               "  -h, --help           Show this\n"
               "      --version        Show the version\n\n"
               "Without --system: user mode.\n"
               "See scitraced(8) and scitraced.conf(5).\n");
}

/* 1: go on; 0: done; else the exit code, negated. */
static int parse_options(int argc, char **argv, Options *ret) {
        static const struct option options[] = {
                { "system", no_argument, NULL, 's' },     { "user", no_argument, NULL, 'u' },
                { "state", required_argument, NULL, 'd' }, { "socket", required_argument, NULL, 'S' },
                { "log-level", required_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },    { 0 },
        };
        int c;

        *ret = (Options) { .mode = PLACE_USER };
        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 's':
                        ret->mode = PLACE_SYSTEM;
                        break;
                case 'u':
                        ret->mode = PLACE_USER;
                        break;
                case 'd':
                        ret->state = optarg;
                        break;
                case 'S':
                        ret->socket = optarg;
                        break;
                case 'l':
                        if (log_set_level(optarg) == 0)
                                break;
                        fprintf(stderr, "scitraced: %s is not a log level; "
                                        "use err, warning, notice, info or debug.\n", optarg);
                        return -2;
                case 'h':
                        help();
                        return 0;
                case 'V':
                        puts(PACKAGE_STRING);
                        return 0;
                default:
                        fprintf(stderr, "Try scitraced --help.\n");
                        return -2;
                }
        if (optind < argc) {
                fprintf(stderr, "scitraced: it takes no argument like %s; try scitraced --help.\n",
                        argv[optind]);
                return -2;
        }
        return 1;
}

static int find_place(Daemon *d, const Options *o) {
        PlaceEnvironment environment;
        const char *network = NULL;
        pid_t holder = 0;
        int r;

        place_environment(getuid(), &environment);
        r = place_new(o->mode, o->state, &environment, &d->place);
        if (r == PLACE_E_NO_HOME)
                return log_event(LOG_ERR, MSG_NONE, -ENOENT,
                                 "No home folder is known, so there is no place for the record; "
                                 "name one with --state");
        if (r == 0 && o->socket) {
                free(d->place->socket);
                d->place->socket = strdup(o->socket);
        }
        if (r == 0)
                r = place_network(d->place->state, &network);
        if (r == 0 && network)
                return log_event(LOG_ERR, MSG_NONE, -EINVAL,
                                 "The state folder %s is on a network file system (%s), where a database is "
                                 "not safe; name a local one with --state DIR", d->place->state, network);
        if (r == 0)
                r = place_make(d->place);
        if (r < 0)
                return log_event(LOG_ERR, MSG_NONE, r, "The state folder %s cannot be made",
                                 d->place ? d->place->state : "?");
        r = place_lock(d->place, &d->lock_fd, &holder);
        if (is_full(r)) {
                ballast_drop(d->place->state);
                r = place_lock(d->place, &d->lock_fd, &holder);
        }
        if (r == PLACE_E_HELD)
                return log_event(LOG_ERR, MSG_NONE, -EBUSY,
                                 "scitraced is running already for %s (process %d); see scitracectl status",
                                 d->place->state, (int) holder);
        return r < 0 ? log_event(LOG_ERR, MSG_NONE, r, "%s cannot be locked", d->place->lock) : 0;
}

static void warn_policy(void *userdata, const char *file, int line, const char *message) {
        (void) userdata;
        log_event(LOG_WARNING, MSG_BAD_POLICY_VALUE, 0, "%s:%d: %s", file, line, message, "SCITRACE_FILE=%s",
                  file, "SCITRACE_LINE=%d", line);
}

static int open_store(Daemon *d) {
        Store *store = NULL;
        int r = store_open(d->place->state, &store);

        if (is_full(r)) {
                ballast_drop(d->place->state);
                r = store_open(d->place->state, &store);
        }
        switch (r) {
        case 0:
                break;
        case STORE_E_LOCKED:
                return log_event(LOG_ERR, MSG_NONE, -EBUSY,
                                 "Another process has the store in %s open; end it first", d->place->state);
        case STORE_E_NEWER:
                return log_event(LOG_ERR, MSG_NONE, -EINVAL,
                                 "The store in %s was made by a newer scitrace; install that version",
                                 d->place->state);
        case STORE_E_OLDER:
                return log_event(LOG_ERR, MSG_NONE, -EINVAL,
                                 "The store in %s was made by a pre-release; start a new one: move it away",
                                 d->place->state);
        case STORE_E_NO_ROOM:
                return log_event(LOG_ERR, MSG_NONE, -ENOSPC,
                                 "The store in %s is of an older form; to bring it to this one takes twice "
                                 "its size in free space", d->place->state);
        case STORE_E_FOREIGN:
                return log_event(LOG_ERR, MSG_NONE, -EINVAL,
                                 "%s/scitrace.db is not a scitrace store; move it away", d->place->state);
        case -EPERM:
                return log_event(LOG_ERR, MSG_NONE, r, "%s is open to others or not yours; 'chmod 700 %s'",
                                 d->place->state, d->place->state);
        default:
                return log_event(LOG_ERR, MSG_STORE_FAILED, r, "The store in %s cannot be opened",
                                 d->place->state, "SCITRACE_STORE=%s", d->place->state);
        }
        if (store_migrated_from(store) != 0)
                log_event(LOG_NOTICE, MSG_MIGRATED, 0,
                          "The store in %s was brought from form %d to %d; %s-form-%d is what it was before",
                          d->place->state, (int) store_migrated_from(store), STORE_FORM, store_path(store),
                          (int) store_migrated_from(store), "SCITRACE_STORE=%s", d->place->state);
        r = intake_new(store, &d->intake);
        if (r < 0) {
                store_close(store);
                return log_event(LOG_ERR, MSG_STORE_FAILED, r, "The store in %s cannot be used",
                                 d->place->state, "SCITRACE_STORE=%s", d->place->state);
        }
        return 0;
}

/* What 'systemctl status' shows, when it is another than before. */
static void tell_status(Daemon *d, bool ready) {
        const char *degraded = intake_degraded(d->intake);

        if (!ready && (d->stopping || degraded == d->degraded))
                return;
        d->degraded = degraded;
        (void) sd_notifyf(0, "%sSTATUS=%s%s", ready ? "READY=1\n" : "",
                          degraded ? "Not recording: " : "Watching", degraded ? degraded : "");
        if (!degraded && d->socket_lost)        /* for which there may be room now, too */
                (void) sd_event_source_set_time(d->check_source, 0);
}

static int on_intake(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Daemon *d = userdata;

        (void) source;
        (void) fd;
        (void) events;
        intake_dispatch(d->intake);
        tell_status(d, false);
        return 0;
}

static int start_watchers(Daemon *d) {
        WatchersConfig config = {
                .socket = RUNSTATEPATH "/watch.sock",
                .settle_usec = d->policy->settle_usec,
                .write_max_usec = d->policy->write_max_usec,
                .digest_max = d->policy->digest_max,
                .read_max = d->policy->read_max,
                .pressure_max = d->policy->pressure_max,
                .check_usec = d->policy->check_usec,
                .poll_rate = d->policy->poll_rate,
                .poll_usec = d->policy->poll_usec,
                .ignore = d->policy->ignore,
                .n_ignore = d->policy->n_ignore,
                .exclude = d->exclude,
        };
        int r;

        if (d->place->mode == PLACE_USER) {
                config.program = d->program = place_program("scitrace-watch");
                if (!d->program)
                        return -ENOMEM;
        }
        d->exclude[0] = d->place->state;
        d->exclude[1] = d->place->runtime;
        r = sd_event_add_io(d->event, NULL, intake_fd(d->intake), EPOLLIN, on_intake, d);

        if (r >= 0)
                r = watchers_new(d->event, d->intake, &config, &d->watchers);
        return r < 0 ? log_event(LOG_ERR, MSG_NONE, r, "No watcher can be started") : 0;
}

typedef struct Chunks {
        IntakeChunk *chunks;
        size_t n;
        int64_t bytes;
} Chunks;

static int gather_chunk(void *userdata, const MetricsChunk *c) {
        Chunks *all = userdata;
        IntakeChunk *chunks = reallocarray(all->chunks, all->n + 1, sizeof(*chunks));
        uint8_t *copy = malloc(MAX_OF(c->data.size, (size_t) 1));

        if (chunks)
                all->chunks = chunks;
        if (!chunks || !copy) {
                free(copy);
                return -ENOMEM;
        }
        memcpy(copy, c->data.data, c->data.size);
        all->chunks[all->n++] = (IntakeChunk) { .name = c->name, .labels = c->labels, .unit = c->unit,
                                                .from = c->from, .until = c->until, .points = c->points,
                                                .data = BYTES(copy, c->data.size) };
        return 0;
}

static void flush_metrics(Daemon *d) {
        Chunks all = { 0 };

        if (metrics_flush(d->metrics, gather_chunk, &all) == 0 && all.n > 0)
                (void) intake_chunks(d->intake, all.chunks, all.n);
        for (size_t i = 0; i < all.n; i++)
                free((void *) (uintptr_t) all.chunks[i].data.data);
        free(all.chunks);
}

static int on_sample(sd_event_source *source, uint64_t usec, void *userdata) {
        Daemon *d = userdata;
        pid_t pids[PIDS_MAX];
        int n = watchers_pids(d->watchers, pids, PIDS_MAX);
        WatchersStatus status;

        watchers_status(d->watchers, 0, &status);
        metrics_watching(d->metrics, &(MetricsWatching) {
                .watches = status.watches, .unwatched = status.polled, .pending = status.pending,
                .overflows = status.overflows, .swept = status.swept, .walked_again = status.walked_again,
                .restarts = status.restarts,
        });
        (void) metrics_sample(d->metrics, now_usec(CLOCK_REALTIME), pids, (size_t) n, d->place->state);
        if (now_usec(CLOCK_MONOTONIC) - d->flushed >= FLUSH_SECONDS * (int64_t) USEC_PER_SEC) {
                flush_metrics(d);
                d->flushed = now_usec(CLOCK_MONOTONIC);
        }
        (void) sd_event_source_set_time(source, usec + (uint64_t) d->policy->sample_usec);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int start_metrics(Daemon *d) {
        int r = metrics_new(&d->metrics);

        d->flushed = now_usec(CLOCK_MONOTONIC);
        if (r >= 0)
                r = sd_event_add_time(d->event, &d->sample_source, CLOCK_MONOTONIC,
                                      (uint64_t) now_usec(CLOCK_MONOTONIC), 0, on_sample, d);
        return r < 0 ? log_event(LOG_ERR, MSG_NONE, r, "The machine's metrics cannot be read") : 0;
}

static int open_socket(Daemon *d, int *ret_fd) {
        int r = listen_open(d->place->socket, d->place->mode == PLACE_SYSTEM, ret_fd, &d->listen);

        if (d->socket_lost)
                return r > 0 ? -EADDRINUSE : r;         /* tried again and again; why not is said once */
        if (r == LISTEN_E_ANSWERED)
                return log_event(
                        LOG_ERR, MSG_NONE, -EADDRINUSE,
                        "Another process listens on %s; end it, or name another socket with --socket",
                        d->place->socket);
        if (r == LISTEN_E_OCCUPIED)
                return log_event(
                        LOG_ERR, MSG_NONE, -ENOTSOCK,
                        "%s is something else than a control socket, and is left alone; name another with "
                        "--socket",
                        d->place->socket);
        return r < 0 ? log_event(LOG_ERR, MSG_NONE, r, "The control socket %s cannot be made",
                                 d->place->socket)
                     : 0;
}

static int make_folder(const char *path) {
        return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Others can remove it; without it nobody could ask us, or tell us to watch another tree. */
static int renew_socket(Daemon *d) {
        int fd = -1, r = make_folder(d->place->runtime);

        if (r < 0 && d->place->mode == PLACE_USER) { /* XDG_RUNTIME_DIR itself is gone: not ours to make */
                r = place_move_socket(d->place);
                d->exclude[1] = d->place->runtime;
                if (r == 0)
                        r = make_folder(d->place->runtime);
        }
        if (r == 0)
                r = open_socket(d, &fd);
        if (r == 0)
                r = control_relisten(d->control, fd);
        if (r < 0) {
                closep(&fd);
                return r;
        }
        return place_lock_write(d->place, d->lock_fd);
}

static void check_socket(Daemon *d) {
        if (!listen_lost(&d->listen, d->place->socket))
                return;
        if (!d->socket_lost)
                log_event(LOG_WARNING, MSG_SOCKET_LOST, 0,
                          "%s was removed, making another control socket", d->place->socket,
                          "SCITRACE_SOCKET=%s", d->place->socket);
        d->socket_lost = renew_socket(d) < 0;
        if (!d->socket_lost)
                log_event(LOG_NOTICE, MSG_NONE, 0, "scitraced answers on %s again", d->place->socket);
}

/* A transaction in which nothing happens finds out whether its database is still there. */
static int on_check(sd_event_source *source, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        if (d->own_socket)
                check_socket(d);
        (void) intake_tick(d->intake, false);
        (void) sd_event_source_set_time(source, usec + CHECK_SECONDS * USEC_PER_SEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* The socket that systemd hands over and takes care of, else our own at the place's path. */
static int find_socket(Daemon *d, int *ret_fd) {
        int r = sd_listen_fds(1);

        if (r == 1) {
                *ret_fd = SD_LISTEN_FDS_START;
                return 0;
        }
        if (r != 0)
                return r < 0 ? r : -EINVAL;
        d->own_socket = true;
        r = open_socket(d, ret_fd);
        if (is_full(r)) {               /* made when there is room; until then, one that nobody can reach */
                d->socket_lost = true;
                *ret_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                r = *ret_fd < 0 ? -errno : 0;
        }
        return r;
}

static int start_control(Daemon *d) {
        ControlConfig config = {
                .store_path = NULL,
                .mode = d->place->mode == PLACE_USER ? "user" : "system",
                .owner = getuid(),
                .admin_group = d->place->mode == PLACE_SYSTEM ? "scitrace-admin" : NULL,
                .intake = d->intake,
                .watchers = d->watchers,
                .metrics = d->metrics,
                .keep_usec = d->policy->keep_usec,
        };
        CLEANUP(freep) char *path = NULL;
        int fd = -1, r = find_socket(d, &fd);

        if (r >= 0 && asprintf(&path, "%s/scitrace.db", d->place->state) < 0)
                r = -ENOMEM;
        config.store_path = path;
        if (r >= 0)
                r = sd_event_add_time_relative(d->event, &d->check_source, CLOCK_MONOTONIC,
                                               CHECK_SECONDS * USEC_PER_SEC, USEC_PER_SEC, on_check, d);
        if (r >= 0)
                r = control_new(d->event, fd, &config, &d->control);
        if (r < 0) {
                closep(&fd);
                return log_event(LOG_ERR, MSG_NONE, r, "Nobody can be answered");
        }
        return 0;
}

/* Asked to stop: what was noticed is recorded first, within reason, so that the gap begins now and not
 * earlier. */
static void on_settled(void *userdata, const IntakeResult *result) {
        Daemon *d = userdata;

        (void) result;
        (void) sd_event_exit(d->event, 0);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Daemon *d = userdata;
        int r;

        (void) source;
        (void) si;
        if (d->stopping)
                return sd_event_exit(d->event, 0);
        d->stopping = true;
        (void) sd_notify(0, "STOPPING=1\nSTATUS=Recording what is under way");
        r = watchers_settle(d->watchers, NULL, STOP_SETTLE_MSEC * (int64_t) USEC_PER_MSEC, on_settled, d);
        return r < 0 ? sd_event_exit(d->event, 0) : 0;
}

static int start_loop(Daemon *d) {
        sigset_t mask;
        int r = sd_event_default(&d->event);

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGCHLD);
        sigaddset(&mask, SIGPIPE);
        if (r >= 0)
                r = -pthread_sigmask(SIG_BLOCK, &mask, NULL);
        if (r >= 0)
                r = sd_event_add_signal(d->event, NULL, SIGTERM, on_signal, d);
        if (r >= 0)
                r = sd_event_add_signal(d->event, NULL, SIGINT, on_signal, d);
        if (r >= 0)
                r = sd_event_set_watchdog(d->event, 1);
        return r < 0 ? log_event(LOG_ERR, MSG_NONE, r, "The event loop cannot be made") : 0;
}

static int start(Daemon *d, const Options *o) {
        int r = find_place(d, o);

        if (r == 0)
                r = policy_load((const char *const *) d->place->config, getuid(), warn_policy, NULL,
                                &d->policy);
        if (r == 0)
                r = start_loop(d);
        if (r == 0)
                r = open_store(d);
        if (r == 0)
                r = start_watchers(d);
        if (r == 0)
                r = start_metrics(d);
        if (r == 0)
                r = start_control(d);
        return r;
}

static void stop(Daemon *d, bool clean) {
        control_free(d->control);
        if (d->metrics && d->intake)
                flush_metrics(d);
        metrics_free(d->metrics);
        sd_event_source_disable_unref(d->sample_source);
        sd_event_source_disable_unref(d->check_source);
        watchers_free(d->watchers);
        free(d->program);
        intake_free(d->intake, clean);
        sd_event_unref(d->event);
        policy_free(d->policy);
        closep(&d->lock_fd);
        place_free(d->place);
}

int main(int argc, char **argv) {
        Daemon d = { .lock_fd = -1 };
        Options options;
        int r = parse_options(argc, argv, &options);

        if (r <= 0)
                return -r;
        (void) hold_standard_descriptors();
        umask(0077);
        r = start(&d, &options);
        /* Or the file system that we were started on could not be unmounted. */
        if (r == 0 && d.place->socket[0] == '/' && chdir("/") < 0)
                r = -errno;
        if (r == 0) {
                tell_status(&d, true);
                log_event(LOG_NOTICE, MSG_STARTED, 0, "scitraced %s records into %s and answers on %s",
                          PACKAGE_VERSION, d.place->state, d.place->socket);
                r = sd_event_loop(d.event);
                log_event(LOG_NOTICE, MSG_STOPPED, 0,
                          "scitraced stops; what happens until it starts again is a gap");
        }
        stop(&d, r == 0);
        log_flush();
        return r < 0 ? 1 : 0;
}
