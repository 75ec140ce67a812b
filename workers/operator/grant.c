/* Granting and revoking permissions, by handle. Both print the state afterwards, also when it has not changed. */
#include "workers/operator/grant.h"

#include <stdio.h>
#include <string.h>

#include "core/process/process.h"
#include "workers/operator/console.h"
#include "workers/operator/named.h"

struct grant {
    const char *command, *handle;
    bool on;
};

static void usage(FILE *out, const char *command) {
    fprintf(out,
            "Usage: rookery-worker %s HANDLE PERMISSION\n\n"
            "Permissions:\n"
            "  analyst    may make datasets from queries on the schema analytics, and from engagement\n",
            command);
}

static int set(struct fiber *self, struct domain *d, void *arg) {
    const struct grant *g = arg;
    struct fault fault = {0};
    struct account account;
    int e = account_named(self, d, g->handle, &account, &fault);
    if (e == 0) e = account_set_analyst(self, d, account.id, g->on, &fault);
    if (e != 0) {
        complain(g->command, "@%s: %s", g->handle, fault.text[0] ? fault.text : error_text(e));
        return 1;
    }
    printf("@%s is %s analyst\n", str_to_cstr(fiber_arena(self), account.handle), g->on ? "an" : "no");
    return 0;
}

static int run(int argc, char **argv, bool on) {
    struct words w = words_of(argv[0], argc, argv);
    const char *handle = words_next(&w), *permission = words_next(&w);
    if (handle && (strcmp(handle, "--help") == 0 || strcmp(handle, "-h") == 0)) {
        usage(stdout, w.command);
        return 0;
    }
    if (!permission || words_next(&w)) {
        usage(stderr, w.command);
        return 2;
    }
    if (strcmp(permission, "analyst") != 0)
        return complain(w.command, "there is no permission \"%s\"; there is analyst", permission);
    struct grant g = {.command = w.command, .handle = handle + (handle[0] == '@'), .on = on};
    return process_operate("rookery-worker", set, &g);
}

static int run_grant(int argc, char **argv) {
    return run(argc, argv, true);
}

static int run_revoke(int argc, char **argv) {
    return run(argc, argv, false);
}

const struct command COMMAND_GRANT = {"grant", "give an account a permission", run_grant};
const struct command COMMAND_REVOKE = {"revoke", "take a permission from an account", run_revoke};
