/* The rule that a request's handle is held against is here for the words of a command line. */
#include "workers/operator/named.h"

#include "core/text/rule.h"
#include "core/text/text.h"

static const struct text_rule HANDLE = {
    .form = TEXT_HANDLE, .min_characters = 1, .max_characters = TEXT_HANDLE_MAX};

int account_named(struct fiber *self, struct domain *d, const char *name, struct account *out,
                  struct fault *fault) {
    struct str handle;
    const char *why;
    enum error e =
        text_rule_apply(&HANDLE, fiber_arena(self), str_from(name + (name[0] == '@')), &handle, &why);
    if (e != ERR_OK) return fault_field(fault, e, "handle", "a handle %s", why);
    return account_get_by_handle(self, d, handle, out, fault);
}
