/* `graph`: accounts and follows into the database.
 *
 *   1. The edges are read and sorted (or will be made up as they are needed).
 *   2. A node number is leased, so that ids collide with nobody's, whoever else is running.
 *   3. One transaction: COPY of accounts, follows, account_stats and sessions. What is derived (counts, follower
 *      versions) is as the calls Register and Follow would have left it once their events were handled, so there are
 *      no events: nobody can have cached anything of accounts that did not exist.
 *   4. Commit; then the session tokens are written for `run`, readable by their owner only.
 * Failures: anything before 4 leaves the database as it was. A crash between the commit and the tokens leaves accounts
 * that only --password can log in to.
 */
#include "graph.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bulk.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/config/config.h"
#include "core/domain/graph/relations.h"
#include "core/id/token.h"
#include "core/store/migrate/migrate.h"
#include "core/store/pg/lease.h"
#include "core/text/text.h"

extern char **environ;

#define MS_PER_DAY INT64_C(86400000)
/* 32 million edges sorted in memory at a time: 256 MiB. */
#define RUN_EDGES (INT64_C(32) << 20)
/* Longest that an id is waited for: ids are borrowed from the future when they are made faster than time goes. */
#define ID_PATIENCE_MS 30000

struct graph_options {
    const char *path, *tokens_path, *password;
    bool undirected;
    int64_t synthetic, average, seed, first, sessions, run_edges;
    double skew;
};

struct import {
    struct graph_options options;
    struct config config;
    struct log *log;
    struct loop *loop;
    struct pg *pg; /* for the lease only */
    struct lease *lease;
    struct bulk bulk;
    struct edge_list *list; /* one of these two */
    struct synthetic *synthetic;
    int64_t accounts, first_number, follows, too_many;
    int64_t *ids; /* of each account */
    uint32_t *followers, *following;
    char password_hash[PASSWORD_HASH_MAX];
    char *tokens_new; /* the file while it is being written */
    FILE *tokens;
    int status;
};

/* ---- ids ---- */

static int64_t next_id(struct fiber *self, struct import *in) {
    int64_t give_up_ns = clock_mono_ns() + ID_PATIENCE_MS * NS_PER_MS, id;
    while ((id = lease_next_id(in->lease)) == 0) {
        if (clock_mono_ns() < give_up_ns && fiber_sleep_ms(self, 20) == 0) continue;
        complain("the node number that ids are made with was lost: is PostgreSQL well?");
        in->bulk.failed = true;
        return 0;
    }
    return id;
}

/* ---- the four tables ---- */

static bool copy_accounts(struct fiber *self, struct import *in) {
    char handle[NAME_MAX_BYTES], display_name[NAME_MAX_BYTES];
    struct bulk *b = &in->bulk;
    bool ok = bulk_copy(self, b, "COPY accounts (id, handle, display_name, password_hash) FROM STDIN");
    for (int64_t i = 0; ok && i < in->accounts; i++) {
        in->ids[i] = next_id(self, in);
        name_of(in->first_number + i, handle, display_name);
        buf_printf(&b->rows, "%" PRId64 "\t%s\t%s\t%s\n", in->ids[i], handle, display_name,
                   in->password_hash);
        ok = in->ids[i] != 0 && bulk_row(self, b);
        show_progress(false, "accounts: %s of %s", with_commas(i), with_commas(in->accounts));
    }
    return ok && bulk_copy_end(self, b);
}

static bool next_follow(struct import *in, struct follow *out) {
    return in->list ? edge_list_next(in->list, out) : synthetic_next(in->synthetic, out);
}

static bool copy_follows(struct fiber *self, struct import *in) {
    struct bulk *b = &in->bulk;
    struct follow f;
    bool ok = bulk_copy(self, b, "COPY follows (follower_id, followee_id, id) FROM STDIN");
    while (ok && next_follow(in, &f)) {
        if (in->following[f.follower] >= MAX_FOLLOWING) {
            in->too_many++;
            continue;
        }
        int64_t id = next_id(self, in);
        buf_append_i64(&b->rows, in->ids[f.follower]);
        buf_append_char(&b->rows, '\t');
        buf_append_i64(&b->rows, in->ids[f.followee]);
        buf_append_char(&b->rows, '\t');
        buf_append_i64(&b->rows, id);
        buf_append_char(&b->rows, '\n');
        in->following[f.follower]++;
        in->followers[f.followee]++;
        in->follows++;
        ok = id != 0 && bulk_row(self, b);
        show_progress(false, "follows: %s, of account %s of %s", with_commas(in->follows),
                      with_commas(f.follower), with_commas(in->accounts));
    }
    return ok && bulk_copy_end(self, b);
}

