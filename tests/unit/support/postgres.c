/* A PostgreSQL server for tests. */
#include "tests/unit/support/postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- processes ---- */

static void nap_ms(long ms) {
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* PostgreSQL refuses to run as root. */
static const struct passwd *server_user(void) {
    if (geteuid() != 0) return getpwuid(geteuid());
    const struct passwd *user = getpwnam("postgres");
    return user ? user : getpwnam("nobody");
}

static void become_server_user(void) {
    if (geteuid() != 0) return;
    const struct passwd *user = server_user();
    if (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) _exit(126);
}

static const char *program(const char *name) {
    static char path[128];
    static const int versions[] = {15, 17, 16, 18};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        snprintf(path, sizeof path, "/usr/lib/postgresql/%d/bin/%s", versions[i], name);
        if (access(path, X_OK) == 0) return path;
    }
    snprintf(path, sizeof path, "%s", name); /* from PATH */
    return path;
}

/* Output goes to folder/log. The child ends with the test. */
static pid_t start(const struct postgres *p, const char *name, char *const *argv) {
    const char *path = program(name);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    become_server_user();
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    setpgid(0, 0);
    if (chdir(p->folder) != 0) _exit(126);
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(path, argv);
    _exit(127);
}

static void show_log(const struct postgres *p) {
    char path[128], line[512];
    snprintf(path, sizeof path, "%s/log", p->folder);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) fprintf(stderr, "# %s", line);
    if (f) fclose(f);
}

/* ---- the server ---- */

static void init_data(const struct postgres *p) {
    char *argv[] = {"initdb", "-D", "data", "-U", "rookery",     "-A",
                    "trust",  "-E", "UTF8", "-N", "--no-locale", NULL};
    int status = -1;
    waitpid(start(p, "initdb", argv), &status, 0);
    if (status != 0) show_log(p);
    assert_int_equal(status, 0);
}

/* Free a moment ago, which has to do. */
static int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    close(fd);
    return ntohs(address.sin_port);
}

/* No fsync: the tests kill processes, not the machine. */
static void write_settings(const struct postgres *p) {
    char path[128];
    snprintf(path, sizeof path, "%s/data/postgresql.auto.conf", p->folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "fsync = off\nmax_connections = 40\nshared_buffers = 16MB\nlog_min_messages = fatal\n"
            "listen_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = '%s'\n",
            p->port, p->folder);
    fclose(f);
}

static void start_server(struct postgres *p) {
    char *argv[] = {"postgres", "-D", "data", NULL};
    p->pid = start(p, "postgres", argv);
}

static bool answers(const struct postgres *p) {
    return PQping(p->url) == PQPING_OK;
}

static void await_server(struct postgres *p) {
    for (int i = 0; i < 12000 && !answers(p); i++) {
        nap_ms(10);
        if (waitpid(p->pid, NULL, WNOHANG) == 0) continue;
        show_log(p);
        fail_msg("the test's PostgreSQL ended while starting");
    }
    assert_true(answers(p));
}

static void make_folder(struct postgres *p) {
    test_folder_make(p->folder);
    const struct passwd *user = server_user();
    assert_non_null(user);
    assert_int_equal(chown(p->folder, user->pw_uid, user->pw_gid), 0);
}

static void use_given(struct postgres *p, const char *url) {
    PGconn *c = PQconnectdb(url);
    snprintf(p->database, sizeof p->database, "rookery_test_%ld", (long)getpid());
    char sql[128];
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", p->database);
    PGresult *r = PQexec(c, sql);
    assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    snprintf(p->url, sizeof p->url, "host=%s port=%s user=%s password='%s' dbname=%s", PQhost(c), PQport(c),
             PQuser(c), PQpass(c), p->database);
    PQfinish(c);
}

void postgres_start(struct postgres *p) {
    *p = (struct postgres){.own = true};
    const char *given = getenv("ROOKERY_TEST_DATABASE_URL");
    if (given && *given) {
        p->own = false;
        use_given(p, given);
        return;
    }
    make_folder(p);
    p->port = free_port();
    snprintf(p->url, sizeof p->url, "postgresql://rookery@/postgres?host=%s&port=%d", p->folder, p->port);
    init_data(p);
    write_settings(p);
    start_server(p);
    await_server(p);
}

/* The backends lead sessions of their own, so they are found as the children of the first process. Stopped
 * first, it cannot notice the death of one and end the others its own way. */
void postgres_kill(struct postgres *p) {
    kill(p->pid, SIGSTOP);
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)p->pid, (long)p->pid);
    FILE *children = fopen(path, "r");
    long child;
    while (children && fscanf(children, "%ld", &child) == 1) kill((pid_t)child, SIGKILL);
    if (children) fclose(children);
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    p->pid = 0;
}

void postgres_restart(struct postgres *p) {
    start_server(p);
    await_server(p);
}

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *ftw) {
    (void)s;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void drop_given(struct postgres *p) {
    PGconn *c = PQconnectdb(getenv("ROOKERY_TEST_DATABASE_URL"));
    char sql[128];
    snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", p->database);
    PQclear(PQexec(c, sql));
    PQfinish(c);
}

void postgres_remove(struct postgres *p) {
    if (!p->own) {
        drop_given(p);
        return;
    }
    if (p->pid) postgres_kill(p);
    nftw(p->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- fixtures and statements ---- */

int postgres_setup(void **state) {
    struct postgres *p = malloc(sizeof *p);
    postgres_start(p);
    *state = p;
    return 0;
}

int postgres_teardown(void **state) {
    postgres_remove(*state);
    free(*state);
    return 0;
}

static PGresult *run_sql(const struct postgres *p, const char *sql) {
    PGconn *c = PQconnectdb(p->url);
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "# %s# in: %s\n", PQerrorMessage(c), sql);
        PQclear(r);
        r = NULL;
    }
    PQfinish(c);
    return r;
}

bool postgres_try(const struct postgres *p, const char *sql) {
    PGresult *r = run_sql(p, sql);
    PQclear(r);
    return r != NULL;
}

void postgres_run(const struct postgres *p, const char *sql) {
    assert_true(postgres_try(p, sql));
}

int64_t postgres_number(const struct postgres *p, const char *sql) {
    PGresult *r = run_sql(p, sql);
    int64_t n = r && PQntuples(r) > 0 ? atoll(PQgetvalue(r, 0, 0)) : INT64_MIN;
    PQclear(r);
    return n;
}
