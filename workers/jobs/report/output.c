/* See output.h.
 *
 * A result is written to a file without a name: it is gone with the process that wrote it, however that ends. When it
 * is whole it gets its name; or, if there is a file of that name, a name beside it, and is renamed. Between these two
 * calls, and while a result is copied into a file that is there, an end of the machine or SIGKILL leaves what was done
 * so far.
 */
#include "workers/jobs/report/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "workers/jobs/table/spill.h"

enum { NAMES_TRIED = 100, COPY_BYTES = 1 << 20 };

static bool cannot_write(const struct output *out, struct jobs_error *error) {
    return jobs_fail(error, JOBS_FAULT_DATA, "%s cannot be written: %s", out->path, strerror(errno));
}

/* ---- opening ----------------------------------------------------------------------------------------- */

static bool is_standard_output(const struct stat *info) {
    struct stat standard;
    return fstat(STDOUT_FILENO, &standard) == 0 && standard.st_dev == info->st_dev &&
           standard.st_ino == info->st_ino;
}

static bool open_straight(struct output *out, struct jobs_error *error) {
    int fd = open(out->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    out->kind = OUTPUT_STRAIGHT;
    out->file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out->file) return true;
    cannot_write(out, error);
    if (fd >= 0) close(fd);
    return false;
}

/* The folder of the target, or NULL. Owned by the caller. */
static char *folder_of(const char *target) {
    const char *slash = strrchr(target, '/');
    if (!slash) return strdup(".");
    return slash == target ? strdup("/") : strndup(target, (size_t)(slash - target));
}

/* A file without a name, in the folder of the target; -1 where there can be none. */
static int nameless(const char *target) {
    char *folder = folder_of(target);
    int fd = folder ? open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;
    free(folder);
    return fd;
}

/* It gets what the file has that is there; false when it cannot have all of that. */
static bool resembles(int fd, int before) {
    struct stat own, old;
    if (fstat(fd, &own) != 0 || fstat(before, &old) != 0) return false;
    if (old.st_nlink != 1 || flistxattr(before, NULL, 0) > 0) return false;
    if ((own.st_uid != old.st_uid || own.st_gid != old.st_gid) && fchown(fd, old.st_uid, old.st_gid) != 0)
        return false;
    return fchmod(fd, old.st_mode & 07777) == 0;
}

static bool is_as_new(int fd) {
    mode_t mask = umask(0);
    umask(mask);
    return fchmod(fd, 0666 & ~mask) == 0;
}

/* A file could be made at path; none is left. */
static bool may_be_made(const struct output *out) {
    int fd = open(out->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    close(fd);
    char *made = realpath(out->path, NULL);
    bool gone = made && unlink(made) == 0;
    free(made);
    return gone;
}

static bool open_file(struct output *out, const char *scratch_dir, struct jobs_error *error) {
    int fd = out->target ? nameless(out->target) : -1;
    bool whole = fd >= 0 && access("/proc/self/fd", X_OK) == 0 &&
                 (out->before >= 0 ? resembles(fd, out->before) : is_as_new(fd));
    out->kind = whole ? OUTPUT_REPLACES : OUTPUT_COPIED;
    if (!whole) {
        if (fd >= 0) close(fd);
        if (out->before < 0 && !may_be_made(out)) return cannot_write(out, error);
        fd = spill_temporary(scratch_dir, error);
        if (fd < 0) return false;
    }
    out->file = fdopen(fd, whole ? "w" : "w+");
    if (out->file) return true;
    close(fd);
    return jobs_fail_memory(error, "the table");
}

bool output_open(struct output *out, const char *path, const char *scratch_dir, struct jobs_error *error) {
    struct stat info;
    *out = (struct output){.path = path, .before = -1};
    if (!path || strcmp(path, "-") == 0) {
        out->path = "standard output";
        out->file = stdout;
        return true;
    }
    if (!*path) {
        errno = ENOENT;
        return cannot_write(out, error);
    }
    if (stat(path, &info) == 0) {
        if (is_standard_output(&info)) {
            out->file = stdout;
            return true;
        }
        if (S_ISDIR(info.st_mode))
            return jobs_fail(error, JOBS_FAULT_DATA, "%s is a folder; name a file", path);
        if (!S_ISREG(info.st_mode)) return open_straight(out, error);
        out->before = open(path, O_WRONLY | O_CLOEXEC);
        if (out->before < 0) return cannot_write(out, error);
        out->target = realpath(path, NULL);
    } else if (errno != ENOENT) {
        return cannot_write(out, error);
    } else if (lstat(path, &info) != 0) { /* else it is a link to nothing */
        out->target = strdup(path);
    }
    if (open_file(out, scratch_dir, error)) return true;
    if (out->before >= 0) close(out->before);
    free(out->target);
    return false;
}

/* ---- closing ----------------------------------------------------------------------------------------- */

/* Gives the file its name; where there is a file of that name, one beside it first, which is then renamed. */
static bool replace(const struct output *out) {
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", fileno(out->file));
    if (out->before < 0 && linkat(AT_FDCWD, own, AT_FDCWD, out->target, AT_SYMLINK_FOLLOW) == 0) return true;
    size_t room = strlen(out->target) + sizeof ".0123456789abcdef";
    char *name = malloc(room);
    bool named = false, done = false;
    for (int i = 0; name && !named && i < NAMES_TRIED; i++) {
        snprintf(name, room, "%s.%016llx", out->target, (unsigned long long)random_u64());
        named = linkat(AT_FDCWD, own, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
        if (!named && errno != EEXIST) break;
    }
    if (named) {
        done = rename(name, out->target) == 0;
        int why = errno;
        if (!done) unlink(name);
        errno = why;
    }
    free(name);
    return done;
}

static bool copy(const struct output *out) {
    int to = out->before >= 0 ? dup(out->before) : open(out->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (to < 0) return false;
    off_t at = 0;
    bool good = ftruncate(to, 0) == 0;
    for (ssize_t n = 1; good && n != 0;) {
        n = sendfile(to, fileno(out->file), &at, COPY_BYTES);
        good = n >= 0 || errno == EINTR;
    }
    int why = errno;
    if (close(to) != 0) return false;
    errno = why;
    return good;
}

static bool put_in_place(const struct output *out) {
    if (fflush(out->file) != 0 || ferror(out->file)) return false;
    if (out->kind == OUTPUT_REPLACES) return replace(out);
    return out->kind != OUTPUT_COPIED || copy(out);
}

bool output_close(struct output *out, bool good, struct jobs_error *error) {
    if (out->kind == OUTPUT_STREAM) return (fflush(stdout) == 0 || !good || cannot_write(out, error)) && good;
    if (good && !put_in_place(out)) good = cannot_write(out, error);
    if (fclose(out->file) != 0 && good) good = cannot_write(out, error);
    if (out->before >= 0) close(out->before);
    free(out->target);
    return good;
}
