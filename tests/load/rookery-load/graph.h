/* A graph on its way into the database, as a stream of follows grouped by follower. */
#ifndef ROOKERY_TESTS_LOAD_GRAPH_H
#define ROOKERY_TESTS_LOAD_GRAPH_H

#include "load.h"

/* Accounts are numbered from 0 here. */
struct follow {
    uint32_t follower, followee;
};

struct graph_totals {
    int64_t duplicates, self_loops; /* dropped */
};

/* ---- edge_list.c: a SNAP-style edge list ----
 *
 * One edge a line: two whole numbers, separated by blanks, tabs or a comma; what follows them (weights, times) is
 * ignored. Lines that begin with '#' or '%' and empty lines are comments. "a b" means: a follows b; with undirected
 * both follow. Duplicates and self-loops are dropped and counted.
 *
 * Memory is bounded: edges are sorted in runs of run_edges, which are written to unnamed temporary files (in TMPDIR)
 * and merged. Only the table of account numbers grows with the accounts. */
struct edge_list;

/* Reads and sorts the whole file ("-": standard input). NULL, after a sentence on standard error. */
struct edge_list *edge_list_read(const char *path, bool undirected, size_t run_edges);
void edge_list_free(struct edge_list *l);
int64_t edge_list_accounts(const struct edge_list *l);
int64_t edge_list_edges(const struct edge_list *l); /* read, before duplicates are dropped */
/* The next follow, by follower and followee, without duplicates; false at the end. */
bool edge_list_next(struct edge_list *l, struct follow *out);
const struct graph_totals *edge_list_totals(const struct edge_list *l);

/* ---- synthetic.c: a made-up graph ----
 *
 * Account r (from 0) is followed with a weight of (r + 1)^-skew: audiences are Zipf-like, account 0 has the largest.
 * How many an account follows is log-normal around the average, at most most_follows. No account follows another
 * twice. Memory: four bytes an account. */
struct synthetic;

struct synthetic *synthetic_new(int64_t accounts, double average_follows, double skew, uint64_t seed,
                                int64_t most_follows);
void synthetic_free(struct synthetic *s);
bool synthetic_next(struct synthetic *s, struct follow *out);

#endif
