/* rookery-worker audit: chooses accounts and gateways. audit.h describes the audit itself. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/process/process.h"
#include "workers/audit/audit.h"
#include "workers/audit/command.h"
#include "workers/audit/command.sql.h"
#include "workers/audit/report.h"
#include "workers/operator/console.h"
#include "workers/operator/named.h"

/* Accounts audited together: so many that waiting in between costs little, so few that their timelines fit into
 * memory (about 20 MB). */
#define TOGETHER 256
#define SAMPLE_MAX 1000000
/* Within the life of the sessions that are made for it. */
#define LIVE_MAX_S 300

static const char HELP[] =
    "Usage: rookery-worker audit [--account HANDLE | --sample N] [--gateway ADDR:PORT]...\n"
    "                            [--live SECONDS] [--page-size N] [--wait SECONDS]\n"
    "\n"
    "Compares home timelines, as gateways serve them, with what SQL says they must be, and prints every\n"
    "  gap        an entry that must be there and is not\n"
    "  vanished   an entry that was shown before, by any gateway, and is not there although SQL has it\n"
    "  duplicate  an entry that is there more than once\n"
    "  leak       an entry that must not be there\n"
    "  order      an entry that stands below an older one\n"
    "  stale      an entry that shows its post as it was before an edit\n"
    "\n"
    "  --account HANDLE     audit one account\n"
    "  --sample N           audit N accounts chosen at random; without either, all of them\n"
    "  --gateway ADDR:PORT  a gateway to ask, up to 10 times (ROOKERY_LISTEN)\n"
    "  --live SECONDS       also listen to live streams, so long for each 256 accounts, 0 to 300\n"
    "                       (0: not at all); proves nothing unless people write meanwhile\n"
    "  --page-size N        entries in a page of a whole timeline, 1 to 100 (100)\n"
    "  --wait SECONDS       maximum wait for the backlog to empty, 0 to 86400 (60)\n"
    "\n"
    "For each account the audit reads first pages of 1, 5 and 20 entries through every gateway, then\n"
    "pages of 20 again, since an entry that one gateway has shown must not be missing at another\n"
    "later, and then whole timelines.\n"
    "\n"
    "It may run while people write. It reads SQL before and after the API, and judges only what both\n"
    "readings agree on, once everything that was committed before has been delivered. A gap that was\n"
    "seen once counts. A difference that may be due to a delay of a second (leak, stale, or a gap of a\n"
    "pulled author), or to a change of the accounts that this one follows, counts when it is found\n"
    "again: accounts with differences are looked at three times, a second apart. LOOKS says how often\n"
    "an entry was found, SEEN where.\n"
    "\n"
    "Sessions for the accounts are created in SQL and deleted again; they live for ten minutes at most.\n"
    "As with every read, accounts without a list in Redis get one, which expires later\n"
    "(ROOKERY_TIMELINE_TTL_S): in a very large system, audit a sample.\n"
    "\n"
    "Exit status: 0 when nothing differs; 1 when something differs, or when the audit could not be\n"
    "completed; 2 for bad arguments.\n";

struct run {
    /* asked for */
    const char *account;
    int64_t sample; /* 0: all */
    const char *gateways[AUDIT_GATEWAYS_MAX];
    size_t n_gateways;
    int64_t page_size, wait_s, live_s;
    /* what is to be audited */
    int64_t *chosen; /* with --sample and --account; malloc'ed */
    size_t n_chosen, next_chosen;
    int64_t last_id; /* of all, in order */
    int64_t total;
    struct audit_report report;
};

/* ---- which accounts ------------------------------------------------------------------------------------ */

static int choose_one(struct fiber *self, struct domain *d, struct run *r, struct fault *fault) {
    struct account found;
    int e = account_named(self, d, r->account, &found, fault);
    if (e == ERR_NOT_FOUND) return fault_set(fault, e, "there is no account \"%s\"", r->account);
    if (e != 0) return e;
    r->chosen = malloc(sizeof *r->chosen);
    if (!r->chosen) return fault_set(fault, ERR_OVERLOADED, "not enough memory");
    r->chosen[0] = found.id;
    r->n_chosen = 1;
    r->total = 1;
    return 0;
}

static int choose_some(struct fiber *self, struct domain *d, struct run *r, struct fault *fault) {
    struct pg_result *rows;
    int e = pg_ask(self, d->pg, &AUDIT_CHOOSE, &rows, fault, pg_i64(r->sample));
    if (e != 0) return e;
    r->n_chosen = (size_t)pg_rows(rows);
    r->chosen = calloc(r->n_chosen + 1, sizeof *r->chosen);
    if (!r->chosen) return fault_set(fault, ERR_OVERLOADED, "not enough memory");
    struct pg_row row = pg_read(rows);
    for (size_t i = 0; pg_next(&row); i++) r->chosen[i] = pg_take_i64(&row);
    r->total = (int64_t)r->n_chosen;
    return 0;
}

static int choose_all(struct fiber *self, struct domain *d, struct run *r, struct fault *fault) {
    struct pg_result *rows;
    int e = pg_ask(self, d->pg, &AUDIT_COUNT_ACCOUNTS, &rows, fault);
    if (e == 0) r->total = pg_only_i64(rows);
    return e;
}

static int next_of_chosen(struct fiber *self, struct domain *d, struct run *r, struct pg_result **rows,
                          struct fault *fault) {
    size_t left = r->n_chosen - r->next_chosen, n = left < TOGETHER ? left : TOGETHER;
    const int64_t *ids = r->chosen + r->next_chosen;
    r->next_chosen += n;
    assert(r->next_chosen <= r->n_chosen);
    return pg_ask(self, d->pg, &AUDIT_OF_CHOSEN, rows, fault, pg_i64_array(ids, n));
}

