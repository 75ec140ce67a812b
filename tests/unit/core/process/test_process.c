/* Processes: what ends one, with which status and sentence, and what SIGTERM, SIGINT and SIGHUP do to a daemon. Each is
 * a child of the test, on servers of the test's own; it writes letters to a pipe as it gets along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/process/process.h"
#include "tests/unit/support/gateway_world.h"

#define PROGRAM "rookery-tested"
#define PATIENCE_MS 60000

/* ---- a child ------------------------------------------------------------------------------------------- */

/* Settings of a child: names and values, NULL at the end. */
typedef const char *const settings[9];

/* In the child: where it writes its letters. */
static int letters;

static void letter(char c) {
    if (write(letters, &c, 1) != 1) _exit(99);
}

struct child {
    pid_t pid;
    int letters; /* -1 when it has ended */
    FILE *said;  /* on both outputs */
    char text[4096];
};

static void use_settings(const struct gateway_world *w, settings of) {
    clearenv(); /* the test's own begin with ROOKERY_, too */
    setenv("DATABASE_URL", w->postgres.url, 1);
    setenv("REDIS_URL", w->redis.url, 1);
    for (int i = 0; of[i]; i += 2) setenv(of[i], of[i + 1], 1);
}

/* Runs fn in a process with these settings. */
static struct child begin(const struct gateway_world *w, int (*fn)(void), settings of) {
    struct child c = {.said = tmpfile()};
    int ends[2];
    assert_non_null(c.said);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        letters = ends[1];
        dup2(fileno(c.said), STDOUT_FILENO);
        dup2(fileno(c.said), STDERR_FILENO);
        use_settings(w, of);
        int status = fn();
        fflush(NULL);
        _exit(status);
    }
    close(ends[1]);
    c.letters = ends[0];
    return c;
}

/* The next letter, or 0 when the child has ended. */
static char next_letter(struct child *c) {
    char got = 0;
    struct pollfd p = {.fd = c->letters, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) <= 0) fail_msg("the child says nothing");
    return read(c->letters, &got, 1) == 1 ? got : '\0';
}

