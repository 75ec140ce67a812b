/* A Redis server for tests. */
#include "tests/unit/support/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGS 32

static void nap_ms(long ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Debian's redis-tools without redis-server still has all of it: redis-check-rdb is the same program, which
 * looks at its own name. */
static void exec_server(char *const *argv) {
    const char *build = getenv("ROOKERY_BUILD");
    char path[512];
    if (build) {
        snprintf(path, sizeof path, "%s/redis-server", build);
        execv(path, argv);
    }
    execvp("redis-server", argv);
    execv("/usr/bin/redis-check-rdb", argv);
}

static void start(struct redis_server *s, char *const *settings) {
    char *argv[MAX_ARGS] = {"redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", "",
                            "--appendonly", "no",     NULL};
    int n = 9;
    for (int i = 0; settings && settings[i] && n < MAX_ARGS - 1; i++) argv[n++] = settings[i];
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(s->folder) != 0) _exit(126);
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    exec_server(argv);
    _exit(127);
}

static bool accepts(const struct redis_server *s) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/redis.sock", s->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return good;
}

static void await_server(struct redis_server *s) {
    for (int i = 0; i < 3000 && !accepts(s); i++) {
        nap_ms(5);
        if (waitpid(s->pid, NULL, WNOHANG) != 0) fail_msg("the test's Redis ended while starting");
    }
    assert_true(accepts(s));
}

void redis_server_start(struct redis_server *s, char *const *settings) {
    *s = (struct redis_server){.own = true};
    test_folder_make(s->folder);
    snprintf(s->url, sizeof s->url, "unix://%s/redis.sock", s->folder);
    start(s, settings);
    await_server(s);
}

void redis_server_kill(struct redis_server *s) {
    if (s->pid == 0) return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void redis_server_restart(struct redis_server *s) {
    start(s, NULL);
    await_server(s);
}

void redis_server_pause(struct redis_server *s) {
    kill(s->pid, SIGSTOP);
}

void redis_server_resume(struct redis_server *s) {
    kill(s->pid, SIGCONT);
}

static void remove_file(const struct redis_server *s, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", s->folder, name);
    unlink(path);
}

void redis_server_remove(struct redis_server *s) {
    if (!s->own) return;
    redis_server_kill(s);
    remove_file(s, "redis.sock");
    remove_file(s, "log");
    rmdir(s->folder);
}

int redis_server_setup(void **state) {
    struct redis_server *s = calloc(1, sizeof *s);
    const char *url = getenv("ROOKERY_TEST_REDIS_URL");
    if (url && *url)
        snprintf(s->url, sizeof s->url, "%s", url);
    else
        redis_server_start(s, NULL);
    *state = s;
    return 0;
}

int redis_server_teardown(void **state) {
    redis_server_remove(*state);
    free(*state);
    return 0;
}