/* Each follow moves the version of the one followed by one. */
static bool copy_stats(struct fiber *self, struct import *in) {
    struct bulk *b = &in->bulk;
    bool ok = bulk_copy(self, b,
                        "COPY account_stats (account_id, follower_version, follower_count, following_count)"
                        " FROM STDIN");
    for (int64_t i = 0; ok && i < in->accounts; i++) {
        buf_printf(&b->rows, "%" PRId64 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\n", in->ids[i],
                   in->followers[i], in->followers[i], in->following[i]);
        ok = bulk_row(self, b);
    }
    return ok && bulk_copy_end(self, b);
}

static void append_hash(struct buf *rows, struct str token) {
    unsigned char hash[TOKEN_HASH_BYTES];
    token_hash(hash, token);
    buf_append_cstr(rows, "\\\\x");
    for (size_t i = 0; i < sizeof hash; i++) buf_printf(rows, "%02x", hash[i]);
}

static bool copy_session(struct fiber *self, struct import *in, int64_t account, const char *expires) {
    char handle[NAME_MAX_BYTES], display_name[NAME_MAX_BYTES];
    struct buf *rows = &in->bulk.rows;
    int64_t id = next_id(self, in);
    struct str token = token_new(fiber_arena(self), NULL);
    name_of(in->first_number + account, handle, display_name);
    fprintf(in->tokens, "%" PRId64 "\t%s\t" STR_FMT "\n", in->ids[account], handle, STR_ARG(token));
    buf_printf(rows, "%" PRId64 "\t%" PRId64 "\t", id, in->ids[account]);
    append_hash(rows, token);
    buf_printf(rows, "\t%s\trookery-load\n", expires);
    arena_reset(fiber_arena(self));
    return id != 0 && bulk_row(self, &in->bulk);
}

/* Spread evenly over the accounts when not every one gets a session. */
static bool copy_sessions(struct fiber *self, struct import *in) {
    int64_t n = in->options.sessions < in->accounts ? in->options.sessions : in->accounts;
    char expires[32];
    time_t when = (time_t)((clock_wall_ms() + in->config.session_days * MS_PER_DAY) / 1000);
    strftime(expires, sizeof expires, "%Y-%m-%dT%H:%M:%SZ", gmtime(&when));
    bool ok = bulk_copy(self, &in->bulk,
                        "COPY sessions (id, account_id, token_hash, expires_at, user_agent) FROM STDIN");
    for (int64_t i = 0; ok && i < n; i++) {
        ok = copy_session(self, in, i * in->accounts / n, expires);
        show_progress(false, "sessions: %s of %s", with_commas(i), with_commas(n));
    }
    return ok && bulk_copy_end(self, &in->bulk);
}

/* ---- the tokens' file ---- */

/* Written beside its place and renamed after the commit. Earlier imports' tokens stay in it. */
static bool tokens_open(struct import *in) {
    const char *path = in->options.tokens_path;
    size_t size = strlen(path) + 5;
    in->tokens_new = malloc(size);
    if (!in->tokens_new) abort();
    snprintf(in->tokens_new, size, "%s.new", path);
    unlink(in->tokens_new);
    int fd = open(in->tokens_new, O_WRONLY | O_CREAT | O_EXCL, 0600);
    in->tokens = fd >= 0 ? fdopen(fd, "w") : NULL;
    FILE *earlier = in->tokens ? fopen(path, "r") : NULL;
    char part[4096];
    for (size_t n; earlier && (n = fread(part, 1, sizeof part, earlier)) > 0;) fwrite(part, 1, n, in->tokens);
    if (earlier) fclose(earlier);
    if (!in->tokens) complain("%s cannot be written", in->tokens_new);
    return in->tokens != NULL;
}

static bool tokens_keep(struct import *in) {
    bool ok = fclose(in->tokens) == 0;
    in->tokens = NULL;
    ok = ok && rename(in->tokens_new, in->options.tokens_path) == 0;
    if (!ok) complain("the accounts are there, but %s could not be written", in->options.tokens_path);
    return ok;
}

/* ---- the whole ---- */

