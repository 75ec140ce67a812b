/*
 * parts_folder: see parts.h.
 *
 * 1. A part is a regular file called *.rkpart that begins as a part does. Anything else in the folder stays.
 * 2. Old parts are removed when the first new one is about to be written: all input has been read by then, so bad data
 *    leave them as they were.
 * 3. From then on SIGINT, SIGTERM and SIGHUP are noted only. The job ends at its next look, the parts are removed, and
 *    the signal is raised again. (SIGKILL leaves whole parts, since each appears whole or not at all.)
 */
#include "workers/jobs/command/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".rkpart"

/* ---- signals ----------------------------------------------------------------------------------------- */

static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP};
#define N_SIGNALS (sizeof SIGNALS / sizeof *SIGNALS)
static struct sigaction actions_before[N_SIGNALS];
static volatile sig_atomic_t signal_seen;

static void note_signal(int number) {
    signal_seen = number;
}

/* A signal that is ignored, as under nohup, stays so. */
static void watch_signals(void) {
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    signal_seen = 0;
    for (size_t i = 0; i < N_SIGNALS; i++) {
        sigaction(SIGNALS[i], NULL, &actions_before[i]);
        if (actions_before[i].sa_handler != SIG_IGN) sigaction(SIGNALS[i], &action, NULL);
    }
}

static void unwatch_signals(void) {
    for (size_t i = 0; i < N_SIGNALS; i++) sigaction(SIGNALS[i], &actions_before[i], NULL);
    if (signal_seen) raise(signal_seen);
}

static bool go_on(void *context, uint64_t rows) {
    const struct parts_folder *folder = context;
    return !signal_seen && (!folder->go_on || folder->go_on(folder->context, rows));
}

/* ---- what is in the folder --------------------------------------------------------------------------- */

static bool is_part(int folder, const char *name) {
    size_t length = strlen(name), suffix = strlen(SUFFIX);
    char head[STEPS_MAGIC_LENGTH];
    struct stat info;
    if (length <= suffix || strcmp(name + length - suffix, SUFFIX) != 0) return false;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    bool is = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
              read(fd, head, sizeof head) == (ssize_t)sizeof head &&
              memcmp(head, STEPS_MAGIC, sizeof head) == 0;
    close(fd);
    return is;
}

static bool cannot(const struct parts_folder *folder, const char *what, struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_DATA, "the folder %s cannot be %s: %s", folder->path, what,
                     strerror(errno));
}

/* What is in a folder because of parts. */
struct found {
    size_t parts;
    size_t tables;   /* called as a part and something more, as the tables of parts often are */
    char table[256]; /* one of them */
};

/* Looks for parts; removes: and removes them. */
static bool look(const struct parts_folder *folder, bool removes, struct found *found,
                 struct jobs_error *error) {
    DIR *dir = opendir(folder->path);
    const struct dirent *entry;
    bool good = true;
    *found = (struct found){0};
    if (!dir) return cannot(folder, "read", error);
    while (good && (entry = readdir(dir))) {
        if (is_part(dirfd(dir), entry->d_name)) {
            found->parts++;
            good = !removes || unlinkat(dirfd(dir), entry->d_name, 0) == 0 || errno == ENOENT ||
                   cannot(folder, "cleared of the parts of an earlier run", error);
        } else if (strstr(entry->d_name, SUFFIX ".") && found->tables++ == 0) {
            snprintf(found->table, sizeof found->table, "%s", entry->d_name);
        }
    }
    closedir(dir);
    return good;
}

/* Their slices may not be among the new ones, and jobs combine would report them. */
static void say_tables(const struct parts_folder *folder, const struct found *found) {
    if (found->tables == 0 || !folder->notes) return;
    fprintf(folder->notes,
            "%s has %zu file%s named after parts of an earlier run (%s%s); they are not of this one\n",
            folder->path, found->tables, found->tables == 1 ? "" : "s", found->table,
            found->tables == 1 ? "" : ", …");
}

/* ---- life -------------------------------------------------------------------------------------------- */

bool parts_folder_open(struct parts_folder *folder, const char *path, bool clear, struct grouped_spec *spec,
                       struct jobs_error *error) {
    struct found found;
    *folder = (struct parts_folder){.path = path,
                                    .scratch_dir = spec->scratch_dir,
                                    .notes = spec->notes,
                                    .go_on = spec->go_on,
                                    .context = spec->context};
    if (mkdir(path, 0777) != 0 && errno != EEXIST) return cannot(folder, "made", error);
    if (!look(folder, false, &found, error)) return false;
    if (found.parts > 0 && !clear) {
        return jobs_fail(
            error, JOBS_FAULT_USAGE,
            "--output-dir: %s has %zu part%s of an earlier run; name another folder, or let --clear "
            "remove %s first",
            path, found.parts, found.parts == 1 ? "" : "s", found.parts == 1 ? "it" : "them");
    }
    say_tables(folder, &found);
    spec->go_on = go_on;
    spec->context = folder;
    return true;
}

static FILE *open_part(void *context, const struct steps_part *part, struct jobs_error *error) {
    struct parts_folder *folder = context;
    struct found old;
    if (!folder->begun) {
        watch_signals();
        folder->begun = true;
        if (!look(folder, true, &old, error)) return NULL;
    }
    size_t room = strlen(folder->path) + strlen(part->name) + sizeof "/" SUFFIX;
    folder->name = malloc(room);
    if (!folder->name) {
        jobs_fail_memory(error, "a part");
        return NULL;
    }
    snprintf(folder->name, room, "%s/%s" SUFFIX, folder->path, part->name);
    if (output_open(&folder->out, folder->name, folder->scratch_dir, error)) return folder->out.file;
    free(folder->name);
    return NULL;
}

static bool close_part(void *context, const struct steps_part *part, FILE *file, bool whole,
                       struct jobs_error *error) {
    struct parts_folder *folder = context;
    (void)part, (void)file;
    bool good = output_close(&folder->out, whole, error);
    if (good) puts(folder->name);
    free(folder->name);
    return good;
}

struct steps_sink parts_folder_sink(struct parts_folder *folder) {
    return (struct steps_sink){open_part, close_part, folder};
}

void parts_folder_close(struct parts_folder *folder, bool good) {
    struct jobs_error ignored = {0}; /* the run has an error of its own */
    struct found own;
    if (!folder->begun) return;
    if (!good || signal_seen) look(folder, true, &own, &ignored);
    unwatch_signals();
}
