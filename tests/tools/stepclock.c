/* stepclock.so: a wall clock of one process that can be stepped while it runs, for tests. Loaded with LD_PRELOAD;
 * STEPCLOCK_FILE names a file that holds an offset, an int64 of nanoseconds in the machine's order, which is mapped and
 * added to each reading of the wall clock. The monotonic clock stays as it is, as it does when a real clock is stepped.
 * tests/lib/stepclock.py makes the file and writes to it.
 *
 * Not libfaketime, because Debian's ends in a recursion where malloc itself asks for the time, as Redis's does; it also
 * leaves shared memory behind when its process is killed, and reads its file anew at each call. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000

static const volatile int64_t *offset_ns; /* NULL: no file */
static int (*real_clock_gettime)(clockid_t clock, struct timespec *now);

__attribute__((constructor)) static void open_offset(void) {
    const char *name = getenv("STEPCLOCK_FILE");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, sizeof *offset_ns, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (page != MAP_FAILED) offset_ns = page;
}

/* Also asked before there is a libc to ask: by the constructors of other libraries, and by malloc. */
static int ask_clock(clockid_t clock, struct timespec *now) {
    if (real_clock_gettime) return real_clock_gettime(clock, now);
    return (int)syscall(SYS_clock_gettime, clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = ask_clock(clock, now);
    if (status != 0 || !offset_ns || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return status;
    int64_t sum = now->tv_sec * (int64_t)SECOND_NS + now->tv_nsec + *offset_ns;
    *now = (struct timespec){.tv_sec = sum / SECOND_NS, .tv_nsec = sum % SECOND_NS};
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec time_now;
    if (clock_gettime(CLOCK_REALTIME, &time_now) != 0) return -1;
    *now = (struct timeval){.tv_sec = time_now.tv_sec, .tv_usec = time_now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *seconds) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    if (seconds) *seconds = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}