static bool prepare(struct import *in) {
    const struct graph_options *o = &in->options;
    if (o->synthetic > 0) {
        in->accounts = o->synthetic;
        in->synthetic =
            synthetic_new(o->synthetic, (double)o->average, o->skew, (uint64_t)o->seed, MAX_FOLLOWING);
    } else {
        in->list = edge_list_read(o->path, o->undirected, (size_t)o->run_edges);
        if (in->list) in->accounts = edge_list_accounts(in->list);
    }
    if (!in->list && !in->synthetic) return false;
    in->ids = calloc((size_t)in->accounts, sizeof *in->ids);
    in->followers = calloc((size_t)in->accounts, sizeof *in->followers);
    in->following = calloc((size_t)in->accounts, sizeof *in->following);
    if (!in->ids || !in->followers || !in->following) abort();
    return tokens_open(in);
}

/* One hash for all: a million would take hours. Without --password it is that of a random one, which nobody has. */
static void hash_on_thread(void *arg) {
    struct import *in = arg;
    struct arena a;
    arena_init(&a, 0);
    struct str password = in->options.password ? str_from(in->options.password) : token_new(&a, NULL);
    bool ok = password_hash(in->password_hash, password, in->config.password_memory_kib,
                            in->config.password_passes);
    if (!ok) complain("there is no memory to hash a password");
    if (!ok) in->bulk.failed = true;
    arena_free(&a);
}

/* The handles go on where those of earlier imports end. */
static bool choose_numbers(struct fiber *self, struct import *in) {
    in->first_number = in->options.first;
    if (in->first_number > 0) return true;
    bool ok = bulk_exec(self, &in->bulk, "SELECT count(*) FROM accounts", &in->first_number);
    in->first_number++;
    return ok;
}

static bool import_all(struct fiber *self, struct import *in) {
    struct bulk *b = &in->bulk;
    if (!bulk_open(self, b, in->config.database_url) || fiber_offload(self, hash_on_thread, in) != 0)
        return false;
    bool ok = choose_numbers(self, in) && copy_accounts(self, in) && copy_follows(self, in) &&
              copy_stats(self, in) && copy_sessions(self, in);
    show_progress(true, "committing %s follows", with_commas(in->follows));
    ok = ok && bulk_exec(self, b, "COMMIT", NULL) && tokens_keep(in);
    show_progress(true, "analysing the tables");
    return ok && bulk_exec(self, b, "ANALYZE accounts, account_stats, follows, sessions", NULL);
}

static void lease_and_import(struct fiber *self, struct import *in) {
    struct pg_options o = {
        .url = in->config.database_url, .connections = 1, .pipeline = 8, .application_name = "rookery-load"};
    in->pg = pg_open(in->loop, &o, in->log, NULL);
    fiber_set_deadline_ns(self, clock_mono_ns() + ID_PATIENCE_MS * NS_PER_MS);
    int e = in->pg ? lease_start(self, in->pg, in->log, &in->lease) : ERR_INVALID_ARGUMENT;
    fiber_set_deadline_ns(self, 0);
    if (e == 0) {
        in->status = import_all(self, in) ? 0 : 1;
        bulk_close(&in->bulk);
        lease_stop(self, in->lease);
    } else {
        complain("no node number for ids could be leased: %s", error_text(e));
    }
    if (in->pg) pg_close(self, in->pg, 1000);
}

static void start(struct fiber *self, void *arg) {
    struct import *in = arg;
    lease_and_import(self, in);
}

static void report(const struct import *in, int64_t took_ms) {
    char first[NAME_MAX_BYTES], last[NAME_MAX_BYTES], unused[NAME_MAX_BYTES];
    int64_t top = 0;
    for (int64_t i = 0; i < in->accounts; i++)
        if (in->followers[i] > in->followers[top]) top = i;
    name_of(in->first_number, first, unused);
    name_of(in->first_number + in->accounts - 1, last, unused);
    printf("%s accounts (%s to %s) and %s follows in %.1f s\n", with_commas(in->accounts), first, last,
           with_commas(in->follows), (double)took_ms / 1000);
    name_of(in->first_number + top, first, unused);
    printf("%.1f follows an account; the largest audience, %s, is that of %s\n",
           (double)in->follows / (double)in->accounts, with_commas(in->followers[top]), first);
    if (in->list) {
        const struct graph_totals *t = edge_list_totals(in->list);
        printf("%s edges read, each %s; dropped: %s duplicates, %s self-loops\n",
               with_commas(edge_list_edges(in->list) / (in->options.undirected ? 2 : 1)),
               in->options.undirected ? "both ways" : "one way", with_commas(t->duplicates),
               with_commas(t->self_loops));
    }
    if (in->too_many > 0)
        printf("%s follows left out: an account can follow at most %d others\n", with_commas(in->too_many),
               MAX_FOLLOWING);
    printf("session tokens: %s\n", in->options.tokens_path);
}

