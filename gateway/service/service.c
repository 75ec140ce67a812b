/* The tables of the API's methods and of the rules for texts in requests. */
#include "gateway/service/service.h"

#include <assert.h>

#include "core/text/fields.h"
#include "services.pb-c.h"

static const struct rpc_method METHODS[] = {
#define METHOD(path_, handler_, request_, reply_, kind_, no_side_effects, permission_, cost_)                \
    {                                                                                                        \
        .path = path_,                                                                                       \
        .kind = RPC_##kind_,                                                                                 \
        .request = &rookery__v1__##request_##__descriptor,                                                   \
        .reply = &rookery__v1__##reply_##__descriptor,                                                       \
        .handler = handler_,                                                                                 \
        .is_public = PERMISSION_##permission_ == PERMISSION_ANYBODY,                                         \
        .side_effect_free = no_side_effects,                                                                 \
        .permission = PERMISSION_##permission_,                                                              \
        .cost = COST_##cost_,                                                                                \
    },
#define TEXT(...)
#include "services.def"
#undef METHOD
#undef TEXT
};
#define N_METHODS (sizeof METHODS / sizeof *METHODS)

static const struct text_field TEXTS[] = {
#define METHOD(...)
#define TEXT(message_, field_, form_, min_characters_, max_characters_, min_bytes_, max_bytes_,              \
             may_be_empty_)                                                                                  \
    {                                                                                                        \
        .message = &rookery__v1__##message_##__descriptor,                                                   \
        .number = field_,                                                                                    \
        .rule =                                                                                              \
            {                                                                                                \
                .form = TEXT_##form_,                                                                        \
                .min_characters = min_characters_,                                                           \
                .max_characters = max_characters_,                                                           \
                .min_bytes = min_bytes_,                                                                     \
                .max_bytes = max_bytes_,                                                                     \
                .may_be_empty = may_be_empty_,                                                               \
            },                                                                                               \
    },
#include "services.def"
#undef METHOD
#undef TEXT
};

void service_texts_init(struct text_fields *f) {
    text_fields_init(f, TEXTS, sizeof TEXTS / sizeof *TEXTS);
    for (const struct rpc_method *m = METHODS; m < METHODS + N_METHODS; m++) text_fields_add(f, m->request);
}

const struct rpc_method *service_methods(size_t *n) {
    *n = N_METHODS;
    return METHODS;
}

#define SAME(cost, limit) static_assert((int)COST_##cost == (int)LIMIT_##limit, "a cost class has its limit")
SAME(LOOKUP, LOOKUP);
SAME(PAGE, PAGE);
SAME(CHANGE, CHANGE);
SAME(PUBLISH, PUBLISH);
SAME(PASSWORD, PASSWORD);
SAME(STREAM, STREAM);
SAME(WORK, WORK);

/* The limits of a method. Returns how many. */
static size_t limits_of(const struct rpc_method *m, enum limit out[static 3]) {
    size_t n = 0;
    if (m->permission == PERMISSION_ANYBODY) {
        out[n++] = LIMIT_STRANGERS;
        out[n++] = m->handler == account_service_login ? LIMIT_LOGINS : LIMIT_REGISTRATIONS;
        return n;
    }
    out[n++] = (enum limit)m->cost;
    if (service_hourly_limit(m) != LIMIT_NONE) out[n++] = service_hourly_limit(m);
    return n;
}

static void print_limits(FILE *out, const struct rpc_method *m) {
    enum limit which[3];
    size_t n = limits_of(m, which);
    for (size_t i = 0; i < n; i++) fprintf(out, "%s%s", i ? ", " : "", limit_what(which[i]));
}

void service_print(FILE *out, const struct config *c) {
    static const char *const who[] = {NULL, "anybody", "account", "analyst"};
    static const char *const costs[] = {NULL,      "lookup",   "page",   "change",
                                        "publish", "password", "stream", "work"};
    fprintf(out, "%-56s %-8s %-9s %-16s %s\n", "METHOD", "WHO", "COST", "", "LIMITS");
    for (const struct rpc_method *m = METHODS; m < METHODS + N_METHODS; m++) {
        fprintf(out, "%-56s %-8s %-9s %-16s ", m->path + 1, who[m->permission], costs[m->cost],
                m->side_effect_free ? "no side effects" : "");
        print_limits(out, m);
        fputc('\n', out);
    }
    fprintf(out, "\n%-26s %-11s %s\n", "LIMIT", "OF", "CALLS");
    for (int which = LIMIT_NONE + 1; which < LIMITS; which++) {
        char calls[96];
        limit_describe((enum limit)which, c, calls, sizeof calls);
        fprintf(out, "%-26s %-11s %s\n", limit_what((enum limit)which),
                limit_is_by_account((enum limit)which) ? "an account" : "a network", calls);
    }
}
