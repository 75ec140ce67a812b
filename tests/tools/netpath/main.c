/* netpath LISTEN TARGET: a network path that can fail, for tests. Accepts connections at LISTEN and forwards each to
 * TARGET; either is the path of a Unix socket, or HOST:PORT with a numeric host. What happens to the bytes is said on
 * standard input, one command a line; each is answered by a line, "ok" or "failed REASON":
 *
 *   stall [requests | replies]   stop forwarding (one direction, or both); connections stay, new ones are accepted
 *   go-on                        forward all that was held meanwhile, also of clients that are gone: it arrives late
 *   cut                          close every connection, lose what is held, and refuse new connections
 *   drop                         close every connection and lose what is held; new ones are welcome
 *   target TARGET                new connections lead to TARGET; those that exist are left alone
 *   switch TARGET                the same, and drop
 *   heal                         forward and accept again, whatever was done before
 *   state                        ok connections=N requests_held=BYTES replies_held=BYTES requests=BYTES replies=BYTES
 *
 * The last two of "state" are what was forwarded in all. It says "ok" when it listens, and ends with its input.
 *
 * A connection is a client's socket, a server's, and a direction for each way between them. While a direction is
 * stalled its bytes are still taken from the sender, as a network takes them, up to HELD_MAX. So what a client sent
 * before it was killed is not lost with it. A connection made during a stall is connected to the server when requests
 * go on. When one side ends, the other side is told after the last byte; when both have ended, the connection is
 * closed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE (64u << 10)     /* read at once */
#define HELD_MAX (256u << 20) /* of one direction of one connection; then its sender has to wait */
#define EVENTS 64
#define TURNS 16 /* pieces of one direction before the others have their turn */

enum { REQUESTS, REPLIES, DIRECTIONS };

/* Where a client or a server is, or will be. */
struct place {
    struct sockaddr_storage address;
    socklen_t length;
};

struct end {
    int fd; /* -1: not connected yet */
    uint32_t interest;
    struct link *link;
};

struct direction {
    struct end *from, *to;
    char *bytes; /* held: [begin, end) */
    size_t begin, end, room;
    bool deaf;   /* the receiver is gone: what comes is thrown away, so that the sender need not wait */
    bool ended;  /* the sender has said all */
    bool closed; /* and the receiver knows */
};

struct link {
    struct end client, server;
    struct direction direction[DIRECTIONS];
    struct link *next;
    bool dead;
};

static struct {
    struct place listen, target;
    int listener; /* -1: cut */
    int poll;
    bool stalled[DIRECTIONS];
    uint64_t forwarded[DIRECTIONS];
    struct link *links;
} path = {.listener = -1};

/* ---- places ------------------------------------------------------------------------------------------------------ */

static bool place_parse(struct place *place, const char *text) {
    memset(place, 0, sizeof *place);
    struct sockaddr_un *local = (struct sockaddr_un *)&place->address;
    struct sockaddr_in *internet = (struct sockaddr_in *)&place->address;
    if (strchr(text, '/')) {
        if (strlen(text) >= sizeof local->sun_path) return false;
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, text, strlen(text) + 1);
        place->length = sizeof *local;
        return true;
    }
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    internet->sin_family = AF_INET;
    internet->sin_port = htons((uint16_t)atoi(colon + 1));
    place->length = sizeof *internet;
    return inet_pton(AF_INET, host, &internet->sin_addr) == 1;
}

/* Answers are awaited: nothing is gained by sending less often. */
static void send_at_once(int fd, const struct place *place) {
    int yes = 1;
    if (place->address.ss_family == AF_INET) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static const char *listen_again(void) {
    if (path.listener >= 0) return NULL;
    const struct sockaddr *address = (const struct sockaddr *)&path.listen.address;
    int yes = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (address->sa_family == AF_UNIX) unlink(((const struct sockaddr_un *)address)->sun_path);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &path.listener};
    if (bind(fd, address, path.listen.length) < 0 || listen(fd, SOMAXCONN) < 0 ||
        epoll_ctl(path.poll, EPOLL_CTL_ADD, fd, &event) < 0) {
        const char *problem = strerror(errno);
        close(fd);
        return problem;
    }
    path.listener = fd;
    return NULL;
}

static void stop_listening(void) {
    if (path.listener < 0) return;
    close(path.listener);
    path.listener = -1;
    if (path.listen.address.ss_family == AF_UNIX)
        unlink(((struct sockaddr_un *)&path.listen.address)->sun_path);
}