static void release(struct import *in) {
    if (in->tokens) fclose(in->tokens);
    if (in->tokens_new) unlink(in->tokens_new);
    free(in->tokens_new);
    edge_list_free(in->list);
    synthetic_free(in->synthetic);
    free(in->ids);
    free(in->followers);
    free(in->following);
    config_free(&in->config);
}

static int import(const struct graph_options *options) {
    struct import in = {.options = *options, .status = 1};
    char wrong[512];
    int64_t began = clock_mono_ns();
    if (!config_load(&in.config, environ, wrong, sizeof wrong)) {
        complain("%s", wrong);
        return 2;
    }
    if (!token_init() ||
        !migrate_check(in.config.database_url, (int)in.config.partitions, wrong, sizeof wrong)) {
        complain("%s", wrong);
        config_free(&in.config);
        return 1;
    }
    in.log = log_new("rookery-load", LOG_WARN, 2);
    in.loop = loop_new(NULL);
    if (!in.loop) abort();
    if (prepare(&in) && fiber_spawn(in.loop, NULL, start, &in, NULL) == 0) loop_run(in.loop);
    end_progress();
    loop_free(in.loop);
    log_free(in.log);
    if (in.status == 0) report(&in, (clock_mono_ns() - began) / NS_PER_MS);
    release(&in);
    return in.status;
}

/* ---- options ---- */

static bool whole_number(const char *option, const char *text, int64_t lowest, int64_t highest,
                         int64_t *out) {
    if (str_to_i64(str_from(text), out) && *out >= lowest && *out <= highest) return true;
    complain("--%s must be a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"", option, lowest,
             highest, text);
    return false;
}

static bool fraction(const char *option, const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= 0 && *out <= 2) return true;
    complain("--%s must be a number from 0 to 2, not \"%s\"", option, text);
    return false;
}

static bool take_option(struct graph_options *o, const char *name, const char *value) {
    if (strcmp(name, "undirected") == 0) return o->undirected = true;
    if (strcmp(name, "tokens") == 0) return (o->tokens_path = value) != NULL;
    if (strcmp(name, "password") == 0) {
        o->password = value;
        struct fault fault = {0};
        if (password_check(str_from(value), "--password", &fault) == 0) return true;
        complain("%s", fault.text);
        return false;
    }
    if (strcmp(name, "skew") == 0) return fraction(name, value, &o->skew);
    if (strcmp(name, "synthetic") == 0) return whole_number(name, value, 2, 100000000, &o->synthetic);
    if (strcmp(name, "average-follows") == 0) return whole_number(name, value, 1, MAX_FOLLOWING, &o->average);
    if (strcmp(name, "seed") == 0) return whole_number(name, value, 0, INT64_MAX, &o->seed);
    if (strcmp(name, "run-edges") == 0) return whole_number(name, value, 2, INT64_C(1) << 32, &o->run_edges);
    if (strcmp(name, "first") == 0) return whole_number(name, value, 1, 800000000, &o->first);
    return whole_number(name, value, 0, 100000000, &o->sessions);
}

int graph_command(int argc, char **argv) {
    static const struct option known[] = {{"undirected", no_argument, NULL, 0},
                                          {"tokens", required_argument, NULL, 0},
                                          {"password", required_argument, NULL, 0},
                                          {"skew", required_argument, NULL, 0},
                                          {"synthetic", required_argument, NULL, 0},
                                          {"average-follows", required_argument, NULL, 0},
                                          {"seed", required_argument, NULL, 0},
                                          {"first", required_argument, NULL, 0},
                                          {"sessions", required_argument, NULL, 0},
                                          {"run-edges", required_argument, NULL, 0},
                                          {NULL, 0, NULL, 0}};
    struct graph_options o = {
        .average = 400, .seed = 1, .skew = 0.65, .sessions = 100000, .run_edges = RUN_EDGES};
    int at;
    for (int c; (c = getopt_long(argc, argv, "", known, &at)) != -1;)
        if (c != 0 || !take_option(&o, known[at].name, optarg)) return 2;
    if (optind < argc) o.path = argv[optind++];
    if (optind < argc || !o.path == !o.synthetic) {
        complain("graph needs either an edge list's name or --synthetic N");
        return 2;
    }
    if (!o.tokens_path) {
        complain("graph needs --tokens FILE, where it writes session tokens");
        return 2;
    }
    return import(&o);
}
