/* Single commands and scripts: a batch of their own each, and the reply copied into the fiber's arena.
 *
 * A script is run by EVALSHA with the SHA-1 that SCRIPT LOAD returned at the first call. A server that answers
 * NOSCRIPT (a restart, SCRIPT FLUSH) is sent EVAL with the text, which loads it again.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/redis/redis_internal.h"

/* Sends b, copies its last reply, frees b. redis_reply_error of that reply when it is an error. */
static int run_batch(struct fiber *self, struct redis *r, struct redis_batch *b,
                     const struct redis_reply **out) {
    int err = redis_exchange(self, r, b);
    if (err == ERR_DEADLINE_EXCEEDED || err == ERR_CANCELLED) return err; /* the client has b */
    if (err == 0) {
        *out = redis_reply_copy(fiber_arena(self), redis_batch_reply(b, redis_batch_commands(b) - 1));
        if (!*out)
            err = ERR_RESOURCE_EXHAUSTED;
        else if ((*out)->type == REDIS_ERROR)
            err = (int)redis_reply_error((*out)->str);
    }
    redis_batch_free(b);
    return err;
}

static int count_words(struct str s) {
    int words = 1;
    for (size_t i = 0; i < s.len; i++) words += s.ptr[i] == ' ';
    return words;
}

int redis_call(struct fiber *self, struct redis *r, const struct redis_reply **out, const char *format, ...) {
    const struct redis_reply *unused;
    char room[256];
    va_list args;
    va_start(args, format);
    struct str words = redis_format(room, sizeof room, fiber_arena(self), format, args);
    va_end(args);
    struct redis_batch *b = redis_batch_new();
    int n = count_words(words);
    redis_cmd(b, n);
    for (int i = 0; i < n; i++) redis_arg(b, str_cut(&words, ' '));
    return run_batch(self, r, b, out ? out : &unused);
}

/* ---- scripts ----------------------------------------------------------------------------------------- */

static const char *known_sha(const struct redis *r, const struct redis_script *script) {
    for (size_t i = 0; i < r->script_count; i++) {
        if (r->scripts[i].script == script) return r->scripts[i].hex;
    }
    return NULL;
}

static void remember_sha(struct redis *r, const struct redis_script *script, const struct redis_reply *sha) {
    if (sha->type != REDIS_STRING || sha->str.len != 40 || known_sha(r, script)) return;
    struct script_sha *grown = realloc(r->scripts, (r->script_count + 1) * sizeof *grown);
    if (!grown) return;
    r->scripts = grown;
    grown[r->script_count].script = script;
    memcpy(grown[r->script_count++].hex, sha->str.ptr, 41);
}

static void add_eval(struct redis_batch *b, const char *verb, const char *script, struct str key,
                     const struct str *args, size_t nargs) {
    redis_cmd(b, (int)(4 + nargs));
    redis_arg_cstr(b, verb);
    redis_arg_cstr(b, script);
    redis_arg(b, STR("1"));
    redis_arg(b, key);
    for (size_t i = 0; i < nargs; i++) redis_arg(b, args[i]);
}

static bool is_noscript(const struct redis_reply *reply) {
    return reply->type == REDIS_ERROR && str_starts_with(reply->str, STR("NOSCRIPT"));
}

static int load_sha(struct fiber *self, struct redis *r, const struct redis_script *script) {
    const struct redis_reply *sha;
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 3);
    redis_arg(b, STR("SCRIPT"));
    redis_arg(b, STR("LOAD"));
    redis_arg_cstr(b, script->body);
    int err = run_batch(self, r, b, &sha);
    if (err == 0) remember_sha(r, script, sha);
    return err;
}

int redis_eval(struct fiber *self, struct redis *r, const struct redis_script *script, struct str key,
               const struct str *args, size_t nargs, const struct redis_reply **out) {
    const struct redis_reply *unused;
    if (!out) out = &unused;
    int err = known_sha(r, script) ? 0 : load_sha(self, r, script);
    if (err) return err;
    for (const char *sha = known_sha(r, script);; sha = NULL) {
        struct redis_batch *b = redis_batch_new();
        add_eval(b, sha ? "EVALSHA" : "EVAL", sha ? sha : script->body, key, args, nargs);
        err = run_batch(self, r, b, out);
        if (err != ERR_REDIS || !sha || !is_noscript(*out)) return err;
    }
}
