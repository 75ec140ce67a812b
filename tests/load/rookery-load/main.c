/* rookery-load: see load.h. scripts/load finds the servers and calls it. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "load.h"

/* ---- speaking ---- */

void complain(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("rookery-load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static bool progress_shown;

void show_progress(bool last, const char *format, ...) {
    static int64_t next_ns;
    int64_t now = clock_mono_ns();
    if (!isatty(STDERR_FILENO) || (!last && now < next_ns)) return;
    next_ns = now + NS_PER_S / 10;
    va_list args;
    va_start(args, format);
    fputs("\r\033[Kload: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
    progress_shown = true;
}

void end_progress(void) {
    if (progress_shown) fputs("\r\033[K", stderr);
    progress_shown = false;
}

const char *with_commas(int64_t n) {
    static char texts[8][32];
    static unsigned next;
    char digits[24], *out = texts[next++ % 8];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n);
    size_t at = 0;
    for (int i = 0; i < len; i++) {
        out[at++] = digits[i];
        if (i + 1 < len && (len - i - 1) % 3 == 0 && digits[i] != '-') out[at++] = ',';
    }
    out[at] = '\0';
    return out;
}

/* ---- chance ---- */

uint64_t chance_u64(struct chance *c) {
    uint64_t z = c->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

double chance_unit(struct chance *c) {
    return (double)(chance_u64(c) >> 11) * 0x1p-53;
}

uint64_t chance_below(struct chance *c, uint64_t n) {
    return (uint64_t)(chance_unit(c) * (double)n);
}

double chance_normal(struct chance *c) {
    double radius = sqrt(-2 * log(1 - chance_unit(c))), angle = 2 * 3.14159265358979323846 * chance_unit(c);
    return radius * cos(angle);
}

/* ---- commands ---- */

static int usage(FILE *out, int status) {
    fputs(
        "Usage: rookery-load graph --tokens FILE (EDGES [--undirected] | --synthetic N)   fill the database\n"
        "       rookery-load run --gateway ADDR:PORT --tokens FILE                       send calls to a "
        "gateway\n"
        "\n"
        "scripts/load --help explains the options, and finds the servers by itself.\n",
        out);
    return status;
}

int main(int argc, char **argv) {
    static char name[] = "rookery-load";
    const char *command = argc >= 2 ? argv[1] : "";
    if (argc >= 2) argv[1] = name; /* what getopt's messages begin with */
    if (strcmp(command, "graph") == 0) return graph_command(argc - 1, argv + 1);
    if (strcmp(command, "run") == 0) return run_command(argc - 1, argv + 1);
    bool asked = argc == 2 && (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0);
    return asked ? usage(stdout, 0) : usage(stderr, 2);
}