/* The next accounts; none at the end. */
static int next_accounts(struct fiber *self, struct domain *d, struct run *r, struct audit_account **out,
                         size_t *n, struct fault *fault) {
    struct arena *a = fiber_arena(self);
    struct pg_result *rows;
    int e = r->chosen
                ? next_of_chosen(self, d, r, &rows, fault)
                : pg_ask(self, d->pg, &AUDIT_NEXT_OF_ALL, &rows, fault, pg_i64(r->last_id), pg_i64(TOGETHER));
    if (e != 0) return e;
    struct pg_row row = pg_read(rows);
    *out = ARENA_ARRAY(a, struct audit_account, (size_t)pg_rows(rows));
    for (*n = 0; pg_next(&row); ++*n) {
        struct audit_account *account = &(*out)[*n];
        account->id = r->last_id = pg_take_i64(&row);
        account->handle = pg_take_str(&row);
    }
    return 0;
}

/* ---- the run ------------------------------------------------------------------------------------------- */

static int audit_some(struct fiber *self, struct audit *a, struct run *r, size_t *n, struct fault *fault) {
    struct audit_account *accounts;
    int e = next_accounts(self, a->domain, r, &accounts, n, fault);
    if (e != 0 || *n == 0) return e;
    show_progress("audit: %" PRId64 " of %" PRId64 " accounts", r->report.accounts, r->total);
    e = audit_accounts(self, a, accounts, *n, fault);
    if (e == 0) audit_report_add(self, a->domain, &r->report, accounts, *n);
    for (size_t i = 0; i < *n; i++) audit_differences_free(&accounts[i].found);
    return e;
}

static int audit_all(struct fiber *self, struct audit *a, struct run *r, struct fault *fault) {
    int e = r->account  ? choose_one(self, a->domain, r, fault)
            : r->sample ? choose_some(self, a->domain, r, fault)
                        : choose_all(self, a->domain, r, fault);
    for (size_t n = 1; e == 0 && n > 0;) {
        e = audit_some(self, a, r, &n, fault);
        arena_reset(fiber_arena(self));
    }
    return e;
}

static int open_gateways(struct audit *a, const struct run *r, struct fault *fault) {
    for (size_t i = 0; i < r->n_gateways; i++) {
        a->gateways[i] = audit_api_new(r->gateways[i], (int)r->page_size);
        if (!a->gateways[i]) return fault_set(fault, ERR_OVERLOADED, "not enough memory");
        a->n_gateways++;
    }
    return 0;
}

static int operate(struct fiber *self, struct domain *d, void *arg) {
    struct run *r = arg;
    struct fault fault = {0};
    int64_t began_ns = clock_mono_ns();
    struct audit a = {.domain = d, .wait_ms = r->wait_s * 1000, .live_ms = r->live_s * 1000};
    if (r->n_gateways == 0) r->gateways[r->n_gateways++] = d->config->listen;
    r->report.gateways = r->gateways;
    r->report.n_gateways = r->n_gateways;
    int e = open_gateways(&a, r, &fault);
    if (e == 0) e = audit_all(self, &a, r, &fault);
    for (size_t i = 0; i < a.n_gateways; i++) audit_api_free(self, a.gateways[i]);
    free(r->chosen);
    show_progress("%s", "");
    if (e == 0) return audit_report_end(&r->report, &a.tally, (clock_mono_ns() - began_ns) / NS_PER_MS);
    complain("audit", "%s", fault.text[0] ? fault.text : error_text(e));
    return 1;
}

static bool add_gateway(struct words *w, const char *word, struct run *r) {
    const char *address = words_value(w, word);
    if (!address) return false;
    if (r->n_gateways < AUDIT_GATEWAYS_MAX) {
        r->gateways[r->n_gateways++] = address;
        return true;
    }
    complain("audit", "at most %d gateways can be audited together", AUDIT_GATEWAYS_MAX);
    return false;
}

/* Returns -1 to continue, or the exit status. */
static int parse(struct words *w, struct run *r) {
    for (const char *word; (word = words_next(w));) {
        bool good = true;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            fputs(HELP, stdout);
            return 0;
        } else if (strcmp(word, "--account") == 0) {
            good = (r->account = words_value(w, word)) != NULL;
        } else if (strcmp(word, "--sample") == 0) {
            good = words_number(w, word, 1, SAMPLE_MAX, &r->sample);
        } else if (strcmp(word, "--gateway") == 0) {
            good = add_gateway(w, word, r);
        } else if (strcmp(word, "--live") == 0) {
            good = words_number(w, word, 0, LIVE_MAX_S, &r->live_s);
        } else if (strcmp(word, "--page-size") == 0) {
            good = words_number(w, word, 1, 100, &r->page_size);
        } else if (strcmp(word, "--wait") == 0) {
            good = words_number(w, word, 0, 86400, &r->wait_s);
        } else {
            return complain("audit", "there is no option \"%s\" (see --help)", word);
        }
        if (!good) return 2;
    }
    if (r->account && r->sample) return complain("audit", "--account and --sample exclude each other");
    return -1;
}

static int run_audit(int argc, char **argv) {
    struct run r = {.page_size = 100, .wait_s = 60};
    struct words w = words_of("audit", argc, argv);
    int status = parse(&w, &r);
    return status >= 0 ? status : process_operate("rookery-worker", operate, &r);
}

const struct command COMMAND_AUDIT = {"audit", "compare home timelines with what SQL says they must be",
                                      run_audit};