/* ---- directions -------------------------------------------------------------------------------------------------- */

static size_t held(const struct direction *direction) {
    return direction->end - direction->begin;
}

static void make_room(struct direction *direction) {
    if (direction->begin == direction->end) direction->begin = direction->end = 0;
    if (direction->room - direction->end >= PIECE) return;
    direction->room = direction->room ? 2 * direction->room : PIECE;
    direction->bytes = realloc(direction->bytes, direction->room);
    if (!direction->bytes) abort();
}

/* Would it take more from the sender now? */
static bool wants_bytes(const struct direction *direction, bool stalled) {
    return !direction->ended && direction->from->fd >= 0 && held(direction) < (stalled ? HELD_MAX : 1);
}

/* Returns whether it took something, or learned that there is no more. */
static bool take(struct direction *direction) {
    make_room(direction);
    ssize_t n = recv(direction->from->fd, direction->bytes + direction->end, PIECE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n > 0)
        direction->end += (size_t)n;
    else
        direction->ended = true;
    return true;
}

/* Returns whether something is gone from what was held. */
static bool pass(struct direction *direction, int way) {
    const char *bytes = direction->bytes + direction->begin;
    ssize_t n = (ssize_t)held(direction);
    if (!direction->deaf) n = send(direction->to->fd, bytes, held(direction), MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n < 0) direction->deaf = true;
    direction->begin = n < 0 ? direction->end : direction->begin + (size_t)n;
    path.forwarded[way] += n < 0 ? 0 : (uint64_t)n;
    return true;
}

