/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "daemon/control/call.h"
#include "daemon/control/control.h"
#include "daemon/control/methods.h"
#include "lib/log.h"

typedef struct Client Client;

struct Client {
        Control *control;
        Client *next, **link;
        Connection *connection;
        Peer peer;
        Call *call;                     /* the one that is being answered, or NULL */
        size_t method;                  /* its place in the table */
};

struct Control {
        ControlConfig config;
        char *store_path, *mode;
        Rights rights;
        Interfaces *interfaces;
        Service service;
        sd_event *event;
        int listen_fd;
        sd_event_source *listen, *pause;
        Client *clients;
        LogLimit closed;
};

static void client_free(Client *client) {
        if (client->call)
                call_abandon(client->call);
        if (client->next)
                client->next->link = client->link;
        *client->link = client->next;
        connection_free(client->connection);
        free(client);
}

/* Anybody may connect and break the rules, as often as they like: that must not fill the journal. */
static void log_closed(Client *client, const char *reason) {
        unsigned missed = 0;

        if (!log_limit_take(&client->control->closed, now_usec(CLOCK_MONOTONIC), &missed))
                return;
        if (missed > 0)
                log_event(LOG_INFO, MSG_NONE, 0,
                          "%u more clients broke the rules, their connections are closed too", missed);
        log_event(LOG_INFO, MSG_NONE, 0, "Client of uid %d (pid %d) %s, closing its connection",
                  (int) client->peer.uid, (int) client->peer.pid, reason);
}

static void on_closed(Connection *connection, void *userdata, const char *reason) {
        Client *client = userdata;

        if (reason)
                log_closed(client, reason);
        client_free(client);
}

static void on_drained(Connection *connection, void *userdata) {
        Client *client = userdata;

        if (client->call)
                call_drained(client->call);
}

/* The call is over; the next request may come. */
static void on_end(Call *call) {
        Client *client = call->server;

        client->control->service.counts[client->method].errors += call->failed;
        client->call = NULL;
        if (call->out.failed)
                connection_abort(client->connection, "could not be answered for lack of memory");
        else
                connection_next(client->connection);
}

static int refuse(Client *client, const VarlinkCall *request, const Refusal *refusal) {
        CLEANUP(json_decrefp) json_t *parameters = json_object();
        CLEANUP(freep) char *text = NULL;
        size_t size;
        int r;

        if (request->oneway)
                return 0;
        if (refusal->key)
                (void) json_object_set_new(
                        parameters, refusal->key,
                        json_stringn((const char *) refusal->value.data, refusal->value.size));
        r = varlink_reply_format(refusal->error, parameters, false, &text, &size);
        return r < 0 ? r : connection_send(client->connection, text, size);
}

/* 0, -EBADMSG (not a call), -ENOMEM. */
static int dispatch(Client *client, Bytes message, int *fd) {
        Control *k = client->control;
        VarlinkCall request;
        const Method *method;
        Refusal refusal;
        size_t index;
        Call *call;
        int r;

        r = varlink_call_parse(message, &request);
        if (r < 0)
                return r;
        r = methods_admit(k->interfaces, &request, &client->peer, &method, &index, &refusal);
        if (r > 0) {
                r = refuse(client, &request, &refusal);
                varlink_call_done(&request);
                if (r == 0)
                        connection_next(client->connection);
                return r;
        }
        r = call_new(&k->service, client->connection, method, &request, *fd, on_end, client, &call);
        if (r < 0) {
                varlink_call_done(&request);
                return r;
        }
        *fd = -1;
        client->call = call;
        client->method = index;
        k->service.counts[index].calls++;
        call_start(call);
        return 0;
}

static void on_message(Connection *connection, void *userdata, Bytes message, int fd) {
        CLEANUP(closep) int owned = fd;
        Client *client = userdata;
        int r = dispatch(client, message, &owned);

        if (r < 0)
                on_closed(connection, client, r == -EBADMSG ? "sent something that is not a Varlink call" :
                                                              "could not be answered for lack of memory");
}

static const ConnectionHooks hooks = { on_message, on_drained, on_closed };

/* Some connections are kept for uid 0 and the owner, so that nobody can lock them out. */
static bool may_connect(const Control *k, const Peer *peer) {
        size_t total = 0, same = 0;

        for (const Client *client = k->clients; client; client = client->next) {
                total++;
                same += client->peer.uid == peer->uid;
        }
        if (peer->reserved)
                return total < CONTROL_CONNECTIONS_MAX;
        return total < CONTROL_CONNECTIONS_MAX - CONTROL_CONNECTIONS_KEPT &&
               same < CONTROL_CONNECTIONS_UID_MAX;
}

