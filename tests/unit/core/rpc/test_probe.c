/* The health probe against our server: well, not ready, not there, and silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/rpc/probe.h"
#include "tests/unit/support/fibers.h"
#include "tests/unit/support/rpc_world.h"

/* Asks, and expects a refusal whose sentence holds the text. */
static void refused(struct fiber *self, const char *address, int error, const char *text) {
    struct fault fault = {0};
    CHECK_INT(probe_ask(self, address, &fault), error);
    if (!CHECK(strstr(fault.text, text) != NULL)) fprintf(stderr, "# it says: %s\n", fault.text);
}

static void a_server_that_is_ready_serves(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct fault fault = {0};
    (void)arg;
    world_init(&w);
    world_start(self, &w);
    CHECK_INT(probe_ask(self, w.address, &fault), 0);
    w.is_ready = false;
    refused(self, w.address, ERR_UNAVAILABLE, "is not serving");
    w.is_ready = true;
    CHECK_INT(probe_ask(self, w.address, &fault), 0);
    world_stop(self, &w, 1000);
    refused(self, w.address, ERR_UNAVAILABLE, "nobody answers at 127.0.0.1:");
}

static void the_wildcard_address_is_this_machine(struct fiber *self, void *arg) {
    struct rpc_world w;
    struct fault fault = {0};
    char address[40];
    (void)arg;
    world_init(&w);
    world_start(self, &w);
    snprintf(address, sizeof address, "0.0.0.0%s", strrchr(w.address, ':'));
    CHECK_INT(probe_ask(self, address, &fault), 0);
    world_stop(self, &w, 1000);
}

static void an_address_must_be_one(struct fiber *self, void *arg) {
    (void)arg;
    refused(self, "", ERR_INVALID_ARGUMENT, "\"\" is not an address: give ADDR:PORT");
    refused(self, "127.0.0.1", ERR_INVALID_ARGUMENT, "\"127.0.0.1\" is not an address");
    refused(self, "127.0.0.1:http", ERR_INVALID_ARGUMENT, "is not an address");
    refused(self, "gateway:8080", ERR_INVALID_ARGUMENT, "is not an address");
}

/* A listening socket that nobody accepts from: the kernel connects, and that is all. */
static int listen_silently(char address[static 40]) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&a, size) == 0 && listen(fd, 1) == 0 &&
                getsockname(fd, (struct sockaddr *)&a, &size) == 0;
    CHECK(good);
    snprintf(address, 40, "127.0.0.1:%d", ntohs(a.sin_port));
    return fd;
}

static void a_server_that_hangs_is_waited_for_until_the_deadline(struct fiber *self, void *arg) {
    char address[40];
    (void)arg;
    int fd = listen_silently(address);
    fiber_set_deadline_ns(self, in_ms(50));
    refused(self, address, ERR_UNAVAILABLE, "does not answer a gRPC health check: deadline exceeded");
    fiber_set_deadline_ns(self, 0);
    close(fd);
}

static int command(const char *address, const char *listen) {
    char name[] = "health", word[64] = "";
    char *argv[] = {name, word, NULL};
    if (address) snprintf(word, sizeof word, "%s", address);
    return probe_command("a-program", address ? 2 : 1, argv, listen, "A_VARIABLE");
}

static void the_command_says_by_its_status_what_is_wrong(void **state) {
    (void)state;
    assert_int_equal(command(NULL, ""), 2);
    assert_int_equal(command("nonsense", "127.0.0.1:1"), 2);
    assert_int_equal(command("127.0.0.1:1", ""), 1);
    assert_int_equal(command(NULL, "127.0.0.1:1"), 1);
    assert_int_equal(command("--help", ""), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FIBER(a_server_that_is_ready_serves),
        IN_FIBER(the_wildcard_address_is_this_machine),
        IN_FIBER(an_address_must_be_one),
        IN_FIBER(a_server_that_hangs_is_waited_for_until_the_deadline),
        cmocka_unit_test(the_command_says_by_its_status_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
