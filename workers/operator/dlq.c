/* Dead letters, for the operator. What a letter holds is in runtime.h.
 *
 * Replaying one:
 *   1. XADD to the stream of the role that gave it up, addressed to that role ("to"): other roles, which have applied
 *      it already, skip it.
 *   2. XDEL from the dead letters.
 * Failures: after a crash, or a lost Redis, between the two, the letter stays where it is, though the role may have
 * received it. The next replay sends it again, which changes nothing, since effects are idempotent. The other order
 * could lose it. A role that fails again gives the entry up again. That makes a new letter, which a replay of many
 * letters does not meet, because it takes only those that were there when it began. A letter of a role that this
 * program does not have stays; the command says so.
 */
#include "workers/operator/dlq.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/codec/codec.h"
#include "core/event/outbox.h"
#include "core/process/process.h"
#include "workers/operator/console.h"
#include "workers/runtime/role_table.h"
#include "workers/runtime/stream_info.h"

#define PAGE 100
#define IDS_MAX 1000

static const char HELP[] =
    "Usage: rookery-worker dlq list [--role ROLE] [--json]\n"
    "       rookery-worker dlq show ID... [--json]\n"
    "       rookery-worker dlq replay ID... | --role ROLE | --all\n"
    "       rookery-worker dlq drop ID... | --role ROLE | --all   --yes\n"
    "\n"
    "Dead letters are events and tasks that a role has given up: it refused them ROOKERY_MAX_DELIVERIES "
    "times, or could\n"
    "not read them. An ID is PARTITION:MS-SEQUENCE, as list prints it.\n"
    "\n"
    "  list      prints a line for each letter\n"
    "  show      prints everything about some, with the message as JSON\n"
    "  replay    sends them back to the role that gave them up, and only to that\n"
    "  drop      deletes them permanently; needs --yes\n"
    "\n"
    "  --role ROLE   all letters of one role\n"
    "  --all         all letters\n"
    "  --json        one JSON object in each line\n"
    "\n"
    "Exit status: 0; 1 for trouble with the servers, or a letter that is not there or cannot be replayed; 2 "
    "for bad\n"
    "arguments.\n";

struct letter {
    int partition;
    struct stream_id id;
    struct str role, stream, entry, deliveries, reason, payload;
    const struct role *known;        /* NULL: not a role of this program */
    const ProtobufCMessage *message; /* NULL when it cannot be decoded */
};

struct dlq;
/* Applies a verb to one letter. Returns 0, or an error that ends the run. */
typedef int letter_fn(struct fiber *self, struct dlq *q, const struct letter *l, struct fault *fault);

struct dlq {
    struct domain *domain;
    /* asked for */
    letter_fn *verb;
    const char *ids[IDS_MAX];
    size_t n_ids;
    const char *role;
    bool all, json, yes;
    /* so far */
    int64_t seen, done;
    int status;
};

/* ---- letters ------------------------------------------------------------------------------------------- */

static struct str field(const struct redis_reply *fields, struct str name) {
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (str_eq(fields->element[i].str, name)) return fields->element[i + 1].str;
    return (struct str){0};
}

static bool read_letter(struct arena *a, int partition, const struct redis_reply *entry, struct letter *out) {
    *out = (struct letter){.partition = partition};
    if (entry->elements < 2 || !stream_id_parse(entry->element[0].str, &out->id)) return false;
    const struct redis_reply *fields = &entry->element[1];
    out->role = field(fields, STR("role"));
    out->stream = field(fields, STR("stream"));
    out->entry = field(fields, STR("entry"));
    out->deliveries = field(fields, STR("deliveries"));
    out->reason = field(fields, STR("reason"));
    out->payload = field(fields, STR("e"));
    out->known = role_find(out->role);
    if (out->known) out->message = pb_decode(out->known->stream->message, out->payload, a, NULL);
    return true;
}

static const char *id_text(struct arena *a, const struct letter *l) {
    return arena_printf(a, "%d:%" PRId64 "-%" PRId64, l->partition, l->id.ms, l->id.sequence);
}

