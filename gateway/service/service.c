/* The tables of the API's methods and of the rules for texts in requests. */
#include "gateway/service/service.h"

#include "core/text/fields.h"
#include "rookery/v1/account.pb-c.h"
#include "rookery/v1/graph.pb-c.h"
#include "rookery/v1/job.pb-c.h"
#include "rookery/v1/post.pb-c.h"
#include "rookery/v1/timeline.pb-c.h"

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

void service_print(FILE *out) {
    static const char *const who[] = {NULL, "anybody", "account", "analyst"};
    static const char *const costs[] = {NULL,      "lookup",   "page",   "change",
                                        "publish", "password", "stream", "work"};
    fprintf(out, "%-56s %-8s %-9s %s\n", "METHOD", "WHO", "COST", "");
    for (const struct rpc_method *m = METHODS; m < METHODS + N_METHODS; m++)
        fprintf(out, "%-56s %-8s %-9s %s\n", m->path + 1, who[m->permission], costs[m->cost],
                m->side_effect_free ? "no side effects" : "");
}