static void forward(struct direction *direction, int way) {
    bool stalled = path.stalled[way] || direction->to->fd < 0;
    for (int turn = 0; turn < TURNS; turn++) {
        bool moved = wants_bytes(direction, stalled) && take(direction);
        if (!stalled && held(direction) > 0) moved |= pass(direction, way);
        if (!moved) break;
    }
    if (direction->ended && held(direction) == 0 && !stalled && !direction->closed) {
        shutdown(direction->to->fd, SHUT_WR);
        direction->closed = true;
    }
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* An end of which nothing is wanted is taken out altogether: epoll would report its end over and over. */
static void watch(struct end *end, bool read, bool write) {
    uint32_t interest = (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u);
    if (end->fd < 0 || interest == end->interest) return;
    struct epoll_event event = {.events = interest, .data.ptr = end};
    int change = end->interest == 0 ? EPOLL_CTL_ADD : interest == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (epoll_ctl(path.poll, change, end->fd, &event) < 0) abort();
    end->interest = interest;
}

static void end_link(struct link *link) {
    if (link->dead) return;
    link->dead = true;
    close(link->client.fd);
    if (link->server.fd >= 0) close(link->server.fd);
}

/* Returns false when there is no server. */
static bool reach_server(struct link *link) {
    const struct sockaddr *address = (const struct sockaddr *)&path.target.address;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    if (connect(fd, address, path.target.length) < 0 && errno != EINPROGRESS) {
        close(fd);
        return false;
    }
    send_at_once(fd, &path.target);
    link->server.fd = fd;
    return true;
}

static void pump(struct link *link) {
    if (link->dead) return;
    if (link->server.fd < 0 && !path.stalled[REQUESTS] && !reach_server(link)) {
        end_link(link);
        return;
    }
    struct direction *requests = &link->direction[REQUESTS], *replies = &link->direction[REPLIES];
    forward(requests, REQUESTS);
    forward(replies, REPLIES);
    if (requests->closed && replies->closed) {
        end_link(link);
        return;
    }
    watch(&link->client, wants_bytes(requests, path.stalled[REQUESTS] || link->server.fd < 0),
          held(replies) > 0 && !path.stalled[REPLIES]);
    watch(&link->server, wants_bytes(replies, path.stalled[REPLIES]),
          held(requests) > 0 && !path.stalled[REQUESTS]);
}

static void accept_all(void) {
    int fd;
    while (path.listener >= 0 &&
           (fd = accept4(path.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct link *link = calloc(1, sizeof *link);
        if (!link) abort();
        send_at_once(fd, &path.listen);
        link->client = (struct end){.fd = fd, .link = link};
        link->server = (struct end){.fd = -1, .link = link};
        link->direction[REQUESTS] = (struct direction){.from = &link->client, .to = &link->server};
        link->direction[REPLIES] = (struct direction){.from = &link->server, .to = &link->client};
        link->next = path.links;
        path.links = link;
        pump(link);
    }
}

static void pump_all(void) {
    for (struct link *link = path.links; link; link = link->next) pump(link);
}

static void end_all(void) {
    for (struct link *link = path.links; link; link = link->next) end_link(link);
}

/* Called when no event can name them any more. */
static void free_dead(void) {
    for (struct link **at = &path.links; *at;) {
        struct link *link = *at;
        if (!link->dead) {
            at = &link->next;
            continue;
        }
        *at = link->next;
        for (int way = 0; way < DIRECTIONS; way++) free(link->direction[way].bytes);
        free(link);
    }
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void stall(bool requests, bool replies) {
    path.stalled[REQUESTS] = requests;
    path.stalled[REPLIES] = replies;
    pump_all();
}

static const char *set_target(const char *text) {
    struct place target;
    if (!place_parse(&target, text)) return "that is neither a path nor HOST:PORT";
    path.target = target;
    return NULL;
}

static void say_state(void) {
    size_t n = 0, sum[DIRECTIONS] = {0, 0};
    for (struct link *link = path.links; link; link = link->next) {
        n += !link->dead;
        for (int way = 0; way < DIRECTIONS && !link->dead; way++) sum[way] += held(&link->direction[way]);
    }
    printf("ok connections=%zu requests_held=%zu replies_held=%zu requests=%llu replies=%llu\n", n,
           sum[REQUESTS], sum[REPLIES], (unsigned long long)path.forwarded[REQUESTS],
           (unsigned long long)path.forwarded[REPLIES]);
}

/* Returns what is wrong, or NULL. */
static const char *obey(const char *word, const char *rest) {
    const char *problem = NULL;
    if (!strcmp(word, "stall")) {
        if (*rest && strcmp(rest, "requests") != 0 && strcmp(rest, "replies") != 0) return "stall what?";
        stall(strcmp(rest, "replies") != 0, strcmp(rest, "requests") != 0);
    } else if (!strcmp(word, "go-on")) {
        stall(false, false);
    } else if (!strcmp(word, "cut")) {
        stop_listening();
        end_all();
    } else if (!strcmp(word, "drop")) {
        end_all();
    } else if (!strcmp(word, "target")) {
        problem = set_target(rest);
    } else if (!strcmp(word, "switch")) {
        problem = set_target(rest);
        if (!problem) end_all();
    } else if (!strcmp(word, "heal")) {
        stall(false, false);
        problem = listen_again();
    } else {
        problem = "unknown command";
    }
    return problem;
}

/* Reads one line; returns false at the end of the input. */
static bool read_command(void) {
    char line[512], *rest;
    size_t n = 0;
    /* Byte by byte, so that what is left is still seen by epoll. */
    while (n + 1 < sizeof line && read(STDIN_FILENO, line + n, 1) == 1 && line[n] != '\n') n++;
    if (n == 0) return false;
    line[n] = '\0';
    rest = strchr(line, ' ');
    if (rest) *rest++ = '\0';
    if (!strcmp(line, "state")) {
        say_state();
    } else {
        const char *problem = obey(line, rest ? rest : "");
        if (problem)
            printf("failed %s\n", problem);
        else
            puts("ok");
    }
    return true;
}

/* Returns false at the end of the input. */
static bool handle(void *ptr) {
    if (!ptr) return read_command();
    if (ptr == &path.listener)
        accept_all();
    else
        pump(((struct end *)ptr)->link);
    return true;
}

int main(int argc, char **argv) {
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    setvbuf(stdout, NULL, _IOLBF, 0);
    path.poll = epoll_create1(EPOLL_CLOEXEC);
    if (argc != 3 || !place_parse(&path.listen, argv[1]) || !place_parse(&path.target, argv[2])) {
        fprintf(stderr, "usage: netpath LISTEN TARGET\n");
        return 2;
    }
    const char *problem = listen_again();
    if (problem || epoll_ctl(path.poll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0) {
        printf("failed %s\n", problem ? problem : strerror(errno));
        return 1;
    }
    puts("ok");
    for (bool more = true; more;) {
        int n = epoll_wait(path.poll, events, EVENTS, -1);
        for (int i = 0; i < n && more; i++) more = handle(events[i].data.ptr);
        free_dead();
    }
    stop_listening();
    return 0;
}