static bool parse_id(const char *text, int64_t partitions, int64_t *partition, struct stream_id *id) {
    struct str rest = str_from(text), p = str_cut(&rest, ':');
    return str_to_i64(p, partition) && *partition >= 0 && *partition < partitions &&
           stream_id_parse(rest, id) && id->ms >= 0 && id->sequence >= 0;
}

/* ---- list and show ------------------------------------------------------------------------------------- */

static void add_member(struct buf *out, const char *name, struct str value) {
    buf_append_char(out, out->len > 1 ? ',' : '{');
    json_write_string(out, str_from(name));
    buf_append_char(out, ':');
    json_write_string(out, value);
}

static void print_json(struct arena *a, const struct letter *l) {
    char time[TIME_MAX];
    struct buf out;
    buf_init(&out);
    add_member(&out, "id", str_from(id_text(a, l)));
    add_member(&out, "time", str_from(time_text(time, l->id.ms)));
    add_member(&out, "role", l->role);
    add_member(&out, "stream", l->stream);
    add_member(&out, "entry", l->entry);
    add_member(&out, "deliveries", l->deliveries);
    add_member(&out, "reason", l->reason);
    if (l->message) {
        buf_append_cstr(&out, ",\"message\":");
        json_encode(l->message, &out);
    } else {
        add_member(&out, "payload", base64_encode(a, l->payload, false));
    }
    printf("%.*s}\n", (int)out.len, out.ptr);
    buf_free(&out);
}

static int list(struct fiber *self, struct dlq *q, const struct letter *l, struct fault *fault) {
    (void)fault;
    char age[AGE_MAX];
    struct arena *a = fiber_arena(self);
    if (q->json) {
        print_json(a, l);
        return 0;
    }
    if (q->seen == 1) printf("%-22s %-12s %-10s %-5s %s\n", "ID", "ROLE", "AGE", "TRIES", "REASON");
    printf("%-22s %-12.*s %-10s %-5.*s " STR_FMT "\n", id_text(a, l), STR_ARG(l->role),
           age_text(age, clock_wall_ms() - l->id.ms), STR_ARG(l->deliveries), STR_ARG(l->reason));
    return 0;
}

static void print_message(struct arena *a, const struct letter *l) {
    struct buf text;
    if (!l->message) {
        struct str bytes = base64_encode(a, l->payload, false);
        printf("payload     %zu bytes that cannot be read, in base64: " STR_FMT "\n", l->payload.len,
               STR_ARG(bytes));
        return;
    }
    buf_init(&text);
    json_encode(l->message, &text);
    printf("message     %.*s\n", (int)text.len, text.ptr);
    buf_free(&text);
}

static int show(struct fiber *self, struct dlq *q, const struct letter *l, struct fault *fault) {
    (void)fault;
    char age[AGE_MAX], time[TIME_MAX];
    struct arena *a = fiber_arena(self);
    if (q->json) {
        print_json(a, l);
        return 0;
    }
    printf("%sid          %s\n", q->seen > 1 ? "\n" : "", id_text(a, l));
    printf("role        " STR_FMT "\n", STR_ARG(l->role));
    printf("entry       " STR_FMT " of the stream " STR_FMT ", partition %d\n", STR_ARG(l->entry),
           STR_ARG(l->stream), l->partition);
    printf("when        %s, %s ago\n", time_text(time, l->id.ms), age_text(age, clock_wall_ms() - l->id.ms));
    printf("deliveries  " STR_FMT "\n", STR_ARG(l->deliveries));
    printf("reason      " STR_FMT "\n", STR_ARG(l->reason));
    print_message(a, l);
    return 0;
}

/* ---- replay and drop ----------------------------------------------------------------------------------- */

static int remove_letter(struct fiber *self, struct dlq *q, const struct letter *l) {
    char key[KEY_MAX];
    const struct redis_reply *removed;
    struct str name = key_dead(key, l->partition);
    int e = redis_call(self, q->domain->redis, &removed, "XDEL " STR_FMT " %" PRId64 "-%" PRId64,
                       STR_ARG(name), l->id.ms, l->id.sequence);
    if (e == 0) q->done += removed->integer; /* another operator may have been faster */
    return e;
}

