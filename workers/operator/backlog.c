/* rookery-worker backlog: prints how far each role is behind. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/process/process.h"
#include "workers/operator/backlog.h"
#include "workers/operator/console.h"
#include "workers/runtime/backlog.h"

static const char HELP[] =
    "Usage: rookery-worker backlog [--json]\n"
    "\n"
    "Shows how far each role is behind, over all partitions:\n"
    "  LAG          entries that have not been delivered to a worker yet\n"
    "  PENDING      entries that a worker is processing, or was processing when it died\n"
    "  UNPUBLISHED  committed events older than two seconds that are not on a stream yet\n"
    "  BACKLOG      the three together\n"
    "  OLDEST       the age of the oldest of them\n"
    "A \"~\" marks a figure that is an upper bound. --json prints a line with a JSON object for each role.\n";

static void print_json(const struct backlog *b) {
    for (size_t i = 0; i < b->n; i++) {
        const struct role_backlog *r = &b->roles[i];
        printf("{\"role\":\"%s\",\"stream\":\"%s\",\"lag\":%" PRId64 ",\"pending\":%" PRId64
               ",\"unpublished\":%" PRId64 ",\"entries\":%" PRId64 ",\"oldest_age_ms\":%" PRId64
               ",\"exact\":%s}\n",
               r->role->name, r->role->stream->name, r->lag, r->pending, r->unpublished, r->entries,
               r->oldest_age_ms, r->exact ? "true" : "false");
    }
}

static void print_table(const struct backlog *b) {
    printf("%-12s %-10s %12s %12s %12s %12s %10s\n", "ROLE", "STREAM", "LAG", "PENDING", "UNPUBLISHED",
           "BACKLOG", "OLDEST");
    for (size_t i = 0; i < b->n; i++) {
        const struct role_backlog *r = &b->roles[i];
        char age[AGE_MAX] = "-", lag[32], entries[32];
        const char *mark = r->exact ? "" : "~";
        snprintf(lag, sizeof lag, "%s%" PRId64, mark, r->lag);
        snprintf(entries, sizeof entries, "%s%" PRId64, mark, r->entries);
        if (r->entries > 0) age_text(age, r->oldest_age_ms);
        printf("%-12s %-10s %12s %12" PRId64 " %12" PRId64 " %12s %10s\n", r->role->name,
               r->role->stream->name, lag, r->pending, r->unpublished, entries, age);
    }
    if (b->dead_letters > 0)
        printf("\n%" PRId64 " dead letter%s; see rookery-worker dlq\n", b->dead_letters,
               b->dead_letters == 1 ? "" : "s");
}

static int operate(struct fiber *self, struct domain *d, void *arg) {
    struct backlog b;
    struct fault fault = {0};
    if (backlog_measure(self, d, &b, &fault) != 0) {
        complain("backlog", "%s", fault.text);
        return 1;
    }
    if (*(bool *)arg)
        print_json(&b);
    else
        print_table(&b);
    return 0;
}

static int run_backlog(int argc, char **argv) {
    bool json = false;
    struct words w = words_of("backlog", argc, argv);
    for (const char *word; (word = words_next(&w));) {
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return fputs(HELP, stdout), 0;
        if (strcmp(word, "--json") != 0)
            return complain("backlog", "there is no option \"%s\" (see --help)", word);
        json = true;
    }
    return process_operate("rookery-worker", operate, &json);
}

const struct command COMMAND_BACKLOG = {"backlog", "how far every role is behind", run_backlog};
