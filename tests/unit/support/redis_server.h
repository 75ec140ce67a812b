/* A Redis server for tests: private, in a folder of its own, on a Unix socket, gone with the test.
 *
 * With ROOKERY_TEST_REDIS_URL set, that server is used instead; tests that kill or stop the server then skip
 * themselves, and the others keep to keys that begin with "{test}".
 */
#ifndef ROOKERY_TESTS_UNIT_SUPPORT_REDIS_SERVER_H
#define ROOKERY_TESTS_UNIT_SUPPORT_REDIS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/unit/support/folder.h"

struct redis_server {
    bool own;                      /* started here */
    pid_t pid;                     /* 0 while it does not run */
    char folder[TEST_FOLDER_SIZE]; /* with the socket */
    char url[512];
};

/* cmocka group fixtures: *state is the struct redis_server. */
int redis_server_setup(void **state);
int redis_server_teardown(void **state);

/* A server of one's own, empty and running; NULL-terminated settings ("--requirepass", "x", NULL) are added.
 * Fails the test when that cannot be. */
void redis_server_start(struct redis_server *s, char *const *settings);
void redis_server_remove(struct redis_server *s);

/* kill -9: all data is gone with it. */
void redis_server_kill(struct redis_server *s);
/* Starts it again, empty; waits until it accepts connections. */
void redis_server_restart(struct redis_server *s);
/* Stops it from running (its socket still accepts), and lets it go on. */
void redis_server_pause(struct redis_server *s);
void redis_server_resume(struct redis_server *s);

#endif