/* Said before anything was asked, and read as the answer to what is asked first. */
static void turn_away(int fd) {
        static const char reply[] = "{\"error\":\"org.scitrace.Service.RateLimited\",\"parameters\":"
                                    "{\"retryAfterUsec\":1000000}}";

        (void) send(fd, reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int client_new(Control *k, int fd) {
        CLEANUP(freep) Client *client = calloc(1, sizeof(*client));
        int r;

        if (!client)
                return -ENOMEM;
        client->control = k;
        r = peer_of(fd, &k->rights, &client->peer);
        if (r < 0)
                return r;
        if (!may_connect(k, &client->peer)) {
                turn_away(fd);
                return -EBUSY;
        }
        r = connection_new(k->event, fd, &hooks, client, &client->connection);
        if (r < 0)
                return r;
        client->link = &k->clients;
        client->next = k->clients;
        if (client->next)
                client->next->link = &client->next;
        k->clients = STEAL(client);
        return 0;
}

static int on_pause_over(sd_event_source *s, uint64_t usec, void *userdata) {
        Control *k = userdata;

        return sd_event_source_set_enabled(k->listen, SD_EVENT_ON);
}

static int on_listen(sd_event_source *s, int listen_fd, uint32_t revents, void *userdata) {
        Control *k = userdata;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
                if (client_new(k, fd) < 0)
                        close(fd);
                return 0;
        }
        if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
                return 0;
        /* The connection stays in the backlog, and the socket readable: look again in a while. */
        log_event(LOG_WARNING, MSG_NONE, -errno, "Cannot accept a connection, letting it wait for a second");
        (void) sd_event_source_set_enabled(k->listen, SD_EVENT_OFF);
        (void) sd_event_source_set_time_relative(k->pause, USEC_PER_SEC);
        return sd_event_source_set_enabled(k->pause, SD_EVENT_ONESHOT);
}

static void on_commit(void *userdata, int64_t seq) {
        Control *k = userdata;

        k->service.seq = MAX_OF(k->service.seq, seq);
        for (Client *client = k->clients; client; client = client->next)
                if (client->call)
                        call_committed(client->call);
}

static int control_listen(Control *k) {
        int r = sd_event_add_io(k->event, &k->listen, k->listen_fd, EPOLLIN, on_listen, k);

        if (r >= 0)
                r = sd_event_add_time_relative(k->event, &k->pause, CLOCK_MONOTONIC, 0, 0, on_pause_over, k);
        return r < 0 ? r : sd_event_source_set_enabled(k->pause, SD_EVENT_OFF);
}

int control_new(sd_event *event, int listen_fd, const ControlConfig *config, Control **ret) {
        Control *k = calloc(1, sizeof(*k));
        int r;

        assert(event && config && ret);
        if (!k)
                return -ENOMEM;
        k->listen_fd = -1;
        k->event = sd_event_ref(event);
        k->config = *config;
        k->store_path = strdup(config->store_path);
        k->mode = strdup(config->mode);
        k->config.store_path = k->store_path;
        k->config.mode = k->mode;
        k->service.config = &k->config;
        k->service.started = now_usec(CLOCK_MONOTONIC);
        k->service.memory.lock = (pthread_mutex_t) PTHREAD_MUTEX_INITIALIZER;
        rights_init(&k->rights, config->owner, config->admin_group);
        r = k->store_path && k->mode ? interfaces_new(&k->interfaces) : -ENOMEM;
        if (r >= 0)
                r = pool_new(event, config->store_path, &k->service.pool);
        if (r >= 0)
                r = tend_new(event, config->intake, &k->service.tend);
        k->listen_fd = listen_fd;
        if (r >= 0)
                r = control_listen(k);
        if (r < 0) {
                k->listen_fd = -1;
                control_free(k);
                return r;
        }
        intake_on_commit(config->intake, on_commit, k);
        *ret = k;
        return 0;
}

int control_relisten(Control *k, int listen_fd) {
        int r = sd_event_source_set_io_fd(k->listen, listen_fd);

        if (r < 0)
                return r;
        closep(&k->listen_fd);
        k->listen_fd = listen_fd;
        return 0;
}

Control *control_free(Control *k) {
        if (!k)
                return NULL;
        sd_event_source_disable_unref(k->listen);
        sd_event_source_disable_unref(k->pause);
        while (k->clients)
                client_free(k->clients);
        pool_free(k->service.pool);
        call_free_orphans(&k->service);
        tend_free(k->service.tend);
        intake_on_commit(k->config.intake, NULL, NULL);
        interfaces_free(k->interfaces);
        closep(&k->listen_fd);
        sd_event_unref(k->event);
        free(k->store_path);
        free(k->mode);
        free(k);
        return NULL;
}
