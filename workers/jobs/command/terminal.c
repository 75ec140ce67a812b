/* See terminal.h. */
#include "workers/jobs/command/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workers/jobs/report/display.h"

#define COLUMNS_DEFAULT 80
#define COLUMNS_MAX 10000
/* -S: lines are cut at the edge, and the arrow keys move sideways. -F: what fits needs no pager. */
#define PAGER_DEFAULT "less -S -F"
/* What a shell returns for a command that it does not find, or may not run. */
enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

size_t terminal_columns(int fd) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char *text = getenv("COLUMNS");
    char *end = NULL;
    long columns = text ? strtol(text, &end, 10) : 0;
    return columns > 0 && columns <= COLUMNS_MAX && *end == '\0' ? (size_t)columns : COLUMNS_DEFAULT;
}

/* ---- the pager --------------------------------------------------------------------------------------- */

struct pager {
    FILE *file;
    pid_t pid;
    struct sigaction on_interrupt, on_quit;
};

static bool in_path(const char *name, size_t length) {
    char path[4096];
    const char *at = getenv("PATH");
    for (; at && *at; at += *at == ':') {
        size_t folder = strcspn(at, ":");
        int used = snprintf(path, sizeof path, "%.*s/%.*s", (int)folder, at, (int)length, name);
        if (used > 0 && (size_t)used < sizeof path && access(path, X_OK) == 0) return true;
        at += folder;
    }
    return false;
}

/* What to run, for a shell; NULL when there is none: $PAGER is empty or cat, or less is not installed. */
static const char *pager_command(void) {
    const char *command = getenv("PAGER");
    if (!command) return in_path("less", 4) ? PAGER_DEFAULT : NULL;
    return *command && strcmp(command, "cat") != 0 ? command : NULL;
}

static bool spawn(const char *command, int input, pid_t *pid) {
    char *words[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGQUIT);
    if (posix_spawn_file_actions_init(&files) != 0) return false;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return false;
    }
    /* A $PAGER of less alone gets its options this way, unless the user has some. */
    setenv("LESS", "-FS", 0);
    bool good = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO) == 0 &&
                posix_spawnattr_setsigdefault(&attributes, &usual) == 0 &&
                posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF) == 0 &&
                posix_spawn(pid, "/bin/sh", &files, &attributes, words, environ) == 0;
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return good;
}

/* Keys that end a command are the pager's while it runs. */
static bool pager_open(struct pager *p) {
    const char *command = pager_command();
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    int ends[2];
    if (!command || pipe2(ends, O_CLOEXEC) != 0) return false;
    p->file = fdopen(ends[1], "w");
    if (!p->file) close(ends[1]);
    bool good = p->file && spawn(command, ends[0], &p->pid);
    close(ends[0]);
    if (good) {
        sigaction(SIGINT, &ignore, &p->on_interrupt);
        sigaction(SIGQUIT, &ignore, &p->on_quit);
    } else if (p->file) {
        fclose(p->file);
    }
    return good;
}

/* Waits for its end. Returns false when it could not be run, so that nothing was shown. */
static bool pager_close(struct pager *p) {
    int status = 0;
    pid_t ended;
    fclose(p->file); /* a pager may be left before its end: a pipe that is closed is not a failure */
    do ended = waitpid(p->pid, &status, 0);
    while (ended < 0 && errno == EINTR);
    sigaction(SIGINT, &p->on_interrupt, NULL);
    sigaction(SIGQUIT, &p->on_quit, NULL);
    return ended < 0 || !WIFEXITED(status) ||
           (WEXITSTATUS(status) != NOT_EXECUTABLE && WEXITSTATUS(status) != NOT_FOUND);
}

/* ---- showing ----------------------------------------------------------------------------------------- */

/* Returns whether a pager showed it; *good: there was memory for it. */
static bool show_in_pager(const struct display *d, bool *good) {
    struct pager pager;
    if (!pager_open(&pager)) return false;
    *good = display_show(d, SIZE_MAX, pager.file);
    return pager_close(&pager);
}

bool terminal_show(const char *csv, size_t length, bool pager, struct jobs_error *error) {
    struct display *d = display_new(csv, length, error);
    size_t columns = terminal_columns(STDOUT_FILENO);
    bool good = true;
    if (!d) return false;
    bool paged =
        pager && display_is_wide(d) && display_columns(d) > columns && show_in_pager(d, &good) && good;
    if (good && !paged) good = display_show(d, columns, stdout);
    display_free(d);
    return good || jobs_fail_memory(error, "showing the table");
}
