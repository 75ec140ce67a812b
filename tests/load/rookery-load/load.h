/* rookery-load: graphs and traffic for a running Rookery. What its files share.
 *
 * A newcomer starts in main.c, which lists the commands. `graph` (graph.c) fills the database with accounts and
 * follows, from an edge list (edge_list.c) or made up (synthetic.c); `run` (run.c) sends calls to a gateway at a
 * given rate. Both are pure clients: nothing here is part of the product.
 */
#ifndef ROOKERY_TESTS_LOAD_LOAD_H
#define ROOKERY_TESTS_LOAD_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/arena.h"
#include "core/base/str.h"

/* Prints "rookery-load: ..." on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* On a terminal a line that is rewritten, at most ten times a second unless `last`; elsewhere nothing. */
void show_progress(bool last, const char *format, ...) __attribute__((format(printf, 2, 3)));
void end_progress(void);

/* 1234567 as "1,234,567"; the text lives until the eighth next call. */
const char *with_commas(int64_t n);

/* ---- a random generator that gives the same numbers everywhere (splitmix64) ---- */
struct chance {
    uint64_t state;
};
uint64_t chance_u64(struct chance *c);
double chance_unit(struct chance *c); /* [0, 1) */
uint64_t chance_below(struct chance *c, uint64_t n);
double chance_normal(struct chance *c); /* mean 0, deviation 1 */

/* ---- names.c: words ---- */
#define NAME_MAX_BYTES 32
/* Account number `number` (from 1): a handle such as "patient_puffin_7" and a display name. Deterministic; different
 * numbers have different handles; a valid handle for numbers below 10^9. */
void name_of(int64_t number, char handle[static NAME_MAX_BYTES], char display_name[static NAME_MAX_BYTES]);
/* A post of a few sentences' worth of words, at most 280 bytes, sometimes with a hashtag. */
#define TEXT_MAX_BYTES 320
size_t text_of(struct chance *c, char out[static TEXT_MAX_BYTES]);

/* ---- the commands: exit statuses ---- */
int graph_command(int argc, char **argv);
int run_command(int argc, char **argv);

#endif