/* Waits for its end: its exit status, or the signal that ended it, negative. */
static int end(struct child *c) {
    int status;
    assert_int_equal(next_letter(c), 0);
    close(c->letters);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    rewind(c->said);
    c->text[fread(c->text, 1, sizeof c->text - 1, c->said)] = '\0';
    fclose(c->said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void assert_says(const struct child *c, const char *text) {
    if (!strstr(c->text, text)) fail_msg("it says \"%s\", not \"%s\"", c->text, text);
}

static void assert_silent_of(const struct child *c, const char *text) {
    if (strstr(c->text, text)) fail_msg("it says \"%s\"", c->text);
}

/* Runs fn to its end. */
static int run(const struct gateway_world *w, struct child *c, int (*fn)(void), settings of) {
    *c = begin(w, fn, of);
    return end(c);
}

/* ---- the version --------------------------------------------------------------------------------------- */

static bool version_of(int argc, const char *first) {
    char program[] = PROGRAM, word[32], more[] = "--version";
    char *argv[] = {program, word, more, NULL};
    snprintf(word, sizeof word, "%s", first);
    return process_print_version(PROGRAM, argc, argv);
}

static int print_versions(void) {
    return version_of(2, "--version") && version_of(2, "-V") ? 0 : 1;
}

static int print_no_version(void) {
    return version_of(1, "") || version_of(2, "version") || version_of(3, "--version") ? 1 : 0;
}

static void the_version_is_printed_when_asked_for_alone(void **state) {
    struct child c;
    char name[64], version[64], again[64];
    assert_int_equal(run(*state, &c, print_versions, (settings){NULL}), 0);
    assert_int_equal(sscanf(c.text, "%63s %63[0-9.]\n" PROGRAM " %63[0-9.]\n", name, version, again), 3);
    assert_string_equal(name, PROGRAM);
    assert_string_equal(version, again);
    assert_int_equal(run(*state, &c, print_no_version, (settings){NULL}), 0);
    assert_string_equal(c.text, "");
}

/* ---- settings ------------------------------------------------------------------------------------------ */

static int configure(void) {
    struct config config;
    int e = process_configure(PROGRAM, &config);
    if (e == 0) config_free(&config);
    return e;
}

static void settings_that_are_right_are_read(void **state) {
    struct child c;
    assert_int_equal(run(*state, &c, configure, (settings){NULL}), 0);
    assert_string_equal(c.text, "");
}

static void a_wrong_one_is_named(void **state) {
    struct child c;
    assert_int_equal(run(*state, &c, configure, (settings){"ROOKERY_PARTITIONS", "many", NULL}), 2);
    assert_int_equal(strncmp(c.text, PROGRAM ": ROOKERY_PARTITIONS", strlen(PROGRAM ": ROOKERY_PARTITIONS")),
                     0);
}

/* ---- daemons ------------------------------------------------------------------------------------------- */

static struct config served;
static struct domain served_domain;
static bool stopping;

/* Letters: S it starts; R it has started; E it stops after a signal, e without one. */
static int start(struct fiber *self, void *context, struct fault *fault) {
    (void)self, (void)fault;
    letter('S');
    if (context != &served || !served_domain.loop || !served_domain.metrics || !served_domain.log) _exit(98);
    log_info(served_domain.log, "started");
    letter('R');
    return 0;
}

static int start_badly(struct fiber *self, void *context, struct fault *fault) {
    (void)self, (void)context;
    letter('S');
    return fault_set(fault, ERR_UNAVAILABLE, "nothing is there");
}

/* What hangs until it is told to stop. */
static int start_until_stopping(struct fiber *self, void *context, struct fault *fault) {
    (void)context;
    letter('S');
    while (!stopping && fiber_sleep_ms(self, 5) == 0) {
    }
    return fault_set(fault, ERR_CANCELLED, "it was interrupted");
}

static void stop(struct fiber *self, void *context) {
    (void)self, (void)context;
    letter(stopping ? 'E' : 'e');
}

static int serve_with(int (*how)(struct fiber *self, void *context, struct fault *fault)) {
    const struct daemon d = {.program = PROGRAM,
                             .config = &served,
                             .domain = &served_domain,
                             .stopping = &stopping,
                             .context = &served,
                             .start = how,
                             .stop = stop};
    int e = process_configure(PROGRAM, &served);
    if (e == 0) e = process_serve(&d);
    config_free(&served);
    return e;
}

static int serve(void) {
    return serve_with(start);
}

static int serve_badly(void) {
    return serve_with(start_badly);
}

static int serve_until_stopping(void) {
    return serve_with(start_until_stopping);
}

static void await_start(struct child *c) {
    assert_int_equal(next_letter(c), 'S');
    assert_int_equal(next_letter(c), 'R');
}

static void a_signal_stops_a_daemon(void **state) {
    static const int signals[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        struct child c = begin(*state, serve, (settings){NULL});
        await_start(&c);
        kill(c.pid, signals[i]);
        assert_int_equal(next_letter(&c), 'E');
        assert_int_equal(end(&c), 0);
        assert_says(&c, "started");
    }
}

static void a_start_that_fails_is_undone(void **state) {
    struct child c = begin(*state, serve_badly, (settings){NULL});
    assert_int_equal(next_letter(&c), 'S');
    assert_int_equal(next_letter(&c), 'e');
    assert_int_equal(end(&c), 1);
    assert_says(&c, "nothing is there");
}

static void a_start_that_a_signal_ends_has_not_failed(void **state) {
    struct child c = begin(*state, serve_until_stopping, (settings){NULL});
    assert_int_equal(next_letter(&c), 'S');
    kill(c.pid, SIGTERM);
    assert_int_equal(next_letter(&c), 'E');
    assert_int_equal(end(&c), 0);
    assert_silent_of(&c, "failed");
}

static void a_database_that_is_not_right_starts_nothing(void **state) {
    struct child c;
    assert_int_equal(run(*state, &c, serve, (settings){"ROOKERY_PARTITIONS", "5", NULL}), 1);
    assert_says(&c, PROGRAM ": ");
    assert_says(&c, "ROOKERY_PARTITIONS");
    assert_int_equal(
        run(*state, &c, serve, (settings){"DATABASE_URL", "postgresql://nobody@/x?host=/nowhere", NULL}), 1);
    assert_says(&c, PROGRAM ": connecting to the database: ");
}

/* ---- the log file -------------------------------------------------------------------------------------- */

static bool file_says(const char *path, const char *text) {
    char got[4096];
    FILE *f = fopen(path, "r");
    if (!f) return false;
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    return strstr(got, text) != NULL;
}

static void await_file(const char *path, const char *text) {
    for (int i = 0; i < PATIENCE_MS / 10 && !file_says(path, text); i++) poll(NULL, 0, 10);
    assert_true(file_says(path, text));
}

static void the_log_file_is_opened_again_at_a_hangup(void **state) {
    char folder[TEST_FOLDER_SIZE], path[128], rotated[128];
    test_folder_make(folder);
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(rotated, sizeof rotated, "%s/log.1", folder);
    struct child c = begin(*state, serve, (settings){"ROOKERY_LOG_FILE", path, NULL});
    await_start(&c);
    await_file(path, "started");
    assert_int_equal(rename(path, rotated), 0);
    kill(c.pid, SIGHUP);
    await_file(path, "opened again");
    kill(c.pid, SIGTERM);
    assert_int_equal(next_letter(&c), 'E');
    assert_int_equal(end(&c), 0);
    assert_string_equal(c.text, "");
    assert_false(file_says(path, "started"));
    unlink(path);
    unlink(rotated);
    rmdir(folder);
}

static void one_that_cannot_be_opened_is_named(void **state) {
    struct child c;
    assert_int_equal(run(*state, &c, serve, (settings){"ROOKERY_LOG_FILE", "/nowhere/log", NULL}), 1);
    assert_says(&c, PROGRAM ": ROOKERY_LOG_FILE: /nowhere/log cannot be opened");
}

static void without_one_a_hangup_ends_it(void **state) {
    struct child c = begin(*state, serve, (settings){NULL});
    await_start(&c);
    kill(c.pid, SIGHUP);
    assert_int_equal(end(&c), -SIGHUP);
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static int command(struct fiber *self, struct domain *d, void *arg) {
    (void)self;
    letter('C');
    log_info(d->log, "chatter");
    return pg_ready(d->pg) && d->lease && d->outbox && arg == &stopping ? 7 : 8;
}

static int operate(void) {
    return process_operate(PROGRAM, command, &stopping);
}

static int check_servers(void) {
    return process_check_servers(PROGRAM);
}

static void a_command_runs_connected_and_its_status_is_the_process_s(void **state) {
    struct child c = begin(*state, operate, (settings){NULL});
    assert_int_equal(next_letter(&c), 'C');
    assert_int_equal(end(&c), 7);
    assert_silent_of(&c, "chatter");
}

static void it_does_not_run_when_it_cannot_connect(void **state) {
    struct child c;
    char *evicting[] = {"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", NULL};
    struct redis_server other;
    redis_server_start(&other, evicting);
    assert_int_equal(run(*state, &c, operate, (settings){"REDIS_URL", other.url, NULL}), 1);
    assert_says(&c, PROGRAM ": Redis evicts any key");
    redis_server_remove(&other);
    assert_int_equal(run(*state, &c, operate, (settings){"ROOKERY_PARTITIONS", "5", NULL}), 1);
    assert_int_equal(run(*state, &c, operate, (settings){"ROOKERY_PARTITIONS", "0", NULL}), 2);
}

static void the_check_says_whether_both_can_be_used(void **state) {
    struct child c;
    assert_int_equal(run(*state, &c, check_servers, (settings){NULL}), 0);
    assert_string_equal(c.text, "PostgreSQL and Redis can be used\n");
    assert_int_equal(
        run(*state, &c, check_servers, (settings){"REDIS_URL", "unix:///nowhere/redis.sock", NULL}), 1);
    assert_says(&c, PROGRAM ": Redis cannot be reached at /nowhere/redis.sock (");
    assert_says(&c, "is REDIS_URL right?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_is_printed_when_asked_for_alone),
        cmocka_unit_test(settings_that_are_right_are_read),
        cmocka_unit_test(a_wrong_one_is_named),
        cmocka_unit_test(a_signal_stops_a_daemon),
        cmocka_unit_test(a_start_that_fails_is_undone),
        cmocka_unit_test(a_start_that_a_signal_ends_has_not_failed),
        cmocka_unit_test(a_database_that_is_not_right_starts_nothing),
        cmocka_unit_test(the_log_file_is_opened_again_at_a_hangup),
        cmocka_unit_test(one_that_cannot_be_opened_is_named),
        cmocka_unit_test(without_one_a_hangup_ends_it),
        cmocka_unit_test(a_command_runs_connected_and_its_status_is_the_process_s),
        cmocka_unit_test(it_does_not_run_when_it_cannot_connect),
        cmocka_unit_test(the_check_says_whether_both_can_be_used),
    };
    return cmocka_run_group_tests_name("process", tests, gateway_world_setup, gateway_world_teardown);
}
