/* A PostgreSQL server for tests: private, in a folder of its own, on a Unix socket and the
 * loopback address, gone with the test.
 *
 * With ROOKERY_TEST_DATABASE_URL set (a superuser's URL), that server is used instead and gets a database for
 * the test; tests that kill the server then skip themselves.
 */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_POSTGRES_H
#define ROOKERY_TESTS_UNIT_SUPPORT_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/unit/support/folder.h"

struct postgres {
    bool own;                      /* started here */
    pid_t pid;                     /* of its first process; 0 while it does not run */
    int port;                      /* of the socket, and on 127.0.0.1 */
    char folder[TEST_FOLDER_SIZE]; /* with data/ and the socket */
    char database[64];
    char url[512];
};

/* cmocka group fixtures: *state is the struct postgres. */
int postgres_setup(void **state);
int postgres_teardown(void **state);

/* A server of one's own, initialised and running. Fails the test when that cannot be. */
void postgres_start(struct postgres *p);
/* Ends and removes it (or drops the database). */
void postgres_remove(struct postgres *p);

/* kill -9 of the whole server, as a crash would: every process of it, at once. */
void postgres_kill(struct postgres *p);
/* Starts it again on the same data; waits until it accepts connections. */
void postgres_restart(struct postgres *p);

/* Runs statements on a connection of their own; fails the test on an error. */
void postgres_run(const struct postgres *p, const char *sql);
/* The same, for fibers: false on an error. Blocks the loop for that long. */
bool postgres_try(const struct postgres *p, const char *sql);
/* The first value of the first row as a number; INT64_MIN on an error. */
int64_t postgres_number(const struct postgres *p, const char *sql);

#endif