static int drop(struct fiber *self, struct dlq *q, const struct letter *l, struct fault *fault) {
    int e = remove_letter(self, q, l);
    return e == 0 ? 0 : fault_set(fault, e, "Redis: %s", error_text(e));
}

static int replay(struct fiber *self, struct dlq *q, const struct letter *l, struct fault *fault) {
    char key[KEY_MAX];
    assert(q->seen > 0 && q->done <= q->seen);
    if (!l->known) {
        complain("dlq", "%s stays: this program has no role \"" STR_FMT "\"", id_text(fiber_arena(self), l),
                 STR_ARG(l->role));
        q->status = 1;
        return 0;
    }
    struct redis_batch *b = redis_batch_new();
    redis_cmd(b, 7);
    redis_arg(b, STR("XADD"));
    redis_arg(b, stream_key(key, l->known->stream, l->partition));
    redis_arg(b, STR("*"));
    redis_arg(b, STR("e"));
    redis_arg(b, l->payload);
    redis_arg(b, STR(OUTBOX_ADDRESSED));
    redis_arg(b, l->role);
    int e = domain_send(self, q->domain, b);
    if (e == 0) e = remove_letter(self, q, l);
    return e == 0 ? 0 : fault_set(fault, e, "Redis: %s", error_text(e));
}

/* ---- the run ------------------------------------------------------------------------------------------- */

/* Reads XRANGE from..to, at most PAGE letters, and applies the verb to those that were asked for. *n: the number
 * read. */
static int do_range(struct fiber *self, struct dlq *q, int partition, const char *from, const char *to,
                    char last[static KEY_MAX], size_t *n, struct fault *fault) {
    char key[KEY_MAX];
    const struct redis_reply *entries;
    assert(q->verb && partition >= 0 && partition < (int)q->domain->config->partitions);
    struct str name = key_dead(key, partition);
    int e = redis_call(self, q->domain->redis, &entries, "XRANGE " STR_FMT " %s %s COUNT %d", STR_ARG(name),
                       from, to, PAGE);
    if (e != 0) return fault_set(fault, e, "Redis: %s", error_text(e));
    *n = entries->elements;
    for (size_t i = 0; i < entries->elements && e == 0; i++) {
        struct letter l;
        if (!read_letter(fiber_arena(self), partition, &entries->element[i], &l)) continue;
        snprintf(last, KEY_MAX, "%" PRId64 "-%" PRId64, l.id.ms, l.id.sequence);
        if (q->role && !str_eq(l.role, str_from(q->role))) continue;
        q->seen++;
        e = q->verb(self, q, &l, fault);
    }
    return e;
}

/* Does it for the letters that are there now, oldest first. */
static int do_partition(struct fiber *self, struct dlq *q, int partition, struct fault *fault) {
    char key[KEY_MAX], from[KEY_MAX + 1] = "-", to[KEY_MAX], last[KEY_MAX] = "";
    struct stream_info stream;
    struct str name = key_dead(key, partition);
    int e = stream_info_read(self, q->domain->redis, name, &stream);
    if (e != 0) return fault_set(fault, e, "Redis: %s", error_text(e));
    if (!stream.exists) return 0;
    snprintf(to, sizeof to, "%" PRId64 "-%" PRId64, stream.last.ms, stream.last.sequence);
    for (size_t n = PAGE; e == 0 && n == PAGE;) {
        e = do_range(self, q, partition, from, to, last, &n, fault);
        arena_reset(fiber_arena(self));
        snprintf(from, sizeof from, "(%s", last);
    }
    return e;
}

static int do_one(struct fiber *self, struct dlq *q, const char *text, struct fault *fault) {
    int64_t partition, before = q->seen;
    struct stream_id id;
    char last[KEY_MAX] = "";
    size_t n;
    if (!parse_id(text, q->domain->config->partitions, &partition, &id))
        return fault_set(fault, ERR_INVALID_ARGUMENT,
                         "\"%s\" is not PARTITION:MS-SEQUENCE with a partition from 0 to %" PRId64, text,
                         q->domain->config->partitions - 1);
    const char *at = arena_printf(fiber_arena(self), "%" PRId64 "-%" PRId64, id.ms, id.sequence);
    int e = do_range(self, q, (int)partition, at, at, last, &n, fault);
    if (e != 0 || q->seen > before) return e;
    complain("dlq", "there is no dead letter %s", text);
    q->status = 1;
    return 0;
}

static int operate(struct fiber *self, struct domain *d, void *arg) {
    struct dlq *q = arg;
    struct fault fault = {0};
    int e = 0;
    q->domain = d;
    for (size_t i = 0; i < q->n_ids && e == 0; i++) e = do_one(self, q, q->ids[i], &fault);
    for (int p = 0; q->n_ids == 0 && p < (int)d->config->partitions && e == 0; p++)
        e = do_partition(self, q, p, &fault);
    if (q->verb == list && !q->json && q->seen == 0 && e == 0) puts("there are no dead letters");
    if (q->verb == replay || q->verb == drop)
        printf("%s %" PRId64 " dead letter%s\n", q->verb == drop ? "dropped" : "replayed", q->done,
               q->done == 1 ? "" : "s");
    if (e == 0) return q->status;
    complain("dlq", "%s", fault.text);
    return e == ERR_INVALID_ARGUMENT ? 2 : 1;
}

/* ---- arguments ----------------------------------------------------------------------------------------- */

static bool parse_verb(const char *word, struct dlq *q) {
    static const struct {
        const char *name;
        letter_fn *fn;
    } VERBS[] = {{"list", list}, {"show", show}, {"replay", replay}, {"drop", drop}};
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++)
        if (strcmp(word, VERBS[i].name) == 0) q->verb = VERBS[i].fn;
    return q->verb != NULL;
}

static bool parse_role(const char *name, struct dlq *q) {
    if (!name) return false;
    q->role = name;
    return role_find(str_from(name)) || (complain("dlq", "there is no role \"%s\"", name), false);
}

static bool parse_word(struct words *w, const char *word, struct dlq *q) {
    bool changes = q->verb == replay || q->verb == drop;
    if (strcmp(word, "--role") == 0 && q->verb != show) return parse_role(words_value(w, word), q);
    if (strcmp(word, "--json") == 0 && !changes) return q->json = true;
    if (strcmp(word, "--all") == 0 && changes) return q->all = true;
    if (strcmp(word, "--yes") == 0 && q->verb == drop) return q->yes = true;
    if (word[0] == '-' || q->verb == list)
        return complain("dlq", "%s does not take \"%s\" (see --help)", w->argv[1], word), false;
    if (q->n_ids == IDS_MAX) return complain("dlq", "at most %d ids at a time", IDS_MAX), false;
    q->ids[q->n_ids++] = word;
    return true;
}

/* Returns true when the options say, in one way only, which letters are meant. */
static bool check_choice(const struct dlq *q, const char *verb) {
    int ways = (q->n_ids > 0) + (q->role != NULL) + q->all;
    if (q->verb == list) return true;
    if (q->verb == show && q->n_ids == 0)
        return complain("dlq", "show needs an ID, as list prints them"), false;
    if (q->verb == show) return true;
    if (ways != 1)
        return complain("dlq", "%s needs one of: ID..., --role ROLE, --all (see --help)", verb), false;
    if (q->verb == drop && !q->yes)
        return complain("dlq", "drop deletes dead letters permanently: confirm with --yes"), false;
    if (q->verb == replay && q->role && !role_find(str_from(q->role)))
        return complain("dlq", "this program has no role \"%s\"", q->role), false;
    return true;
}

static int run_dlq(int argc, char **argv) {
    static struct dlq queue;
    struct dlq *q = &queue;
    struct words w = words_of("dlq", argc, argv);
    const char *verb = words_next(&w);
    if (!verb) return complain("dlq", "say what to do: list, show, replay or drop (see --help)");
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return fputs(HELP, stdout), 0;
    if (!parse_verb(verb, q))
        return complain("dlq", "there is no \"%s\": say list, show, replay or drop (see --help)", verb);
    for (const char *word; (word = words_next(&w));)
        if (!parse_word(&w, word, q)) return 2;
    return check_choice(q, verb) ? process_operate("rookery-worker", operate, q) : 2;
}

const struct command COMMAND_DLQ = {"dlq", "list, show, replay and drop dead letters", run_dlq};
